"""README.md fits what people read first: short, with a picture of the page as it is now."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.picture import CHROMIUM, COMMAND, MOST_BYTES, PICTURE, PNG_HEAD, make_page, shown, with_words, words_of
from tests.readme import README

MOST_LINES = 150
TEXT = README.read_text(encoding="utf-8")


def test_it_is_short() -> None:
    assert len(TEXT.splitlines()) <= MOST_LINES


def test_it_begins_with_the_question_and_a_picture_and_names_every_page() -> None:
    assert TEXT.index("What does a transformer cost") < TEXT.index("](docs/images/page.png)") < TEXT.index("## ")
    assert f"    {COMMAND}\n" in TEXT
    for page in (README.parent / "docs").glob("*.md"):
        assert page.name == "index.md" or f"](docs/{page.name})" in TEXT, page.name


def test_the_picture_is_small_and_of_the_page_as_it_is(tmp_path: Path) -> None:
    png = PICTURE.read_bytes()
    assert len(png) <= MOST_BYTES
    now = shown(make_page(tmp_path).read_text(encoding="utf-8"))
    assert words_of(png) == now, "the picture is stale: run `make readme` where there is a Chromium"
    assert not re.search(r"[{}<>]", now)


def test_words_in_a_picture(tmp_path: Path) -> None:
    png = PICTURE.read_bytes()
    once = with_words(png, "µJ and mm²")
    assert once.startswith(PNG_HEAD)
    assert words_of(with_words(once, "other")) == "other"
    assert words_of(once) == "µJ and mm²"


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")
def test_a_browser_reads_the_picture(tmp_path: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as tool:
        browser = tool.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.goto(PICTURE.as_uri())
        size = page.evaluate("[document.images[0].naturalWidth, document.images[0].naturalHeight]")
        browser.close()
    assert size[0] >= 1000
    assert size[1] >= 800
