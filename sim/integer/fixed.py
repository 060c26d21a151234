"""What the integers mean: every operation in plain Python integers, a few lines each.

These are specifications, slow and without limits of width; `products.py` and `functions.py` are what runs,
and equal them.
Rounding, saturation, the width of accumulators and what happens beyond it are arguments, never ambient.

A real number r stands as an integer x on a scale s: r = x s. Multiplying by a real factor is a
multiplication by an integer of some bits and a rounding shift, see `multiplier_of`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import exp, frexp, isqrt

from costmodel.dtypes import Int
from costmodel.errors import CostModelError
from costmodel.hardware.pe import PE_KINDS

MODES = ("wrap", "saturate", "exact")
ROUNDINGS = ("half_even", "half_up", "half_away", "floor", "truncate")
# The contract of the integers: what a machine has to hold so that every implementation gives the same bits.
# `costmodel.widths.typing` prices the same widths; tests hold both equal.
MULTIPLIER_BITS = 31  # of a fixed-point factor
EXP_BITS = 16  # of the entries of the exp table
INVERSE_BITS = 32  # of the reciprocal of a softmax's sum
NORMAL_BITS = 16  # fraction bits of a normalised value
SQUARE_BITS = 32  # at most, of the sum of squares of which a norm takes the root
RECIPROCAL_BITS = 31  # fraction bits of the reciprocal of that root
TABLE_BITS = 8  # of the index of a table; wider operands take a line between two entries


def limits(kind: Int) -> tuple[int, int]:
    """Smallest and largest number of a type."""
    half = 1 << (kind.bits - 1)
    return (-half, half - 1) if kind.signed else (0, 2 * half - 1)


def wrap(x: int, kind: Int) -> int:
    """The number that is left in the low bits."""
    low, _ = limits(kind)
    return (x - low) % (1 << kind.bits) + low


def saturate(x: int, kind: Int) -> int:
    """The nearest number of the type."""
    low, high = limits(kind)
    return min(max(x, low), high)


def fit(x: int, kind: Int, mode: str) -> int:
    """x in a type: wrapped, saturated, or refused where it does not fit."""
    if mode == "wrap":
        return wrap(x, kind)
    if mode == "saturate":
        return saturate(x, kind)
    if mode != "exact":
        raise CostModelError(f"unknown overflow mode {mode!r}; known: {', '.join(MODES)}")
    if saturate(x, kind) != x:
        raise CostModelError(f"{x} does not fit {kind}")
    return x


def round_shift(x: int, shift: int, rounding: str) -> int:
    """x / 2^shift as an integer."""
    if shift <= 0:
        return x << -shift
    floor, rest = x >> shift, x & ((1 << shift) - 1)
    half = 1 << (shift - 1)
    if rounding == "floor":
        return floor
    if rounding == "truncate":
        return floor + (x < 0 and rest > 0)
    if rounding == "half_up":
        return (x + half) >> shift
    if rounding == "half_away":
        return floor + (rest > half or (rest == half and x >= 0))
    if rounding == "half_even":
        return floor + (rest > half or (rest == half and floor % 2 == 1))
    raise CostModelError(f"unknown rounding {rounding!r}; known: {', '.join(ROUNDINGS)}")


def multiplier_of(factor: float, bits: int = MULTIPLIER_BITS) -> tuple[int, int]:
    """A factor as (m, shift): m / 2^shift, m of `bits` bits and the factor's sign. Error below 2^-bits of it.

    Raises:
        CostModelError: the factor is not finite, or too far from 1 for 62-bit products.
    """
    if factor == 0:
        return 0, 0
    if not abs(factor) < float("inf"):
        raise CostModelError(f"a scale of {factor} cannot be a fixed-point factor")
    mantissa, exponent = frexp(factor)
    m = round(mantissa * (1 << bits))
    shift = bits - exponent
    if abs(m) == 1 << bits:
        m, shift = m // 2, shift - 1
    if not 0 <= shift <= 62:
        raise CostModelError(f"a factor of {factor:g} is too far from 1 for a {bits}-bit multiplier")
    return m, shift


def requantise(x: int, multiplier: int, shift: int, kind: Int, rounding: str) -> int:
    """x times m / 2^shift, rounded, saturated to a type."""
    return saturate(round_shift(x * multiplier, shift, rounding), kind)


def sum_terms(
    pe: str,
    a: Sequence[int],
    b: Sequence[int],
    accumulator: Int,
    mode: str,
    start: int = 0,
    fold: int | None = None,
) -> int:
    """start + the terms of a PE kind, one by one: with wrap or saturate the order matters.

    With a fold, each `fold` terms are first summed from 0, as a column of that many PEs does whose
    operands are stationary; the sums of folds are added in the buffer.
    """
    terms = [PE_KINDS[pe].term(x, y) for x, y in zip(a, b, strict=True)]
    total = fit(start, accumulator, mode)
    for first in range(0, len(terms), fold or 1):
        part = fit(terms[first], accumulator, mode) if fold else terms[first]
        for term in terms[first + 1 : first + (fold or 1)]:
            part = fit(part + term, accumulator, mode)
        total = fit(total + part, accumulator, mode)
    return total


@dataclass(frozen=True)
class ExpTable:
    """exp(-k step) of 16 bits: for k below 256, and beyond 8 bits for multiples of 256 as well."""

    near: tuple[int, ...]
    far: tuple[int, ...] = ()


def exp_table(step: float, bits: int) -> ExpTable:
    """The table of differences k = 0 .. 2^bits - 1 between scores of that step."""
    top = 2**EXP_BITS - 1
    near = tuple(round(top * exp(-k * step)) for k in range(1 << min(bits, TABLE_BITS)))
    return ExpTable(
        near, tuple(round(top * exp(-256 * k * step)) for k in range(1 << (bits - 8))) if bits > 8 else ()
    )


def exp_of(k: int, table: ExpTable) -> int:
    """exp(-k step): one lookup, or two and their product, rounded."""
    if not table.far:
        return table.near[k]
    product = table.near[k & 255] * table.far[k >> 8]
    return (product + (1 << (EXP_BITS - 1))) >> EXP_BITS


def softmax(row: Sequence[int], table: ExpTable, bits: int) -> list[int]:
    """Probabilities of bits - 1 bits, on the scale 1 / (2^(bits - 1) - 1): 1 is the largest of them.

    One division a row, then a multiplication, an add to round and a shift an element.
    """
    largest = row[0]
    for x in row[1:]:
        largest = x if x > largest else largest
    terms = [exp_of(largest - x, table) for x in row]
    total = terms[0]
    for e in terms[1:]:
        total = total + e
    shift = INVERSE_BITS - (bits - 1)
    inverse = (((1 << (bits - 1)) - 1) << shift) // total
    return [(e * inverse + (1 << (shift - 1))) >> shift for e in terms]


def mean(row: Sequence[int], multiplier: int, shift: int) -> int:
    """The sum times 1/n as a fixed-point factor, halves up."""
    total = row[0]
    for x in row[1:]:
        total = total + x
    return (total * multiplier + (1 << shift >> 1)) >> shift


@dataclass(frozen=True)
class Norm:
    """Constants of a layer norm over n elements.

    `weight` and `bias` are on one scale, `eps` on that of the squares; the result is
    (normal weight + bias 2^16) / 2^shift, normal being (x - mean) / deviation with 16 fraction bits.
    """

    weight: tuple[int, ...]
    bias: tuple[int, ...]
    eps: int  # at least 1, so that no row divides by 0
    fraction: int  # bits behind the point of the mean and what is centred
    inverse_n: tuple[int, int]  # 1/n as a factor of 31 bits
    shift: int


def layer_norm(row: Sequence[int], norm: Norm, kind: Int, rounding: str) -> list[int]:
    """Sums exact; a reciprocal root a row of 16 bits or so; then two multiplications an element.

    Shifts are wiring, and the shifts that a row decides (where its leading bit is) a barrel shifter: they
    are not counted.
    """
    m, s = norm.inverse_n
    total = row[0]
    for x in row[1:]:
        total = total + x
    middle = round_shift(total * m, s - norm.fraction, "half_up")
    centred = [(x << norm.fraction) - middle for x in row]
    squares = centred[0] * centred[0] + norm.eps
    for c in centred[1:]:
        squares = squares + c * c
    drop = squares.bit_length() - SQUARE_BITS  # of the squares 31 or 32 bits are left,
    drop += (s - MULTIPLIER_BITS - drop) % 2  # so many that the root's exponent is whole
    variance = (round_shift(squares, drop, "floor") * m) >> MULTIPLIER_BITS
    root = root_of(variance)  # deviation 2^half
    half = (s - MULTIPLIER_BITS - drop) // 2
    inverse = (1 << RECIPROCAL_BITS) // root
    normal = [round_shift(c * inverse, RECIPROCAL_BITS - half - NORMAL_BITS, "floor") for c in centred]
    wide = [x * w + (b << NORMAL_BITS) for x, w, b in zip(normal, norm.weight, norm.bias, strict=True)]
    return [saturate(round_shift(x, norm.shift, rounding), kind) for x in wide]


def root_of(x: int) -> int:
    """The integer root, rounded down."""
    return isqrt(x)


@dataclass(frozen=True)
class FunctionTable:
    """A function of signed integers: every value, or beyond 8 bits a point every 2^low and the way to the next.

    `base` holds a point times 2^low, and half of that to round.
    """

    base: tuple[int, ...]
    slope: tuple[int, ...] = ()
    low: int = 0


def table_of(
    function: Callable[[float], float], scale_in: float, scale_out: float, bits: int, kind: Int
) -> FunctionTable:
    """A function of `bits`-bit integers, from the smallest on; halves to even, saturated to a type."""
    least, most = limits(Int(bits))

    def point(x: int) -> int:
        return saturate(round(function(x * scale_in) / scale_out), kind)

    if bits <= TABLE_BITS:
        return FunctionTable(tuple(point(x) for x in range(least, most + 1)))
    low = bits - TABLE_BITS
    points = [point(x) for x in range(least, most + 2, 1 << low)]
    base = tuple((y << low) + (1 << (low - 1)) for y in points[:-1])
    return FunctionTable(base, tuple(b - a for a, b in pairwise(points)), low)


def look_up(x: int, table: FunctionTable) -> int:
    """The entry of a signed index: one lookup; or two, a multiplication and an add on a line."""
    if not table.slope:
        return table.base[x + len(table.base) // 2]
    place = (x >> table.low) + len(table.base) // 2
    return (table.base[place] + table.slope[place] * (x & ((1 << table.low) - 1))) >> table.low
