"""Who works on what in a store: owners, chunks of points, accuracies. See `costmodel.explore.store`."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from costmodel.explore.space import Array
from costmodel.explore.store import Store, explained, transaction

STALE_S = 30.0  # a claim whose owner has been silent for longer is anyone's
SEARCH_CHUNK = 4  # points: a search waits for all that it has proposed


@dataclass(frozen=True)
class Chunk:
    """Points that are claimed and stored together: numbers first to stop - 1, or those listed."""

    number: int
    first: int | None
    stop: int | None
    listed: tuple[int, ...] | None = None

    @property
    def indices(self) -> Array:
        """int64 [n]."""
        if self.listed is not None:
            return np.array(self.listed, np.int64)
        return np.arange(self.first or 0, self.stop, dtype=np.int64)


# Owners


def new_owner(store: Store) -> str:
    """A name for this process's claims."""
    owner = uuid.uuid4().hex
    with explained(store.path):
        row = (owner, socket.gethostname(), os.getpid(), time.time())
        store.connection.execute("INSERT INTO owners VALUES (?, ?, ?, ?)", row)
    return owner


def beat(store: Store, owner: str) -> None:
    """Say that the owner is alive."""
    with explained(store.path):
        store.connection.execute("UPDATE owners SET heartbeat = ? WHERE owner = ?", (time.time(), owner))


def leave(store: Store, owner: str) -> None:
    """Give up all claims that are not done."""
    with explained(store.path), transaction(store.connection):
        bury(store.connection, [owner])


def bury(connection: sqlite3.Connection, owners: Iterable[str]) -> None:
    for owner in owners:
        connection.execute("UPDATE chunks SET owner = NULL WHERE owner = ? AND done = 0", (owner,))
        connection.execute("DELETE FROM accuracies WHERE owner = ?", (owner,))
        connection.execute("DELETE FROM owners WHERE owner = ?", (owner,))


def dead_owners(connection: sqlite3.Connection, stale_s: float) -> list[str]:
    here, now = socket.gethostname(), time.time()
    return [
        owner
        for owner, host, pid, heartbeat in connection.execute("SELECT * FROM owners")
        if now - heartbeat > stale_s or (host == here and not is_running(pid))
    ]


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


# Chunks


def claim(store: Store, owner: str, number: int, stale_s: float = STALE_S) -> list[Chunk]:
    """Up to so many chunks that nobody works on; what dead processes had claimed is free again."""
    with explained(store.path), transaction(store.connection):
        bury(store.connection, dead_owners(store.connection, stale_s))
        rows = store.connection.execute(
            "SELECT chunk, first, stop, listed FROM chunks"
            " WHERE done = 0 AND owner IS NULL ORDER BY chunk LIMIT ?",
            (number,),
        ).fetchall()
        claims = [(owner, row[0]) for row in rows]
        store.connection.executemany("UPDATE chunks SET owner = ? WHERE chunk = ?", claims)
    return [
        Chunk(n, first, stop, None if listed is None else tuple(json.loads(listed)))
        for n, first, stop, listed in rows
    ]


def finish(store: Store, owner: str, done: Iterable[tuple[Chunk, Sequence[tuple[Any, ...]]]]) -> list[Chunk]:
    """Store the points of chunks and give up the claims; one transaction.

    Args:
        done: of each chunk its rows: number, figures in the order of `space.figures`, feasible, error or None.

    Returns:
        What was stored: not a chunk that another process took over, thinking that this one was dead.
    """
    marks = ", ".join("?" * (len(store.space.figures) + 3))
    stored = []
    with explained(store.path), transaction(store.connection):
        for chunk, rows in done:
            counts = (len(rows), sum(row[-2] for row in rows), sum(row[-1] is not None for row in rows))
            mine = store.connection.execute(
                "UPDATE chunks SET done = 1, owner = NULL, points = ?, feasible = ?, failed = ?"
                " WHERE chunk = ? AND owner = ? AND done = 0",
                (*counts, chunk.number, owner),
            )
            if mine.rowcount == 1:
                store.connection.executemany(f"INSERT INTO points VALUES ({marks})", rows)
                stored.append(chunk)
    return stored


def add_points(store: Store, points: Sequence[int]) -> None:
    """Points of a search as chunks, but for those that are stored or that another process has added."""
    connection = store.connection
    with explained(store.path), transaction(connection):
        waiting = connection.execute("SELECT listed FROM chunks WHERE done = 0").fetchall()
        known = {point for (listed,) in waiting for point in json.loads(listed)}
        marks = ", ".join("?" * len(points))
        known |= {p for (p,) in connection.execute(f"SELECT point FROM points WHERE point IN ({marks})", points)}
        new = [int(p) for p in points if p not in known]
        for start in range(0, len(new), SEARCH_CHUNK):
            listed = new[start : start + SEARCH_CHUNK]
            connection.execute("INSERT INTO chunks (listed) VALUES (?)", (json.dumps(listed),))


def pending(store: Store) -> int:
    """Chunks that are not done, whoever works on them."""
    with explained(store.path):
        found: int = store.connection.execute("SELECT count(*) FROM chunks WHERE done = 0").fetchone()[0]
    return found


# Accuracies


def claim_accuracies(
    store: Store, owner: str, keys: Sequence[str], number: int, stale_s: float = STALE_S
) -> list[str]:
    """Up to so many of the keys that nobody has measured or is measuring."""
    with explained(store.path), transaction(store.connection):
        bury(store.connection, dead_owners(store.connection, stale_s))
        known = {key for (key,) in store.connection.execute("SELECT key FROM accuracies")}
        free = [key for key in keys if key not in known][:number]
        rows = [(key, owner) for key in free]
        store.connection.executemany("INSERT INTO accuracies (key, owner) VALUES (?, ?)", rows)
    return free


def finish_accuracy(store: Store, owner: str, key: str, found: float | str) -> None:
    """Store an accuracy, or as a text why there is none."""
    value, error = (None, found) if isinstance(found, str) else (found, None)
    with explained(store.path):
        store.connection.execute(
            "UPDATE accuracies SET owner = NULL, value = ?, error = ? WHERE key = ? AND owner = ?",
            (value, error, key, owner),
        )
