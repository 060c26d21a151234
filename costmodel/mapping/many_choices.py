"""The search of `many.py` on machines with one array and buffer: which values are kept, which ways are taken.

An entry is a piece with some of its values in the buffer and room for its tiles; those whose ways are the same
are one. What an entry takes on each machine is computed once, and a choice of kept values is a sum of entries.
Choices are looked at by a bound, as in `choosing.py`, and on each machine only where the bound is not beyond what
is known there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from costmodel.hardware.accelerator import Accelerator
from costmodel.mapping import many_loops as loops
from costmodel.mapping.choosing import SLACK
from costmodel.mapping.keeping import Kept, Kinds, Seat, choices_of, fullest_first
from costmodel.mapping.pieces import Stay
from costmodel.mapping.prices import Prices
from costmodel.mapping.ways import Sole, Ways, ways_of

Array = np.ndarray[Any, Any]
Option = tuple[Ways, ...]  # one or two steps
Outcome = tuple[Array, Array, Array]
CODES = ("cycles", "energy", "edp", "bytes")
NOWHERE = -1  # the entry of a piece that does not fit
FEW = 256  # machines for which it is worth a look whether a choice is left out before its fronts are made
BLOCK = 2048  # machines at a time: what each entry takes on them stays in memory
FIRST_ENTRIES = 128


@dataclass(frozen=True)
class Grouping:
    """One way to group the nodes of a graph: its distinct pieces, and the kinds of values that may stay."""

    seats: tuple[Seat, ...]
    kinds: Kinds

    @cached_property
    def times(self) -> Array:
        return np.array([len(seat.places) for seat in self.seats], np.int64)

    @cached_property
    def in_core(self) -> Array:
        return np.array([seat.placed.piece.in_core for seat in self.seats], np.bool_)


class Shared:
    """What all machines with one array and buffer share: entries, and the choices of every grouping."""

    def __init__(self, groupings: Sequence[Grouping], target: Accelerator, prices: Prices) -> None:
        self.groupings, self.target, self.prices = groupings, target, prices
        self.options: list[list[Option]] = []  # of each entry
        self.same: dict[object, int] = {}
        self.known: dict[tuple[int, Stay, int, Sole | None], int] = {}
        self.seats: dict[tuple[int, int, int, int, Sole | None], int] = {}
        self.choices = [choices_of(each.kinds, target.buffer_bytes) for each in groupings]
        self.kinds = [np.array([kept.kinds for kept in each], np.int64) for each in self.choices]
        self.floors: dict[tuple[int, Stay], int] = {}
        self.found: dict[tuple[int, int, Sole | None], Array | None] = {}

    def entry(self, group: int, place: int, kinds: int, free_bytes: int, sole: Sole | None = None) -> int:
        """The entry of a seat of a grouping where some kinds are kept; in the whole buffer all ways are in it."""
        seat = self.groupings[group].seats[place]
        sole = None if free_bytes == self.target.buffer_bytes else sole
        name = (group, place, kinds & seat.kinds, free_bytes, sole)
        if name not in self.seats:
            own = (seat.placed.place, seat.stay(kinds), free_bytes, sole)
            if own not in self.known:
                options = ways_of(seat.placed.piece, own[1], free_bytes, self.target, self.prices, sole=sole)
                self.known[own] = self.entry_of(options)
            self.seats[name] = self.known[own]
        return self.seats[name]

    def entry_of(self, options: list[Option]) -> int:
        """The number of an entry; new ways are a new one."""
        if not options:
            return NOWHERE
        name = tuple(
            tuple((w.ways.tobytes(), w.same.tobytes(), w.arithmetic_pj.tobytes()) for w in o) for o in options
        )
        if name not in self.same:
            self.same[name] = len(self.options)
            self.options.append(options)
        return self.same[name]

    def floor(self, group: int, place: int) -> int:
        """The entry of what takes no more than any option of a seat, whatever is kept."""
        seat = self.groupings[group].seats[place]
        name = (seat.placed.place, seat.stay(seat.kinds))
        if name not in self.floors:
            options = ways_of(
                seat.placed.piece, name[1], self.target.buffer_bytes, self.target, self.prices, floor=True
            )
            self.floors[name] = self.entry_of(options)
        return self.floors[name]

    @cached_property
    def order(self) -> list[int]:
        return fullest_first(self.choices[0])

    def fullest(self, sole: Sole | None = None) -> int:
        """The place of the choice of the first grouping that keeps most of those that fit; -1: none fits."""
        return next((place for place in self.order if self.choice(0, place, sole) is not None), -1)

    def choice(self, group: int, place: int, sole: Sole | None = None) -> Array | None:
        """The entries of all seats where some values are kept; None where one does not fit."""
        if (group, place, sole) not in self.found:
            self.found[group, place, sole] = self.entries(group, self.choices[group][place], sole)
        return self.found[group, place, sole]

    def entries(self, group: int, kept: Kept, sole: Sole | None) -> Array | None:
        found = []
        for j, seat in enumerate(self.groupings[group].seats):
            free = self.target.buffer_bytes - seat.waiting_bytes(kept)
            found.append(self.entry(group, j, kept.kinds, free, sole))
            if found[-1] == NOWHERE:
                return None
        return np.array(found, np.int64)


class Block:
    """Some machines, and what entries take on them, each computed once."""

    def __init__(self, shared: Shared, machines: Array, prices: Array, objective: str) -> None:
        self.shared, self.machines, self.prices = shared, machines, prices
        self.code, self.size = CODES.index(objective), len(machines)
        self.sole = sole_of(machines[0], prices[0], objective) if self.size == 1 else None
        self.done = np.zeros(FIRST_ENTRIES, np.bool_)
        self.numbers = np.empty((FIRST_ENTRIES, self.size, loops.RESULTS), np.int64)
        self.energies = np.empty((FIRST_ENTRIES, self.size))
        self.least = np.empty((FIRST_ENTRIES, 2, self.size))  # what is compared first is a product of, at least
        self.factors = 2 if objective == "edp" else 1
        self.rates = loops.rates_of(machines)
        self.room = [self.outcome(), self.outcome()]  # for a second option, and for the second step of any

    def outcome(self) -> Outcome:
        """Places for what some ways take: numbers, energies, the least of both."""
        return np.empty((self.size, loops.RESULTS), np.int64), np.empty(self.size), np.empty((2, self.size))

    def compute(self, entries: Array) -> None:
        """What these entries take, where it is not known yet."""
        if entries.max(initial=0) >= len(self.done):
            self.grow(int(entries.max()) + 1)
        for entry in np.unique(entries[~self.done[entries]]).tolist():
            self.compute_one(entry)
            self.done[entry] = True

    def grow(self, least: int) -> None:
        more = max(least, 2 * len(self.done)) - len(self.done)
        for name in ("done", "numbers", "energies", "least"):
            old = getattr(self, name)
            setattr(self, name, np.concatenate([old, np.zeros((more, *old.shape[1:]), old.dtype)]))

    def compute_one(self, entry: int) -> None:
        first, *others = self.shared.options[entry]
        into = self.numbers[entry], self.energies[entry], self.least[entry]
        self.option(first, into)
        for option in others:
            self.option(option, self.room[0])
            loops.keep_better(self.code, *self.room[0], *into)
        if CODES[self.code] == "cycles":
            into[2][0] = into[0][:, loops.R_CYCLES]
        elif CODES[self.code] == "bytes":
            into[2][0] = into[0][:, loops.R_READ] + into[0][:, loops.R_WRITE]
        elif CODES[self.code] == "energy":
            into[2][0] = into[1]

    def option(self, option: Option, into: Outcome) -> None:
        """The sums of the steps of an option, each run its best way."""
        for i, step in enumerate(option):
            found = self.room[1] if i else into
            own = (step.ways, step.same, step.arithmetic_pj)
            register_pj = self.shared.prices.register_pj
            loops.best_ways(*own, self.machines, self.rates, self.prices, register_pj, self.code, *found)
            if i:
                loops.add_step(*found, *into)


def sole_of(machine: Array, prices: Array, objective: str) -> Sole:
    """The only machine of a block."""
    lanes, bandwidth, clock, *ports = machine.tolist()
    return Sole(lanes, bandwidth, clock, tuple(ports), tuple(prices.tolist()), objective)


def best_choices(
    shared: Shared, machines: Array, prices: Array, objective: str
) -> tuple[Array, Array, Array] | None:
    """Numbers [machines, 8], energy and cycles of the cores of the best choice; None where nothing fits."""
    numbers, energy = np.zeros((len(machines), loops.RESULTS), np.int64), np.zeros(len(machines))
    core = np.zeros(len(machines), np.int64)
    for start in range(0, len(machines), BLOCK):
        part = slice(start, start + BLOCK)
        block = Block(shared, machines[part], prices[part], objective)
        if not best_of(block, numbers[part], energy[part], core[part]):
            return None
    return numbers, energy, core


def best_of(block: Block, best: Array, energy: Array, core: Array) -> bool:
    """Fill in the best choice on each machine; False where nothing fits."""
    shared = block.shared
    first, places = np.full(block.size, np.inf), np.full(block.size, -1)
    starts = np.cumsum([0, *(len(choices) for choices in shared.choices)])

    nothing, bound = np.zeros((2, block.size)), np.empty((1, block.size))

    def look(g: int, place: int) -> None:
        entries, grouping = shared.choice(g, place, block.sole), shared.groupings[g]
        if entries is not None:
            block.compute(entries)
            # Bounded anew: with the room that is left for them pieces take more than in the whole buffer.
            own = entries[None], grouping.times, nothing, block.least, block.factors, first, SLACK
            loops.bounded(*own, bound)
            loops.add_choice(
                *(int(starts[g]) + place, entries, grouping.times, grouping.in_core, bound[0], block.code),
                *(block.numbers, block.energies, best, energy, core, first, places),
            )

    if (fullest := shared.fullest(block.sole)) >= 0:
        look(0, fullest)
    found = [bounds_of(block, g, first) for g in range(len(shared.groupings))]
    numbered = [(g, place) for g, (some, _) in enumerate(found) for place in some.tolist()]
    bounds = np.concatenate([each for _, each in found])
    order = np.argsort(bounds.sum(1), kind="stable")
    at = loops.next_choice(bounds, order, 0, first)
    while at < len(order):
        look(*numbered[order[at]])
        at = loops.next_choice(bounds, order, at + 1, first)
    return bool((places >= 0).all())


def bounds_of(block: Block, g: int, first: Array) -> tuple[Array, Array]:
    """Choices of a grouping, and [choices, machines] of which no less is compared first.

    With more room no piece takes more: so its entry in the whole buffer is a bound, and its floor one whatever is
    kept. Choices are left out that are beyond what is known, `first`, on all machines. On a few machines most are
    so by the floors, which spares the fronts of what they keep; of many machines one always has use for them.
    """
    shared, grouping, kinds = block.shared, block.shared.groupings[g], block.shared.kinds[g]
    seats, times, few = grouping.seats, grouping.times, block.size <= FEW
    heavy, unseen = np.arange(len(seats)), np.empty((0, block.size))
    left, done, bounds = np.arange(len(kinds)), 0, unseen
    floors, entries = np.zeros(len(seats), np.int64), np.zeros((len(kinds), len(seats)), np.int64)

    def still(some: Array) -> Array:
        now, others = heavy[:done], heavy[done:]
        rest = loops.floor_sums(floors[others], times[others], block.least)
        own = np.ascontiguousarray(entries[some][:, now])
        found: Array = loops.bounded(
            own, times[now], rest, block.least, block.factors, first, SLACK, bounds
        )  # fmt: skip
        return found

    if few:
        floors[:] = [shared.floor(g, j) for j in range(len(seats))]
        if (floors == NOWHERE).any():
            return left[:0], unseen
        block.compute(floors)
        if not still(left[:1])[0]:  # the same for all choices
            return left[:0], unseen
        heavy = np.argsort(-block.least[floors, 0].sum(1) * times, kind="stable")  # first what takes most
    while done < len(seats) and len(left):
        start, done = done, min(4 * done + 3, len(seats)) if few else len(seats)
        for j in heavy[start:done].tolist():
            masks, at = np.unique(kinds[left] & seats[j].kinds, return_inverse=True)
            each = np.array(
                [shared.entry(g, j, mask, shared.target.buffer_bytes) for mask in masks.tolist()], np.int64
            )
            entries[left, j] = each[at.ravel()]
            left = left[entries[left, j] != NOWHERE]
        block.compute(entries[np.ix_(left, heavy[:done])].ravel())
        bounds = np.empty((len(left) if done == len(seats) else 0, block.size))
        kept = still(left)
        if done < len(seats):
            left = left[kept]
    return left, bounds
