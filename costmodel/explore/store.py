"""A sweep on disk: one SQLite file that any number of processes fill together, and that kill -9 does no harm.

Work is cut into chunks of points. A process claims chunks, and stores their points and gives the claim up in one
transaction: a point is there with its whole chunk or not at all, and never twice. The claims of a process that
died are taken over: at once where it ran on this machine, else when it has not been heard of for `claims.STALE_S`.
Accuracies have a table of their own, by all that they depend on, and are claimed in the same way.

Tables, for whoever opens the file with other tools: `points` (the number of the point, a column a figure,
feasible, error), `accuracies`, and `about`, which holds the space.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from costmodel.errors import BadRecord, CostModelError
from costmodel.explore.space import Array, Space
from costmodel.records import decode, encode

FORMAT = 2  # 2: workloads, energy times delay, sizes that are not compared
APPLICATION = 0x636D7377  # "cmsw" in the header of the file
BUSY_S = 60.0  # how long a transaction waits for another process's
MOST_CHUNKS = 1 << 16
LARGEST_CHUNK = 4096  # points: a fraction of a second of work
READ_ROWS = 1 << 16

GRID = "grid"


class StoreError(CostModelError):
    """A store that cannot be opened, or holds something else."""


@dataclass(frozen=True)
class Store:
    """An open store. `how` says which points are taken: `grid`, or a search with its seed."""

    path: Path
    connection: sqlite3.Connection
    space: Space
    how: str


@dataclass(frozen=True)
class Points:
    """Stored points in the order of their numbers: numbers [N], figures by name [N] (NaN: none), feasible [N]."""

    indices: Array
    columns: dict[str, Array]
    feasible: Array
    errors: dict[int, str]  # by number of the point


# Opening


def create_store(path: str | Path, space: Space, how: str = GRID) -> Store:
    """The store of a space, made if there is none.

    Raises:
        StoreError: the file is no store, of another format, of another space, or of another search.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise StoreError(f"store {path}: there is no directory {path.parent}")
    connection = connected(path, "rwc")
    with explained(path):
        if is_new(connection):
            connection.execute("PRAGMA journal_mode=WAL")
            with transaction(connection):
                if is_new(connection):  # another process may have been faster
                    lay_out(connection, space, how)
    store = checked_store(path, connection)
    if store.space.digest != space.digest:
        connection.close()
        raise StoreError(
            f"store {path} holds another space ({store.space.where}, or targets and tables have changed since); "
            "give another file"
        )
    if store.how != how:
        connection.close()
        raise StoreError(f"store {path} holds a {store.how}, not a {how}; give another file")
    return store


def open_store(path: str | Path) -> Store:
    """A store that exists, to read or to go on with.

    Raises:
        StoreError: there is none, or the file is something else.
    """
    path = Path(path)
    if not path.exists():
        raise StoreError(f"there is no store {path}; `costmodel sweep SPACE --store {path}` makes one")
    return checked_store(path, connected(path, "rw" if os.access(path, os.W_OK) else "ro"))


def connected(path: Path, mode: str) -> sqlite3.Connection:
    if path.is_dir():
        raise StoreError(f"store {path} is a directory; give a file")
    with explained(path):
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=BUSY_S, isolation_level=None
        )
        try:
            connection.execute("PRAGMA synchronous=FULL")  # once a second: cheap, and safe against a power cut
        except BaseException:
            connection.close()
            raise
        return connection


def checked_store(path: Path, connection: sqlite3.Connection) -> Store:
    """The store behind a connection, which is closed if it is none."""
    try:
        with explained(path):
            (application,) = connection.execute("PRAGMA application_id").fetchone()
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if application != APPLICATION:
                raise StoreError(f"{path} is a database, but no store of a sweep; give another file")
            if version != FORMAT:
                raise StoreError(
                    f"store {path} has format {version}, this program reads {FORMAT}; sweep into another file"
                )
            about = dict(connection.execute("SELECT name, value FROM about"))
        space = decode(Space, json.loads(about["space"]), "its space")
        if space.digest != about["digest"]:
            raise StoreError(f"store {path} is damaged: its space is not the one that it was made for")
        return Store(path, connection, space, about["how"])
    except (BadRecord, KeyError, TypeError, ValueError, RecursionError) as error:
        connection.close()
        raise StoreError(f"store {path} is damaged: {' '.join(str(error).split())}") from None
    except StoreError:
        connection.close()
        raise


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """SQLite's complaints as one line with the file's name."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise StoreError(f"store {path} cannot be used: {error}") from None
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{path} is no store of a sweep: {error}; give another file") from None
    except (ValueError, TypeError, OverflowError) as error:  # values of other types; a name that is no UTF-8
        raise StoreError(f"store {path} is damaged: {' '.join(str(error).split())[:200]}") from None


def is_new(connection: sqlite3.Connection) -> bool:
    """Nothing is in the file: it has just been made, or its maker was killed before the first transaction."""
    header = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")]
    return header == [0, 0] and connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)


def lay_out(connection: sqlite3.Connection, space: Space, how: str) -> None:
    """All tables, and of a grid its chunks."""
    figures = ", ".join(f'"{name}" REAL' for name in space.figures)
    for statement in (
        f"PRAGMA application_id={APPLICATION}",
        f"PRAGMA user_version={FORMAT}",
        "CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
        "CREATE TABLE owners (owner TEXT PRIMARY KEY, host TEXT, pid INTEGER, heartbeat REAL)",
        "CREATE TABLE chunks (chunk INTEGER PRIMARY KEY, first INTEGER, stop INTEGER, listed TEXT, owner TEXT,"
        " done INTEGER NOT NULL DEFAULT 0, points INTEGER, feasible INTEGER, failed INTEGER)",
        "CREATE INDEX pending ON chunks (chunk) WHERE done = 0",
        f"CREATE TABLE points (point INTEGER PRIMARY KEY, {figures}, feasible INTEGER NOT NULL, error TEXT)",
        "CREATE TABLE accuracies (key TEXT PRIMARY KEY, owner TEXT, value REAL, error TEXT)",
    ):
        connection.execute(statement)
    record = {"space": json.dumps(encode(space)), "digest": space.digest, "how": how}
    connection.executemany("INSERT INTO about VALUES (?, ?)", record.items())
    if how == GRID:
        size = chunk_size(len(space))
        starts = range(0, len(space), size)
        rows = ((n, start, min(start + size, len(space))) for n, start in enumerate(starts))
        connection.executemany("INSERT INTO chunks (chunk, first, stop) VALUES (?, ?, ?)", rows)


def chunk_size(points: int) -> int:
    """Points a chunk: a small space is still cut into many, for as many workers.

    Raises:
        StoreError: the grid is too large.
    """
    if points > MOST_CHUNKS * LARGEST_CHUNK:
        raise StoreError(f"a grid of {points:,} points is too large to try all; give `trials` to search it")
    return min(LARGEST_CHUNK, max(1, points // 64))


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of it or nothing; no other process writes meanwhile."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


# Reading


def counted(store: Store) -> tuple[int, int, int]:
    """Numbers of points stored, feasible, failed."""
    with explained(store.path):
        row = store.connection.execute(
            "SELECT total(points), total(feasible), total(failed) FROM chunks WHERE done"
        ).fetchone()
        return int(row[0]), int(row[1]), int(row[2])


def error_counts(store: Store) -> dict[str, int]:
    """How many points failed by each text, the most frequent first."""
    with explained(store.path):
        rows = store.connection.execute(
            "SELECT error, count(*) FROM points WHERE error IS NOT NULL GROUP BY error ORDER BY 2 DESC, 1"
        )
        return dict(rows.fetchall())


def accuracies(store: Store) -> dict[str, float | str]:
    """What was measured: values, or texts of errors."""
    with explained(store.path):
        rows = store.connection.execute("SELECT key, value, error FROM accuracies WHERE owner IS NULL")
        return {key: value if error is None else error for key, value, error in rows}


def best_points(store: Store, name: str, sense: str) -> list[tuple[float, int]]:
    """Value and number of the best feasible point by one figure, of each group of sizes; of equals the first."""
    space, strides = store.space, store.space.strides()
    # The place of a point's value of a knob, by its number.
    group = [f"(point / {strides[n]}) % {len(space.values(n))}" for n in space.apart]
    by = " || '.' || ".join(group) or "0"
    held = f'SELECT {by} AS sizes, "{name}" AS value, point FROM points WHERE feasible AND "{name}" IS NOT NULL'
    best = f"SELECT sizes, {'min' if sense == 'min' else 'max'}(value) AS value FROM ({held}) GROUP BY sizes"
    with explained(store.path):
        rows = store.connection.execute(
            f"SELECT value, min(point) FROM ({held}) JOIN ({best}) USING (sizes, value) GROUP BY sizes"
        ).fetchall()
    numbers = {int(point): float(value) for value, point in rows}
    points = np.array(list(numbers), np.int64)
    order = np.argsort(space.group_of(points), kind="stable")
    return [(numbers[int(point)], int(point)) for point in points[order]]


def read_points(store: Store, some: Sequence[int] | None = None) -> Points:
    """Points that are stored, as columns: all, or some."""
    figures = store.space.figures
    names = ", ".join(f'"{name}"' for name in figures)
    where = "" if some is None else f" WHERE point IN ({', '.join(str(int(p)) for p in some)})"
    with explained(store.path):
        found = store.connection.execute(f"SELECT point, feasible, {names} FROM points{where} ORDER BY point")
        blocks = []
        while rows := found.fetchmany(READ_ROWS):
            numbers, *rest = zip(*rows, strict=True)
            blocks.append([np.array(numbers, np.int64), *(np.array(each, np.float64) for each in rest)])
        texts = dict(store.connection.execute("SELECT point, error FROM points WHERE error IS NOT NULL"))
    empty = [np.zeros(0, np.int64), *(np.zeros(0) for _ in range(len(figures) + 1))]
    indices, feasible, *columns = [np.concatenate(parts) for parts in zip(*(blocks or [empty]), strict=True)]
    return Points(indices, dict(zip(figures, columns, strict=True)), feasible.astype(bool), texts)
