"""What a machine asks of a product: the search for one machine finds what the whole front holds for it."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from costmodel.mapping.front import best_mapping, front, weigh
from costmodel.mapping.front_search import worth
from costmodel.mapping.geometry import EVERYTHING, FIGURE, asked_of, geometry_of
from costmodel.mapping.least import least_of_front
from costmodel.mapping.nest import evaluate
from costmodel.mapping.nest_records import Machine, Problem
from costmodel.mapping.objectives import OBJECTIVES
from tests.mapping.test_nest import random_machine, random_problem


def some_case(seed: int) -> tuple[Problem, Machine]:
    """A product whose front has several mappings, in a buffer that is small for it."""
    rng = random.Random(4000 + seed)
    problem = random_problem(rng, rng.choice([40, 90]))
    machine = replace(random_machine(rng, "array"), buffer_bytes=rng.randint(200, 4000))
    return problem, replace(machine, register_pj=rng.choice([0.0, 0.01]))


@pytest.mark.parametrize("seed", range(40))
def test_figures_of_all_at_once_are_those_of_each(seed: int) -> None:
    """`evaluate` of a mapping, `weigh` of a front, `worth` and `leasts` of the search are one figure."""
    problem, machine = some_case(seed)
    found = front(geometry_of(problem, machine))
    if not len(found):
        return
    weighed = weigh(found, problem, machine)
    for i, mapping in enumerate(found.mappings):
        cost = evaluate(problem, mapping, machine)
        bits = cost.dram_bits + cost.extra_bits
        assert (weighed.cycles[i], weighed.dram_bits[i]) == (cost.cycles, bits)
        assert weighed.energy_pj[i] == pytest.approx(cost.energy_pj, rel=1e-12)
    for first in FIGURE:
        asked = asked_of(problem, machine, first)
        numbers, prices = np.array(asked.numbers, np.int64), np.array(asked.prices)
        each = [worth(figures, numbers, prices) for figures in found.figures]
        np.testing.assert_allclose(each, weighed.first(first).astype(float), rtol=1e-12)
    least = least_of_front(found, problem, machine)
    assert (least.cycles, least.dram_bits) == (weighed.cycles.min(), weighed.dram_bits.min())
    assert least.energy_pj == pytest.approx(weighed.energy_pj.min(), rel=1e-12)


@pytest.mark.parametrize("seed", range(40))
def test_the_search_for_one_machine_finds_the_best_of_the_front(seed: int) -> None:
    problem, machine = some_case(seed)
    geometry = geometry_of(problem, machine)
    whole = front(geometry, EVERYTHING)
    if not len(whole):
        return
    rows = {tuple(row) for row in whole.figures.tolist()}
    for name, objective in OBJECTIVES.items():
        assert objective.first
        few = front(geometry, asked_of(problem, machine, objective.first))
        assert 0 < len(few) <= len(whole)
        key = min(objective.key(evaluate(problem, mapping, machine)) for mapping in whole.mappings)
        assert objective.key(best_mapping(problem, machine, name))[:-1] == key[:-1]
        assert any(tuple(row) in rows for row in few.figures.tolist())
