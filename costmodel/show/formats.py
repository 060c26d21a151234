"""Output formats: terminal table, Markdown, CSV, JSON."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from costmodel.show.grid import Grid, shown

FORMATS = ("table", "json", "csv", "md")


def render_md(grids: list[Grid], notes: list[str]) -> str:
    lines = []
    for grid in grids:
        lines += [f"**{grid.title}**", "", "| " + " | ".join(grid.head) + " |"]
        lines.append("|" + "|".join(["---"] + ["---:"] * (len(grid.head) - 1)) + "|")
        lines += ["| " + " | ".join(row) + " |" for row in grid.rows]
        lines.append("")
    return "\n".join([*lines, *notes]) + "\n"


def render_records_csv(records: list[dict[str, Any]]) -> str:
    """Flat records of the same keys, one line each."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(records[0])
    writer.writerows(record.values() for record in records)
    return out.getvalue()


def render_table(grids: list[Grid], notes: list[str]) -> str:
    """For a terminal, as wide as it needs to be."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    out = io.StringIO()
    console = Console(file=out, width=400, no_color=True, highlight=False, markup=False, emoji=False)
    for grid in grids:
        table = Table(box=box.SIMPLE_HEAD, title=None, pad_edge=False)
        for n, heading in enumerate(grid.head):
            table.add_column(
                heading, justify="right" if n and grid.numbers else "left", no_wrap=grid.numbers or n == 0
            )
        for n, row in enumerate(grid.rows):
            table.add_row(*row, end_section=n == len(grid.rows) - 2 and grid.rows[-1][0] == "total")
        console.print(grid.title)
        console.print(table)
    for note in notes:
        console.print(note, soft_wrap=True)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def render_json(record: dict[str, Any]) -> str:
    return json.dumps(record, indent=1, ensure_ascii=False) + "\n"


def cell_text(value: Any) -> str:
    if isinstance(value, float):
        return shown(round(value)) if abs(value) >= 10_000 else f"{value:.4g}"
    return "" if value is None else shown(value)
