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
        """The scalar operations by name. `log` and `trig` appear only where they occur."""
        counts = {name: getattr(self, name) for name in ARITHMETIC}
        return {name: n for name, n in counts.items() if name not in RARE or n != 0}


FIELDS = tuple(f.name for f in fields(Counts))
ARITHMETIC = FIELDS[:-2]
RARE = ("log", "trig")


def total(counts: Iterable[Counts]) -> Counts:
    """Sum of many records; faster than folding with `+`."""
    columns = zip(*([getattr(c, name) for name in FIELDS] for c in counts), strict=True)
    sums = [sum(column) for column in columns]
    return Counts(*sums) if sums else Counts()


# What people call the operations.
LABELS = {
    "mul": "multiplies",
    "add": "adds",
    "cmp": "comparisons",
    "abs": "abs",
    "exp": "exp",
    "erf": "erf",
    "tanh": "tanh",
    "div": "div",
    "sqrt": "sqrt",
    "log": "log",
    "trig": "sin, cos",
}
