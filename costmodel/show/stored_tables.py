"""The stored accuracies beside published ones of a larger model: table, notes, rows."""

from __future__ import annotations

from collections.abc import Sequence

from costmodel.compare.accuracies import Published, SeedMeans, StoredRecord
from costmodel.show.document import Cell, Document, Row, folded
from costmodel.show.grid import Grid


def stored_document(record: StoredRecord) -> Document:
    """A table with a line a task, notes, and a row a task and mechanism."""
    return Document(
        (stored_grid(record.results, record.published),),
        folded(stored_notes(record.published)),
        stored_rows(record.results),
        folded(lead_lines(record.results)),
    )


def lead_lines(rows: Sequence[SeedMeans]) -> list[str]:
    """On how many tasks each mechanism is ahead, and by how much."""
    gaps = [(task, (other - first)) for task, first, other in pairs_of(rows)]
    if not gaps:
        return []
    behind = [(task, gap) for task, gap in gaps if gap < 0]
    least, most = min(gap for _, gap in gaps), max(gap for _, gap in gaps)
    return [
        f"On {len(gaps)} tasks the inhibitor is {100 * least:+.1f} to {100 * most:+.1f} points from dot product, "
        f"and behind it on {len(behind)}."
    ]


def pairs_of(rows: Sequence[SeedMeans]) -> list[tuple[str, float, float]]:
    """Task, and the means in floats of both mechanisms, where both are stored."""
    found = {(r.task, r.attention): r.metrics["float32"] for r in rows}
    tasks = dict.fromkeys(r.task for r in rows)
    return [
        (task, found[task, "dot"], found[task, "inhibitor"])
        for task in tasks
        if {(task, "dot"), (task, "inhibitor")} <= set(found)
    ]


def stored_grid(rows: Sequence[SeedMeans], published: Published) -> Grid:
    """A line a task: both mechanisms in both arithmetics, how far apart they are, and what is published."""
    lines = []
    for task in dict.fromkeys(r.task for r in rows):
        found = {r.attention: r for r in rows if r.task == task}
        cells = [
            shown(found.get(attention), arithmetic)
            for attention in ("dot", "inhibitor")
            for arithmetic in ("float32", "w8a8")
        ]
        gap = "-"
        if {"dot", "inhibitor"} <= set(found):
            gap = difference(found["dot"], found["inhibitor"])
        one = next(iter(found.values()))
        seeds = ", ".join(sorted({str(r.seeds) for r in found.values()}))
        theirs = " -> ".join(f"{x:.1f}" for x in published.values.get(task, ()))
        lines.append((f"{task} {one.metric}", seeds, *cells, gap, theirs or "-"))
    head = ("", "n", "dot", "w8a8", "inhibitor", "w8a8", "difference", "published")
    return Grid(
        "dev accuracy of MiniLM-DistilBERT (width 384, 6 layers), in %: mean over n seeds", head, tuple(lines)
    )


def shown(row: SeedMeans | None, arithmetic: str) -> str:
    """A mean, with half of its range where there are several seeds."""
    if row is None or arithmetic not in row.metrics:
        return "-"
    low, high = row.ranges[arithmetic]
    spread = f" ± {50 * (high - low):.1f}" if row.seeds > 1 else ""
    return f"{100 * row.metrics[arithmetic]:.1f}{spread}"


def difference(first: SeedMeans, second: SeedMeans) -> str:
    """Of two means in floats, with half of the range of what runs of one seed differ by."""
    gap = f"{100 * (second.metrics['float32'] - first.metrics['float32']):+.1f}"
    each = [value - first.by_seed[seed] for seed, value in second.by_seed.items() if seed in first.by_seed]
    return f"{gap} ± {50 * (max(each) - min(each)):.1f}" if len(each) > 1 else gap


def stored_notes(published: Published) -> list[str]:
    return [
        f"published: DistilBERT-base, another and larger model, dot product -> inhibitor; {published.source}.",
        "± is half of the range over seeds; of a difference, half of the range over pairs of runs of one seed.",
        "SST-2 is of the checkpoints that ship, which are int8.",
    ]


def stored_rows(rows: Sequence[SeedMeans]) -> tuple[Row, ...]:
    """One row a task and mechanism; empty cells where an arithmetic was not measured."""
    arithmetics = dict.fromkeys(name for r in rows for name in r.metrics)
    found: list[Row] = []
    for r in rows:
        flat: dict[str, Cell] = {"task": r.task, "attention": r.attention, "metric": r.metric, "seeds": r.seeds}
        for name in arithmetics:
            low, high = r.ranges.get(name, (None, None))
            flat |= {name: r.metrics.get(name), f"{name} low": low, f"{name} high": high}
        found.append(flat)
    return tuple(found)
