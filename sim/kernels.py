"""The integer kernels that run: numpy and numba, equal to the specifications in `fixed.py`.

Products have two paths. Where interval analysis proves that no sum can leave its accumulator, sums may be
taken in any order: a float BLAS product is exact while every partial sum stays below 2^24 (float32) or
2^53 (float64). Where a sum might wrap or saturate, the order-exact loop runs, term by term as the array
adds.
"""

import numba
import numpy as np

from costmodel.dtypes import Int
from costmodel.errors import CostModelError
from sim.fixed import INVERSE_BITS, ROOT_BITS, ROUNDINGS, limits

njit = numba.njit(cache=True)
KINDS = {"mac": 0, "l1": 1, "clip": 2, "relu": 3}
MODES = {"wrap": 0, "saturate": 1}
FLOAT32_EXACT, FLOAT64_EXACT = 1 << 24, 1 << 53


def bound_of(a, b, kind):
    """The largest magnitude that a sum over the last dim of a, in any order, can have: interval analysis."""
    high_a, high_b = (int(max(abs(int(x.min(initial=0))), abs(int(x.max(initial=0))))) for x in (a, b))
    each = {"mac": high_a * high_b, "l1": high_a + high_b, "clip": min(high_a, high_b), "relu": high_a + high_b}
    return each[kind] * a.shape[-1]


def product(a, b, kind, accumulator: Int, mode: str):
    """Sums of the PE kind's terms: a [..,M,K], b [..,K,N] -> [..,M,N] int64.

    For `clip` and `relu` a is z and b is v.

    Raises:
        CostModelError: mode `exact` and a sum that might not fit, or an unknown kind or mode.
    """
    if kind not in KINDS:
        raise CostModelError(f"unknown kind of PE {kind!r}; known: {', '.join(KINDS)}")
    a, b = np.asarray(a), np.asarray(b)
    low, high = limits(accumulator)
    bound = bound_of(a, b, kind)
    negative = kind in ("mac", "clip")
    safe = bound <= high and (not negative or -bound >= low)
    if safe or mode == "exact":
        out = unordered(a, b, kind, bound)
        if not safe and (out.max(initial=low) > high or out.min(initial=high) < low):
            raise CostModelError(f"a sum of {kind} terms does not fit {accumulator}")
        return out
    if mode not in MODES:
        raise CostModelError(f"unknown overflow mode {mode!r}; known: {', '.join(MODES)}, exact")
    return in_order(a, b, kind, accumulator, mode)


def unordered(a, b, kind, bound):
    """Any order: BLAS for multiplications, a blocked loop for the rest."""
    if kind == "mac":
        exact = np.float32 if bound < FLOAT32_EXACT else np.float64
        if bound >= FLOAT64_EXACT:
            return np.matmul(a.astype(np.int64), b.astype(np.int64))
        return np.matmul(a.astype(exact), b.astype(exact)).astype(np.int64)
    return batched(a, b, KINDS[kind], 0, 0, 0)


def in_order(a, b, kind, accumulator: Int, mode: str):
    """Term by term in an accumulator that wraps or saturates."""
    low, high = limits(accumulator)
    return batched(a, b, KINDS[kind], low, high, 1 + MODES[mode])


def batched(a, b, kind, low, high, mode):
    lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    left = np.ascontiguousarray(np.broadcast_to(a, lead + a.shape[-2:]).reshape(-1, *a.shape[-2:]), np.int64)
    right = np.broadcast_to(b, lead + b.shape[-2:]).reshape(-1, *b.shape[-2:])
    right = np.ascontiguousarray(right.transpose(0, 2, 1), np.int64)
    out = np.empty((left.shape[0], left.shape[1], right.shape[1]), np.int64)
    sums(left, right, kind, low, high, mode, out)
    return out.reshape(*lead, *out.shape[1:])


@njit
def sums(a, b, kind, low, high, mode, out):
    """a [B,M,K], b [B,N,K]; mode 0 adds, 1 wraps, 2 saturates after each term."""
    span = high - low + 1
    for s in range(a.shape[0]):
        for i in range(a.shape[1]):
            for j in range(b.shape[1]):
                total = 0
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
                    total += term
                    if mode == 1:
                        total = (total - low) % span + low
                    elif mode == 2:
                        total = min(max(total, low), high)
                out[s, i, j] = total


def requantise(x, multiplier, shift, kind: Int, rounding: str):
    """x [..] times m / 2^shift, rounded and saturated; m and shift may be arrays that broadcast.

    The product of a 32-bit x and a 31-bit m takes 63 bits.

    Raises:
        CostModelError: an x beyond 32 bits, or an unknown rounding.
    """
    if rounding not in ROUNDINGS:
        raise CostModelError(f"unknown rounding {rounding!r}; known: {', '.join(ROUNDINGS)}")
    x = np.asarray(x, np.int64)
    if x.size and (x.max() >= 1 << 32 or x.min() < -(1 << 32)):
        raise CostModelError("a value beyond 32 bits cannot be requantised")
    product = x * np.asarray(multiplier, np.int64)
    low, high = limits(kind)
    return np.clip(round_shift(product, np.asarray(shift, np.int64), rounding), low, high)


def round_shift(x, shift, rounding):
    """x / 2^shift, 0 <= shift <= 62, on int64."""
    floor = x >> shift
    rest = x - (floor << shift)
    half = np.where(shift > 0, np.left_shift(np.int64(1), np.maximum(shift - 1, 0)), np.int64(1) << 62)
    if rounding == "floor":
        return floor
    if rounding == "truncate":
        return floor + ((x < 0) & (rest > 0))
    if rounding == "half_up":
        return floor + (rest >= half)
    if rounding == "half_away":
        return floor + ((rest > half) | ((rest == half) & (x >= 0)))
    return floor + ((rest > half) | ((rest == half) & (floor % 2 == 1)))


def softmax(x, table, bits):
    """Over the last dim of x [..,N]: probabilities on the scale 2^-(bits - 1), int64."""
    x = np.asarray(x, np.int64)
    terms = np.asarray(table, np.int64)[x.max(-1, keepdims=True) - x]
    inverse = (1 << INVERSE_BITS) // terms.sum(-1, keepdims=True)
    shift = INVERSE_BITS - (bits - 1)
    return np.minimum((terms * inverse + (1 << (shift - 1))) >> shift, (1 << (bits - 1)) - 1)


def layer_norm(x, weight, bias, shift, kind: Int, rounding: str):
    """Over the last dim of x [..,N]; see `fixed.layer_norm`.

    Raises:
        CostModelError: a row so long or wide that its squares take more than 62 bits.
    """
    x = np.asarray(x, np.int64)
    n = x.shape[-1]
    centred = n * x - x.sum(-1, keepdims=True)
    largest = int(np.abs(centred).max(initial=0))
    if largest * largest * n >= 1 << 62:
        raise CostModelError(
            f"a norm over {n} values of up to {largest // max(n, 1)} takes squares beyond 62 bits"
        )
    squares = (centred * centred).sum(-1, keepdims=True)
    root = np.zeros_like(centred)
    ratio_roots(centred.reshape(-1, n), squares.reshape(-1), n, root.reshape(-1, n))
    wide = root * np.asarray(weight, np.int64) + (np.asarray(bias, np.int64) << ROOT_BITS)
    low, high = limits(kind)
    return np.clip(round_shift(wide, np.int64(shift), rounding), low, high)


@njit
def ratio_roots(centred, squares, n, out):
    """sign(c) floor(sqrt(c^2 n 2^32 / q)), by long division: c^2 n / q is at most n - 1."""
    for r in range(centred.shape[0]):
        q = squares[r]
        if q == 0:
            continue
        for i in range(centred.shape[1]):
            c = centred[r, i]
            quotient, rest = (c * c * n) // q, (c * c * n) % q
            for _ in range(2 * ROOT_BITS):  # a bit of the quotient at a time; the rest stays below q
                rest <<= 1
                quotient <<= 1
                if rest >= q:
                    rest -= q
                    quotient += 1
            root = int(np.sqrt(np.float64(quotient)))
            while root * root > quotient:
                root -= 1
            while (root + 1) * (root + 1) <= quotient:
                root += 1
            out[r, i] = root if c >= 0 else -root


def look_up(x, table):
    """The entries of signed indices."""
    table = np.asarray(table, np.int64)
    return table[np.asarray(x, np.int64) + len(table) // 2]
