"""Groupings and kept values: what is left out without a closer look would not have been the best."""

from __future__ import annotations

import random
from dataclasses import replace
from math import inf

import numpy as np
import pytest

from costmodel.hardware.loading import load_target
from costmodel.hardware.timing import ArrayShape
from costmodel.mapping.choosing import BOUNDED, Pieces, all_planned, best_choice, bound_of, least_sums, summed
from costmodel.mapping.fusion import all_plans
from costmodel.mapping.keeping import Seat
from costmodel.mapping.many import OWN, PRICES, compile_program, run
from costmodel.mapping.many_choices import NOWHERE, Block, Shared
from costmodel.mapping.nest_records import WIDE
from costmodel.mapping.objectives import OBJECTIVES, objective_of
from costmodel.mapping.options import Site
from costmodel.mapping.prices import Prices
from costmodel.mapping.schedule import site_for
from costmodel.technology.loading import load_table
from costmodel.widths.assign import Typed
from tests.mapping.test_many import machine, typed

FIGURES = ("cycles", "energy_pj", "dram_bits")


def some_site(seed: int, objective: str | None = None) -> tuple[Typed, Site]:
    """A small model on some machine."""
    rng = random.Random(7000 + seed)
    model = typed(rng.choice(("dot", "inhibitor")), "w8a8", rng.choice([5, 24]), 1, 2, 2)
    target = machine(rng)
    return model, site_for(model, replace(target, weights_bypass=rng.random() < 0.3), "array", objective)


def masks_of(seat: Seat) -> list[int]:
    """All that may be kept of a seat."""
    return [mask for mask in range(seat.kinds + 1) if mask & ~seat.kinds == 0]


@pytest.mark.parametrize("seed", range(12))
def test_no_piece_takes_less_than_its_floor(seed: int) -> None:
    """In each figure, whatever of its values is kept; and nothing is kept that the floor does not keep."""
    model, site = some_site(seed)
    pieces, compared = Pieces(site, objective_of(site.objective)), 0
    for planned in all_planned(model, all_plans(model), pieces):
        for seat in planned.seats:
            floor = pieces.floor(seat)
            for mask in masks_of(seat):
                least = pieces.least(seat, mask)
                for figure in FIGURES:
                    assert getattr(floor, figure) <= getattr(least, figure) * (1 + 1e-12)
                compared += 1
    assert compared > 100


@pytest.mark.parametrize("seed", range(12))
def test_no_entry_takes_less_than_its_floor(seed: int) -> None:
    """The same for the compiled form, whose floors are entries of their own."""
    model, site = some_site(seed)
    program = compile_program(model, site.target, load_table("horowitz45"))
    shared = Shared(program.groupings, site.target, program.prices)
    t, prices = site.target, np.array([[0.1, 0.2, 20.0, 0.05, 0.06]])
    machines = np.array([[getattr(t, name) or WIDE for name in OWN]])
    for objective in OBJECTIVES:
        block = Block(shared, machines, prices, objective)
        for g, grouping in enumerate(program.groupings[:2]):
            for j, seat in enumerate(grouping.seats):
                floor = shared.floor(g, j)
                entries = [shared.entry(g, j, mask, t.buffer_bytes) for mask in masks_of(seat)]
                if floor == NOWHERE:
                    assert set(entries) == {NOWHERE}
                    continue
                block.compute(np.array([floor, *(e for e in entries if e != NOWHERE)]))
                for entry in entries:
                    if entry != NOWHERE:
                        both = [block.least[e, : block.factors, 0] for e in (floor, entry)]
                        assert np.less_equal(*both).all() or np.allclose(*both, rtol=1e-12)


@pytest.mark.parametrize("objective", [name for name in OBJECTIVES if name in BOUNDED])
@pytest.mark.parametrize("seed", range(4))
def test_the_best_of_all_choices_is_found(seed: int, objective: str) -> None:
    """Every choice of every grouping with the best option of each seat, none left out by a bound."""
    model, site = some_site(seed, objective)
    pieces = Pieces(site, objective_of(objective))
    every = all_planned(model, all_plans(model), pieces)
    found = []
    for planned in every:
        for kept in planned.choices:
            seats = planned.seats
            each = [pieces.best(s, kept.kinds, pieces.room - s.waiting_bytes(kept)) for s in seats]
            options = tuple(option for option in each if option is not None)
            if len(options) == len(seats):
                found.append(pieces.key(summed(planned, kept, options)))
    best = best_choice(every, pieces)
    assert (best is None) == (not found)
    if best is not None:
        assert pieces.key(best) == min(found)


@pytest.mark.parametrize("seed", range(6))
def test_what_is_left_out_takes_more(seed: int) -> None:
    model, site = some_site(seed)
    pieces = Pieces(site, objective_of(site.objective))
    figures = BOUNDED[site.objective]
    every = all_planned(model, all_plans(model), pieces)
    whole = [least_sums(planned, pieces, figures) for planned in every]
    bounds = [bound_of(leasts.sum(1)) for _, leasts in whole]
    most = float(np.median(np.concatenate(bounds)))
    left_out = 0
    for planned, (all_left, leasts), bound in zip(every, whole, bounds, strict=True):
        left, found = least_sums(planned, pieces, figures, most)
        assert set(all_left[bound <= most * (1 - 1e-8)]) <= set(left) <= set(all_left[bound <= most * (1 + 1e-8)])
        np.testing.assert_array_equal(found, leasts[:, :, np.searchsorted(all_left, left)])
        left_out += len(all_left) - len(left)
    assert most < inf
    assert left_out


def test_machines_on_which_nothing_is_known_at_first() -> None:
    """Where no choice of the first grouping fits, the others are still looked at."""
    model = typed("dot", "w8a8", 24, 1, 2, 2)
    rng = random.Random(11)
    compared = 0
    for _ in range(60):
        target = replace(machine(rng), buffer_bytes=rng.randrange(300, 3000))
        program = compile_program(model, target, load_table("horowitz45"))
        shared = program.shared(target)
        if shared.fullest() >= 0:
            continue
        compared += 1
        place = [target.array.R, target.array.C, 0, target.lanes, target.buffer_bytes, target.bandwidth_mb_s]
        place += [target.clock_mhz, target.buffer_read_bytes, target.buffer_write_bytes, target.local_bytes]
        place += [target.local_read_bytes or WIDE, target.local_write_bytes or WIDE]
        site = site_for(model, replace(target, dataflow="os"), "array", "cycles")
        pieces = Pieces(replace(site, prices=Prices()), objective_of("cycles"))
        best = best_choice(all_planned(model, all_plans(model), pieces), pieces)
        numbers, _, _ = run(program, np.array([place]), np.zeros((1, len(PRICES))), "cycles")
        assert numbers[0, 0] == (0 if best is None else best.cycles)
    assert compared


def test_machines_that_come_alone_leave_no_more_than_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked for one machine is of no use to the next; results do not depend on what is remembered."""
    model, site = typed("dot", "w8a8", 24, 1, 2, 2), load_target("edge-asic")
    target = replace(site, buffer_bytes=20 * 1024, array=ArrayShape(8, 8), dataflow="os")
    many, few = (compile_program(model, target, load_table("horowitz45")) for _ in range(2))
    prices, most = np.full((1, len(PRICES)), 2.0), 0
    for bandwidth in range(500, 1700, 100):
        row = np.array([[8, 8, 0, 16, target.buffer_bytes, bandwidth, 500, 64, 64, 0, 64, 64]])
        all_known = run(many, row, prices, "edp")
        monkeypatch.setattr("costmodel.mapping.many.MOST_PIECES", 20)
        begun_anew = run(few, row, prices, "edp")
        monkeypatch.undo()
        for one, other in zip(all_known, begun_anew, strict=True):
            np.testing.assert_array_equal(one, other)
        most = max(most, len(few.shared(target).known))
    assert most < len(many.shared(target).known)
