"""All mappings of one product that can be the best for somebody, by numba: branch and bound over boxes of tiles.

Boxes (`front_boxes.py`) in which nothing fits, or whose bound is no better in any figure than a mapping that is
known, are dropped; so is the half of a box, along any dim, of which that is true. What remains is cut in two along
the dim whose sizes differ most. What is left is the front: nothing else can be best for any bandwidth, price,
number of lanes or objective, for all of those grow with the figures.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from costmodel.mapping.front_boxes import bound, halves, is_free, most_blocks, whole_box, widest
from costmodel.mapping.front_figures import (
    CYCLES,
    EXPOSED,
    FIGURES,
    KEYS,
    LOCAL,
    MOVED,
    READS,
    REGISTERS,
    WRITES,
    ceil_div,
)

Array = np.ndarray[Any, Any]
njit = numba.njit(cache=True, error_model="numpy")

COLUMNS = KEYS + 6  # also the structure, candidates along M, N, K, single places, tiles of a block
LEAST = 1 << 12  # places for points of a front, at first
EVERY, DELAY, ENERGY, PRODUCT, BYTES = range(5)  # what is asked for: the whole front, or what is best for a figure
ROUNDING = 1 + 1e-12  # of floats that are summed in another order


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
        for f in range(KEYS):
            front[points, f] = key[f]
        front[points, KEYS], front[points, KEYS + 1] = s, i[0]
        front[points, KEYS + 2], front[points, KEYS + 3] = i[1], i[2]
        front[points, KEYS + 4], front[points, KEYS + 5] = mask, tiles
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
def figure_of(what: int, key: Array, asked: Array, prices: Array) -> float:
    """Cycles, energy, their product or DRAM bits, of figures or a bound of them; `geometry.Asked` has the numbers.

    As `front.weigh`, which tests hold equal.
    """
    moved, reads, writes = key[MOVED] + asked[1], key[READS] + asked[2], key[WRITES] + asked[3]
    if what == BYTES:
        return float(moved)
    energy = moved * prices[0] + reads * prices[1] + writes * prices[2]
    energy += (key[REGISTERS] + asked[6]) * prices[3] + prices[4] + key[LOCAL] * prices[5]
    if what == ENERGY:
        return energy
    busy = ceil_div(key[EXPOSED] * asked[7], asked[8]) + max(key[CYCLES], asked[4])
    ports = max(ceil_div(reads, asked[9]), ceil_div(writes, asked[10]))
    if key[LOCAL]:
        ports = max(ports, ceil_div(key[LOCAL], asked[11]))
    cycles = max(max(busy, ceil_div(moved * asked[7], asked[8])), max(ports, 1)) + asked[5]
    return float(cycles) if what == DELAY else energy * cycles


@njit
def worth(key: Array, asked: Array, prices: Array) -> float:
    """What an objective compares first."""
    return figure_of(asked[0], key, asked, prices)


@njit
def leasts(front: Array, asked: Array, prices: Array) -> Array:
    """Of a front the fewest cycles, least energy and fewest DRAM bits, each for itself."""
    found = np.full(3, np.inf)
    for i in range(front.shape[0]):
        for k, what in enumerate((DELAY, ENERGY, BYTES)):
            found[k] = min(found[k], figure_of(what, front[i], asked, prices))
    return found


@njit
def least_worth(front: Array, points: int, most: float, asked: Array, prices: Array) -> float:
    """The least of what is known, and the points of the front."""
    for i in range(points):
        most = min(most, worth(front[i], asked, prices))
    return most


@njit
def shrunk(
    c: Array, form: Array, free: bool, i: tuple, j: tuple, tables: Array, least: Array, apart: Array,
    front: Array, points: int, most: float, asked: Array, prices: Array, key: Array,
) -> tuple[bool, tuple, tuple]:  # fmt: skip
    """Whether anything is left of a box without the halves in which nothing fits and is better; what is left.

    What is tested stands here three times: a call with so many arrays takes as long as the test.
    """
    alone, changed, left = asked[0] != EVERY, True, True
    while changed and left:
        changed = False
        for d in range(4):
            if j[d] - i[d] == 1 or (d == 3 and free):
                continue
            cut, start = halves(i, j, d, tables)
            if (
                not bound(c, form, -1, start, j, tables, least, apart, key)
                or is_beaten(front, points, key)
                or (alone and worth(key, asked, prices) > most * ROUNDING)
            ):
                j, changed = cut, True
            elif (
                not bound(c, form, -1, i, cut, tables, least, apart, key)
                or is_beaten(front, points, key)
                or (alone and worth(key, asked, prices) > most * ROUNDING)
            ):
                i, changed = start, True
        if changed:
            left = bound(c, form, -1, i, j, tables, least, apart, key)
            if left and (is_beaten(front, points, key) or (alone and worth(key, asked, prices) > most * ROUNDING)):
                left = False
    return left, i, j


@njit
def is_single(free: bool, i: tuple, j: tuple) -> bool:
    """Whether a box is one mapping, or such that differ in nothing but how many blocks there are."""
    return j[0] - i[0] == 1 and j[1] - i[1] == 1 and j[2] - i[2] == 1 and (free or j[3] - i[3] == 1)


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
    key, other, floor = np.zeros(KEYS, np.int64), np.zeros(KEYS, np.int64), np.zeros(FIGURES, np.int64)
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
        form = structures[s]
        i = (stack[top, 1], stack[top, 2], stack[top, 3], stack[top, 4])
        j = (stack[top, 5], stack[top, 6], stack[top, 7], stack[top, 8])
        free = is_free(c, form)
        left, i, j = shrunk(c, form, free, i, j, tables, least, apart, front, points, most, asked, prices, key)
        if not left:
            continue
        if is_single(free, i, j):
            blocks = most_blocks(tables[1, form[4], i[form[4]]]) if free else i[3]
            if free and blocks == 0:
                continue
            i, j = (i[0], i[1], i[2], blocks), (j[0], j[1], j[2], blocks + 1)
            front, points = entered(c, front, points, structures, s, i, j, tables, least, apart, key)
            most = least_worth(front, points, most, asked, prices) if alone else most
            continue
        cut, start = halves(i, j, widest(i, j, tables, free), tables)
        one = bound(c, form, -1, i, cut, tables, least, apart, key)
        two = bound(c, form, -1, start, j, tables, least, apart, other)
        if one and two and earlier(other, key, floor, asked, prices):  # the better one is looked at first
            push(stack, keys, top, s, i, cut, key)
            push(stack, keys, top + 1, s, start, j, other)
            top += 2
            continue
        if two:
            push(stack, keys, top, s, start, j, other)
            top += 1
        if one:
            push(stack, keys, top, s, i, cut, key)
            top += 1
    return front[:points].copy()
