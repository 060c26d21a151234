"""The difference of two cost breakdowns: tables and notes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from costmodel.show.grid import Grid, shown

# Forms


def difference_grids(record: dict[str, Any]) -> list[Grid]:
    grids = []
    for s in record["sections"]:
        rows = [row_cells(row["part"], row, row["share"]) for row in s["rows"]]
        total = s["total"]
        rows.append(row_cells("total", total, 1.0 if total["difference"] else None))
        title = f"{s['title']}{' in ' + s['unit'] if s['unit'] and s['unit'] != 'cycles' else ''}"
        grids.append(Grid(title, ("", "A", "B", "B - A", "share of it"), tuple(rows)))
    return grids


def row_cells(name: str, row: Mapping[str, Any], part: float | None) -> tuple[str, ...]:
    share = "-" if part is None else f"{round(100 * part, 1) + 0.0:.1f} %"  # no -0.0
    return (name, digits(row["a"]), digits(row["b"]), digits(row["difference"], "+"), share)


def digits(value: float, sign: str = "") -> str:
    """Integers whole, others with four digits behind the point."""
    if isinstance(value, int):
        return shown(value) if not sign or value <= 0 else f"+{shown(value)}"
    return f"{value:{sign},.4f}".replace(",", " ")


def difference_notes(record: dict[str, Any]) -> list[str]:
    lines = [f"A: {record['a']}", f"B: {record['b']}"]
    for s in record["sections"]:
        change = s["total"]["difference"]
        if not change or s["title"] == "operations":
            continue
        top = s["rows"][0]
        less = "less" if change < 0 else "more"
        lines.append(
            f"{s['title']}: B takes {digits(abs(change))} {s['unit']} {less}; most of all moves {top['part']}, "
            f"{digits(top['difference'], '+')} {s['unit']}."
        )
    if record["only_one_has"]:
        lines.append(f"Only one of the two has: {', '.join(record['only_one_has'])}.")
    return lines


def difference_rows(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Flat rows for CSV; the totals are rows too."""
    rows = []
    for s in record["sections"]:
        for row in (*s["rows"], {"part": "total", **s["total"], "share": None}):
            rows.append({"section": s["title"], "unit": s["unit"], **row})
    return rows
