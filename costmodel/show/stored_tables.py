"""The stored accuracies beside published ones of a larger model: table and notes."""

from __future__ import annotations

from typing import Any

from costmodel.show.grid import Grid


def stored_grid(rows: list[dict[str, Any]], published: dict[str, Any]) -> Grid:
    """A line a task: both mechanisms in both arithmetics, how far apart they are, and what is published."""
    lines = []
    for task in dict.fromkeys(r["task"] for r in rows):
        found = {r["attention"]: r for r in rows if r["task"] == task}
        cells = [
            shown(found.get(attention), arithmetic)
            for attention in ("dot", "inhibitor")
            for arithmetic in ("float32", "w8a8")
        ]
        gap = "-"
        if {"dot", "inhibitor"} <= set(found):
            gap = difference(found["dot"], found["inhibitor"])
        one = next(iter(found.values()))
        seeds = ", ".join(sorted({str(r["seeds"]) for r in found.values()}))
        theirs = " -> ".join(f"{x:.1f}" for x in published["values"].get(task, ()))
        lines.append((task, one["metric"], seeds, *cells, gap, theirs or "-"))
    head = ("", "", "seeds", "dot", "in w8a8", "inhibitor", "in w8a8", "difference", "DistilBERT-base")
    return Grid(
        "dev accuracy of MiniLM-DistilBERT (width 384, 6 layers), in %: mean over seeds", head, tuple(lines)
    )


def shown(row: dict[str, Any] | None, arithmetic: str) -> str:
    """A mean, with half of its range where there are several seeds."""
    if row is None or arithmetic not in row["metrics"]:
        return "-"
    low, high = row["ranges"][arithmetic]
    spread = f" ± {50 * (high - low):.1f}" if row["seeds"] > 1 else ""
    return f"{100 * row['metrics'][arithmetic]:.1f}{spread}"


def difference(first: dict[str, Any], second: dict[str, Any]) -> str:
    """Of two means in floats, with half of the range of what runs of one seed differ by."""
    gap = f"{100 * (second['metrics']['float32'] - first['metrics']['float32']):+.1f}"
    each = [
        value - first["by_seed"][seed] for seed, value in second["by_seed"].items() if seed in first["by_seed"]
    ]
    return f"{gap} ± {50 * (max(each) - min(each)):.1f}" if len(each) > 1 else gap


def stored_notes(published: dict[str, Any]) -> list[str]:
    return [
        f"DistilBERT-base: {published['source']}; another, larger model.",
        "± is half of the range over seeds, of a difference that over pairs of runs of one seed.",
        "SST-2 is of the checkpoints that ship, which are int8.",
    ]
