"""Closed forms, or where two mechanisms cost the same, as a record of `costmodel formula`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from costmodel.compare.lengths import Interval
from costmodel.records import OPTIONAL


@dataclass(frozen=True)
class FormulaRecord:
    """Forms by quantity; or the values of `symbol` at which `attention` and `against` cost the same `of`.

    On a target these are the values at which `against` takes less, as much or more of it.

    `sizes` are the numbers of the other symbols, at which a break-even point or a form on a target holds.
    """

    model: str
    attention: str
    against: Annotated[str | None, OPTIONAL] = None
    of: Annotated[str | None, OPTIONAL] = None
    symbol: Annotated[str | None, OPTIONAL] = None
    target: Annotated[str | None, OPTIONAL] = None
    widths: Annotated[str | None, OPTIONAL] = None
    sizes: Annotated[dict[str, int] | None, OPTIONAL] = None
    formulas: Annotated[dict[str, str] | None, OPTIONAL] = None
    break_even: Annotated[tuple[float, ...] | None, OPTIONAL] = None  # roots of forms
    intervals: Annotated[tuple[Interval, ...] | None, OPTIONAL] = None  # of `against`, at every whole number
    verdict: Annotated[str | None, OPTIONAL] = None
