"""Points of a store as flat rows, and those of its front."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from costmodel.explore.dominance import as_costs, front
from costmodel.explore.front_records import FrontRecord
from costmodel.explore.space import Space
from costmodel.explore.store import Points
from costmodel.records import Row


def rows_at(space: Space, points: Points, places: Iterable[int]) -> tuple[Row, ...]:
    """Number, knobs, figures, feasible, error of the points at some places."""
    rows: list[Row] = []
    for i in places:
        number = int(points.indices[i])
        figures = {name: plain(column[i]) for name, column in points.columns.items()}
        state = {"feasible": bool(points.feasible[i]), "error": points.errors.get(number)}
        rows.append({"point": number, **space.knobs(number), **figures, **state})
    return tuple(rows)


def plain(value: float) -> int | float | None:
    """Whole numbers as such, no figure as None."""
    if np.isnan(value):
        return None
    return int(value) if float(value).is_integer() else float(value)


def front_places(space: Space, points: Points) -> list[int]:
    """Places of the points of the front, the best by the first objective first, then by the others in order.

    Points that run other sizes are not compared: each group of them (`Space.apart`) has its front, one after
    another.
    """
    values = np.stack([points.columns[o.name] for o in space.objectives], axis=1)
    judged = np.flatnonzero(points.feasible & np.isfinite(values).all(axis=1))
    if not len(judged):
        return []
    group = space.group_of(points.indices[judged])
    found: list[int] = []
    for number in np.unique(group):
        own = judged[group == number]
        best = own[front(values[own], space.senses)]
        costs = as_costs(values[best], space.senses)
        found += best[np.lexsort(tuple(reversed(costs.T)))].tolist()
    return found


def front_record(store: str, space: Space, points: Points) -> FrontRecord:
    """The front of some points of a space."""
    return FrontRecord(
        store=store,
        points=len(points.indices),
        feasible=int(points.feasible.sum()),
        failed=len(points.errors),
        space=space.name,
        knobs={k.name: k.values for k in space.all_knobs},
        objectives=space.objectives,
        workloads=space.workloads,
        apart=space.apart,
        constraints=tuple(map(str, space.constraints)),
        front=rows_at(space, points, front_places(space, points)),
        errors=tuple(sorted(set(points.errors.values()))),
    )
