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
    So has a chain of two products by weights, FFN 1, GELU, FFN 2, which is a core of one head: queries are the
    rows that come in, keys and values the weights, one column between for each key.

Order `rows`: blocks of rows outside, all keys inside, once for each pass. k and v of a head are held, or
stream once for each block of rows (k once more for each pass of statistics). Order `keys`: blocks of keys
outside; sums and statistics of all rows stay in the buffer, k and v come once a pass; q is held or streams.

Room: two blocks of queries; of k and v that are held all of a head and what arrives for the next one, else
two pieces; two blocks of scores, one that the array makes or uses and one on which the vector unit works, or
one on which they take turns (`turns`); sums and statistics. What does not move is counted by who keeps it.

Time is counted as in `nest.py`. What nothing hides is, beside the first operands, the fill and drain and the
last results, the vector unit's work on the first rows of scores, as many as a fold of the array has. Where scores
and sums run on two arrays (`beside`) both work at once: `core_beside.py` says how.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from costmodel.hardware.registers import register_bits
from costmodel.hardware.timing import Product
from costmodel.mapping.core_beside import Beside, grain_of, share_of, sums_machine
from costmodel.mapping.nest import Cut, Ends, array_cycles, array_traffic, cut, ends_of, fold_array, units_of
from costmodel.mapping.nest_records import Machine, Operands, Problem

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class CoreOperands:
    """Bits of an element: of q, k, v, of the probabilities or shifts between, of sums and the result."""

    q_bits: int
    k_bits: int
    v_bits: int
    between_bits: int
    accumulator_bits: int
    out_bits: int
    q_moves: bool = True
    k_moves: bool = True
    v_moves: bool = True
    out_moves: bool = True
    scores_on_array: bool = True
    values_on_array: bool = True
    shared: int = 1  # rows of heads that share one k and v
    extra_bits: int = 0  # what else the step moves
    inside_bits: int = 0  # and reads of what lies in the buffer
    also_bits: int = 0  # of results that stay in the buffer while others leave
    vector_cycles: int = 0


@dataclass(frozen=True)
class CoreProblem:
    """B heads and what is asked of them."""

    scores: Product
    D: int
    B: int
    operands: CoreOperands
    statistics: int | None = None  # passes that blocks of keys need beforehand; None: whole rows only
    row_words: int = 1  # accumulators a row that the statistics keep
    again_cycles: int = 0  # of the vector unit, more than without statistics, for all passes of them
    arithmetic_pj: float = 0.0
    again_pj: float = 0.0  # arithmetic of all passes of statistics, with the scores they make
    whole_rows: bool = False  # a norm behind takes rows of the result as wholes: they leave as such
    beside: Beside | None = None  # the array of the sums; None: that of the scores


@dataclass(frozen=True)
class CoreMapping:
    """A block, the order of blocks, what is held of q, k, v; whether array and vector unit take turns."""

    rows: int
    keys: int
    order: str  # rows, keys: which blocks are outside
    held: tuple[str, ...] = ()
    turns: bool = False


@dataclass(frozen=True)
class CoreMapped:
    """What a mapping takes, in all heads."""

    mapping: CoreMapping
    passes: int  # over the keys
    cycles: int
    end_cycles: int
    array_cycles: int  # in which an array works; of two at once those of the slower one
    vector_cycles: int
    dma_cycles: int
    read_port_cycles: int  # of the buffer
    write_port_cycles: int
    read_bits: int  # with what else the step reads
    write_bits: int
    buffer_bytes: int
    buffer_read_bits: int
    buffer_write_bits: int
    register_bits: int  # written into registers of PEs
    energy_pj: float
    each_cycles: tuple[int, ...] = ()  # of the array of the scores, and of that of the sums if it is another one

    @property
    def dram_bits(self) -> int:
        return self.read_bits + self.write_bits

    @property
    def buffer_bits(self) -> int:
        return self.buffer_read_bits + self.buffer_write_bits


Structure = tuple[str, tuple[str, ...], bool]  # order, held, turns
STRUCTURES: tuple[Structure, ...] = tuple(
    (order, held, turns)
    for order, choices in (("rows", ((), ("k",), ("v",), ("k", "v"))), ("keys", ((), ("q",), ("k",), ("q", "k"))))
    for held in choices
    for turns in (False, True)
)


def structures_of(o: CoreOperands) -> list[Structure]:
    """The structures that can differ: to hold what does not move changes nothing."""
    moving = {name for name, moves in zip("qkv", (o.q_moves, o.k_moves, o.v_moves), strict=True) if moves}
    return [structure for structure in STRUCTURES if moving.issuperset(structure[1])]


# Figures of a block, without what is the same for all: passes of statistics, DRAM bits that are read, cycles of
# the array, turns, bits that are read and written in the buffer; cycles of a second array and rows of a grain, 0
# on one array; and bits written into registers of PEs where those are priced. Room is not compared, but must be
# there.
FIGURES = (
    *("again", "read_bits", "array_cycles", "turns", "buffer_read_bits", "buffer_write_bits"),
    *("beside_cycles", "grain", "register_bits"),
)


def evaluate_core(problem: CoreProblem, mapping: CoreMapping, machine: Machine) -> CoreMapped:
    """Cycles, traffic and energy of one mapping, legal or not."""
    o, B, (M, N, _), D = problem.operands, problem.B, dims_of(problem), problem.D
    rows = M if mapping.rows == M else mapping.rows  # a block of all rows is that dim
    keys = N if mapping.keys == N else mapping.keys
    structures = [(mapping.order, mapping.held, mapping.turns)]
    block = np.array([[rows]], object), np.array([[keys]], object)
    (found,) = figures(problem, blocks_of(problem, *block, machine), structures)
    again, reads, array, _, buffer_reads, buffer_writes, sums, grain, _, room = (
        plain(np.ravel(found[name])[0]) for name in (*FIGURES, "buffer_bytes")
    )
    writes = B * M * D * o.out_bits * o.out_moves
    reads = reads + o.extra_bits
    buffer_reads = buffer_reads + o.extra_bits + o.inside_bits
    buffer_writes = buffer_writes + o.extra_bits + o.also_bits + B * M * D * o.out_bits * (not o.out_moves)
    vector = o.vector_cycles + (again > 0) * problem.again_cycles
    busy = array + vector + sums if mapping.turns else max(array, vector, sums)
    ends = core_ends(problem, machine)
    wait = first_wait(problem, machine) if not mapping.turns else 0
    if problem.beside is not None and not mapping.turns:
        wait = share_of(array + vector + sums - busy, grain, B * M)
    dma = machine.dma_cycles(reads + writes)
    ports = (machine.read_cycles(buffer_reads), machine.write_cycles(buffer_writes))
    registers = plain(np.ravel(core_registers(problem, *block, machine))[0])
    energy = machine.energy_pj(reads + writes, buffer_reads, buffer_writes, registers)
    return CoreMapped(
        mapping=mapping,
        passes=1 + int(again),
        cycles=max(busy, dma, *ports, 1) + ends.cycles(machine) + wait,
        end_cycles=ends.cycles(machine) + wait,
        array_cycles=array + sums if mapping.turns else max(array, sums),
        vector_cycles=vector,
        dma_cycles=dma,
        read_port_cycles=ports[0],
        write_port_cycles=ports[1],
        read_bits=reads,
        write_bits=writes,
        buffer_bytes=room,
        buffer_read_bits=buffer_reads,
        buffer_write_bits=buffer_writes,
        register_bits=registers,
        energy_pj=energy + (problem.arithmetic_pj + (again > 0) * problem.again_pj),
        each_cycles=(array,) if problem.beside is None else (array, sums),
    )


def plain(number: Any) -> Any:
    """An int of Python; what remembers how it was made stays as it is."""
    return number.item() if isinstance(number, np.generic) else number


def core_ends(problem: CoreProblem, machine: Machine) -> Ends:
    """First operands of the scores; fill and drain of the sums, of two arrays of both; last results."""
    o, (M, N, d) = problem.operands, dims_of(problem)
    scores = Operands(
        *(o.q_bits, o.k_bits, o.accumulator_bits, 0, o.q_moves, o.k_moves), on_array=o.scores_on_array
    )
    sums = Operands(
        *(o.between_bits, o.v_bits, o.accumulator_bits, o.out_bits, False, o.v_moves, o.out_moves),
        on_array=o.values_on_array,
    )
    first = ends_of(Problem(Product(M, N, d), problem.B, scores), machine)
    sums_on = sums_machine(problem.beside, machine)
    last = ends_of(Problem(Product(M, problem.D, N), problem.B, sums, problem.whole_rows), sums_on)
    tail = last.tail_cycles if problem.beside is None else first.tail_cycles + last.tail_cycles
    return Ends(first.first_bits, tail, last.last_bits)


def first_rows(problem: CoreProblem, machine: Machine) -> int:
    """Rows of scores that the array makes first: those of a fold."""
    M, N, d = dims_of(problem)
    array = fold_array(Product(M, N, d), machine.array, machine.dataflow)
    return int(min(M, array.C if machine.dataflow == "is" else array.R))


def first_wait(problem: CoreProblem, machine: Machine) -> int:
    """Cycles in which the array that does both products waits for the vector unit's work on the first rows."""
    M = problem.scores.M
    if not problem.operands.values_on_array:
        return 0
    return -(-problem.operands.vector_cycles * first_rows(problem, machine) // (problem.B * M))


def core_is_legal(problem: CoreProblem, mapping: CoreMapping, machine: Machine) -> bool:
    blocked = mapping.keys < problem.scores.N
    sums_on = sums_machine(problem.beside, machine)
    if blocked and (problem.statistics is None or not whole_folds(mapping.keys, sums_on)):
        return False
    return evaluate_core(problem, mapping, machine).buffer_bytes <= machine.buffer_bytes


def whole_folds(keys: int, machine: Machine) -> bool:
    """Whether sums over keys are cut between folds, where these are summed in order."""
    return machine.dataflow == "os" or keys % machine.array.R == 0


def ceil_of(a: Any, b: Any) -> Any:
    return -(-a // b)


def cuts_of(dim: int, size: Array, unit: int, R: int) -> Cut:
    """`nest.cut` of many sizes at once."""
    number = ceil_of(dim, size)
    last = dim - (number - 1) * size
    folds = (number - 1) * ceil_of(size, unit) + ceil_of(last, unit)
    return Cut(number, folds, (number - 1) * np.maximum(size, 2 * R) + np.maximum(last, 2 * R))


@dataclass(frozen=True, eq=False)
class Blocks:
    """What blocks of rows [r,1] x keys [1,c] take in whatever structure, in all heads."""

    rows: Array
    keys: Array
    number: Any  # of blocks of rows
    pieces: Any  # of keys
    again: Array  # passes of statistics
    cycles: Any  # of the array of the scores, or of both products where it makes both
    beside: Any  # of the array of the sums, if it is another one
    grain: Any  # of two arrays, with rows outside
    grain_outside: Any  # and with keys outside
    reads: Any  # bits that array and vector unit read in the buffer
    writes: Any  # and write there
    registers: Any
    wide: tuple[int, int]  # keys that the arrays take at a time: of scores, of sums


def blocks_of(problem: CoreProblem, rows: Array, keys: Array, machine: Machine) -> Blocks:
    """What is the same for all structures of blocks `rows` [r,1] x `keys` [1,c]."""
    o, B, D, (M, N, d) = problem.operands, problem.B, problem.D, dims_of(problem)
    flow, how, acc = machine.dataflow, machine.convention, o.accumulator_bits
    first, second = Product(M, N, d), Product(M, D, N)
    other = sums_machine(problem.beside, machine)
    one, two = fold_array(first, machine.array, flow), fold_array(second, other.array, other.dataflow)
    number, pieces = ceil_of(M, rows), ceil_of(N, keys)
    again = ((pieces > 1) * (problem.statistics or 0)).astype(rows.dtype)
    u1, u2 = units_of(one, flow), units_of(two, other.dataflow)
    cuts1 = (cuts_of(M, rows, u1[0], one.R), cuts_of(N, keys, u1[1], one.R), cut(d, d, u1[2], one.R))
    cuts2 = (cuts_of(M, rows, u2[0], two.R), cut(D, D, u2[1], two.R), cuts_of(N, keys, u2[2], two.R))
    cycles: Any = 0 * again
    beside, grain, outside = cycles, cycles, cycles
    if o.scores_on_array:
        cycles = cycles + B * (1 + again) * array_cycles(cuts1, first, one, flow, how)
    if o.values_on_array:
        beside = beside + B * array_cycles(cuts2, second, two, other.dataflow, how)
    if problem.beside is None:
        cycles, beside = cycles + beside, 0 * again
    else:
        arrays = (one, flow), (two, other.dataflow)
        grain, outside = (grain_of(rows, M, pieces > 1, keys_outside, *arrays) for keys_outside in (False, True))
    a1, b1, s1 = array_traffic(cuts1, first, flow)
    a2, b2, s2 = array_traffic(cuts2, second, other.dataflow)
    noted = problem.row_words * acc * M * pieces  # of statistics, a head and pass
    reads = B * ((1 + again) * (a1 * o.q_bits + b1 * o.k_bits + s1 * acc))
    reads = reads + B * (a2 * o.between_bits + b2 * o.v_bits + s2 * acc)
    reads = reads + B * noted * (again + (again > 0))
    writes = B * ((1 + again) * s1 * acc + s2 * acc + M * N * o.between_bits + noted * again)
    registers = core_registers(problem, rows, keys, machine) if machine.register_pj else 0
    wide = one.C, one.C if problem.beside is None else max(one.C, two.R)
    moves = reads, writes, registers, wide
    return Blocks(rows, keys, number, pieces, again, cycles, beside, grain, outside, *moves)


def figures(problem: CoreProblem, blocks: Blocks, structures: Sequence[Structure]) -> list[dict[str, Array]]:
    """`FIGURES` and the room of blocks, of each structure."""
    orders = {order for order, _, _ in structures}
    lying = {order: lying_bits(problem, blocks, order) for order in orders}
    reads = {how: reads_of(problem, blocks, *how) for how in {(order, held) for order, held, _ in structures}}
    lasting = {
        how: lasting_bits(problem, blocks, *how) for how in {(order, turns) for order, _, turns in structures}
    }
    found = []
    for order, held, turns in structures:
        bits = sum((lying[order][name, name in held] for name in "qkv"), lasting[order, turns])
        grain = 0 if turns else blocks.grain_outside if order == "keys" else blocks.grain
        values = (
            *(blocks.again, reads[order, held], blocks.cycles, int(turns)),
            *(blocks.reads, blocks.writes + reads[order, held]),
            *(blocks.beside, grain, blocks.registers, ceil_of(bits, 8)),
        )
        found.append(dict(zip((*FIGURES, "buffer_bytes"), np.broadcast_arrays(*values), strict=True)))
    return found


def lying_bits(problem: CoreProblem, blocks: Blocks, order: str) -> dict[tuple[str, bool], Any]:
    """Bits of buffer for q, k and v, each where it streams and where it is held."""
    o, B, D, (M, N, d), rows = problem.operands, problem.B, problem.D, dims_of(problem), blocks.rows
    # What streams takes as much room as the array takes at a time, unless it stays while blocks of rows pass.
    stays = (blocks.pieces > 1) | ((blocks.number > 1) & (order == "keys"))
    chunk, piece = (np.where(stays, blocks.keys, min(N, wide)) for wide in blocks.wide)
    more = o.shared < B
    q, k, v = d * o.q_bits * o.q_moves, d * o.k_bits * o.k_moves, D * o.v_bits * o.v_moves
    return {
        ("q", False): rows * np.where(blocks.number * B > 1, 2, 1) * q,
        ("q", True): (M + rows * (B > 1)) * q,
        ("k", False): 2 * chunk * k,
        ("k", True): (N + chunk * more) * k,
        ("v", False): 2 * piece * v,
        ("v", True): (N + piece * more) * v,
    }


def lasting_bits(problem: CoreProblem, blocks: Blocks, order: str, turns: bool) -> Any:
    """Bits of buffer for scores, sums and statistics."""
    o, rows = problem.operands, blocks.rows
    scores = (1 if turns else 2) * rows * blocks.keys * (o.accumulator_bits + o.between_bits)
    lasting: Any = rows if order == "rows" else problem.scores.M
    noting = problem.row_words * (1 if problem.beside is None or turns else 2)
    return scores + lasting * (problem.D + noting * (blocks.again > 0)) * o.accumulator_bits


def reads_of(problem: CoreProblem, blocks: Blocks, order: str, held: tuple[str, ...]) -> Any:
    """Bits of q, k and v that come from DRAM."""
    number, again = blocks.number, blocks.again
    o, B, D, (M, N, d) = problem.operands, problem.B, problem.D, dims_of(problem)
    q: Any = B * M * d * o.q_bits * o.q_moves
    k: Any = B * N * d * o.k_bits * o.k_moves
    v: Any = B * N * D * o.v_bits * o.v_moves
    if order == "rows":
        k = k // o.shared if "k" in held else k * number * (1 + again)
        v = v // o.shared if "v" in held else v * number
        q = q + 0 * again  # as many as there are blocks
    else:
        k = k // o.shared if "k" in held else k * (1 + again)
        q = q + 0 * again if "q" in held else q * np.where(number > 1, blocks.pieces * (1 + again), 1)
    return q + k + v


def core_registers(problem: CoreProblem, rows: Array, keys: Array, machine: Machine) -> Any:
    """Bits that blocks write into registers of PEs, one block of rows and of keys behind the other."""
    o, D, (M, N, d) = problem.operands, problem.D, dims_of(problem)
    blocks, pieces = ceil_of(M, rows), ceil_of(N, keys)
    again = (pieces > 1) * (problem.statistics or 0)
    first, second = Product(M, N, d), Product(M, D, N)
    other = sums_machine(problem.beside, machine)
    one, two = (fold_array(p, on.array, on.dataflow) for p, on in ((first, machine), (second, other)))
    bits = (o.q_bits, o.k_bits, o.accumulator_bits), (o.between_bits, o.v_bits, o.accumulator_bits)
    scores = (1 + again) * register_bits(first, one, machine.dataflow, bits[0], (blocks, pieces))
    sums = register_bits(second, two, other.dataflow, bits[1], (blocks, 1))
    return problem.B * (scores * o.scores_on_array + sums * o.values_on_array)


def dims_of(problem: CoreProblem) -> tuple[int, int, int]:
    return problem.scores.M, problem.scores.N, problem.scores.K
