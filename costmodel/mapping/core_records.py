"""An attention core, the ways to run it by blocks, and what one takes; `core_blocks.py` says what they mean."""

from __future__ import annotations

from dataclasses import dataclass

from costmodel.hardware.timing import Product
from costmodel.mapping.core_beside import Beside


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
    short_bits: int = 0  # by which all results are less than as many words of `out_bits`
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
    local_read_bits: int  # of sums and statistics, where they have a memory of their own
    local_write_bits: int
    local_read_cycles: int  # of its ports
    local_write_cycles: int
    local_bytes: int  # occupied
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
# on one array; bits written into registers of PEs where those are priced; and where sums have a memory of their
# own, bits of them that are read and written there. Room is not compared, but must be there.
FIGURES = (
    *("again", "read_bits", "array_cycles", "turns", "buffer_read_bits", "buffer_write_bits"),
    *("beside_cycles", "grain", "register_bits", "local_read_bits", "local_write_bits"),
)


def dims_of(problem: CoreProblem) -> tuple[int, int, int]:
    return problem.scores.M, problem.scores.N, problem.scores.K
