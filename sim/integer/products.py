"""The integer kernels that run: numpy and numba, equal to the specifications in `fixed.py`.

Sums of terms have two paths. Where interval analysis proves that no sum can leave its accumulator, terms
may be taken in any order: a float BLAS product is exact while every partial sum stays within 2^24 (float32)
or 2^53 (float64). Where a sum might wrap or saturate, the order-exact loop runs, term by term as the array
adds.
"""

import functools

import numba
import numpy as np

from costmodel.dtypes import Int
from costmodel.errors import CostModelError
from costmodel.hardware.pe import PE_KINDS
from sim.integer.fixed import limits

njit = numba.njit(cache=True, nogil=True)
KINDS = {"mac": 0, "l1": 1, "clip": 2, "relu": 3}  # with loops of their own; others run what `loops_of` compiles
MODES = {"wrap": 0, "saturate": 1}
FLOAT32_EXACT, FLOAT64_EXACT, INT32_EXACT = 1 << 24, 1 << 53, 1 << 31
SHORT = 1 << 15


# Sums of terms


def magnitude(x):
    """The largest |x|."""
    return max(-int(x.min(initial=0)), int(x.max(initial=0)))


def bound_of(a, b, kind):
    """The largest magnitude that a sum over the last dim of a, in any order, can have: interval analysis."""
    return PE_KINDS[kind].bound(magnitude(a), magnitude(b)) * a.shape[-1]


def product(a, b, kind, accumulator: Int, mode: str, start=None, fold=None):
    """Sums of the PE kind's terms: a [..,M,K], b [..,K,N] -> [..,M,N], int32 where that holds them.

    For `clip` and `relu` a is z and b is v. Sums begin at `start`, which broadcasts to the result: a bias;
    `fold` as in `fixed.sum_terms`.

    Raises:
        CostModelError: mode `exact` and a sum that might not fit, or an unknown kind or mode.
    """
    if kind not in PE_KINDS:
        raise CostModelError(f"unknown kind of PE {kind!r}; known: {', '.join(PE_KINDS)}")
    a, b = np.asarray(a), np.asarray(b)
    bound = bound_of(a, b, kind)
    first = 0 if start is None else magnitude(np.asarray(start))
    safe = fits(bound + first, accumulator, start is not None or PE_KINDS[kind].signed)
    if safe or mode == "exact":
        out = unordered(a, b, kind, bound)
        if start is not None:
            out = add_start(out, np.asarray(start), bound + first)
        if not safe:
            check_fits(out, accumulator, kind)
        return out
    if mode not in MODES:
        raise CostModelError(f"unknown overflow mode {mode!r}; known: {', '.join(MODES)}, exact")
    return in_order(a, b, kind, accumulator, mode, start, fold)


def fits(bound, accumulator: Int, negative):
    """Whether sums of magnitudes up to `bound` fit, of either sign or of none below 0."""
    low, high = limits(accumulator)
    return bound <= high and (not negative or -bound >= low)


def check_fits(sums, accumulator: Int, kind):
    """Refuse sums that an accumulator does not hold.

    Raises:
        CostModelError: one does not fit.
    """
    low, high = limits(accumulator)
    if sums.max(initial=low) > high or sums.min(initial=high) < low:
        raise CostModelError(f"a sum of {kind} terms does not fit {accumulator}")


def add_start(sums, start, bound):
    """The sums of terms and where they began, in a type that holds `bound`."""
    return np.add(sums, start, dtype=np.int32 if bound < INT32_EXACT else np.int64, casting="unsafe")


def unordered(a, b, kind, bound):
    """Any order: BLAS for multiplications, loops over short integers for the rest. int32, or int64."""
    out = np.int32 if bound < INT32_EXACT else np.int64
    if kind == "mac":
        if bound >= FLOAT64_EXACT:
            return np.matmul(a.astype(np.int64), b.astype(np.int64))
        exact = np.float32 if bound <= FLOAT32_EXACT else np.float64
        return np.matmul(a.astype(exact, copy=False), b.astype(exact, copy=False)).astype(out)
    if kind not in KINDS or bound >= INT32_EXACT or max(magnitude(a), magnitude(b)) >= SHORT:
        return batched(a, b, kind, 0, 0, 0)
    left, right, shape = flattened(a, b, np.int16)
    sums = np.empty((left.shape[0], left.shape[1], right.shape[2]), np.int32)
    {"l1": short_l1, "clip": short_clip, "relu": short_relu}[kind](left, right, sums)
    return sums.reshape(shape)


def flattened(a, b, kind):
    """Leading dims as one, dense: a [B,M,K], b [B,K,N]; and the shape of the result."""
    lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    left = np.broadcast_to(a, lead + a.shape[-2:]).reshape(-1, *a.shape[-2:])
    right = np.broadcast_to(b, lead + b.shape[-2:]).reshape(-1, *b.shape[-2:])
    shape = (*lead, a.shape[-2], b.shape[-1])
    return np.ascontiguousarray(left, kind), np.ascontiguousarray(right, kind), shape


# One loop a kind, without a branch inside: each is vectorised. The casts keep numba from 64-bit integers.


@njit
def short_l1(a, b, out):
    for s in range(a.shape[0]):
        for i in range(a.shape[1]):
            out[s, i, :] = 0
            for k in range(a.shape[2]):
                x = np.int32(a[s, i, k])
                for j in range(b.shape[2]):
                    d = np.int32(x - np.int32(b[s, k, j]))
                    e = np.int32(-d)
                    out[s, i, j] = np.int32(out[s, i, j] + (d if d > e else e))


@njit
def short_clip(a, b, out):
    for s in range(a.shape[0]):
        for i in range(a.shape[1]):
            out[s, i, :] = 0
            for k in range(a.shape[2]):
                x = np.int32(a[s, i, k])
                low = np.int32(-x)
                for j in range(b.shape[2]):
                    y = np.int32(b[s, k, j])
                    y = x if y > x else y
                    out[s, i, j] = np.int32(out[s, i, j] + (low if y < low else y))


@njit
def short_relu(a, b, out):
    for s in range(a.shape[0]):
        for i in range(a.shape[1]):
            out[s, i, :] = 0
            for k in range(a.shape[2]):
                x = np.int32(a[s, i, k])
                for j in range(b.shape[2]):
                    d = np.int32(np.int32(b[s, k, j]) - x)
                    out[s, i, j] = np.int32(out[s, i, j] + (d if d > 0 else np.int32(0)))


def in_order(a, b, kind, accumulator: Int, mode: str, start=None, fold=None):
    """Term by term in an accumulator that wraps or saturates."""
    low, high = limits(accumulator)
    return batched(a, b, kind, low, high, 1 + MODES[mode], start, fold)


def batched(a, b, kind, low, high, mode, start=None, fold=None):
    left, right, shape = flattened(a, b, np.int64)
    out = np.zeros((left.shape[0], *shape[-2:]), np.int64)
    if start is not None:
        out.reshape(shape)[...] = start
    right = right.transpose(0, 2, 1).copy()
    if kind in KINDS:
        sums(left, right, KINDS[kind], low, high, mode, fold or 0, out)
    else:
        loops_of(kind)(left, right, low, high, mode, fold or 0, out)
    return out.reshape(shape)


@njit
def fitted(x, low, high, mode):
    """Mode 0 leaves x alone, 1 wraps, 2 saturates."""
    if mode == 1:
        return (x - low) % (high - low + 1) + low
    if mode == 2:
        return min(max(x, low), high)
    return x


@njit
def sums(a, b, kind, low, high, mode, fold, out):
    """a [B,M,K], b [B,N,K]; out holds where sums begin; fitted after each term; `fold` of 0 is none."""
    for s in range(a.shape[0]):
        for i in range(a.shape[1]):
            for j in range(b.shape[1]):
                total, part = fitted(out[s, i, j], low, high, mode), 0
                for k in range(a.shape[2]):
                    x, y = a[s, i, k], b[s, j, k]
                    if kind == 0:
                        term = x * y
                    elif kind == 1:
                        term = abs(x - y)
                    elif kind == 2:
                        term = max(-x, min(y, x))
                    else:
                        term = max(y - x, 0)
                    if fold == 0:
                        total = fitted(total + term, low, high, mode)
                        continue
                    part = fitted(part + term, low, high, mode)
                    if (k + 1) % fold == 0 or k + 1 == a.shape[2]:
                        total = fitted(total + part, low, high, mode)
                        part = 0
                out[s, i, j] = total


@functools.cache
def loops_of(kind):
    """`sums` of a kind that was added: compiled from the term of its record, integers or floats."""
    term = numba.njit(PE_KINDS[kind].term)

    @numba.njit(nogil=True)
    def run(a, b, low, high, mode, fold, out):
        for s in range(a.shape[0]):
            for i in range(a.shape[1]):
                for j in range(b.shape[1]):
                    total, part = fitted(out[s, i, j], low, high, mode), 0
                    for k in range(a.shape[2]):
                        each = term(a[s, i, k], b[s, j, k])
                        if fold == 0:
                            total = fitted(total + each, low, high, mode)
                            continue
                        part = fitted(part + each, low, high, mode)
                        if (k + 1) % fold == 0 or k + 1 == a.shape[2]:
                            total = fitted(total + part, low, high, mode)
                            part = 0
                    out[s, i, j] = total

    return run


# The same sums in float64, and GELU: what integers are compared with


def float_sums(a, b, kind):
    """a [..,M,K], b [..,K,N] -> [..,M,N] in float64, term by term."""
    left, right, shape = flattened(a, b, np.float64)
    out = np.zeros((left.shape[0], *shape[-2:]), np.float64)
    if kind in KINDS:
        float_loops(left, right, KINDS[kind], out)
    else:
        loops_of(kind)(left, right.transpose(0, 2, 1).copy(), 0, 0, 0, 0, out)
    return out.reshape(shape)


@njit
def float_loops(a, b, kind, out):
    for s in range(a.shape[0]):
        for i in range(a.shape[1]):
            for k in range(a.shape[2]):
                x = a[s, i, k]
                for j in range(b.shape[2]):
                    y = b[s, k, j]
                    if kind == 1:
                        out[s, i, j] += abs(x - y)
                    elif kind == 2:
                        out[s, i, j] += max(-x, min(y, x))
                    else:
                        out[s, i, j] += max(y - x, 0.0)
