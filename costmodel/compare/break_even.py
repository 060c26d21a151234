"""At which whole number the cheaper of two mechanisms changes: the one search for it, and its record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Annotated

from costmodel.records import OPTIONAL


@dataclass(frozen=True)
class BreakEven:
    """Sizes at which the cheaper of two mechanisms changes."""

    at: tuple[int, ...]  # the first size on each new side
    cheaper_at_first: bool  # whether the other mechanism costs less than the first one at the smallest size

    def cheaper(self, first: str, other: str) -> list[tuple[int | None, str]]:
        """Who costs less from which size on; None is the smallest size."""
        less = self.cheaper_at_first
        turns: list[tuple[int | None, str]] = [(None, other if less else first)]
        for size in self.at:
            less = not less
            turns.append((size, other if less else first))
        return turns


@dataclass(frozen=True)
class BreakEvens:
    """One mechanism against the first, on a target, over lengths of the sequence."""

    lengths: tuple[int, int]  # between which was searched
    cycles: Annotated[BreakEven | None, OPTIONAL] = None
    energy_pj: Annotated[BreakEven | None, OPTIONAL] = None  # None where no energy is published


def search_break_even(
    first: Callable[[int], float | None], other: Callable[[int], float | None], sizes: Sequence[int]
) -> BreakEven | None:
    """Smallest sizes at which the difference of two costs changes its sign, between the sizes given.

    None where one of the costs is not known at the smallest size. A schedule is no polynomial: the sizes given are
    tried, and where the sign changes between two of them, whole numbers between those. Two changes between two
    neighbours are not seen.
    """
    before, after = cache(first), cache(other)
    if before(sizes[0]) is None or after(sizes[0]) is None:
        return None

    def difference(size: int) -> float:
        return (after(size) or 0) - (before(size) or 0)

    found = []
    for low, high in pairwise(sizes):
        more = difference(low) > 0
        if more == (difference(high) > 0):
            continue
        a, b = low, high
        while b - a > 1:
            middle = (a + b) // 2
            a, b = (middle, b) if (difference(middle) > 0) == more else (a, middle)
        found.append(b)
    return BreakEven(tuple(found), difference(sizes[0]) < 0)
