"""Steady cycles of products that follow each other, and the bounds of traffic, by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costmodel.hardware.timing import (
    CONVENTIONS,
    DATAFLOWS,
    ArrayShape,
    Product,
    cycles,
    folds_of,
    steady_cycles,
    tail_cycles,
)
from costmodel.mapping.bounds import hong_kung_bits, lower_bound_bits
from costmodel.mapping.front import best_mapping
from costmodel.mapping.nest_records import Machine, Operands, Problem

pytestmark = pytest.mark.quick
KIB = 1024
SMALL = st.integers(1, 40)
PRODUCTS = st.builds(Product, SMALL, SMALL, SMALL)
ARRAYS = st.builds(ArrayShape, st.integers(1, 8), st.integers(1, 8))


def spans(dim: int, size: int) -> list[range]:
    return [range(i, min(i + size, dim)) for i in range(0, dim, size)]


# What passes that follow each other take


@settings(max_examples=300, deadline=None)
@given(PRODUCTS, ARRAYS, st.sampled_from(DATAFLOWS), st.sampled_from(CONVENTIONS))
def test_steady_and_tail_are_the_whole(product, array, dataflow, convention) -> None:
    steady = steady_cycles(product, array, dataflow, convention)
    tail = tail_cycles(product, array, dataflow, convention)
    assert steady + tail == cycles(product, array, dataflow, convention)
    if convention != "array":
        assert tail == 0


@settings(max_examples=300, deadline=None)
@given(PRODUCTS, ARRAYS, st.sampled_from(["os", "ws"]), st.integers(1, 3))
def test_passes_along_whole_columns_of_folds_are_one_product(product, array, dataflow, folds) -> None:
    """Cut along N in whole folds, steady cycles add up to those of the uncut product."""
    parts = [Product(product.M, len(s), product.K) for s in spans(product.N, folds * array.C)]
    assert sum(steady_cycles(p, array, dataflow, "array") for p in parts) == steady_cycles(
        product, array, dataflow, "array"
    )


@settings(max_examples=300, deadline=None)
@given(PRODUCTS, ARRAYS, st.sampled_from(DATAFLOWS), st.booleans(), st.integers(1, 4))
def test_steady_parts_and_the_last_tail_are_the_whole(product, array, dataflow, across, folds) -> None:
    """Cut across the columns of folds (os, ws: along N; is: along M) or down them (os: along M; ws, is: along
    K) in whole folds, the parts behind each other take what the uncut product takes.

    Steady cycles always add up. The tail of the last part is that of the whole unless a narrow last fold can
    be done before a wide one in front of it: the wide one may be in another part, or come sooner in a shorter
    column. Then the two differ by less than a row of PEs.
    """
    down_dim, across_dim = {"os": ("M", "N"), "ws": ("K", "N"), "is": ("K", "M")}[dataflow]
    dim, unit = (across_dim, array.C) if across else (down_dim, array.R)
    parts = [replace(product, **{dim: len(s)}) for s in spans(getattr(product, dim), folds * unit)]
    steady = [steady_cycles(p, array, dataflow, "array") for p in parts]
    assert sum(steady) == steady_cycles(product, array, dataflow, "array")
    chained = sum(steady) + tail_cycles(parts[-1], array, dataflow, "array")
    whole, last = folds_of(product, array, dataflow), folds_of(parts[-1], array, dataflow)
    column = steady[-1] // last.columns
    if whole.columns == 1 or column >= array.C - whole.last_columns:
        assert chained == cycles(product, array, dataflow, "array")
    else:
        assert abs(chained - cycles(product, array, dataflow, "array")) < array.C


@settings(max_examples=200, deadline=None)
@given(PRODUCTS, ARRAYS, st.sampled_from(DATAFLOWS), SMALL)
def test_a_cut_stream_costs_more(product, array, dataflow, size) -> None:
    """Cut along what streams through (os: K, ws: M, is: N), each part pays its folds anew."""
    dim = {"os": "K", "ws": "M", "is": "N"}[dataflow]
    parts = [replace(product, **{dim: len(s)}) for s in spans(getattr(product, dim), size)]
    steady = sum(steady_cycles(p, array, dataflow, "array") for p in parts)
    whole = folds_of(product, array, dataflow)
    if dataflow == "os":  # each part skews all its folds once more
        down = product.M - whole.rows
        assert steady == steady_cycles(product, array, dataflow, "array") + (len(parts) - 1) * down * whole.columns
    else:
        waits = sum(max(0, 2 * array.R - getattr(p, dim)) for p in parts) - max(0, 2 * array.R - whole.T)
        assert steady == steady_cycles(product, array, dataflow, "array") + waits * whole.number


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 4), st.integers(1, 4), st.integers(1, 60), ARRAYS, st.sampled_from(DATAFLOWS), st.integers(0, 1)
)
def test_twice_the_pes_never_cost_more_where_folds_divide(rows, columns, stream, array, dataflow, which) -> None:
    """Doubling a side that the product fills twice over halves the folds along it.

    Under os and with columns always; twice the rows only if a fold's stream is not shorter than the array
    is high: under ws and is it then waits for stationary operands that shift in through all rows (fold
    quantisation, see `timing.cycles`).
    """
    down, across = 2 * rows * array.R, 2 * columns * array.C
    M, N, K = {"os": (down, across, stream), "ws": (stream, across, down), "is": (across, stream, down)}[dataflow]
    larger = ArrayShape(array.R * (2 - which), array.C * (1 + which))
    before = steady_cycles(Product(M, N, K), array, dataflow, "array")
    after = steady_cycles(Product(M, N, K), larger, dataflow, "array")
    assert after <= before


def test_more_pes_can_cost_more_where_folds_do_not_fall() -> None:
    product = Product(8, 8, 4)
    assert steady_cycles(product, ArrayShape(16, 8), "ws", "array") > steady_cycles(
        product, ArrayShape(8, 8), "ws", "array"
    )


def test_the_bound_by_hand() -> None:
    """Where everything fits, all operands once; in between 2 M N K sqrt(wa wb wc / S) - 2 S."""
    product, operands = Product(512, 768, 3072), Operands(8, 8, 32, 8)
    once = 8 * (512 * 3072 + 3072 * 768 + 512 * 768)
    assert lower_bound_bits(product, 1, operands, 1 << 30) == hong_kung_bits(product, 1, operands, 1 << 30) == once
    size = 64 * KIB * 8
    usual = 2 * 512 * 768 * 3072 * (8 * 8 * 32 / size) ** 0.5 - 2 * size
    assert hong_kung_bits(product, 3, operands, 64 * KIB) == pytest.approx(3 * usual, rel=1e-6)
    assert lower_bound_bits(product, 1, operands, 64 * KIB) <= usual
    assert lower_bound_bits(product, 1, replace(operands, a_moves=False), 1 << 10) == once - 8 * 512 * 3072


def test_weights_that_bypass_the_buffer_bound_nothing_but_themselves() -> None:
    """They take no room in the buffer, so that a small one does not make them come again."""
    product, operands = Product(24, 36, 180), Operands(4, 2, 16, 4, b_bypasses=True)
    machine = Machine(ArrayShape(1, 12), "os", "array", 256, 10, 500)
    once = 24 * 180 * 4 + 180 * 36 * 2 + 24 * 36 * 4
    best = best_mapping(Problem(product, 1, operands), machine, "bytes").dram_bits
    assert lower_bound_bits(product, 1, operands, 256) == once <= best
