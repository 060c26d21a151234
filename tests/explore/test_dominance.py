"""Fronts equal those of brute force, ties and duplicates included."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costmodel.errors import CostModelError
from costmodel.explore.dominance import front, hypervolume

SENSES = st.lists(st.sampled_from(["min", "max"]), min_size=1, max_size=5)
# Few distinct numbers, so that ties and equal points are common; both zeros.
NUMBERS = st.sampled_from([-2.0, -0.0, 0.0, 1.0, 1.5, 3.0, 1e300])


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[list[float]], list[str]]:
    senses = draw(SENSES)
    rows = draw(st.lists(st.lists(NUMBERS, min_size=len(senses), max_size=len(senses)), min_size=1, max_size=40))
    return rows, senses


def dominates(a: list[float], b: list[float], senses: list[str]) -> bool:
    pairs = [(x, y) if sense == "min" else (y, x) for x, y, sense in zip(a, b, senses, strict=True)]
    return all(x <= y for x, y in pairs) and any(x < y for x, y in pairs)


def brute(rows: list[list[float]], senses: list[str], ties: str) -> list[int]:
    found: list[int] = []
    for i, row in enumerate(rows):
        equal = ties == "first" and any(rows[j] == row for j in range(i))
        if not equal and not any(dominates(other, row, senses) for other in rows):
            found.append(i)
    return found


@settings(max_examples=400, deadline=None)
@given(tables(), st.sampled_from(["first", "all"]))
def test_equals_brute_force(table: tuple[list[list[float]], list[str]], ties: str) -> None:
    rows, senses = table
    assert front(np.array(rows), senses, ties).tolist() == brute(rows, senses, ties)


@pytest.mark.parametrize("objectives", [2, 3, 4, 5])
def test_of_dense_fronts(objectives: int) -> None:
    """More members than the first block holds, most of them on the front."""
    rng = np.random.default_rng(objectives)
    values = rng.random((3000, objectives))
    values[:, 0] = -values[:, 1:].sum(axis=1) + 0.01 * rng.random(3000)
    below = np.ones((3000, 3000), bool)
    for j in range(objectives):
        below &= values[:, None, j] <= values[None, :, j]
    np.fill_diagonal(below, False)
    expected = np.flatnonzero(~below.any(axis=0))
    assert front(values, ["min"] * objectives).tolist() == expected.tolist()
    assert objectives == 2 or len(expected) > 1024


def test_ties_and_empty() -> None:
    values = [[1, 2], [2, 1], [1, 2], [3, 3], [1, 3]]
    assert front(values, ["min", "min"]).tolist() == [0, 1]
    assert front(values, ["min", "min"], "all").tolist() == [0, 1, 2]
    assert front(values, ["max", "max"]).tolist() == [3]
    assert front(np.zeros((0, 2)), ["min", "max"]).tolist() == []


@pytest.mark.parametrize(
    ("values", "senses", "message"),
    [
        ([[1.0, float("nan")]], ["min", "min"], "point 0 has an objective that is not finite"),
        ([[1.0, 2.0], [1.0, float("inf")]], ["min", "min"], "point 1 has"),
        ([[1.0, 2.0]], ["min"], r"of shape \(1, 2\) are not \[points, 1 objectives\]"),
        ([[1.0]], ["least"], "sense 'least' is neither"),
    ],
)
def test_refuses(values: list[list[float]], senses: list[str], message: str) -> None:
    with pytest.raises(CostModelError, match=message):
        front(values, senses)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.integers(0, 5), min_size=3, max_size=3), min_size=1, max_size=12))
def test_hypervolume_counts_cells(rows: list[list[int]]) -> None:
    """On a lattice the volume is the number of unit cells that some point dominates."""
    cells = sum(
        any(all(r <= c for r, c in zip(row, cell, strict=True)) for row in rows) for cell in np.ndindex(6, 6, 6)
    )
    assert hypervolume(rows, ["min"] * 3, [6, 6, 6]) == pytest.approx(cells)
    assert hypervolume(-np.array(rows), ["max"] * 3, [-6, -6, -6]) == pytest.approx(cells)
