"""The options of a piece in numbers that do not depend on bandwidth, clock, lanes or prices of memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from costmodel.hardware.accelerator import Accelerator
from costmodel.mapping.core_blocks import CoreOperands, CoreProblem, core_ends, core_front, first_rows
from costmodel.mapping.front import front, geometry_of
from costmodel.mapping.nest import Ends, ends_of
from costmodel.mapping.nest_records import Machine, Operands, Problem
from costmodel.mapping.options import Prices
from costmodel.mapping.pieces import CORE, VECTOR, Piece, Stay, Works
from costmodel.mapping.works import lane_cycles

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Ways:
    """Ways to run a step, and what is the same for all: see `many_loops.py` for the columns."""

    ways: Array
    same: Array
    arithmetic_pj: float


@dataclass(frozen=True)
class Moved:
    """Bits that a step moves beside its operands."""

    outside: int  # read from DRAM
    inside: int  # read from the buffer
    away: int  # results to DRAM
    left: int  # results that stay


def ways_of(
    piece: Piece, stay: Stay, free_bytes: int, target: Accelerator, prices: Prices
) -> list[tuple[Ways, ...]]:
    """All options of a piece, of one or two steps each; none where nothing fits. As `options.options_of`."""
    away = sum(bits for bits, kept in zip(piece.writes, stay.writes, strict=True) if not kept)
    left = sum(piece.writes) - away
    reads = [(bits, behind, kept) for (bits, behind), kept in zip(piece.reads, stay.reads, strict=True)]

    def moved(behind: tuple[bool, ...], away: int, left: int) -> Moved:
        outside = sum(bits for bits, b, kept in reads if b in behind and not kept)
        return Moved(outside, sum(bits for bits, b, kept in reads if b in behind and kept), away, left)

    both = (False, True)
    if piece.kind == VECTOR:
        return [(vector_ways(piece.vector_work, moved(both, away, left), 0, target, prices),)]
    machine = Machine(target.array, target.dataflow, "array", free_bytes, 1, 1)
    if piece.kind == CORE:
        core = core_ways(piece, stay, moved(both, away, left), machine, target, prices)
        return [] if core is None else [(core,)]
    rows = piece.cut_bits > 0
    options = []
    whole = product_ways(piece, piece.vector_work, rows, stay, moved(both, away, left), machine, target, prices)
    if whole is not None:
        options.append((whole,))
    if rows:
        between = moved((False,), piece.cut_bits, 0)
        head = product_ways(piece, piece.head_work, False, stay, between, machine, target, prices)
        rest = vector_ways(piece.rest_work, moved((True,), away, left), piece.cut_bits, target, prices)
        if head is not None:
            options.append((head, rest))  # type: ignore[arg-type]
    return options  # type: ignore[return-value]


def vector_ways(works: Works, moved: Moved, between: int, target: Accelerator, prices: Prices) -> Ways:
    """The only way of the vector unit: all comes, passes the lanes, and goes."""
    ways = np.array([[0, 0, 0, 0, 0, moved.away, moved.away, 0]], np.int64)
    same = [moved.away, moved.outside + between, moved.inside, moved.left, lane_cycles(works, target)]
    return Ways(ways, np.array([*same, 0, 0, 0, 0, 1], np.int64), prices.arithmetic_pj(works))


def product_ways(
    piece: Piece,
    works: Works,
    rows: bool,
    stay: Stay,
    moved: Moved,
    machine: Machine,
    target: Accelerator,
    prices: Prices,
) -> Ways | None:
    """The front of a product."""
    outputs = piece.B * piece.product.M * piece.product.N
    word = -(-(moved.away if moved.away > 0 else moved.left) // outputs)
    operands = Operands(
        *(piece.a_bits, piece.b_bits, piece.accumulator_bits, word),
        *(not stay.operands[0], not stay.operands[1], moved.away > 0, target.weights_bypass, piece.first_on),
    )
    problem = Problem(piece.product, piece.B, operands, rows)
    found = front(geometry_of(problem, machine))
    if not found.mappings:
        return None
    dram, cycles, exposed, reads, writes = found.figures.T
    spills = found.spilled_bits
    ways = np.stack([dram - spills, spills, cycles, exposed, 0 * cycles, reads, writes, found.room_bytes], 1)
    ends = ends_of(problem, machine)
    return finished(ways, word * outputs, moved, (*piece.array_work, *works), works, ends, (0, 1), target, prices)


def core_ways(
    piece: Piece, stay: Stay, moved: Moved, machine: Machine, target: Accelerator, prices: Prices
) -> Ways | None:
    """The front of an attention core."""
    outputs = piece.B * piece.product.M * piece.D
    word = -(-(moved.away if moved.away > 0 else moved.left) // outputs)
    operands = CoreOperands(
        *(piece.a_bits, piece.b_bits, piece.v_bits, piece.between_bits, piece.accumulator_bits, word),
        q_moves=not stay.operands[0],
        k_moves=not stay.operands[1],
        v_moves=not stay.operands[2],
        out_moves=moved.away > 0,
        scores_on_array=piece.first_on,
        values_on_array=piece.second_on,
        shared=piece.shared,
    )
    problem = CoreProblem(piece.product, piece.D, piece.B, operands)
    found = core_front(problem, machine)
    if not found.mappings:
        return None
    _, read, cycles, turns, reads, writes = found.figures.T
    ways = np.stack([read, 0 * read, cycles, 0 * read, turns, reads, writes, found.room_bytes], 1)
    wait = first_rows(problem, machine) if piece.second_on else 0
    works = piece.vector_work
    return finished(
        *(ways, word * outputs, moved, (*piece.array_work, *works), works, core_ends(problem, machine)),
        *((wait, piece.B * piece.product.M), target, prices),
    )


def finished(
    ways: Array, results: int, moved: Moved, all_work: Works, works: Works, ends: Ends, wait: tuple[int, int],
    target: Accelerator, prices: Prices,
) -> Ways:  # fmt: skip
    """Ways with what is the same for all. Results leave as words of whole bits, or stay."""
    leaves = moved.away > 0
    same = [
        *(results if leaves else 0, moved.outside, moved.inside, moved.left if leaves else results),
        *(lane_cycles(works, target), ends.first_bits, ends.tail_cycles, ends.last_bits, *wait),
    ]
    return Ways(
        np.ascontiguousarray(ways, dtype=np.int64), np.array(same, np.int64), prices.arithmetic_pj(all_work)
    )
