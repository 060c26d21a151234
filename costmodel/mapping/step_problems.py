"""What the steps of a piece ask of arrays: the ways in which a piece may run, and what each step moves."""

from __future__ import annotations

from dataclasses import dataclass, replace

from costmodel.hardware.accelerator import Accelerator
from costmodel.mapping.core_beside import Beside
from costmodel.mapping.core_records import CoreMapped, CoreOperands, CoreProblem
from costmodel.mapping.nest_records import Mapped, Operands, Problem
from costmodel.mapping.pieces import BLOCKED, CHAIN, VECTOR, Piece, Stay, Works
from costmodel.mapping.prices import Prices
from costmodel.mapping.works import slots

WHOLE, HEAD, REST = "whole", "head", "rest"


@dataclass(frozen=True)
class Moved:
    """Bits that a step moves beside the operands of its products."""

    outside: int  # read from DRAM
    inside: int  # read from the buffer
    away: int  # results to DRAM
    left: int  # results that stay

    @property
    def leaves(self) -> bool:
        return self.away > 0

    def word_bits(self, outputs: int) -> int:
        """Bits of an output of a product, whole ones: of all that leave, or else of all that stay."""
        return -(-(self.away if self.leaves else self.left) // outputs)

    def short_bits(self, outputs: int) -> int:
        """By which results are less than words: of products side by side some leave and others stay."""
        return outputs * self.word_bits(outputs) - (self.away if self.leaves else self.left)


def moved_by(piece: Piece, stay: Stay) -> dict[str, Moved]:
    """What each step of a piece moves: the whole, and where it is cut the head and the rest.

    What lies between head and rest goes to DRAM and comes back.
    """
    away = sum(bits for bits, kept in zip(piece.writes, stay.writes, strict=True) if not kept)
    left = sum(piece.writes) - away
    reads = {(kept, behind): 0 for kept in (False, True) for behind in (False, True)}
    for (bits, behind), kept in zip(piece.reads, stay.reads, strict=True):
        reads[kept, behind] += bits
    outside, inside = (reads[kept, False] + reads[kept, True] for kept in (False, True))
    again = piece.again_bits
    return {
        WHOLE: Moved(outside, inside + again, away, left),
        HEAD: Moved(reads[False, False], reads[True, False] + again, piece.cut_bits, 0),
        REST: Moved(piece.cut_bits + reads[False, True], reads[True, True], away, left),
    }


def floor_moved(piece: Piece, most: Stay) -> dict[str, Moved]:
    """No more than `moved_by` of any `Stay` that keeps some of what `most` keeps.

    What is kept is not read from DRAM and not written there. But a result of a product that is kept is written
    into the buffer, which one that leaves is not: so here it is not written at all.
    """
    moved = moved_by(piece, most)
    if piece.kind != VECTOR:
        moved[WHOLE] = replace(moved[WHOLE], left=0)
    return moved


def step_names(piece: Piece) -> tuple[tuple[str, ...], ...]:
    """The steps of every way in which a piece may run."""
    return ((WHOLE,), (HEAD, REST)) if piece.cut_bits else ((WHOLE,),)


def may_run(piece: Piece, target: Accelerator) -> bool:
    """A chain holds its weights in the buffer; it is no way to run where they go past it."""
    return piece.kind != CHAIN or not target.weights_bypass


def arrays_of(piece: Piece) -> tuple[tuple[int, ...], ...]:
    """The arrays on which the products of a piece may run, one of each for each way.

    What no array does is mapped as if the array of the other product did it, or the first array.
    """
    first, second = piece.first_on, piece.second_on
    if piece.kind == VECTOR:
        return ((),)
    if piece.kind not in BLOCKED:
        return tuple((i,) for i in first or (0,))
    if first and second:
        return tuple((i, j) for i in first for j in second)
    return tuple((i, i) for i in first or second or (0,))


def words_of(on: tuple[int, ...], cost: Mapped | CoreMapped) -> str:
    """Where products run: `on array 2`; of two `first product on array 1, second on array 2 at once`."""
    if len(set(on)) == 1:
        return f"on array {on[0] + 1}"
    how = "in turns" if isinstance(cost, CoreMapped) and cost.mapping.turns else "at once"
    return f"first product on array {on[0] + 1}, second on array {on[1] + 1} {how}"


def work_of(piece: Piece, name: str) -> Works:
    """What the vector unit does in a step of a piece."""
    return {WHOLE: piece.vector_work, HEAD: piece.head_work, REST: piece.rest_work}[name]


def product_problem(
    piece: Piece, name: str, stay: Stay, moved: Moved, target: Accelerator, prices: Prices
) -> Problem:
    """The product of a piece, whole or without the norm behind it, with what rides on it."""
    works, outputs = work_of(piece, name), piece.B * piece.product.M * piece.product.N
    operands = Operands(
        a_bits=piece.a_bits,
        b_bits=piece.b_bits,
        accumulator_bits=piece.accumulator_bits,
        out_bits=moved.word_bits(outputs),
        short_bits=moved.short_bits(outputs),
        a_moves=not stay.operands[0],
        b_moves=not stay.operands[1],
        out_moves=moved.leaves,
        b_bypasses=target.weights_bypass,
        on_array=bool(piece.first_on),
        extra_bits=moved.outside,
        inside_bits=moved.inside,
        also_bits=moved.left if moved.leaves else 0,
        vector_cycles=slots(works, target),
    )
    whole_rows = name == WHOLE and piece.cut_bits > 0
    return Problem(piece.product, piece.B, operands, whole_rows, prices.arithmetic_pj((*piece.array_work, *works)))


def core_problem(
    piece: Piece, stay: Stay, moved: Moved, target: Accelerator, prices: Prices, on: tuple[int, ...] = (0, 0)
) -> CoreProblem:
    """The attention core of a piece in one pass, or its chain of two products, on some arrays."""
    outputs = piece.B * piece.product.M * piece.D
    operands = CoreOperands(
        q_bits=piece.a_bits,
        k_bits=piece.b_bits,
        v_bits=piece.v_bits,
        between_bits=piece.between_bits,
        accumulator_bits=piece.accumulator_bits,
        out_bits=moved.word_bits(outputs),
        short_bits=moved.short_bits(outputs),
        q_moves=not stay.operands[0],
        k_moves=not stay.operands[1],
        v_moves=not stay.operands[2],
        out_moves=moved.leaves,
        scores_on_array=bool(piece.first_on),
        values_on_array=bool(piece.second_on),
        shared=piece.shared,
        extra_bits=moved.outside,
        inside_bits=moved.inside,
        also_bits=moved.left if moved.leaves else 0,
        vector_cycles=slots(piece.vector_work, target),
    )
    arithmetic = prices.arithmetic_pj((*piece.array_work, *piece.vector_work))
    second = target.arrays[on[1]]
    return CoreProblem(
        *(piece.product, piece.D, piece.B, operands),
        statistics=piece.statistics,
        row_words=piece.row_words,
        whole_rows=piece.whole_rows,
        again_cycles=slots((*piece.vector_work, *piece.again_vector), target) - operands.vector_cycles,
        arithmetic_pj=arithmetic,
        again_pj=prices.arithmetic_pj((*piece.again_array, *piece.again_vector)),
        beside=None if on[0] == on[1] else Beside(second.array, second.dataflow),
    )


def problem_of(
    piece: Piece, name: str, stay: Stay, moved: Moved, target: Accelerator, prices: Prices, on: tuple[int, ...]
) -> Problem | CoreProblem | None:
    """What arrays do in a step of a piece; None where the vector unit does all."""
    if piece.kind == VECTOR or name == REST:
        return None
    if piece.kind in BLOCKED:
        return core_problem(piece, stay, moved, target, prices, on)
    return product_problem(piece, name, stay, moved, target, prices)
