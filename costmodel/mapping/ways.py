"""The options of a piece in numbers that do not depend on bandwidth, clock, lanes or prices of memory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from costmodel.hardware.accelerator import Accelerator
from costmodel.mapping.core_blocks import core_ends, first_rows
from costmodel.mapping.core_front import core_front
from costmodel.mapping.core_records import CoreProblem
from costmodel.mapping.front import front
from costmodel.mapping.geometry import EVERYTHING, Asked, asked_of, geometry_of, registers_of_all
from costmodel.mapping.nest import Ends, ends_of
from costmodel.mapping.nest_records import Machine, Problem
from costmodel.mapping.pieces import Piece, Stay, Works
from costmodel.mapping.prices import Prices
from costmodel.mapping.step_problems import (
    Moved,
    arrays_of,
    floor_moved,
    may_run,
    moved_by,
    problem_of,
    step_names,
    work_of,
)
from costmodel.mapping.works import lane_cycles

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Ways:
    """Ways to run a step, and what is the same for all: see `many_loops.py` for the columns."""

    ways: Array
    same: Array
    arithmetic_pj: Array  # without passes of statistics, with them


@dataclass(frozen=True)
class Sole:
    """The only machine for which ways are asked for, and the figure that is compared first."""

    lanes: int
    bandwidth_mb_s: int
    clock_mhz: int
    ports: tuple[int, ...]  # bytes a cycle read from the buffer, written into it; of the local memory the same
    prices: tuple[float, ...]  # pJ a bit read from the buffer, written into it, moved by DRAM; of local memory
    first: str

    def asks(self, problem: Problem, lanes: int, machine: Machine) -> Asked:
        """What it asks of a product; `lanes`: cycles that one lane would take."""
        operands = replace(problem.operands, vector_cycles=-(-lanes // self.lanes))
        read, write, dram, local_read, local_write = self.prices
        own = replace(
            machine,
            bandwidth_mb_s=self.bandwidth_mb_s,
            clock_mhz=self.clock_mhz,
            buffer_read_pj=read,
            buffer_write_pj=write,
            dram_pj=dram,
            buffer_read_bytes=self.ports[0],
            buffer_write_bytes=self.ports[1],
            local_read_bytes=self.ports[2],
            local_write_bytes=self.ports[3],
            local_read_pj=local_read,
            local_write_pj=local_write,
        )
        return asked_of(replace(problem, operands=operands), own, self.first)


def ways_of(
    piece: Piece,
    stay: Stay,
    free_bytes: int,
    target: Accelerator,
    prices: Prices,
    floor: bool = False,
    sole: Sole | None = None,
) -> list[tuple[Ways, ...]]:
    """All options of a piece, of one or two steps each; none where nothing fits. As `options.options_of`.

    Args:
        floor: what takes no more than any option where some of what `stay` keeps is kept.
        sole: then of the ways of a product only those that can be the best for it.
    """
    moved = floor_moved(piece, stay) if floor else moved_by(piece, stay)
    found: list[tuple[Ways, ...]] = []
    if not may_run(piece, target):
        return found
    for names in step_names(piece):
        for on in arrays_of(piece):
            steps = [
                step_ways(piece, name, stay, moved[name], free_bytes, target, prices, on, sole) for name in names
            ]
            if None not in steps:
                found.append(tuple(step for step in steps if step is not None))
    return found


def step_ways(
    piece: Piece,
    name: str,
    stay: Stay,
    moved: Moved,
    free_bytes: int,
    target: Accelerator,
    prices: Prices,
    on: tuple[int, ...],
    sole: Sole | None = None,
) -> Ways | None:
    """The ways of one step, its products on some arrays; None where none fits."""
    problem, works = problem_of(piece, name, stay, moved, target, prices, on), work_of(piece, name)
    if problem is None:
        return vector_ways(works, moved, target, prices)
    own = target.arrays[on[0]]
    machine = Machine(
        *(own.array, own.dataflow, "array", free_bytes, 1, 1),
        register_pj=prices.register_pj,
        local_bytes=target.local_bytes,
    )
    if isinstance(problem, CoreProblem):
        work = lane_cycles(works, target), lane_cycles(piece.again_vector, target)
        return core_ways(problem, moved, work, machine)
    return product_ways(problem, moved, lane_cycles(works, target), machine, sole)


def vector_ways(works: Works, moved: Moved, target: Accelerator, prices: Prices) -> Ways:
    """The only way of the vector unit: all comes, passes the lanes, and goes."""
    ways = np.array([[0, 0, 0, 0, 0, moved.away, moved.away, 0, 0, 0, 0, 0, 0, 0]], np.int64)
    same = [moved.away, moved.outside, moved.inside, moved.left, lane_cycles(works, target), 0, 0, 0, 0, 1, 0]
    return Ways(ways, np.array(same, np.int64), np.full(2, prices.arithmetic_pj(works)))


def product_ways(problem: Problem, moved: Moved, lanes: int, machine: Machine, sole: Sole | None) -> Ways | None:
    """The front of a product, or what of it a sole machine asks for."""
    asked = EVERYTHING if sole is None else sole.asks(problem, lanes, machine)
    found, product = front(geometry_of(problem, machine), asked), problem.product
    if not len(found):
        return None
    dram, cycles, exposed, reads, writes, written, local = found.figures.T
    spills, bits = found.beside.T
    room, registers, none = -(-bits // 8), written + registers_of_all(problem, machine), 0 * cycles
    each = (dram - spills, spills, cycles, exposed, none, reads, writes, room, none, none, none, registers)
    ways = np.stack((*each, local, local), 1)
    o = problem.operands
    results = problem.B * product.M * product.N * o.out_bits - o.short_bits
    same = same_of(moved, results, lanes, ends_of(problem, machine), (0, 1, 0))
    return Ways(np.ascontiguousarray(ways), same, np.full(2, problem.arithmetic_pj))


def core_ways(problem: CoreProblem, moved: Moved, lanes: tuple[int, int], machine: Machine) -> Ways | None:
    """The front of an attention core. `lanes`: their cycles, and those of statistics."""
    found, rows = core_front(problem, machine), problem.B * problem.scores.M
    if not found.mappings:
        return None
    again, read, cycles, turns, reads, writes, beside, grain, registers, *local = found.figures.T
    none = 0 * read
    each = (
        *(read, none, cycles, none, turns, reads, writes, found.room_bytes, beside, grain, again > 0),
        *(registers, *local),
    )
    ways = np.stack(each, 1)
    alone = problem.operands.values_on_array and problem.beside is None
    wait = first_rows(problem, machine) if alone else 0
    results = rows * problem.D * problem.operands.out_bits - problem.operands.short_bits
    same = same_of(moved, results, lanes[0], core_ends(problem, machine), (wait, rows, lanes[1]))
    arithmetic = [problem.arithmetic_pj, problem.arithmetic_pj + problem.again_pj]
    return Ways(np.ascontiguousarray(ways), same, np.array(arithmetic))


def same_of(moved: Moved, results: int, lanes: int, ends: Ends, wait: tuple[int, int, int]) -> Array:
    """What is the same for all ways. Results leave, or stay."""
    leaves = moved.leaves
    same = [
        *(results if leaves else 0, moved.outside, moved.inside, moved.left if leaves else results),
        *(lanes, ends.first_bits, ends.tail_cycles, ends.last_bits, *wait),
    ]
    return np.array(same, np.int64)
