"""A typed graph on an accelerator: steps one after the other, with tiles, transfers and stalls.

Each group of `fusion.py` becomes a step, or two where a norm behind a product is better off on its own. Within a
step array, vector unit and DMA work beside each other (`nest.py` says how); between steps nothing overlaps.
What is searched, all for one objective (`choosing.py`): which values stay in the buffer (`keeping.py`), whether an
attention core runs in one pass or op by op, whether products of one operand are joined, whether two products by
weights run as a chain, and the mapping of each of them.
"""

from __future__ import annotations

from costmodel.errors import CostModelError, DoesNotFit, UnknownTable
from costmodel.hardware.accelerator import Accelerator
from costmodel.mapping.choosing import all_planned, best_choice, pieces_on
from costmodel.mapping.fusion import all_plans
from costmodel.mapping.objectives import objective_of
from costmodel.mapping.options import Site, options_of, part_of
from costmodel.mapping.pieces import Placed, Stay
from costmodel.mapping.prices import Prices, prices_of
from costmodel.mapping.step_problems import HEAD, WHOLE, arrays_of, moved_by
from costmodel.mapping.steps import Schedule, steps_of
from costmodel.widths.assign import Typed

DEFAULT = "edp"  # where a target has prices; else cycles


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
    site = site_for(typed, target, convention, objective)
    pieces = pieces_on(site, objective_of(site.objective))
    every = all_planned(typed, all_plans(typed, fuse), pieces, keep)
    best = best_choice(every, pieces)
    if best is None:
        lacking = what_lacks(every[0].placed, site)
        raise DoesNotFit(f"{lacking}; give the target a larger buffer or a smaller array")
    steps = steps_of(typed, best.planned.plan, best.planned.placed, best.each, best.kept)
    return Schedule(target, convention, site.objective, steps, best.kept.values)


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
