"""Counts: what the plain reference loop of an operation executes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

# A count is an int, or a sympy expression when a rule runs on symbols.
Number = Any


@dataclass(frozen=True, slots=True)
class Counts:
    """Scalar operations and operand bytes; additive. FLOPs and MACs are views, see `counting/records.py`."""

    mul: Number = 0  # multiplications
    add: Number = 0  # additions; a subtraction or a negation is an addition
    cmp: Number = 0  # comparisons: one side of max, min, ReLU, clip, sort
    abs: Number = 0  # absolute values
    exp: Number = 0  # exponentials
    erf: Number = 0  # error functions
    tanh: Number = 0  # hyperbolic tangents
    div: Number = 0  # divisions, reciprocals, integer remainders
    sqrt: Number = 0  # square roots
    log: Number = 0  # logarithms (only outside DistilBERT: softplus, log-softmax)
    trig: Number = 0  # sines and cosines (rotary and sinusoidal positions)
    read_bytes: Number = 0  # operand bytes read: each input of an op once
    write_bytes: Number = 0  # operand bytes written: each output of an op once

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, name) + getattr(other, name) for name in FIELDS))

    def __mul__(self, times: Number) -> Counts:
        return Counts(*(getattr(self, name) * times for name in FIELDS))

    __rmul__ = __mul__

    def arithmetic(self) -> dict[str, Number]:
        """The scalar operations by name. Rare ones, `log` and `trig`, appear only where they occur."""
        counts = {name: getattr(self, name) for name in ARITHMETIC}
        return {name: n for name, n in counts.items() if not SCALARS[name].rare or n != 0}


FIELDS = tuple(f.name for f in fields(Counts))
ARITHMETIC = FIELDS[:-2]


@dataclass(frozen=True)
class Scalar:
    """What is known of a scalar operation beside its count."""

    label: str  # what people call it
    slow: bool = False  # keeps a lane of a vector unit busy for `slow_cycles` of the target, not for one cycle
    rare: bool = False  # shown only where it occurs


# In integers exp, erf and the like are lookups in a table, which no lane takes longer for.
SCALARS = {
    "mul": Scalar("multiplies"),
    "add": Scalar("adds"),
    "cmp": Scalar("comparisons"),
    "abs": Scalar("abs"),
    "exp": Scalar("exp", slow=True),
    "erf": Scalar("erf", slow=True),
    "tanh": Scalar("tanh", slow=True),
    "div": Scalar("div", slow=True),
    "sqrt": Scalar("sqrt", slow=True),
    "log": Scalar("log", slow=True, rare=True),
    "trig": Scalar("sin, cos", slow=True, rare=True),
}
LABELS = {name: scalar.label for name, scalar in SCALARS.items()}


def is_slow(scalar: str) -> bool:
    """Whether a scalar operation takes a lane for `slow_cycles`; `lookup` and the like take one cycle."""
    return scalar in SCALARS and SCALARS[scalar].slow


def total(counts: Iterable[Counts]) -> Counts:
    """Sum of many records; faster than folding with `+`."""
    columns = zip(*([getattr(c, name) for name in FIELDS] for c in counts), strict=True)
    sums = [sum(column) for column in columns]
    return Counts(*sums) if sums else Counts()
