"""The relaxation: below the best mapping, always; near it on products of models."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from costmodel.errors import CostModelError, DoesNotFit
from costmodel.hardware.timing import DATAFLOWS, ArrayShape, Product
from costmodel.mapping.front import best_mapping
from costmodel.mapping.nest_records import Machine, Operands, Problem
from costmodel.mapping.objectives import OBJECTIVES
from tests.mapping.test_nest import key_of, random_machine, random_problem
from tests.witness.relaxation import lower_bound

pytestmark = pytest.mark.quick


@pytest.mark.parametrize("seed", range(40))
def test_no_mapping_is_below_the_bound(seed: int) -> None:
    rng = random.Random(seed)
    for most in (5, 12, 60):
        problem, machine = random_problem(rng, most), random_machine(rng)
        machine = replace(machine, buffer_bytes=rng.choice([30, 300, 3000]))
        for objective in OBJECTIVES:
            try:
                best = key_of(best_mapping(problem, machine, objective), objective)[0]
            except DoesNotFit:
                continue
            assert lower_bound(problem, machine, objective, 0.99 * best) <= best


@pytest.mark.parametrize("dataflow", DATAFLOWS)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_bound_is_within_two_percent(dataflow: str, objective: str) -> None:
    machine = Machine(ArrayShape(32, 32), dataflow, "array", 256 * 1024, 12_800, 500, 0.8, 0.8, 5.66)
    for M, N, K in ((128, 768, 768), (512, 768, 3072), (512, 512, 64)):
        problem = Problem(Product(M, N, K), 1, Operands(8, 8, 32, 8, vector_cycles=M * N // 20), False, 1e6)
        best = key_of(best_mapping(problem, machine, objective), objective)[0]
        assert (
            lower_bound(problem, machine, objective, 0.995 * best)
            <= best
            <= 1.02 * lower_bound(problem, machine, objective, 0.995 * best)
        )


def test_other_conventions_are_refused() -> None:
    machine = Machine(ArrayShape(8, 8), "os", "paper", 10_000, 1000, 500)
    with pytest.raises(CostModelError, match="knows the array convention, not 'paper'"):
        lower_bound(Problem(Product(2, 2, 2), 1, Operands(8, 8, 32, 8)), machine, "cycles", 1.0)
