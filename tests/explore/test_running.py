"""Sweeps: killed ones end as others do, two fill one store, what fails keeps its error, mistakes are one line."""

from __future__ import annotations

import csv
import io
import json
import os
import shlex
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from costmodel.api.accuracies import measure_accuracy, name_of, names_of
from costmodel.api.spaces import graph_of, read_space
from costmodel.errors import CostModelError
from costmodel.explore.points import accuracy_keys
from costmodel.explore.pool import Pool, local_pool
from costmodel.explore.running import State, Work, evaluate_chunk, run_sweep
from costmodel.explore.store import Points, accuracies, counted, create_store, open_store, read_points
from tests import killed, tiny_student

SMALL = """
objectives = ["energy_uj", "latency_ms", "area_mm2"]
constraints = ["area_mm2 <= 2.5"]
[knobs]
model = "distilbert-tiny"
attention = ["dot", "inhibitor"]
seq = [8, 16, 24, 32]
target = "edge-asic"
array = ["8x8", "16x16", "32x32"]
widths = ["w8a8", "bf16"]
buffer_kib = 128
lanes = [16, 64]
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, session_cache: str) -> Path:
    path = tmp_path_factory.mktemp("small") / "small.toml"
    path.write_text(SMALL)
    return path


@pytest.fixture(scope="module")
def students(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_student.make_students(tmp_path_factory.mktemp("students"))


def table(path: Path) -> tuple[Any, ...]:
    """All that a store holds, as it is."""
    store = open_store(path)
    try:
        rows = store.connection.execute("SELECT * FROM points ORDER BY point").fetchall()
        return rows, accuracies(store)
    finally:
        store.connection.close()


def swept(space: Path, path: Path, pool: Pool | None = None, work: Work | None = None) -> tuple[Any, ...]:
    store = create_store(path, read_space(space))
    run_sweep(store, work or Work(graph_of, measure_accuracy), pool or local_pool(1))
    store.connection.close()
    return table(path)


# Killed


def test_killed_three_times_it_ends_as_an_unkilled_one(students: Path, tmp_path: Path, cli) -> None:
    """With accuracy in bits; the last run is one of two that work on the store, and the other is killed."""
    whole, path = tmp_path / "whole.db", tmp_path / "killed.db"
    ran = cli("sweep", str(students), "--store", str(whole), "--workers", "1", "--format", "json")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["stored"] == 200
    expected = table(whole)
    assert len(expected[1]) == 4
    args = (str(students), "--store", str(path), "--workers", "1", "--format", "json")
    seen = []
    for size, before_commit in ((2, False), (40, True)):
        assert killed.died(killed.start(*args, die_at=size, before_commit=before_commit))
        seen.append(table(path))
    go = tmp_path / "go"
    last = killed.start(*args, hold_at=120, go=go)
    assert killed.died(killed.start(*args, die_at=90))
    before = table(path)
    go.touch()
    out, err = last.communicate(timeout=killed.PATIENCE_S)
    assert last.returncode == 0, err
    assert table(path) == expected
    for rows, measured in (*seen, before):
        assert set(rows) <= set(expected[0])
        assert measured.items() <= expected[1].items()
    assert len(seen[0][1]) == 2
    assert 0 == len(seen[0][0]) < len(seen[1][0]) < 40 < len(before[0]) < 200
    assert json.loads(out)["stored_before"] >= len(seen[1][0])


def test_an_interrupted_sweep_does_nothing_twice(small: Path, tmp_path: Path) -> None:
    whole, path = swept(small, tmp_path / "whole.db"), tmp_path / "s.db"
    space = read_space(small)
    asked: list[tuple[Any, ...]] = []

    def tell(state: State) -> None:
        asked.append((state.done, state.total))
        if state.done >= stop:
            raise KeyboardInterrupt

    for limit in (10, 50):
        stop = limit
        store = create_store(path, space)
        with pytest.raises(KeyboardInterrupt):
            run_sweep(store, Work(graph_of, measure_accuracy), local_pool(1), tell)
        assert store.connection.execute("SELECT count(*) FROM chunks WHERE owner IS NOT NULL").fetchone() == (0,)
        store.connection.close()
    stop = 1000
    store = create_store(path, space)
    evaluated = []

    class Watched(ThreadPoolExecutor):
        def submit(self, function, /, *args: Any, **kwargs: Any):  # type: ignore[no-untyped-def]
            evaluated.extend(args[1].tolist())
            return super().submit(function, *args, **kwargs)

    known = set(read_points(store).indices.tolist())
    assert len(known) >= 50
    run_sweep(store, Work(graph_of, measure_accuracy), Pool(lambda: Watched(1), 1), tell)
    assert sorted(evaluated) == sorted(set(range(96)) - known)
    assert table(path) == whole


# Several processes


def test_two_sweeps_share_one_store(students: Path, tmp_path: Path) -> None:
    space = read_space(students)
    names = names_of(accuracy_keys(space))
    log: list[tuple[str, str]] = []
    path = tmp_path / "s.db"
    create_store(path, space).connection.close()
    both_work = threading.Barrier(2)

    def measured(key: Any, name: str) -> float | str:
        who = threading.current_thread().name
        first = who not in {other for other, _ in log}
        log.append((who, name))
        if first:  # nothing is measured to its end before both have begun
            both_work.wait()
        return len(name) / 1000

    def run(who: str) -> None:
        store = open_store(path)
        pool = Pool(lambda: ThreadPoolExecutor(1, thread_name_prefix=who), 1)
        run_sweep(store, Work(graph_of, measured, names), pool)

    with ThreadPoolExecutor(2) as both:
        list(both.map(run, ("one", "two")))
    assert sorted(name for _, name in log) == sorted(names.values())
    assert {who.partition("_")[0] for who, _ in log} == {"one", "two"}
    rows, found = table(path)
    assert [row[0] for row in rows] == list(range(200))
    assert found == {name: len(name) / 1000 for name in names.values()}


def test_processes_give_what_one_gives(small: Path, tmp_path: Path) -> None:
    assert swept(small, tmp_path / "two.db", local_pool(2)) == swept(small, tmp_path / "one.db")


def dies_once(model: str, *rest: Any) -> Any:
    """Kills its worker the first time that a marker is not there."""
    marker = Path(os.environ["TEST_MARKER"])
    if os.environ.get("TEST_ALWAYS") or not marker.exists():
        marker.touch()
        os._exit(3)
    return graph_of(model, *rest)


def test_a_worker_that_dies_is_replaced(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_MARKER", str(tmp_path / "marker"))
    expected = swept(small, tmp_path / "one.db")
    assert swept(small, tmp_path / "two.db", local_pool(2), Work(dies_once, measure_accuracy)) == expected
    assert (tmp_path / "marker").exists()


def test_workers_that_always_die_end_the_sweep(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_MARKER", str(tmp_path / "marker"))
    monkeypatch.setenv("TEST_ALWAYS", "1")
    with pytest.raises(CostModelError, match="workers died 3 times in a row"):
        swept(small, tmp_path / "s.db", local_pool(2), Work(dies_once, measure_accuracy))
    monkeypatch.delenv("TEST_ALWAYS")
    assert swept(small, tmp_path / "s.db") == swept(small, tmp_path / "one.db")  # every claim was given up


# What fails


def test_failed_points_keep_their_error_and_stop_nothing(small: Path, tmp_path: Path, cli) -> None:
    path = tmp_path / "s.db"
    ran = cli("sweep", str(small), "--store", str(path), "--workers", "1", "--format", "json")
    assert ran.code == 0, ran.err
    record = json.loads(ran.out)
    points = read_points(open_store(path))
    space = read_space(small)
    without_price = [i for i in range(96) if space.knobs(i)["widths"] == "bf16"]
    assert set(points.errors) == set(without_price)
    assert record["failed"] == len(points.errors) > 0
    assert sum(record["errors"].values()) == record["failed"]
    assert all("table horowitz45 has no row for" in text for text in record["errors"])
    assert record["feasible"] == points.feasible.sum() > 0
    assert not points.feasible[list(points.errors)].any()
    table_ = cli("sweep", str(small), "--store", str(path), "--workers", "1").out
    assert "96 of the points were stored before." in table_
    assert f"Failed, {record['failed']} points: table horowitz45" in table_


def test_a_failed_accuracy_is_the_error_of_its_points(students: Path, tmp_path: Path) -> None:
    space = read_space(students)
    names = names_of(accuracy_keys(space))
    bad = next(iter(names.values()))

    def measured(key: Any, name: str) -> float | str:
        return "out of words" if name == bad else 0.75

    rows, found = swept(students, tmp_path / "s.db", work=Work(graph_of, measured, names))
    assert found[bad] == "out of words"
    failed = [row for row in rows if row[-1] is not None]
    assert len(failed) == 50
    assert {row[-1] for row in failed} == {"out of words"}
    assert all(row[-2] == 0 and row[1] is None for row in failed)


def test_a_broken_evaluation_is_the_error_of_its_points(small: Path) -> None:
    worse = evaluate_chunk(read_space(small), np.array([3, 5000]), {}, graph_of)
    assert worse.errors[1].startswith("CostModelError: ")
    assert [row[-2:] for row in worse.rows()] == [(0, worse.errors[1])] * 2


# Accuracy


def test_accuracies_are_those_of_evaluate(students: Path, cli) -> None:
    """Measured for a sweep, and by `costmodel evaluate`: the same number."""
    root = students.parent
    for key in accuracy_keys(read_space(students)):
        args = ("--task", "sst2", "--data-dir", str(root), "--limit", "40", "--widths", key[3])
        ran = cli("evaluate", key[2], *args, "--format", "json")
        expected = json.loads(ran.out)["results"][key[3]]["metrics"]["accuracy"]
        assert measure_accuracy(key, name_of(key)) == expected
        assert measure_accuracy((*key[:3], "fp32", *key[4:]), "of other files").startswith("the worker's copy")
    task, attention, path, _, limit, data, digest = key
    floats = (task, attention, path, "fp32", limit, data, digest)
    assert (
        measure_accuracy(floats, name_of(floats))
        == json.loads(ran.out)["results"]["float32"]["metrics"]["accuracy"]
    )


def test_a_name_tells_what_an_accuracy_depends_on(students: Path, tmp_path: Path) -> None:
    keys = accuracy_keys(read_space(students))
    names = names_of(keys)
    assert len(set(names.values())) == 4
    task, attention, path, widths, _, data, digest = keys[0]
    assert name_of((task, attention, path, widths, 39, data, digest)) not in names.values()
    moved = tmp_path / "moved"
    moved.symlink_to(path)
    assert name_of((task, attention, str(moved), widths, 40, data, digest)) == names[keys[0]]


# Search


def test_a_search_goes_on_with_the_points_it_would_have_gone_on_with(small: Path, tmp_path: Path) -> None:
    space = read_space(small)
    work = Work(graph_of, measure_accuracy, {}, 60, 5)

    def run(path: Path, stop: int, width: int = 1) -> Points:
        store = create_store(path, space, "search with seed 5")

        def tell(state: State) -> None:
            assert state.total == 60
            if state.done >= stop:
                raise KeyboardInterrupt

        pool = Pool(lambda: ThreadPoolExecutor(width), width)
        if stop < 60:
            with pytest.raises(KeyboardInterrupt):
                run_sweep(store, work, pool, tell)
        else:
            run_sweep(store, work, pool)
        return read_points(store)

    whole = run(tmp_path / "whole.db", 100)
    assert len(whole.indices) == 60
    for stop in (5, 40):
        part = run(tmp_path / "part.db", stop)
        assert set(part.indices) < set(whole.indices)
    again = run(tmp_path / "part.db", 100, width=3)
    assert again.indices.tolist() == whole.indices.tolist()
    for name, column in whole.columns.items():
        np.testing.assert_array_equal(again.columns[name], column)


# The front


@pytest.fixture(scope="module")
def store(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "s.db"
    swept(small, path)
    return path


def beaten(values: list[tuple[float, ...]], one: tuple[float, ...]) -> bool:
    return any(all(a <= b for a, b in zip(v, one, strict=True)) and v != one for v in values)


@pytest.mark.parametrize(
    ("args", "names", "holds"),
    [
        (("--across", "seq"), ("energy_uj", "latency_ms", "area_mm2"), lambda r: True),
        ((), ("energy_uj", "latency_ms", "area_mm2"), lambda r: True),
        (("--objective", "latency_ms", "--objective", "area_mm2"), ("latency_ms", "area_mm2"), lambda r: True),
        (
            ("--where", "area_mm2 <= 1", "--where", "lanes == 16"),
            ("energy_uj", "latency_ms", "area_mm2"),
            lambda r: r["area_mm2"] <= 1 and r["lanes"] == 16,
        ),
    ],
)
def test_the_front_is_what_nothing_beats(cli, store: Path, tmp_path: Path, args, names, holds) -> None:
    ran = cli("pareto", str(store), *args, "--format", "json", "--export", str(tmp_path / "all.csv"))
    assert ran.code == 0, ran.err
    record = json.loads(ran.out)
    rows = []
    for line in csv.DictReader((tmp_path / "all.csv").open()):
        if line["feasible"] == "1":
            row = {k: float(line[k]) for k in ("energy_uj", "latency_ms", "area_mm2", "lanes", "point", "seq")}
            rows += [row] if holds(row) else []
    assert record["apart"] == ([] if "--across" in args else ["seq"])

    def group(row: dict[str, float]) -> float:  # points of other lengths are not compared
        return row["seq"] if record["apart"] else 0

    values = {
        each: [tuple(row[n] for n in names) for row in rows if group(row) == each] for each in map(group, rows)
    }
    expected = {(each, v) for each, own in values.items() for v in own if not beaten(own, v)}
    found = [(group(row), tuple(row[n] for n in names)) for row in record["front"]]
    assert set(found) == expected
    assert len(found) == len(expected) < len(rows)
    lines = list(csv.DictReader(io.StringIO(cli("pareto", str(store), *args, "--format", "csv").out)))
    assert [int(line["point"]) for line in lines] == [row["point"] for row in record["front"]]
    shown = cli("pareto", str(store), *args).out
    assert f"{len(found)} on the front of {', '.join(names)}" in shown


def test_the_command_of_a_point_reproduces_its_cost(cli, store: Path) -> None:
    points = read_points(open_store(store))
    numbers = np.flatnonzero(points.feasible)[[0, -1]]
    args = [a for n in numbers for a in ("--point", str(n))]
    record = json.loads(cli("pareto", str(store), *args, "--format", "json").out)
    for number, row in zip(numbers, record["points"], strict=True):
        words = shlex.split(row["command"])
        ran = cli(*words[1:], "--format", "json")
        (column,) = json.loads(ran.out)["columns"]
        assert column["machine"]["cycles"] == row["cycles"] == points.columns["cycles"][number]
        assert column["machine"]["seconds"] * 1e3 == pytest.approx(row["latency_ms"])
        assert column["machine"]["energy_pj"]["total"][0] * 1e-6 == pytest.approx(row["energy_uj"])
        assert row["point"] == number
        assert row["attention"] in words


def test_the_figure_is_one_page_of_its_own(cli, store: Path, tmp_path: Path) -> None:
    page = tmp_path / "front.html"
    ran = cli("pareto", str(store), "--figure", str(page))
    assert ran.code == 0, ran.err
    text = page.read_text()
    assert text.count("<html") == 1
    assert "Pareto front of s.db" in text
    assert "default-src 'none'" in text  # the browser itself would refuse the network
    for row in json.loads(cli("pareto", str(store), "--format", "json").out)["front"]:
        assert f"point {row['point']}<" in text or f"point {row['point']}\\u003c" in text


def test_the_examples_of_the_help_run(cli, once, monkeypatch: pytest.MonkeyPatch) -> None:
    before = None
    for name in ("sweep", "pareto"):
        text = cli(name, "--help").out
        example = "costmodel " + " ".join(text.partition("Example: costmodel ")[2].partition("\n\n")[0].split())
        ran, folder = once(example, after=before)
        assert ran.code == 0, ran.err
        assert "energy_uj" in ran.out
        assert (folder / "asic.db").exists()
        before = example
    monkeypatch.chdir(folder)
    assert len(read_space("examples/accuracy.toml").accuracy.checkpoints) == 2


# Mistakes

MISTAKES = {
    "sweep": "Missing argument 'SPACE'",
    "sweep {small}": "name the file that keeps the points: --store FILE",
    "sweep {folder}/no.toml --store {new}": "cannot read space {folder}/no.toml",
    "sweep {folder}/bad.toml --store {new}": "{folder}/bad.toml: ",
    "sweep {folder}/data.toml --store {new}": "{folder}/data/SST-2",
    "sweep {small} --store {folder}": "store {folder} is a directory",
    "sweep {small} --store {folder}/bad.toml": "{folder}/bad.toml is no store of a sweep",
    "sweep {small} --store {folder}/no/s.db": "store {folder}/no/s.db: there is no directory {folder}/no",
    "sweep {small} --store {new} --workers 0": "--workers 0 is not at least 1",
    "sweep {small} --store {new} --trials 0": "--trials 0 is not at least 1",
    "sweep {small} --store {new} --seed 3": "--seed goes with --trials",
    "sweep {small} --store {new} --trials 3 --seed -1": "--seed -1 is not at least 0",
    "sweep {small} --store {new} --workers 2 --scheduler tcp://127.0.0.1:1": "--workers are processes",
    "sweep {small} --store {new} --scheduler nonsense://x": "--scheduler nonsense://x does not answer",
    "sweep {small} --store {new} --output {folder}": "Invalid value: --output {folder} is a directory",
    "sweep {other} --store {store}": "store {store} holds another space ({small}",
    "sweep {small} --store {store} --trials 5": "store {store} holds a grid, not a search with seed 0",
    "pareto {new}": "there is no store {new}",
    "pareto {small}": "{small} is no store of a sweep",
    "pareto {store} --objective speed": "--objective: objectives: unknown 'speed'; known: energy_uj",
    "pareto {store} --objective lut": "--objective: objectives: the points of {store} have no lut",
    "pareto {store} --where area_mm2": "--where: constraints: 'area_mm2' is not NAME COMPARISON NUMBER",
    "pareto {store} --where area_mm2<0.01": "store {store}: of 96 points",
    "pareto {store} --point 96": "{small} has points 0 to 95, not 96",
    "pareto {store} --point 1 --where lanes<20": "--point shows points by number",
    "pareto {store} --export {new}": "--export {new} does not end in .csv or .parquet",
    "pareto {store} --export {folder}/no/a.csv": "--export {folder}/no/a.csv",
    "pareto {store} --figure {folder}/a.png": "--figure {folder}/a.png does not end in .html",
}


@pytest.mark.parametrize("command", list(MISTAKES))
def test_a_mistake_is_one_line(cli, small: Path, store: Path, tmp_path: Path, command: str) -> None:
    (tmp_path / "bad.toml").write_text(SMALL.replace("lanes =", "lames ="))
    (tmp_path / "other.toml").write_text(SMALL.replace("<= 2.5", "<= 2"))
    accuracy = '[accuracy]\ntask = "sst2"\ndata_dir = "{}"\n'.format(tmp_path / "data")
    (tmp_path / "data").mkdir()
    knobs = '[knobs]\nmodel = "minilm-distilbert"\ntarget = "edge-asic"\n'
    (tmp_path / "data.toml").write_text(f'objectives = ["accuracy"]\n{knobs}{accuracy}')
    before = sorted(p.name for p in tmp_path.iterdir())
    places = {
        "small": small,
        "store": store,
        "folder": tmp_path,
        "new": tmp_path / "new",
        "other": tmp_path / "other.toml",
    }
    ran = cli(*(word.format(**places) for word in command.split()))
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1), ran.err
    assert ran.err.startswith("costmodel: error: " + MISTAKES[command].format(**places)), ran.err
    assert sorted(p.name for p in tmp_path.iterdir()) == before
    assert counted(open_store(store))[0] == 96
