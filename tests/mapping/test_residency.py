"""What stays in the buffer: against all choices; hulls and the least energy-delay product of several steps."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping
from dataclasses import replace

import pytest

from costmodel.errors import CostModelError, DoesNotFit
from costmodel.mapping.front import front
from costmodel.mapping.geometry import geometry_of
from costmodel.mapping.nest import evaluate, is_legal
from costmodel.mapping.nest_records import Machine, Problem
from tests.mapping.test_nest import all_mappings, random_machine, random_problem
from tests.witness.residency import Value, hull, least_product, least_residency

pytestmark = pytest.mark.quick


def random_chain(rng: random.Random) -> tuple[tuple[Value, ...], int, int]:
    steps = rng.randint(1, 5)
    values = []
    for _ in range(rng.randint(0, 5)):
        born = rng.randrange(steps)
        size = rng.randint(1, 50)
        levels = (0, size) if rng.random() < 0.5 else (0, size // 2, size)
        values.append(Value(born, rng.randrange(born, steps), levels))
    return tuple(values), steps, rng.randint(5, 120)


@pytest.mark.parametrize("seed", range(150))
def test_least_residency_is_the_least_of_all(seed: int) -> None:
    rng = random.Random(seed)
    values, steps, room = random_chain(rng)
    need = [rng.randint(1, 30) for _ in range(steps)]
    speed = [rng.randint(1, 50) for _ in range(steps)]

    def cost(g: int, levels: Mapping[int, int], free: int) -> float:
        assert set(levels) == {v for v, value in enumerate(values) if value.born <= g <= value.last}
        if free < need[g]:
            raise DoesNotFit("too small")
        moved = sum(
            values[v].levels[-1] - values[v].levels[level]
            for v, level in levels.items()
            if g in (values[v].born, values[v].last)
        )
        return moved + speed[g] * 100 / free

    best = None
    for chosen in itertools.product(*(range(len(value.levels)) for value in values)):
        total = 0.0
        for g in range(steps):
            levels = {v: chosen[v] for v, value in enumerate(values) if value.born <= g <= value.last}
            free = room - sum(values[v].levels[level] for v, level in levels.items())
            if free < need[g]:
                break
            total += cost(g, levels, free)
        else:
            best = total if best is None else min(best, total)
    if best is None:
        with pytest.raises(DoesNotFit, match="with no choice of what is kept"):
            least_residency(values, steps, room, cost)
        return
    found = least_residency(values, steps, room, cost)
    assert found.cost == pytest.approx(best, rel=1e-12)
    assert found.bound <= found.cost * (1 + 1e-12)
    total = 0.0
    for g in range(steps):
        levels = {v: found.levels[v] for v, value in enumerate(values) if value.born <= g <= value.last}
        total += cost(g, levels, room - sum(values[v].levels[x] for v, x in levels.items()))
    assert total == pytest.approx(found.cost)


def test_a_value_needs_a_level_of_nothing() -> None:
    with pytest.raises(CostModelError, match="a value from step 1 to 2 with levels"):
        Value(1, 2, (5,))


def all_points(problem: Problem, machine: Machine) -> set[tuple[float, int]]:
    costs = (
        evaluate(problem, mapping, machine)
        for mapping in all_mappings(problem.product)
        if is_legal(problem, mapping, machine)
    )
    return {(cost.energy_pj, cost.cycles) for cost in costs}


@pytest.mark.parametrize("seed", range(12))
def test_the_least_product_of_two_steps_is_on_the_hulls_of_their_fronts(seed: int) -> None:
    """Against all pairs of mappings of two products."""
    rng = random.Random(seed)
    machine = replace(random_machine(rng), buffer_bytes=rng.randint(10, 60))
    machine = replace(machine, buffer_read_pj=0.3, buffer_write_pj=0.5, dram_pj=rng.choice([1.0, 5.0]))
    problems = [replace(random_problem(rng, 3), whole_rows=False, arithmetic_pj=100.0) for _ in range(2)]
    points = [all_points(problem, machine) for problem in problems]
    if not all(points):
        return
    best = min((e0 + e1) * (c0 + c1) for e0, c0 in points[0] for e1, c1 in points[1])
    hulls = []
    for problem, every in zip(problems, points, strict=True):
        costs = [evaluate(problem, mapping, machine) for mapping in front(geometry_of(problem, machine)).mappings]
        hulls.append(hull((cost.energy_pj, cost.cycles) for cost in costs))
        assert set(hulls[-1]) <= every
        assert hulls[-1][0][1] == min(c for _, c in every)
        assert hulls[-1][-1][0] == min(e for e, _ in every)
    least, where = least_product(hulls)
    assert least == pytest.approx(best, rel=1e-9)
    chosen = [step[i] for step, i in zip(hulls, where, strict=True)]
    assert sum(e for e, _ in chosen) * sum(c for _, c in chosen) == pytest.approx(least)
