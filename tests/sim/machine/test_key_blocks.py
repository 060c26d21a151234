"""Attention cores by blocks of keys: any block, executed with its passes of statistics; what the search takes."""

from __future__ import annotations

import random
from functools import cache

import numpy as np
import pytest

from costmodel.hardware.loading import load_target
from costmodel.mapping.core_records import CoreMapped
from costmodel.mapping.cost import price
from costmodel.mapping.fusion import all_plans
from costmodel.mapping.pieces import CORE, Piece, pieces_of
from costmodel.mapping.schedule import schedule
from costmodel.widths.assign import Typed, assign_widths
from costmodel.widths.policy import parse_policy
from sim.integer.calibrate import calibrate
from sim.integer.program import Program
from sim.integer.run import compile_program, run_program
from sim.integer.weights import Weights
from sim.machine.comparison import differences
from sim.machine.execution import execute
from tests.sim.machine.by_chance import by_chance
from tests.sim_models import model_of, padded_ids

B, S = 3, 12
STATISTICS = {"relu": 0, "inhibitor": 1, "dot": 2, "l1-softmax": 2}


@cache
def program_of(spelling: str, widths: str = "w8a8") -> Program:
    found = model_of(spelling, dim=32, heads=2, ffn=48)
    rng = np.random.default_rng(1)
    ranges = calibrate(found.graph, found.weights, [rng.integers(1, 50, 9).tolist()] * 4, spelling)
    typed = assign_widths(found.graph(B, S), parse_policy(widths))
    return compile_program(typed, Weights(found.weights), ranges, "saturate", all_keys=found.all_keys)


def cores_of(typed: Typed, target: str) -> list[Piece]:
    placed = pieces_of(typed, all_plans(typed)[0], load_target(target))
    return [p.piece for p in placed if p.piece.kind == CORE]


@pytest.mark.parametrize("name", STATISTICS)
def test_passes_follow_from_what_lies_between(name: str) -> None:
    for piece in cores_of(program_of(name).typed, "edge-asic"):
        assert piece.statistics == STATISTICS[name]
        assert piece.row_words == (2 if STATISTICS[name] == 2 else 1)
        scores = sum(w.n for w in piece.again_array)
        assert (scores > 0) == (STATISTICS[name] > 0)


@pytest.mark.parametrize("name", STATISTICS)
@pytest.mark.parametrize("machine", ["dataflow=os", "dataflow=ws", "dataflow=is", "kinds=mac"])
def test_cores_by_any_blocks_run_as_they_cost(name: str, machine: str) -> None:
    program, rng = program_of(name), random.Random(7)
    ids, exist = padded_ids(B, S)
    target = f"edge-asic:array=4x8,buffer_kib=8,{machine}"
    fold = 4 if machine in ("dataflow=ws", "dataflow=is") else None
    expected, passes = run_program(program, ids, exist, fold=fold), set()
    for _ in range(8):
        plan = by_chance(program.typed, all_plans(program.typed)[0], CORE, target, rng)
        execution = execute(program, plan, ids, exist)
        assert np.array_equal(execution.output, expected)
        assert not list(differences(execution, plan))
        passes |= {step.chosen.passes for step in plan.steps if isinstance(step.chosen, CoreMapped)}
        cost = price(program.typed, plan)
        for energies, step in zip(cost.energies, plan.steps, strict=True):
            total = energies.total()
            if isinstance(step.chosen, CoreMapped) and total is not None:
                assert step.chosen.energy_pj == pytest.approx(total.nominal_pj)
    assert passes == {1, 1 + STATISTICS[name]}


@pytest.mark.parametrize("name", STATISTICS)
@pytest.mark.parametrize("objective", ["cycles", "energy", "edp", "bytes"])
def test_what_the_search_takes_runs_as_it_costs(name: str, objective: str) -> None:
    program = program_of(name)
    ids, exist = padded_ids(B, S)
    expected = run_program(program, ids, exist)
    for target in ("edge-asic:array=4x4,buffer_kib=1", "edge-asic:array=2x2,lanes=64,buffer_kib=2"):
        plan = schedule(program.typed, load_target(target), objective=objective)
        execution = execute(program, plan, ids, exist)
        assert np.array_equal(execution.output, expected)
        assert not list(differences(execution, plan))
