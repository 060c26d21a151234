"""Every point of a design space, or those that a search proposes, into a store, by any executor of futures.

This process claims work, hands it out and stores what comes back, at least once a second; workers only compute.
So it may be killed at any moment, and several of them may fill one store. See `costmodel.store`.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from costmodel import claims, store
from costmodel.claims import Chunk
from costmodel.errors import CostModelError
from costmodel.points import AccuracyKey, GraphOf, Results, evaluate_points
from costmodel.space import Space
from costmodel.store import Store

FLUSH_S = 0.5  # between commits
BEAT_S = 2.0  # between signs of life
MOST_LOSSES = 3  # of workers in a row with nothing done between
Measure = Callable[[AccuracyKey, str], float | str]


@dataclass(frozen=True)
class Pool:
    """Where work is done. `open` makes an executor anew when its workers have died."""

    open: Callable[[], Executor]
    width: int  # tasks at the same time
    losses: tuple[type[BaseException], ...] = (BrokenExecutor,)  # what says that a worker has died


@dataclass(frozen=True)
class Work:
    """What workers call; functions of modules, so that they can be pickled."""

    graph_of: GraphOf
    measure: Measure
    names: Mapping[AccuracyKey, str] = field(default_factory=dict)  # of each key of the space


@dataclass(frozen=True)
class State:
    """How far a sweep is: points of this space stored, by whatever process."""

    what: str
    done: int
    total: int
    failed: int
    best: dict[str, tuple[float, int]]  # by objective: value, number of the point


Tell = Callable[[State], None]


# Workers


def local_pool(workers: int) -> Pool:
    """Processes of this machine; with one worker a thread of this process."""
    if workers == 1:
        return Pool(lambda: ThreadPoolExecutor(1), 1)
    context = multiprocessing.get_context("spawn")  # torch does not survive a fork
    return Pool(lambda: ProcessPoolExecutor(workers, context, die_with_parent), workers)


def die_with_parent() -> None:
    """A worker ends with the process that started it, however that ends, and leaves Ctrl-C to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def evaluate_chunk(
    space: Space, indices: Any, accuracy_of: Mapping[AccuracyKey, float | str], graph_of: GraphOf
) -> Results:
    """`evaluate_points`; whatever goes wrong is the error of all the points."""
    try:
        return evaluate_points(space, indices, accuracy_of, graph_of)
    except Exception as wrong:
        n = len(indices)
        text = f"{type(wrong).__name__}: {' '.join(str(wrong).split())}"
        nothing = {name: np.full(n, np.nan) for name in space.figures}
        return Results(np.asarray(indices), nothing, np.zeros(n, bool), np.ones(n, np.int32), ("", text))


def hand_out(
    pool: Pool,
    take: Callable[[int], Sequence[Any]],
    submit: Callable[[Executor, Any], Future[Any]],
    keep: Callable[[Any, Any], None],
    flush: Callable[[], None],
    waiting: Callable[[], bool],
    ahead: int,
) -> None:
    """Keep the workers busy until there is nothing to take and nothing to wait for.

    Args:
        take: up to so many new items.
        keep: called with an item and its result; `flush` follows within `FLUSH_S`.
        waiting: whether other processes still work on items, which become ours should they die.
        ahead: items handed out for each worker: 2 and it never waits, 1 and other processes get their part.

    Raises:
        CostModelError: workers die without anything being done.
    """
    executor = pool.open()
    running: dict[Future[Any], Any] = {}
    again: list[Any] = []
    lost, flushed = 0, time.monotonic()
    try:
        while True:
            room = ahead * pool.width - len(running)
            items = [*again, *(take(room - len(again)) if room > len(again) else ())]
            again = []
            try:
                while items:
                    running[submit(executor, items[0])] = items[0]
                    items.pop(0)
            except pool.losses:
                again = items  # the loss shows in what is running
            if not running and not again:
                flush()
                if not waiting():
                    return
                time.sleep(FLUSH_S)
                continue
            done, _ = wait(running, timeout=FLUSH_S, return_when=FIRST_COMPLETED)
            broken = not running
            for future in done:
                item = running.pop(future)
                try:
                    keep(item, future.result())
                    lost = 0
                except pool.losses:
                    again.append(item)
                    broken = True
            if broken:
                lost += 1
                if lost >= MOST_LOSSES:
                    raise CostModelError(
                        f"workers died {lost} times in a row, with nothing done between; what was done is stored: "
                        "take fewer --workers, or give them more memory, and run the command again"
                    )
                again += running.values()
                running = {}
                executor.shutdown(wait=False, cancel_futures=True)
                executor = pool.open()
            if time.monotonic() - flushed >= FLUSH_S or not running:
                flush()
                flushed = time.monotonic()
    finally:
        # The work in hand is claimed by nobody then, and the next run does it.
        executor.shutdown(wait=False, cancel_futures=True)


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
        evaluate_all(opened, owner, work, pool, accuracy_of, tell, len(opened.space))


def measure_all(opened: Store, owner: str, work: Work, pool: Pool, tell: Tell) -> dict[AccuracyKey, float | str]:
    """The accuracy of each key, each stored as soon as it is measured."""
    key_of = {name: key for key, name in work.names.items()}
    if not key_of:
        return {}

    def keep(name: str, found: float | str) -> None:
        claims.finish_accuracy(opened, owner, name, found)
        report()

    def report() -> None:
        done = key_of.keys() & claims.accuracies(opened).keys()
        tell(State("accuracies", len(done), len(key_of), 0, {}))

    report()
    hand_out(
        pool,
        lambda number: claims.claim_accuracies(opened, owner, list(key_of), number),
        lambda executor, name: executor.submit(work.measure, key_of[name], name),
        keep,
        lambda: None,
        lambda: not key_of.keys() <= claims.accuracies(opened).keys(),
        ahead=1,
    )
    found = claims.accuracies(opened)
    return {key: found[name] for key, name in work.names.items()}


def evaluate_all(
    opened: Store,
    owner: str,
    work: Work,
    pool: Pool,
    accuracy_of: Mapping[AccuracyKey, float | str],
    tell: Tell,
    total: int,
) -> None:
    """The points of all chunks that are not done."""
    space = opened.space
    kept: list[tuple[Chunk, Results]] = []

    def flush() -> None:
        if kept:
            rows = {chunk.number: results for chunk, results in kept}
            stored = claims.finish(opened, owner, [(chunk, results.rows()) for chunk, results in kept])
            kept.clear()
            for chunk in stored:
                improve(best, space, rows[chunk.number])
        done, _, failed = store.counted(opened)
        tell(State("points", done, total, failed, dict(best)))

    best = best_of(opened)
    flush()
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


def best_of(opened: Store) -> dict[str, tuple[float, int]]:
    """The best feasible point by each objective."""
    found = {o.name: store.best_point(opened, o.name, o.sense) for o in opened.space.objectives}
    return {name: best for name, best in found.items() if best is not None}


def improve(best: dict[str, tuple[float, int]], space: Space, results: Results) -> None:
    """Take new points into account; of equal ones the first by number stays."""
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
