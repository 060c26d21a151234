"""A core on two arrays: its time against a line of three units, chunk by chunk; never worse than one array."""

from __future__ import annotations

import random
from dataclasses import replace
from fractions import Fraction
from functools import cache
from math import ceil

import numpy as np
import pytest

from costmodel.errors import BadTarget, DoesNotFit
from costmodel.hardware.accelerator import Accelerator
from costmodel.hardware.fpga import pe_resources
from costmodel.hardware.loading import load_target
from costmodel.hardware.occupancy import area_of, resources
from costmodel.hardware.timing import DATAFLOWS, ArrayShape
from costmodel.mapping.core_beside import Beside, sums_machine
from costmodel.mapping.core_blocks import core_ends, evaluate_core
from costmodel.mapping.core_records import STRUCTURES, CoreMapped, CoreMapping
from costmodel.mapping.cost import price, roofline_cycles
from costmodel.mapping.many import PRICES, compile_program, evaluate, parameters_of
from costmodel.mapping.schedule import schedule
from costmodel.technology.loading import load_table
from tests.mapping.test_core_blocks import part_of, products_of, random_core, random_machine
from tests.mapping.test_many import BASE, machine, parameters, typed
from tests.paths import ROOT

pytestmark = pytest.mark.quick


def line_of_three(units: list[Fraction], chunks: int) -> Fraction:
    """When the last of equal chunks leaves the last unit: each works on one at a time, in their order."""
    done = [Fraction(0)] * 3
    for _ in range(chunks):
        before = Fraction(0)
        for i, cycles in enumerate(units):
            before = done[i] = max(before, done[i]) + cycles
    return done[2]


@pytest.mark.parametrize("seed", range(20))
def test_time_is_that_of_a_line_of_three_units(seed: int) -> None:
    rng = random.Random(seed)
    checked = 0
    for _ in range(60):
        problem = random_core(rng, 10)
        one = random_machine(rng, 10_000)
        two = Beside(ArrayShape(rng.randint(1, 5), rng.randint(1, 5)), rng.choice(DATAFLOWS))
        o = replace(problem.operands, scores_on_array=True, values_on_array=True)
        problem = replace(problem, operands=o, beside=two, statistics=None)
        M, N, B = problem.scores.M, problem.scores.N, problem.B
        mapping = CoreMapping(rng.randint(1, M), N, *rng.choice(STRUCTURES))
        cost, other = evaluate_core(problem, mapping, one), sums_machine(two, one)
        # Each product alone on its array takes the same, and moves the same.
        plain = replace(problem, beside=None)
        first = evaluate_core(replace(plain, operands=replace(o, values_on_array=False)), mapping, one)
        second = evaluate_core(replace(plain, operands=replace(o, scores_on_array=False)), mapping, other)
        assert cost.each_cycles == (first.array_cycles, second.array_cycles)
        assert cost.dram_bits == first.dram_bits == second.dram_bits
        ends = core_ends(problem, one)
        assert ends.tail_cycles >= core_ends(plain, other).tail_cycles
        units = [Fraction(n) for n in (first.array_cycles, cost.vector_cycles, second.array_cycles)]
        if mapping.turns:
            assert cost.cycles == max(int(sum(units)), cost.dma_cycles, *cost_ports(cost), 1) + ends.cycles(one)
            continue
        scores, sums = products_of(problem)
        grains = [
            mapping.rows if flow == "ws" else part.C if flow == "is" else part.R
            for part, flow in ((part_of(scores, one), one.dataflow), (part_of(sums, other), two.dataflow))
        ]
        grain = min(mapping.rows, max(grains))
        wait = cost.cycles - ends.cycles(one) - max(int(max(units)), cost.dma_cycles, *cost_ports(cost), 1)
        if B * M % grain == 0:
            chunks = B * M // grain
            whole = line_of_three([unit / chunks for unit in units], chunks)
            assert wait == ceil(whole - max(units))
            checked += 1
    assert checked > 5


def two_of(target: Accelerator, rng: random.Random) -> Accelerator:
    shape = ArrayShape(rng.choice([3, 8, 16]), rng.choice([4, 8, 24]))
    kinds = rng.choice([("l1", "clip", "relu"), ("mac", "l1"), ("mac", "clip", "relu"), target.kinds])
    own = load_target("edge-asic:array2=1x1,kinds2=mac,dataflow2=os").more[0]
    return replace(target, more=(replace(own, array=shape, kinds=kinds, dataflow=rng.choice(DATAFLOWS)),))


@pytest.mark.parametrize("name", ["dot", "inhibitor", "inhibitor-2023-signed", "relu"])
def test_the_compiled_form_of_two_arrays_equals_the_schedule(name: str) -> None:
    """Both arrays, their dataflows and all else vary; cycles exactly, energy to 1e-9."""
    rng = random.Random(name)
    table = load_table("horowitz45")
    for _ in range(2):
        model = typed(name, "w8a8", rng.choice([7, 32, 50]), 1, rng.choice([1, 4]), 1)
        first = two_of(machine(rng, rng.choice([("mac",), BASE.kinds])), rng)
        machines = [first]
        for _ in range(4):
            other = two_of(machine(rng, first.kinds), rng)
            machines.append(replace(other, more=(replace(other.more[0], kinds=first.more[0].kinds),)))
        given = parameters(machines)
        for n, own in (("2", lambda m: m.more[0]),):
            given |= {
                f"rows{n}": np.array([own(m).array.R for m in machines]),
                f"columns{n}": np.array([own(m).array.C for m in machines]),
                f"dataflow{n}": np.array([own(m).dataflow for m in machines]),
            }
        program = compile_program(model, first, table)
        assert set(given) == {*parameters_of(first), *PRICES}
        objective = rng.choice(["cycles", "energy", "edp", "bytes"])
        found = evaluate(program, given, objective)
        for i, target in enumerate(machines):
            try:
                planned = schedule(model, target, objective=objective)
            except DoesNotFit:
                assert not found["fits"][i]
                continue
            assert found["cycles"][i] == planned.cycles
            energy = price(model, planned, table).energy
            assert energy is not None
            assert found["energy_pj"][i] == pytest.approx(energy.nominal_pj, rel=1e-9)


@pytest.mark.parametrize("name", ["dot", "inhibitor"])
def test_a_second_array_never_costs_cycles(name: str) -> None:
    """Nor does one of more columns: what is left is longer ends, once a step."""
    rng = random.Random(name)
    model, used = typed(name, "w8a8", 32, 1, 4, 1), 0
    for _ in range(16):
        target = replace(machine(rng), buffer_bytes=rng.choice([20, 64, 512]) * 1024, lanes=rng.choice([64, 1000]))
        more = two_of(target, rng)
        alone, both = (schedule(model, each, objective="cycles") for each in (target, more))
        assert both.cycles <= alone.cycles
        assert roofline_cycles(model, both) <= roofline_cycles(model, alone)
        assert roofline_cycles(model, both) <= both.cycles
        used += any(1 in step.on for step in both.steps)
        own = more.more[0]
        if own.dataflow == "os":
            wider = replace(more, more=(replace(own, array=ArrayShape(own.array.R, 2 * own.array.C)),))
            longer = len(both.steps) * 2 * sum(wider.more[0].array.__dict__.values())
            assert schedule(model, wider, objective="cycles").cycles <= both.cycles + longer
    assert used > 2


@cache
def zynq(text: str) -> Accelerator:
    return load_target(f"xc7z020-two{text}")


def test_what_is_occupied_is_the_sum_over_arrays() -> None:
    target = zynq("")
    mac, other = pe_resources(("mac",), True), pe_resources(("l1", "clip"), False)
    found = resources(target)
    assert found["lut"] == 210 * mac.lut + 256 * other.lut + 8 * 500
    assert found["dsp"] == 210
    assert target.pes == 210 + 256
    assert target.peak_steps_per_s == 466 * 150e6
    assert dict(target.sources)["array2"].startswith("ours")
    varied = zynq(":array2=8x8,kinds2=l1,dataflow2=os")
    assert (varied.more[0].array, varied.more[0].kinds) == (ArrayShape(8, 8), ("l1",))
    assert "as given" in dict(varied.sources)["array2"]
    text = "edge-asic:array2=8x8,kinds2=l1+clip,dataflow2=ws"
    one, two = area_of(load_target("edge-asic")), area_of(load_target(text))
    assert one is not None
    assert two is not None
    l1 = area_of(load_target("edge-asic:array=8x8,kinds=l1+clip"))
    assert l1 is not None
    assert two.pe_mm2 == pytest.approx(one.pe_mm2 + l1.pe_mm2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("edge-asic:array2=8x8", "array 2 lacks kinds2, dataflow2; say all of a new array"),
        ("edge-asic:array3=8x8,kinds3=l1,dataflow3=ws", "there is no array 2 before array 3"),
        ("edge-asic:array2=8x8,kinds2=gold,dataflow2=ws", "array 2: kinds of PE are of mac"),
        ("edge-asic:array2=8x8,kinds2=l1+l1,dataflow2=ws", "array 2: a kind of PE is given twice"),
        ("edge-asic:array2=8x8,kinds2=l1,dataflow2=up", "array 2: unknown dataflow 'up'"),
        ("edge-asic:array2=8x8,kinds2=l1,dataflow2=ws,use_dsp2=true", "use_dsp is of an FPGA"),
        ("edge-asic:array2=8x8,array2=9x9", "array2 is given twice"),
        ("xc7z020:array2=8x8,kinds2=mac,dataflow2=ws", "array 2 multiplies: say use_dsp = true"),
        ("xc7z020-two:use_dsp2=maybe", "use_dsp2 = 'maybe' is neither true nor false"),
        ("xc7z020-two:array2=8by8", "array '8by8' is not of the form"),
    ],
)
def test_a_wrong_second_array_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(Exception, match=message) as caught:
        load_target(text)
    assert "\n" not in str(caught.value)


def test_a_second_array_that_is_too_large_is_refused() -> None:
    with pytest.raises(DoesNotFit, match=r"lut of 37240 usable on XC7Z020.*array 2"):
        load_target("xc7z020-two:array2=64x64")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('array = "16x16"', 'array = "16x16"\nlanes = 3', r"\[\[arrays\]\] 1 has the unknown field lanes"),
        ('dataflow = "is"\n', "", r"\[\[arrays\]\] 1 lacks dataflow"),
        ("use_dsp = false\n\n", 'use_dsp = "no"\n\n', "use_dsp = 'no' is not a bool"),
        ('use_dsp = "ours: none, nothing', 'usedsp = "ours: none, nothing', r"1: \[sources\] lacks use_dsp"),
        ("[arrays.sources]", "[arrays.sauces]", "1 has the unknown field sauces"),
    ],
)
def test_a_wrong_table_of_an_array_is_refused(tmp_path, old: str, new: str, message: str) -> None:
    text = (ROOT / "costmodel/hardware/targets/xc7z020-two.toml").read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "mine.toml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(BadTarget, match=message):
        load_target(str(path))


def cost_ports(cost: CoreMapped) -> tuple[int, ...]:
    """Cycles in which the memories' ports do what a core reads and writes."""
    return cost.read_port_cycles, cost.write_port_cycles, cost.local_read_cycles, cost.local_write_cycles
