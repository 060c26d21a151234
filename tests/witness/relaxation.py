"""What no mapping of a product goes below: a relaxation over real sizes of tiles, apart from the search.

For every structure (order, held, single), and every pair of numbers of passes along the two outer dims, tiles
have the size D / p, rounded up; the inner dim's size is any whole number of an interval. Folds of
the array are the fewest that so many passes can have. Each relaxed figure is at most that of every mapping
with integer sizes in the box. Intervals are halved until their bound is above `target` or they are one size.
The least bound of all boxes is the answer. What is the same for all mappings, the ends, is counted by hand.

A product that runs by blocks of M or N: the operand that lacks the dim comes at least once for each block, what is
held of a block has at least the dim's share, and everything else is as without blocks. Every number of blocks is
looked at, until what comes so often is by itself above the least bound.

The formulas are written anew here, in floating point, so that a mistake in `front_search.py`, or in the claim
of `nest_sizes.py` that certain sizes are enough, would show as a mapping below its bound. Convention `array`.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from costmodel.errors import CostModelError
from costmodel.hardware.timing import ArrayShape, Product, steady_cycles, tail_cycles
from costmodel.mapping.nest_records import Machine, Problem

Array = np.ndarray[Any, Any]
njit = numba.njit(cache=True, error_model="numpy")
FREE = 15  # every operand has a single place, and nothing waits for it
SLACK = 1e-9  # of floats that round in another order
OBJECTIVES = ("cycles", "energy", "edp", "bytes")
ORDERS = ("MNK", "MKN", "NMK", "NKM", "KMN", "KNM")
LACKS = {"a": "N", "b": "M", "out": "K"}


def lower_bound(problem: Problem, machine: Machine, objective: str, target: float) -> float:
    """A bound below the figure of every mapping; refined until it reaches `target`, as far as it can.

    Where the array may run as a smaller one, each such part is bounded: by what its steady cycles and its fill
    and drain take, by what is the least without an array, and where neither reaches `target` by itself.

    Raises:
        CostModelError: another convention than `array`, an unknown objective.
    """
    if machine.convention != "array":
        raise CostModelError(f"the relaxation knows the array convention, not {machine.convention!r}")
    product, operands = problem.product, problem.operands
    array, ends = part_of(product, machine), ends_of(problem, machine)
    dims = np.array([product.M, product.N, product.K], float)
    flow = ("os", "ws", "is").index(machine.dataflow)
    steady = problem.B * steady_cycles(product, array, machine.dataflow, "array") * operands.on_array
    counts = [distinct_parts(dim) for dim in (product.M, product.N, product.K)]
    if flow > 0:
        counts[2] = distinct_parts(product.K, array.R)
    stream = stream_table(product, machine, array.R)
    speed = 8 * machine.bandwidth_mb_s / machine.clock_mhz
    numbers = np.array(
        [
            *(problem.B, operands.a_bits, operands.b_bits, operands.accumulator_bits, operands.out_bits),
            *(operands.a_moves, operands.b_moves, operands.out_moves, operands.b_bypasses, operands.on_array),
            *(operands.extra_bits, operands.vector_cycles, problem.whole_rows, array.R, array.C, flow),
            *(8 * machine.buffer_bytes, speed, steady, ends),
            *(machine.buffer_read_pj, machine.buffer_write_pj, machine.dram_pj, problem.arithmetic_pj),
            *(OBJECTIVES.index(objective), target, machine.array.R, operands.inside_bits, operands.also_bits),
            *(8 * machine.buffer_read_bytes, 8 * machine.buffer_write_bytes),
            *(8 * machine.local_bytes, 8 * machine.local_read_bytes, 8 * machine.local_write_bytes),
            machine.local_read_pj + machine.local_write_pj,
        ],
        float,
    )
    least = np.inf
    for along, blocks in block_counts(product):
        floor = floor_of(numbers, dims, along, blocks) if blocks > 1 else 0.0
        if floor >= min(target, least):
            least = min(least, floor)
            continue
        for order in ORDERS:
            x, y, z = ("MNK".index(dim) for dim in order)
            may = [i for i, op in enumerate(("a", "b", "out")) if LACKS[op] != order[2]]
            for held in (0, 1 << may[0], 1 << may[1], 1 << may[0] | 1 << may[1]):
                cut = (along, float(blocks))
                least = min(least, least_of(numbers, dims, counts[x], counts[y], x, y, z, held, cut, stream))
    return float(least * (1 - SLACK))


def block_counts(product: Product) -> list[tuple[int, int]]:
    """Along which dim a product is cut into how many blocks: not at all; then M (0) and N (1), two tiles each."""
    dims = enumerate((product.M, product.N))
    return [(-1, 1), *((d, blocks) for d, dim in dims for blocks in range(2, dim // 2 + 1))]


def floor_of(n: Array, dims: Array, along: int, blocks: int) -> float:
    """What no mapping by so many blocks goes below: every operand comes once, and one of them for each block."""
    B, wa, wb, wo, bypass = n[0], n[1], n[2], n[4], n[8]
    M, N, K = dims
    a = B * M * K * wa * n[5] * (blocks if along == 1 else 1)
    b = B * K * N * wb * n[6] * (blocks if along == 0 and not bypass else 1)  # past the buffer: as the array reads
    moved = a + b + B * M * N * wo * n[7]
    if n[24] == 3:
        return float(moved)
    moved += n[10]
    energy = moved * n[22] + (a + (0.0 if bypass else b)) * (n[20] + n[21]) + n[23]
    cycles = max(n[18], n[11], moved / n[17]) + n[19]
    return float({0: cycles, 1: energy, 2: energy * cycles}[int(n[24])])


def part_of(product: Product, machine: Machine) -> ArrayShape:
    """The array that runs: as many folds as all of it has, made even; folds of K go as deep as they can."""
    M, N, K = product.M, product.N, product.K
    R, C = machine.array.R, machine.array.C
    down, across = {"os": (M, N), "ws": (K, N), "is": (K, M)}[machine.dataflow]
    columns = next(c for c in range(1, C + 1) if -(-across // c) == -(-across // C))
    if machine.dataflow != "os":
        return ArrayShape(min(R, K), columns)
    return ArrayShape(next(r for r in range(1, R + 1) if -(-down // r) == -(-down // R)), columns)


def ends_of(problem: Problem, machine: Machine) -> int:
    """What nothing hides: what is stationary and the first line that streams, fill and drain, the last line."""
    product, o = problem.product, problem.operands
    if not o.on_array:
        return 0
    array = part_of(product, machine)
    rows, columns, deep = min(product.M, array.R), min(product.N, array.C), min(product.K, array.R)
    if machine.dataflow == "os":
        a, b, lines = rows, columns, rows * (product.N if problem.whole_rows else columns)
    elif machine.dataflow == "ws":
        a, b, lines = deep, deep * columns, product.N if problem.whole_rows else columns
    else:
        across = min(product.M, array.C)
        a, b, lines = deep * across, deep, across * (product.N if problem.whole_rows else 1)
    first = machine.dma_cycles(a * o.a_bits * o.a_moves + b * o.b_bits * o.b_moves)
    last = machine.dma_cycles(lines * o.out_bits * o.out_moves)
    return first + tail_cycles(product, array, machine.dataflow, "array") + last


def distinct_parts(dim: int, fold: int = 1) -> Array:
    """All numbers of passes that an integer size gives: all of a dim, or so many folds of it."""
    sizes = np.append(np.arange(fold, dim + 1, fold, dtype=np.int64), dim)
    return np.unique(-(-dim // sizes)).astype(float)


def stream_table(product: Product, machine: Machine, R: int) -> Array:
    """Under ws and is: by passes of what streams, the least cycles of all folds along K together."""
    if machine.dataflow == "os":
        return np.zeros(2)
    T = product.M if machine.dataflow == "ws" else product.N
    passes = np.arange(T + 1)
    return (-(-product.K // R) * np.maximum(T, 2 * R * passes)).astype(float)


@njit
def least_of(
    n: Array, dims: Array, xs: Array, ys: Array, x: int, y: int, z: int, held: int, cut: tuple, stream: Array
) -> float:
    """The least bound of an order and of what is held in it, over all that may have a single place.

    `cut`: the dim along which the product is cut into blocks, or -1, and how many there are.
    """
    least = np.inf
    target, Z = n[25], dims[z]
    for px in xs:
        for py in ys:
            # Single places that cost no time are below all that do; for energy and bytes they cost none.
            free = relaxed(n, dims, px, py, x, y, z, held, FREE, Z, Z, cut, stream)
            if Z > 1:
                free = min(free, relaxed(n, dims, px, py, x, y, z, held, FREE, 1.0, Z - 1, cut, stream))
            if free >= target or free >= least:
                least = min(least, free)
                continue
            if n[24] == 1 or n[24] == 3:
                least = min(least, halved(n, dims, px, py, x, y, z, held, FREE, cut, stream, least))
            else:
                for single in range(8):
                    least = min(least, halved(n, dims, px, py, x, y, z, held, single, cut, stream, least))
    return least


@njit
def halved(
    n: Array,
    dims: Array,
    px: float,
    py: float,
    x: int,
    y: int,
    z: int,
    held: int,
    single: int,
    cut: tuple,
    stream: Array,
    least: float,
) -> float:
    """The least bound over the sizes of the inner dim, whose intervals are halved while it helps."""
    target, Z = n[25], dims[z]
    least = min(least, relaxed(n, dims, px, py, x, y, z, held, single, Z, Z, cut, stream))
    if Z < 2:
        return least
    low, high = np.empty(64), np.empty(64)
    low[0], high[0] = 1.0, Z - 1
    top = 1
    while top:
        top -= 1
        a, b = low[top], high[top]
        found = relaxed(n, dims, px, py, x, y, z, held, single, a, b, cut, stream)
        if found >= target or found >= least or a == b:
            least = min(least, found)
        else:
            middle = np.floor(np.sqrt(a * b))
            low[top], high[top] = a, middle
            low[top + 1], high[top + 1] = middle + 1, b
            top += 2
    return least


@njit
def relaxed(
    n: Array,
    dims: Array,
    px: float,
    py: float,
    x: int,
    y: int,
    z: int,
    held: int,
    single: int,
    low: float,
    high: float,
    cut: tuple,
    stream: Array,
) -> float:
    """The figure with outer tiles of real sizes, the inner one of a size between `low` and `high`."""  # fmt: skip
    B, wa, wb, ws, wo = n[0], n[1], n[2], n[3], n[4]
    moves_a, moves_b, moves_o, bypass, on, extra, vector, rows = n[5], n[6], n[7], n[8], n[9], n[10], n[11], n[12]
    R, C, flow, room, speed, together, ends = n[13], n[14], n[15], n[16], n[17], n[18], n[19]
    s, p = np.empty(3), np.empty(3)
    s[x], s[y], s[z] = np.ceil(dims[x] / px - 1e-9), np.ceil(dims[y] / py - 1e-9), low
    p[x], p[y] = px, py
    p[z] = 1.0 if high >= dims[z] else max(2.0, np.ceil(dims[z] / high - 1e-9))
    along, blocks = cut
    M, N, K = dims
    if along >= 0:
        most = dims[along] / (low if along == z else s[along])  # tiles that there can be
        if most <= blocks or (rows and along == 1):
            return np.inf
        p[along] = max(p[along], blocks + 1)
    within, block = p.copy(), dims.copy()
    if along >= 0:
        within[along] = max(2.0, np.ceil(p[along] / blocks - 1e-9))  # or more
        block[along] = max(dims[along] / blocks, within[along] * s[along])
    comes = np.ones(3)  # of the operands that lack N, M, K
    room_of, waits = np.empty(3), np.zeros(3, np.bool_)
    for op in range(3):
        lacks = 1 if op == 0 else (0 if op == 1 else 2)
        one, two = (0, 2) if op == 0 else ((2, 1) if op == 1 else (0, 1))
        holds = held >> op & 1 and within[lacks] > 1
        inner = 1.0
        if lacks == y:
            inner = within[z]
        elif lacks == x:
            inner = max(within[y], within[z])
        if lacks == along:
            comes[op] = blocks
        if lacks != z and not holds and inner > 1:
            comes[op] = max(p[lacks], comes[op])
        elements, tiles, whole = 1.0, 1.0, True
        for d in (one, two):
            if holds and (lacks == x or (lacks == y and d == z)):
                elements *= block[d]
                tiles *= within[d]
            else:
                elements *= s[d]
                whole = whole and within[d] == 1
        again = op < 2 and tiles == 1 and (not whole or B > 1 or along >= 0)
        if again and not single >> op & 1:
            elements *= 2
        waits[op] = again and single >> op & 1 and single != FREE
        room_of[op] = elements
    bits = room_of[0] * wa * moves_a + (0.0 if bypass else room_of[1] * wb * moves_b)
    apart, places = n[31] > 0, 0.0  # sums have a memory of their own
    lasts = held >> 2 & 1 and z != 2  # sums of more than a tile
    # Rows become whole: N uncut, or all their sums held, or one tile of them behind the other.
    row_by_row = (x == 0 and y == 1) or (p[2] == 1 and (x == 0 or (y == 0 and x == 2)))
    if rows and (comes[2] > 1 or not (p[1] == 1 or (lasts and x != 1) or row_by_row)):
        return np.inf
    stays = flow == 0 and z == 2 and s[0] <= R * (1 + 1e-12) and s[1] <= C * (1 + 1e-12)
    if comes[2] > 1:
        places = s[0] * s[1] * (1 if single >> 2 & 1 else 2)
    elif rows and (p[2] == 1 or not lasts):
        places = s[0] * N
    elif p[2] == 1:
        if flow > 0 and n[26] < K:
            places = s[0] * s[1]
    elif not stays:
        places = room_of[2]
    if apart and places * ws > n[31] * (1 + 1e-12):
        return np.inf
    if bits + (0.0 if apart else places * ws) > room * (1 + 1e-12):
        return np.inf
    # Folds: at least one a pass; no fewer than those of the uncut dim; all passes but the last are full.
    fold = np.empty(3)
    for d in range(3):
        unit = R if (flow == 0 and d == 0) or (flow > 0 and d == 2) else C
        fold[d] = max(np.ceil(dims[d] / unit), p[d])
        fold[d] = max(fold[d], (p[d] - 1) * np.ceil(s[d] / unit - 1e-9) + 1)
        if d == z and p[z] == np.ceil(dims[z] / low - 1e-9):  # as many passes all over: the last has what is left
            last = dims[z] - (p[z] - 1) * high
            fold[d] = max(fold[d], (p[d] - 1) * np.ceil(low / unit - 1e-9) + np.ceil(last / unit - 1e-9))
    drains = 1.0 if stays else p[2]
    if flow == 0:
        read_a, read_b, sums = fold[1], fold[0], drains
    elif flow == 1:
        read_a, read_b, sums = fold[1], p[0], fold[2]
    else:
        read_a, read_b, sums = p[1], fold[0], fold[2]
    a = B * M * K * wa * moves_a * comes[0]
    b = B * K * N * wb * moves_b * comes[1]
    if bypass:
        once = flow == 1 and z == 0
        b = B * K * N * wb * moves_b * (1.0 if once else read_b)
    spills = B * M * N * ws * (comes[2] - 1)
    dram = a + b + 2 * spills + B * M * N * wo * moves_o
    if n[24] == 3:
        return dram
    moved = dram + extra
    summed = B * sums * M * N * ws + spills  # bits of sums that are read, and as many written
    here, there = (0.0, summed) if apart else (summed, 0.0)
    reads = B * (read_a * M * K * wa + (0.0 if bypass else read_b * K * N * wb)) + here
    reads += extra + n[27]
    writes = here + a + (0.0 if bypass else b) + extra + n[28]
    writes += 0.0 if moves_o else B * M * N * wo
    energy = moved * n[22] + reads * n[20] + writes * n[21] + there * n[34] + n[23]
    if n[24] == 1:
        return energy
    alone = 2 * spills if single >> 2 & 1 and single != FREE else 0.0
    if waits[0] and moves_a:
        alone += a
    if waits[1] and moves_b and not bypass:
        alone += b
    array = 0.0
    if on:
        if flow == 0:
            array = B * fold[1] * (fold[0] * K + drains * (M - fold[0]))
        elif flow == 1:
            array = B * fold[1] * stream[int(np.ceil(p[0] - 1e-9))]
        else:
            array = B * fold[0] * stream[int(np.ceil(p[1] - 1e-9))]
    ports = max(max(reads / n[29], writes / n[30]), max(there / n[32], there / n[33]))
    cycles = max(max(max(array, together, vector) + alone / speed, moved / speed), ports) + ends
    return cycles if n[24] == 0 else energy * cycles
