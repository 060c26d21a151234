"""Points of a space equal the schedule of each on its target: cycles and bytes exactly, the rest to 1e-9."""

from __future__ import annotations

import pickle
from functools import cache
from typing import Any

import numpy as np
import pytest

from costmodel.errors import CostModelError, DoesNotFit
from costmodel.explore.machines import target_of
from costmodel.explore.points import accuracy_key, accuracy_keys, evaluate_points
from costmodel.explore.space import Space, parse_space
from costmodel.graph.canonical import canonicalise
from costmodel.graph.ir import Graph
from costmodel.graph.lowering import lower
from costmodel.graph.tracing import trace
from costmodel.hardware.loading import load_target
from costmodel.hardware.occupancy import area_of, resources
from costmodel.mapping.cost import moved_bytes, price
from costmodel.mapping.pe_widths import pe_widths
from costmodel.mapping.schedule import schedule
from costmodel.widths.assign import Typed, assign_widths
from costmodel.widths.policy import parse_policy
from models.attention.mechanisms import parse_mechanism
from models.zoo.loading import load_model

TINY = {"model": "distilbert-tiny"}


@cache
def graph_of(
    model: str, attention: str | None, seq: int | None, batch: int, sizes: tuple[tuple[str, int], ...]
) -> Graph:
    if attention == "broken":
        raise RuntimeError("no such\nthing")
    mechanism = parse_mechanism(attention or "dot")
    loaded = load_model(model, mechanism=mechanism, batch=batch, seq=seq, sizes={k[2:]: v for k, v in sizes})
    return canonicalise(lower(trace(loaded.module, loaded.inputs)))


@cache
def typed(attention: str, seq: int, batch: int, widths: str) -> Typed:
    return assign_widths(graph_of("distilbert-tiny", attention, seq, batch, ()), parse_policy(widths))


ASIC: dict[str, Any] = {
    "objectives": ["energy_uj", "latency_ms", "area_mm2"],
    "constraints": ["area_mm2 <= 2", "lanes >= 16"],
    "knobs": TINY
    | {
        "attention": ["dot", "inhibitor"],
        "seq": [5, 32],
        "batch": [1, 3],
        "widths": ["w8a8", "w4a8"],
        "target": ["edge-asic", "tpu-v1-like"],
        "kinds": ["mac", "mac+l1+clip+relu"],
        "array": ["4x8", "16x16", "32x24"],
        "dataflow": ["os", "ws", "is"],
        "buffer_kib": [2, 64, 300],
        "lanes": [8, 64],
        "clock_mhz": [200, 500],
        "bandwidth_mb_s": [500, 12800],
        "buffer_read_bytes": [16, 512],
        "sram": ["horowitz45", "cacti-45hp"],
        "dram": ["lpddr4", "hbm2"],
    },
}


def spelled(knobs: dict[str, Any]) -> str:
    """The target as a user would write it."""
    names = ("kinds", "array", "dataflow", "buffer_kib", "lanes", "clock_mhz", "bandwidth_mb_s", "table", "sram")
    names += ("buffer_read_bytes", "local_kib", "local_read_bytes", "local_write_bytes")
    rest = ",".join(f"{name}={knobs[name]}" for name in (*names, "dram") if name in knobs)
    return f"{knobs['target']}:{rest}" if rest else str(knobs["target"])


def sample(space: Space, number: int) -> Any:
    return np.random.default_rng(0).integers(0, len(space), number)


LOCAL: dict[str, Any] = {
    **ASIC,
    "knobs": ASIC["knobs"] | {"local_kib": [1, 7, 64], "local_read_bytes": [3, 256], "local_write_bytes": 128},
}


@pytest.mark.parametrize(("record", "number"), [(ASIC, 250), (LOCAL, 60)])
def test_equals_the_schedule_of_each_point(record: dict[str, Any], number: int) -> None:
    space = parse_space(record, "asic.toml")
    indices = sample(space, number)
    found = evaluate_points(space, indices, {}, graph_of)
    fitted = 0
    for i, index in enumerate(indices.tolist()):
        knobs: dict[str, Any] = space.knobs(index)
        target = load_target(spelled(knobs))
        model = typed(knobs["attention"], knobs["seq"], knobs["batch"], knobs["widths"])
        row = {name: column[i] for name, column in found.columns.items()}
        try:
            planned = schedule(model, target)
        except DoesNotFit:
            assert "no tile" in found.errors[found.error[i]]
            assert np.isnan(list(row.values())).all()
            assert not found.feasible[i]
            continue
        fitted += 1
        cost, area = price(model, planned), area_of(target, pe_widths(model, target))
        moved = moved_bytes(planned.steps)
        assert cost.energy is not None
        assert area is not None
        assert found.error[i] == 0
        assert row["cycles"] == planned.cycles
        assert row["dram_bytes"] == moved["dram_read"] + moved["dram_write"]
        assert row["energy_uj"] == pytest.approx(cost.energy.nominal_pj / 1e6, rel=1e-9)
        assert row["latency_ms"] == pytest.approx(1e3 * cost.seconds, rel=1e-12)
        assert row["rows_per_s"] == pytest.approx(knobs["batch"] / cost.seconds, rel=1e-12)
        assert row["area_mm2"] == pytest.approx(area.total_mm2, rel=1e-9)
        assert found.feasible[i] == (area.total_mm2 <= 2 and knobs["lanes"] >= 16)
    assert fitted == number  # even 2 KiB hold single rows and columns


def test_of_an_fpga() -> None:
    record = {
        "objectives": ["latency_ms", "dsp", "lut", "bram36"],
        "constraints": ["dsp <= 100"],
        "knobs": TINY
        | {
            "seq": 16,
            "target": ["xc7z020", "xc7z020-lut"],
            "kinds": ["mac", "l1+clip", "mac+l1+clip+relu"],
            "array": ["4x4", "10x11", "16x16"],
            "lanes": [1, 8, 80],
            "buffer_kib": [64, 1024],
            "local_kib": 30,
            "local_read_bytes": 64,
            "local_write_bytes": 64,
        },
    }
    space = parse_space(record, "fpga.toml")
    assert "area_mm2" not in space.figures
    assert "energy_uj" not in space.figures
    found = evaluate_points(space, np.arange(len(space)), {}, graph_of)
    beyond = 0
    for i in range(len(space)):
        knobs: dict[str, Any] = space.knobs(i)
        try:
            target = load_target(spelled(knobs))
        except DoesNotFit:
            beyond += 1
            assert "usable on XC7Z020" in found.errors[found.error[i]]
            continue
        assert {name: found.columns[name][i] for name in ("lut", "dsp", "bram36")} == resources(target)
        assert found.columns["cycles"][i] == schedule(typed("dot", 16, 1, "w8a8"), target).cycles
        assert found.feasible[i] == (found.columns["dsp"][i] <= 100)
    assert 20 < beyond < len(space) - 20


def test_technologies_and_tables() -> None:
    """Prices exchanged behind one kernel run; nodes of their own."""
    knobs = TINY | {"seq": 8, "target": "edge-asic", "buffer_kib": [32, 256]}
    record = {
        "objectives": ["energy_uj"],
        "knobs": knobs | {"technology": ["jouppi7", "horowitz45@32nm+cacti-32hp"]},
    }
    space = parse_space(record, "nodes.toml")
    found = evaluate_points(space, np.arange(len(space)), {}, graph_of)
    for i in range(len(space)):
        target = target_of(space.knobs(i))
        assert target.node_nm == (7 if i % 2 == 0 else 32)
        model = typed("dot", 8, 1, "w8a8")
        energy, area = price(model, schedule(model, target)).energy, area_of(target)
        assert energy is not None
        assert area is not None
        assert found.columns["energy_uj"][i] == pytest.approx(energy.nominal_pj / 1e6, rel=1e-9)
        assert found.columns["area_mm2"][i] == pytest.approx(area.total_mm2, rel=1e-9)


def test_order_of_points_does_not_matter() -> None:
    space = parse_space(ASIC, "asic.toml")
    indices = sample(space, 60)
    whole = evaluate_points(space, indices, {}, graph_of)
    for i in (0, 17, 59):
        one = evaluate_points(space, [indices[i]], {}, graph_of)
        assert one.rows() == [whole.rows()[i]]
    assert pickle.loads(pickle.dumps(whole)).rows() == whole.rows()
    with pytest.raises(CostModelError, match="one asked for is not among them"):
        evaluate_points(space, [len(space)], {}, graph_of)


def test_one_bad_model_leaves_the_rest() -> None:
    record = {
        "objectives": ["latency_ms"],
        "knobs": TINY | {"attention": ["dot", "broken"], "seq": 8, "target": "edge-asic", "lanes": [8, 16]},
    }
    space = parse_space(record, "bad.toml")
    found = evaluate_points(space, np.arange(4), {}, graph_of)
    assert found.feasible.tolist() == [True, True, False, False]
    assert [row[-1] for row in found.rows()] == [None, None, *["RuntimeError: no such thing"] * 2]
    assert found.rows()[2][1] is None


def test_accuracy() -> None:
    record = {
        "objectives": ["latency_ms", "accuracy"],
        "constraints": ["accuracy >= 0.8"],
        "knobs": TINY | {"widths": ["w8a8", "w4a8", "fp32"], "seq": 8, "target": "edge-asic", "lanes": [8, 16]},
        "accuracy": {"task": "sst2", "limit": 20, "checkpoints": {"dot": "somewhere"}},
    }
    space = parse_space(record, "accuracy.toml")
    keys = accuracy_keys(space)
    assert keys[0] == ("sst2", "dot", "somewhere", "w8a8", 20, None, "")
    # Lanes turn fastest: two points share each accuracy.
    assert [accuracy_key(space, i) for i in range(6)] == [key for key in keys for _ in range(2)]
    found = evaluate_points(space, np.arange(6), {keys[0]: 0.9, keys[1]: "it broke"}, graph_of)
    assert found.columns["accuracy"][:2].tolist() == [0.9, 0.9]
    assert [row[-1] for row in found.rows()] == [None] * 2 + ["it broke"] * 2 + ["accuracy was not measured"] * 2
    low = evaluate_points(space, [0], {keys[0]: 0.7}, graph_of)
    assert low.error.tolist() == [0]
    assert low.feasible.tolist() == [False]


SECOND = {"array2": ["4x4", "9x16", "40x40"], "kinds2": ["l1+clip", "mac+l1"], "dataflow2": ["os", "is"]}


@pytest.mark.parametrize("target", ["xc7z020", "xc7z020-two", "edge-asic"])
def test_a_second_array_is_turned_like_the_first(target: str) -> None:
    """Added to a target or varied, every point is its schedule, and takes what its target takes."""
    fpga = target.startswith("xc7")
    knobs = TINY | {"attention": ["dot", "inhibitor"], "seq": 16, "widths": "w8a8", "target": target}
    knobs |= {"kinds": ["mac", "mac+clip"], "array": ["4x4", "10x11"]} | SECOND
    knobs |= {"use_dsp2": ["true", "false"]} if fpga else {}
    wanted = ["latency_ms", "lut"] if fpga else ["energy_uj", "area_mm2"]
    space = parse_space({"objectives": wanted, "knobs": knobs}, "two.toml")
    indices = sample(space, 40)
    found = evaluate_points(space, indices, {}, graph_of)
    fitted = 0
    for i, index in enumerate(indices.tolist()):
        point: dict[str, Any] = space.knobs(index)
        names = ("kinds", "array", *SECOND, *(["use_dsp2"] if fpga else []))
        text = f"{target}:" + ",".join(f"{name}={point[name]}" for name in names)
        try:
            machine = load_target(text)
        except DoesNotFit:
            assert "usable on XC7Z020" in found.errors[found.error[i]]
            continue
        model = typed(point["attention"], 16, 1, "w8a8")
        fitted += found.error[i] == 0
        assert found.columns["cycles"][i] == schedule(model, machine).cycles
        if fpga:
            built = pe_widths(model, machine)
            used = resources(machine, built)
            assert {name: found.columns[name][i] for name in used} == used
        else:
            area = area_of(machine, pe_widths(model, machine))
            assert area is not None
            assert found.columns["area_mm2"][i] == pytest.approx(area.total_mm2, rel=1e-9)
    assert fitted > 10


def test_a_second_array_is_said_as_a_whole() -> None:
    for given, message in (
        ({"array2": "4x4"}, "has no second array; give array2, kinds2, dataflow2, or none"),
        ({"array2": "4x4", "kinds2": "l1"}, "array 2 lacks dataflow2"),
        ({"array2": "4x4", "kinds2": "mac", "dataflow2": "os"}, "array 2 multiplies: say use_dsp"),
    ):
        record = {"objectives": ["latency_ms"], "knobs": TINY | {"seq": 16, "target": "xc7z020"} | given}
        with pytest.raises(CostModelError, match=message):
            parse_space(record, "two.toml")
