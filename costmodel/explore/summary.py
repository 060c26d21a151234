"""A store in a few numbers: counts, best points, accuracies, and what went wrong how often."""

from __future__ import annotations

import json
from dataclasses import dataclass

from costmodel.explore.store import GRID, Store, accuracies, best_points, counted, error_counts
from costmodel.explore.workloads import Workload
from costmodel.records import Row


@dataclass(frozen=True)
class MeasuredAccuracy:
    """The accuracy of one checkpoint at some widths, or what went wrong."""

    task: str
    checkpoint: str
    widths: str
    value: float | None
    error: str | None


@dataclass(frozen=True)
class SweepRecord:
    """A sweep: how far it is, and the best feasible point by each objective, for each combination of sizes."""

    store: str | None  # None where nothing was kept
    space: str
    how: str  # `grid`, or a search with its seed
    points: int  # of the space; of a search those that are stored
    stored: int
    stored_before: int
    feasible: int
    failed: int
    workloads: tuple[Workload, ...]  # whose weighted sums the figures are; none where knobs name the only one
    apart: tuple[str, ...]  # sizes of what is run, over which points are not compared
    errors: dict[str, int]  # how many points failed by each text, the most frequent first
    best: tuple[
        Row, ...
    ]  # objective, sense, value, point and its knobs; one row with no objective if there is none
    accuracies: tuple[MeasuredAccuracy, ...]


def summary(store: Store, path: str | None, before: int) -> SweepRecord:
    """The record of a store; `before` points were there when the sweep began."""
    done, feasible, failed = counted(store)
    best: list[Row] = [
        {"objective": o.name, "sense": o.sense, "value": value, "point": point, **store.space.knobs(point)}
        for o in store.space.objectives
        for value, point in best_points(store, o.name, o.sense)
    ]
    return SweepRecord(
        store=path,
        space=store.space.where,
        how=store.how,
        points=len(store.space) if store.how == GRID else done,
        stored=done,
        stored_before=before,
        feasible=feasible,
        failed=failed,
        workloads=store.space.workloads,
        apart=store.space.apart,
        errors=error_counts(store),
        best=tuple(best or [{"objective": None}]),
        accuracies=tuple(measured(key, value) for key, value in accuracies(store).items()),
    )


def measured(key: str, value: float | str) -> MeasuredAccuracy:
    """An accuracy of a store by its key."""
    named = json.loads(key)
    failed = isinstance(value, str)
    return MeasuredAccuracy(
        task=named["task"],
        checkpoint=named["checkpoint"],
        widths=named["widths"],
        value=None if failed else float(value),
        error=str(value) if failed else None,
    )
