"""Every point of a design space, or those that a search proposes, into a store, by any executor of futures.

This process claims work, hands it out and stores what comes back, at least once a second; workers only compute.
So it may be killed at any moment, and several of them may fill one store. See `costmodel.explore.store`.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from costmodel.collecting import seldom_collected
from costmodel.errors import CostModelError
from costmodel.explore import claims, store
from costmodel.explore.claims import Chunk
from costmodel.explore.points import AccuracyKey, Results, evaluate_points
from costmodel.explore.pool import Pool, hand_out
from costmodel.explore.programs import GraphOf
from costmodel.explore.space import Space
from costmodel.explore.store import Store

BEAT_S = 2.0  # between signs of life
Measure = Callable[[AccuracyKey, str], float | str]


@dataclass(frozen=True)
class Work:
    """What workers call; functions of modules, so that they can be pickled."""

    graph_of: GraphOf
    measure: Measure
    names: Mapping[AccuracyKey, str] = field(default_factory=dict)  # of each key of the space
    trials: int | None = None  # of a search: points to try, in place of all
    seed: int = 0


@dataclass(frozen=True)
class State:
    """How far a sweep is: points of this space stored, by whatever process."""

    what: str
    done: int
    total: int
    failed: int
    best: dict[str, tuple[float, int]]  # by objective: value, number of the point; none where sizes differ


Tell = Callable[[State], None]


# Workers


def evaluate_chunk(
    space: Space, indices: Any, accuracy_of: Mapping[AccuracyKey, float | str], graph_of: GraphOf
) -> Results:
    """`evaluate_points`; whatever goes wrong is the error of all the points."""
    try:
        return evaluate_points(space, indices, accuracy_of, graph_of)
    except Exception as wrong:
        # Broad: what a worker raises would end the whole sweep, hours of it; the points of this chunk are lost
        # with their reason in place of that.
        n = len(indices)
        text = f"{type(wrong).__name__}: {' '.join(str(wrong).split())}"
        nothing = {name: np.full(n, np.nan) for name in space.figures}
        return Results(np.asarray(indices), nothing, np.zeros(n, bool), np.ones(n, np.int32), ("", text))


# The sweep


@contextlib.contextmanager
def alive(opened: Store, owner: str) -> Iterator[None]:
    """Says from a thread of its own, with a connection of its own, that this process is alive."""
    stop = threading.Event()

    def beats() -> None:
        own = store.open_store(opened.path)
        while not stop.wait(BEAT_S):
            with contextlib.suppress(CostModelError):
                claims.beat(own, owner)
        own.connection.close()

    thread = threading.Thread(target=beats, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        with contextlib.suppress(sqlite3.Error, CostModelError):
            claims.leave(opened, owner)


def run_sweep(opened: Store, work: Work, pool: Pool, tell: Tell = lambda state: None) -> None:
    """Measure what accuracies are lacking, then evaluate all points of the store's chunks that are not done.

    Raises:
        CostModelError: the store cannot be written, or workers die again and again. What was done is stored.
    """
    owner = claims.new_owner(opened)
    with alive(opened, owner):
        accuracy_of = measure_all(opened, owner, work, pool, tell)
        with seldom_collected():
            evaluate_all(opened, owner, work, pool, accuracy_of, tell)


def measure_all(opened: Store, owner: str, work: Work, pool: Pool, tell: Tell) -> dict[AccuracyKey, float | str]:
    """The accuracy of each key, each stored as soon as it is measured."""
    key_of = {name: key for key, name in work.names.items()}
    if not key_of:
        return {}

    def keep(name: str, found: float | str) -> None:
        claims.finish_accuracy(opened, owner, name, found)
        report()

    def report() -> None:
        done = key_of.keys() & store.accuracies(opened).keys()
        tell(State("accuracies", len(done), len(key_of), 0, {}))

    report()
    hand_out(
        pool,
        lambda number: claims.claim_accuracies(opened, owner, list(key_of), number),
        lambda executor, name: executor.submit(work.measure, key_of[name], name),
        keep,
        lambda: None,
        lambda: not key_of.keys() <= store.accuracies(opened).keys(),
        ahead=1,
    )
    found = store.accuracies(opened)
    return {key: found[name] for key, name in work.names.items()}


def evaluate_all(
    opened: Store,
    owner: str,
    work: Work,
    pool: Pool,
    accuracy_of: Mapping[AccuracyKey, float | str],
    tell: Tell,
) -> None:
    """All points of the store's chunks; with trials, those that a search adds to them."""
    space = opened.space
    total = len(space) if work.trials is None else min(len(space), work.trials)
    kept: list[tuple[Chunk, Results]] = []
    best = best_of(opened)

    def flush() -> None:
        if kept:
            results = {chunk.number: found for chunk, found in kept}
            stored = claims.finish(opened, owner, [(chunk, found.rows()) for chunk, found in kept])
            kept.clear()
            for chunk in stored:
                improve(best, space, results[chunk.number])
        done, _, failed = store.counted(opened)
        tell(State("points", done, total, failed, dict(best)))

    def drain() -> None:
        try:
            hand_out(
                pool,
                lambda number: claims.claim(opened, owner, number),
                lambda executor, chunk: executor.submit(
                    evaluate_chunk, space, chunk.indices, accuracy_of, work.graph_of
                ),
                lambda chunk, results: kept.append((chunk, results)),
                flush,
                lambda: claims.pending(opened) > 0,
                ahead=2,
            )
        finally:
            flush()

    flush()
    if work.trials is None:
        drain()
        return
    from costmodel.explore.search import Judged, judge, searcher

    propose = searcher(space, work.trials, work.seed)
    known: dict[int, Judged] = {}
    while missing := propose(known):
        claims.add_points(opened, missing)
        drain()
        found = store.read_points(opened, missing)
        known |= judge(space, found.indices, found.columns)


def best_of(opened: Store) -> dict[str, tuple[float, int]]:
    """The best feasible point by each objective; none where points run other sizes, which are not compared."""
    if opened.space.apart:
        return {}
    found = {o.name: store.best_points(opened, o.name, o.sense) for o in opened.space.objectives}
    return {name: best[0] for name, best in found.items() if best}


def improve(best: dict[str, tuple[float, int]], space: Space, results: Results) -> None:
    """Take new points into account; of equal ones the first by number stays."""
    if space.apart:
        return
    for objective in space.objectives:
        values = np.where(results.feasible, results.columns[objective.name], np.nan)
        if np.isnan(values).all():
            continue
        place = int(np.nanargmin(values) if objective.sense == "min" else np.nanargmax(values))
        new = (float(values[place]), int(results.indices[place]))
        old = best.get(objective.name)
        sign = 1 if objective.sense == "min" else -1
        if old is None or (sign * new[0], new[1]) < (sign * old[0], old[1]):
            best[objective.name] = new
