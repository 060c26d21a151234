"""Integer semantics: each kernel equals its specification; exhaustively at 8 bits, at edges, on random data."""

from __future__ import annotations

import math
import random
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costmodel.dtypes import Int
from costmodel.errors import CostModelError
from costmodel.graph.ir import Graph, Node, Value
from costmodel.hardware.pe import PE_KINDS
from costmodel.ops.rules import count_op
from costmodel.widths.assign import assign_widths, width_counts
from costmodel.widths.policy import parse_policy
from sim.integer import fixed, functions, products
from sim.integer.fixed import ROUNDINGS, limits, multiplier_of, round_shift, sum_terms

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
        assert functions.round_shift(xs, np.int64(shift), rounding).tolist() == [
            round_shift(int(x), shift, rounding) for x in xs
        ]


@given(st.floats(1e-6, 2**6), st.sampled_from([1, -1]), st.integers(7, 31))
def test_multipliers_are_near_and_as_wide_as_asked(size: float, sign: int, bits: int) -> None:
    factor = sign * size
    m, shift = multiplier_of(factor, bits)
    assert 2 ** (bits - 1) <= abs(m) < 2**bits
    assert abs(Fraction(m, 2**shift) / Fraction(factor) - 1) <= Fraction(1, 2**bits)
    assert [int(x) for x in functions.multipliers_of(factor, bits)] == [m, shift]


def test_a_factor_of_zero_is_a_multiplier_of_zero() -> None:
    assert multiplier_of(0.0) == (0, 0)
    assert [int(x) for x in functions.multipliers_of(0.0, 31)] == [0, 0]


@pytest.mark.parametrize("factor", [float("inf"), float("nan"), 1e30, 1e-30])
def test_impossible_factors(factor: float) -> None:
    with pytest.raises(CostModelError, match="factor"):
        multiplier_of(factor)
    with pytest.raises(CostModelError, match="factor"):
        functions.multipliers_of([1.0, factor], 31)


@settings(max_examples=MANY, deadline=None)
@given(
    st.integers(-(2**31), 2**31 - 1),
    st.floats(1e-6, 4),
    st.sampled_from([INT8, Int(4), Int(16), Int(7, signed=False)]),
    st.sampled_from(ROUNDINGS),
)
def test_requantise(x: int, factor: float, kind: Int, rounding: str) -> None:
    m, shift = multiplier_of(factor)
    expected = fixed.requantise(x, m, shift, kind, rounding)
    assert int(functions.requantise([x], m, shift, kind, rounding)[0]) == expected
    # A factor of each column, and one of each row.
    more = [multiplier_of(factor * f) for f in (1.0, 0.31, -0.7)]
    ms, shifts = ([pair[i] for pair in more] for i in (0, 1))
    for f, (column, row) in enumerate(
        zip(
            functions.requantise([[x, x, x]], ms, shifts, kind, rounding)[0],
            functions.requantise([[x], [x], [x]], ms, shifts, kind, rounding, by="rows")[:, 0],
            strict=True,
        )
    ):
        assert int(column) == int(row) == fixed.requantise(x, *more[f], kind, rounding)


def test_requantise_every_16_bit_number() -> None:
    xs = np.arange(-(2**15), 2**15)
    for factor in (0.5, 1 / 255, 0.037, 1.0):
        m, shift = multiplier_of(factor)
        for rounding in ROUNDINGS:
            got = functions.requantise(xs, m, shift, INT8, rounding)
            assert got.tolist() == [fixed.requantise(int(x), m, shift, INT8, rounding) for x in xs]
    with pytest.raises(CostModelError, match="beyond 63 bits"):
        functions.requantise(np.array([1 << 34]), 1 << 30, 0, INT8, "floor")


# Sums of terms


@pytest.mark.parametrize("kind", list(PE_KINDS))
def test_terms_of_all_pairs_of_bytes(kind: str) -> None:
    """All 65 536 pairs, by the kernel, by the specification and by the stepped array's own term."""
    values = np.arange(-128, 128)
    a = values[values >= 0] if kind == "clip" else values
    got = products.product(a[:, None], values[None, :], kind, Int(32), "wrap")
    for i, x in enumerate(a):
        for j, y in enumerate(values):
            assert got[i, j] == sum_terms(kind, [int(x)], [int(y)], Int(32), "exact")


@settings(max_examples=MANY, deadline=None)
@given(
    st.sampled_from(list(PE_KINDS)),
    st.lists(st.tuples(BYTE, BYTE), min_size=1, max_size=12),
    st.integers(6, 20),
    st.sampled_from(["wrap", "saturate"]),
)
def test_narrow_accumulators(kind: str, pairs: list[tuple[int, int]], bits: int, mode: str) -> None:
    """Whatever overflows, the kernel ends where the specification does: term by term, in order."""
    a = [abs(x) if kind == "clip" else x for x, _ in pairs]
    b = [y for _, y in pairs]
    accumulator = Int(bits)
    expected = sum_terms(kind, a, b, accumulator, mode)
    got = products.product(np.array([a]), np.array(b)[:, None], kind, accumulator, mode)
    assert got.tolist() == [[expected]]


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(list(PE_KINDS)),
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
    bound = products.bound_of(a, b, kind)
    wide = Int(bound.bit_length() + 1)
    fast = products.unordered(a, b, kind, bound)
    for mode in ("wrap", "saturate"):
        assert (fast == products.in_order(a, b, kind, wide, mode)).all()
        assert (fast == products.product(a, b, kind, wide, mode)).all()
    assert (fast == products.product(a, b, kind, wide, "exact")).all()
    assert np.abs(fast).max() <= bound
    for s, i, j in np.ndindex(*fast.shape):
        expected = sum_terms(kind, a[s, i].tolist(), b[s, :, j].tolist(), Int(64), "exact")
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
        assert sum_terms(kind, a, b, INT8, mode) == expected
        assert int(products.product(np.array([a]), np.array(b)[:, None], kind, INT8, mode)[0, 0]) == expected
    assert sum_terms(kind, a, b, Int(32), "exact") == exact
    with pytest.raises(CostModelError, match="does not fit int8"):
        sum_terms(kind, a, b, INT8, "exact")
    with pytest.raises(CostModelError, match="does not fit int8"):
        products.product(np.array([a]), np.array(b)[:, None], kind, INT8, "exact")


def test_order_matters_where_a_sum_saturates() -> None:
    a, b = [100, 100, -100], [1, 1, 1]
    assert sum_terms("mac", a, b, INT8, "saturate") == 27
    assert sum_terms("mac", a[::-1], b, INT8, "saturate") == 100
    assert sum_terms("mac", a, b, INT8, "wrap") == sum_terms("mac", a[::-1], b, INT8, "wrap") == 100


def test_large_products_stay_exact() -> None:
    """Beyond 2^24 in float64, beyond 2^53 in integers."""
    a, b = np.full((1, 3000), 127), np.full((3000, 1), 127)
    assert products.product(a, b, "mac", Int(32), "wrap")[0, 0] == 3000 * 127 * 127 > 1 << 24
    big = np.full((1, 8), 1 << 27)
    assert products.product(big, big.T + 1, "mac", Int(64), "exact")[0, 0] == 8 * (1 << 27) * ((1 << 27) + 1)


@settings(max_examples=MANY, deadline=None)
@given(
    st.sampled_from(list(PE_KINDS)),
    st.lists(st.tuples(BYTE, BYTE), min_size=1, max_size=12),
    st.integers(6, 20),
    st.sampled_from(["wrap", "saturate"]),
    st.integers(-100, 100),
    st.sampled_from([None, 1, 2, 3, 5, 12]),
)
def test_a_start_and_folds(
    kind: str, pairs: list[tuple[int, int]], bits: int, mode: str, start: int, fold: int | None
) -> None:
    a = [abs(x) if kind == "clip" else x for x, _ in pairs]
    b = [y for _, y in pairs]
    expected = sum_terms(kind, a, b, Int(bits), mode, start, fold)
    got = products.product(np.array([a]), np.array(b)[:, None], kind, Int(bits), mode, np.array([start]), fold)
    assert got.tolist() == [[expected]]


def test_folds_saturate_where_one_sum_does_not() -> None:
    """100 + (100 - 100) with a fold of 2 against (100 + 100) - 100."""
    a, b = [100, 100, -100], [1, 1, 1]
    assert sum_terms("mac", a, b, INT8, "saturate", fold=1) == 27
    assert sum_terms("mac", [0, *a], [1, *b], INT8, "saturate", fold=2) == 100
    got = products.product(np.array([[0, *a]]), np.array([[1, *b]]).T, "mac", INT8, "saturate", fold=2)
    assert got.tolist() == [[100]]


# Softmax, mean, norm, tables


@settings(max_examples=MANY, deadline=None)
@given(
    st.lists(st.integers(-(2**15), 2**15 - 1), min_size=1, max_size=20),
    st.floats(0.001, 0.5),
    st.sampled_from([4, 8, 12, 16]),
    st.integers(0, 2**20 - 1),
)
def test_softmax(row: list[int], step: float, bits: int, mask: int) -> None:
    row = [x >> (16 - bits) for x in row]
    step = step * 2.0 ** (8 - bits)
    table = fixed.exp_table(step, bits)
    expected = fixed.softmax(row, table, bits)
    assert functions.softmax(np.array([row]), table, bits).tolist() == [expected]
    # Near the real one: a step of the result, of the table's 16 bits and of the reciprocal.
    real = np.exp(step * (np.array(row) - max(row)))
    real /= real.sum()
    top = 2 ** (bits - 1) - 1
    assert np.abs(np.array(expected) / top - real).max() <= 1.0 / top + len(row) * 3e-5
    # Keys that do not exist take no part.
    keep = [bool(mask >> i & 1) for i in range(len(row))]
    masked = functions.softmax(np.array([row]), table, bits, np.array([keep]))[0]
    rest = [x for x, kept in zip(row, keep, strict=True) if kept]
    assert masked[keep].tolist() == (fixed.softmax(rest, table, bits) if rest else [])
    assert not masked[~np.array(keep)].any()


@settings(max_examples=MANY, deadline=None)
@given(st.lists(st.integers(-(2**15), 2**15), min_size=1, max_size=40), st.integers(0, 2**40 - 1))
def test_mean(row: list[int], mask: int) -> None:
    bits = 31
    m, shift = multiplier_of(1 / len(row), bits)
    expected = fixed.mean(row, m, shift)
    assert int(functions.mean(np.array(row), m, shift)) == expected
    assert abs(expected - sum(row) / len(row)) <= 0.5 + 1e-4
    keep = np.array([bool(mask >> i & 1) for i in range(len(row))])
    masked = int(functions.mean(np.array(row), m, shift, keep))
    assert masked == fixed.mean([x if k else 0 for x, k in zip(row, keep, strict=True)], m, shift)


def norm_of(weight: list[int], bias: list[int], bits: int, shift: int, eps: int = 1) -> fixed.Norm:
    """Constants for rows of so many values of so many bits."""
    fraction = max(0, 21 - bits)
    return fixed.Norm(tuple(weight), tuple(bias), eps, fraction, multiplier_of(1 / len(weight)), shift)


@settings(max_examples=MANY, deadline=None)
@given(
    st.sampled_from([9, 12, 17, 25]),
    st.lists(st.integers(-(2**24), 2**24 - 1), min_size=2, max_size=12),
    st.integers(0, 2**32 - 1),
    st.integers(18, 28),
    st.sampled_from(ROUNDINGS),
)
def test_layer_norm(bits: int, row: list[int], seed: int, shift: int, rounding: str) -> None:
    rng = random.Random(seed)
    row = [x >> (25 - bits) for x in row]
    norm = norm_of(*([rng.randrange(-(2**15), 2**15) for _ in row] for _ in range(2)), bits, shift)
    expected = fixed.layer_norm(row, norm, INT8, rounding)
    assert functions.layer_norm(np.array([row]), norm, INT8, rounding).tolist() == [expected]
    deviation = np.std(row)
    if deviation > 2:
        normal = (np.array(row) - np.mean(row)) / deviation
        real = (normal * norm.weight + np.array(norm.bias)) * 2.0 ** (16 - shift)
        steps = 2.0**15 * 2.0 ** (16 - shift)  # of the result, for 1 of a normalised value
        # The reciprocal root is right to 2^-15, the mean to a step of its fraction.
        near = steps * (2e-4 + 2.0**-norm.fraction / deviation)
        assert np.abs(np.clip(real, -128, 127) - expected).max() <= 1.01 + near


def test_layer_norm_of_every_small_row() -> None:
    """All rows of three values of 4 bits: among them the constant ones, whose result is the bias."""
    norm = norm_of([20000, -20000, 30000], [0, 5000, -7000], 9, 24)
    rows = np.array(np.meshgrid(*[range(-8, 8)] * 3)).reshape(3, -1).T
    got = functions.layer_norm(rows, norm, INT8, "half_up")
    assert got.tolist() == [fixed.layer_norm(row, norm, INT8, "half_up") for row in rows.tolist()]
    constant = got[(rows == rows[:, :1]).all(1)]
    assert (constant == [round_shift(b << 16, 24, "half_up") for b in norm.bias]).all()
    with pytest.raises(CostModelError, match="beyond 63 bits"):
        functions.layer_norm(
            np.array([[2**30, -(2**30)] * 64]), norm_of([1] * 128, [0] * 128, 32, 16), INT8, "floor"
        )


FUNCTIONS = {"gelu": lambda x: 0.5 * x * (1 + math.erf(x / math.sqrt(2))), "tanh": math.tanh, "exp": math.exp}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("bits", [4, 8, 12, 16])
def test_tables_of_every_number(name: str, bits: int) -> None:
    function, finer = FUNCTIONS[name], 2.0 ** (8 - bits)
    kind = Int(bits)
    table = fixed.table_of(function, 0.04 * finer, 0.05 * finer, bits, kind)
    low, high = limits(Int(bits))
    xs = np.arange(low, high + 1)
    got = functions.look_up(xs, table, kind)
    assert got.tolist() == [fixed.look_up(int(x), table) for x in xs]
    assert len(table.base) == 2 ** min(bits, 8)
    real = np.clip([function(x * 0.04 * finer) / (0.05 * finer) for x in xs], low, high)
    # Between two points a line is off by h^2/8 of the second derivative, at most 1.1 (gelu) or that of exp.
    line = 0 if bits <= 8 else (0.04 * 1.0) ** 2 / 8 * (170 if name == "exp" else 1.2) / (0.05 * finer)
    # Where a function saturates between two points, the line to the last one is no measure.
    smooth = real < 0.9 * high
    assert np.abs(got - real)[smooth].max() <= 0.51 + (bits > 8) + line
    assert (got[~smooth] > 0.7 * high).all()


def test_a_table_may_be_wider_than_what_it_is_asked() -> None:
    table = fixed.table_of(math.tanh, 0.02, 1 / 30000, 8, Int(16))
    got = functions.look_up(np.arange(-128, 128), table, Int(16))
    assert got.dtype == np.int16
    assert np.abs(got / 30000 - np.tanh(np.arange(-128, 128) * 0.02)).max() <= 0.51 / 30000


# The specifications do what is counted: each is run on integers that tally what is done to them.


class Tallied(int):
    """An integer and the ledger of what is done to it. Shifts are wiring, as in hardware."""

    ledger: Counter[str]

    def __new__(cls, value: int, ledger: Counter[str]) -> Tallied:
        made = super().__new__(cls, value)
        made.ledger = ledger
        return made

    def note(self, op: str, value: int) -> Tallied:
        self.ledger[op] += 1
        return Tallied(value, self.ledger)

    def __add__(self, other: int) -> Tallied:
        return self.note("add", int(self) + int(other))

    def __sub__(self, other: int) -> Tallied:
        return self.note("add", int(self) - int(other))

    def __mul__(self, other: int) -> Tallied:
        return self.note("mul", int(self) * int(other))

    def __floordiv__(self, other: int) -> Tallied:
        return self.note("div", int(self) // int(other))

    def __abs__(self) -> Tallied:
        return self.note("abs", abs(int(self)))

    def __gt__(self, other: int) -> bool:
        self.ledger["cmp"] += 1
        return int(self) > int(other)

    def __lt__(self, other: int) -> bool:
        self.ledger["cmp"] += 1
        return int(self) < int(other)

    def __neg__(self) -> Tallied:  # the lower comparison of a clip takes the other sign
        return Tallied(-int(self), self.ledger)

    def __lshift__(self, bits: int) -> Tallied:
        return Tallied(int(self) << bits, self.ledger)

    def __rshift__(self, bits: int) -> Tallied:
        return Tallied(int(self) >> bits, self.ledger)

    __radd__, __rmul__ = __add__, __mul__

    def __rsub__(self, other: int) -> Tallied:
        return self.note("add", int(other) - int(self))

    def __rfloordiv__(self, other: int) -> Tallied:
        return self.note("div", int(other) // int(self))


def work_of(op: str, attrs: dict[str, int], shapes: list[tuple[int, ...]], widths: str) -> Counter[str]:
    """What `widths/rules.py` says that a node takes."""
    weights = [Value(i, s, "float32", "param", i, (1,) * len(s)) for i, s in enumerate(shapes[1:], start=1)]
    values = (Value(0, shapes[0], "float32", "input", 0, (1,) * len(shapes[0])), *weights)
    out = Value(len(values), shapes[0], "float32", "temp", len(values), (1,) * len(shapes[0]))
    node = Node(op, tuple(range(len(values))), (out.id,), attrs)
    typed = assign_widths(Graph((*values, out), (node,), (out.id,)), parse_policy(widths))
    found: Counter[str] = Counter()
    for (name, _), n in width_counts(typed).items():
        found[name] += n
    return found


@pytest.mark.parametrize("n", [2, 3, 7])
@pytest.mark.parametrize("widths", ["w8a8", "w8a16"])
def test_specifications_do_what_is_counted(n: int, widths: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger: Counter[str] = Counter()
    bits = int(widths.partition("a")[2])
    row = [Tallied(17 * i * i % 101 - 50, ledger) for i in range(n)]

    def rooted(x: int) -> Tallied:
        ledger["sqrt"] += 1
        return Tallied(math.isqrt(int(x)), ledger)

    monkeypatch.setattr(fixed, "root_of", rooted)
    norm = norm_of([3000] * n, [100] * n, bits, 24)
    fixed.layer_norm(row, norm, Int(bits), "half_up")
    assert ledger == work_of("layer_norm", {"P": 1, "N": n, "weight": 1, "bias": 1}, [(1, n), (n,), (n,)], widths)

    ledger.clear()
    table = fixed.exp_table(0.1, bits)
    counted = fixed.ExpTable(
        *(Looked([Tallied(x, ledger) for x in part], ledger) for part in (table.near, table.far))
    )
    fixed.softmax(row, counted, bits)
    assert ledger == work_of("softmax", {"P": 1, "N": n}, [(1, n)], widths)

    ledger.clear()
    fixed.mean(row, *multiplier_of(1 / n, 15))
    assert ledger == work_of("mean", {"P": 1, "N": n}, [(1, n)], widths)

    ledger.clear()
    table = fixed.table_of(math.tanh, 0.01, 0.01, bits, Int(bits))
    looked = (Looked([Tallied(x, ledger) for x in part], ledger) for part in (table.base, table.slope))
    function = fixed.FunctionTable(*looked, table.low)
    for x in row:
        fixed.look_up(int(x), function)
    assert ledger == work_of("tanh", {"n": n}, [(1, n)], widths)

    ledger.clear()
    for x in row:
        fixed.requantise(x, 1234, 9, Int(8), "half_up")
    assert ledger == Counter(count_op("requantise", {"n": n}).arithmetic()) + Counter()


class Looked(tuple):
    """A table that tallies its lookups."""

    def __new__(cls, entries: list[int], ledger: Counter[str]) -> Looked:
        made = super().__new__(cls, entries)
        made.ledger = ledger
        return made

    def __getitem__(self, i: int) -> int:
        self.ledger["lookup"] += 1
        return super().__getitem__(i)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fixed.fit(1, INT8, "clip"), "unknown overflow mode 'clip'"),
        (lambda: fixed.round_shift(1, 1, "up"), "unknown rounding 'up'"),
        (lambda: functions.requantise([1], 1, 1, INT8, "up"), "unknown rounding 'up'"),
        (
            lambda: products.product(np.ones((1, 1)), np.ones((1, 1)), "fma", INT8, "wrap"),
            "unknown kind of PE 'fma'",
        ),
        (
            lambda: products.product(np.full((1, 9), 99), np.full((9, 1), 99), "mac", INT8, "up"),
            "overflow mode 'up'",
        ),
    ],
)
def test_mistakes(call, message: str) -> None:
    with pytest.raises(CostModelError, match=message):
        call()
