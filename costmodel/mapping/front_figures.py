"""Figures of a mapping of one product in integers, by numba; of boxes of mappings what none takes less than.

It is a second implementation of `nest.py`, without records; tests hold both equal.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

Array = np.ndarray[Any, Any]
njit = numba.njit(cache=True, error_model="numpy")

# Places in the vector of what does not change during a search.
NAMES = (
    *("B", "M", "N", "K", "a_bits", "b_bits", "sum_bits", "a_moves", "b_moves"),
    *("bypass", "on", "rows", "R", "C", "deep", "flow", "how", "room", "regs", "local"),
)
(
    P_B, P_M, P_N, P_K, P_AB, P_BB, P_SB, P_AM, P_BM, P_BYPASS, P_ON, P_ROWS,
    P_R, P_C, P_DEEP, P_FLOW, P_HOW, P_ROOM, P_REGS, P_LOCAL,
) = range(len(NAMES))  # fmt: skip
A, B_, OUT = 1, 2, 4  # operands as bits of a mask
# Figures of a mapping, without what is the same for all: DRAM bits, array cycles, bits that the array waits
# for, bits that are read and written in the buffer; where registers are priced, bits of what is stationary
# that are written into them, by each pass anew; and where sums have a memory of their own, bits of them that are
# read there, and as many written. `P_LOCAL` is its room in bits, -1 where there is none.
MOVED, CYCLES, EXPOSED, READS, WRITES, REGISTERS, LOCAL = range(7)
FIGURES = 7
# Behind them what is not compared: bits of sums that go to DRAM, bits of room in the buffer.
SPILLS, TAKEN = FIGURES, FIGURES + 1
KEYS = FIGURES + 2


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
    first: int, second: int, lacks: int, held: int, x: int, y: int, s: tuple, p: tuple, dims: tuple
) -> tuple[int, int, bool]:
    """Of an operand of two dims: elements that lie in the buffer, how many tiles they are, whether it is all."""
    elements, tiles, covered = 1, 1, True
    for dim in (first, second):
        if held and ((lacks == x) or (lacks == y and dim != x)):
            elements *= dims[dim]
            tiles *= p[dim]
        else:
            elements *= s[dim]
            covered = covered and p[dim] == 1
    return elements, tiles, covered


@njit
def places_of(
    operand: int, first: int, second: int, lacks: int, held: int, single: int, B: int, x: int, y: int,
    s: tuple, p: tuple, most: tuple, dims: tuple,
) -> tuple[int, bool]:  # fmt: skip
    """Elements of a or b for which the buffer has places; whether the array waits for its loads."""
    held = (held & operand) if most[lacks] > 1 else 0
    elements, tiles, _ = region(first, second, lacks, held, x, y, s, most, dims)
    if held and p[lacks] == 1:  # a box in which it may be held or not
        return region(first, second, lacks, 0, x, y, s, most, dims)[0], False
    if tiles == 1 and (B > 1 or not region(first, second, lacks, held, x, y, s, p, dims)[2]):
        if single & operand:
            return elements, True
        return 2 * elements, False
    return elements, False


@njit
def sum_places(
    c: Array, dims: tuple, vo: int, stay: bool, x: int, y: int, held: int, single: int, s: tuple, p: tuple
) -> int:
    """Accumulators in the buffer or the local memory; -1 where rows are asked for and do not become whole."""
    z = 3 - x - y
    lasting = (held & OUT) and z != 2
    if c[P_ROWS]:
        before = x == 0 or (y == 0 and x == 2)  # M is outside of N
        in_turn = (x == 0 and y == 1) or (p[2] == 1 and before)
        if vo > 1 or not (p[1] == 1 or (lasting and x != 1) or in_turn):
            return -1
        if p[2] == 1 or not lasting:
            return s[0] * c[P_N]
    if vo > 1:
        return s[0] * s[1] * (1 if single & OUT else 2)
    if p[2] == 1:
        return 0 if c[P_FLOW] == 0 or c[P_K] <= c[P_DEEP] else s[0] * s[1]
    if stay:
        return 0
    return region(0, 1, 2, held & OUT, x, y, s, p, dims)[0]


@njit
def of_block(along: int, number: int, three: tuple) -> tuple:
    """Three numbers of which that along a dim is another one within a block."""
    if along == 0:
        return (number, three[1], three[2])
    if along == 1:
        return (three[0], number, three[2])
    return three


@njit
def reads_of(flow: int, p: tuple, work: tuple, k_parts: int) -> tuple[int, int, int]:
    """How often the array reads a and b, and writes sums, as `nest.array_traffic`."""
    if flow == 0:
        return work[1], work[0], k_parts
    return (work[1], p[0], work[2]) if flow == 1 else (p[1], work[0], work[2])


@njit
def figures(
    c: Array, x: int, y: int, held: int, single: int, along: int, s: tuple, p: tuple, most: tuple, work: tuple,
    tiles: int, blocks: int, size: int, key: Array,
) -> bool:  # fmt: skip
    """Figures of a mapping, or a bound of them over a box; False: it is not legal.

    `s`: sizes of a tile; `most`: the most passes along each dim in the box, `p` of a single mapping. `single` -1
    stands for all choices: room as if each operand had a single place, and nothing waits. `along`: the dim of
    which a block has so many `tiles` and this `size`, or -1; how many `blocks` there are.
    """
    M, N, K = c[P_M], c[P_N], c[P_K]
    z = 3 - x - y
    B, flow, R, C = c[P_B], c[P_FLOW], c[P_R], c[P_C]
    within = of_block(along, tiles, p)
    most_within = of_block(along, tiles, most)
    dims = (M, N, K)
    again = B
    if along >= 0:
        dims = of_block(along, size, dims)
        again = 2
    if along == 1 and c[P_ROWS]:
        return False
    vo = visits(2, held & OUT, x, y, within[x], within[y], within[z])
    stay = flow == 0 and z == 2 and s[0] <= R and s[1] <= C
    bits = sum_places(c, dims, vo, stay, x, y, held, single, s, within) * c[P_SB]
    if bits < 0:
        return False
    local = c[P_LOCAL] >= 0
    if local and bits > c[P_LOCAL]:
        return False
    bits = 0 if local else bits
    waits_a = waits_b = False
    if c[P_AM]:
        elements, waits_a = places_of(A, 0, 2, 1, held, single, again, x, y, s, within, most_within, dims)
        bits += elements * c[P_AB]
    if c[P_BM] and not c[P_BYPASS]:
        elements, waits_b = places_of(B_, 2, 1, 0, held, single, again, x, y, s, within, most_within, dims)
        bits += elements * c[P_BB]
    if bits > c[P_ROOM]:
        return False
    va = visits(1, held & A, x, y, within[x], within[y], within[z])
    vb = visits(0, held & B_, x, y, within[x], within[y], within[z])
    if along == 1:
        va = blocks if va == 1 else p[1]
    if along == 0:
        vb = blocks if vb == 1 else p[0]
    k_parts = 1 if stay else p[2]
    read_a, read_b, sums = reads_of(flow, p, work, k_parts)
    a = B * M * K * c[P_AB] * c[P_AM] * va
    if c[P_BYPASS] and not (flow == 1 and (most_within[0] == 1 or (z == 0 and s[2] <= R and s[1] <= C))):
        vb = read_b
    b = B * K * N * c[P_BB] * c[P_BM] * vb
    spills = B * M * N * c[P_SB] * (vo - 1)
    key[MOVED] = a + b + 2 * spills
    key[EXPOSED] = 0
    if single > 0:
        key[EXPOSED] = (2 * spills if single & OUT else 0) + (a if waits_a else 0) + (b if waits_b else 0)
    sum_bits = B * sums * M * N * c[P_SB] + spills
    key[LOCAL] = sum_bits if local else 0
    sum_bits = 0 if local else sum_bits
    reads = B * (read_a * M * K * c[P_AB] + (0 if c[P_BYPASS] else read_b * K * N * c[P_BB]))
    key[READS] = reads + sum_bits
    key[WRITES] = sum_bits + a + (0 if c[P_BYPASS] else b)
    key[REGISTERS] = c[P_REGS] * (p[1] if flow == 2 else p[0])
    key[SPILLS], key[TAKEN] = spills, bits
    key[CYCLES] = B * steady(c, p, most, work, k_parts) if c[P_ON] else 0
    return True


@njit
def steady(c: Array, p: tuple, most: tuple, work: tuple, k_parts: int) -> int:
    """Steady cycles of all passes of one product, see `nest.array_cycles`."""
    flow, how, R, C = c[P_FLOW], c[P_HOW], c[P_R], c[P_C]
    if flow == 0:
        folds, T, streamed, line, many = work[0] * work[1], c[P_K], k_parts, work[2], most[2]
    elif flow == 1:
        folds, T, streamed, line, many = work[2] * work[1], c[P_M], p[0], work[0], most[0]
    else:
        folds, T, streamed, line, many = work[2] * work[0], c[P_N], p[1], work[1], most[1]
    if how == 0:
        if flow == 0:
            return work[1] * (work[0] * T + k_parts * (c[P_M] - work[0]))
        return folds * line
    if how == 1:
        return folds * T
    if how == 2:
        return folds * (streamed * (2 * R + C - 2) + T)
    skew = (R if flow == 0 else 2 * R) + C - 2
    if flow == 0 and k_parts == 1 and p[2] > 1:
        many = 1
    passes = most[0] * most[1] * (many if flow == 0 else most[2])
    # A pass is one cycle shorter than its folds, of which it has at least one.
    return max(folds * (streamed * skew + T) - passes, folds * (streamed * skew + T - many))
