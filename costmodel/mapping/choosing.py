"""The search over ways to group the nodes of a graph and over values that stay in the buffer.

What every piece takes at least, had it the whole buffer, is summed; that is a bound of a choice. The floor of a
piece is no more than that, whatever is kept: by floors, and by a good choice that is known from the first, most
choices are left out before their bounds are made. The others are looked at by their bound until no other one can
be better than the best that was found.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import inf
from typing import Any

import numpy as np

from costmodel.mapping.fusion import Plan
from costmodel.mapping.keeping import NOTHING, Kept, Seat, choices_of, fullest_first, kinds_of, seats_of
from costmodel.mapping.least import Least, floor_taken, least_taken
from costmodel.mapping.objectives import Objective, settled
from costmodel.mapping.options import Option, Site, options_of
from costmodel.mapping.pieces import Described, Placed, Stay, new_places, pieces_of
from costmodel.widths.assign import Typed

Array = np.ndarray[Any, Any]
MOST_KNOWN = 30_000  # pieces and what was found of them that is remembered of a site
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


class Pieces:
    """The best options of pieces on a site, and what they take at least; each found once, for all graphs."""

    def __init__(self, site: Site, goal: Objective) -> None:
        self.site, self.room = site, site.target.buffer_bytes
        self.goal = goal
        self.key: Callable[[Any], tuple[float, ...]] = goal.key
        self.places = new_places()
        self.options: dict[tuple[int, Stay, int], Option | None] = {}
        self.leasts: dict[tuple[int, Stay], Least] = {}
        self.floors: dict[tuple[int, Stay], Least] = {}

    def best(self, seat: Seat, kinds: int, free_bytes: int) -> Option | None:
        """The best option of a piece where some kinds of values are kept; None where nothing fits."""
        return self.best_of(seat.placed, seat.stay(kinds), free_bytes)

    def best_of(self, placed: Placed, stay: Stay, free_bytes: int) -> Option | None:
        name = (placed.place, stay, free_bytes)
        if name in self.options:
            return self.options[name]
        # What is the best in the whole buffer is the best in any part of it into which it fits.
        best = None if free_bytes == self.room else self.best_of(placed, stay, self.room)
        if best is None or best.buffer_bytes > free_bytes:
            found = options_of(placed.piece, stay, free_bytes, self.site)
            best = min(found, key=self.key) if found else None
        self.options[name] = best
        return best

    def least(self, seat: Seat, kinds: int) -> Least:
        """What a piece takes at least where some kinds are kept: with more room no piece takes more."""
        name = (seat.placed.place, seat.stay(kinds))
        found = self.leasts.get(name)
        if found is None:
            found = self.leasts[name] = least_taken(seat.placed.piece, name[1], self.room, self.site)
        return found

    def floor(self, seat: Seat) -> Least:
        """No more than a piece takes at least, whatever is kept."""
        name = (seat.placed.place, seat.stay(seat.kinds))
        found = self.floors.get(name)
        if found is None:
            found = self.floors[name] = floor_taken(seat.placed.piece, name[1], self.room, self.site)
        return found

    def forget(self) -> None:
        """Begin anew where much is known. What was found in the meantime keeps its place, which no other gets."""
        every: tuple[dict[Any, Any], ...] = (self.places, self.options, self.leasts, self.floors)
        if sum(map(len, every)) > MOST_KNOWN:
            for known in every:
                known.clear()


@lru_cache(maxsize=16)
def pieces_on(site: Site, goal: Objective) -> Pieces:
    """What is known of a site: mechanisms share all pieces but their core, and models some of them."""
    return Pieces(site, goal)


def all_planned(typed: Typed, plans: Sequence[Plan], pieces: Pieces, keep: bool = True) -> list[Planned]:
    """Ways to group the nodes of a graph, with their pieces; `keep=False`: nothing stays in the buffer."""
    pieces.forget()
    described: Described = {}
    found = []
    for plan in plans:
        placed = pieces_of(typed, plan, pieces.site.target, pieces.places, described)
        kinds = kinds_of(plan, placed)
        choices = choices_of(kinds, pieces.room) if keep else (NOTHING,)
        found.append(Planned(plan, placed, seats_of(placed, kinds), choices))
    return found


def best_choice(every: Sequence[Planned], pieces: Pieces) -> Chosen | None:
    """The best choice of kept values in the best grouping, the first of those that are as good; None: none fits.

    A choice is not looked at more closely where it would not be the best even if every step had the whole buffer.
    """
    key, figures = pieces.key, BOUNDED.get(pieces.goal.first or "", ())
    best, place = None, (0, 0)
    most = good_enough(every, pieces) if figures else inf
    found = [least_sums(planned, pieces, figures, most) for planned in every]
    bounds = [bound_of(leasts.sum(1)) if figures else np.full(len(left), -inf) for left, leasts in found]
    order = sorted((float(bound), p, at) for p, each in enumerate(bounds) for at, bound in enumerate(each))
    for bound, p, at in order:
        if bound == inf or (best is not None and bound > key(best)[0]):
            break
        most = inf if best is None else key(best)[0]
        i, leasts = int(found[p][0][at]), found[p][1][:, :, at]
        options = options_at(pieces, every[p], i, leasts, figures, most)
        if options is not None:
            now = summed(every[p], every[p].choices[i], options)
            if best is None or (key(now), (p, i)) < (key(best), place):
                best, place = now, (p, i)
    return best


def least_sums(
    planned: Planned, pieces: Pieces, figures: tuple[str, ...], most: float = inf
) -> tuple[Array, Array]:
    """Choices [n] that may take no more than `most`; [figures, seats, n] what all pieces of a seat take at least.

    Those are left out for which the floors of some seats and the leasts of the others already take more.
    """
    kinds = np.array([kept.kinds for kept in planned.choices])
    if not figures:
        return np.arange(len(kinds)), np.zeros((0, len(planned.seats), len(kinds)))
    times = [len(seat.places) for seat in planned.seats]
    floors = np.array([[getattr(pieces.floor(seat), f) for seat in planned.seats] for f in figures]) * times
    sums = floors.sum(1)[:, None]
    left = np.arange(len(kinds) if np.isfinite(sums).all() and bound_of(sums)[0] <= most else 0)
    sums = np.repeat(sums, len(left), axis=1)
    for j in np.argsort(-floors[0], kind="stable").tolist():  # what takes most is looked at first
        if not len(left):
            break
        each, at = leasts_of(planned.seats[j], kinds[left], pieces, figures)
        sums += (times[j] * each - floors[:, j, None])[:, at]
        still = bound_of(sums) <= most
        if not still.all():
            left, sums = left[still], sums[:, still]
    found = np.zeros((len(figures), len(planned.seats), len(left)))
    for j, seat in enumerate(planned.seats if len(left) else ()):
        each, at = leasts_of(seat, kinds[left], pieces, figures)
        found[:, j] = times[j] * each[:, at]
    return left, found


def leasts_of(seat: Seat, kinds: Array, pieces: Pieces, figures: tuple[str, ...]) -> tuple[Array, list[int]]:
    """[figures, distinct] what a piece takes at least where some kinds are kept, and of each which it is."""
    places: dict[int, int] = {}
    at = [places.setdefault(mask, len(places)) for mask in (kinds & seat.kinds).tolist()]
    leasts = [pieces.least(seat, mask) for mask in places]
    return np.array([[getattr(least, figure) for least in leasts] for figure in figures], float), at


def bound_of(sums: Array) -> Array:
    """Products [choices] of sums [figures, choices], of which no choice takes less, however they are rounded."""
    found: Array = np.prod(sums * (1 - SLACK), axis=0)
    return found


def good_enough(every: Sequence[Planned], pieces: Pieces) -> float:
    """What the choice of the first grouping that keeps most takes, of those that fit: the best takes no more."""
    planned = every[0]
    for i in fullest_first(planned.choices):
        options = options_at(pieces, planned, i, np.zeros((0, len(planned.seats))), (), inf)
        if options is not None:
            return pieces.key(summed(planned, planned.choices[i], options))[0]
    return inf


def options_at(
    pieces: Pieces, planned: Planned, i: int, leasts: Array, figures: tuple[str, ...], most: float
) -> tuple[Option, ...] | None:
    """The best option of each seat; None where one does not fit, or the first figure will be more than `most`."""
    kept = planned.choices[i]
    options: list[Option | None] = [None] * len(planned.seats)
    sums = leasts.sum(1).tolist()
    heavy = np.argsort(-leasts[0], kind="stable").tolist() if figures else range(len(options))
    for j in heavy:  # what takes most is looked at first
        seat = planned.seats[j]
        option = options[j] = pieces.best(seat, kept.kinds, pieces.room - seat.waiting_bytes(kept))
        if option is None:
            return None
        for f, figure in enumerate(figures):
            sums[f] += len(seat.places) * getattr(option, figure) - leasts[f, j]
        if figures and math.prod(each * (1 - SLACK) for each in sums) > most:
            return None
    return tuple(option for option in options if option is not None)


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
