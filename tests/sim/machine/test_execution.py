"""The machine: its bits are the run's, its arithmetic the graph's, its cycles and bytes the cost's."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from costmodel.errors import CostModelError, DoesNotFit, UnknownTable
from costmodel.hardware.loading import load_target
from costmodel.mapping.cost import PARTS, price
from costmodel.mapping.schedule import schedule
from costmodel.mapping.steps import Schedule
from costmodel.technology.loading import load_table
from costmodel.widths.assign import Typed, assign_widths, width_counts
from costmodel.widths.policy import parse_policy
from sim.integer.calibrate import calibrate
from sim.integer.program import Program
from sim.integer.run import compile_program, run_program
from sim.integer.weights import Weights
from sim.machine.comparison import FloatWitness, differences, origins, sqnr_db
from sim.machine.energy import by_layer, energy_of
from sim.machine.events import Events, sum_events, vector_events
from sim.machine.execution import Execution, execute
from sim.machine.perfetto import TRACKS, chrome_trace
from tests.sim_models import SPELLINGS, Model, model_of, padded_ids

B, S = 3, 12
# Arrays of several shapes, buffers so small that products are cut and cores do not fit, a machine without the
# PEs that distances need, one whose weights bypass the buffer.
MACHINES = (
    "edge-asic:array=8x8,buffer_kib=64",
    "edge-asic:array=4x8,buffer_kib=3",
    "edge-asic:array=8x4,buffer_kib=6,lanes=4",
    "edge-asic:kinds=mac,array=4x4,buffer_kib=4",
    "tpu-v1-like:array=8x8,buffer_kib=8",
)


def model(spelling: str) -> Model:
    return model_of(spelling, dim=32, heads=2, ffn=48, head=True)


@cache
def program_of(spelling: str, widths: str, overflow: str = "saturate") -> Program:
    found = model(spelling)
    rng = np.random.default_rng(1)
    sentences = [rng.integers(1, 50, 9).tolist() for _ in range(4)]
    ranges = calibrate(found.graph, found.weights, sentences, spelling)
    typed = assign_widths(found.graph(B, S), parse_policy(widths))
    return compile_program(typed, Weights(found.weights), ranges, overflow, all_keys=found.all_keys)


def run_both(
    program: Program, target: str, fuse: bool = True, keep: bool = True, objective: str | None = None
) -> tuple[Execution, Schedule, list[object]]:
    """The execution, after its values were held against the run's, the schedule, and where they differ."""
    ids, exist = padded_ids(B, S)
    machine = load_target(target)
    fold = None if machine.dataflow == "os" else machine.array.R
    expected: dict[int, np.ndarray] = {}
    output = run_program(program, ids, exist, fold=fold, watch=expected.__setitem__)
    plan = schedule(program.typed, machine, fuse=fuse, keep=keep, objective=objective)
    seen: dict[int, np.ndarray] = {}
    execution = execute(program, plan, ids, exist, watch=seen.__setitem__)
    assert np.array_equal(execution.output, output)
    views = {i for node in program.typed.graph.nodes if node.op in ("view", "scale") for i in node.outputs}
    assert expected.keys() - seen.keys() <= views  # that nobody asks for
    for i, x in seen.items():
        assert np.array_equal(x, expected[i]), program.typed.graph.values[i]
    return execution, plan, list(differences(execution, plan))


def arithmetic(execution: Execution) -> dict[tuple[str, str], int]:
    total = sum_events(done.events for done in execution.steps)
    return dict(total.array + total.vector)


def counts(typed: Typed) -> dict[tuple[str, str], int]:
    return {key: n for key, n in width_counts(typed).items() if n}


# Whether it is fused, whether activations are kept, and the objective: of the first way each in turn.
FIRST = (None, "cycles", "energy", "bytes")
OTHERS = ((True, False, "energy"), (False, True, "bytes"))


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("dataflow", ["os", "ws", "is"])
def test_bits_arithmetic_cycles_and_bytes(spelling: str, dataflow: str) -> None:
    """Every mechanism, dataflow and machine; fused and not, activations kept and not."""
    for widths in ("w8a8", "w4a8", "w8a16:acc=26"):
        program = program_of(spelling, widths)
        for place, target in enumerate(MACHINES):
            for fuse, keep, objective in ((True, True, FIRST[(place + len(widths)) % len(FIRST)]), *OTHERS):
                name = f"{target},dataflow={dataflow}"
                execution, plan, different = run_both(program, name, fuse, keep, objective)
                assert not different, different[:3]
                assert arithmetic(execution) == counts(program.typed)
                assert execution.cycles == plan.cycles
                for done, step in zip(execution.steps, plan.steps, strict=True):
                    assert done.buffer_bytes == step.buffer_bytes


@pytest.mark.parametrize("dataflow", ["os", "ws"])
@pytest.mark.parametrize("overflow", ["saturate", "wrap"])
def test_accumulators_that_overflow(dataflow: str, overflow: str) -> None:
    """Tile by tile as in one go, in the order in which each dataflow adds."""
    program = program_of("inhibitor", "w8a8:acc=14", overflow)
    outputs = []
    for array in ("4x4", "8x8"):
        execution, _, different = run_both(program, f"edge-asic:array={array},buffer_kib=4,dataflow={dataflow}")
        assert not different
        outputs.append(execution.output)
    same = np.array_equal(*outputs)
    assert same == (dataflow == "os" or overflow == "wrap")


def test_a_sum_that_does_not_fit_is_refused() -> None:
    ids, keep = padded_ids(B, S)
    program = program_of("dot", "w8a8:acc=14", "exact")
    with pytest.raises(CostModelError, match="does not fit int14"):
        execute(program, schedule(program.typed, load_target("edge-asic")), ids, keep)


@pytest.mark.parametrize("spelling", ["dot", "inhibitor"])
def test_a_larger_model_at_other_sizes(spelling: str) -> None:
    """Width 96, three heads of 32, odd sequence: tiles with rests."""
    found = model_of(spelling, dim=96, heads=3, ffn=200, layers=1)
    rng = np.random.default_rng(0)
    ranges = calibrate(found.graph, found.weights, [rng.integers(1, 50, 23).tolist()], spelling)
    typed = assign_widths(found.graph(1, 37), parse_policy("w8a8"))
    program = compile_program(typed, Weights(found.weights), ranges)
    ids = rng.integers(1, 50, (1, 37))
    for target in ("edge-asic:buffer_kib=12,array=16x8", "server-asic:buffer_kib=16,array=8x16"):
        plan = schedule(typed, load_target(target))
        execution = execute(program, plan, ids)
        assert np.array_equal(execution.output, run_program(program, ids))
        assert not differences(execution, plan)


def test_a_difference_is_found() -> None:
    """The comparison can fail: one cycle, one bit, one operation more."""
    program = program_of("inhibitor", "w8a8")
    ids, keep = padded_ids(B, S)
    plan = schedule(program.typed, load_target("edge-asic"))
    execution = execute(program, plan, ids, keep)
    steps = list(execution.steps)
    events = replace(steps[2].events, dram_read_bits=steps[2].events.dram_read_bits + 1)
    steps[2] = replace(steps[2], cycles=steps[2].cycles + 1, events=events)
    found = differences(replace(execution, steps=tuple(steps)), plan)
    assert [d.what for d in found] == ["cycles", "DRAM bits read"]


# Energy


@pytest.mark.parametrize("spelling", ["dot", "inhibitor"])
@pytest.mark.parametrize("target", ["edge-asic", "server-asic"])
def test_energy_of_events_is_that_of_the_schedule(spelling: str, target: str) -> None:
    program = program_of(spelling, "w8a8")
    machine = load_target(target)
    plan = schedule(program.typed, machine)
    ids, keep = padded_ids(B, S)
    execution = execute(program, plan, ids, keep)
    cost = price(program.typed, plan)
    table = load_table(machine.table)
    split = energy_of(sum_events(done.events for done in execution.steps), machine, table)
    for part in PARTS:
        expected, found = cost.sum_of([part]), getattr(split, part)
        if part in ("registers", "local"):  # neither table has a row for them; neither target has a local memory
            assert expected is found is None
            continue
        assert expected is not None
        for end in ("nominal_pj", "low_pj", "high_pj"):
            assert getattr(found, end) == pytest.approx(getattr(expected, end), rel=1e-12)
    layers = by_layer(execution, machine, table, False)
    assert layers.keys() == cost.by_layer().keys()
    for name, energy in cost.by_layer().items():
        assert layers[name].total.nominal_pj == pytest.approx(energy.nominal_pj, rel=1e-12)


def test_registers_are_priced_where_a_table_has_a_row_for_them() -> None:
    events = Events(register_bits=1000)
    machine = load_target("edge-asic")
    assert energy_of(events, machine, load_table("aladdin40")).registers.nominal_pj == pytest.approx(9.0)
    assert energy_of(events, machine, load_table("horowitz45")).registers is None
    # Memory of the target's node says nothing under a table of another.
    assert energy_of(events, machine, load_table("jouppi7")).buffer is None
    events.array["add", "int32"] = 1
    with pytest.raises(UnknownTable, match="seneca22 has no row"):
        energy_of(events, machine, load_table("seneca22"))


def test_activity_scales_the_energy_of_pes_and_nothing_else() -> None:
    program = program_of("inhibitor", "w8a8")
    ids, keep = padded_ids(B, S)
    machine = load_target("edge-asic:array=8x8")
    execution = execute(program, schedule(program.typed, machine), ids, keep, activity=True)
    total = sum_events(done.events for done in execution.steps)
    assert total.activity is not None
    assert 0.1 < total.activity < 0.7
    table = load_table("horowitz45")
    plain, scaled = (energy_of(total, machine, table, scale) for scale in (False, True))
    assert scaled.array.nominal_pj == pytest.approx(plain.array.nominal_pj * total.activity / 0.5)
    assert (scaled.vector, scaled.buffer, scaled.dram) == (plain.vector, plain.buffer, plain.dram)
    unwatched = execute(program, schedule(program.typed, machine), ids, keep)
    assert sum_events(done.events for done in unwatched.steps).activity is None


def test_random_operands_toggle_half_of_their_bits() -> None:
    from costmodel.hardware.timing import ArrayShape
    from sim.machine.walk import toggles

    rng = np.random.default_rng(0)
    a, b = rng.integers(-128, 128, (64, 64)), rng.integers(-128, 128, (64, 64))
    found = toggles(a, b, ArrayShape(8, 8), "os", (8, 8)) / (64**3 * 16)
    assert found == pytest.approx(0.5, abs=0.01)


# Comparison with floats


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_value_is_compared_and_near(spelling: str) -> None:
    found = model(spelling)
    program = program_of(spelling, "w8a8")
    ids, keep = padded_ids(B, S)
    witness = FloatWitness(program, found.graph(B, S), found.weights, ids, keep, found.all_keys)
    execute(program, schedule(program.typed, load_target("edge-asic")), ids, keep, watch=witness.see)
    arithmetic_nodes = [
        node.outputs[0]
        for node in program.typed.graph.nodes
        if node.op not in ("view", "copy", "scale", "index", "requantise")
    ]
    assert len([i for i in witness.found if i in arithmetic_nodes]) == len(arithmetic_nodes)
    assert origins(program).keys() == witness.found.keys()
    assert np.median([e.sqnr_db for e in witness.errors]) > 10
    assert witness.errors[0].sqnr_db > 30  # the embeddings: of 8 bits


def test_sqnr() -> None:
    signal = np.array([3.0, -4.0])
    assert sqnr_db(signal, signal / 10) == pytest.approx(20)
    assert sqnr_db(signal, signal * 0) == np.inf
    assert sqnr_db(signal * 0, signal) == -np.inf


# The timeline


def test_the_timeline_is_a_chrome_trace_without_overlaps() -> None:
    program = program_of("inhibitor", "w8a8")
    ids, keep = padded_ids(B, S)
    machine = load_target("edge-asic:array=8x8,buffer_kib=8")
    plan = schedule(program.typed, machine)
    execution = execute(program, plan, ids, keep)
    record = json.loads(chrome_trace(execution, machine.clock_mhz, "a title"))
    names = {e["args"]["name"] for e in record["traceEvents"] if e["ph"] == "M"}
    assert names == {"a title", *TRACKS}
    slices = [e for e in record["traceEvents"] if e["ph"] == "X"]
    end_us = plan.cycles / machine.clock_mhz
    for track in TRACKS.values():
        spans = sorted((e["ts"], e["ts"] + e["dur"]) for e in slices if e["tid"] == track)
        assert spans
        assert spans[0][0] >= 0
        assert spans[-1][1] <= end_us + 1e-9
        for (_, end), (start, _) in pairwise(spans):
            assert start >= end - 1e-9
    lanes = sum(e["dur"] for e in slices if e["tid"] == TRACKS["vector unit"]) * machine.clock_mhz
    assert lanes == pytest.approx(sum(step.vector_cycles for step in plan.steps))
    counters = [e for e in record["traceEvents"] if e["ph"] == "C"]
    assert [c["args"]["tiles"] for c in counters] == [done.buffer_bytes for done in execution.steps]


# Mistakes


def test_mistakes() -> None:
    program = program_of("dot", "w8a8")
    ids, keep = padded_ids(B, S)
    with pytest.raises(CostModelError, match="the machine steps the array convention, not ideal"):
        execute(program, schedule(program.typed, load_target("edge-asic"), "ideal"), ids, keep)
    with pytest.raises(DoesNotFit, match="no tile of a product"):
        schedule(program.typed, replace(load_target("edge-asic"), buffer_bytes=1))
    with pytest.raises(CostModelError, match="out of the vocabulary"):
        execute(program, schedule(program.typed, load_target("edge-asic")), ids + 60, keep)
    node = replace(program.typed.graph.nodes[0], op="cumsum")
    with pytest.raises(CostModelError, match=r"'cumsum' .* has no rule in sim/machine/events.py"):
        vector_events(program.typed, node)
