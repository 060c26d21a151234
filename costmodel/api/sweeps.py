"""A sweep of a design space: its points as rows, its Pareto front as the table that is shown."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from costmodel.api.results import Result
from costmodel.errors import CostModelError
from costmodel.explore.rows import front_places, rows_at
from costmodel.explore.space import Space
from costmodel.explore.store import Points
from costmodel.show.grid import Grid, cell_text


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


def sweep(
    space: Mapping[str, Any] | str | Path,
    store: str | Path | None = None,
    workers: int = 1,
    scheduler: str | None = None,
    trials: int | None = None,
    seed: int = 0,
) -> Sweep:
    """Every point of a design space, or those that a search proposes; its Pareto front is what a result shows.

    Args:
        space: a dict of the form of `costmodel.explore.space`, or a file of it.
        store: a file that keeps all points; a sweep that was stopped goes on there. None keeps nothing.
        workers: processes of this machine; 1 works in this one.
        scheduler: workers of a Dask cluster in place of these, by its scheduler's address.
        trials: so many points, chosen by Optuna from `seed`, in place of all.

    >>> import costmodel as cm
    >>> knobs = {"model": "distilbert-tiny", "target": "edge-asic", "array": ["8x8", "16x16"], "lanes": [16, 32]}
    >>> found = cm.sweep({"objectives": ["latency_ms", "area_mm2"], "knobs": knobs})
    >>> len(found.to_rows()), [row["array"] for row in found.front()]
    (4, ['8x8', '8x8'])

    Raises:
        CostModelError: something in the space is wrong, or the store is another space's.
    """
    from costmodel.api.spaces import checked, read_space
    from costmodel.api.workers import pool_of, work_of
    from costmodel.explore.running import run_sweep
    from costmodel.explore.space import parse_space
    from costmodel.explore.store import GRID, create_store, read_points

    for name, value, least in (("workers", workers, 1), ("trials", trials, 1), ("seed", seed, 0)):
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < least):
            raise CostModelError(f"{name} = {value!r} is not a whole number of at least {least}")
    if isinstance(space, str | Path):
        parsed = read_space(space)
    else:
        parsed = checked(parse_space(dict(space) if isinstance(space, Mapping) else space, "space"))
    work = work_of(parsed, trials, seed)
    how = GRID if trials is None else f"search with seed {seed}"
    with tempfile.TemporaryDirectory() as folder, pool_of(workers, scheduler) as pool:
        opened = create_store(Path(folder) / "points" if store is None else store, parsed, how)
        try:
            run_sweep(opened, work, pool)
            return swept(parsed, read_points(opened))
        finally:
            opened.connection.close()
