"""Where two closed forms are equal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sympy

from costmodel.counting.symbols import SYMBOLS
from costmodel.errors import CostModelError


def break_even(first: Any, second: Any, symbol: str, sizes: Mapping[str, int]) -> tuple[float, ...]:
    """Positive values of a symbol at which two forms are equal, all other symbols given.

    Empty where one of them is always the smaller. Identical forms are an error: they are equal
    everywhere.
    """
    others = {SYMBOLS[name]: value for name, value in sizes.items() if name != symbol}
    difference = sympy.expand((first - second).subs(others))
    if difference == 0:
        raise CostModelError("the two are the same everywhere")
    unknown = SYMBOLS[symbol]
    if difference.free_symbols - {unknown}:
        raise CostModelError(f"no number for {', '.join(map(str, difference.free_symbols - {unknown}))}")
    numerator = sympy.Poly(sympy.numer(sympy.together(difference)), unknown)
    roots = [complex(root) for root in numerator.nroots()] if numerator.degree() > 0 else []
    return tuple(sorted(r.real for r in roots if abs(r.imag) < 1e-9 * max(1, abs(r)) and r.real > 1e-9))
