"""More bandwidth, buffer, PEs or lanes never cost cycles; buffer and bandwidth never energy; S + 1 never less.

All of it follows from how a mapping's cost is defined and from the search being exact: what a mapping costs
falls, or stays, with each of these; a larger buffer only adds mappings; the parts of a larger array are those
of the smaller one and more. Prices are held: a larger buffer that is dearer a byte may of course cost more.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from costmodel.errors import DoesNotFit
from costmodel.hardware.timing import CONVENTIONS, DATAFLOWS, ArrayShape, Product
from costmodel.mapping.core import CoreOperands
from costmodel.mapping.core_blocks import CoreProblem
from costmodel.mapping.core_search import best_blocks
from costmodel.mapping.mapper import best_mapping
from costmodel.mapping.nest_records import Machine, Problem
from costmodel.mapping.tile import Operands

pytestmark = pytest.mark.quick


def machine_of(rng: random.Random) -> Machine:
    return Machine(
        ArrayShape(rng.choice([4, 7, 16, 32]), rng.choice([4, 9, 16, 32])),
        rng.choice(DATAFLOWS),
        rng.choice(["array", "array", "ideal"]),
        rng.randint(2_000, 60_000),
        rng.randint(50, 20_000),
        rng.choice([150, 500]),
        rng.uniform(0.1, 2),
        rng.uniform(0.1, 2),
        rng.uniform(1, 20),
    )


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
    return {
        "bandwidth": replace(machine, bandwidth_mb_s=machine.bandwidth_mb_s + rng.choice([1, 100, 10_000])),
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
def test_more_never_costs_cycles_and_energy(seed: int) -> None:
    rng = random.Random(seed)
    machine, problem = machine_of(rng), problem_of(rng)
    cycles = figure(lambda: best_mapping(problem, machine, "cycles"), "cycles")
    energy = figure(lambda: best_mapping(problem, machine, "energy"), "energy_pj")
    for name, more in larger(rng, machine).items():
        assert figure(lambda m=more: best_mapping(problem, m, "cycles"), "cycles") <= cycles, name
        assert figure(lambda m=more: best_mapping(problem, m, "energy"), "energy_pj") <= energy, name
    lanes = replace(problem, operands=replace(problem.operands, vector_cycles=problem.operands.vector_cycles // 2))
    assert figure(lambda: best_mapping(lanes, machine, "cycles"), "cycles") <= cycles


@pytest.mark.parametrize("seed", range(20))
def test_more_never_costs_a_core_cycles_and_energy(seed: int) -> None:
    """But for a larger array: whole rows of keys that stream need room for one key a column in use."""
    rng = random.Random(100 + seed)
    machine, problem = machine_of(rng), core_of(rng)
    cycles = figure(lambda: best_blocks(problem, machine, "cycles"), "cycles")
    energy = figure(lambda: best_blocks(problem, machine, "energy"), "energy_pj")
    for name, more in larger(rng, machine).items():
        assert figure(lambda m=more: best_blocks(problem, m, "cycles"), "cycles") <= cycles, name
        if name != "columns":
            assert figure(lambda m=more: best_blocks(problem, m, "energy"), "energy_pj") <= energy, name


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
