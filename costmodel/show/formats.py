"""Output formats: each is a function of a document and its record.

To add one, write a function under `@format_of(NAME)`: the command line offers it, and results have it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from costmodel.records import to_text
from costmodel.show.document import Document, Row

Format = Callable[[Document, Any], str]
F = TypeVar("F", bound=Format)
FORMATS: dict[str, Format] = {}


def format_of(name: str) -> Callable[[F], F]:
    """Register a function `(document, record) -> text` as the format of that name."""

    def register(function: F) -> F:
        if name in FORMATS:
            raise ValueError(f"there is a format {name!r} already")
        FORMATS[name] = function
        return function

    return register


@format_of("table")
def table_text(document: Document, record: Any = None) -> str:
    """For a terminal, as wide as it needs to be."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    out = io.StringIO()
    console = Console(file=out, width=400, no_color=True, highlight=False, markup=False, emoji=False)
    for line in document.lead:
        console.print(line, soft_wrap=True)
    if document.lead:
        console.print()
    for grid in document.grids:
        table = Table(box=box.SIMPLE_HEAD, title=None, pad_edge=False)
        for n, heading in enumerate(grid.head):
            table.add_column(
                heading, justify="right" if n and grid.numbers else "left", no_wrap=grid.numbers or n == 0
            )
        for n, row in enumerate(grid.rows):
            table.add_row(*row, end_section=n == len(grid.rows) - 2 and grid.rows[-1][0] == "total")
        console.print(grid.title)
        console.print(table)
    for note in document.notes:
        console.print(note, soft_wrap=True)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


@format_of("json")
def json_text(document: Document, record: Any) -> str:
    """The record as it is, with the number of its schema."""
    return to_text(record)


@format_of("csv")
def csv_text(document: Document, record: Any = None) -> str:
    """A heading, then one line a row."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    rows = document.rows
    if rows:
        writer.writerow(rows[0])
        writer.writerows(row.values() for row in rows)
    return out.getvalue()


@format_of("md")
def md_text(document: Document, record: Any = None) -> str:
    """Markdown tables, then the notes."""
    lines = [*document.lead, ""] if document.lead else []
    for grid in document.grids:
        lines += [f"**{grid.title}**", "", "| " + " | ".join(grid.head) + " |"]
        lines.append("|" + "|".join(["---"] + ["---:"] * (len(grid.head) - 1)) + "|")
        lines += ["| " + " | ".join(row) + " |" for row in grid.rows]
        lines.append("")
    return "\n".join([*lines, *document.notes]) + "\n"


def render_records_csv(rows: Sequence[Row]) -> str:
    """Flat rows of the same keys, one line each."""
    return csv_text(Document((), (), tuple(rows)))
