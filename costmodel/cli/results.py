"""`costmodel results`: the accuracies that were measured, beside published ones of a larger model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from costmodel.cli.common import check_output, output_options, show
from costmodel.render import Grid, render_records_csv


@click.command("results")
@output_options
def command(format_: str, output: Path | None) -> None:
    """Print the stored accuracies: MiniLM's, by task and attention, as means over seeds, in floats and in bits.

    Beside them stand the published figures of DistilBERT-base, which is another, larger model.

    Example: costmodel results
    """
    from models.students import PUBLISHED, stored_results

    check_output(output)
    rows = summarise(stored_results())
    record = {"results": rows, "published": PUBLISHED}
    show(
        format_, output, record, render_records_csv([dict(r, **r["metrics"]) for r in rows]), [grid(rows)], notes()
    )


def summarise(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of each task and mechanism: the mean of its primary metric over seeds, and the range, by arithmetic."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for result in results:
        groups.setdefault((result["task"], result["attention"].partition(":")[0]), []).append(result)
    rows = []
    for (task, attention), members in groups.items():
        metric = next(iter(members[0]["results"]["float32"]["metrics"]))
        values = {
            arithmetic: [m["results"][arithmetic]["metrics"][metric] for m in members]
            for arithmetic in members[0]["results"]
        }
        rows.append(
            {
                "task": task,
                "attention": attention,
                "metric": metric,
                "seeds": len(members),
                "metrics": {arithmetic: sum(v) / len(v) for arithmetic, v in values.items()},
                "ranges": {arithmetic: [min(v), max(v)] for arithmetic, v in values.items()},
                "by_seed": {str(m["seed"]): v for m, v in zip(members, values["float32"], strict=True)},
            }
        )
    return rows


def grid(rows: list[dict[str, Any]]) -> Grid:
    """A line a task: both mechanisms in both arithmetics, how far apart they are, and what is published."""
    from models.students import PUBLISHED

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
        published = " -> ".join(f"{x:.1f}" for x in PUBLISHED["values"].get(task, ()))
        lines.append((task, one["metric"], seeds, *cells, gap, published or "-"))
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


def notes() -> list[str]:
    from models.students import PUBLISHED

    return [
        f"DistilBERT-base: {PUBLISHED['source']}; another, larger model.",
        "± is half of the range over seeds, of a difference that over pairs of runs of one seed.",
        "SST-2 is of the checkpoints that ship, which are int8.",
    ]
