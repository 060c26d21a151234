"""Where work is done: executors of `concurrent.futures`, kept busy, and what happens when their workers die."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from dataclasses import dataclass
from typing import Any

from costmodel.errors import CostModelError

FLUSH_S = 0.5  # between commits
MOST_LOSSES = 3  # of workers in a row with nothing done between


@dataclass(frozen=True)
class Pool:
    """Where work is done. `open` makes an executor anew when its workers have died."""

    open: Callable[[], Executor]
    width: int  # tasks at the same time
    losses: tuple[type[BaseException], ...] = (BrokenExecutor,)  # what says that a worker has died
    check: Callable[[], None] = lambda: None  # raises CostModelError when there will be no more results


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
            pool.check()
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
                        "take fewer `workers`, or give them more memory, and run the command again"
                    )
                again += running.values()
                give_up(executor, running)
                running = {}
                executor = pool.open()
            if time.monotonic() - flushed >= FLUSH_S or not running:
                flush()
                flushed = time.monotonic()
    finally:
        # The work in hand is claimed by nobody then, and the next run does it.
        give_up(executor, running)


def give_up(executor: Executor, running: Iterable[Future[Any]]) -> None:
    """What has not begun never will; dask's executor knows no `cancel_futures`."""
    for future in running:
        future.cancel()
    executor.shutdown(wait=False)
