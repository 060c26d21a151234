"""An attention core in one pass, by blocks of rows and of keys; scores never leave the chip.

B heads: scores [M,N] of q [M,d] and k [N,d], what lies between, then out [M,D] of v [N,D]. A block is
`rows` x `keys` of the scores. Which blocks are allowed, and what they cost, depends on what lies between:

    All keys at once (`keys` = N): every mechanism; a block of whole rows of scores is in the buffer.
    Blocks of keys: the sums over keys add up block by block in the accumulators, for every mechanism. But a
    term may need something of its whole row first: the inhibitor the mean of its scores, softmax their
    maximum and then the sum of exponentials. Those are `statistics` passes over the keys beforehand, in
    which scores are made and only a few words a row are kept; then the scores are made anew. Integers come
    out bit by bit as with whole rows, for all that is gathered is an exact sum or a maximum. Rescaling
    accumulators whenever the maximum grows (FlashAttention) would save a pass, but rounds otherwise.
    relu attention, whose terms need nothing of their row, has 0 statistics, the inhibitor 1, softmax 2.

Order `rows`: blocks of rows outside, all keys inside, once for each pass. k and v of a head are held, or
stream once for each block of rows (k once more for each pass of statistics). Order `keys`: blocks of keys
outside; sums and statistics of all rows stay in the buffer, k and v come once a pass; q is held or streams.

Room: two blocks of queries; of k and v that are held all of a head and what arrives for the next one, else
two pieces; two blocks of scores, one that the array makes or uses and one on which the vector unit works, or
one on which they take turns (`turns`); sums and statistics. What does not move is counted by who keeps it.
Time is counted as in `nest.py`; the first block's vector work is all that the array cannot hide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from costmodel.errors import CostModelError
from costmodel.hardware.timing import ArrayShape, Product, steady_cycles, tail_cycles
from costmodel.mapping.core import CoreOperands
from costmodel.mapping.nest import OBJECTIVES, Cut, Machine, array_cycles, array_traffic, cut, units_of

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class CoreProblem:
    """B heads and what is asked of them."""

    scores: Product
    D: int
    B: int
    operands: CoreOperands
    statistics: int | None = None  # passes that blocks of keys need beforehand; None: whole rows only
    row_words: int = 1  # accumulators a row that the statistics keep
    again_cycles: int = 0  # of the vector unit, for one pass of statistics
    arithmetic_pj: float = 0.0
    again_pj: float = 0.0  # arithmetic of one pass of statistics, with the scores it makes


@dataclass(frozen=True)
class CoreMapping:
    """A block, the order of blocks, what is held of q, k, v; whether array and vector unit take turns."""

    rows: int
    keys: int
    order: str  # rows, keys: which blocks are outside
    held: tuple[str, ...] = ()
    turns: bool = False
    array_rows: int = 0  # of the array that is used; 0: all
    array_columns: int = 0

    def array(self, machine: Machine) -> ArrayShape:
        return ArrayShape(self.array_rows or machine.array.R, self.array_columns or machine.array.C)


@dataclass(frozen=True)
class CoreMapped:
    """What a mapping takes, in all heads."""

    mapping: CoreMapping
    passes: int  # over the keys
    cycles: int
    array_cycles: int
    vector_cycles: int
    dma_cycles: int
    read_bits: int
    write_bits: int
    buffer_bytes: int
    buffer_read_bits: int
    buffer_write_bits: int
    energy_pj: float

    @property
    def dram_bits(self) -> int:
        return self.read_bits + self.write_bits

    @property
    def buffer_bits(self) -> int:
        return self.buffer_read_bits + self.buffer_write_bits


FIGURES = (
    *("passes", "cycles", "array_cycles", "vector_cycles", "dma_cycles", "read_bits", "write_bits"),
    *("buffer_bytes", "buffer_read_bits", "buffer_write_bits", "energy_pj"),
)
STRUCTURES = tuple(
    (order, held, turns)
    for order, choices in (("rows", ((), ("k",), ("v",), ("k", "v"))), ("keys", ((), ("q",), ("k",), ("q", "k"))))
    for held in choices
    for turns in (False, True)
)


def core_key(cost: CoreMapped, objective: str) -> tuple[float, ...]:
    """As `nest.key_of`."""
    rest = (cost.dram_bits, cost.buffer_bits, cost.buffer_bytes)
    if objective not in OBJECTIVES:
        raise CostModelError(f"unknown objective {objective!r}; known: {', '.join(OBJECTIVES)}")
    return {
        "cycles": (cost.cycles, cost.energy_pj, *rest),
        "energy": (cost.energy_pj, cost.cycles, *rest),
        "edp": (cost.energy_pj * cost.cycles, cost.cycles, *rest),
        "bytes": (rest[0], cost.energy_pj, cost.cycles, *rest[1:]),
    }[objective]


def evaluate_core(problem: CoreProblem, mapping: CoreMapping, machine: Machine) -> CoreMapped:
    """Cycles, traffic and energy of one mapping, legal or not."""
    rows, keys = np.array([[mapping.rows]], object), np.array([[mapping.keys]], object)
    structure = (mapping.order, mapping.held, mapping.turns)
    found = figures(problem, rows, keys, structure, mapping.array(machine), machine)
    values = [np.ravel(found[name])[0] for name in FIGURES]
    return CoreMapped(mapping, *(int(v) for v in values[:-1]), energy_pj=float(values[-1]))  # type: ignore[misc]


def core_is_legal(problem: CoreProblem, mapping: CoreMapping, machine: Machine) -> bool:
    blocked = mapping.keys < problem.scores.N
    if blocked and problem.statistics is None:
        return False
    return evaluate_core(problem, mapping, machine).buffer_bytes <= machine.buffer_bytes


def ceil_of(a: Any, b: Any) -> Any:
    return -(-a // b)


def cuts_of(dim: int, size: Array, unit: int, R: int) -> Cut:
    """`nest.cut` of many sizes at once."""
    number = ceil_of(dim, size)
    last = dim - (number - 1) * size
    folds = (number - 1) * ceil_of(size, unit) + ceil_of(last, unit)
    return Cut(number, folds, (number - 1) * np.maximum(size, 2 * R) + np.maximum(last, 2 * R))


def figures(
    problem: CoreProblem,
    rows: Array,
    keys: Array,
    structure: tuple[str, tuple[str, ...], bool],
    array: ArrayShape,
    machine: Machine,
    on: bool = True,
) -> dict[str, Array]:
    """All figures of blocks `rows` [r,1] x `keys` [1,c]. `on=False`: bounds for all parts of the array."""
    order, held, turns = structure
    o, B, D, (M, N, d) = problem.operands, problem.B, problem.D, dims_of(problem)
    flow, how, acc = machine.dataflow, machine.convention, problem.operands.accumulator_bits
    blocks, pieces = ceil_of(M, rows), ceil_of(N, keys)
    again = (pieces > 1) * (problem.statistics or 0)  # passes of statistics
    chunk = np.where(pieces > 1, keys, min(N, array.C) if on else 1)
    # What moves
    q: Any
    q, k, v = (
        B * x for x in (M * d * o.q_bits * o.q_moves, N * d * o.k_bits * o.k_moves, N * D * o.v_bits * o.v_moves)
    )
    if order == "rows":
        k = k // o.shared if "k" in held else k * blocks * (1 + again)
        v = v // o.shared if "v" in held else v * blocks
        q = q + 0 * again  # as many as there are blocks
    else:
        k = k // o.shared if "k" in held else k * (1 + again)
        q = q + 0 * again if "q" in held else q * np.where(blocks > 1, pieces * (1 + again), 1)
    writes = B * M * D * o.out_bits * o.out_moves
    reads = q + k + v
    # Room
    more = o.shared < B
    whole = {"k": N + chunk * more, "v": N + chunk * more, "q": M + rows * (B > 1)}
    some = {"k": 2 * chunk, "v": 2 * chunk, "q": rows * np.where(blocks * B > 1, 2, 1)}
    lying = {name: whole[name] if name in held else some[name] for name in "qkv"}
    bits = lying["q"] * d * o.q_bits * o.q_moves + lying["k"] * d * o.k_bits * o.k_moves
    bits = bits + lying["v"] * D * o.v_bits * o.v_moves
    bits = bits + (1 if turns else 2) * rows * keys * (acc + o.between_bits)
    lasting: Any = rows if order == "rows" else M
    bits = bits + lasting * (D + problem.row_words * (again > 0)) * acc
    # Array and buffer
    first, second = Product(M, N, d), Product(M, D, N)
    u1, u2 = units_of(array, flow), units_of(array, flow)
    across = {"d": cut(d, d, u1[2], array.R), "D": cut(D, D, u2[1], array.R)}
    cuts1 = (cuts_of(M, rows, u1[0], array.R), cuts_of(N, keys, u1[1], array.R), across["d"])
    cuts2 = (cuts_of(M, rows, u2[0], array.R), across["D"], cuts_of(N, keys, u2[2], array.R))
    cycles: Any = 0 * again
    block: Any = 0 * again
    tail: Any = 0
    if on and o.scores_on_array:
        cycles = cycles + B * (1 + again) * array_cycles(cuts1, first, array, flow, how)
        block = block + block_cycles(rows, keys, d, array, flow, how)
    if on and o.values_on_array:
        cycles = cycles + B * array_cycles(cuts2, second, array, flow, how)
        block = block + block_cycles(rows, D, keys, array, flow, how)
        tail = tail_cycles(second, array, flow, how)
    a1, b1, s1 = array_traffic(cuts1, first, flow)
    a2, b2, s2 = array_traffic(cuts2, second, flow)
    noted = problem.row_words * acc * M * pieces  # of statistics, a head and pass
    buffer_reads = B * ((1 + again) * (a1 * o.q_bits + b1 * o.k_bits + s1 * acc))
    buffer_reads = buffer_reads + B * (a2 * o.between_bits + b2 * o.v_bits + s2 * acc)
    buffer_reads = buffer_reads + B * noted * (again + (again > 0))
    buffer_writes = B * ((1 + again) * s1 * acc + s2 * acc + M * N * o.between_bits + noted * again)
    buffer_writes = buffer_writes + reads + B * M * D * o.out_bits * (not o.out_moves)
    # Time
    vector = o.vector_cycles + again * problem.again_cycles
    wait = ceil_of(o.vector_cycles * rows * keys, B * M * N)
    busy = cycles + vector if turns else np.maximum(cycles, vector) + wait
    load = rows * d * o.q_bits * o.q_moves + chunk * (d * o.k_bits * o.k_moves + D * o.v_bits * o.v_moves)
    store = rows * D * o.out_bits * o.out_moves
    dma = dma_of(machine, reads + writes)
    total = np.maximum(dma_of(machine, load) + busy + dma_of(machine, store), dma + block + wait) + tail
    energy = machine.energy_pj(reads + writes, buffer_reads, buffer_writes)
    energy = energy + (problem.arithmetic_pj + again * problem.again_pj)
    values = (1 + again, total, cycles, vector + 0 * again, dma, reads, writes + 0 * again, ceil_of(bits, 8))
    wide = np.broadcast_arrays(*values, buffer_reads, buffer_writes, energy)
    return dict(zip(FIGURES, wide, strict=True))


def dims_of(problem: CoreProblem) -> tuple[int, int, int]:
    return problem.scores.M, problem.scores.N, problem.scores.K


def dma_of(machine: Machine, bits: Any) -> Any:
    return -(-bits * machine.clock_mhz // (8 * machine.bandwidth_mb_s))


def block_cycles(M: Any, N: Any, K: Any, array: ArrayShape, flow: str, how: str) -> Any:
    """`timing.steady_cycles` of many products at once."""
    R, C = array.R, array.C
    down, across, T = {"os": (M, N, K), "ws": (K, N, M), "is": (K, M, N)}[flow]
    rows, columns = ceil_of(down, R), ceil_of(across, C)
    if how == "ideal":
        return rows * columns * T
    if how == "paper":
        return rows * columns * (2 * R + C + T - 2)
    if how == "scalesim":
        return rows * columns * ((R if flow == "os" else 2 * R) + C + T - 2) - 1
    return columns * (rows * T + down - rows) if flow == "os" else columns * rows * np.maximum(T, 2 * R)


def pass_cycles(problem: CoreProblem, mapping: CoreMapping, machine: Machine) -> int:
    """Steady cycles of the array in one full block: what DMA waits for where it is the slowest."""
    o, array = problem.operands, mapping.array(machine)
    shapes = (
        Product(mapping.rows, mapping.keys, problem.scores.K),
        Product(mapping.rows, problem.D, mapping.keys),
    )
    runs = (o.scores_on_array, o.values_on_array)
    return sum(
        on * steady_cycles(shape, array, machine.dataflow, machine.convention)
        for shape, on in zip(shapes, runs, strict=True)
    )
