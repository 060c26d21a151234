"""A typed graph on an accelerator: steps one after the other, with tiles, transfers and stalls.

Each group of `fusion.py` becomes a step, or two where a norm behind a product is better off on its own. Within a
step array, vector unit and DMA work beside each other (`nest.py` says how); between steps nothing overlaps.
Four things are searched, all for one objective: which values stay in the buffer (`keeping.py`), whether an
attention core runs in one pass or op by op, whether products of one operand are joined, and the mapping of each
product and core.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf

import numpy as np

from costmodel.errors import CostModelError, DoesNotFit, UnknownTable
from costmodel.hardware.accelerator import Accelerator
from costmodel.mapping.fusion import Plan, all_plans
from costmodel.mapping.keeping import NOTHING, Kept, Seat, choices_of, kinds_of, seats_of
from costmodel.mapping.objectives import objective_of, settled
from costmodel.mapping.options import (
    HEAD,
    WHOLE,
    Option,
    Prices,
    Site,
    arrays_of,
    moved_by,
    options_of,
    part_of,
    prices_of,
)
from costmodel.mapping.pieces import Piece, Placed, Stay, pieces_of
from costmodel.mapping.steps import Schedule, steps_of
from costmodel.widths.assign import Typed

DEFAULT = "edp"  # where a target has prices; else cycles
SLACK = 1e-9  # of floats that are summed in another order


def site_for(typed: Typed, target: Accelerator, convention: str, objective: str | None) -> Site:
    """Where a model is mapped and what for: unless it is said, the energy-delay product, or cycles without prices.

    Raises:
        CostModelError: there is no such objective, or it needs prices that the target has not.
    """
    prices = prices_of(target)
    if objective is None and prices is not None:
        try:
            prices.check(typed)
        except UnknownTable:
            prices = None
    goal = objective or ("cycles" if prices is None else DEFAULT)
    check_objective(goal, target)
    return Site(target, convention, prices or Prices(), goal)


def check_objective(objective: str, target: Accelerator) -> None:
    """Refuse what does not exist, and what nothing is published for.

    Raises:
        CostModelError: the objective is unknown, or needs prices that the target has not.
    """
    if objective_of(objective).needs_prices and prices_of(target) is None:
        raise CostModelError(
            f"`objective={objective}` needs prices, and nothing is published for target {target.name}; "
            "take cycles or bytes, or state prices in the target's file"
        )


def schedule(
    typed: Typed,
    target: Accelerator,
    convention: str = "array",
    fuse: bool = True,
    keep: bool = True,
    objective: str | None = None,
) -> Schedule:
    """The best steps of a typed graph on a target.

    Args:
        keep: False sends all activations through DRAM.
        objective: cycles, energy, edp, bytes, or one that was added; None: see `site_for`.

    Raises:
        DoesNotFit: a product of which no tile fits the buffer.
        CostModelError: there is no such objective, or it needs prices that the target has not.
    """
    searcher = Searcher(typed, site_for(typed, target, convention, objective))
    plans = all_plans(typed, fuse)
    best: Chosen | None = None
    for plan in plans:
        best = search(searcher, plan, keep, best)
    if best is None:
        lacking = what_lacks(pieces_of(typed, plans[0], target, searcher.known), searcher.site)
        raise DoesNotFit(f"{lacking}; give the target a larger buffer or a smaller array")
    steps = steps_of(typed, best.plan, best.placed, best.options, best.kept)
    return Schedule(target, convention, searcher.site.objective, steps, best.kept.values)


@dataclass(frozen=True)
class Chosen:
    """A choice of kept values with the best option of each piece; sums over all."""

    plan: Plan
    placed: tuple[Placed, ...]
    kept: Kept
    options: tuple[Option, ...]
    cycles: int
    energy_pj: float
    dram_bits: int
    buffer_bits: int
    buffer_bytes: int


class Pieces:
    """Options of pieces on a site, each made once: the same in all ways to group the nodes."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.known: dict[tuple[int, Stay, int], Option | None] = {}
        self.seats: dict[tuple[int, int, int], Option | None] = {}
        self.key: Callable[[Option], tuple[float, ...]] = objective_of(site.objective).key

    def best(self, seat: Seat, kinds: int, free_bytes: int) -> Option | None:
        """The best option of a piece where some kinds of values are kept; None where nothing fits."""
        name = (id(seat), kinds & seat.kinds, free_bytes)
        if name not in self.seats:
            own = (seat.placed.place, seat.stay(kinds), free_bytes)
            if own not in self.known:
                found = options_of(seat.placed.piece, own[1], free_bytes, self.site)
                self.known[own] = min(found, key=self.key) if found else None
            self.seats[name] = self.known[own]
        return self.seats[name]


class Searcher:
    """What the searches over all ways to group the nodes of a graph share."""

    def __init__(self, typed: Typed, site: Site) -> None:
        self.typed, self.site = typed, site
        self.known: dict[Piece, int] = {}
        self.pieces = Pieces(site)
        # Of a product of figures the least of each is a bound; of an objective from outside none is known.
        figures = {"edp": ("energy_pj", "cycles"), "cycles": ("cycles",)}
        figures |= {"energy": ("energy_pj",), "bytes": ("dram_bits",)}
        names = {"cycles": "cycles", "energy_pj": "energy", "dram_bits": "bytes"}
        first = objective_of(site.objective).first
        self.least = [
            (figure, Pieces(replace(site, objective=names[figure]))) for figure in figures.get(first or "", ())
        ]
        self.seats: list[tuple[Seat, ...]] = []  # of every plan, so that their ids stay theirs


def search(searcher: Searcher, plan: Plan, keep: bool, known: Chosen | None = None) -> Chosen | None:
    """The best choice of kept values, unless `known` is as good already.

    A choice is not looked at more closely where it would not be the best even if every step had the whole buffer.
    """
    site = searcher.site
    placed = pieces_of(searcher.typed, plan, site.target, searcher.known)
    kinds = kinds_of(plan, placed)
    seats = seats_of(placed, kinds)
    searcher.seats.append(seats)
    key = objective_of(site.objective).key
    choices = choices_of(kinds, site.target.buffer_bytes) if keep else (NOTHING,)
    best, place = known, -1
    for bound, i in bounded(searcher, seats, choices):
        most = inf if best is None else key(best)[0]
        if bound > most:
            break
        options = options_at(searcher, seats, choices[i], most)
        if options is not None:
            now = summed(plan, placed, choices[i], seats, options)
            if best is None or (key(now), i) < (key(best), place):
                best, place = now, i
    return best


def least_of(searcher: Searcher, seats: tuple[Seat, ...], kept: Kept) -> list[list[float]]:
    """Of each figure of the bound what every seat takes at least: with more room no piece takes more."""
    room = searcher.site.target.buffer_bytes
    # Where nothing fits there is no option, and no figure of it.
    return [
        [len(seat.places) * getattr(known.best(seat, kept.kinds, room), figure, inf) for seat in seats]
        for figure, known in searcher.least
    ]


def bound_of(least: list[list[float]]) -> float:
    """No choice takes less than the product of these sums, however they are rounded."""
    return math.prod(sum(each) * (1 - SLACK) for each in least) if least else -inf


def options_at(searcher: Searcher, seats: tuple[Seat, ...], kept: Kept, most: float) -> tuple[Option, ...] | None:
    """The best option of each seat; None where one does not fit, or the first figure will be more than `most`."""
    least = least_of(searcher, seats, kept)
    options = []
    for i, seat in enumerate(seats):
        option = searcher.pieces.best(
            seat, kept.kinds, searcher.site.target.buffer_bytes - seat.waiting_bytes(kept)
        )
        if option is None:
            return None
        options.append(option)
        for each, (figure, _) in zip(least, searcher.least, strict=True):
            each[i] = len(seat.places) * getattr(option, figure)
        if bound_of(least) > most:
            return None
    return tuple(options)


def summed(
    plan: Plan, placed: tuple[Placed, ...], kept: Kept, seats: tuple[Seat, ...], options: tuple[Option, ...]
) -> Chosen:
    """A choice with the sums of its pieces, seat by seat."""
    each: list[Option] = [options[0]] * len(placed)
    for seat, option in zip(seats, options, strict=True):
        for i in seat.places:
            each[i] = option
    pairs = [(len(seat.places), option) for seat, option in zip(seats, options, strict=True)]
    return Chosen(
        *(plan, placed, kept, tuple(each)),
        cycles=sum(n * o.cycles for n, o in pairs),
        energy_pj=settled(sum(n * o.energy_pj for n, o in pairs)),
        dram_bits=sum(n * o.dram_bits for n, o in pairs),
        buffer_bits=sum(n * o.buffer_bits for n, o in pairs),
        buffer_bytes=max(o.buffer_bytes for o in options),
    )


def bounded(searcher: Searcher, seats: tuple[Seat, ...], choices: tuple[Kept, ...]) -> list[tuple[float, int]]:
    """Choices by a bound of the first figure that is compared, the least first; none where a piece fits nowhere.

    As `bound_of(least_of(...))` of each; seats of one mask of kinds are looked up once. Where no bound is known
    the choices come as they are.
    """
    room = searcher.site.target.buffer_bytes
    kinds = np.array([kept.kinds for kept in choices])
    bounds = np.full(len(choices), 1.0 if searcher.least else -inf)
    masks = [np.unique(kinds & seat.kinds, return_inverse=True) for seat in seats]
    for figure, known in searcher.least:
        total = np.zeros(len(choices))
        for seat, (own, place) in zip(seats, masks, strict=True):
            least = [getattr(known.best(seat, int(mask), room), figure, inf) for mask in own]
            total += len(seat.places) * np.array(least, float)[place]
        bounds *= total * (1 - SLACK)
    order = np.argsort(bounds, kind="stable")
    return [(float(bounds[i]), int(i)) for i in order if bounds[i] < inf]


def what_lacks(placed: tuple[Placed, ...], site: Site) -> str:
    """The first piece that fits nowhere, in words of who looked for its mapping."""
    for p in placed:
        stay = nothing_stays(p)
        if not options_of(p.piece, stay, site.target.buffer_bytes, site):
            name = HEAD if p.piece.cut_bits else WHOLE
            try:
                moved, room = moved_by(p.piece, stay)[name], site.target.buffer_bytes
                part_of(p.piece, name, stay, moved, room, site, arrays_of(p.piece)[0])
            except DoesNotFit as error:
                return str(error)
    return f"the steps of the model do not fit {site.target.buffer_bytes} bytes of buffer"


def nothing_stays(placed: Placed) -> Stay:
    return Stay(*(tuple(False for _ in part) for part in (placed.operands, placed.reads, placed.writes)))
