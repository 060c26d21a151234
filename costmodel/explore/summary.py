"""A store in a few numbers: counts, best points, accuracies, and what went wrong how often."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from costmodel.explore.running import best_of
from costmodel.explore.store import GRID, Store, counted

# The summary


def summary(store: Store, path: Path, before: int) -> dict[str, Any]:
    """Counts, the best point by each objective, accuracies, and what went wrong how often."""
    from costmodel.explore.store import accuracies, error_counts

    done, feasible, failed = counted(store)
    senses = {o.name: o.sense for o in store.space.objectives}
    best = [
        {"objective": name, "sense": senses[name], "value": value, "point": point, **store.space.knobs(point)}
        for name, (value, point) in best_of(store).items()
    ]
    measured = []
    for text, value in accuracies(store).items():
        named = json.loads(text)
        failure = value if isinstance(value, str) else None
        number = None if isinstance(value, str) else value
        measured.append(
            {k: named[k] for k in ("task", "checkpoint", "widths")} | {"value": number, "error": failure}
        )
    return {
        "store": str(path),
        "space": store.space.where,
        "how": store.how,
        "points": len(store.space) if store.how == GRID else done,
        "stored": done,
        "stored_before": before,
        "feasible": feasible,
        "failed": failed,
        "errors": error_counts(store),
        "best": best or [{"objective": None}],
        "accuracies": measured,
    }
