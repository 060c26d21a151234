"""More bandwidth, ports, buffer, lanes or PEs never cost; S + 1 never costs less, and at most a fold more.

All of it follows from how a mapping's cost is defined and from the search being exact: what a mapping costs
falls, or stays, with each of these; a larger buffer only adds mappings; a larger array runs as the smallest part
with as few folds. Prices are held: a larger buffer that is dearer a byte may of course cost more.

What is left is physics:

    longer ends  More PEs with fewer folds have longer ones. Filling and draining them takes up to R + C cycles
                 more, once a step; the first operands and last results are those of a larger fold, and so are
                 the rows of scores on which the vector unit works first.
    rows, ws/is  Sums pass all rows, so folds of K are as deep as the array: no smaller part of it gives the same
                 bits. A deeper one waits longer for what is stationary (2 R cycles a fold, however short the
                 stream), and whole folds of K are larger tiles. More rows of such an array are not held here.
    columns      Of keys that stream past a core the buffer holds two for each column in use. More columns of a
                 core are not held either.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest

from costmodel.errors import DoesNotFit
from costmodel.graph import template
from costmodel.graph.canonical import canonicalise
from costmodel.graph.ir import Graph
from costmodel.graph.lowering import lower
from costmodel.graph.tracing import trace
from costmodel.hardware.accelerator import Accelerator, Prices
from costmodel.hardware.loading import load_target, target_names
from costmodel.hardware.occupancy import memory_prices
from costmodel.hardware.timing import CONVENTIONS, DATAFLOWS, ArrayShape, Product
from costmodel.mapping.core_blocks import core_ends, first_wait
from costmodel.mapping.core_front import best_blocks
from costmodel.mapping.core_records import CoreOperands, CoreProblem
from costmodel.mapping.front import best_mapping
from costmodel.mapping.nest import ends_of
from costmodel.mapping.nest_records import Machine, Operands, Problem
from costmodel.mapping.prices import prices_of
from costmodel.mapping.schedule import schedule
from costmodel.widths.assign import Typed, assign_widths
from costmodel.widths.policy import parse_policy
from models.attention.mechanisms import Mechanism
from models.zoo.loading import load_model
from tests.mapping.test_nest import with_local

NAMES = ("dot", "inhibitor")


def machine_of(rng: random.Random) -> Machine:
    machine = Machine(
        ArrayShape(rng.choice([4, 7, 16, 32]), rng.choice([4, 9, 16, 32])),
        rng.choice(DATAFLOWS),
        rng.choice(["array", "array", "ideal"]),
        rng.randint(2_000, 60_000),
        rng.randint(50, 20_000),
        rng.choice([150, 500]),
        rng.uniform(0.1, 2),
        rng.uniform(0.1, 2),
        rng.uniform(1, 20),
        buffer_read_bytes=rng.choice([1, 20, 1000]),
        buffer_write_bytes=rng.choice([1, 20, 1000]),
    )
    return with_local(machine, 20_000)


def problem_of(rng: random.Random) -> Problem:
    product = Product(rng.randint(1, 200), rng.randint(1, 300), rng.randint(1, 300))
    operands = Operands(
        8, rng.choice([4, 8]), 32, 8, extra_bits=rng.choice([0, 5000]), vector_cycles=rng.choice([0, 3000])
    )
    return Problem(product, rng.choice([1, 1, 4]), operands, rng.random() < 0.2)


def core_of(rng: random.Random) -> CoreProblem:
    M, N, d = rng.randint(1, 150), rng.randint(1, 200), rng.choice([16, 32, 64])
    B = rng.choice([1, 4])
    operands = CoreOperands(8, 8, 8, 8, 32, 8, vector_cycles=B * M * N * rng.randint(0, 4) // 16)
    return CoreProblem(Product(M, N, d), d, B, operands, rng.choice([None, 0, 1, 2]), 1, B * M * N // 16)


def larger(rng: random.Random, machine: Machine) -> dict[str, Machine]:
    R, C = machine.array.R, machine.array.C
    local = {}
    if machine.local_bytes:
        local = {
            "local read port": replace(machine, local_read_bytes=machine.local_read_bytes + 1),
            "local write port": replace(machine, local_write_bytes=machine.local_write_bytes + 2),
            "local memory": replace(machine, local_bytes=machine.local_bytes * 5 // 4 + 1),
        }
    return {
        **local,
        "bandwidth": replace(machine, bandwidth_mb_s=machine.bandwidth_mb_s + rng.choice([1, 100, 10_000])),
        "read port": replace(machine, buffer_read_bytes=machine.buffer_read_bytes + rng.choice([1, 30])),
        "write port": replace(machine, buffer_write_bytes=machine.buffer_write_bytes + rng.choice([1, 30])),
        "buffer": replace(machine, buffer_bytes=machine.buffer_bytes + rng.choice([1, 100, 10_000])),
        "rows": replace(machine, array=ArrayShape(R + rng.choice([1, 2, R]), C)),
        "columns": replace(machine, array=ArrayShape(R, C + rng.choice([1, 2, C]))),
    }


def figure(find: Callable[[], object], name: str) -> float:
    try:
        return float(getattr(find(), name))
    except DoesNotFit:
        return float("inf")


@pytest.mark.parametrize("seed", range(40))
def test_more_never_costs_a_product(seed: int) -> None:
    rng = random.Random(seed)
    machine, problem = machine_of(rng), problem_of(rng)
    cycles = figure(lambda: best_mapping(problem, machine, "cycles"), "cycles")
    energy = figure(lambda: best_mapping(problem, machine, "energy"), "energy_pj")
    for name, more in larger(rng, machine).items():
        if name == "rows" and machine.dataflow != "os":
            continue
        longer = max(0, ends_of(problem, more).cycles(more) - ends_of(problem, machine).cycles(machine))
        assert longer == 0 or name in ("rows", "columns")
        assert figure(lambda m=more: best_mapping(problem, m, "cycles"), "cycles") <= cycles + longer, name
        assert figure(lambda m=more: best_mapping(problem, m, "energy"), "energy_pj") <= energy, name
    lanes = replace(problem, operands=replace(problem.operands, vector_cycles=problem.operands.vector_cycles // 2))
    assert figure(lambda: best_mapping(lanes, machine, "cycles"), "cycles") <= cycles


@pytest.mark.parametrize("seed", range(40))
def test_more_never_costs_a_core(seed: int) -> None:
    rng = random.Random(100 + seed)
    machine, problem = machine_of(rng), core_of(rng)
    cycles = figure(lambda: best_blocks(problem, machine, "cycles"), "cycles")
    energy = figure(lambda: best_blocks(problem, machine, "energy"), "energy_pj")

    def ends(m: Machine) -> int:
        return core_ends(problem, m).cycles(m) + first_wait(problem, m)

    for name, more in larger(rng, machine).items():
        if name == "columns" or (name == "rows" and machine.dataflow != "os"):
            continue
        longer = max(0, ends(more) - ends(machine))
        assert longer == 0 or name == "rows"
        assert figure(lambda m=more: best_blocks(problem, m, "cycles"), "cycles") <= cycles + longer, name
        assert figure(lambda m=more: best_blocks(problem, m, "energy"), "energy_pj") <= energy, name
    o = problem.operands
    lanes = replace(problem, operands=replace(o, vector_cycles=o.vector_cycles // 2))
    lanes = replace(lanes, again_cycles=problem.again_cycles // 2)
    assert figure(lambda: best_blocks(lanes, machine, "cycles"), "cycles") <= cycles


def test_more_rows_can_cost_where_sums_pass_them() -> None:
    """By hand, ws: 8 rows of a stream past 25 folds of 9 rows, each 18 cycles; or past 32 folds of 7, each 14."""
    problem = Problem(Product(8, 4, 222), 1, Operands(8, 8, 32, 8))
    busy = [
        best_mapping(problem, Machine(ArrayShape(R, 4), "ws", "array", 40_000, 10_000, 500), "cycles").array_cycles
        for R in (7, 9)
    ]
    assert busy == [32 * 14, 25 * 18]


@pytest.mark.parametrize("seed", range(30))
def test_a_larger_product_never_costs_less(seed: int) -> None:
    rng = random.Random(200 + seed)
    machine, problem = machine_of(rng), problem_of(rng)
    p = problem.product
    for dim in "MNK":
        bigger = replace(problem, product=replace(p, **{dim: getattr(p, dim) + 1}))
        for objective, name in (("cycles", "cycles"), ("energy", "energy_pj"), ("bytes", "dram_bits")):
            before = figure(lambda o=objective: best_mapping(problem, machine, o), name)
            after = figure(lambda o=objective, q=bigger: best_mapping(q, machine, o), name)
            assert before <= after, (dim, objective)


def test_every_convention_finds_a_mapping() -> None:
    for convention in CONVENTIONS:
        machine = Machine(ArrayShape(8, 8), "ws", convention, 20_000, 1000, 500)
        problem = Problem(Product(50, 60, 70), 1, Operands(8, 8, 32, 8))
        assert best_mapping(problem, machine, "cycles").cycles > 0


# Whole models


@cache
def template_of(name: str) -> template.Template:
    def at(size: template.Size) -> Graph:
        loaded = load_model(
            "distilbert", mechanism=Mechanism(name), batch=size[0], seq=size[1], sizes={"n_layers": 1}
        )
        return trace(loaded.module, loaded.inputs)

    made = template.fit(at, 1, 512)
    assert made is not None
    return made


@cache
def typed(name: str, S: int) -> Typed:
    """DistilBERT of one layer; all layers are alike."""
    graph = canonicalise(lower(template.instantiate(template_of(name), 1, S)))
    return assign_widths(graph, parse_policy("w8a8"))


def fixed(target: Accelerator) -> Accelerator:
    """A target with prices that do not change with its buffer; where it has none, made up."""
    found = memory_prices(target)
    if found is None:
        return replace(target, table="horowitz45", prices=Prices(1.0, 1.0, 6.0, "a test"))
    read, write, dram = (energy.nominal_pj / 8 for energy in (found.buffer_read, found.buffer_write, found.dram))
    return replace(target, prices=Prices(read, write, dram, "its own, held"))


def taken(name: str, S: int, target: Accelerator, objective: str) -> float:
    """The figure of an objective of the whole model, at prices that do not depend on the machine."""
    found = schedule(typed(name, S), target, objective=objective)
    if objective == "cycles":
        return found.cycles
    prices = prices_of(target)
    assert prices is not None
    pj = 0.0
    for step in found.steps:
        pj += (step.read_bits + step.write_bits) * prices.dram_pj
        pj += step.buffer_read_bits * prices.buffer_read_pj + step.buffer_write_bits * prices.buffer_write_pj
        pj += prices.arithmetic_pj((*step.array_work, *step.vector_work))
    return pj


def more_of(target: Accelerator) -> dict[str, Accelerator]:
    R, C = target.array.R, target.array.C
    found = {
        "bandwidth": replace(target, bandwidth_mb_s=target.bandwidth_mb_s * 3 // 2),
        "read port": replace(target, buffer_read_bytes=target.buffer_read_bytes + 1),
        "write port": replace(target, buffer_write_bytes=target.buffer_write_bytes + 1),
        "buffer": replace(target, buffer_bytes=target.buffer_bytes * 5 // 4),
        "lanes": replace(target, lanes=target.lanes + 1),
        "columns": replace(target, array=ArrayShape(R, C + 1)),
    }
    if target.dataflow == "os":
        found["rows"] = replace(target, array=ArrayShape(R + 1, C))
    return found


def check_more(name: str, S: int, target: Accelerator) -> None:
    """Of PEs no more than longer ends: filling and draining, operands and results of a fold, in each step."""
    before = {objective: taken(name, S, target, objective) for objective in ("cycles", "energy")}
    steps = len(schedule(typed(name, S), target, objective="cycles").steps)
    for what, more in more_of(target).items():
        longer = 0
        if what in ("rows", "columns"):
            side = more.array.R + more.array.C
            longer = steps * (side + -(-4 * side * more.clock_mhz // more.bandwidth_mb_s))
        assert taken(name, S, more, "cycles") <= before["cycles"] + longer, (what, S)
        assert taken(name, S, more, "energy") <= before["energy"] * (1 + 1e-12), (what, S)


def most_more(S: int, target: Accelerator) -> float:
    """How much more S + 1 may cost: 3 %; or what is of size S, twice, grows by a row; or a fold begins.

    (S + 1)/S squared is above 1.03 up to S = 67. Where S is a multiple of a side of the array, there is one fold
    more: its cycles are those of a full one, and operands enter the array once more, from the buffer.
    """
    growth = max(1.03, ((S + 1) / S) ** 2)
    for side in (target.array.R, target.array.C):
        if S % side == 0:
            growth = max(growth, 1 + side / S)
    return growth


def check_one_more(name: str, S: int, target: Accelerator) -> None:
    for objective in ("cycles", "energy"):
        now, then = (taken(name, s, target, objective) for s in (S, S + 1))
        assert now <= then * (1 + 1e-12), (objective, S)
        assert then <= most_more(S, target) * now, (objective, S, then / now)


@pytest.mark.parametrize("target", ["edge-asic", "xc7z020"])
@pytest.mark.parametrize("name", NAMES)
def test_models_cost_no_more_with_more_and_little_more_with_one_token(name: str, target: str) -> None:
    machine = fixed(load_target(target))
    for S in (20, 384):
        check_more(name, S, machine)
    for S in (16, 63, 128, 447):
        check_one_more(name, S, machine)


@pytest.mark.evidence
@pytest.mark.parametrize("target", target_names())
@pytest.mark.parametrize("name", NAMES)
def test_at_every_length(name: str, target: str) -> None:
    machine = fixed(load_target(target))
    for S in range(16, 512):
        check_one_more(name, S, machine)
        if S % 16 == 3:
            check_more(name, S, machine)
