"""A typed graph on an accelerator: steps one after the other, with tiles, transfers and stalls.

Each group of `fusion.py` becomes a step, or two where a norm behind a product is better off on its own. Within a
step array, vector unit and DMA work beside each other (`nest.py` says how); between steps nothing overlaps.
Four things are searched, all for one objective: which values stay in the buffer (`keeping.py`), whether an
attention core runs in one pass or op by op, whether products of one operand are joined, and the mapping of each
product and core.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from costmodel.errors import CostModelError, DoesNotFit, UnknownTable
from costmodel.graph.ir import Graph
from costmodel.hardware.accelerator import Accelerator
from costmodel.mapping.core_blocks import CoreMapped
from costmodel.mapping.fusion import Plan, plan_groups
from costmodel.mapping.keeping import NOTHING, Kept, Seat, choices_of, kinds_of, seats_of
from costmodel.mapping.nest_records import Mapped
from costmodel.mapping.objectives import objective_of
from costmodel.mapping.options import (
    HEAD,
    REST,
    WHOLE,
    Option,
    Part,
    Prices,
    Site,
    must_fit,
    options_of,
    prices_of,
)
from costmodel.mapping.pieces import CORE, VECTOR, Piece, Placed, Stay, pieces_of
from costmodel.mapping.steps import Schedule, Step
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
            prices.arithmetic_pj(tuple(work for works in typed.work for work in works))
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
    site = site_for(typed, target, convention, objective)
    goal = site.objective
    best: Chosen | None = None
    lacking = ""
    searcher = Searcher(typed, site)
    for plan in groupings(typed, fuse):
        found = search(searcher, plan, keep, best)
        best, lacking = found.best, lacking or found.lacking
    if best is None:
        raise DoesNotFit(f"{lacking}; give the target a larger buffer or a smaller array")
    return Schedule(target, convention, goal, steps_of(typed, best, target), best.kept.values)


def groupings(typed: Typed, fuse: bool) -> list[Plan]:
    """All ways to group the nodes that are looked at: cores in one pass or op by op, products joined or not."""
    found = [plan_groups(typed, fuse, join=True)]  # most often the best: others are then soon beaten
    if fuse:
        cores = (True, False) if has_core(found[0]) else (True,)
        for fuse_core, join in itertools.product(cores, (True, False)):
            plan = plan_groups(typed, fuse, fuse_core, join)
            if all(plan.groups != other.groups for other in found):
                found.append(plan)
    return found


def has_core(plan: Plan) -> bool:
    return any(group.kind == CORE for group in plan.groups)


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


@dataclass(frozen=True)
class Found:
    """What a search over one grouping of nodes found."""

    placed: tuple[Placed, ...]
    best: Chosen | None
    lacking: str  # what fits nowhere, if something does not


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


def search(searcher: Searcher, plan: Plan, keep: bool, known: Chosen | None = None) -> Found:
    """The best choice of kept values, unless `known` is as good already.

    A choice is not looked at more closely where it would not be the best even if every step had the whole buffer.
    """
    site = searcher.site
    placed = pieces_of(searcher.typed, plan, site.target, searcher.known)
    kinds = kinds_of(plan, placed)
    seats = seats_of(placed, kinds)
    searcher.seats.append(seats)
    key, buffer_bytes = objective_of(site.objective).key, site.target.buffer_bytes
    choices = choices_of(kinds, buffer_bytes) if keep else (NOTHING,)
    best, place = known, -1
    for bound, i in bounded(searcher, seats, choices):
        if best is not None and bound > key(best)[0]:
            break
        options = options_at(searcher, seats, choices[i], None if best is None else key(best)[0])
        if options is not None:
            now = summed(plan, placed, choices[i], seats, options)
            if best is None or (key(now), i) < (key(best), place):
                best, place = now, i
    return Found(placed, best, "" if best else what_lacks(placed, site))


def options_at(
    searcher: Searcher, seats: tuple[Seat, ...], kept: Kept, most: float | None
) -> tuple[Option, ...] | None:
    """The best option of each seat; None where one does not fit, or the first figure will be more than `most`."""
    buffer_bytes = searcher.site.target.buffer_bytes
    least = {
        figure: [getattr(known.best(seat, kept.kinds, buffer_bytes), figure, float("inf")) for seat in seats]
        for figure, known in searcher.least
    }
    totals = {
        figure: sum(len(seat.places) * x for seat, x in zip(seats, each, strict=True))
        for figure, each in least.items()
    }
    options = []
    for i, seat in enumerate(seats):
        option = searcher.pieces.best(seat, kept.kinds, buffer_bytes - seat.waiting_bytes(kept))
        if option is None:
            return None
        options.append(option)
        for figure in totals:
            totals[figure] += len(seat.places) * (getattr(option, figure) - least[figure][i])
        if most is not None and totals and math.prod(totals.values()) * (1 - 2 * SLACK) ** len(totals) > most:
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
        energy_pj=sum(n * o.energy_pj for n, o in pairs),
        dram_bits=sum(n * o.dram_bits for n, o in pairs),
        buffer_bits=sum(n * o.buffer_bits for n, o in pairs),
        buffer_bytes=max(o.buffer_bytes for o in options),
    )


def bounded(searcher: Searcher, seats: tuple[Seat, ...], choices: tuple[Kept, ...]) -> list[tuple[float, int]]:
    """Choices by a bound of the first figure that is compared, the least first; none where a piece fits nowhere.

    With more room no piece takes more. Where no bound is known the choices come as they are.
    """
    if not searcher.least:
        return [(float("-inf"), i) for i in range(len(choices))]
    found = []
    for i, kept in enumerate(choices):
        bound = 1.0
        for field, known in searcher.least:
            total = 0.0
            for seat in seats:
                option = known.best(seat, kept.kinds, searcher.site.target.buffer_bytes)
                total += float("inf") if option is None else len(seat.places) * getattr(option, field)
            bound *= total * (1 - SLACK)
        if bound < float("inf"):
            found.append((bound, i))
    return sorted(found)


def what_lacks(placed: tuple[Placed, ...], site: Site) -> str:
    """The first piece that fits nowhere, in words of who looked for its mapping."""
    for p in placed:
        if not options_of(p.piece, nothing_stays(p), site.target.buffer_bytes, site):
            try:
                must_fit(p.piece, nothing_stays(p), site)
            except DoesNotFit as error:
                return str(error)
    return f"the steps of the model do not fit {site.target.buffer_bytes} bytes of buffer"


def nothing_stays(placed: Placed) -> Stay:
    return Stay(*(tuple(False for _ in part) for part in (placed.operands, placed.reads, placed.writes)))


# Steps


def steps_of(typed: Typed, chosen: Chosen, target: Accelerator) -> tuple[Step, ...]:
    """A choice as steps one behind the other."""
    steps: list[Step] = []
    start = 0
    for placed, option in zip(chosen.placed, chosen.options, strict=True):
        group = chosen.plan.groups[placed.group]
        for part in option.parts:
            nodes = tuple(group.nodes)
            if part.name != WHOLE:
                cut = group.cut or 0
                nodes = nodes[:cut] if part.name == HEAD else nodes[cut:]
            waiting = chosen.kept.waiting[placed.group] if chosen.kept.waiting else 0
            steps.append(step_of(typed, placed, part, nodes, group.products, start, waiting))
            start += part.cycles
    return tuple(steps)


def step_of(
    typed: Typed, placed: Placed, part: Part, nodes: tuple[int, ...], products: list[int], start: int, waiting: int
) -> Step:
    """One part of an option as a step."""
    graph, piece = typed.graph, placed.piece
    vector = part.name == REST or piece.kind == VECTOR
    if vector:
        op = "+".join(dict.fromkeys(graph.nodes[n].op for n in nodes))
    else:
        op = "attention core" if piece.kind == CORE else graph.nodes[products[0]].op
    terms = [] if vector else [(piece.product.steps, piece.first_on)]
    if piece.kind == CORE:
        M, N = piece.product.M, piece.product.N
        terms.append((M * N * piece.D, piece.second_on))
    return Step(
        op=op,
        module=module_of(graph, products if products and not vector else nodes[:1], piece.kind),
        kind=VECTOR if vector else piece.kind,
        in_core=piece.in_core,
        nodes=nodes,
        start_cycle=start,
        cycles=part.cycles,
        array_cycles=part.array_cycles,
        vector_cycles=part.vector_cycles,
        dma_cycles=part.dma_cycles,
        read_bits=part.read_bits,
        write_bits=part.write_bits,
        buffer_read_bits=part.buffer_read_bits,
        buffer_write_bits=part.buffer_write_bits,
        buffer_bytes=part.buffer_bytes,
        kept_bytes=waiting,
        tile="" if part.chosen is None else show_mapping(part.chosen),
        pairs=sum(piece.B * n for n, _ in terms),
        array_pairs=sum(piece.B * n * on for n, on in terms),
        array_work=() if vector else part.array_work,
        vector_work=part.vector_work,
        chosen=part.chosen,
    )


def module_of(graph: Graph, nodes: Sequence[int], kind: str) -> str:
    """The module of a step; of products that are joined the names of all, `attention.q_lin+k_lin+v_lin`."""
    first, *others = (graph.nodes[n].module for n in nodes)
    if kind == CORE:
        return first
    return "+".join((first, *(module.rpartition(".")[2] for module in others)))


def show_mapping(cost: Mapped | CoreMapped) -> str:
    """A mapping in words, such as `128x64x768, loops N M K, a held`."""
    if isinstance(cost, CoreMapped):
        block = cost.mapping
        held = f", {' and '.join(block.held)} held" if block.held else ""
        turns = ", array and lanes take turns" if block.turns else ""
        return f"{block.rows} rows by {block.keys} keys, {block.order} outside{held}{turns}"
    tile = cost.mapping
    held = f", {' and '.join(tile.held)} held" if tile.held else ""
    single = f", {' and '.join(tile.single)} in one place" if tile.single else ""
    return f"{tile.M}x{tile.N}x{tile.K}, loops {' '.join(tile.order)}{held}{single}"
