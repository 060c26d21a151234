"""Which values stay in the buffer between steps, and how much of each: the least cost of a chain of steps.

A step's tiles have what the values that wait meanwhile leave of the buffer. A value that is kept costs no
DRAM traffic where it is made and read, and takes room from every step of its life. How much of it is kept is
one of a few levels: nothing, some of its rows, all. Costs of steps add up (cycles, energy, bytes; for the
energy-delay product the least energy for each number of cycles, see `hull`).

The chain is walked step by step. What the steps behind need to know of those before is only the levels of
the values that are still needed: for each combination of these the least cost so far is kept. That is exact,
and small where few values live at once, as in a transformer, whatever its depth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from costmodel.errors import CostModelError, DoesNotFit

Levels = tuple[tuple[int, int], ...]  # values and the level of each
MOST_STATES = 200_000


@dataclass(frozen=True)
class Value:
    """Made by step `born`, read last by step `last`; `levels`: bytes that may be kept of it, 0 first."""

    born: int
    last: int
    levels: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.born > self.last or not self.levels or self.levels[0] != 0:
            raise CostModelError(f"a value from step {self.born} to {self.last} with levels {self.levels}")


@dataclass(frozen=True)
class Residency:
    """The level of each value; the cost of all steps; a bound that no choice goes below."""

    levels: tuple[int, ...]
    cost: float
    bound: float  # every step with what suits it best

    @property
    def gap(self) -> float:
        return self.cost / self.bound - 1 if self.bound else 0.0


# Cost of a step, given the level of each value that lives through it and the bytes that are left for tiles.
StepCost = Callable[[int, Mapping[int, int], int], float]


def least_residency(values: tuple[Value, ...], steps: int, buffer_bytes: int, cost: StepCost) -> Residency:
    """The levels of least total cost, exactly.

    `cost(g, levels, free)` is asked for step g with the levels of all values that live through it. It raises
    DoesNotFit where `free` bytes are too few for its tiles.

    Raises:
        DoesNotFit: a step that fits with no choice of levels.
        CostModelError: so many values live at once that the combinations of levels cannot be walked.
    """
    # State: level of each living value, in order -> least cost, and all levels that were chosen so far.
    states: dict[Levels, tuple[float, Levels]] = {(): (0.0, ())}
    bound = 0.0
    for g in range(steps):
        born = [v for v, value in enumerate(values) if value.born == g]
        least = float("inf")
        after: dict[Levels, tuple[float, Levels]] = {}
        for state, (before, chosen) in states.items():
            for new in combinations(values, born):
                levels = dict(state) | dict(new)
                free = buffer_bytes - sum(values[v].levels[level] for v, level in levels.items())
                if free < 0:
                    continue
                try:
                    now = cost(g, levels, free)
                except DoesNotFit:
                    continue
                least = min(least, now)
                alive = tuple((v, level) for v, level in sorted(levels.items()) if values[v].last > g)
                total = before + now
                if alive not in after or total < after[alive][0]:
                    after[alive] = (total, (*chosen, *new))
        if not after:
            raise DoesNotFit(f"step {g} fits {buffer_bytes} bytes of buffer with no choice of what is kept")
        if len(after) > MOST_STATES:
            raise CostModelError(f"at step {g} there are {len(after)} combinations of kept values to follow")
        states, bound = after, bound + least
    total, chosen = min(states.values())
    levels = dict(chosen)
    return Residency(tuple(levels.get(v, 0) for v in range(len(values))), total, bound)


def combinations(values: tuple[Value, ...], born: list[int]) -> list[Levels]:
    """All choices of levels for the values that a step makes."""
    found: list[Levels] = [()]
    for v in born:
        found = [(*one, (v, level)) for one in found for level in range(len(values[v].levels))]
    return found


def hull(points: Iterable[tuple[float, int]]) -> list[tuple[float, int]]:
    """Points of (energy, cycles) that no two others, mixed, are as good as; cycles rising, energy falling.

    The least energy-delay product of several steps together is not that of each alone. But it lies on the lower
    hull of all sums, for on a line between two points the product is least at an end; and points of that hull
    are sums of points of the hulls of the steps.
    """
    kept: list[tuple[float, int]] = []
    for energy, cycles in sorted(points, key=lambda point: (point[1], point[0])):
        if kept and energy >= kept[-1][0]:
            continue
        while len(kept) > 1:
            (e0, c0), (e1, c1) = kept[-2:]
            if (e1 - e0) * (cycles - c0) < (energy - e0) * (c1 - c0):
                break
            kept.pop()
        kept.append((energy, cycles))
    return kept


def least_product(points: list[list[tuple[float, int]]]) -> tuple[float, tuple[int, ...]]:
    """The least (sum of energies) x (sum of cycles), one point of each step; and which point of each.

    Each step's points are its hull, cycles rising and energy falling, as `hull` gives them. The hull
    of the sums begins at the fewest cycles of all and takes the steepest falls of energy first.
    """
    at = [0] * len(points)
    energy = sum(step[0][0] for step in points)
    cycles = sum(step[0][1] for step in points)
    falls = sorted(
        (
            ((e1 - e0) / (c1 - c0), i, j)
            for i, step in enumerate(points)
            for j, ((e0, c0), (e1, c1)) in enumerate(pairwise(step))
        )
    )
    best, where = energy * cycles, tuple(at)
    for _, i, j in falls:
        (e0, c0), (e1, c1) = points[i][j], points[i][j + 1]
        energy, cycles = energy + e1 - e0, cycles + c1 - c0
        at[i] = j + 1
        if energy * cycles < best:
            best, where = energy * cycles, tuple(at)
    return best, where
