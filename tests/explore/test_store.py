"""The store: what is committed stays, nothing twice, claims of the dead are taken over, other files refused."""

from __future__ import annotations

import csv
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from costmodel.errors import CostModelError
from costmodel.explore import claims
from costmodel.explore.export import export_points
from costmodel.explore.space import Space, parse_space
from costmodel.explore.store import (
    Store,
    StoreError,
    accuracies,
    counted,
    create_store,
    error_counts,
    open_store,
    read_points,
)

pytestmark = pytest.mark.quick
KNOBS = {"model": "distilbert-tiny", "target": "edge-asic", "seq": {"from": 1, "to": 100, "step": 1}}


def space_of(**more: Any) -> Space:
    objectives = ["energy_uj", "latency_ms"]
    return parse_space({"objectives": objectives, "knobs": KNOBS | {"lanes": [8, 16, 32]}} | more, "space")


SPACE = space_of()


def rows_of(chunk: claims.Chunk) -> list[tuple[Any, ...]]:
    """Made-up figures: exact in floats, one of them missing, every seventh point failed."""
    rows: list[tuple[Any, ...]] = []
    for point in chunk.indices.tolist():
        if point % 7 == 3:
            rows.append((point, *[None] * len(SPACE.figures), 0, f'point {point} is\tno "good"'))
        else:
            figures = [point / 3 + k if k else None for k in range(len(SPACE.figures))]
            rows.append((point, *figures, int(point % 2), None))
    return rows


def fill(store: Store) -> None:
    owner = claims.new_owner(store)
    while chunks := claims.claim(store, owner, 5):
        claims.finish(store, owner, [(chunk, rows_of(chunk)) for chunk in chunks])
    claims.leave(store, owner)


def test_all_points_come_back_as_they_were(tmp_path: Path) -> None:
    store = create_store(tmp_path / "s.db", SPACE)
    fill(store)
    expected = rows_of(claims.Chunk(0, 0, len(SPACE)))
    points = read_points(open_store(tmp_path / "s.db"))
    assert points.indices.tolist() == [row[0] for row in expected]
    for k, name in enumerate(SPACE.figures):
        column = [row[1 + k] for row in expected]
        np.testing.assert_array_equal(points.columns[name], np.array(column, float))
    assert points.feasible.tolist() == [bool(row[-2]) for row in expected]
    assert points.errors == {row[0]: row[-1] for row in expected if row[-1]}
    failed = len(points.errors)
    assert counted(store) == (300, int(points.feasible.sum()), failed)
    assert sum(error_counts(store).values()) == failed
    some = read_points(store, [5, 250])
    assert some.indices.tolist() == [5, 250]


def test_the_space_comes_back_as_it_was(tmp_path: Path) -> None:
    space = space_of(
        constraints=["area_mm2 <= 4"], accuracy={"task": "sst2", "limit": 5, "checkpoints": {"dot": "d"}}
    )
    create_store(tmp_path / "s.db", space)
    assert open_store(tmp_path / "s.db").space == space


def test_claims_are_of_one_owner_each(tmp_path: Path) -> None:
    one, two = create_store(tmp_path / "s.db", SPACE), create_store(tmp_path / "s.db", SPACE)
    first, second = claims.new_owner(one), claims.new_owner(two)
    mine, theirs = claims.claim(one, first, 10), claims.claim(two, second, 1000)
    numbers = [chunk.number for chunk in (*mine, *theirs)]
    assert len(mine) == 10
    assert sorted(numbers) == list(range(75))  # 300 points, 4 a chunk
    assert claims.claim(one, first, 10) == []
    claims.leave(two, second)
    assert [c.number for c in claims.claim(one, first, 1000)] == [c.number for c in theirs]


def test_what_was_taken_over_is_not_stored_twice(tmp_path: Path) -> None:
    """An owner that was only thought dead comes back with its results."""
    one, two = create_store(tmp_path / "s.db", SPACE), create_store(tmp_path / "s.db", SPACE)
    first, second = claims.new_owner(one), claims.new_owner(two)
    (chunk,) = claims.claim(one, first, 1)
    one.connection.execute("UPDATE owners SET heartbeat = heartbeat - 60 WHERE owner = ?", (first,))
    assert claims.claim(two, second, 1) == [chunk]
    assert claims.finish(two, second, [(chunk, rows_of(chunk))]) == [chunk]
    assert claims.finish(one, first, [(chunk, rows_of(chunk))]) == []
    assert read_points(one).indices.tolist() == chunk.indices.tolist()


def test_a_silent_owner_keeps_its_claims_for_a_while(tmp_path: Path) -> None:
    one, two = create_store(tmp_path / "s.db", SPACE), create_store(tmp_path / "s.db", SPACE)
    first, second = claims.new_owner(one), claims.new_owner(two)
    claims.claim(one, first, 75)
    claims.claim_accuracies(one, first, ["a"], 1)
    assert claims.claim(two, second, 1, stale_s=3600) == []
    one.connection.execute("UPDATE owners SET heartbeat = heartbeat - 7200")  # two hours of silence
    claims.beat(two, second)
    assert claims.claim_accuracies(two, second, ["a"], 1, stale_s=3600) == ["a"]
    assert len(claims.claim(two, second, 100, stale_s=3600)) == 75


def test_claims_of_a_killed_process_are_free_at_once(tmp_path: Path) -> None:
    store = create_store(tmp_path / "s.db", SPACE)
    code = (
        "import os, signal, sys; from costmodel.explore import claims;"
        "from costmodel.explore.store import open_store;"
        "s = open_store(sys.argv[1]); o = claims.new_owner(s); claims.claim(s, o, 75);"
        "claims.claim_accuracies(s, o, ['a', 'b'], 1); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path / "s.db")]).returncode == -9
    owner = claims.new_owner(store)
    assert len(claims.claim(store, owner, 100)) == 75
    assert claims.claim_accuracies(store, owner, ["a", "b"], 5) == ["a", "b"]
    assert store.connection.execute("SELECT count(*) FROM owners").fetchone() == (1,)


def test_accuracies_are_measured_once(tmp_path: Path) -> None:
    store = create_store(tmp_path / "s.db", SPACE)
    first, second = claims.new_owner(store), claims.new_owner(store)
    assert claims.claim_accuracies(store, first, ["a", "b", "c"], 2) == ["a", "b"]
    assert claims.claim_accuracies(store, second, ["a", "b", "c"], 2) == ["c"]
    claims.finish_accuracy(store, first, "a", 0.9)
    claims.finish_accuracy(store, first, "b", "no such file")
    claims.finish_accuracy(store, first, "c", 0.1)  # not its own
    assert accuracies(store) == {"a": 0.9, "b": "no such file"}
    claims.leave(store, first)
    claims.leave(store, second)
    assert claims.claim_accuracies(store, first, ["a", "b", "c"], 9) == ["c"]


def test_points_of_a_search_are_added_once(tmp_path: Path) -> None:
    store = create_store(tmp_path / "s.db", SPACE, "search with seed 0")
    owner = claims.new_owner(store)
    assert claims.claim(store, owner, 9) == []
    claims.add_points(store, [7, 3, 200, 11, 5])
    claims.add_points(store, [3, 9, 5])
    chunks = claims.claim(store, owner, 9)
    assert [c.indices.tolist() for c in chunks] == [[7, 3, 200, 11], [5], [9]]
    claims.finish(store, owner, [(c, rows_of(c)) for c in chunks])
    claims.add_points(store, [200, 12])
    assert [c.indices.tolist() for c in claims.claim(store, owner, 9)] == [[12]]


# What is no store, or another one


def test_an_empty_file_is_a_store_that_was_not_begun(tmp_path: Path) -> None:
    """So it looks when its maker was killed before the first transaction."""
    empty, begun = tmp_path / "empty.db", tmp_path / "begun.db"
    empty.touch()
    with sqlite3.connect(begun) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
    assert begun.stat().st_size > 0
    for path in (empty, begun):
        assert create_store(path, SPACE).space == SPACE


def test_other_files_are_refused_and_left_alone(tmp_path: Path) -> None:
    text, other = tmp_path / "text", tmp_path / "other.db"
    text.write_text("objectives = []\n" * 100)
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE points (x)")
    connection.close()
    for path, message in (
        (text, "is no store of a sweep: file is not a database"),
        (other, "no store of a sweep"),
    ):
        before = path.read_bytes()
        for opening in (lambda p=path: create_store(p, SPACE), lambda p=path: open_store(p)):
            with pytest.raises(StoreError, match=message):
                opening()
        assert path.read_bytes() == before
    for path, message in ((tmp_path, "is a directory"), (tmp_path / "no" / "s.db", "there is no directory")):
        with pytest.raises(StoreError, match=message):
            create_store(path, SPACE)
    with pytest.raises(StoreError, match="there is no store"):
        open_store(tmp_path / "no.db")


def test_a_store_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    create_store(path, SPACE)
    with pytest.raises(StoreError, match="holds another space"):
        create_store(path, space_of(constraints=["area_mm2 <= 4"]))
    with pytest.raises(StoreError, match="holds a grid, not a search with seed 3"):
        create_store(path, SPACE, "search with seed 3")
    assert create_store(path, replace(SPACE, name="another", where="elsewhere")).space == SPACE
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE about SET value = '[]' WHERE name = 'space'")
    with pytest.raises(StoreError, match="is damaged"):
        open_store(path)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 9")
    with pytest.raises(StoreError, match="has format 9, this program reads 2"):
        open_store(path)


def test_a_grid_beyond_all_bounds_is_refused(tmp_path: Path) -> None:
    knobs = KNOBS | {
        "lanes": {"from": 1, "to": 50_000, "step": 1},
        "clock_mhz": {"from": 1, "to": 1000, "step": 1},
    }
    with pytest.raises(StoreError, match="too large to try all; give `trials`"):
        create_store(tmp_path / "s.db", space_of(knobs=knobs))


# Export


def test_exports_hold_every_point(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    store = create_store(tmp_path / "s.db", SPACE)
    fill(store)
    points = read_points(store)
    for name in ("all.csv", "all.parquet"):
        export_points(tmp_path / name, SPACE, points)
    rows = parquet.read_table(tmp_path / "all.parquet").to_pylist()
    lines = list(csv.DictReader((tmp_path / "all.csv").open()))
    assert len(rows) == len(lines) == 300
    for row, line in zip(rows, lines, strict=True):
        number = row["point"]
        assert row.keys() == line.keys()
        assert {k: row[k] for k in ("model", "seq", "lanes")} == {
            k: v for k, v in SPACE.knobs(number).items() if k != "target"
        }
        for name in SPACE.figures:
            stored = points.columns[name][number]
            assert (None if np.isnan(stored) else stored) == row[name]
            assert (float(line[name]) if line[name] else None) == row[name]
        assert line["error"] == row["error"] == points.errors.get(number, "")
        assert int(line["feasible"]) == row["feasible"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["all.csv", "all.parquet", "s.db", "s.db-shm", "s.db-wal"]


def test_an_export_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = create_store(tmp_path / "s.db", SPACE)
    fill(store)
    points = read_points(store)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(CostModelError, match=r"needs pyarrow: pip install 'costmodel\[parquet\]'"):
        export_points(tmp_path / "all.parquet", SPACE, points)
    broken = replace(points, columns=points.columns | {"cycles": "no column"})
    with pytest.raises(AttributeError):
        export_points(tmp_path / "all.csv", SPACE, broken)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s.db", "s.db-shm", "s.db-wal"]
