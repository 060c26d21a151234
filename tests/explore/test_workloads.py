"""Workloads: figures of a mix are sums of what each run takes; sizes of what is run are not compared."""

from __future__ import annotations

import copy
import json
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import costmodel as cm
from costmodel.api.spaces import checked, graph_of
from costmodel.errors import CostModelError
from costmodel.explore.points import evaluate_points
from costmodel.explore.search import Judged, judge, search
from costmodel.explore.space import Space, parse_space
from costmodel.explore.store import create_store, open_store
from costmodel.explore.workloads import Workload
from costmodel.graph.ir import Graph

TINY = "distilbert-tiny"
KNOBS: dict[str, Any] = {
    "attention": ["dot", "inhibitor"],
    "widths": "w4a8",
    "target": "edge-asic",
    "array": ["4x8", "16x16"],
    "buffer_kib": [16, 64],
}
MIX: dict[str, Any] = {
    "objectives": ["energy_uj", "latency_ms", "area_mm2"],
    "workload": [
        {"model": TINY, "seq": 16, "weight": 3},
        {"model": TINY, "seq": 48, "batch": 2, "phase": "prefill", "weight": 0.5},
    ],
    "knobs": KNOBS,
}
SIZES = {
    "objectives": ["energy_uj", "latency_ms", "area_mm2"],
    "knobs": KNOBS | {"model": TINY, "attention": "dot", "seq": [16, 24, 48], "lanes": [8, 16, 64]},
}


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, session_cache: str) -> None:
    monkeypatch.setenv("COSTMODEL_CACHE", session_cache)


def space_of(record: dict[str, Any], **more: Any) -> Space:
    return checked(parse_space(copy.deepcopy(record) | more, "mix.toml"))


def test_figures_of_a_mix_are_sums_of_reports() -> None:
    """Each run priced by itself, by the schedule in place of the compiled form."""
    rows = cm.sweep(MIX).to_rows()
    assert len(rows) == 8
    for row in rows:
        target = f"edge-asic:array={row['array']},buffer_kib={row['buffer_kib']}"
        each = [
            cm.price(TINY, row["attention"], seq, batch, row["widths"], target)
            for seq, batch in ((16, 1), (48, 2))
        ]
        energy, latency, cycles = (
            3 * getattr(each[0], name) + 0.5 * getattr(each[1], name)
            for name in ("energy_uj", "latency_ms", "cycles")
        )
        moved = [price.record.machine.bytes.dram for price in each if price.record.machine]
        assert row["energy_uj"] == pytest.approx(energy, rel=1e-9)
        assert row["latency_ms"] == pytest.approx(latency, rel=1e-12)
        assert row["cycles"] == cycles
        assert row["dram_bytes"] == 3 * moved[0] + 0.5 * moved[1]
        assert row["energy_delay_js"] == pytest.approx(energy * 1e-6 * latency * 1e-3, rel=1e-9)
        assert row["rows_per_s"] == pytest.approx((3 * 1 + 0.5 * 2) / (latency * 1e-3), rel=1e-9)
        assert row["area_mm2"] == pytest.approx(each[0].area_mm2, rel=1e-9)


def test_one_workload_is_the_knobs_that_it_names() -> None:
    named = MIX | {"workload": [{"model": TINY, "seq": 16}]}
    turned = {"objectives": MIX["objectives"], "knobs": KNOBS | {"model": TINY, "seq": 16}}
    mine, theirs = cm.sweep(named), cm.sweep(turned)
    for a, b in zip(mine.to_rows(), theirs.to_rows(), strict=True):
        assert {"model": TINY, "seq": 16, **a} == b
    twice = cm.sweep(MIX | {"workload": [{"model": TINY, "seq": 16, "weight": 2}]}).to_rows()
    assert [row["energy_uj"] for row in twice] == [2 * float(row["energy_uj"]) for row in theirs.to_rows()]


def test_what_a_workload_leaves_out_a_knob_says() -> None:
    record = MIX | {"workload": [{"model": TINY}, {"model": TINY, "seq": 32}], "knobs": KNOBS | {"seq": [16, 24]}}
    space = space_of(record)
    assert space.models == (TINY,)
    assert space.apart == ("seq",)
    rows = {(row["seq"], row["point"] % 8): row["cycles"] for row in cm.sweep(record).to_rows()}
    for (seq, _), cycles in list(rows.items())[::5]:
        assert seq in (16, 24)
        assert cycles is not None
    first = cm.sweep(record).to_rows()[0]
    price = [
        cm.price(TINY, "dot", s, target="edge-asic:array=4x8,buffer_kib=16", widths="w4a8").cycles
        for s in (16, 32)
    ]
    assert first["cycles"] == sum(filter(None, price))


def only_short(
    model: str, attention: str | None, seq: int | None, batch: int, sizes: tuple[tuple[str, int], ...]
) -> Graph:
    if seq == 48:
        raise RuntimeError("no such thing")
    return graph_of(model, attention, seq, batch, sizes)


def test_what_goes_wrong_says_of_which_workload() -> None:
    space = space_of(MIX)
    found = evaluate_points(space, [0, 5], {}, only_short)
    assert found.errors == ("", f"workload model={TINY}, seq=48, batch=2: RuntimeError: no such thing")
    assert not found.feasible.any()
    large = {"objectives": ["cycles"], "knobs": {"target": "xc7z020", "lanes": [8, 80]}}
    beyond = evaluate_points(space_of(MIX, **large), [0, 1], {}, graph_of)
    assert beyond.error.tolist() == [0, 1]
    assert beyond.errors[1].startswith("takes more than the 37240 lut usable")


def test_accuracy_is_of_a_point_and_not_added_up() -> None:
    record = MIX | {
        "objectives": ["energy_uj", "accuracy"],
        "accuracy": {"task": "sst2", "checkpoints": {"dot": "somewhere"}},
        "knobs": {"target": "edge-asic", "widths": ["w8a8", "w4a8"]},
    }
    space = parse_space(record, "mix.toml")
    keys = [("sst2", "dot", "somewhere", widths, None, None, "") for widths in ("w8a8", "w4a8")]
    found = evaluate_points(space, [0, 1], dict(zip(keys, (0.9, 0.8), strict=True)), graph_of)
    assert found.columns["accuracy"].tolist() == [0.9, 0.8]
    assert found.feasible.all()


# Sizes are not compared


def test_each_length_has_its_own_front() -> None:
    found = cm.sweep(SIZES)
    knobs = SIZES["knobs"]
    alone = [cm.sweep(SIZES | {"knobs": knobs | {"seq": seq}}).front() for seq in (16, 24, 48)]  # type: ignore[operator]
    names = ("seq", "attention", "widths", "array", "buffer_kib", "lanes", "energy_uj")
    expected = [{n: row[n] for n in names} for front in alone for row in front]
    assert [{n: row[n] for n in names} for row in found.front()] == expected
    across = cm.sweep(SIZES | {"across": ["seq"]}).front()
    assert {row["seq"] for row in across} == {16}  # the least work wins, whatever the machine
    assert found.record.apart == ("seq",)
    for objective in ("energy_uj", "latency_ms"):
        best = [found.best(objective, seq=seq) for seq in (16, 24, 48)]
        assert [row and row["seq"] for row in best] == [16, 24, 48]
        told = [row for row in found.record.best if row["objective"] == objective]
        assert [row["value"] for row in told] == [row and row[objective] for row in best]
    with pytest.raises(CostModelError, match="`seq`: the space has several; give one of 16, 24, 48"):
        found.best("energy_uj")
    with pytest.raises(CostModelError, match="`seq`: 17 is none of its values"):
        found.best("energy_uj", seq=17)


def test_pareto_across(tmp_path: Path, cli) -> None:
    store = tmp_path / "s.db"
    cm.sweep(SIZES, store)
    apart, across = cm.pareto(store), cm.pareto(store, across=["seq"])
    assert {row["seq"] for row in apart.to_rows()} == {16, 24, 48}
    assert {row["seq"] for row in across.to_rows()} == {16}
    text = cli("pareto", str(store)).out
    assert "Points of other seq are not compared; --across and a name compares them." in text
    assert sum(line.startswith(" 48 ") for line in text.splitlines()) > 3
    assert cli("pareto", str(store), "--across", "lanes").err == (
        "costmodel: error: --across: 'lanes' is no size among the knobs of this space; known: model, seq\n"
    )


def test_a_mix_in_a_store(tmp_path: Path, cli) -> None:
    """Resumed, shown, exported; what only one run has is refused; an old store is told from a new one."""
    store, toml = tmp_path / "s.db", tmp_path / "mix.toml"
    knobs = "\n".join(f"{name} = {json.dumps(value)}" for name, value in KNOBS.items())
    runs = "".join(
        "[[workload]]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in each.items()) for each in MIX["workload"]
    )
    toml.write_text(f"objectives = {json.dumps(MIX['objectives'])}\n{runs}[knobs]\n{knobs}\n")
    first = cm.sweep(str(toml), store)
    assert cm.sweep(str(toml), store).record.stored_before == 8
    assert first.record.workloads == (Workload(TINY, 16, weight=3.0), Workload(TINY, 48, 2, weight=0.5))
    front = cm.pareto(store, export=tmp_path / "all.csv")
    assert front.to_rows() == first.front()
    assert f"Figures are sums over 3 x (model={TINY}, seq=16) + 0.5 x" in str(front)
    assert (tmp_path / "all.csv").read_text().count("\n") == 9
    assert cm.pareto(store, points=[0]).to_rows()[0]["command"] is None
    assert "has 2 workloads" in cli("diff", f"{store}#0", f"{store}#1").err
    with sqlite3.connect(store) as connection:
        connection.execute("PRAGMA user_version = 1")
    ran = cli("pareto", str(store))
    assert ran.code == 2
    assert ran.err.endswith("has format 1, this program reads 2; sweep into another file\n")


def test_another_weight_is_another_space(tmp_path: Path) -> None:
    create_store(tmp_path / "s.db", space_of(MIX)).connection.close()
    changed = MIX | {"workload": [MIX["workload"][0], MIX["workload"][1] | {"weight": 1}]}
    with pytest.raises(CostModelError, match="holds another space"):
        create_store(tmp_path / "s.db", space_of(changed))
    assert open_store(tmp_path / "s.db").space == space_of(MIX)


def test_a_search_gives_each_length_its_trials() -> None:
    space = space_of(SIZES)
    found = evaluate_points(space, np.arange(len(space)), {}, graph_of)
    grid = judge(space, found.indices, found.columns)

    def look_up(some: list[int]) -> dict[int, Judged]:
        return {i: grid[i] for i in some}

    tried = search(space, 30, 0, look_up)
    lengths = [space.knobs(i)["seq"] for i in tried]
    assert [lengths.count(seq) for seq in (16, 24, 48)] == [10, 10, 10]
    assert list(search(space, 30, 0, look_up)) == list(tried)
    assert len(search(space, 2, 0, look_up)) == 2
    assert len(search(space, len(space), 0, look_up)) > 0.9 * len(space)


# Mistakes

RUN = {"model": TINY, "seq": 16}
MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"workload": RUN}, r"workload is no list of tables; begin each with \[\[workload\]\]"),
    ({"workload": []}, "workload is no list of tables"),
    ({"workload": [3]}, r"\[\[workload\]\] 1 is no table; known: model, seq, batch, phase, weight"),
    ({"workload": [RUN | {"colour": 1}]}, "unknown key 'colour'; known: model"),
    ({"workload": [RUN | {"phase": "decode"}]}, "phase 'decode' is not one of prefill: models are traced"),
    ({"workload": [RUN | {"weight": 0}]}, "weight 0 is not a number above 0"),
    ({"workload": [RUN | {"weight": True}]}, "weight True is not a number above 0"),
    ({"workload": [RUN | {"weight": float("nan")}]}, "weight nan is not a number above 0"),
    ({"workload": [RUN | {"weight": 10**5000}]}, "weight a number beyond all bounds is not"),
    ({"workload": [RUN | {"seq": 0}]}, "seq: 0 is not a whole number"),
    (
        {"workload": [RUN, RUN | {"weight": 2}]},
        "2: model=distilbert-tiny, seq=16 is given twice; add up the weights",
    ),
    ({"workload": [RUN | {"model": "moon"}]}, r"\[\[workload\]\] 1 model: unknown model 'moon'"),
    ({"workload": [RUN, RUN | {"seq": 65}]}, r"\[\[workload\]\] 2 seq: `seq=65` is beyond the 64 positions"),
    ({"workload": [{"seq": 16}]}, r"\[knobs\] lacks model"),
    ({"workload": [RUN], "knobs": KNOBS | {"seq": 8}}, r"seq: every \[\[workload\]\] names its own"),
    (
        {"workload": [{"model": "tests.user_models:linear", "batch": 2}], "knobs": {"target": "edge-asic"}},
        "decides",
    ),
    ({"across": "seq"}, "across is no list of knobs"),
    ({"across": ["seq"]}, "across: 'seq' is no size among the knobs of this space; it has none"),
    ({"objective": "speed"}, "objective: 'speed' is not one of cycles, energy, edp, bytes"),
    (
        {"objective": "edp", "objectives": ["cycles"], "knobs": {"target": "xc7z020"}},
        "objective: (edp needs prices: no energy of xc7z020 is published|schedules cannot be chosen by edp)",
    ),
]


@pytest.mark.parametrize(("more", "says"), MISTAKES)
def test_mistakes_are_one_line(more: dict[str, Any], says: str) -> None:
    with pytest.raises(CostModelError, match=says) as caught:
        space_of(MIX, **more)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("mix.toml")
