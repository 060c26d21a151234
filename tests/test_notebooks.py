"""The notebooks run from top to bottom in a fresh kernel, and show the numbers that are kept in them."""

from __future__ import annotations

import html
import re
import resource
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests import notebooks

NUMBER = re.compile(r"(?<![\w.])\d[\d .]*\d|(?<![\w.])\d{2,}")
LARGEST_BYTES = 500_000


@pytest.fixture(params=notebooks.paths(), ids=lambda path: path.stem)
def path(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


def test_there_are_five() -> None:
    assert [p.stem[:2] for p in notebooks.paths()] == ["01", "02", "03", "04", "05"]


def test_it_runs_and_shows_what_is_kept(path: Path, monkeypatch: pytest.MonkeyPatch, session_cache: str) -> None:
    """In a fresh kernel, in under two minutes of CPU: no error, nothing on stderr, the same text."""
    monkeypatch.setenv("COSTMODEL_CACHE", session_cache)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    before_s = cpu_seconds()
    fresh = notebooks.run(path)
    assert cpu_seconds() - before_s < notebooks.CPU_SECONDS
    kept = notebooks.texts(nbformat.read(path, as_version=4))
    for number, (now, before) in enumerate(zip(notebooks.texts(fresh), kept, strict=True)):
        assert not [text for text in now if text.startswith("stderr")], f"code cell {number} of {path.name}"
        assert now == before, f"code cell {number} of {path.name} is stale: run `python -m tests.notebooks`"


def cpu_seconds() -> float:
    """Of all processes that this one started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_it_is_small_and_says_nothing_of_where_it_ran(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.encode()) < LARGEST_BYTES
    assert not re.search(r"/(home|work|tmp|root)/|iopub|execution_timing", text)
    notebook = nbformat.read(path, as_version=4)
    again = notebooks.normalised(nbformat.from_dict(notebook))
    assert nbformat.writes(again) == nbformat.writes(nbformat.read(path, as_version=4))


def test_every_figure_has_a_table_beside_it(path: Path) -> None:
    """Not every reader shows figures: what is drawn also stands in a table of the same or the next cells."""
    cells = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    kinds = [[kind for o in c.outputs for kind in o.get("data", {})] for c in cells]
    figures = [i for i, found in enumerate(kinds) if "application/vnd.plotly.v1+json" in found]
    assert figures
    for i in figures:
        assert any("text/html" in found for found in kinds[max(0, i - 1) : i + 2]), f"code cell {i}"


def test_every_number_in_the_text_is_one_that_a_cell_shows(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    shown = " ".join(text_of_cell(c) for c in notebook.cells if c.cell_type == "code")
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for number in NUMBER.findall(cell.source):
                assert re.search(rf"(?<!\d){re.escape(number.strip())}(?!\d)", shown), (
                    f"{number!r} is typed by hand"
                )


def text_of_cell(cell: Any) -> str:
    found = [text for output in cell.outputs for text in notebooks.texts_of(output)]
    return html.unescape(re.sub(r"<[^>]+>", " ", " ".join([cell.source, *found])))


def test_they_use_public_names_only(path: Path) -> None:
    source = "\n".join(c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code")
    assert "import costmodel as cm" in source
    assert not re.search(r"costmodel\.cli|cm\._|\._[a-z]", source)
