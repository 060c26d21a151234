"""The front of an attention core: every block that some machine may choose, and the best one of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from costmodel.errors import CostModelError, DoesNotFit
from costmodel.hardware.timing import Product
from costmodel.mapping.core_beside import sums_machine
from costmodel.mapping.core_blocks import core_ends, evaluate_core, first_wait
from costmodel.mapping.core_figures import ROOM, blocks_of, figures
from costmodel.mapping.core_records import FIGURES, CoreMapped, CoreMapping, CoreProblem, dims_of, structures_of
from costmodel.mapping.nest import fold_array
from costmodel.mapping.nest_records import Machine
from costmodel.mapping.nest_sizes import block_sizes
from costmodel.mapping.objectives import Objective, Weighed, objective_of

Array = np.ndarray[Any, Any]
VARIED = ("turns", "read_bits", "buffer_write_bits", "grain")  # figures that structures differ in; turns first
SAME = tuple(name for name in FIGURES if name not in VARIED)
NOWHERE = 1 << 62  # bytes of buffer where the local memory does not hold the sums: no machine has them
ROUNDING = 1e-12  # of an energy that is added up for many at once


@dataclass(frozen=True, eq=False)
class CoreFront:
    """`FIGURES` of each block that some machine may choose, [points, 11], and the mappings."""

    figures: Array
    mappings: tuple[CoreMapping, ...]
    room_bytes: Array
    smallest_bytes: tuple[int, int]  # of any block, whether it fits or not: of buffer, of local memory


def core_front(problem: CoreProblem, machine: Machine) -> CoreFront:
    """All blocks that can be the best on an array with a buffer, for any bandwidth, port, price, lanes, goal.

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
            short_bits=0,
            vector_cycles=0,
            shared=int(o.shared),
        ),
        whole_rows=False,
        again_cycles=0,
        arithmetic_pj=0.0,
        again_pj=0.0,
    )
    place = Machine(machine.array, machine.dataflow, machine.convention, int(machine.buffer_bytes), 1, 1)
    place = replace(place, register_pj=float(machine.register_pj > 0), local_bytes=int(machine.local_bytes))
    return core_front_of(plain, place)


@lru_cache(maxsize=4096)
def core_front_of(problem: CoreProblem, machine: Machine) -> CoreFront:
    from costmodel.mapping import core_loops as loops  # numba takes half a second: not before it is needed

    M, N, d = dims_of(problem)
    if 64 * problem.B * M * N * (d + problem.D) * (1 + (problem.statistics or 0)) >= 1 << 50:
        raise CostModelError(f"an attention core {M}x{N}x{d}, {problem.B} times, has numbers beyond 64 bits")
    other = sums_machine(problem.beside, machine)
    flow, flow2 = machine.dataflow, other.dataflow
    one = fold_array(Product(M, N, d), machine.array, flow)
    two = fold_array(Product(M, problem.D, N), other.array, flow2)
    rows_work = tuple(
        {"os": (array.R, 0), "ws": (0, 2 * array.R), "is": (array.C, 0)}[how]
        for array, how in ((one, flow), (two, flow2))
    )
    keys_work = ((0, 2 * one.R) if flow == "is" else (one.C, 0), (0 if flow2 == "os" else two.R, 0))
    rows = np.array(block_sizes(M, rows_work), np.int64)[:, None]
    sizes: tuple[int, ...] = (N,) if problem.statistics is None else block_sizes(N, keys_work)
    if flow2 != "os" and problem.statistics is not None:
        sizes = (*range(other.array.R, N, other.array.R), N)
    keys = np.array(sizes, np.int64)[None]
    every, structures = np.array([[N]], np.int64), structures_of(problem.operands)
    blocks = blocks_of(problem, rows, every, machine)
    whole = figures(problem, blocks, structures)
    # No block takes less than one of all rows and keys: if that fits, no other is looked at.
    if problem.beside is None and all_fits(whole, machine):
        keys = every
    if keys.size > 1:
        blocks = blocks_of(problem, rows, keys, machine)
        whole = figures(problem, blocks, structures)
    buffer, local = (min(int(found[name].min()) for found in whole) for name in ROOM)
    same = np.stack([whole[0][name] for name in SAME])
    rows_of = [FIGURES.index(name) for name in (*SAME, *VARIED)]
    points = np.empty((0, len(FIGURES) + 4), np.int64)
    for number, found in enumerate(whole):
        room = np.where(found["local_bytes"] <= machine.local_bytes, found["buffer_bytes"], NOWHERE)
        varied = np.stack([*(found[name] for name in VARIED), room])
        points = loops.with_blocks(points, number, same, varied, machine.buffer_bytes)
    table = np.empty((len(points), len(FIGURES)), np.int64)
    table[:, rows_of] = points[:, : len(FIGURES)]
    order = np.lexsort(table[:, ::-1].T)
    room, form, i, j = points[order, len(FIGURES) :].T
    mappings = tuple(
        CoreMapping(int(rows[m, 0]), int(keys[0, n]), *structures[f]) for f, m, n in zip(form, i, j, strict=True)
    )
    return CoreFront(table[order], mappings, room, (buffer, local))


def all_fits(whole: list[dict[str, Array]], machine: Machine) -> bool:
    """Whether a block of all keys fits of which every figure is the least that there is: that of all rows, too.

    `whole`: of each structure the figures of all keys and each number of rows, the last of which is all of them.
    """
    floor = {name: min(int(found[name][-1, 0]) for found in whole) for name in FIGURES}
    for found in whole:
        fits = (found["buffer_bytes"] <= machine.buffer_bytes) & (found["local_bytes"] <= machine.local_bytes)
        if np.logical_and.reduce([fits, *(found[name] <= least for name, least in floor.items())]).any():
            return True
    return False


def best_blocks(problem: CoreProblem, machine: Machine, objective: str) -> CoreMapped:
    """The best mapping of a core for an objective, over all blocks of rows and of keys.

    Raises:
        DoesNotFit: no block fits the buffer.
        CostModelError: an unknown objective, or numbers beyond 64 bits.
    """
    goal = objective_of(objective)
    found = core_front(problem, machine)
    if not found.mappings:
        buffer, local = found.smallest_bytes
        sums = f" and {machine.local_bytes} of memory for sums" if machine.local_bytes else ""
        raise DoesNotFit(
            f"no block of an attention core with {problem.scores.N} keys fits {machine.buffer_bytes} bytes{sums}: "
            f"the smallest takes {buffer}" + (f", and {local}" if machine.local_bytes else "")
        )
    places = core_candidates(found, problem, machine, goal)
    return min((evaluate_core(problem, found.mappings[i], machine) for i in places), key=goal.key)


def core_candidates(found: CoreFront, problem: CoreProblem, machine: Machine, goal: Objective) -> Iterable[int]:
    """Places of the blocks among which the best one is: those of the least first figure, if that is known."""
    if goal.first is None or len(found.mappings) == 1:
        return range(len(found.mappings))
    figure = weigh_blocks(found, problem, machine).first(goal.first)
    return np.flatnonzero(figure <= figure.min() * (1 + ROUNDING)).tolist()


def weigh_blocks(found: CoreFront, problem: CoreProblem, machine: Machine) -> Weighed:
    """What `evaluate_core` finds of each block of a front, of all at once."""
    o, rows = problem.operands, int(problem.B) * int(problem.scores.M)
    again, read, array, turns, reads, writes, sums, grain, registers, *local = found.figures.T
    out, extra = rows * int(problem.D) * o.out_bits - int(o.short_bits), int(o.extra_bits)
    moved = read + (extra + out * o.out_moves)
    reads = reads + (extra + int(o.inside_bits))
    writes = writes + (extra + int(o.also_bits) + out * (not o.out_moves))
    vector = int(o.vector_cycles) + (again > 0) * int(problem.again_cycles)
    units, slowest = array + vector + sums, np.maximum(np.maximum(array, vector), sums)
    wait = int(first_wait(problem, machine)) if problem.beside is None else -(-(units - slowest) * grain // rows)
    busy = np.where(turns, units, slowest)
    slow = [machine.dma_cycles(moved), machine.read_cycles(reads), machine.write_cycles(writes)]
    slow += machine.local_cycles(local[0], local[1])
    cycles = np.maximum.reduce([busy, *slow, np.ones_like(busy)]) + np.where(turns, 0, wait)
    cycles = cycles + int(core_ends(problem, machine).cycles(machine))
    energy = machine.energy_pj(moved, reads, writes, registers, (local[0], local[1]))
    return Weighed(cycles, energy + (problem.arithmetic_pj + (again > 0) * problem.again_pj), moved)
