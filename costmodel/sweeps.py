"""A sweep as a result: its points as rows, its Pareto front as the table that is shown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from costmodel.pareto import front
from costmodel.render import Grid
from costmodel.results import Result, cell_text
from costmodel.space import Space
from costmodel.store import Points


@dataclass(frozen=True, repr=False)
class Sweep(Result):
    """All points of a space. `rows` are those of the Pareto front, `to_rows()` gives all."""

    space: Space
    points: Points

    def to_rows(self) -> list[dict[str, Any]]:
        """Every point: its number, knobs, figures (None where it has none), feasible, error."""
        return rows_at(self.space, self.points, range(len(self.points.indices)))

    def front(self) -> list[dict[str, Any]]:
        """The feasible points that no other dominates, by the space's objectives."""
        return [dict(row) for row in self.rows]

    def best(self, objective: str) -> dict[str, Any] | None:
        """The feasible point that is best by one objective; None where no point is feasible."""
        sense = {o.name: o.sense for o in self.space.objectives}[objective]
        sign = 1 if sense == "min" else -1
        return min(self.front(), key=lambda row: sign * row[objective], default=None)


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


def swept(space: Space, points: Points) -> Sweep:
    """The result of a sweep."""
    rows = tuple(rows_at(space, points, front_places(space, points)))
    counts = {"points": len(points.indices), "feasible": int(points.feasible.sum()), "failed": len(points.errors)}
    objectives = ", ".join(o.name for o in space.objectives)
    title = ", ".join(f"{n} {name}" for name, n in counts.items()) + f"; {len(rows)} on the front of {objectives}"
    turned = [k.name for k in space.all_knobs if len(k.values) > 1]
    head = ("point", *turned, *space.figures)
    cells = tuple(tuple(cell_text(row[name]) for name in head) for row in rows)
    fixed = {k.name: k.values[0] for k in space.all_knobs if len(k.values) == 1}
    notes = ["All points: " + ", ".join(f"{name} {value}" for name, value in fixed.items())] if fixed else []
    notes += [f"Constraint: {c}" for c in space.constraints]
    errors = sorted(set(points.errors.values()))
    notes += [f"Failed: {text}" for text in errors[:3]]
    record = counts | {
        "space": space.name,
        "knobs": {k.name: list(k.values) for k in space.all_knobs},
        "objectives": [asdict(o) for o in space.objectives],
        "constraints": [str(c) for c in space.constraints],
        "front": list(rows),
        "errors": errors,
    }
    return Sweep(record, rows, (Grid(title, head, cells),), tuple(notes), space, points)
