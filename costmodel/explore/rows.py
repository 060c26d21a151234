"""Points of a store as flat rows, and those of its front."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from costmodel.explore.dominance import front
from costmodel.explore.space import Space
from costmodel.explore.store import Points


def rows_at(space: Space, points: Points, places: Iterable[int]) -> list[dict[str, Any]]:
    rows = []
    for i in places:
        number = int(points.indices[i])
        figures = {name: plain(column[i]) for name, column in points.columns.items()}
        state = {"feasible": bool(points.feasible[i]), "error": points.errors.get(number)}
        rows.append({"point": number, **space.knobs(number), **figures, **state})
    return rows


def plain(value: float) -> int | float | None:
    """Whole numbers as such, no figure as None."""
    if np.isnan(value):
        return None
    return int(value) if float(value).is_integer() else float(value)


def front_places(space: Space, points: Points) -> list[int]:
    """Places of the points of the front."""
    values = np.stack([points.columns[o.name] for o in space.objectives], axis=1)
    judged = np.flatnonzero(points.feasible & np.isfinite(values).all(axis=1))
    return [] if not len(judged) else [int(i) for i in judged[front(values[judged], space.senses)]]
