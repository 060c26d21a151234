"""`sweep`: a design space into a store, its best points as what is shown, all its points as rows."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from costmodel.api.results import Result
from costmodel.api.subjects import check_choice, check_whole
from costmodel.errors import CostModelError
from costmodel.explore.rows import front_places, rows_at
from costmodel.explore.running import State, run_sweep
from costmodel.explore.space import Space, parse_space
from costmodel.explore.store import GRID, Points, counted, create_store, open_store, read_points
from costmodel.explore.summary import SweepRecord, summary
from costmodel.records import Json, Row
from costmodel.show.sweep_tables import sweep_document


@dataclass(frozen=True, repr=False)
class Sweep(Result[SweepRecord]):
    """A swept space: its document has the best points, `front()` those that nothing beats, `to_rows()` all.

    Points that run other sizes (model, seq, batch, ...) are not compared with each other, unless the space has
    `across`: each combination of sizes has its own front and its own best points.
    """

    space: Space
    kept: Points | None  # None where they are in a store

    @cached_property
    def points(self) -> Points:
        """All points; of a store they are read when they are first asked for."""
        if self.kept is not None:
            return self.kept
        assert self.record.store is not None
        opened = open_store(self.record.store)
        try:
            return read_points(opened)
        finally:
            opened.connection.close()

    def to_rows(self) -> list[Row]:
        """Every point: its number, knobs, figures (None where it has none), feasible, error."""
        return list(rows_at(self.space, self.points, range(len(self.points.indices))))

    def front(self) -> list[Row]:
        """The feasible points that no other dominates, the best by the space's first objective first."""
        return list(rows_at(self.space, self.points, front_places(self.space, self.points)))

    def best(self, objective: str, **sizes: str | int) -> Row | None:
        """The feasible point that is best by one objective; None where no point is feasible.

        Args:
            sizes: values of the knobs over which points are not compared, such as `seq=128`.

        Raises:
            CostModelError: the space has no such objective or size, or several sizes and none is named.
        """
        senses = {o.name: o.sense for o in self.space.objectives}
        check_choice("objective", objective, tuple(senses))
        for name in (*self.space.apart, *sizes):
            known = self.space.values(name)
            if name not in sizes or sizes[name] not in known:
                what = f"{sizes[name]!r} is none of its values" if name in sizes else "the space has several"
                raise CostModelError(
                    f"`{name}`: {what}; give one of {', '.join(map(str, known)) or 'the knobs of the space'}"
                )
        sign = 1 if senses[objective] == "min" else -1
        rows = [row for row in self.front() if all(row[name] == value for name, value in sizes.items())]
        return min(rows, key=lambda row: sign * float(row[objective] or 0), default=None)


def sweep(
    space: Mapping[str, Json] | str | Path,
    store: str | Path | None = None,
    workers: int | None = 1,
    scheduler: str | None = None,
    trials: int | None = None,
    seed: int | None = None,
    details: bool = False,
    progress: bool = False,
) -> Sweep:
    """Every point of a design space, or those that a search proposes; a result shows the best points.

    Args:
        space: a dict of the form of `costmodel.explore.space`, or a file of it.
        store: a file that keeps all points; a sweep that was stopped goes on there. None keeps nothing.
        workers: processes of this machine; 1 works in this one, None takes one a core.
        scheduler: workers of a Dask cluster in place of these, by its scheduler's address.
        trials: so many points, chosen by Optuna from `seed`, in place of all.
        seed: of `trials`; None takes 0.
        details: show all knobs and all that went wrong.
        progress: a bar on stderr, if that is a terminal.

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

    check_whole("workers", workers)
    check_whole("trials", trials)
    check_whole("seed", seed, least=0)
    if scheduler is not None and workers not in (None, 1):
        raise CostModelError("`workers` are processes of this machine; leave them out with `scheduler`")
    if seed is not None and trials is None:
        raise CostModelError("`seed` goes with `trials`")
    if isinstance(space, str | Path):
        parsed = read_space(space)
    else:
        parsed = checked(parse_space(dict(space) if isinstance(space, Mapping) else space, "space"))
    work = work_of(parsed, trials, seed or 0)
    how = GRID if trials is None else f"search with seed {seed or 0}"
    width = (os.cpu_count() or 1) if workers is None else workers
    with tempfile.TemporaryDirectory() as folder, pool_of(width, scheduler) as pool:
        opened = create_store(Path(folder) / "points" if store is None else store, parsed, how)
        try:
            before = counted(opened)[0]
            with screen_of(parsed, progress) as tell:
                run_sweep(opened, work, pool, tell)
            record = summary(opened, None if store is None else str(store), before)
            kept = read_points(opened) if store is None else None
        finally:
            opened.connection.close()
    return Sweep(record, sweep_document(record, parsed, details), parsed, kept)


def screen_of(space: Space, progress: bool) -> AbstractContextManager[Callable[[State], None]]:
    """What is told of a sweep while it runs: a bar, or nothing."""
    if progress:
        from costmodel.show.sweep_screen import screen

        return screen(space)
    return contextlib.nullcontext(lambda state: None)
