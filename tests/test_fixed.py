"""Integer semantics: each kernel equals its specification; exhaustively at 8 bits, at edges, on random data."""

from __future__ import annotations

import math
import random
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costmodel.dtypes import Int
from costmodel.errors import CostModelError
from sim import array, fixed, kernels
from sim.fixed import ROUNDINGS, TERMS, limits, multiplier_of, round_shift

INT8, MANY = Int(8), 10_000
BYTE = st.integers(-128, 127)


# Widths and rounding


def test_wrap_and_saturate_of_every_number_around_every_small_type() -> None:
    for bits in range(1, 9):
        for signed in (True, False):
            kind = Int(bits, signed)
            low, high = limits(kind)
            assert high - low + 1 == 2**bits
            for x in range(-600, 600):
                wrapped = fixed.wrap(x, kind)
                assert low <= wrapped <= high
                assert (x - wrapped) % 2**bits == 0
                assert fixed.saturate(x, kind) == sorted((low, x, high))[1]
                if low <= x <= high:
                    assert fixed.fit(x, kind, "exact") == wrapped == x
                else:
                    with pytest.raises(CostModelError, match="does not fit"):
                        fixed.fit(x, kind, "exact")


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_rounding_is_that_of_fractions(rounding: str) -> None:
    """Against exact fractions, for all small numbers and shifts: ties included."""
    for shift in range(6):
        for x in range(-200, 200):
            value = Fraction(x, 2**shift)
            expected = {
                "floor": math.floor(value),
                "truncate": math.trunc(value),
                "half_up": math.floor(value + Fraction(1, 2)),
                "half_away": int(math.copysign(math.floor(abs(value) + Fraction(1, 2)), value)),
                "half_even": round(value),
            }[rounding]
            assert round_shift(x, shift, rounding) == expected
        xs = np.arange(-200, 200)
        assert kernels.round_shift(xs, np.int64(shift), rounding).tolist() == [
            round_shift(int(x), shift, rounding) for x in xs
        ]


@given(st.floats(1e-8, 1e8))
def test_multipliers_are_near_and_31_bits(factor: float) -> None:
    m, shift = multiplier_of(factor)
    assert 2**30 <= m < 2**31
    assert abs(Fraction(m, 2**shift) / Fraction(factor) - 1) <= Fraction(1, 2**31)


@pytest.mark.parametrize("factor", [0.0, -1.0, float("inf"), float("nan"), 1e30, 1e-30])
def test_impossible_factors(factor: float) -> None:
    with pytest.raises(CostModelError, match="factor"):
        multiplier_of(factor)


@settings(max_examples=MANY, deadline=None)
@given(
    st.integers(-(2**31), 2**31 - 1),
    st.floats(1e-6, 4),
    st.sampled_from([INT8, Int(4), Int(16), Int(7, signed=False)]),
    st.sampled_from(ROUNDINGS),
)
def test_requantise(x: int, factor: float, kind: Int, rounding: str) -> None:
    m, shift = multiplier_of(factor)
    assert int(kernels.requantise(x, m, shift, kind, rounding)) == fixed.requantise(x, m, shift, kind, rounding)


def test_requantise_every_16_bit_number() -> None:
    xs = np.arange(-(2**15), 2**15)
    for factor in (0.5, 1 / 255, 0.037, 1.0):
        m, shift = multiplier_of(factor)
        for rounding in ROUNDINGS:
            got = kernels.requantise(xs, m, shift, INT8, rounding)
            assert got.tolist() == [fixed.requantise(int(x), m, shift, INT8, rounding) for x in xs]
    with pytest.raises(CostModelError, match="beyond 32 bits"):
        kernels.requantise(np.array([1 << 33]), 1, 0, INT8, "floor")


# Sums of terms


@pytest.mark.parametrize("kind", list(TERMS))
def test_terms_of_all_pairs_of_bytes(kind: str) -> None:
    """All 65 536 pairs, by the kernel, by the specification and by the stepped array's own term."""
    values = np.arange(-128, 128)
    a = values[values >= 0] if kind == "clip" else values
    got = kernels.product(a[:, None], values[None, :], kind, Int(32), "wrap")
    for i, x in enumerate(a):
        for j, y in enumerate(values):
            assert got[i, j] == TERMS[kind]([int(x)], [int(y)], Int(32), "exact")
    if kind in array.TERMS:
        term = np.vectorize(array.TERMS[kind])(a[:, None], values[None, :])
        assert (got == term).all()


@settings(max_examples=MANY, deadline=None)
@given(
    st.sampled_from(list(TERMS)),
    st.lists(st.tuples(BYTE, BYTE), min_size=1, max_size=12),
    st.integers(6, 20),
    st.sampled_from(["wrap", "saturate"]),
)
def test_narrow_accumulators(kind: str, pairs: list[tuple[int, int]], bits: int, mode: str) -> None:
    """Whatever overflows, the kernel ends where the specification does: term by term, in order."""
    a = [abs(x) if kind == "clip" else x for x, _ in pairs]
    b = [y for _, y in pairs]
    accumulator = Int(bits)
    expected = TERMS[kind](a, b, accumulator, mode)
    got = kernels.product(np.array([a]), np.array(b)[:, None], kind, accumulator, mode)
    assert got.tolist() == [[expected]]


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(list(TERMS)),
    st.integers(1, 3),
    st.integers(1, 5),
    st.integers(1, 40),
    st.integers(1, 5),
    st.integers(0, 2**32 - 1),
)
def test_the_fast_path_is_the_ordered_one_where_nothing_overflows(kind, B, M, K, N, seed) -> None:
    rng = np.random.default_rng(seed)
    a = rng.integers(0 if kind == "clip" else -128, 128, (B, M, K))
    b = rng.integers(-128, 128, (B, K, N))
    bound = kernels.bound_of(a, b, kind)
    wide = Int(bound.bit_length() + 1)
    fast = kernels.unordered(a, b, kind, bound)
    for mode in ("wrap", "saturate"):
        assert (fast == kernels.in_order(a, b, kind, wide, mode)).all()
        assert (fast == kernels.product(a, b, kind, wide, mode)).all()
    assert (fast == kernels.product(a, b, kind, wide, "exact")).all()
    assert np.abs(fast).max() <= bound
    for s, i, j in np.ndindex(*fast.shape):
        expected = TERMS[kind](a[s, i].tolist(), b[s, :, j].tolist(), Int(64), "exact")
        assert fast[s, i, j] == expected


# Operands of which a running sum leaves 8 bits and comes back: wrap, saturate and exact all differ.
OVERFLOWS = {
    "mac": ([10, 10, 10, -10], [10, 10, 10, 10]),  # 100, 200, 300, 200
    "l1": ([100, 100, 0], [0, 0, 60]),  # 100, 200, 260
    "clip": ([127, 127, 127], [100, 100, -50]),  # 100, 200, 150
    "relu": ([-20, -20, -20], [100, 50, 60]),  # 120, 190, 270
}


@pytest.mark.parametrize(
    ("kind", "exact", "wrapped", "saturated"),
    [("mac", 200, -56, 27), ("l1", 260, 4, 127), ("clip", 150, -106, 77), ("relu", 270, 14, 127)],
)
def test_constructed_overflows(kind: str, exact: int, wrapped: int, saturated: int) -> None:
    a, b = OVERFLOWS[kind]
    for mode, expected in (("wrap", wrapped), ("saturate", saturated)):
        assert TERMS[kind](a, b, INT8, mode) == expected
        assert int(kernels.product(np.array([a]), np.array(b)[:, None], kind, INT8, mode)[0, 0]) == expected
    assert TERMS[kind](a, b, Int(32), "exact") == exact
    with pytest.raises(CostModelError, match="does not fit int8"):
        TERMS[kind](a, b, INT8, "exact")
    with pytest.raises(CostModelError, match="does not fit int8"):
        kernels.product(np.array([a]), np.array(b)[:, None], kind, INT8, "exact")


def test_order_matters_where_a_sum_saturates() -> None:
    a, b = [100, 100, -100], [1, 1, 1]
    assert fixed.dot(a, b, INT8, "saturate") == 27
    assert fixed.dot(a[::-1], b, INT8, "saturate") == 100
    assert fixed.dot(a, b, INT8, "wrap") == fixed.dot(a[::-1], b, INT8, "wrap") == 100


def test_large_products_stay_exact() -> None:
    """Beyond 2^24 in float64, beyond 2^53 in integers."""
    a, b = np.full((1, 3000), 127), np.full((3000, 1), 127)
    assert kernels.product(a, b, "mac", Int(32), "wrap")[0, 0] == 3000 * 127 * 127 > 1 << 24
    big = np.full((1, 8), 1 << 27)
    assert kernels.product(big, big.T + 1, "mac", Int(64), "exact")[0, 0] == 8 * (1 << 27) * ((1 << 27) + 1)


# Softmax, norm, tables


@settings(max_examples=MANY, deadline=None)
@given(st.lists(BYTE, min_size=1, max_size=20), st.floats(0.001, 0.5), st.sampled_from([4, 8, 12]))
def test_softmax(row: list[int], scale: float, bits: int) -> None:
    table = fixed.exp_table(scale, 8)
    expected = fixed.softmax(row, table, bits)
    assert kernels.softmax(np.array([row]), table, bits).tolist() == [expected]
    # Near the real one: a step of the result, of the table's 16 bits and of the reciprocal.
    real = np.exp(scale * (np.array(row) - max(row)))
    real /= real.sum()
    assert np.abs(np.array(expected) / 2 ** (bits - 1) - real).max() <= 1.0 / 2 ** (bits - 1) + len(row) * 2e-5


@settings(max_examples=MANY, deadline=None)
@given(
    st.lists(st.integers(-(2**16), 2**16 - 1), min_size=2, max_size=12),
    st.integers(0, 2**32 - 1),
    st.integers(18, 26),
    st.sampled_from(ROUNDINGS),
)
def test_layer_norm(row: list[int], seed: int, shift: int, rounding: str) -> None:
    rng = random.Random(seed)
    weight = [rng.randrange(-(2**15), 2**15) for _ in row]
    bias = [rng.randrange(-(2**15), 2**15) for _ in row]
    expected = fixed.layer_norm(row, weight, bias, shift, INT8, rounding)
    got = kernels.layer_norm(np.array([row]), weight, bias, shift, INT8, rounding)
    assert got.tolist() == [expected]
    deviation = np.std(row)
    if deviation > 0:
        normal = (np.array(row) - np.mean(row)) / deviation
        real = (normal * weight + np.array(bias)) * 2.0 ** (16 - shift)
        assert np.abs(np.clip(real, -128, 127) - expected).max() <= 1.01 + 2.0 ** (15 - shift)


def test_layer_norm_of_a_constant_row_is_its_bias() -> None:
    got = kernels.layer_norm(np.full((2, 4), 7), [100] * 4, [1, 2, -3, 4], 16, INT8, "half_even")
    assert got.tolist() == [[1, 2, -3, 4]] * 2
    with pytest.raises(CostModelError, match="beyond 62 bits"):
        kernels.layer_norm(np.array([[2**30, -(2**30)] * 64]), [1] * 128, [0] * 128, 16, INT8, "floor")


@pytest.mark.parametrize(
    "function",
    [lambda x: 0.5 * x * (1 + math.erf(x / math.sqrt(2))), math.tanh, math.exp],
    ids=["gelu", "tanh", "exp"],
)
def test_tables_of_every_byte(function) -> None:
    table = fixed.table_of(function, 0.04, 0.05, 8)
    xs = np.arange(-128, 128)
    assert kernels.look_up(xs, table).tolist() == [fixed.look_up(int(x), table) for x in xs] == table
    for x in xs:
        real = min(max(function(x * 0.04) / 0.05, -128), 127)
        assert abs(fixed.look_up(int(x), table) - real) <= 0.5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fixed.fit(1, INT8, "clip"), "unknown overflow mode 'clip'"),
        (lambda: fixed.round_shift(1, 1, "up"), "unknown rounding 'up'"),
        (lambda: kernels.requantise([1], 1, 1, INT8, "up"), "unknown rounding 'up'"),
        (
            lambda: kernels.product(np.ones((1, 1)), np.ones((1, 1)), "fma", INT8, "wrap"),
            "unknown kind of PE 'fma'",
        ),
        (
            lambda: kernels.product(np.full((1, 9), 99), np.full((9, 1), 99), "mac", INT8, "up"),
            "overflow mode 'up'",
        ),
    ],
)
def test_mistakes(call, message: str) -> None:
    with pytest.raises(CostModelError, match=message):
        call()
