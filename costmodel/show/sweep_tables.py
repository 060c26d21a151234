"""A sweep and its points: tables and notes."""

from __future__ import annotations

from typing import Any

from costmodel.show.grid import Grid, shown


def sweep_grid(record: dict[str, Any]) -> Grid:
    rows = [
        (
            b["objective"],
            f"{b['value']:.6g}",
            shown(b["point"]),
            ", ".join(f"{k} {v}" for k, v in b.items() if k not in ("objective", "sense", "value", "point")),
        )
        for b in record["best"]
        if b["objective"] is not None
    ]
    title = f"{record['space']}: {shown(record['stored'])} points, {shown(record['feasible'])} feasible, " + (
        f"{shown(record['failed'])} failed"
    )
    return Grid(title, ("best", "value", "point", "knobs"), tuple(rows), numbers=False)


def sweep_notes(record: dict[str, Any]) -> list[str]:
    lines = []
    if record["stored_before"]:
        lines.append(f"{shown(record['stored_before'])} of the points were stored before.")
    for text, times in record["errors"].items():
        lines.append(f"Failed, {shown(times)} points: {text}")
    return [*lines, f"The front: costmodel pareto {record['store']}"]


def point_grid(row: dict[str, Any]) -> Grid:
    cells = tuple((name, "-" if value is None else str(value)) for name, value in row.items())
    return Grid(f"point {row['point']}", ("", "value"), cells, numbers=False)
