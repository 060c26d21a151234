"""A number that tallies its own arithmetic: the witness of every count rule."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Any


class Tally:
    """A float and the ledger in which each operation on it is written."""

    __slots__ = ("ledger", "value")

    def __init__(self, value: float, ledger: Counter[str]) -> None:
        self.value, self.ledger = value, ledger

    def note(self, op: str, value: float) -> Tally:
        self.ledger[op] += 1
        return Tally(value, self.ledger)

    def __add__(self, other: Any) -> Tally:
        return self.note("add", self.value + plain(other))

    def __sub__(self, other: Any) -> Tally:
        return self.note("add", self.value - plain(other))

    def __rsub__(self, other: Any) -> Tally:
        return self.note("add", plain(other) - self.value)

    def __mul__(self, other: Any) -> Tally:
        return self.note("mul", self.value * plain(other))

    def __truediv__(self, other: Any) -> Tally:
        return self.note("div", self.value / plain(other))

    def __rtruediv__(self, other: Any) -> Tally:
        return self.note("div", plain(other) / self.value)

    def __mod__(self, other: Any) -> Tally:
        return self.note("div", math.fmod(self.value, plain(other)))

    def __abs__(self) -> Tally:
        return self.note("abs", abs(self.value))

    def __neg__(self) -> Tally:
        return self.note("add", -self.value)

    def __gt__(self, other: Any) -> bool:
        self.ledger["cmp"] += 1
        return self.value > plain(other)

    def __lt__(self, other: Any) -> bool:
        self.ledger["cmp"] += 1
        return self.value < plain(other)

    __radd__, __rmul__ = __add__, __mul__


def plain(x: Any) -> float:
    return x.value if isinstance(x, Tally) else x


def counted(op: str, function: Callable[..., float]) -> Callable[..., Any]:
    """A function of one number that writes itself into the ledger."""

    def call(x: Any) -> Any:
        return x.note(op, function(x.value)) if isinstance(x, Tally) else function(x)

    return call


exp, erf, tanh = counted("exp", math.exp), counted("erf", math.erf), counted("tanh", math.tanh)
sqrt, log = counted("sqrt", math.sqrt), counted("log", math.log)
sin, cos = counted("trig", math.sin), counted("trig", math.cos)
