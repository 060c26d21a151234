"""Cycles and buffer accesses: stepped array, SCALE-Sim's own figures, conservation, bounds."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costmodel.errors import CostModelError
from costmodel.hardware.pe import term_kinds
from costmodel.hardware.timing import (
    CONVENTIONS,
    DATAFLOWS,
    ArrayShape,
    Product,
    accesses,
    cycles,
    folds_of,
    parse_array,
    utilisation,
)
from sim.machine.array import run
from tests.paths import SHARED

pytestmark = pytest.mark.quick
PEERS = SHARED / "validation" / "scalesim-3.0.0.csv"

SIZES = st.integers(1, 300)
ARRAYS = st.builds(ArrayShape, st.integers(1, 40), st.integers(1, 40))
PRODUCTS = st.builds(Product, SIZES, SIZES, SIZES)


def reference(a: np.ndarray, b: np.ndarray, kind: str) -> np.ndarray:
    x, y = a[:, None, :], b.T[None, :, :]
    terms = {"mac": x * y, "l1": np.abs(x - y), "clip": np.clip(y, -x, x), "relu": np.maximum(y - x, 0)}
    return terms[kind].sum(-1)


def check(product: Product, array: ArrayShape, dataflow: str, kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    low = 0 if kind == "clip" else -128
    a = rng.integers(low, 128, (product.M, product.K))
    b = rng.integers(-128, 128, (product.K, product.N))
    stepped = run(a.tolist(), b.tolist(), array, dataflow, kind)
    assert np.array_equal(np.array(stepped.result), reference(a, b, kind))
    assert stepped.cycles == cycles(product, array, dataflow, "array")
    assert stepped.steps == product.steps
    # Causal: no result before its last operand could have come in.
    assert stepped.first_output_cycle > (product.K if dataflow == "os" else min(array.R, product.K))


@pytest.mark.parametrize("kind", list(term_kinds()))
@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_closed_form_equals_stepped_on_all_small_sizes(dataflow: str, kind: str) -> None:
    for n, (m, cols, k, r, c) in enumerate(np.ndindex(4, 4, 4, 3, 3)):
        check(Product(m + 1, cols + 1, k + 1), ArrayShape(r + 1, c + 1), dataflow, kind, n)


@settings(max_examples=120, deadline=None)
@given(
    product=st.builds(Product, st.integers(1, 20), st.integers(1, 20), st.integers(1, 20)),
    array=st.builds(ArrayShape, st.integers(1, 8), st.integers(1, 8)),
    dataflow=st.sampled_from(DATAFLOWS),
    kind=st.sampled_from(list(term_kinds())),
    seed=st.integers(0, 1000),
)
def test_closed_form_equals_stepped(product, array, dataflow, kind, seed) -> None:
    check(product, array, dataflow, kind, seed)


@pytest.mark.skipif(not PEERS.exists(), reason="SCALE-Sim's figures are not beside this checkout")
def test_scalesim_exactly() -> None:
    rows = list(csv.DictReader(PEERS.open()))
    assert len(rows) > 50
    for row in rows:
        product = Product(int(row["M"]), int(row["N"]), int(row["K"]))
        array = ArrayShape(int(row["R"]), int(row["C"]))
        assert cycles(product, array, row["dataflow"], "scalesim") == int(row["total_cycles"]), row
        words = accesses(product, array, row["dataflow"], "scalesim")
        assert words.ifmap_reads == int(row["sram_ifmap_reads"]), row
        assert words.filter_reads == int(row["sram_filter_reads"]), row
        assert words.ofmap_writes == int(row["sram_ofmap_writes"]), row


SCALESIM = [  # M, N, K, R, C, dataflow, cycles, ifmap reads, filter reads, ofmap writes; SCALE-Sim 3.0.0
    (128, 768, 768, 32, 32, "os", 79679, 2359296, 2359296, 104448),
    (128, 768, 768, 32, 32, "ws", 127871, 2359296, 589824, 2359296),
    (105, 88, 24, 3, 14, "is", 6783, 2520, 16896, 73920),
]


@pytest.mark.parametrize("row", SCALESIM)
def test_scalesim_rows(row: tuple) -> None:
    m, n, k, r, c, dataflow, *expected = row
    product, array = Product(m, n, k), ArrayShape(r, c)
    words = accesses(product, array, dataflow, "scalesim")
    got = [cycles(product, array, dataflow, "scalesim"), words.ifmap_reads, words.filter_reads, words.ofmap_writes]
    assert got == expected


def test_conventions_by_hand() -> None:
    product, array = Product(128, 768, 768), ArrayShape(32, 32)
    folds = 4 * 24
    assert cycles(product, array, "os", "ideal") == folds * 768
    assert cycles(product, array, "os", "paper") == folds * (64 + 32 + 768 - 2)
    assert cycles(product, array, "os", "array") == (folds - 1) * (768 + 31) + 768 + 32 + 32 + 32 - 2
    assert cycles(product, array, "ws", "array") == 32 + (24 * 24 - 1) * 128 + 128 + 32 + 32 - 1
    one = Product(32, 32, 768)
    assert cycles(one, array, "os", "array") == cycles(one, array, "os", "paper")


@given(
    product=PRODUCTS, array=ARRAYS, dataflow=st.sampled_from(DATAFLOWS), convention=st.sampled_from(CONVENTIONS)
)
def test_never_faster_than_the_roof(product, array, dataflow, convention) -> None:
    count = cycles(product, array, dataflow, convention)
    if (array.R, array.C) != (1, 1) or convention != "scalesim":  # its -1 a product beats a single PE
        assert 0 < utilisation(product, array, count) <= 1
    assert count * array.pes >= product.steps or convention == "scalesim"


@given(
    product=PRODUCTS, array=ARRAYS, dataflow=st.sampled_from(DATAFLOWS), convention=st.sampled_from(CONVENTIONS)
)
def test_words_are_conserved(product, array, dataflow, convention) -> None:
    words = accesses(product, array, dataflow, convention)
    assert words.ifmap_reads >= product.M * product.K
    assert words.filter_reads >= product.N * product.K
    if convention != "scalesim":
        assert words.ofmap_reads == words.ofmap_writes - product.M * product.N


@given(product=PRODUCTS, array=ARRAYS, dataflow=st.sampled_from(DATAFLOWS))
def test_folds_cover_exactly(product, array, dataflow) -> None:
    folds = folds_of(product, array, dataflow)
    down, across = {"os": (product.M, product.N), "ws": (product.K, product.N), "is": (product.K, product.M)}[
        dataflow
    ]
    assert (folds.rows - 1) * array.R + folds.last_rows == down
    assert 1 <= folds.last_rows <= array.R
    assert (folds.columns - 1) * array.C + folds.last_columns == across
    assert 1 <= folds.last_columns <= array.C


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: parse_array("32"), "array '32' is not of the form ROWSxCOLUMNS, such as 32x32"),
        (lambda: parse_array("0x4"), "an array of 0x4 has no PE"),
        (lambda: Product(0, 1, 1), "M = 0 is not at least 1"),
        (
            lambda: cycles(Product(1, 1, 1), ArrayShape(1, 1), "rs", "array"),
            "unknown dataflow 'rs'; known: os, ws, is",
        ),
        (
            lambda: cycles(Product(1, 1, 1), ArrayShape(1, 1), "os", "fast"),
            "unknown timing 'fast'; known: array, ideal, paper, scalesim",
        ),
    ],
)
def test_errors(call, message: str) -> None:
    with pytest.raises(CostModelError) as caught:
        call()
    assert str(caught.value) == message
