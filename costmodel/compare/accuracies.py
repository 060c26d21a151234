"""Stored accuracies by task and mechanism, as means over seeds."""

from __future__ import annotations

from typing import Any


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
