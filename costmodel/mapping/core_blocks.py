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
last results, the vector unit's work on the first rows of scores, as many as a fold of the array has.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from costmodel.errors import CostModelError, DoesNotFit
from costmodel.hardware.timing import Product
from costmodel.mapping.nest import Cut, Ends, array_cycles, array_traffic, cut, ends_of, fold_array, units_of
from costmodel.mapping.nest_records import Machine, Operands, Problem
from costmodel.mapping.nest_sizes import block_sizes
from costmodel.mapping.objectives import objective_of

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
    whole_rows: bool = False  # a norm behind takes rows of the result as wholes: they leave as such
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


@dataclass(frozen=True)
class CoreMapped:
    """What a mapping takes, in all heads."""

    mapping: CoreMapping
    passes: int  # over the keys
    cycles: int
    end_cycles: int
    array_cycles: int
    vector_cycles: int
    dma_cycles: int
    read_bits: int  # with what else the step reads
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


STRUCTURES = tuple(
    (order, held, turns)
    for order, choices in (("rows", ((), ("k",), ("v",), ("k", "v"))), ("keys", ((), ("q",), ("k",), ("q", "k"))))
    for held in choices
    for turns in (False, True)
)
# Figures of a block, without what is the same for all: passes of statistics, DRAM bits that are read, cycles of
# the array, turns, bits that are read and written in the buffer. Room is not compared, but must be there.
FIGURES = ("again", "read_bits", "array_cycles", "turns", "buffer_read_bits", "buffer_write_bits")


def evaluate_core(problem: CoreProblem, mapping: CoreMapping, machine: Machine) -> CoreMapped:
    """Cycles, traffic and energy of one mapping, legal or not."""
    o, B, (M, N, _), D = problem.operands, problem.B, dims_of(problem), problem.D
    rows = M if mapping.rows == M else mapping.rows  # a block of all rows is that dim
    keys = N if mapping.keys == N else mapping.keys
    structure = (mapping.order, mapping.held, mapping.turns)
    found = figures(problem, np.array([[rows]], object), np.array([[keys]], object), structure, machine)
    again, reads, array, _, buffer_reads, buffer_writes, room = (
        plain(np.ravel(found[name])[0]) for name in (*FIGURES, "buffer_bytes")
    )
    writes = B * M * D * o.out_bits * o.out_moves
    reads = reads + o.extra_bits
    buffer_reads = buffer_reads + o.extra_bits + o.inside_bits
    buffer_writes = buffer_writes + o.extra_bits + o.also_bits + B * M * D * o.out_bits * (not o.out_moves)
    vector = o.vector_cycles + again * problem.again_cycles
    busy = array + vector if mapping.turns else max(array, vector)
    ends = core_ends(problem, machine)
    wait = first_wait(problem, machine) if o.values_on_array and not mapping.turns else 0
    dma = machine.dma_cycles(reads + writes)
    energy = machine.energy_pj(reads + writes, buffer_reads, buffer_writes)
    return CoreMapped(
        mapping=mapping,
        passes=1 + int(again),
        cycles=max(busy, dma, 1) + ends.cycles(machine) + wait,
        end_cycles=ends.cycles(machine) + wait,
        array_cycles=array,
        vector_cycles=vector,
        dma_cycles=dma,
        read_bits=reads,
        write_bits=writes,
        buffer_bytes=room,
        buffer_read_bits=buffer_reads,
        buffer_write_bits=buffer_writes,
        energy_pj=energy + (problem.arithmetic_pj + int(again) * problem.again_pj),
    )


def plain(number: Any) -> Any:
    """An int of Python; what remembers how it was made stays as it is."""
    return number.item() if isinstance(number, np.generic) else number


def core_ends(problem: CoreProblem, machine: Machine) -> Ends:
    """First operands of the scores; fill, drain and last results of the sums over keys."""
    o, (M, N, d) = problem.operands, dims_of(problem)
    scores = Operands(
        *(o.q_bits, o.k_bits, o.accumulator_bits, 0, o.q_moves, o.k_moves), on_array=o.scores_on_array
    )
    sums = Operands(
        *(o.between_bits, o.v_bits, o.accumulator_bits, o.out_bits, False, o.v_moves, o.out_moves),
        on_array=o.values_on_array,
    )
    first = ends_of(Problem(Product(M, N, d), problem.B, scores), machine)
    last = ends_of(Problem(Product(M, problem.D, N), problem.B, sums, problem.whole_rows), machine)
    return Ends(first.first_bits, last.tail_cycles, last.last_bits)


def first_rows(problem: CoreProblem, machine: Machine) -> int:
    """Rows of scores that the array makes first: those of a fold."""
    M, N, d = dims_of(problem)
    array = fold_array(Product(M, N, d), machine.array, machine.dataflow)
    return int(min(M, array.C if machine.dataflow == "is" else array.R))


def first_wait(problem: CoreProblem, machine: Machine) -> int:
    """Cycles in which the array waits for the vector unit's work on the first rows."""
    M = problem.scores.M
    return -(-problem.operands.vector_cycles * first_rows(problem, machine) // (problem.B * M))


def core_is_legal(problem: CoreProblem, mapping: CoreMapping, machine: Machine) -> bool:
    blocked = mapping.keys < problem.scores.N
    if blocked and (problem.statistics is None or not whole_folds(mapping.keys, machine)):
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


def figures(
    problem: CoreProblem, rows: Array, keys: Array, structure: tuple[str, tuple[str, ...], bool], machine: Machine
) -> dict[str, Array]:
    """`FIGURES` and the room of blocks `rows` [r,1] x `keys` [1,c]."""
    order, held, turns = structure
    o, B, D, (M, N, d) = problem.operands, problem.B, problem.D, dims_of(problem)
    flow, how, acc = machine.dataflow, machine.convention, o.accumulator_bits
    first, second = Product(M, N, d), Product(M, D, N)
    one, two = (fold_array(product, machine.array, flow) for product in (first, second))
    blocks, pieces = ceil_of(M, rows), ceil_of(N, keys)
    again = ((pieces > 1) * (problem.statistics or 0)).astype(rows.dtype)  # passes of statistics
    # What streams takes as much room as the array takes at a time, unless it stays while blocks of rows pass.
    stays = (pieces > 1) | ((blocks > 1) & (order == "keys"))
    chunk = np.where(stays, keys, min(N, one.C))
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
    u1, u2 = units_of(one, flow), units_of(two, flow)
    cuts1 = (cuts_of(M, rows, u1[0], one.R), cuts_of(N, keys, u1[1], one.R), cut(d, d, u1[2], one.R))
    cuts2 = (cuts_of(M, rows, u2[0], two.R), cut(D, D, u2[1], two.R), cuts_of(N, keys, u2[2], two.R))
    cycles: Any = 0 * again
    if o.scores_on_array:
        cycles = cycles + B * (1 + again) * array_cycles(cuts1, first, one, flow, how)
    if o.values_on_array:
        cycles = cycles + B * array_cycles(cuts2, second, two, flow, how)
    a1, b1, s1 = array_traffic(cuts1, first, flow)
    a2, b2, s2 = array_traffic(cuts2, second, flow)
    noted = problem.row_words * acc * M * pieces  # of statistics, a head and pass
    buffer_reads = B * ((1 + again) * (a1 * o.q_bits + b1 * o.k_bits + s1 * acc))
    buffer_reads = buffer_reads + B * (a2 * o.between_bits + b2 * o.v_bits + s2 * acc)
    buffer_reads = buffer_reads + B * noted * (again + (again > 0))
    buffer_writes = B * ((1 + again) * s1 * acc + s2 * acc + M * N * o.between_bits + noted * again)
    buffer_writes = buffer_writes + reads
    values = (again, reads, cycles, int(turns), buffer_reads, buffer_writes, ceil_of(bits, 8))
    return dict(zip((*FIGURES, "buffer_bytes"), np.broadcast_arrays(*values), strict=True))


def dims_of(problem: CoreProblem) -> tuple[int, int, int]:
    return problem.scores.M, problem.scores.N, problem.scores.K


# The front of a core


@dataclass(frozen=True, eq=False)
class CoreFront:
    """`FIGURES` of each block that some machine may choose, [points, 6], and the mappings."""

    figures: Array
    mappings: tuple[CoreMapping, ...]
    room_bytes: Array
    smallest_bytes: int  # of any block, whether it fits or not


def core_front(problem: CoreProblem, machine: Machine) -> CoreFront:
    """All blocks that can be the best on an array with a buffer, for any bandwidth, price, lanes, objective.

    Raises:
        CostModelError: numbers beyond 64 bits.
    """
    o = problem.operands
    plain = replace(
        problem,
        scores=Product(*(int(x) for x in dims_of(problem))),
        B=int(problem.B),
        operands=replace(
            o,
            out_bits=0,
            out_moves=True,
            extra_bits=0,
            inside_bits=0,
            also_bits=0,
            vector_cycles=0,
            shared=int(o.shared),
        ),
        whole_rows=False,
        again_cycles=0,
        arithmetic_pj=0.0,
        again_pj=0.0,
    )
    place = Machine(machine.array, machine.dataflow, machine.convention, int(machine.buffer_bytes), 1, 1)
    return core_front_of(plain, place)


@lru_cache(maxsize=4096)
def core_front_of(problem: CoreProblem, machine: Machine) -> CoreFront:
    from costmodel.mapping.front_search import unbeaten  # numba takes half a second: not before it is needed

    M, N, d = dims_of(problem)
    if 64 * problem.B * M * N * (d + problem.D) * (1 + (problem.statistics or 0)) >= 1 << 50:
        raise CostModelError(f"an attention core {M}x{N}x{d}, {problem.B} times, has numbers beyond 64 bits")
    flow = machine.dataflow
    one = fold_array(Product(M, N, d), machine.array, flow)
    two = fold_array(Product(M, problem.D, N), machine.array, flow)
    rows_work = {
        "os": ((one.R, 0), (two.R, 0)),
        "ws": ((0, 2 * one.R), (0, 2 * two.R)),
        "is": ((one.C, 0), (two.C, 0)),
    }
    keys_work = {"os": ((one.C, 0),), "ws": ((one.C, 0), (two.R, 0)), "is": ((0, 2 * one.R), (two.R, 0))}
    rows = np.array(block_sizes(M, rows_work[flow]), np.int64)[:, None]
    sizes: tuple[int, ...] = (N,) if problem.statistics is None else block_sizes(N, keys_work[flow])
    if flow != "os" and problem.statistics is not None:
        sizes = (*range(machine.array.R, N, machine.array.R), N)
    keys = np.array(sizes, np.int64)[None]
    every = np.array([[N]], np.int64)
    if keys.size > 1:  # no block takes less than one of all rows and keys: if that fits, no other is looked at
        free = [figures(problem, np.array([[M]], np.int64), every, s, machine) for s in STRUCTURES]
        floor = {name: min(int(found[name][0, 0]) for found in free) for name in FIGURES}
        for structure in STRUCTURES:
            found = figures(problem, rows, every, structure, machine)
            if ((found["buffer_bytes"] <= machine.buffer_bytes) & all_at(found, floor)).any():
                keys = every
                break
    smallest, points, names, rooms = 1 << 62, [], [], []
    for structure in STRUCTURES:
        found = figures(problem, rows, keys, structure, machine)
        room = found["buffer_bytes"]
        smallest = min(smallest, int(room.min()))
        where = np.argwhere(room <= machine.buffer_bytes)
        points.append(np.stack([found[name][where[:, 0], where[:, 1]] for name in FIGURES], 1).astype(np.int64))
        rooms.append(room[where[:, 0], where[:, 1]].astype(np.int64))
        names += [CoreMapping(int(rows[i, 0]), int(keys[0, j]), *structure) for i, j in where]
    table = np.concatenate(points)
    # Neither of turns and no turns beats the other: in turns the first rows of scores are not waited for.
    apart = np.concatenate([table, 1 - table[:, [FIGURES.index("turns")]]], 1)
    order = np.lexsort(table[:, ::-1].T)
    kept = order[unbeaten(np.ascontiguousarray(apart[order]))]
    return CoreFront(table[kept], tuple(names[i] for i in kept), np.concatenate(rooms)[kept], smallest)


def all_at(found: dict[str, Array], floor: dict[str, int]) -> Array:
    """Where every figure is the least that there is."""
    return np.logical_and.reduce([found[name] <= least for name, least in floor.items()])


def best_blocks(problem: CoreProblem, machine: Machine, objective: str) -> CoreMapped:
    """The best mapping of a core for an objective, over all blocks of rows and of keys.

    Raises:
        DoesNotFit: no block fits the buffer.
        CostModelError: an unknown objective, or numbers beyond 64 bits.
    """
    key = objective_of(objective).key
    found = core_front(problem, machine)
    if not found.mappings:
        raise DoesNotFit(
            f"no block of an attention core with {problem.scores.N} keys fits {machine.buffer_bytes} bytes: "
            f"the smallest takes {found.smallest_bytes}"
        )
    return min((evaluate_core(problem, mapping, machine) for mapping in found.mappings), key=key)
