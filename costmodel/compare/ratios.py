"""Ratios of two sums of prices that are known as ranges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

from costmodel.technology.tables import Energy, add_up


@dataclass(frozen=True)
class Ratio:
    """One energy over another: below 1 the first of the two is less."""

    nominal: float
    low: float
    high: float


def ratio_of(after: Mapping[str, Energy], before: Mapping[str, Energy]) -> Ratio | None:
    """Sum of the parts `after` over that of the parts `before`; None where the latter is nothing.

    Parts have the name of the price that they are made of. A price that is known as a range is the same on both
    sides, and the ratio is monotone in each: its extremes lie where every price is at one of its ends.
    """
    over = add_up(before.values()).nominal_pj
    if not over:
        return None
    names = list(dict(before) | dict(after))

    def energy(parts: Mapping[str, Energy], at_high: Mapping[str, bool]) -> float:
        found = ((parts.get(name, Energy()), high) for name, high in at_high.items())
        return sum(e.high_pj if high else e.low_pj for e, high in found)

    corners = [dict(zip(names, ends, strict=True)) for ends in product((False, True), repeat=len(names))]
    ratios = [energy(after, ends) / energy(before, ends) for ends in corners]
    return Ratio(add_up(after.values()).nominal_pj / over, min(ratios), max(ratios))


def share(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "none"
