"""An array's way through one product, fold by fold: cycles, words, registers, toggles.

What `costmodel.hardware.timing` says in closed forms, found by walking; `array.py` steps every register and is the
witness of both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from costmodel.hardware.timing import ArrayShape, Product
from sim.integer.views import Array


@dataclass(frozen=True)
class Walk:
    """One product on an array, in words and cycles."""

    steady_cycles: int  # until the next product can begin
    cycles: int  # until its last result has left
    a_reads: int
    b_reads: int
    sum_reads: int  # partial sums of folds, read back
    sum_writes: int
    a_writes: int  # into PE registers
    b_writes: int
    sum_register_writes: int


def spans(total: int, size: int) -> Iterator[int]:
    """Lengths of the pieces of at most `size` that a total is cut into."""
    return (min(size, total - start) for start in range(0, total, size))


def part_in_use(product: Product, array: ArrayShape, dataflow: str) -> ArrayShape:
    """The part of an array that runs: no row or column more than its number of folds needs."""
    down, across = {
        "os": (product.M, product.N),
        "ws": (product.K, product.N),
        "is": (product.K, product.M),
    }[dataflow]
    rows = min(down, array.R)  # folds of K are as deep as the array, so that sums have one order
    if dataflow == "os":
        rows = next(r for r in range(1, array.R + 1) if len(range(0, down, r)) == len(range(0, down, array.R)))
    columns = next(c for c in range(1, array.C + 1) if len(range(0, across, c)) == len(range(0, across, array.C)))
    return ArrayShape(rows, columns)


@lru_cache(maxsize=4096)
def walk(product: Product, array: ArrayShape, dataflow: str) -> Walk:
    """Folds one after the other, column of folds by column of folds."""
    if dataflow == "os":
        return walk_os(product, array)
    if dataflow == "is":  # weight stationary of the transposed product, operands exchanged
        w = walk_ws(Product(product.N, product.M, product.K), array)
        return Walk(
            w.steady_cycles, w.cycles, w.b_reads, w.a_reads, w.sum_reads, w.sum_writes, w.b_writes, w.a_writes,
            w.sum_register_writes,
        )  # fmt: skip
    return walk_ws(product, array)


def walk_os(product: Product, array: ArrayShape) -> Walk:
    start = end = a = b = outputs = pairs = 0
    T = product.K
    for columns in spans(product.N, array.C):
        for rows in spans(product.M, array.R):
            # The last row is done T + rows - 2 after the first column began; all rows drain below.
            end = max(end, start + T + rows + array.R - 2 + columns)
            start += T + rows - 1
            a += rows * T
            b += columns * T
            outputs += rows * columns
            pairs += rows * columns * T
    return Walk(start, end, a, b, 0, outputs, pairs, pairs, pairs)


def walk_ws(product: Product, array: ArrayShape) -> Walk:
    start = end = a = b = pairs = reads = writes = stationary = sums = 0
    T, R = product.M, array.R
    for columns in spans(product.N, array.C):
        for place, deep in enumerate(spans(product.K, R)):
            end = max(end, R + start + T + R - 1 + columns)
            start += max(T, 2 * R)
            a += deep * T
            b += deep * columns
            writes += T * columns
            reads += T * columns if place else 0
            pairs += deep * columns * T
            sums += R * columns * T  # a sum passes all rows
            # An operand for row r passes r + 1 registers, and one more as it is taken over.
            stationary += columns * (deep * (deep + 1) // 2 + deep)
    return Walk(start, end, a, b, reads, writes, pairs, stationary, sums)


# Toggles: bits at the ports of PEs that differ from those of the pair before


def popcount(x: Array) -> Array:
    return np.bitwise_count(x.astype(np.int64).view(np.uint64))


def toggles(a: Array, b: Array, array: ArrayShape, dataflow: str, bits: tuple[int, int]) -> int:
    """Over all PEs, of one product a [M,K], b [K,N] whose folds follow each other; the first pair toggles none.

    A PE that a fold does not use keeps what it had.
    """
    if dataflow == "is":
        return toggles(b.T, a.T, array, "ws", (bits[1], bits[0]))
    masks = [(1 << n) - 1 for n in bits]
    left, right = (x.astype(np.int64) & mask for x, mask in zip((a, b), masks, strict=True))
    M, K = left.shape
    N = right.shape[1]
    last_a = np.full((array.R, array.C), -1, np.int64)
    last_b = last_a.copy()
    total = 0
    for c in range(0, N, array.C):
        columns = min(array.C, N - c)
        if dataflow == "os":
            for r in range(0, M, array.R):
                rows = min(array.R, M - r)
                x, y = left[r : r + rows], right[:, c : c + columns]
                total += int(popcount(x[:, 1:] ^ x[:, :-1]).sum()) * columns
                total += int(popcount(y[1:] ^ y[:-1]).sum()) * rows
                first = (np.broadcast_to(x[:, :1], (rows, columns)), np.broadcast_to(y[:1], (rows, columns)))
                total += changed(last_a, first[0]) + changed(last_b, first[1])
                last_a[:rows, :columns], last_b[:rows, :columns] = x[:, -1:], y[-1:]
            continue
        for k in range(0, K, array.R):
            deep = min(array.R, K - k)
            x, y = left[:, k : k + deep], right[k : k + deep, c : c + columns]
            total += int(popcount(x[1:] ^ x[:-1]).sum()) * columns
            total += changed(last_a, np.broadcast_to(x[:1].T, (deep, columns))) + changed(last_b, y)
            last_a[:deep, :columns], last_b[:deep, :columns] = x[-1:].T, y
    return total


def changed(last: Array, now: Array) -> int:
    """Bits by which what PEs get now differs from what they had, where they had something."""
    before = last[: now.shape[0], : now.shape[1]]
    return int(popcount(np.where(before >= 0, before ^ now, 0)).sum())
