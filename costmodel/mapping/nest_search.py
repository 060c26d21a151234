"""The search over all mappings of one product, by numba: branch and bound over boxes of tile sizes.

A box is a structure (order, held, single) and a range of candidates along each dim. Its bound is the cost with
the smallest size, fewest passes and least work of each range, which no mapping in it can go below in any
figure, nor in the order of the figures by which mappings are compared. Boxes that cannot hold a better one
are dropped, others cut in two along the dim of most candidates. What is left is the best of all.

It is a second implementation of `nest.py`, of integers and without records; tests hold both equal.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

Array = np.ndarray[Any, Any]
njit = numba.njit(cache=True, error_model="numpy")

# Places in the vector of what does not change during a search.
NAMES = (
    *("B", "M", "N", "K", "a_bits", "b_bits", "sum_bits", "out_bits", "a_moves", "b_moves", "out_moves"),
    *("bypass", "on", "extra", "vector", "rows", "R", "C", "flow", "how", "room", "speed", "clock", "tail"),
    "objective",
)
(
    P_B, P_M, P_N, P_K, P_AB, P_BB, P_SB, P_OB, P_AM, P_BM, P_OM,
    P_BYPASS, P_ON, P_EXTRA, P_VECTOR, P_ROWS, P_R, P_C, P_FLOW, P_HOW, P_ROOM, P_SPEED, P_CLOCK, P_TAIL,
    P_OBJECTIVE,
) = range(len(NAMES))  # fmt: skip
A, B_, OUT = 1, 2, 4  # operands as bits of a mask
FIGURES = 5  # that are compared


@njit
def ceil_div(a: int, b: int) -> Any:
    return np.int64(np.uint64(a + b - 1) // np.uint64(b))


@njit
def visits(lacks: int, held: int, x: int, y: int, px: int, py: int, pz: int) -> int:
    """How often an operand comes that lacks a dim; p* are the passes of the loops from the outermost."""
    if held or (lacks != x and lacks != y):
        return 1
    if lacks == y:
        return py if pz > 1 else 1
    return px if py > 1 or pz > 1 else 1


@njit
def region(
    first: int, second: int, lacks: int, held: int, x: int, y: int, size: Array, p: Array, dims: Array
) -> tuple[int, int]:
    """Elements of an operand of two dims that lie in the buffer, and how many tiles they are."""
    elements = tiles = 1
    for dim in (first, second):
        inside = (lacks == x) or (lacks == y and dim != x)
        if held and inside:
            elements *= dims[dim]
            tiles *= p[dim]
        else:
            elements *= size[dim]
    return elements, tiles


@njit
def figures(
    c: Array,
    price: Array,
    x: int,
    y: int,
    held: int,
    single: int,
    size: Array,
    p: Array,
    most: Array,
    work: Array,
    key: Array,
) -> bool:
    """Figures of a mapping in the order of comparison, or a bound of them over a box; False: it is not legal.

    `most`: the most passes along each dim in the box, `p` of a single mapping.
    """  # fmt: skip
    dims = c[P_M : P_K + 1]
    M, N, K = dims
    z = 3 - x - y
    px, py, pz = p[x], p[y], p[z]
    va = visits(1, held & A, x, y, px, py, pz)
    vb = visits(0, held & B_, x, y, px, py, pz)
    vo = visits(2, held & OUT, x, y, px, py, pz)
    flow, how, R, C = c[P_FLOW], c[P_HOW], c[P_R], c[P_C]
    if c[P_ROWS] and (vo > 1 or not (p[1] == 1 or (held & OUT and z != 2 and x != 1))):
        return False
    # Room
    bits = 0
    exposed_a = exposed_b = False
    if c[P_AM]:
        held_a = (held & A) if most[1] > 1 else 0
        elements, tiles = region(0, 2, 1, held_a, x, y, size, most, dims)
        again = 1
        if held_a and p[1] == 1:  # a box in which it may be held or not
            elements, tiles = region(0, 2, 1, 0, x, y, size, most, dims)
        elif tiles == 1 and (c[P_B] > 1 or not covered(0, 2, 1, held_a, x, y, p)):
            if single & A:
                exposed_a = True
            else:
                again = 2
        bits += again * elements * c[P_AB]
    if c[P_BM] and not c[P_BYPASS]:
        held_b = (held & B_) if most[0] > 1 else 0
        elements, tiles = region(2, 1, 0, held_b, x, y, size, most, dims)
        again = 1
        if held_b and p[0] == 1:  # a box in which it may be held or not
            elements, tiles = region(2, 1, 0, 0, x, y, size, most, dims)
        elif tiles == 1 and (c[P_B] > 1 or not covered(2, 1, 0, held_b, x, y, p)):
            if single & B_:
                exposed_b = True
            else:
                again = 2
        bits += again * elements * c[P_BB]
    if vo > 1:
        places = size[0] * size[1] * (1 if single & OUT else 2)
    elif p[2] == 1:
        in_array = flow == 0 or K <= R
        places = size[0] * N if c[P_ROWS] else (0 if in_array else size[0] * size[1])
    else:
        places, tiles = region(0, 1, 2, held & OUT, x, y, size, p, dims)
    bits += places * c[P_SB]
    if bits > c[P_ROOM]:
        return False
    # What moves
    folds_m, folds_n, folds_k = work
    if flow == 0:
        read_a, read_b, sums = folds_n, folds_m, p[2]
    elif flow == 1:
        read_a, read_b, sums = folds_n, p[0], folds_k
    else:
        read_a, read_b, sums = p[1], folds_m, folds_k
    B = c[P_B]
    a = B * M * K * c[P_AB] * c[P_AM] * va
    if c[P_BYPASS] and not (flow == 1 and z == 0 and size[2] <= R and size[1] <= C):
        vb = read_b
    b = B * K * N * c[P_BB] * c[P_BM] * vb
    spills = B * M * N * c[P_SB] * (vo - 1)
    dram = a + b + 2 * spills + B * M * N * c[P_OB] * c[P_OM]
    exposed = first = 0
    if single & OUT:
        exposed += 2 * spills
    if exposed_a:
        exposed += a
    else:
        first += size[0] * size[2] * c[P_AB] * c[P_AM]
    if exposed_b:
        exposed += b
    else:
        first += size[2] * size[1] * c[P_BB] * c[P_BM]
    stored = size[0] * (N if c[P_ROWS] else size[1]) * c[P_OB] * c[P_OM]
    sum_bits = B * sums * M * N * c[P_SB]
    reads = B * (read_a * M * K * c[P_AB] + (0 if c[P_BYPASS] else read_b * K * N * c[P_BB]))
    reads += sum_bits + spills + c[P_EXTRA]
    writes = sum_bits + a + spills + (0 if c[P_BYPASS] else b) + c[P_EXTRA]
    writes += 0 if c[P_OM] else B * M * N * c[P_OB]
    # Time
    array = 0
    if c[P_ON]:
        array = B * steady(flow, how, M, N, K, R, C, p, most, work)
    speed, clock = c[P_SPEED], c[P_CLOCK]
    moved = dram + c[P_EXTRA]
    computed = (
        ceil_div((first + exposed) * clock, speed) + max(array, c[P_VECTOR]) + ceil_div(stored * clock, speed)
    )
    dma = ceil_div(moved * clock, speed)
    if c[P_ON]:
        dma += one_pass(flow, how, R, C, size)
    cycles = max(computed, dma) + c[P_TAIL]
    energy = moved * price[2] + reads * price[0] + writes * price[1] + price[3]
    objective = c[P_OBJECTIVE]
    key[3], key[4] = reads + writes, ceil_div(bits, 8)
    if objective == 0:
        key[0], key[1], key[2] = cycles, energy, dram
    elif objective == 1:
        key[0], key[1], key[2] = energy, cycles, dram
    elif objective == 2:
        key[0], key[1], key[2] = energy * cycles, cycles, dram
    elif objective == 3:
        key[0], key[1], key[2] = dram, energy, cycles
    else:
        key[0], key[1], key[2] = energy + price[4] * cycles, cycles, dram
    return True


@njit
def covered(first: int, second: int, lacks: int, held: int, x: int, y: int, p: Array) -> bool:
    """Whether all of an operand lies in the buffer."""
    for dim in (first, second):
        inside = (lacks == x) or (lacks == y and dim != x)
        if p[dim] > 1 and not (held and inside):
            return False
    return True


@njit
def steady(flow: int, how: int, M: int, N: int, K: int, R: int, C: int, p: Array, most: Array, work: Array) -> int:
    """Steady cycles of all passes, see `nest.array_cycles`. `how`: array, ideal, paper, scalesim."""
    if flow == 0:
        folds, s, T = work[0] * work[1], 2, K
    elif flow == 1:
        folds, s, T = work[2] * work[1], 0, M
    else:
        folds, s, T = work[2] * work[0], 1, N
    if how == 0:
        if flow == 0:
            return work[1] * (work[0] * K + p[2] * (M - work[0]))
        return folds * work[s]
    if how == 1:
        return folds * T
    if how == 2:
        return folds * (p[s] * (2 * R + C - 2) + T)
    skew = (R if flow == 0 else 2 * R) + C - 2
    passes = most[0] * most[1] * most[2]
    # A pass is one cycle shorter than its folds, of which it has at least one.
    return max(folds * (p[s] * skew + T) - passes, folds * (p[s] * skew + T - most[s]))


@njit
def one_pass(flow: int, how: int, R: int, C: int, size: Array) -> int:
    """Steady cycles of a pass of one tile."""
    m, n, k = size
    if flow == 0:
        down, across, T = m, n, k
    elif flow == 1:
        down, across, T = k, n, m
    else:
        down, across, T = k, m, n
    rows, columns = ceil_div(down, R), ceil_div(across, C)
    if how == 0:
        return columns * (rows * T + down - rows if flow == 0 else rows * max(T, 2 * R))
    if how == 1:
        return rows * columns * T
    if how == 2:
        return rows * columns * (2 * R + C + T - 2)
    return rows * columns * ((R if flow == 0 else 2 * R) + C + T - 2) - 1


@njit
def before(a: Array, b: Array) -> bool:
    """Whether figures a come before figures b."""
    for i in range(FIGURES):
        if a[i] != b[i]:
            return a[i] < b[i]
    return False


@njit
def bound(
    c: Array, price: Array, structure: Array, box: Array, tables: Array, least: Array, apart: Array, key: Array
) -> bool:
    """Bound over a box, or the figures of its only mapping. `box`: from and to of each dim's candidates.

    `tables[0..2]`: sizes, passes, work. `least`: the least work along a dim; `apart`: of one pass.
    """
    size, p, most = np.empty(3, np.int64), np.empty(3, np.int64), np.empty(3, np.int64)
    work = np.empty(3, np.int64)
    for d in range(3):
        i, j = box[2 * d], box[2 * d + 1]
        size[d], p[d], most[d] = tables[0, d, i], tables[1, d, j - 1], tables[1, d, i]
        work[d] = tables[2, d, i] if j - i == 1 else max(least[d], p[d] * apart[d])
    return figures(c, price, structure[0], structure[1], structure[2], structure[3], size, p, most, work, key)


@njit
def search(
    c: Array,
    price: Array,
    structures: Array,
    tables: Array,
    counts: Array,
    least: Array,
    apart: Array,
    best: Array,
    found: Array,
) -> int:
    """The best mapping of all structures, if it comes before `best`, which it then replaces.

    `found`: place of the structure and of the candidates along M, N, K. Returns how many boxes were looked at.
    """  # fmt: skip
    number = structures.shape[0]
    stack = np.empty((number + 256, 7), np.int64)
    bounds = np.empty((number + 256, FIGURES))
    key, other = np.empty(FIGURES), np.empty(FIGURES)
    box, second = np.zeros(6, np.int64), np.zeros(6, np.int64)
    for d in range(3):
        box[2 * d + 1] = counts[d]
    first = np.empty(number)
    for s in range(number):
        first[s] = key[0] if bound(c, price, structures[s], box, tables, least, apart, key) else np.inf
    top, looked = 0, number
    for s in np.argsort(-first):
        if first[s] < np.inf:
            bound(c, price, structures[s], box, tables, least, apart, key)
            stack[top, 0], stack[top, 1:], bounds[top] = s, box, key
            top += 1
    while top > 0:
        top -= 1
        if not before(bounds[top], best):
            continue
        s = stack[top, 0]
        box[:] = stack[top, 1:]
        widest = 0
        for d in range(1, 3):
            if box[2 * d + 1] - box[2 * d] > box[2 * widest + 1] - box[2 * widest]:
                widest = d
        low, high = box[2 * widest], box[2 * widest + 1]
        if high - low == 1:  # a single mapping
            best[:] = bounds[top]
            found[0], found[1], found[2], found[3] = s, box[0], box[2], box[4]
            continue
        second[:] = box
        middle = (low + high) // 2
        box[2 * widest + 1] = second[2 * widest] = middle
        one = bound(c, price, structures[s], box, tables, least, apart, key) and before(key, best)
        two = bound(c, price, structures[s], second, tables, least, apart, other) and before(other, best)
        looked += 2
        if one and two and before(other, key):  # the better one is looked at first
            stack[top, 0], stack[top, 1:], bounds[top] = s, box, key
            top += 1
            one = False
            stack[top, 0], stack[top, 1:], bounds[top] = s, second, other
            top += 1
            continue
        if two:
            stack[top, 0], stack[top, 1:], bounds[top] = s, second, other
            top += 1
        if one:
            stack[top, 0], stack[top, 1:], bounds[top] = s, box, key
            top += 1
    return looked
