"""Chains of two products by weights: any block of rows and of columns between, executed; what the search takes."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from costmodel.hardware.loading import load_target
from costmodel.hardware.timing import ArrayShape
from costmodel.mapping.core_blocks import core_is_legal, evaluate_core
from costmodel.mapping.core_records import STRUCTURES, CoreMapping
from costmodel.mapping.fusion import Plan, all_plans
from costmodel.mapping.pieces import CHAIN, pieces_of
from costmodel.mapping.schedule import nothing_stays, schedule, site_for
from costmodel.mapping.step_problems import WHOLE, core_problem, moved_by
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


@cache
def program_of(overflow: str = "saturate", widths: str = "w8a8") -> Program:
    found = model_of("inhibitor", dim=32, heads=2, ffn=48, head=True)
    rng = np.random.default_rng(1)
    ranges = calibrate(found.graph, found.weights, [rng.integers(1, 50, 9).tolist()] * 4, "inhibitor")
    typed = assign_widths(found.graph(B, S), parse_policy(widths))
    return compile_program(typed, Weights(found.weights), ranges, overflow, all_keys=found.all_keys)


def chained_plan(typed: Typed) -> Plan:
    """The first plan with chains."""
    return next(plan for plan in all_plans(typed) if any(g.kind == CHAIN for g in plan.groups))


def test_feed_forward_networks_and_the_head_are_chains() -> None:
    typed = program_of().typed
    plan = chained_plan(typed)
    chains = [g for g in plan.groups if g.kind == CHAIN]
    names = [[typed.graph.nodes[n].module.rpartition(".")[2] for n in g.products] for g in chains]
    assert names == [["lin1", "lin2"]] * 2 + [["pre_classifier", "classifier"]]
    between = {typed.graph.nodes[n].op for n in range(chains[0].products[0] + 1, chains[0].products[1])}
    assert "gelu" in between
    alone = all_plans(typed, fuse=False)
    assert not any(g.kind == CHAIN for plan in alone for g in plan.groups)


@pytest.mark.parametrize("dataflow", ["os", "ws", "is"])
@pytest.mark.parametrize("kib", [4, 16])
def test_chains_by_any_blocks_run_as_they_cost(dataflow: str, kib: int) -> None:
    program, rng = program_of(), random.Random(kib)
    ids, exist = padded_ids(B, S)
    target = f"edge-asic:array=4x8,buffer_kib={kib},dataflow={dataflow}"
    expected = run_program(program, ids, exist, fold=None if dataflow == "os" else 4)
    for _ in range(12):
        plan = by_chance(program.typed, chained_plan(program.typed), CHAIN, target, rng)
        execution = execute(program, plan, ids, exist)
        assert np.array_equal(execution.output, expected)
        assert not list(differences(execution, plan))
        for done, step in zip(execution.steps, plan.steps, strict=True):
            assert (done.cycles, done.buffer_bytes) == (step.cycles, step.buffer_bytes), step.tile


def test_sums_that_overflow_are_added_in_the_order_of_the_keys() -> None:
    program, rng = program_of("saturate", "w8a8:acc=14"), random.Random(3)
    ids, exist = padded_ids(B, S)
    for dataflow in ("os", "ws"):
        expected = run_program(program, ids, exist, fold=None if dataflow == "os" else 4)
        for _ in range(6):
            target = f"edge-asic:array=4x8,buffer_kib=16,dataflow={dataflow}"
            plan = by_chance(program.typed, chained_plan(program.typed), CHAIN, target, rng)
            assert np.array_equal(execute(program, plan, ids, exist).output, expected)


def test_a_chain_is_taken_where_it_gains_and_only_there() -> None:
    """A long way between two small ends: what lies between need not move. With room for all of it, it does not."""
    found = model_of("dot", dim=16, heads=2, ffn=512)
    typed = assign_widths(found.graph(1, 32), parse_policy("w8a8"))

    def chains(target: str, objective: str) -> int:
        return sum(step.kind == CHAIN for step in schedule(typed, load_target(target), objective=objective).steps)

    for objective in ("energy", "bytes"):
        assert chains("edge-asic:array=8x8,buffer_kib=8", objective) > 0
    large = load_target("edge-asic:array=8x8,buffer_kib=1024")
    plan = schedule(typed, large, objective="cycles")
    assert not any(step.kind == CHAIN for step in plan.steps)


@pytest.mark.parametrize("objective", ["cycles", "energy", "edp", "bytes"])
def test_the_best_chain_is_the_least_of_all_blocks(objective: str) -> None:
    """Every block of rows and of columns, one by one."""
    from costmodel.mapping.core_front import best_blocks
    from costmodel.mapping.objectives import OBJECTIVES

    found = model_of("dot", dim=8, heads=2, ffn=20)
    typed = assign_widths(found.graph(1, 9), parse_policy("w8a8"))
    key = OBJECTIVES[objective].key
    for flow, room in (("os", 300), ("os", 900), ("ws", 400), ("is", 700)):
        target = replace(
            load_target(f"edge-asic:dataflow={flow}"), array=ArrayShape(3, 4), buffer_bytes=room, lanes=2
        )
        site = site_for(typed, target, "array", objective)
        plan = chained_plan(typed)
        placed = next(p for p in pieces_of(typed, plan, target) if p.piece.kind == CHAIN)
        stay = nothing_stays(placed)
        problem = core_problem(placed.piece, stay, moved_by(placed.piece, stay)[WHOLE], target, site.prices)
        machine = site.machine(room)
        every = [
            evaluate_core(problem, mapping, machine)
            for rows in range(1, 10)
            for keys in range(1, 21)
            for structure in STRUCTURES
            if core_is_legal(problem, mapping := CoreMapping(rows, keys, *structure), machine)
        ]
        best = best_blocks(problem, machine, objective)
        assert key(best)[:-1] == min(key(cost)[:-1] for cost in every)
