"""Schedules whose cores, or chains, run by blocks and on arrays that nobody chose; nothing is kept."""

from __future__ import annotations

import random

from costmodel.hardware.loading import load_target
from costmodel.mapping.core_blocks import core_is_legal, evaluate_core
from costmodel.mapping.core_records import STRUCTURES, CoreMapping
from costmodel.mapping.fusion import Plan
from costmodel.mapping.keeping import NOTHING
from costmodel.mapping.options import Option, Site, options_of, part_with
from costmodel.mapping.pieces import Placed, pieces_of
from costmodel.mapping.schedule import nothing_stays, site_for
from costmodel.mapping.step_problems import WHOLE, arrays_of, core_problem, moved_by
from costmodel.mapping.steps import Schedule, steps_of
from costmodel.widths.assign import Typed


def by_chance(typed: Typed, plan: Plan, kind: str, target: str, rng: random.Random) -> Schedule:
    """All pieces of a kind, core or chain, by random blocks; all others by the first option that there is."""
    machine = load_target(target)
    site = site_for(typed, machine, "array", "cycles")
    placed = pieces_of(typed, plan, machine)
    options = tuple(option_by_chance(p, kind, site, rng) for p in placed)
    return Schedule(machine, "array", "cycles", steps_of(typed, plan, placed, options, NOTHING), frozenset())


def option_by_chance(placed: Placed, kind: str, site: Site, rng: random.Random) -> Option:
    piece, stay = placed.piece, nothing_stays(placed)
    if piece.kind != kind:
        return options_of(piece, stay, site.target.buffer_bytes, site)[0]
    on = rng.choice(arrays_of(piece))
    problem = core_problem(piece, stay, moved_by(piece, stay)[WHOLE], site.target, site.prices, on)
    machine, keys = site.machine(site.target.buffer_bytes, on[0]), problem.scores.N
    while True:
        rows, some = rng.randint(1, problem.scores.M), rng.choice([keys, rng.randint(1, min(11, keys))])
        mapping = CoreMapping(rows, some, *rng.choice(STRUCTURES))
        if core_is_legal(problem, mapping, machine):
            return Option((part_with(piece, WHOLE, evaluate_core(problem, mapping, machine)),))
