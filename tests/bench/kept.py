"""How far a schedule is above the least over all choices of single values that stay in the buffer.

The schedule keeps values by kind, the same in every layer (`keeping.py`). Here every value of DistilBERT is kept
or not by itself: `tests.witness.residency` walks the chain of steps and finds the least sum exactly. The least
product of energy and delay of a whole model is not that of each step: energy plus a price on cycles is made least
for every price that matters, for the least product lies on the lower hull of all sums.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

from costmodel.errors import DoesNotFit
from costmodel.graph.canonical import canonicalise
from costmodel.graph.lowering import lower
from costmodel.graph.tracing import trace
from costmodel.hardware.loading import load_target
from costmodel.mapping import choosing
from costmodel.mapping.fusion import Plan, all_plans
from costmodel.mapping.keeping import waiting_bytes
from costmodel.mapping.objectives import OBJECTIVES, Objective, Taken, objective_of
from costmodel.mapping.options import Option, Site, options_of, part_of
from costmodel.mapping.pieces import Piece, Placed, Stay, pieces_of
from costmodel.mapping.prices import Prices, prices_of
from costmodel.mapping.schedule import schedule
from costmodel.mapping.step_problems import HEAD, REST, WHOLE, Moved, arrays_of, may_run, step_names
from costmodel.mapping.steps import Schedule
from costmodel.widths.assign import Typed, assign_widths
from costmodel.widths.policy import parse_policy
from models.zoo.loading import load_model
from tests.witness.residency import Value, least_residency

SUMS = {"cycles": "cycles", "energy": "energy_pj", "bytes": "dram_bits"}
PRICED = "energy and a price on cycles"
Point = tuple[float, float]  # energy, cycles


def model(S: int) -> Typed:
    loaded = load_model("distilbert", seq=S)
    return assign_widths(canonicalise(lower(trace(loaded.module, loaded.inputs))), parse_policy("w8a8"))


Figure = Callable[[Option], float]
Shares = tuple[float, ...]
Placeds = tuple[Placed, ...]
QUARTERS: Shares = (0.0, 0.25, 0.5, 0.75, 1.0)


class Pieces:
    """The best option of pieces on a site, each found once; of every value it is said whether it stays."""

    def __init__(self, site: Site) -> None:
        self.site, self.known = site, dict[tuple[int, Stay, int], Option | None]()

    def best(self, placed: Placed, values: frozenset[int], free_bytes: int) -> Option | None:
        stay = Stay(*(tuple(v in values for v in some) for some in (placed.operands, placed.reads, placed.writes)))
        name = (placed.place, stay, free_bytes)
        if name not in self.known:
            found = options_of(placed.piece, stay, free_bytes, self.site)
            self.known[name] = min(found, key=objective_of(self.site.objective).key) if found else None
        return self.known[name]


def plan_of(typed: Typed, found: Schedule) -> Plan:
    """The grouping of nodes that a schedule has: the finest whose groups are made of whole steps."""
    steps = [set(step.nodes) for step in found.steps]

    def fits(plan: Plan) -> bool:
        groups = [set(group.nodes) for group in plan.groups]
        return all(group == set().union(*(nodes for nodes in steps if nodes <= group)) for group in groups)

    return max(filter(fits, all_plans(typed)), key=lambda plan: len(plan.groups))


def least_sum(typed: Typed, plan: Plan, site: Site, figure: Figure) -> tuple[float, list[Option]]:
    """The least sum of a figure over all choices of single values, and the options of the steps."""
    placed, pieces = pieces_of(typed, plan, site.target), Pieces(site)
    returned = {plan.source[i] for i in plan.graph.outputs}
    names = [v for v in plan.last if v not in returned]
    values = tuple(Value(plan.born[v], plan.last[v], (0, int(plan.graph.values[v].distinct_bytes))) for v in names)

    def option(g: int, levels: Mapping[int, int], free: int) -> Option:
        found = pieces.best(placed[g], frozenset(names[i] for i, level in levels.items() if level), free)
        if found is None:
            raise DoesNotFit("no tile")
        return found

    room = site.target.buffer_bytes
    found = least_residency(values, len(placed), room, lambda g, levels, free: figure(option(g, levels, free)))
    options = []
    for g in range(len(placed)):
        alive = {i: found.levels[i] for i, value in enumerate(values) if value.born <= g <= value.last}
        options.append(option(g, alive, room - sum(values[i].levels[level] for i, level in alive.items())))
    return found.cost, options


def priced(weight: float) -> Callable[[Taken], tuple[float, ...]]:
    return lambda cost: (cost.energy_pj + weight * cost.cycles, cost.cycles)


def least_product_of(solve: Callable[[str, Callable[[Option], float]], list[Option]]) -> float:
    """The least product of sums of energy and of cycles, from the vertices of the hull of all sums."""

    def point(options: list[Option]) -> Point:
        return sum(o.energy_pj for o in options), sum(o.cycles for o in options)

    ends = (point(solve("cycles", lambda o: o.cycles)), point(solve("energy", lambda o: o.energy_pj)))
    best, waiting = min(e * c for e, c in ends), [ends]
    while waiting:
        (e0, c0), (e1, c1) = waiting.pop()
        # Nothing below the line between both is better than its least product with the corner under them.
        if c1 <= c0 or e0 <= e1 or min(e0, e1) * min(c0, c1) >= best:
            continue
        weight = (e0 - e1) / (c1 - c0)
        OBJECTIVES[PRICED] = Objective(PRICED, priced(weight), True, None)
        try:
            e, c = point(solve(PRICED, lambda o, w=weight: o.energy_pj + w * o.cycles))
        finally:
            del OBJECTIVES[PRICED]
        best = min(best, e * c)
        if e + weight * c < (e0 + weight * c0) * (1 - 1e-9):
            waiting += [((e0, c0), (e, c)), ((e, c), (e1, c1))]
    return best


class Rows:
    """The best option of pieces where of some values only a share of the rows stays; each found once."""

    def __init__(self, site: Site) -> None:
        self.site, self.known = site, dict[object, Option | None]()

    def best(self, placed: Placed, shares: Mapping[int, float], free_bytes: int) -> Option:
        each = [tuple(shares.get(v, 0.0) for v in some) for some in (placed.operands, placed.reads, placed.writes)]
        name = (placed.place, *each, free_bytes)
        if name not in self.known:
            found = self.options(placed.piece, *each, free_bytes)
            self.known[name] = min(found, key=objective_of(self.site.objective).key) if found else None
        option = self.known[name]
        if option is None:
            raise DoesNotFit("no tile")
        return option

    def options(
        self, piece: Piece, operands: Shares, reads: Shares, writes: Shares, free_bytes: int
    ) -> list[Option]:
        """As `options.options_of`, whose values stay or do not."""
        stay = Stay(*(tuple(share == 1 for share in some) for some in (operands, reads, writes)))
        moved, found = moved_shares(piece, reads, writes), []
        for names in step_names(piece) if may_run(piece, self.site.target) else ():
            for on in arrays_of(piece):
                try:
                    parts = [part_of(piece, n, stay, moved[n], free_bytes, self.site, on) for n in names]
                except DoesNotFit:
                    continue
                found.append(Option(tuple(parts)))
        return found


def moved_shares(piece: Piece, reads: Shares, writes: Shares) -> dict[str, Moved]:
    """As `step_problems.moved_by`, with shares of what is read and written."""
    left = sum(int(bits * share) for bits, share in zip(piece.writes, writes, strict=True))
    away = sum(piece.writes) - left
    inside = dict.fromkeys((False, True), 0)
    every = dict.fromkeys((False, True), 0)
    for (bits, behind), share in zip(piece.reads, reads, strict=True):
        inside[behind] += int(bits * share)
        every[behind] += bits
    outside = {behind: every[behind] - inside[behind] for behind in inside}
    again = piece.again_bits
    return {
        WHOLE: Moved(sum(outside.values()), sum(inside.values()) + again, away, left),
        HEAD: Moved(outside[False], inside[False] + again, piece.cut_bits, 0),
        REST: Moved(piece.cut_bits + outside[True], inside[True], away, left),
    }


def least_with_rows(typed: Typed, site: Site) -> float:
    """The least sum where of values that no product takes quarters of the rows may stay, too."""
    found = []
    for plan in all_plans(typed):
        placed, pieces = pieces_of(typed, plan, site.target), Rows(site)
        returned = {plan.source[i] for i in plan.graph.outputs}
        names = [v for v in plan.last if v not in returned]
        taken = {v for p in placed for v in p.operands}
        shares = [(0.0, 1.0) if v in taken else QUARTERS for v in names]
        sizes = [int(plan.graph.values[v].distinct_bytes) for v in names]
        levels = [tuple(int(share * size) for share in own) for size, own in zip(sizes, shares, strict=True)]
        values = tuple(Value(plan.born[v], plan.last[v], own) for v, own in zip(names, levels, strict=True))

        def figure(g: int, levels: Mapping[int, int], free: int, placed: Placeds = placed, pieces: Rows = pieces,
                   names: list[int] = names, shares: list[Shares] = shares) -> float:  # fmt: skip
            option = pieces.best(placed[g], {names[i]: shares[i][level] for i, level in levels.items()}, free)
            return float(getattr(option, SUMS[site.objective]))

        try:
            found.append(least_residency(values, len(placed), site.target.buffer_bytes, figure).cost)
        except DoesNotFit:
            continue
    return min(found)


def least(typed: Typed, site: Site) -> float:
    """The least figure of a site's objective, over the core in one pass or op by op, and single values."""
    found = []
    for plan in all_plans(typed):
        try:
            if site.objective == "edp":
                found.append(
                    least_product_of(
                        lambda name, figure, p=plan: least_sum(typed, p, replace(site, objective=name), figure)[1]
                    )
                )
            else:
                name = SUMS[site.objective]
                found.append(least_sum(typed, plan, site, lambda o, n=name: getattr(o, n))[0])
        except DoesNotFit:
            continue
    return min(found)


def least_as_kept(typed: Typed, site: Site) -> float:
    """The least product of energy and delay with the values that the schedule keeps, over all mappings."""
    found = schedule(typed, site.target, objective=site.objective)
    plan = plan_of(typed, found)
    placed, waiting = pieces_of(typed, plan, site.target), waiting_bytes(plan, found.kept)

    def solve(name: str, _: Figure) -> list[Option]:
        pieces = Pieces(replace(site, objective=name))
        options = [pieces.best(p, found.kept, site.target.buffer_bytes - waiting[p.group]) for p in placed]
        return [option for option in options if option is not None]

    return least_product_of(solve)


def scheduled(typed: Typed, site: Site) -> float:
    """The figure of the schedule itself."""
    found = schedule(typed, site.target, objective=site.objective)
    if site.objective == "bytes":
        return sum(step.read_bits + step.write_bits for step in found.steps)
    p, energy = site.prices, 0.0
    for step in found.steps:
        energy += (step.read_bits + step.write_bits) * p.dram_pj
        energy += step.buffer_read_bits * p.buffer_read_pj + step.buffer_write_bits * p.buffer_write_pj
        energy += step.register_bits * p.register_pj + p.arithmetic_pj((*step.array_work, *step.vector_work))
    return {"cycles": found.cycles, "energy": energy, "edp": energy * found.cycles}[site.objective]


def least_for_nothing(typed: Typed, site: Site) -> float:
    """No choice takes less, of whole values or of any rows of them: whatever stays takes no room in the buffer."""
    pieces, found = choosing.Pieces(site, objective_of(site.objective)), []
    figures = choosing.BOUNDED[site.objective]
    for planned in choosing.all_planned(typed, all_plans(typed), pieces):
        masks = [[mask for mask in range(seat.kinds + 1) if mask & ~seat.kinds == 0] for seat in planned.seats]
        leasts = [
            [pieces.least(seat, mask) for mask in own] for seat, own in zip(planned.seats, masks, strict=True)
        ]
        sums = [
            sum(
                len(seat.places) * min(getattr(least, figure) for least in own)
                for seat, own in zip(planned.seats, leasts, strict=True)
            )
            for figure in figures
        ]
        found.append(math.prod(sums))
    return min(found)


def above(figure: float, bound: float) -> str:
    """In percent; a bound that is not one is an error."""
    assert figure >= bound * (1 - 1e-9), (figure, bound)
    return f"{max(0.0, 100 * (figure / bound - 1)):.3f}"


def rows() -> list[str]:
    """The table of MAPPING.md: percent above the least, by objective."""
    names = ("cycles", "energy", "bytes", "edp")
    beside = ("energy, some rows", "bytes, some rows", "edp, the same values kept", "edp, any rows")
    lines = [f"| DistilBERT | target | {' | '.join((*names, *beside))} |"]
    lines.append("|---|---|" + "---:|" * len((*names, *beside)))
    for S in (128, 256, 384, 512):
        typed = model(S)
        for target in ("edge-asic", "server-asic"):
            machine, cells = load_target(target), []
            for objective in names:
                site = Site(machine, "array", prices_of(machine) or Prices(), objective)
                cells.append(above(scheduled(typed, site), least(typed, site)))
            for objective in ("energy", "bytes"):
                own = replace(site, objective=objective)
                cells.append(above(scheduled(typed, own), least_with_rows(typed, own)))
            cells.append(above(scheduled(typed, site), least_as_kept(typed, site)))
            cells.append(above(scheduled(typed, site), least_for_nothing(typed, site)))
            lines.append(f"| S={S} | {target} | " + " | ".join(cells) + " |")
            print(lines[-1], flush=True)
    return lines


if __name__ == "__main__":
    rows()
