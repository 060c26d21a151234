"""The stepped array against numpy: every size up to 8x8, all dataflows and kinds of PE, wrap and saturate."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costmodel.dtypes import Int
from costmodel.errors import CostModelError
from costmodel.hardware.pe import PE_KINDS
from costmodel.hardware.timing import DATAFLOWS, ArrayShape, Product, accesses, cycles, steady_cycles
from sim.integer import products
from sim.machine.array import Stepped, run
from sim.machine.walk import toggles, walk


def operands(product: Product, kind: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    a = rng.integers(0 if kind == "clip" else -128, 128, (product.M, product.K))
    return a, rng.integers(-128, 128, (product.K, product.N))


def check(product: Product, shape: ArrayShape, dataflow: str, kind: str, bits: int, mode: str, seed: int) -> None:
    a, b = operands(product, kind, seed)
    accumulator = Int(bits)
    stepped = run(a.tolist(), b.tolist(), shape, dataflow, kind, accumulator, mode)
    fold = None if dataflow == "os" else shape.R
    expected = products.in_order(a, b, kind, accumulator, mode, fold=fold)
    assert np.array_equal(np.array(stepped.result), expected)
    assert stepped.cycles == cycles(product, shape, dataflow, "array")
    assert stepped.steps == product.steps
    check_walk(product, shape, dataflow, stepped, a, b)


def check_walk(
    product: Product, shape: ArrayShape, dataflow: str, stepped: Stepped, a: np.ndarray, b: np.ndarray
) -> None:
    """What the machine finds fold by fold is what the closed forms and the registers say."""
    way = walk(product, shape, dataflow)
    assert way.cycles == stepped.cycles
    assert way.steady_cycles == steady_cycles(product, shape, dataflow, "array")
    words = accesses(product, shape, dataflow, "array")
    assert (way.a_reads, way.b_reads) == (words.ifmap_reads, words.filter_reads)
    assert (way.sum_reads, way.sum_writes) == (words.ofmap_reads, words.ofmap_writes)
    taken = (stepped.a_writes, stepped.b_writes, stepped.sum_writes)
    assert (way.a_writes, way.b_writes, way.sum_register_writes) == taken
    assert toggles(a, b, shape, dataflow, (8, 8)) == stepped.toggled_bits


@pytest.mark.parametrize("mode", ["wrap", "saturate"])
@pytest.mark.parametrize("kind", list(PE_KINDS))
@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_every_array_up_to_8x8(dataflow: str, kind: str, mode: str) -> None:
    rng = np.random.default_rng(1)
    for rows in range(1, 9):
        for columns in range(1, 9):
            M, N, K = (int(n) for n in rng.integers(1, 21, 3))
            bits = int(rng.choice([9, 12, 16, 24]))
            check(Product(M, N, K), ArrayShape(rows, columns), dataflow, kind, bits, mode, rows * 8 + columns)


@settings(max_examples=250, deadline=None)
@given(
    product=st.builds(Product, st.integers(1, 20), st.integers(1, 20), st.integers(1, 20)),
    shape=st.builds(ArrayShape, st.integers(1, 8), st.integers(1, 8)),
    dataflow=st.sampled_from(DATAFLOWS),
    kind=st.sampled_from(list(PE_KINDS)),
    bits=st.integers(8, 26),
    mode=st.sampled_from(["wrap", "saturate"]),
    seed=st.integers(0, 10_000),
)
def test_any_size(product, shape, dataflow, kind, bits, mode, seed) -> None:
    check(product, shape, dataflow, kind, bits, mode, seed)


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_a_sum_that_does_not_fit_is_refused(dataflow: str) -> None:
    a, b = [[100, 100, 100]], [[1], [1], [1]]
    assert run(a, b, ArrayShape(2, 2), dataflow, "mac", Int(8), "saturate").result == [[127]]
    assert run(a, b, ArrayShape(2, 2), dataflow, "mac", Int(8), "wrap").result == [[44]]
    assert run(a, b, ArrayShape(2, 2), dataflow, "mac", Int(16), "exact").result == [[300]]
    with pytest.raises(CostModelError, match="does not fit int8"):
        run(a, b, ArrayShape(2, 2), dataflow, "mac", Int(8), "exact")


def test_where_a_sum_is_cut_into_folds_matters_when_it_saturates() -> None:
    """Under os one accumulator takes all terms; under ws a fold of two rows is summed alone, then added."""
    a, b = [[100, 100, -100, -100]], [[1], [1], [1], [1]]
    assert run(a, b, ArrayShape(2, 1), "os", "mac", Int(8), "saturate").result == [[-73]]
    assert run(a, b, ArrayShape(2, 1), "ws", "mac", Int(8), "saturate").result == [[-1]]


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_toggles_of_operands_that_never_change_and_that_always_do(dataflow: str) -> None:
    same = np.full((6, 6), 85), np.full((6, 6), -86)
    shape = ArrayShape(3, 3)
    assert toggles(*same, shape, dataflow, (8, 8)) == 0
    # a of 0 and -1 in turn along K and M: all 8 bits of a change with every pair that a PE takes in, unless
    # a stays: then only from fold to fold.
    turned = -((np.arange(6)[:, None] + np.arange(6)) % 2)
    pairs, first_pairs = 6**3, 9
    found = toggles(turned, np.zeros((6, 6), int), shape, dataflow, (8, 8))
    share = found / (8 * (pairs - first_pairs))
    assert share < 0.1 if dataflow == "is" else 0.6 <= share <= 1
