"""Whole numbers that remember how they were made: a count is a number and the form that gave it.

The code of this package runs on them unchanged. What it decides by comparing (the best tile, the larger of
two times) it decides by the number; the form says what the result is while those decisions stay the same:
one piece of a piecewise form.
"""

from __future__ import annotations

from typing import Any

import sympy


class Traced(int):
    """An int with a sympy form. Sums, products and whole quotients of them are traced; the rest is an int."""

    form: Any

    def __new__(cls, number: int, form: Any) -> Traced:
        self = super().__new__(cls, number)
        self.form = form
        return self

    def __hash__(self) -> int:
        # Equal numbers of different forms are different keys of a cache.
        return hash((int(self), self.form))

    def __eq__(self, other: object) -> bool:
        return int(self) == other

    def __add__(self, other: Any) -> Any:
        return combine(int(self) + other, self.form + form_of(other)) if isinstance(other, int) else NotImplemented

    __radd__ = __add__

    def __mul__(self, other: Any) -> Any:
        return combine(int(self) * other, self.form * form_of(other)) if isinstance(other, int) else NotImplemented

    __rmul__ = __mul__

    def __sub__(self, other: Any) -> Any:
        return combine(int(self) - other, self.form - form_of(other)) if isinstance(other, int) else NotImplemented

    def __rsub__(self, other: Any) -> Any:
        return combine(other - int(self), form_of(other) - self.form) if isinstance(other, int) else NotImplemented

    def __neg__(self) -> Any:
        return Traced(-int(self), -self.form)

    def __floordiv__(self, other: Any) -> Any:
        if not isinstance(other, int):
            return NotImplemented
        return combine(int(self) // other, floor_of(self.form, form_of(other)))

    def __rfloordiv__(self, other: Any) -> Any:
        return combine(other // int(self), floor_of(form_of(other), self.form))


def floor_of(top: Any, bottom: Any) -> Any:
    """floor(top / bottom), shown as a ceiling where the top is negative: -(-a // b) is ceil(a / b)."""
    quotient = sympy.expand(top) / bottom
    if quotient.could_extract_minus_sign():
        return -sympy.ceiling(-quotient)
    return sympy.floor(quotient)


def form_of(number: Any) -> Any:
    return number.form if isinstance(number, Traced) else sympy.Integer(number)


def combine(number: int, form: Any) -> Any:
    """A traced number, or a plain one where the form is a constant."""
    number = int(number)
    return Traced(number, form) if getattr(form, "free_symbols", None) else number
