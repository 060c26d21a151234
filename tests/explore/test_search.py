"""The search finds what a grid finds, is told by its seed alone, and goes on where it was."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from costmodel.errors import CostModelError
from costmodel.explore.dominance import front, hypervolume
from costmodel.explore.points import evaluate_points
from costmodel.explore.search import Judged, judge, proposals, search, searcher
from costmodel.explore.space import Space, parse_space
from tests.explore.test_points import TINY, graph_of

RECORD: dict[str, Any] = {
    "objectives": ["energy_uj", "latency_ms", "area_mm2"],
    "constraints": ["area_mm2 <= 0.5", "lanes >= 4"],
    "knobs": TINY
    | {
        "attention": ["dot", "inhibitor"],
        "seq": 32,
        "widths": ["w8a8", "w4a8"],
        "target": "edge-asic",
        "array": ["2x2", "4x4", "4x8", "8x8", "16x16"],
        "dataflow": ["os", "ws", "is"],
        "buffer_kib": {"from": 1, "to": 64, "times": 2},
        "lanes": {"from": 2, "to": 64, "times": 2},
        "dram": ["lpddr4", "ddr3"],
    },
}
SPACE = parse_space(RECORD, "search.toml")


def look_up(indices: list[int]) -> dict[int, Judged]:
    return judge(SPACE, indices, evaluate_points(SPACE, indices, {}, graph_of).columns)


def front_of(space: Space, found: dict[int, Judged]) -> list[int]:
    """Numbers of the feasible points that no other found one dominates, ascending."""
    feasible = sorted(index for index, judged in found.items() if judged.feasible)
    if not feasible:
        return []
    values = np.array([found[index].values for index in feasible], float)
    return [feasible[place] for place in front(values, space.senses)]


def volume(space: Space, points: dict[int, Judged], worst: Any) -> float:
    best = [points[i].values for i in front_of(space, points)]
    return hypervolume(best, space.senses, worst) if best else 0.0


@pytest.fixture(scope="module")
def grid() -> dict[int, Judged]:
    return look_up(list(range(len(SPACE))))


@pytest.mark.parametrize(("sampler", "one_in", "share", "seeds"), [("nsga2", 20, 0.97, 5), ("tpe", 40, 0.93, 1)])
def test_finds_the_front_of_a_grid(
    grid: dict[int, Judged], sampler: str, one_in: int, share: float, seeds: int
) -> None:
    """From few of the grid's points, so much of the volume that the front of the whole grid dominates."""
    values = np.array([judged.values for judged in grid.values() if judged.feasible])
    worst = values.max(axis=0) * 1.1
    trials = len(SPACE) // one_in
    for seed in range(seeds):
        found = search(SPACE, trials, seed, lambda new: {i: grid[i] for i in new}, sampler)
        assert len(found) <= trials
        assert volume(SPACE, found, worst) >= share * volume(SPACE, grid, worst)


def test_is_told_by_its_seed(grid: dict[int, Judged]) -> None:
    runs = [list(search(SPACE, 80, seed, lambda new: {i: grid[i] for i in new})) for seed in (5, 5, 6)]
    assert runs[0] == runs[1] != runs[2]
    assert len(set(runs[0])) == len(runs[0]) == 80


def test_goes_on_where_it_was(grid: dict[int, Judged]) -> None:
    """Stopped at any point, what is left is what an unstopped search would have done."""
    whole = list(search(SPACE, 100, 1, lambda new: {i: grid[i] for i in new}))
    for stop in (0, 1, 31, 50, 99):
        known = {i: grid[i] for i in whole[:stop]}
        done: list[int] = []
        propose = searcher(SPACE, 100, 1)
        while new := propose(known):
            done += new
            known |= {i: grid[i] for i in new}
        assert done == whole[stop:]


def test_failed_points_are_left_out(grid: dict[int, Judged]) -> None:
    half = parse_space(RECORD | {"knobs": RECORD["knobs"] | {"widths": ["w8a8", "bf16"]}}, "half.toml")

    def look(new: list[int]) -> dict[int, Judged]:
        return judge(half, new, evaluate_points(half, new, {}, graph_of).columns)

    known = search(half, 60, 0, look)
    for index, judged in known.items():  # bf16 has no prices
        assert (judged.values is None) == (half.knobs(index)["widths"] == "bf16")
    assert any(judged.values is None for judged in known.values())
    assert {half.knobs(index)["widths"] for index in front_of(half, known)} == {"w8a8"}
    assert any(judged.values and not judged.feasible for judged in grid.values())
    all_fail = search(SPACE, 40, 0, lambda new: {i: Judged(None, ()) for i in new})
    assert len(all_fail) == 40
    assert front_of(SPACE, all_fail) == []


def test_judge_says_what_is_broken() -> None:
    knobs = RECORD["knobs"] | {"lanes": [2, 4, 8]}
    space = parse_space(RECORD | {"knobs": knobs}, "a.toml")
    columns = {"energy_uj": [1.0, 1.0, np.nan], "latency_ms": [2.0] * 3, "area_mm2": [0.25, 1.0, 0.1]}
    lanes = [
        next(i for i in range(len(space)) if space.knobs(i) == space.knobs(0) | {"lanes": n}) for n in (2, 4, 8)
    ]
    found = judge(space, lanes, columns)
    assert found[lanes[0]] == Judged((1.0, 2.0, 0.25), (-0.5, 0.5))
    assert found[lanes[1]] == Judged((1.0, 2.0, 1.0), (1.0, 0.0))
    assert found[lanes[2]] == Judged(None, ())
    assert not found[lanes[0]].feasible


def test_small_spaces_end() -> None:
    record = RECORD | {"constraints": [], "knobs": TINY | {"seq": 8, "target": "edge-asic", "lanes": [1, 2, 3]}}
    space = parse_space(record, "a.toml")
    found = search(space, 1000, 0, lambda new: {i: Judged((1.0, 1.0, float(i)), ()) for i in new})
    assert sorted(found) == [0, 1, 2]
    assert front_of(space, found) == [0]


@pytest.mark.parametrize(
    ("trials", "seed", "sampler", "message"),
    [
        (0, 0, "tpe", "0 trials are not at least 1"),
        (1, -1, "tpe", "seed -1 is not from 0"),
        (1, 0, "luck", "unknown sampler 'luck'; known: nsga2, tpe"),
    ],
)
def test_refuses(trials: int, seed: int, sampler: str, message: str) -> None:
    with pytest.raises(CostModelError, match=message):
        next(proposals(SPACE, trials, seed, sampler))
