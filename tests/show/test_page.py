"""The page of `report --html` in headless Chromium: whole, offline, readable, and it answers a pointer."""

from __future__ import annotations

import io
import json
import math
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tests.sweep_store import make_store

ARGS = ["report", "distilbert-tiny", "--seq", "16", "--on", "edge-asic"]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
KEYS = ("operations", "shares", "energy", "traffic", "roofline", "timeline", "verdict", "front")
MOST_BYTES = 6_000_000


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory, session_cache: str) -> Path:
    import sys

    from costmodel.cli import main

    folder = tmp_path_factory.mktemp("page")
    path = folder / "page.html"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COSTMODEL_CACHE", session_cache)
        args = [
            *ARGS,
            "--store",
            str(make_store(folder)),
            "--html",
            str(path),
            "--output",
            str(folder / "out.txt"),
        ]
        patch.setattr(sys, "argv", ["costmodel", *args])
        with pytest.raises(SystemExit) as stopped:
            main()
        assert not stopped.value.code
    return path


@dataclass
class Seen:
    """What a page said and asked for."""

    console: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on this machine")
    with playwright.sync_playwright() as tool:
        found = tool.chromium.launch(executable_path=CHROMIUM, args=QUIET.split())
        yield found
        found.close()


def opened(browser: Any, path: Path, width: int = 1200, scheme: str = "light") -> tuple[Any, Seen]:
    seen = Seen()
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    page.on("console", lambda message: seen.console.append(message.text))
    page.on("pageerror", lambda error: seen.console.append(str(error)))
    page.on("request", lambda request: seen.requests.append(request.url))
    page.goto(path.as_uri())
    page.locator(".plot .main-svg").last.wait_for(state="attached")
    return page, seen


def figures_in(path: Path) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="figures">(.*?)</script>', path.read_text())
    assert found
    figures: dict[str, Any] = json.loads(found[1])
    return figures


# The file


def test_file_is_whole_small_and_says_how_it_was_made(page_file: Path) -> None:
    text = page_file.read_text()
    assert len(page_file.read_bytes()) < MOST_BYTES
    assert text.rstrip().endswith("</html>")
    assert f"<code>costmodel {' '.join(ARGS)} --store" in text
    assert date.today().isoformat()[:8] in text
    assert "plotly 7" in text or re.search(r"plotly \d", text)
    assert [p.name for p in page_file.parent.iterdir() if p.name.startswith(".")] == []


def test_numbers_are_those_of_the_plain_report(cli, page_file: Path) -> None:
    columns = json.loads(cli(*ARGS, "--format", "json").out)["columns"]
    figures = figures_in(page_file)
    for i, c in enumerate(columns):
        bars = [t for t in figures["energy-0"]["data"] if t["type"] == "bar"]
        assert math.isclose(1e6 * sum(bars[2 * i]["x"]), c["machine"]["energy_pj"]["total"][0])
        bars = [t for t in figures["operations-0"]["data"] if t["type"] == "bar"]
        assert sum(bars[2 * i]["x"]) == c["flops"]


def test_front_is_that_of_the_store(page_file: Path) -> None:
    import sqlite3

    with sqlite3.connect(page_file.parent / "sweep.db") as connection:
        rows = connection.execute("SELECT energy_uj, latency_ms, area_mm2 FROM points WHERE feasible").fetchall()
    best = {a for a in rows if not any(b != a and all(x <= y for x, y in zip(b, a, strict=True)) for b in rows)}
    drawn = set()
    for trace, other in zip(
        figures_in(page_file)["front-0"]["data"], figures_in(page_file)["front-1"]["data"], strict=True
    ):
        if trace["marker"]["size"] == 10:
            drawn |= set(zip(trace["x"], trace["y"], other["y"], strict=True))
    assert drawn == best
    assert 0 < len(best) < len(rows)


def test_every_figure_has_source_words_and_table(page_file: Path) -> None:
    text = page_file.read_text()
    parts = re.findall(r"<figure.*?</figure>", text, re.S)
    assert len(parts) == len(KEYS)
    for part, key in zip(parts, KEYS, strict=True):
        assert f'id="{key}-title"' in part
        assert re.search(r"<figcaption>Source: .{20,}", part)
        assert part.count('role="img" aria-label="') == part.count('class="plot"') >= 1
        assert "<details>" in part
        assert part.count("<tr>") > 1
    assert text.count("<h1>") == 1


def test_text_of_others_cannot_become_markup() -> None:
    from costmodel.show.page import embedded, escape

    assert "<" not in embedded({"x": "</script><b>"})
    assert json.loads(embedded({"x": "</script>"})) == {"x": "</script>"}
    assert escape('<a href="1 000 %">', quote=True) == "&lt;a href=&quot;1\u00a0000\u00a0%&quot;&gt;"


# Written whole or not at all; mistakes


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        (["--html", "{folder}"], "is a directory; give a file"),
        (["--html", "{folder}/none/page.html"], "there is no directory"),
        (["--html", "{folder}/x", "--output", "{folder}/x"], "are the same file"),
        (["--store", "{folder}/sweep.db"], "--store goes with --html"),
        (["--html", "{folder}/x", "--store", "{folder}/none.db"], "there is no store"),
        (["--html", "{folder}/x", "--store", "{folder}/text"], "no store of a sweep"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(cli, tmp_path: Path, more: list[str], problem: str) -> None:
    (tmp_path / "text").write_text("no store, but long enough to be looked at by SQLite " * 40)
    ran = cli("report", "distilbert-tiny", "--seq", "8", *(each.format(folder=tmp_path) for each in more))
    assert ran.code == 2
    assert ran.out == ""
    assert len(ran.err.strip().splitlines()) == 1
    assert problem in ran.err
    assert [p.name for p in tmp_path.iterdir()] == ["text"]


def test_a_failed_write_keeps_the_old_page(cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    path = tmp_path / "page.html"
    path.write_text("old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        patch.setenv("COSTMODEL_CACHE", str(tmp_path / "none" / "none"))
        ran = cli("report", "distilbert-tiny", "--seq", "8", "--html", str(path))
    assert ran.code == 2
    assert "cannot be written: No space left on device" in ran.err
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


# In the browser


def test_no_error_no_request_and_not_blank(browser: Any, page_file: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    import numpy as np

    page, seen = opened(browser, page_file)
    plots = page.query_selector_all(".plot")
    assert len(plots) == len(figures_in(page_file))
    for plot in plots:
        pixels = np.asarray(image.open(io.BytesIO(plot.screenshot())).convert("L"), float)
        assert pixels.var() > 20, plot.get_attribute("id")
    assert seen.console == []
    assert [url for url in seen.requests if not url.startswith("data:")] == [page_file.as_uri()]


def test_the_policy_would_stop_a_request(browser: Any, page_file: Path) -> None:
    """The witness of the test before: a request that is tried is seen, and refused."""
    page, seen = opened(browser, page_file)
    refused = page.evaluate("fetch('https://example.org/').then(() => false, () => true)")
    assert refused
    assert any("Content Security Policy" in line for line in seen.console)


# The largest thing that is drawn, so that a pointer can find it.
LARGEST = """id => {
  const plot = document.getElementById(id);
  const drawn = [...plot.querySelectorAll('.points .point path, .scatterlayer path.point')];
  const boxes = drawn.map(each => each.getBoundingClientRect());
  boxes.sort((a, b) => b.width * b.height - a.width * a.height);
  return [boxes[0].x + boxes[0].width / 2, boxes[0].y + boxes[0].height / 2];
}"""


def test_every_figure_answers_a_pointer(browser: Any, page_file: Path) -> None:
    page, _ = opened(browser, page_file)
    for plot in figures_in(page_file):
        page.locator(f"#{plot}").scroll_into_view_if_needed()
        assert page.locator(f"#{plot} .hoverlayer .hovertext").count() == 0
        x, y = page.evaluate(LARGEST, plot)
        page.mouse.move(x - 1, y)
        page.mouse.move(x, y)
        page.wait_for_selector(f"#{plot} .hoverlayer .hovertext", timeout=5000)
        text = page.locator(f"#{plot} .hoverlayer .hovertext").first.text_content()
        assert re.search(r"\d", text), plot


@pytest.mark.parametrize("width", [390, 320])
def test_a_phone_does_not_scroll_sideways(browser: Any, page_file: Path, width: int) -> None:
    page, _ = opened(browser, page_file, width)
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    wide = page.evaluate(
        "[...document.querySelectorAll('.plot .main-svg')].map(e => e.getBoundingClientRect().right)"
    )
    assert max(wide) <= width


STYLE = """() => [getComputedStyle(document.body).backgroundColor,
  document.querySelector('#energy-0 .ytick text').style.fill, document.querySelector('h1').textContent]"""


def brightness(colour: str) -> float:
    return sum(int(x) for x in re.findall(r"\d+", colour)[:3]) / 3


def test_dark_and_print_change_page_and_figures(browser: Any, page_file: Path) -> None:
    page, seen = opened(browser, page_file)
    paper, ink, _ = page.evaluate(STYLE)
    assert brightness(paper) > 200 > 100 > brightness(ink)
    page.emulate_media(color_scheme="dark")
    for _ in range(100):
        if page.evaluate(STYLE)[1] != ink:
            break
        page.wait_for_timeout(50)
    dark_paper, dark_ink, _ = page.evaluate(STYLE)
    assert brightness(dark_paper) < 100 < 200 < brightness(dark_ink)
    # On paper it is light again, and as wide as a page.
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate(STYLE)[1] == ink
    width = page.evaluate("document.querySelector('#energy-0 .main-svg').getBoundingClientRect().width")
    assert width < 680
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate(STYLE)[1] == dark_ink
    assert seen.console == []
    assert len(page.pdf(prefer_css_page_size=True)) > 20_000


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_contrast_is_that_of_wcag() -> None:
    from costmodel.show.page import read

    blocks = re.findall(r":root[^{]*\{([^}]*--ink[^}]*)\}", read("page.css"))
    assert len(blocks) == 2
    for block in blocks:
        colours = dict(re.findall(r"--([\w-]+): (#\w{6})", block))
        for name, least in [("ink", 7), ("quiet", 4.5), *((f"m{i}", 3) for i in range(6))]:
            low, high = sorted(luminance(colours[each]) for each in (name, "paper"))
            assert (high + 0.05) / (low + 0.05) >= least, (name, colours[name])
