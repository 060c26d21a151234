"""The integer functions that run: requantisation, softmax, mean, layer norm, tables; equal to `fixed.py`."""

import math

import numba
import numpy as np

from costmodel.dtypes import Int
from costmodel.errors import CostModelError
from sim.integer.fixed import (
    EXP_BITS,
    INVERSE_BITS,
    MULTIPLIER_BITS,
    NORMAL_BITS,
    RECIPROCAL_BITS,
    ROUNDINGS,
    SQUARE_BITS,
    ExpTable,
    FunctionTable,
    Norm,
    limits,
)
from sim.integer.products import magnitude, njit


@numba.vectorize(["float64(float64)"], cache=True)
def gelu(x):
    return 0.5 * x * (1 + math.erf(x * 0.7071067811865476))


# Requantising


def stored(kind: Int):
    """The numpy type in which values of a type are kept."""
    bits = kind.bits + (not kind.signed)
    return np.dtype(np.int8 if bits <= 8 else np.int16 if bits <= 16 else np.int32 if bits <= 32 else np.int64)


def requantise(x, multiplier, shift, kind: Int, rounding: str, by: str = "columns"):
    """x [..,C] times m / 2^shift, rounded and saturated, in the type's own numpy type.

    m and shift are one number, or [C], or with `by="rows"` one for each leading row of x [R,..].

    Raises:
        CostModelError: x times m takes more than 63 bits, or an unknown rounding.
    """
    if rounding not in ROUNDINGS:
        raise CostModelError(f"unknown rounding {rounding!r}; known: {', '.join(ROUNDINGS)}")
    x = np.asarray(x)
    m, s = np.atleast_1d(np.asarray(multiplier, np.int64)), np.atleast_1d(np.asarray(shift, np.int64))
    rows = x.reshape(len(m), -1) if by == "rows" and len(m) > 1 else x.reshape(-1, x.shape[-1] if x.ndim else 1)
    if x.dtype.itemsize > 4 and magnitude(x) * magnitude(m) >= 1 << 62:
        raise CostModelError(f"values up to {magnitude(x)} times factors up to {magnitude(m)} take beyond 63 bits")
    low, high = limits(kind)
    out = np.empty(rows.shape, stored(kind))
    down, across = (0, 0) if len(m) == 1 else (1, 0) if by == "rows" else (0, 1)
    scale_rows(np.ascontiguousarray(rows), m, s, down, across, low, high, ROUNDINGS.index(rounding), out)
    return out.reshape(x.shape)


@njit
def rounded(x, shift, rounding):
    """x / 2^shift, 0 <= shift <= 62; `rounding` by its place in `fixed.ROUNDINGS`."""
    if shift == 0:
        return x
    if rounding == 1:
        return (x >> shift) + ((x >> (shift - 1)) & 1)
    floor = x >> shift
    rest, half = x - (floor << shift), np.int64(1) << (shift - 1)
    if rounding == 3:
        return floor
    if rounding == 4:
        return floor + (1 if x < 0 and rest > 0 else 0)
    if rounding == 2:
        return floor + (1 if rest > half or (rest == half and x >= 0) else 0)
    return floor + (1 if rest > half or (rest == half and floor & 1) else 0)


@njit
def scale_rows(x, m, s, down, across, low, high, rounding, out):
    for i in range(x.shape[0]):
        if rounding == 1 and across == 0 and s[i * down] > 0:
            f, t = m[i * down], s[i * down]
            half = np.int64(1) << (t - 1)
            for j in range(x.shape[1]):
                out[i, j] = min(max((np.int64(x[i, j]) * f + half) >> t, low), high)
            continue
        for j in range(x.shape[1]):
            at = i * down + j * across
            out[i, j] = min(max(rounded(np.int64(x[i, j]) * m[at], s[at], rounding), low), high)


def round_shift(x, shift, rounding):
    """x / 2^shift, 0 <= shift <= 62, on int64."""
    x = np.asarray(x, np.int64)
    out = np.empty(x.shape, np.int64).reshape(-1)
    round_all(x.reshape(-1), int(shift), ROUNDINGS.index(rounding), out)
    return out.reshape(x.shape)


@njit
def round_all(x, shift, rounding, out):
    for i in range(x.shape[0]):
        out[i] = rounded(x[i], shift, rounding)


def multipliers_of(factors, bits: int):
    """`fixed.multiplier_of` of an array of factors: m and shift.

    Raises:
        CostModelError: a factor that is not finite or too far from 1.
    """
    factors = np.asarray(factors, np.float64)
    mantissa, exponent = np.frexp(factors)
    m = np.rint(np.ldexp(mantissa, bits))
    shift = bits - exponent
    full = np.abs(m) == 1 << bits
    m, shift = np.where(full, m / 2, m), np.where(full, shift - 1, shift)
    shift = np.where(factors == 0, 0, shift)
    wrong = ~np.isfinite(factors) | (shift < 0) | (shift > 62)
    if wrong.any():
        raise CostModelError(f"a factor of {factors[wrong].flat[0]:g} cannot be a {bits}-bit multiplier")
    return m.astype(np.int64), shift.astype(np.int64)


# Softmax, mean, norm, tables


def softmax(x, table: ExpTable, bits: int, keep=None):
    """Over the last dim of x [R,N]: probabilities on the scale 1 / (2^(bits - 1) - 1).

    `keep` [R,N] is False where a key does not exist; a row without keys is 0.
    """
    x = np.ascontiguousarray(x)
    rows = x.reshape(-1, x.shape[-1])
    exists = np.ones((1, 1), np.bool_) if keep is None else np.ascontiguousarray(keep).reshape(rows.shape)
    out = np.empty(rows.shape, stored(Int(bits)))
    near, far = np.array(table.near, np.int64), np.array(table.far or (0,), np.int64)
    softmax_rows(rows, exists, keep is not None, near, far, bool(table.far), bits, out)
    return out.reshape(x.shape)


@njit
def softmax_rows(x, keep, masked, near, far, wide, bits, out):
    terms = np.empty(x.shape[1], np.int64)
    shift = INVERSE_BITS - (bits - 1)
    top = ((np.int64(1) << (bits - 1)) - 1) << shift
    half = np.int64(1) << (shift - 1)
    for i in range(x.shape[0]):
        largest = np.int64(-(1 << 40))
        for j in range(x.shape[1]):
            if (not masked or keep[i, j]) and x[i, j] > largest:
                largest = np.int64(x[i, j])
        total = np.int64(0)
        for j in range(x.shape[1]):
            terms[j] = 0
            if not masked or keep[i, j]:
                k = largest - x[i, j]
                if wide:
                    terms[j] = (near[k & 255] * far[k >> 8] + (1 << (EXP_BITS - 1))) >> EXP_BITS
                else:
                    terms[j] = near[k]
            total += terms[j]
        inverse = top // total if total else 0
        for j in range(x.shape[1]):
            out[i, j] = (terms[j] * inverse + half) >> shift


def mean(x, multiplier, shift, keep=None):
    """Over the last dim of x [..,N]: the sum times m / 2^shift, halves up; m and shift may be arrays [..]."""
    kept = np.asarray(x, np.int64) if keep is None else np.where(keep, x, 0).astype(np.int64)
    shift = np.asarray(shift, np.int64)
    return (kept.sum(-1) * multiplier + (np.int64(1) << shift >> 1)) >> shift


def norm_constants(norm: Norm):
    """Weight, and bias with as many fraction bits as their product has, as arrays."""
    return np.array(norm.weight, np.int64), np.array(norm.bias, np.int64) << NORMAL_BITS


def layer_norm(x, norm: Norm, kind: Int, rounding: str, constants=None):
    """Over the last dim of x [..,N]; see `fixed.layer_norm`. `constants`: `norm_constants`, made before.

    Raises:
        CostModelError: a row so long or wide that its squares take more than 63 bits.
    """
    x = np.ascontiguousarray(x)
    n = x.shape[-1]
    spread = int(x.max(initial=0)) - int(x.min(initial=0)) << norm.fraction
    if (spread + 1) ** 2 * n + norm.eps >= 1 << 63:
        raise CostModelError(f"a norm over {n} values that differ by {spread} takes squares beyond 63 bits")
    out = np.empty((x.size // n, n), stored(kind))
    low, high = limits(kind)
    weight, bias = constants or norm_constants(norm)
    place = ROUNDINGS.index(rounding)
    rows = x.reshape(-1, n)
    norm_rows(rows, weight, bias, norm.eps, norm.fraction, *norm.inverse_n, norm.shift, low, high, place, out)
    return out.reshape(x.shape)


@njit
def shifted(x, right):
    """x / 2^right, rounded down; a shift to the left where that is negative."""
    return x >> right if right >= 0 else x << -right


@njit
def norm_rows(x, weight, bias, eps, fraction, m, s, shift, low, high, rounding, out):
    for r in range(x.shape[0]):
        total = np.int64(0)
        for i in range(x.shape[1]):
            total += x[r, i]
        middle = rounded(total * m, s - fraction, 1)
        squares = np.int64(eps)
        for i in range(x.shape[1]):
            c = (np.int64(x[r, i]) << fraction) - middle
            squares += c * c
        length, rest = 0, squares
        while rest:
            rest >>= 1
            length += 1
        drop = length - SQUARE_BITS
        drop += (s - MULTIPLIER_BITS - drop) % 2
        top = shifted(squares, drop)
        variance = np.uint64(top) * np.uint64(m) >> np.uint64(MULTIPLIER_BITS)
        root = np.int64(np.sqrt(np.float64(variance)))  # below 2^32: a float64 root is right to one
        while np.uint64(root) * np.uint64(root) > variance:
            root -= 1
        while np.uint64(root + 1) * np.uint64(root + 1) <= variance:
            root += 1
        half = (s - MULTIPLIER_BITS - drop) // 2
        inverse = (np.int64(1) << RECIPROCAL_BITS) // root
        away = RECIPROCAL_BITS - half - NORMAL_BITS
        for i in range(x.shape[1]):
            c = ((np.int64(x[r, i]) << fraction) - middle) * inverse
            wide = shifted(c, away) * weight[i] + bias[i]
            out[r, i] = min(max(rounded(wide, shift, rounding), low), high)


def look_up(x, table: FunctionTable, kind: Int):
    """The function of signed indices, in a type that holds it."""
    x = np.asarray(x)
    half = len(table.base) // 2
    if not table.slope:
        return np.array(table.base, stored(kind))[x.astype(np.intp) + half]
    place = (x >> table.low).astype(np.intp) + half
    base, slope = np.array(table.base, np.int64), np.array(table.slope, np.int64)
    line = base[place] + slope[place] * (x & ((1 << table.low) - 1)).astype(np.int64)
    return (line >> table.low).astype(stored(kind))
