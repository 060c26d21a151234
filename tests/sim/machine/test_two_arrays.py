"""Several arrays: each product on one, bits the run's, cycles the schedule's, a lane of the trace for each."""

from __future__ import annotations

import json
import random
from itertools import pairwise

import numpy as np
import pytest

from costmodel.hardware.loading import load_target
from costmodel.mapping.core_records import CoreMapped
from costmodel.mapping.cost import price
from costmodel.mapping.schedule import schedule
from costmodel.mapping.steps import Schedule
from costmodel.ops.rules import pe_of
from sim.integer.program import Program
from sim.integer.run import run_program
from sim.machine.comparison import differences
from sim.machine.execution import Execution, execute
from sim.machine.perfetto import chrome_trace, tracks_of
from tests.sim.machine.test_execution import B, S, arithmetic, counts, program_of
from tests.sim_models import SPELLINGS, padded_ids

# The second array does what the first cannot; or the same; or there are three of them.
PAIRS = (
    "edge-asic:kinds=mac,array=8x8,buffer_kib={kib},array2=4x6,kinds2=l1+clip+relu,dataflow2={two}",
    "edge-asic:array=4x8,buffer_kib={kib},lanes=4,array2=8x4,kinds2=mac+l1+clip+relu,dataflow2={two}",
    "edge-asic:kinds=mac,array=8x4,buffer_kib={kib},array2=4x4,kinds2=l1+mac,dataflow2={two},"
    "array3=5x3,kinds3=clip+relu+mac,dataflow3=is",
)


def folds_of(program: Program, plan: Schedule) -> dict[int, int | None]:
    """Terms that the array of each product sums before they meet the accumulator in the buffer."""
    found: dict[int, int | None] = {}
    first = plan.target.arrays[0]
    for n in range(len(program.typed.graph.nodes)):
        found[n] = None if first.dataflow == "os" else first.array.R
    for step in plan.steps:
        products = [n for n in step.nodes if pe_of(program.typed.graph.nodes[n].op)]
        for place, n in enumerate(products):
            if step.on:
                own = plan.target.arrays[step.on[min(place, len(step.on) - 1)]]
                found[n] = None if own.dataflow == "os" else own.array.R
    return found


def run_both(program: Program, target: str, objective: str | None = None) -> tuple[Execution, Schedule]:
    """The execution, held against the run and the schedule."""
    ids, exist = padded_ids(B, S)
    plan = schedule(program.typed, load_target(target), objective=objective)
    seen: dict[int, np.ndarray] = {}
    execution = execute(program, plan, ids, exist, watch=seen.__setitem__)
    expected: dict[int, np.ndarray] = {}
    output = run_program(program, ids, exist, fold=folds_of(program, plan), watch=expected.__setitem__)
    assert np.array_equal(execution.output, output)
    for i, x in seen.items():
        assert np.array_equal(x, expected[i]), program.typed.graph.values[i]
    assert not differences(execution, plan), differences(execution, plan)[:3]
    assert execution.cycles == plan.cycles
    return execution, plan


def cores_of(plan: Schedule) -> list[CoreMapped]:
    return [step.chosen for step in plan.steps if isinstance(step.chosen, CoreMapped)]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_product_on_its_array(spelling: str) -> None:
    """Every mechanism and pair of dataflows, small buffers and large, each objective."""
    rng = random.Random(spelling)
    seen = set()
    for target in PAIRS:
        for one in ("os", "ws", "is"):
            for two in ("os", "ws", "is"):
                widths = rng.choice(["w8a8", "w4a8", "w8a16:acc=26"])
                objective = rng.choice(["cycles", "energy", "edp", "bytes"])
                name = target.format(kib=rng.choice([3, 8, 64]), two=two) + f",dataflow={one}"
                program = program_of(spelling, widths)
                execution, plan = run_both(program, name, objective=objective)
                assert arithmetic(execution) == counts(program.typed)
                seen |= {step.on for step in plan.steps}
                for place in range(len(plan.target.arrays)):
                    assert execution.utilisation_of(place) == price(program.typed, plan).utilisation_of(place)
    assert len(seen) > 3


def test_scores_and_sums_run_at_once_and_the_trace_shows_both() -> None:
    """Both arrays of a core are busy in one step; a lane of the trace each, in which nothing overlaps."""
    program = program_of("inhibitor", "w8a8")
    target = "edge-asic:kinds=mac+l1,array=8x8,dataflow=os,array2=8x8,kinds2=clip+relu,dataflow2=os,lanes=1000"
    execution, plan = run_both(program, target, objective="cycles")
    at_once = [step for step in plan.steps if len(step.each_cycles) == 2 and "at once" in step.tile]
    assert at_once
    for step in at_once:
        first, second = (cycles for _, cycles in step.each_cycles)
        assert step.array_cycles == max(first, second) < first + second
        assert step.cycles >= step.array_cycles
    record = json.loads(chrome_trace(execution, 500, "a title"))
    tracks = tracks_of(plan.target)
    assert list(tracks) == ["array 1", "array 2", "vector unit", "DMA"]
    for unit, track in tracks.items():
        slices = sorted(
            (e["ts"], e["ts"] + e["dur"]) for e in record["traceEvents"] if e["ph"] == "X" and e["tid"] == track
        )
        assert slices, unit
        assert all(end <= start + 1e-6 for (_, end), (start, _) in pairwise(slices)), unit
