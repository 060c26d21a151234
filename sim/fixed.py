"""What the integers mean: every operation in plain Python integers, a few lines each.

These are specifications, slow and without limits of width; `kernels.py` is what runs, and equals them.
Rounding, saturation, the width of accumulators and what happens beyond it are arguments, never ambient.

A real number r stands as an integer x on a scale s: r = x s. Multiplying by a real factor is a
multiplication by a 31-bit integer and a rounding shift, see `multiplier_of`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import exp, frexp, isqrt

from costmodel.dtypes import Int
from costmodel.errors import CostModelError

MODES = ("wrap", "saturate", "exact")
ROUNDINGS = ("half_even", "half_up", "half_away", "floor", "truncate")
MULTIPLIER_BITS = 31
EXP_BITS = 16  # of the entries of the exp table
INVERSE_BITS = 32  # 2^32 / sum, of a softmax
ROOT_BITS = 16  # fraction bits of the reciprocal root of a norm


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
        return floor + (rest >= half)
    if rounding == "half_away":
        return floor + (rest > half or (rest == half and x >= 0))
    if rounding == "half_even":
        return floor + (rest > half or (rest == half and floor % 2 == 1))
    raise CostModelError(f"unknown rounding {rounding!r}; known: {', '.join(ROUNDINGS)}")


def multiplier_of(factor: float) -> tuple[int, int]:
    """A positive factor as (m, shift): m / 2^shift, m of 31 bits. Error below 2^-31 of the factor.

    Raises:
        CostModelError: the factor is not positive, not finite, or too far from 1 for 62-bit products.
    """
    if not 0 < factor < float("inf"):
        raise CostModelError(f"a scale of {factor} cannot be a fixed-point factor")
    mantissa, exponent = frexp(factor)
    m = round(mantissa * (1 << MULTIPLIER_BITS))
    shift = MULTIPLIER_BITS - exponent
    if m == 1 << MULTIPLIER_BITS:
        m, shift = m >> 1, shift - 1
    if not 0 <= shift <= 62:
        raise CostModelError(f"a factor of {factor:g} is too far from 1 for a 31-bit multiplier")
    return m, shift


def requantise(x: int, multiplier: int, shift: int, kind: Int, rounding: str) -> int:
    """x times m / 2^shift, rounded, saturated to a type."""
    return saturate(round_shift(x * multiplier, shift, rounding), kind)


def accumulate(terms: Iterable[int], kind: Int, mode: str) -> int:
    """The sum in an accumulator of a type, term by term: with wrap or saturate the order matters."""
    total = 0
    for term in terms:
        total = fit(total + term, kind, mode)
    return total


def dot(a: Sequence[int], b: Sequence[int], kind: Int, mode: str, start: int = 0) -> int:
    """start + sum a b, in the order of the operands: a multiply-accumulate PE."""
    return accumulate([start, *(x * y for x, y in zip(a, b, strict=True))], kind, mode)


def l1(a: Sequence[int], b: Sequence[int], kind: Int, mode: str) -> int:
    """sum |a - b|."""
    return accumulate((abs(x - y) for x, y in zip(a, b, strict=True)), kind, mode)


def clip_sum(z: Sequence[int], v: Sequence[int], kind: Int, mode: str) -> int:
    """sum clip(v, -z, z), z >= 0."""
    return accumulate((max(-x, min(y, x)) for x, y in zip(z, v, strict=True)), kind, mode)


def relu_sum(z: Sequence[int], v: Sequence[int], kind: Int, mode: str) -> int:
    """sum max(v - z, 0)."""
    return accumulate((max(y - x, 0) for x, y in zip(z, v, strict=True)), kind, mode)


TERMS = {"mac": dot, "l1": l1, "clip": clip_sum, "relu": relu_sum}


def exp_table(scale: float, bits: int) -> list[int]:
    """exp(-k scale) of 16 bits for k = 0 .. 2^bits - 1: differences to the largest score."""
    return [round((2**EXP_BITS - 1) * exp(-k * scale)) for k in range(1 << bits)]


def softmax(row: Sequence[int], table: Sequence[int], bits: int) -> list[int]:
    """Probabilities of bits - 1 bits, on the scale 2^-(bits - 1); what rounds to 1 is one step below.

    One division a row, then a multiplication, an add to round and a shift an element.
    """
    largest = max(row)
    terms = [table[largest - x] for x in row]
    inverse = (1 << INVERSE_BITS) // sum(terms)
    shift = INVERSE_BITS - (bits - 1)
    return [min((e * inverse + (1 << (shift - 1))) >> shift, (1 << (bits - 1)) - 1) for e in terms]


def layer_norm(
    row: Sequence[int], weight: Sequence[int], bias: Sequence[int], shift: int, kind: Int, rounding: str
) -> list[int]:
    """(x - mean) / deviation times weight plus bias, exactly but for the root and the last rounding.

    With c = N x - sum x and q = sum c^2 the normalised value is c sqrt(N) / sqrt(q), which is free of the
    scale of x. The root is an integer one, of 16 fraction bits; `weight` and `bias` are on scales that make
    the result's real value (root weight + bias 2^16) / 2^shift steps of the output.
    """
    n, total = len(row), sum(row)
    centred = [n * x - total for x in row]
    squares = sum(c * c for c in centred)
    if squares == 0:
        return [saturate(round_shift(b << ROOT_BITS, shift, rounding), kind) for b in bias]
    out = []
    for c, w, b in zip(centred, weight, bias, strict=True):
        root = isqrt((c * c * n << (2 * ROOT_BITS)) // squares)
        normal = root if c >= 0 else -root
        out.append(saturate(round_shift(normal * w + (b << ROOT_BITS), shift, rounding), kind))
    return out


def table_of(function: object, scale_in: float, scale_out: float, bits: int) -> list[int]:
    """A function of `bits`-bit integers as a table, from the smallest on; halves to even, saturated."""
    assert callable(function)
    kind = Int(bits)
    low, high = limits(kind)
    return [saturate(round(function(x * scale_in) / scale_out), kind) for x in range(low, high + 1)]


def look_up(x: int, table: Sequence[int]) -> int:
    """The entry of a signed index."""
    return table[x + len(table) // 2]
