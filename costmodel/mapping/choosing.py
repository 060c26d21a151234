"""The search over ways to group the nodes of a graph and over values that stay in the buffer.

What every piece takes at least, had it the whole buffer, is summed for all choices of all groupings at once; that
is a bound. Choices are looked at by their bound until no other one can be better than the best that was found.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np

from costmodel.mapping.fusion import Plan
from costmodel.mapping.keeping import NOTHING, Kept, Seat, choices_of, kinds_of, seats_of
from costmodel.mapping.least import Least, least_taken
from costmodel.mapping.objectives import objective_of, settled
from costmodel.mapping.options import Option, Site, options_of
from costmodel.mapping.pieces import Described, Piece, Placed, Stay, pieces_of
from costmodel.widths.assign import Typed

Array = np.ndarray[Any, Any]
SLACK = 1e-9  # of floats that are summed in another order
# Of a piece the least of each is a bound; of an objective from outside none is known.
BOUNDED = {
    "edp": ("energy_pj", "cycles"),
    "cycles": ("cycles",),
    "energy": ("energy_pj",),
    "bytes": ("dram_bits",),
}


@dataclass(frozen=True)
class Planned:
    """A way to group the nodes of a graph, its distinct pieces, and what may be kept."""

    plan: Plan
    placed: tuple[Placed, ...]
    seats: tuple[Seat, ...]
    choices: tuple[Kept, ...]


@dataclass(frozen=True)
class Chosen:
    """A choice of kept values with the best option of each seat; sums over all."""

    planned: Planned
    kept: Kept
    options: tuple[Option, ...]
    cycles: int
    energy_pj: float
    dram_bits: int
    buffer_bits: int
    buffer_bytes: int

    @property
    def each(self) -> tuple[Option, ...]:
        """The options of all groups, in order."""
        found = {i: o for seat, o in zip(self.planned.seats, self.options, strict=True) for i in seat.places}
        return tuple(found[i] for i in range(len(self.planned.placed)))


def all_planned(typed: Typed, plans: Sequence[Plan], site: Site, keep: bool = True) -> list[Planned]:
    """Ways to group the nodes of a graph, with their pieces; `keep=False`: nothing stays in the buffer."""
    known: dict[Piece, int] = {}
    described: Described = {}
    found = []
    for plan in plans:
        placed = pieces_of(typed, plan, site.target, known, described)
        kinds = kinds_of(plan, placed)
        choices = choices_of(kinds, site.target.buffer_bytes) if keep else (NOTHING,)
        found.append(Planned(plan, placed, seats_of(placed, kinds), choices))
    return found


class Pieces:
    """The best options of pieces on a site, and what they take at least; each found once."""

    def __init__(self, site: Site) -> None:
        self.site, self.room = site, site.target.buffer_bytes
        self.key: Callable[[Option], tuple[float, ...]] = objective_of(site.objective).key
        self.options: dict[tuple[int, Stay, int], Option | None] = {}
        self.leasts: dict[tuple[int, Stay], Least] = {}

    def best(self, seat: Seat, kinds: int, free_bytes: int) -> Option | None:
        """The best option of a piece where some kinds of values are kept; None where nothing fits."""
        return self.best_of(seat.placed, seat.stay(kinds), free_bytes)

    def best_of(self, placed: Placed, stay: Stay, free_bytes: int) -> Option | None:
        name = (placed.place, stay, free_bytes)
        if name not in self.options:
            # What is the best in the whole buffer is the best in any part of it into which it fits.
            best = None if free_bytes == self.room else self.best_of(placed, stay, self.room)
            if best is None or best.buffer_bytes > free_bytes:
                found = options_of(placed.piece, stay, free_bytes, self.site)
                best = min(found, key=self.key) if found else None
            self.options[name] = best
        return self.options[name]

    def least(self, seat: Seat, kinds: int) -> Least:
        """What a piece takes at least where some kinds are kept: with more room no piece takes more."""
        name = (seat.placed.place, seat.stay(kinds))
        if name not in self.leasts:
            self.leasts[name] = least_taken(seat.placed.piece, name[1], self.room, self.site)
        return self.leasts[name]


def best_choice(every: Sequence[Planned], site: Site) -> Chosen | None:
    """The best choice of kept values in the best grouping, the first of those that are as good; None: none fits.

    A choice is not looked at more closely where it would not be the best even if every step had the whole buffer.
    """
    key, pieces = objective_of(site.objective).key, Pieces(site)
    figures = BOUNDED.get(objective_of(site.objective).first or "", ())
    leasts = [least_sums(planned, pieces, figures) for planned in every]
    bounds = [bound_of(least.sum(1)) for least in leasts]
    order = sorted((float(bound), p, i) for p, each in enumerate(bounds) for i, bound in enumerate(each))
    best, place = None, (0, 0)
    for bound, p, i in order:
        if bound == inf or (best is not None and bound > key(best)[0]):
            break
        most = inf if best is None else key(best)[0]
        options = options_at(pieces, every[p], i, leasts[p][:, :, i], figures, most)
        if options is not None:
            now = summed(every[p], every[p].choices[i], options)
            if best is None or (key(now), (p, i)) < (key(best), place):
                best, place = now, (p, i)
    return best


def least_sums(planned: Planned, pieces: Pieces, figures: tuple[str, ...]) -> Array:
    """[figures, seats, choices]: what all pieces of a seat take at least."""
    kinds = np.array([kept.kinds for kept in planned.choices])
    found = np.zeros((len(figures), len(planned.seats), len(kinds)))
    for j, seat in enumerate(planned.seats if figures else ()):
        masks, at = np.unique(kinds & seat.kinds, return_inverse=True)
        leasts = [pieces.least(seat, int(mask)) for mask in masks]
        each = np.array([[getattr(least, figure) for least in leasts] for figure in figures], float)
        found[:, j] = len(seat.places) * each[:, at]
    return found


def bound_of(sums: Array) -> Array:
    """Products [choices] of sums [figures, choices], of which no choice takes less, however they are rounded."""
    return np.prod(sums * (1 - SLACK), axis=0) if len(sums) else np.full(sums.shape[1:], -inf)


def options_at(
    pieces: Pieces, planned: Planned, i: int, leasts: Array, figures: tuple[str, ...], most: float
) -> tuple[Option, ...] | None:
    """The best option of each seat; None where one does not fit, or the first figure will be more than `most`."""
    kept, options = planned.choices[i], []
    sums = leasts.sum(1).tolist()
    for j, seat in enumerate(planned.seats):
        option = pieces.best(seat, kept.kinds, pieces.room - seat.waiting_bytes(kept))
        if option is None:
            return None
        options.append(option)
        for f, figure in enumerate(figures):
            sums[f] += len(seat.places) * getattr(option, figure) - leasts[f, j]
        if figures and math.prod(each * (1 - SLACK) for each in sums) > most:
            return None
    return tuple(options)


def summed(planned: Planned, kept: Kept, options: tuple[Option, ...]) -> Chosen:
    """A choice with the sums of its pieces, seat by seat."""
    pairs = [(len(seat.places), option) for seat, option in zip(planned.seats, options, strict=True)]
    return Chosen(
        *(planned, kept, options),
        cycles=sum(n * o.cycles for n, o in pairs),
        energy_pj=settled(sum(n * o.energy_pj for n, o in pairs)),
        dram_bits=sum(n * o.dram_bits for n, o in pairs),
        buffer_bits=sum(n * o.buffer_bits for n, o in pairs),
        buffer_bytes=max(o.buffer_bytes for o in options),
    )
