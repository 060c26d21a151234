"""The PE array, stepped register by register: the meaning of `costmodel.hardware.timing`'s `array` convention.

Small sizes only: every register of every PE moves in every cycle, in plain Python integers. Operands
are handed to the edges as the skew demands; what leaves the bottom is collected with its cycle.

PE kinds: `mac` adds a b, `l1` adds |a - b|, `clip` adds clip(b, -a, a) for a >= 0, `relu` adds
max(b - a, 0). A pair with a missing operand (a bubble, None) adds nothing.

Accumulators have a type, and wrap or saturate after each term (`exact` refuses). Under `os` a PE adds its
terms in the order of K. Under `ws` and `is` a sum grows from row to row, in the order of K within a fold;
the folds of K are added in the buffer, in accumulators of the same type.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from costmodel.dtypes import Int
from costmodel.hardware.pe import PE_KINDS
from costmodel.hardware.timing import ArrayShape, Product, folds_of
from sim.integer.fixed import fit

Matrix = list[list[int]]
Register = int | None

WIDE = Int(64)
Fit = Callable[[int], int]


@dataclass(frozen=True)
class Stepped:
    """What came out, after how many cycles, and the work that was done."""

    result: Matrix
    cycles: int
    steps: int  # pairs of operands taken in
    first_output_cycle: int  # when the first result left the array, counted from 1
    a_writes: int  # words of a that registers of PEs took
    b_writes: int
    sum_writes: int
    toggled_bits: int  # at the ports of PEs, from one pair that a PE takes in to its next


class Ports:
    """The pairs that PEs last took in, and how many bits have changed."""

    def __init__(self, bits: tuple[int, int]) -> None:
        self.masks = [(1 << n) - 1 for n in bits]
        self.last: dict[tuple[int, int], tuple[int, int]] = {}
        self.toggled = 0

    def take(self, r: int, c: int, x: int, y: int) -> None:
        pair = (x & self.masks[0], y & self.masks[1])
        if (r, c) in self.last:
            self.toggled += sum((new ^ old).bit_count() for new, old in zip(pair, self.last[r, c], strict=True))
        self.last[r, c] = pair


def run(
    a: Matrix,
    b: Matrix,
    array: ArrayShape,
    dataflow: str,
    kind: str,
    accumulator: Int = WIDE,
    mode: str = "exact",
    bits: tuple[int, int] = (8, 8),
) -> Stepped:
    """a [M,K], b [K,N] -> [M,N], sums of the PE kind's terms over K in accumulators of a type.

    `bits` of an element of a and of b, as they stand at the ports.

    Raises:
        CostModelError: unknown dataflow, or in mode `exact` a sum that does not fit.
    """

    def held_in(total: int) -> int:
        return fit(total, accumulator, mode)

    product = Product(len(a), len(b[0]), len(b))
    folds_of(product, array, dataflow)
    if dataflow == "os":
        return run_os(a, b, product, array, PE_KINDS[kind].term, held_in, Ports(bits))
    term = PE_KINDS[kind].term
    if dataflow == "ws":
        return run_stationary(a, b, product, array, term, held_in, Ports(bits))
    # Input stationary is weight stationary of the transposed product, operands exchanged.
    turned = Product(product.N, product.M, product.K)
    ports = Ports(bits[::-1])
    stepped = run_stationary(transpose(b), transpose(a), turned, array, lambda x, y: term(y, x), held_in, ports)
    return replace(stepped, result=transpose(stepped.result), a_writes=stepped.b_writes, b_writes=stepped.a_writes)


def transpose(matrix: Matrix) -> Matrix:
    return [list(column) for column in zip(*matrix, strict=True)]


def spans(total: int, size: int) -> list[range]:
    """0..total cut into ranges of at most `size`."""
    return [range(start, min(start + size, total)) for start in range(0, total, size)]


def move_right(registers: list[list[Register]]) -> None:
    """Every PE hands its operand to the right; the left column is empty."""
    for row in registers:
        row[:] = [None, *row[:-1]]


def move_down(registers: list[list[Any]]) -> list[Any]:
    """Every PE hands what it holds down; the top row is empty. Returns what leaves the bottom."""
    *above, bottom = registers
    registers[:] = [[None] * len(bottom), *above]
    return bottom


def run_os(
    a: Matrix,
    b: Matrix,
    product: Product,
    array: ArrayShape,
    term: Callable[[int, int], int],
    held_in: Fit,
    ports: Ports,
) -> Stepped:
    """Outputs stay. Folds follow each other at T + r' - 1 cycles."""
    R, C, T = array.R, array.C, product.K
    folds = [(rows, columns) for columns in spans(product.N, C) for rows in spans(product.M, R)]
    starts, at = [], 0
    for rows, _ in folds:
        starts.append(at)
        at += T + len(rows) - 1
    moving_right: list[list[Register]] = [[None] * C for _ in range(R)]
    moving_down: list[list[Register]] = [[None] * C for _ in range(R)]
    # An accumulator holds a sum and the output that it belongs to, or nothing.
    held: list[list[tuple[int, int, int] | None]] = [[None] * C for _ in range(R)]
    result = [[0] * product.N for _ in range(product.M)]
    left_to_come, cycle, steps, first = product.M * product.N, 0, 0, 0
    while left_to_come:
        # 1. Columns that drain: below row j all moves down one row, and the bottom leaves. Rows above
        #    are free for the next fold; two folds can drain one behind the other.
        for c in range(C):
            limit = R
            for start, (rows, columns) in zip(starts, folds, strict=True):
                j = cycle - (start + T + len(rows) + c - 1)
                if not (0 <= j < R and c < len(columns)):
                    continue
                out = held[R - 1][c] if limit == R else None
                for r in range(min(limit, R - 1), j, -1):
                    held[r][c] = held[r - 1][c]
                held[j][c] = None
                limit = j
                if out is not None:
                    value, i, column = out
                    result[i][column] = value
                    left_to_come -= 1
                    first = first or cycle + 1
        # 2. Operands move one PE on, and enter at the edges.
        move_right(moving_right)
        move_down(moving_down)
        for start, (rows, columns) in zip(starts, folds, strict=True):
            for r, i in enumerate(rows):
                if 0 <= cycle - start - r < T:
                    moving_right[r][0] = a[i][cycle - start - r]
            for c, j in enumerate(columns):
                if 0 <= cycle - start - c < T:
                    moving_down[0][c] = b[cycle - start - c][j]
        # 3. Every PE with a pair takes it in.
        for start, (rows, columns) in zip(starts, folds, strict=True):
            for r, i in enumerate(rows):
                for c, j in enumerate(columns):
                    if 0 <= cycle - start - r - c < T:
                        x, y = moving_right[r][c], moving_down[r][c]
                        assert x is not None, "the skew brings both operands together"
                        assert y is not None, "the skew brings both operands together"
                        old = held[r][c]
                        assert old is None or old[1:] == (i, j), "the accumulator still holds another output"
                        held[r][c] = (held_in((old[0] if old else 0) + term(x, y)), i, j)
                        steps += 1
                        ports.take(r, c, x, y)
        cycle += 1
    # Each pair came by two registers, and was added in a third.
    return Stepped(result, cycle, steps, first, steps, steps, steps, ports.toggled)


def run_stationary(
    a: Matrix,
    b: Matrix,
    product: Product,
    array: ArrayShape,
    term: Callable[[int, int], int],
    held_in: Fit,
    ports: Ports,
) -> Stepped:
    """b stays, one fold of R x C of it at a time; rows of a stream through, sums move down.

    Stationary operands shift in from above, R cycles, into the register behind; PE (r,c) takes its
    own over as the first row of the fold arrives. Sums of the folds of K are added outside, in a buffer.
    """
    R, C, T = array.R, array.C, product.M
    folds = [(deep, columns) for columns in spans(product.N, C) for deep in spans(product.K, R)]
    starts = [R + n * max(T, 2 * R) for n in range(len(folds))]
    # The register chain of each column, shifting down; a fold's operands enter bottom row first.
    behind: list[list[Register]] = [[None] * C for _ in range(R)]
    stationary: list[list[Register]] = [[None] * C for _ in range(R)]
    moving_right: list[list[Register]] = [[None] * C for _ in range(R)]
    # A sum on its way down, with the output that it belongs to.
    moving_down: list[list[tuple[int, int, int] | None]] = [[None] * C for _ in range(R)]
    result = [[0] * product.N for _ in range(product.M)]
    left_to_come, cycle, steps, first = sum(T * len(columns) for _, columns in folds), 0, 0, 0
    b_writes = sum_writes = 0
    while left_to_come:
        # 1. Stationary operands of the next fold shift in, column c one cycle after column c - 1.
        for n, (deep, columns) in enumerate(folds):
            for c, j in enumerate(columns):
                into = cycle - (starts[n] - R) - c
                if 0 <= into < R:
                    for r in range(R - 1, 0, -1):
                        behind[r][c] = behind[r - 1][c]
                    row = R - 1 - into
                    behind[0][c] = b[deep[row]][j] if row < len(deep) else None
                    b_writes += sum(row + r < len(deep) for r in range(into + 1))  # this fold's, row by row
        # 2. Sums and rows of a move on; what leaves the bottom is added in the buffer.
        for out in move_down(moving_down):
            if out is not None:
                value, i, j = out
                result[i][j] = held_in(result[i][j] + value)
                left_to_come -= 1
                first = first or cycle + 1
        move_right(moving_right)
        for n, (deep, _) in enumerate(folds):
            for r, k in enumerate(deep):
                if 0 <= cycle - starts[n] - r < T:
                    moving_right[r][0] = a[cycle - starts[n] - r][k]
        # 3. Every PE that a row has reached adds its term to the sum that comes from above.
        for n, (deep, columns) in enumerate(folds):
            for r in range(R):
                for c, j in enumerate(columns):
                    i = cycle - starts[n] - r - c
                    if not 0 <= i < T:
                        continue
                    if i == 0:
                        stationary[r][c] = behind[r][c]
                        b_writes += r < len(deep)
                    above = moving_down[r][c]
                    total = above[0] if above is not None else 0
                    x, y = moving_right[r][c], stationary[r][c]
                    if r < len(deep):
                        assert x is not None, "the skew brings both operands together"
                        assert y is not None, "the stationary operand has shifted in"
                        total = held_in(total + term(x, y))
                        steps += 1
                        ports.take(r, c, x, y)
                    moving_down[r][c] = (total, i, j)
                    sum_writes += 1
        cycle += 1
    return Stepped(result, cycle, steps, first, steps, b_writes, sum_writes, ports.toggled)
