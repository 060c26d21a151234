"""All mappings of one product that can be the best for somebody, by numba: branch and bound over boxes of tiles.

A box is a structure (order, held, single, blocks) and a range of candidates along each dim. Its bound is what the
smallest size, fewest passes and least work of each range take: no mapping in it takes less of anything. Boxes
whose bound is no better in any figure than a mapping that is known are dropped, others cut in two along the
dim whose sizes differ most. What is left is the front: nothing else can be best for any bandwidth, price, number
of lanes or objective, for all of those grow with the figures.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from costmodel.mapping.front_figures import (
    CYCLES,
    EXPOSED,
    FIGURES,
    MOVED,
    P_M,
    P_N,
    READS,
    REGISTERS,
    WRITES,
    ceil_div,
    figures,
)

Array = np.ndarray[Any, Any]
njit = numba.njit(cache=True, error_model="numpy")

COLUMNS = FIGURES + 6  # also the structure, candidates along M, N, K, single places, tiles of a block
LEAST = 1 << 12  # places for points of a front, at first
EVERY, DELAY, ENERGY, PRODUCT, BYTES = range(5)  # what is asked for: the whole front, or what is best for a figure
ROUNDING = 1 + 1e-12  # of floats that are summed in another order


@njit
def bound(
    c: Array, form: Array, single: int, i: tuple, j: tuple, tables: Array, least: Array, apart: Array, key: Array
) -> bool:
    """Bound over a box of candidates, from `i` to before `j` along each dim, or figures of its only mapping.

    The fourth range is that of the number of blocks: as many have the fewest tiles each. `tables[0..2]`: sizes,
    passes, work. `least`: the least work along a dim; `apart`: of one pass.
    """
    x, y, held, along = form[0], form[1], form[2], form[4]
    i0, i1, i2, blocks = i
    j0, j1, j2, beyond = j
    s = (tables[0, 0, i0], tables[0, 1, i1], tables[0, 2, i2])
    p = (tables[1, 0, j0 - 1], tables[1, 1, j1 - 1], tables[1, 2, j2 - 1])
    most = (tables[1, 0, i0], tables[1, 1, i1], tables[1, 2, i2])
    work = (
        tables[2, 0, i0] if j0 - i0 == 1 else max(least[0], p[0] * apart[0]),
        tables[2, 1, i1] if j1 - i1 == 1 else max(least[1], p[1] * apart[1]),
        tables[2, 2, i2] if j2 - i2 == 1 else max(least[2], p[2] * apart[2]),
    )
    tiles, size = 1, 0
    if along >= 0:
        tiles = max(ceil_div(p[along], beyond - 1), 2)
        if most[along] <= tiles:  # a single block
            return False
        dim = c[P_M] if along == 0 else c[P_N]
        size = max(tiles * s[along], ceil_div(dim, beyond - 1))
        if most[along] == p[along] and beyond - blocks == 1:
            if ceil_div(p[along], tiles) != blocks or p[along] % tiles == 1:
                return False
            size = min(tiles * s[along], dim)
    return figures(c, x, y, held, single, along, s, p, most, work, tiles, blocks, size, key)


@njit
def is_beaten(front: Array, number: int, key: Array) -> bool:
    """Whether some point of the front is as good in every figure; such a point moves towards the first place."""
    for i in range(number):
        beats = True
        for f in range(FIGURES):
            if front[i, f] > key[f]:
                beats = False
                break
        if beats:
            if i > 0:
                for f in range(front.shape[1]):
                    front[i, f], front[i // 2, f] = front[i // 2, f], front[i, f]
            return True
    return False


@njit
def without(front: Array, number: int, key: Array) -> int:
    """Drop the points that a new one beats; how many are left."""
    left = 0
    for i in range(number):
        beaten = True
        for f in range(FIGURES):
            if key[f] > front[i, f]:
                beaten = False
                break
        if not beaten:
            front[left] = front[i]
            left += 1
    return left


@njit
def unbeaten(points: Array) -> Array:
    """Places of the points, in ascending order of their figures, that no other one beats in all figures."""
    found = np.empty(points.shape[0], np.int64)
    number = 0
    for i in range(points.shape[0]):
        beaten = False
        for j in range(number):
            beaten = True
            for f in range(points.shape[1]):
                if points[found[j], f] > points[i, f]:
                    beaten = False
                    break
            if beaten:
                break
        if not beaten:
            found[number] = i
            number += 1
    return found[:number]


@njit
def merit(key: Array, floor: Array) -> float:
    """In what order structures are looked at: the smaller, the earlier. It changes the time, not the result."""
    total = 0.0
    for f in range(FIGURES):
        total += key[f] / (floor[f] + 1.0)
    return total


@njit
def earlier(one: Array, two: Array, floor: Array, asked: Array, prices: Array) -> bool:
    """Whether one box is looked at before another."""
    if asked[0] != EVERY:
        first, second = worth(one, asked, prices), worth(two, asked, prices)
        if first != second:
            return first < second
    return merit(one, floor) < merit(two, floor)


@njit
def entered(
    c: Array, front: Array, points: int, structures: Array, s: int, i: tuple, j: tuple,
    tables: Array, least: Array, apart: Array, key: Array,
) -> tuple[Array, int]:  # fmt: skip
    """The front with the mappings of one structure and tile that no other beats: single places of all kinds."""
    along = structures[s, 4]
    tiles = ceil_div(tables[1, along, i[along]], i[3]) if along >= 0 else 0
    for mask in (0, 1, 2, 4, 3, 5, 6, 7):
        if mask & ~structures[s, 3]:
            continue
        legal = bound(c, structures[s], mask, i, j, tables, least, apart, key)
        if not legal or is_beaten(front, points, key):
            continue
        points = without(front, points, key)
        if points == front.shape[0]:
            larger = np.empty((2 * points, COLUMNS), np.int64)
            larger[:points] = front
            front = larger
        for f in range(FIGURES):
            front[points, f] = key[f]
        front[points, FIGURES], front[points, FIGURES + 1] = s, i[0]
        front[points, FIGURES + 2], front[points, FIGURES + 3] = i[1], i[2]
        front[points, FIGURES + 4], front[points, FIGURES + 5] = mask, tiles
        points += 1
    return front, points


@njit
def push(stack: Array, keys: Array, top: int, s: int, i: tuple, j: tuple, key: Array) -> None:
    """A box of a structure onto the stack, with its bound."""
    stack[top, 0] = s
    for d in range(4):
        stack[top, 1 + d], stack[top, 5 + d] = i[d], j[d]
    for f in range(FIGURES):
        keys[top, f] = key[f]


@njit
def halves(i: tuple, j: tuple, tables: Array) -> tuple[tuple, tuple]:
    """Where a box is cut in two, along the dim whose sizes differ most: end of one half, start of the other."""
    w0 = spread(i[0], j[0], tables[0, 0])
    w1 = spread(i[1], j[1], tables[0, 1])
    w2 = spread(i[2], j[2], tables[0, 2])
    w3 = (j[3] - 1) / i[3] if i[3] > 0 else 1.0
    if w0 >= w1 and w0 >= w2 and w0 >= w3:
        h = middle(i[0], j[0], tables[0, 0])
        return (h, j[1], j[2], j[3]), (h, i[1], i[2], i[3])
    if w1 >= w2 and w1 >= w3:
        h = middle(i[1], j[1], tables[0, 1])
        return (j[0], h, j[2], j[3]), (i[0], h, i[2], i[3])
    if w2 >= w3:
        h = middle(i[2], j[2], tables[0, 2])
        return (j[0], j[1], h, j[3]), (i[0], i[1], h, i[3])
    h = max(i[3] + 1, int(np.sqrt(i[3] * (j[3] - 1)) + 1))
    return (j[0], j[1], j[2], h), (i[0], i[1], i[2], h)


@njit
def middle(first: int, beyond: int, sizes: Array) -> int:
    """The first size of the upper half of a range, by ratio."""
    wanted = np.sqrt(float(sizes[first]) * sizes[beyond - 1])
    return first + max(1, np.searchsorted(sizes[first : beyond - 1], wanted))


@njit
def spread(first: int, beyond: int, sizes: Array) -> float:
    """Ratio of the largest size of a range to the smallest."""
    return sizes[beyond - 1] / sizes[first]


@njit
def whole_box(form: Array, tables: Array, counts: Array) -> tuple[tuple, tuple]:
    """The box of all candidates of a structure."""
    along = form[4]
    first, beyond = 0, 1
    if along >= 0:
        first, beyond = 2, max(tables[1, along, 0] // 2 + 1, 2)
    return (0, 0, 0, first), (counts[0], counts[1], counts[2], beyond)


@njit
def worth(key: Array, asked: Array, prices: Array) -> float:
    """What an objective compares first, of figures or a bound of them; see `front.Asked` for the numbers.

    As `front.weigh`, which tests hold equal.
    """
    moved, reads, writes = key[MOVED] + asked[1], key[READS] + asked[2], key[WRITES] + asked[3]
    if asked[0] == BYTES:
        return float(moved)
    energy = moved * prices[0] + reads * prices[1] + writes * prices[2]
    energy += (key[REGISTERS] + asked[6]) * prices[3] + prices[4]
    if asked[0] == ENERGY:
        return energy
    busy = ceil_div(key[EXPOSED] * asked[7], asked[8]) + max(key[CYCLES], asked[4])
    ports = max(ceil_div(reads, asked[9]), ceil_div(writes, asked[10]))
    cycles = max(max(busy, ceil_div(moved * asked[7], asked[8])), max(ports, 1)) + asked[5]
    return float(cycles) if asked[0] == DELAY else energy * cycles


@njit
def least_worth(front: Array, points: int, most: float, asked: Array, prices: Array) -> float:
    """The least of what is known, and the points of the front."""
    for i in range(points):
        most = min(most, worth(front[i], asked, prices))
    return most


@njit
def front_of(
    c: Array, structures: Array, tables: Array, counts: Array, least: Array, apart: Array,
    asked: Array, prices: Array,
) -> Array:  # fmt: skip
    """Rows of the front: figures, the structure, candidates along M, N, K, single places, tiles of a block.

    Of the whole front, or where an objective is asked for of the mappings that are the best for it, and some more.
    """
    most, alone = np.inf, asked[0] != EVERY
    number = structures.shape[0]
    stack = np.empty((number + 1024, 9), np.int64)
    key, other, floor = np.zeros(FIGURES, np.int64), np.zeros(FIGURES, np.int64), np.zeros(FIGURES, np.int64)
    floor[:] = 1 << 62
    for s in range(number):
        i, j = whole_box(structures[s], tables, counts)
        if i[3] < j[3] and bound(c, structures[s], -1, i, j, tables, least, apart, key):
            for f in range(FIGURES):
                floor[f] = min(floor[f], key[f])
    first = np.full(number, np.inf)
    for s in range(number):
        i, j = whole_box(structures[s], tables, counts)
        if i[3] < j[3] and bound(c, structures[s], -1, i, j, tables, least, apart, key):
            first[s] = worth(key, asked, prices) if alone else merit(key, floor)
    top, points = 0, 0
    front, keys = np.empty((LEAST, COLUMNS), np.int64), np.empty((number + 1024, FIGURES), np.int64)
    for s in np.argsort(-first):
        if first[s] < np.inf:
            i, j = whole_box(structures[s], tables, counts)
            bound(c, structures[s], -1, i, j, tables, least, apart, key)
            push(stack, keys, top, s, i, j, key)
            top += 1
    while top > 0:
        top -= 1
        for f in range(FIGURES):
            key[f] = keys[top, f]
        if is_beaten(front, points, key) or (alone and worth(key, asked, prices) > most * ROUNDING):
            continue
        s = stack[top, 0]
        i = (stack[top, 1], stack[top, 2], stack[top, 3], stack[top, 4])
        j = (stack[top, 5], stack[top, 6], stack[top, 7], stack[top, 8])
        if j[0] - i[0] == 1 and j[1] - i[1] == 1 and j[2] - i[2] == 1 and j[3] - i[3] == 1:
            front, points = entered(c, front, points, structures, s, i, j, tables, least, apart, key)
            most = least_worth(front, points, most, asked, prices) if alone else most
            continue
        cut, from_ = halves(i, j, tables)
        one = bound(c, structures[s], -1, i, cut, tables, least, apart, key)
        two = bound(c, structures[s], -1, from_, j, tables, least, apart, other)
        if one and two and earlier(other, key, floor, asked, prices):  # the better one is looked at first
            push(stack, keys, top, s, i, cut, key)
            push(stack, keys, top + 1, s, from_, j, other)
            top += 2
            continue
        if two:
            push(stack, keys, top, s, from_, j, other)
            top += 1
        if one:
            push(stack, keys, top, s, i, cut, key)
            top += 1
    return front[:points].copy()
