"""Number types of a model: policies such as `w8a8`, ranges of integers, work by operation and width."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from costmodel.dtypes import Float, Int
from costmodel.errors import CostModelError
from costmodel.ops.rules import OPS

DIGITS = re.compile("[0-9]{1,9}")  # of ASCII: str.isdigit takes more than int does
FLOATS = {"fp32": Float(32), "fp16": Float(16), "bf16": Float(16, brain=True), "fp64": Float(64)}


@dataclass(frozen=True)
class Policy:
    """Types of weights and activations, and the width of accumulators (None: as wide as the sum)."""

    name: str
    weight: Int | Float
    activation: Int | Float
    accumulator_bits: int | None = 32
    per_op: tuple[tuple[str, Policy], ...] = ()

    @property
    def is_float(self) -> bool:
        return isinstance(self.activation, Float)

    def of(self, op: str) -> Policy:
        return next((policy for name, policy in self.per_op if name == op), self)


def parse_policy(text: str) -> Policy:
    """`fp32`, `bf16`, `w4a8`, and per-op mappings such as `w8a8:softmax=w8a16,matmul=w4a8,acc=24`.

    `acc` is the accumulator's width in bits, or `exact`.

    Raises:
        CostModelError: the text is no policy, or a width is not from 2 to 16.
    """
    base, _, rest = text.partition(":")
    policy = replace(base_policy(base, text), name=text)
    pairs, seen = [], set()
    for item in filter(None, rest.split(",")):
        key, equals, value = item.partition("=")
        if key in seen:
            raise CostModelError(f"widths {text!r}: {key} is given twice; leave one out")
        seen.add(key)
        if key == "acc" and (value == "exact" or (DIGITS.fullmatch(value) and 4 <= int(value) <= 64)):
            policy = replace(policy, accumulator_bits=None if value == "exact" else int(value))
        elif equals and key in OPS:
            pairs.append((key, base_policy(value, text)))
        else:
            raise CostModelError(
                f"widths {text!r}: {item!r} is neither acc=BITS (4 to 64, or exact) nor OP=WIDTHS with a known op"
            )
    if any(p.is_float != policy.is_float for _, p in pairs):
        raise CostModelError(f"widths {text!r} mix integers and floats")
    kept = tuple((op, replace(p, accumulator_bits=policy.accumulator_bits)) for op, p in pairs)
    return replace(policy, per_op=kept)


def base_policy(name: str, text: str) -> Policy:
    if name in FLOATS:
        return Policy(name, FLOATS[name], FLOATS[name])
    w, _, b = name.removeprefix("w").partition("a")
    if name.startswith("w") and DIGITS.fullmatch(w) and DIGITS.fullmatch(b):
        weight, activation = int(w), int(b)
        if 2 <= weight <= 16 and 2 <= activation <= 16:
            return Policy(name, Int(weight), Int(activation))
        raise CostModelError(f"widths {text!r}: weights and activations have 2 to 16 bits")
    raise CostModelError(f"unknown widths {text!r}; known: {', '.join(FLOATS)}, wWaA such as w8a8, w4a8, w8a16")


@dataclass(frozen=True, slots=True)
class Range:
    """Smallest and largest integer of a value, and the name of its scale."""

    low: int
    high: int
    scale: int

    @property
    def type(self) -> Int:
        return type_of(self.low, self.high)


def type_of(low: int, high: int) -> Int:
    """The narrowest integer type that holds low..high."""
    if low >= 0:
        return Int(max(1, high.bit_length()), signed=False)
    return Int(max((-low - 1).bit_length(), high.bit_length()) + 1)


def range_of(kind: Int, scale: int) -> Range:
    half = 1 << (kind.bits - 1)
    return Range(-half, half - 1, scale) if kind.signed else Range(0, 2 * half - 1, scale)


@dataclass(frozen=True, slots=True)
class Work:
    """n scalar operations of one width. `lookup` reads a table of 256 entries."""

    op: str
    type: Int | Float
    n: int


@dataclass(frozen=True)
class Overflow:
    """A sum that an accumulator of the policy might not hold."""

    op: str
    module: str
    exact_bits: int
    accumulator_bits: int


def add_work(works: Iterable[Work]) -> dict[tuple[str, str], int]:
    sums: dict[tuple[str, str], int] = {}
    for work in works:
        if work.n:
            key = (work.op, str(work.type))
            sums[key] = sums.get(key, 0) + work.n
    return sums
