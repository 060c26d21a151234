"""Cycles and buffer accesses of one product on a systolic array, under a named convention.

a [M,K], b [K,N] -> [M,N] on R rows and C columns of PEs. What a PE does with a pair of operands does
not matter here: a multiply-accumulate, |a - b| or a clip takes one cycle each.

Dataflows and folds (a fold is one filling of the array with stationary data):

    os  outputs stay:  ceil(M/R) x ceil(N/C) folds, T = K operands stream through
    ws  b stays:       ceil(K/R) x ceil(N/C) folds, T = M rows of a stream through
    is  a stays:       ceil(K/R) x ceil(M/C) folds, T = N columns of b stream through

Conventions:

    array     our own array, as `sim/machine/array.py` steps it. A PE has one register for the operand that
              moves right, one for what moves down, and: in `os` one accumulator; in `ws` and `is` the
              stationary operand and one behind it. Operands enter skewed, one cycle a row and column.
              os: PE (r,c) takes its k-th pair T0 + k + r + c. When the last used row of a column is
              done, the column shifts down and out of the bottom, one row a cycle. PE (r,c) is empty
              again in the very cycle in which the next fold reaches it if that fold starts T + r' - 1
              cycles later, r' the rows that this fold uses: folds follow each other at that distance,
              and the last one drains through all R rows.
              ws, is: the first stationary operands shift in from above in R cycles. PE (r,c) takes
              its operand over as the first row of the fold reaches it, the last PE of a column R - 1
              cycles after the first; then the next ones shift in behind, in R cycles more. So folds
              follow each other at max(T, 2R). Sums pass all R rows and leave the bottom one a cycle
              later: a single fold takes one cycle more than under `paper`.
              A result never leaves before its last operand has come in.
    ideal     M N K / (R C): what Timeloop-class models assume, folds filled up: folds x T.
    paper     Samajdar et al., ISPASS 2020, eq. 1-4: folds (2R + C + T - 2).
    scalesim  what SCALE-Sim 3.0.0 prints, its faults included. os: folds (R + C + T - 2) - 1: it writes
              an output before its last operand arrives, R cycles a fold too early, and reports
              M N + folds (R + C) output writes. ws, is: folds (2R + C + T - 2) - 1, and partial sums
              are written once a fold but never read back.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from costmodel.errors import CostModelError

DATAFLOWS = ("os", "ws", "is")
CONVENTIONS = ("array", "ideal", "paper", "scalesim")


@dataclass(frozen=True)
class Product:
    """a [M,K], b [K,N] -> [M,N]."""

    M: int
    N: int
    K: int

    def __post_init__(self) -> None:
        for name in ("M", "N", "K"):
            if getattr(self, name) < 1:
                raise CostModelError(f"{name} = {getattr(self, name)} is not at least 1")

    @property
    def steps(self) -> int:
        """Pairs of operands that PEs take in: one PE cycle each."""
        return self.M * self.N * self.K


@dataclass(frozen=True)
class ArrayShape:
    """R rows and C columns of PEs."""

    R: int
    C: int

    def __post_init__(self) -> None:
        if self.R < 1 or self.C < 1:
            raise CostModelError(f"an array of {self.R}x{self.C} has no PE")

    @property
    def pes(self) -> int:
        return self.R * self.C


def parse_array(text: str) -> ArrayShape:
    """`32x32` -> 32 rows, 32 columns."""
    sizes = re.fullmatch(r"([0-9]{1,9})x([0-9]{1,9})", text.lower())
    if sizes is None:
        raise CostModelError(f"array {text!r} is not of the form ROWSxCOLUMNS, such as 32x32")
    return ArrayShape(int(sizes[1]), int(sizes[2]))


@dataclass(frozen=True)
class Folds:
    """How a product is cut: `rows` x `columns` folds, each with T operands streaming through."""

    rows: int
    columns: int
    T: int
    last_rows: int  # rows of the array that the last fold of each column of folds uses
    last_columns: int

    @property
    def number(self) -> int:
        return self.rows * self.columns


def folds_of(product: Product, array: ArrayShape, dataflow: str) -> Folds:
    """The folds of a dataflow, see the module docstring."""
    M, N, K = product.M, product.N, product.K
    if dataflow not in DATAFLOWS:
        raise CostModelError(f"unknown dataflow {dataflow!r}; known: {', '.join(DATAFLOWS)}")
    down, across, T = {"os": (M, N, K), "ws": (K, N, M), "is": (K, M, N)}[dataflow]
    rows, columns = -(-down // array.R), -(-across // array.C)
    return Folds(rows, columns, T, down - (rows - 1) * array.R, across - (columns - 1) * array.C)


def cycles(product: Product, array: ArrayShape, dataflow: str, convention: str) -> int:
    """Cycles of one product under a convention.

    Folds run row by row within a column of folds, and columns of folds one after the other.

    More PEs can cost more cycles: under `paper`, `scalesim` and `array` an array larger than the
    product still fills and drains through all its rows (and under the first two its columns), while
    the number of folds is already 1. And while a larger array does not lower the number of folds
    (fold quantisation), each fold only gets longer.

    Raises:
        CostModelError: unknown dataflow or convention.
    """
    folds = folds_of(product, array, dataflow)
    R, C, T = array.R, array.C, folds.T
    if convention == "ideal":
        return folds.number * T
    if convention == "paper":
        return folds.number * (2 * R + C + T - 2)
    if convention == "scalesim":
        return folds.number * ((R if dataflow == "os" else 2 * R) + C + T - 2) - 1
    if convention != "array":
        raise CostModelError(f"unknown timing {convention!r}; known: {', '.join(CONVENTIONS)}")
    # A narrow last fold can be done before the wide one in front of it.
    column, step = column_cycles(folds, R, dataflow)
    if dataflow == "os":
        start = folds.columns * column - (T + folds.last_rows - 1)  # of the last fold
        tail = T + folds.last_rows + R - 2  # from a fold's start to its end, less its columns
    else:
        start = R + folds.columns * column - step
        tail = T + R - 1
    last = start + tail + folds.last_columns
    return last if folds.columns == 1 else max(last, start - column + tail + C)


def column_cycles(folds: Folds, R: int, dataflow: str) -> tuple[int, int]:
    """Under `array`: cycles of a whole column of folds, and from one full fold to the next."""
    if dataflow == "os":
        apart = folds.T + R - 1
        return (folds.rows - 1) * apart + folds.T + folds.last_rows - 1, apart
    apart = max(folds.T, 2 * R)
    return folds.rows * apart, apart


def steady_cycles(product: Product, array: ArrayShape, dataflow: str, convention: str) -> int:
    """Cycles of a product among others that follow each other without a gap.

    Under `array` the folds of the next product follow those of this one at the distance at which its
    own folds follow each other; what is left, `tail_cycles`, is paid once, by the last one. The other
    conventions know no overlap: they pay all for each.
    """
    if convention != "array":
        return cycles(product, array, dataflow, convention)
    folds = folds_of(product, array, dataflow)
    return folds.columns * column_cycles(folds, array.R, dataflow)[0]


def tail_cycles(product: Product, array: ArrayShape, dataflow: str, convention: str) -> int:
    """What `steady_cycles` leaves out of `cycles`: filling before, draining behind."""
    return cycles(product, array, dataflow, convention) - steady_cycles(product, array, dataflow, convention)


@dataclass(frozen=True)
class Accesses:
    """Words read from and written to the buffers beside the array."""

    ifmap_reads: int  # of a
    filter_reads: int  # of b
    ofmap_reads: int  # partial sums read back
    ofmap_writes: int  # outputs and partial sums


def accesses(product: Product, array: ArrayShape, dataflow: str, convention: str) -> Accesses:
    """Buffer accesses of one product: each fold reads what it holds and what streams through it.

    Partial sums are conserved: what is read back is what was written, less the M N results. Only
    `scalesim` breaks that, as SCALE-Sim does.
    """
    folds = folds_of(product, array, dataflow)
    M, N, K = product.M, product.N, product.K
    faulty = convention == "scalesim"
    if dataflow == "os":
        extra = folds.number * (array.R + array.C) if faulty else 0
        return Accesses(folds.columns * M * K, folds.rows * N * K, 0, M * N + extra)
    writes = folds.rows * M * N
    reads = 0 if faulty else writes - M * N
    if dataflow == "ws":
        return Accesses(folds.columns * M * K, N * K, reads, writes)
    return Accesses(M * K, folds.columns * N * K, reads, writes)


def utilisation(product: Product, array: ArrayShape, cycle_count: int) -> float:
    """Share of PE cycles in which a PE takes a pair of operands in."""
    return product.steps / (array.pes * cycle_count)
