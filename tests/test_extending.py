"""docs/extending.md: its files are there, its table is the one that tests hold, its paths lead somewhere."""

from __future__ import annotations

import importlib
import re
from typing import Any

import pytest

from tests.extension.points import EXTENSION
from tests.paths import ROOT

TEXT = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
POINTS, NUMBERS = (
    re.findall(rf"^\| (.+?) \| {cells}$", TEXT, re.M) for cells in (r"(\d+) \| (.+?) \|", r"`([\w.]+)` \|")
)


def test_the_table_of_extension_points() -> None:
    found = {what: (int(number), tuple(re.findall("`(.+?)`", files))) for what, number, files in POINTS}
    assert found == {point.what: (len(point.files), point.files) for point in EXTENSION}


def test_every_file_that_is_named_is_there() -> None:
    names = set(re.findall(r"`((?:costmodel|sim|models|tests)/[\w/.-]+)`", TEXT))
    assert len(names) > 20
    for name in names:
        path = ROOT / name
        assert path.exists() or (path.stem == "NAME" and path.parent.is_dir()), name
    assert {f"tests/extension/outside/{point.example}" for point in EXTENSION} <= names


def test_twenty_numbers() -> None:
    assert len(NUMBERS) >= 20
    assert len({what for what, _ in NUMBERS}) == len(NUMBERS)


@pytest.mark.parametrize(("what", "path"), NUMBERS)
def test_where_a_number_is_computed(what: str, path: str) -> None:
    """A function, or a property of a record."""
    parts = path.split(".")
    for split in range(len(parts) - 1, 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:split]))
        except ModuleNotFoundError:
            continue
        for name in parts[split:]:
            found = getattr(found, name)
        assert callable(found) or isinstance(found, property), what
        return
    raise AssertionError(f"{path} leads nowhere")
