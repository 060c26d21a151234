"""A sweep on the command line that is killed (SIGKILL), or held, when its store has come to some size.

Progress decides, never the clock: a process kills itself in the very call that stores the point, so that no other
machine, however fast or busy, ends the sweep before it can be killed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from costmodel.errors import CostModelError
from costmodel.explore import claims, pool
from costmodel.explore.store import Store, accuracies, counted, open_store

PATIENCE_S = 600  # for what never ends if something is broken


def start(
    *args: str,
    die_at: int | None = None,
    before_commit: bool = False,
    hold_at: int | None = None,
    go: Path | None = None,
) -> subprocess.Popen[str]:
    """`costmodel sweep` with these arguments.

    Args:
        die_at: the process kills itself as it stores the point, or accuracy, that brings the store to this size.
        before_commit: within the transaction of those points, so that they are lost.
        hold_at: once the store has come to this size, it stores nothing more until the file `go` is there.
    """
    given = f"{die_at!r}, {before_commit!r}, {hold_at!r}, {None if go is None else str(go)!r}"
    code = f"from tests import killed; killed.prepare({given}); from costmodel.cli import main; main()"
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", code, "sweep", *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def died(process: subprocess.Popen[str]) -> bool:
    """Wait for the end of a process; whether SIGKILL was it."""
    process.communicate()
    return process.returncode == -signal.SIGKILL


def progress(path: Path) -> int:
    """Accuracies and points that are committed."""
    try:
        store = open_store(path)
    except CostModelError:
        return 0
    try:
        return size_of(store)
    finally:
        store.connection.close()


def wait_for(process: subprocess.Popen[str], path: Path, size: int) -> None:
    """Wait until so much is committed by a sweep that is held there."""
    end = time.monotonic() + PATIENCE_S
    while progress(path) < size:
        assert process.poll() is None, "the sweep has ended"
        assert time.monotonic() < end
        time.sleep(0.02)


def size_of(store: Store) -> int:
    return len(accuracies(store)) + counted(store)[0]


# In the process of the sweep


def prepare(die_at: int | None, before_commit: bool, hold_at: int | None, go: str | None) -> None:
    """Make this process die, or wait, at some size of its store."""
    if die_at is None and hold_at is None:
        return
    pool.FLUSH_S = 0.0  # every result is stored as it comes: few points a transaction
    if hold_at is not None and go is not None:
        for name in ("finish", "finish_accuracy"):
            setattr(claims, name, holding(getattr(claims, name), hold_at, Path(go)))
    if die_at is None:
        return
    if before_commit:
        claims.transaction = dying_transaction(claims.transaction, die_at)  # type: ignore[assignment]
    else:
        for name in ("finish", "finish_accuracy"):
            setattr(claims, name, dying(getattr(claims, name), die_at))


def holding(function: Callable[..., Any], size: int, go: Path) -> Callable[..., Any]:
    def held(store: Store, *rest: Any) -> Any:
        while size_of(store) >= size and not go.exists():
            time.sleep(0.02)
        return function(store, *rest)

    return held


def dying(function: Callable[..., Any], size: int) -> Callable[..., Any]:
    def last(store: Store, *rest: Any) -> Any:
        result = function(store, *rest)
        if size_of(store) >= size:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return last


def dying_transaction(transaction: Callable[..., Any], size: int) -> Callable[..., Any]:
    @contextlib.contextmanager
    def last(connection: sqlite3.Connection) -> Iterator[None]:
        with transaction(connection):
            yield
            (points,) = connection.execute("SELECT count(*) FROM points").fetchone()
            if points >= size:
                os.kill(os.getpid(), signal.SIGKILL)

    return last
