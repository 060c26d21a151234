"""What a piece takes at least: each figure for itself, over all ways and mappings, of which none is named."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np

from costmodel.mapping.core_front import core_front, weigh_blocks
from costmodel.mapping.core_records import CoreProblem
from costmodel.mapping.front import Front, front
from costmodel.mapping.geometry import asked_of, geometry_of
from costmodel.mapping.nest_records import Machine, Problem
from costmodel.mapping.objectives import Weighed
from costmodel.mapping.options import Site, vector_part
from costmodel.mapping.pieces import Piece, Stay
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


@dataclass(frozen=True)
class Least:
    """The least of each figure; infinite where nothing fits."""

    cycles: float = inf
    energy_pj: float = inf
    dram_bits: float = inf


def least_taken(piece: Piece, stay: Stay, free_bytes: int, site: Site) -> Least:
    """The least that any option of `options.options_of` takes."""
    return least_of_ways(piece, stay, moved_by(piece, stay), free_bytes, site)


def floor_taken(piece: Piece, most: Stay, free_bytes: int, site: Site) -> Least:
    """No more than `least_taken` of any `Stay` that keeps some of what `most` keeps."""
    return least_of_ways(piece, most, floor_moved(piece, most), free_bytes, site)


def least_of_ways(piece: Piece, stay: Stay, moved: dict[str, Moved], free_bytes: int, site: Site) -> Least:
    """The least over all ways of a piece, of which each step moves so much beside the operands."""
    best = Least()
    if not may_run(piece, site.target):
        return best
    for names in step_names(piece):
        for on in arrays_of(piece):
            steps = [least_step(piece, name, stay, moved[name], free_bytes, site, on) for name in names]
            best = Least(
                min(best.cycles, sum(step.cycles for step in steps)),
                min(best.energy_pj, sum(step.energy_pj for step in steps)),
                min(best.dram_bits, sum(step.dram_bits for step in steps)),
            )
    return best


def least_step(
    piece: Piece, name: str, stay: Stay, moved: Moved, free_bytes: int, site: Site, on: tuple[int, ...]
) -> Least:
    """The least of one step, its products on some arrays. As `options.part_of`."""
    machine = site.machine(free_bytes, on[0] if on else 0)
    problem = problem_of(piece, name, stay, moved, site.target, site.prices, on)
    if problem is None:
        part = vector_part(name, work_of(piece, name), moved, machine, site)
        return Least(part.cycles, part.energy_pj, part.read_bits + part.write_bits)
    if isinstance(problem, CoreProblem):
        blocks = core_front(problem, machine)
        return least_of(weigh_blocks(blocks, problem, machine)) if blocks.mappings else Least()
    found = front(geometry_of(problem, machine))
    return least_of_front(found, problem, machine) if len(found) else Least()


def least_of_front(found: Front, problem: Problem, machine: Machine) -> Least:
    """As the least of all that `front.weigh` finds."""
    from costmodel.mapping.front_search import leasts  # numba takes half a second: not before it is needed

    asked = asked_of(problem, machine, "cycles")
    return Least(*leasts(found.figures, np.array(asked.numbers, np.int64), np.array(asked.prices)).tolist())


def least_of(weighed: Weighed) -> Least:
    return Least(int(weighed.cycles.min()), float(weighed.energy_pj.min()), int(weighed.dram_bits.min()))
