"""Pareto fronts: the points that no other point dominates, exactly, of millions of points.

A point dominates another that it is nowhere worse than and somewhere better. Points are sorted by their
objectives, so that only an earlier one can dominate a later one. Up to three objectives the rest is a running
least value; of four and more each point is compared with the front so far, whose members move forward when they
dominate (what beats one point beats many): time grows with the size of the front.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numba
import numpy as np

from costmodel.errors import CostModelError

Array = np.ndarray[Any, Any]
SENSES = ("min", "max")


def front(values: Any, senses: Sequence[str], ties: str = "first") -> Array:
    """Places of the points that no other dominates, in ascending order.

    Args:
        values: [N, O], finite, O at least 1.
        senses: `min` or `max` of each objective.
        ties: of points that are equal everywhere keep the `first` only, or `all`.

    Raises:
        CostModelError: a value is NaN or infinite, or senses do not match.
    """
    costs = as_costs(values, senses)
    if ties not in ("first", "all"):
        raise CostModelError(f"ties {ties!r} are neither 'first' nor 'all'")
    order = sorted_places(costs)
    kept = order[keep(costs[order])]
    if ties == "all" and len(kept):
        # Equal points have equal rows: a row of the front keeps all that are like it.
        members = {row.tobytes() for row in costs[kept]}
        near = np.flatnonzero(np.isin(costs[:, 0], costs[kept, 0]))
        kept = np.array([i for i in near if costs[i].tobytes() in members], np.int64)
    found: Array = np.sort(kept)
    return found


def as_costs(values: Any, senses: Sequence[str]) -> Array:
    """Less is better everywhere, [N, O]; -0.0 is 0.0."""
    costs = np.array(values, float)
    if costs.ndim != 2 or costs.shape[1] != len(senses) or not len(senses):
        raise CostModelError(f"values of shape {costs.shape} are not [points, {len(senses)} objectives]")
    for sense in senses:
        if sense not in SENSES:
            raise CostModelError(f"sense {sense!r} is neither 'min' nor 'max'")
    bad = np.flatnonzero(~np.isfinite(costs).all(axis=1))
    if len(bad):
        raise CostModelError(f"point {bad[0]} has an objective that is not finite; leave failed points out")
    costs *= np.where(np.array(senses) == "max", -1.0, 1.0)
    costs += 0.0
    return costs


def sorted_places(costs: Array) -> Array:
    """By the first objective, then the second and so on; equal points in the order given."""
    keys = tuple(costs[:, j] for j in reversed(range(costs.shape[1])))
    order: Array = np.lexsort(keys)
    return order


def keep(costs: Array) -> Array:
    """Which of sorted points belong to the front; of equal ones the first."""
    if len(costs) == 0:
        return np.zeros(0, bool)
    if costs.shape[1] <= 2:
        return keep_two(costs if costs.shape[1] == 2 else np.column_stack([costs, costs]))
    if costs.shape[1] == 3:
        places, second = np.unique(costs[:, 1], return_inverse=True)
        three: Array = keep_three(second, costs[:, 2], len(places))
        return three
    found: Array = keep_many(costs)
    return found


def keep_two(costs: Array) -> Array:
    """Sorted points [N, 2] whose second objective is below that of all before."""
    least = np.minimum.accumulate(costs[:, 1])
    return np.concatenate([[True], costs[1:, 1] < least[:-1]])


@numba.njit(cache=True)
def keep_three(second, third, size):  # type: ignore[no-untyped-def]
    """The least third objective of all earlier points with a second one no larger, by a Fenwick tree."""
    kept = np.zeros(len(second), np.bool_)
    least = np.full(size + 1, np.inf)
    for i in range(len(second)):
        best, j = np.inf, second[i] + 1
        while j > 0:
            best = min(best, least[j])
            j -= j & -j
        if third[i] < best:
            kept[i] = True
            j = second[i] + 1
            while j <= size:
                least[j] = min(least[j], third[i])
                j += j & -j
    return kept


@numba.njit(cache=True)
def keep_many(costs):  # type: ignore[no-untyped-def]
    points, objectives = costs.shape
    kept = np.zeros(points, np.bool_)
    members = np.empty((1024, objectives))
    number = 0
    for i in range(points):
        dominated = False
        for f in range(number):
            below = True
            # The first objective of an earlier point is never larger.
            for j in range(1, objectives):
                if members[f, j] > costs[i, j]:
                    below = False
                    break
            if below:
                dominated = True
                if f > 0:
                    # Half way forward: what dominates often is soon met first.
                    g = f // 2
                    for j in range(objectives):
                        members[f, j], members[g, j] = members[g, j], members[f, j]
                break
        if not dominated:
            if number == len(members):
                larger = np.empty((2 * number, objectives))
                larger[:number] = members
                members = larger
            for j in range(objectives):
                members[number, j] = costs[i, j]
            number += 1
            kept[i] = True
    return kept


def hypervolume(values: Any, senses: Sequence[str], reference: Sequence[float]) -> float:
    """Volume between a front and a reference point that is worse everywhere: what the front dominates.

    Points that are not better than the reference everywhere add nothing. By slices along the last objective;
    meant for fronts of some hundred points.
    """
    costs = as_costs(values, senses)
    worst = as_costs([reference], senses)[0]
    costs = costs[(costs < worst).all(axis=1)]
    return volume(costs, worst)


def volume(costs: Array, worst: Array) -> float:
    if len(costs) == 0:
        return 0.0
    if costs.shape[1] == 1:
        return float(worst[0] - costs[:, 0].min())
    costs = costs[np.argsort(costs[:, -1], kind="stable")]
    ends = np.append(costs[1:, -1], worst[-1])
    total = 0.0
    for i, depth in enumerate(ends - costs[:, -1]):
        if depth > 0:
            flat = costs[: i + 1, :-1]
            order = sorted_places(flat)
            total += depth * volume(flat[order][keep(flat[order])], worst[:-1])
    return total
