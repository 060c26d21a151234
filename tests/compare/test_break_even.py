"""The one search for break-even points, against trying every size."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmodel.compare.break_even import BreakEven, search_break_even

pytestmark = pytest.mark.quick
SIZES = (1, 2, 4, 8, 16, 32, 64)


def every(first, other) -> list[int]:
    """Sizes at which the sign of the difference changes, by looking at each."""
    more = [other(s) > first(s) for s in range(SIZES[0], SIZES[-1] + 1)]
    return [i + SIZES[0] for i in range(1, len(more)) if more[i] != more[i - 1]]


@given(st.integers(-5, 5), st.integers(-300, 300))
def test_straight_lines_cross_where_they_are_seen_to(slope: int, offset: int) -> None:
    def other(s: int) -> float:
        return slope * s + offset

    found = search_break_even(lambda s: 0.0, other, SIZES)
    assert found is not None
    assert list(found.at) == every(lambda s: 0.0, other)
    assert found.cheaper_at_first == (other(1) < 0)


def test_two_crossings_and_who_is_cheaper() -> None:
    found = search_break_even(lambda s: 0.0, lambda s: (s - 5.5) * (s - 20.5), SIZES)
    assert found == BreakEven((6, 21), False)
    assert found.cheaper("dot", "other") == [(None, "dot"), (6, "other"), (21, "dot")]


def test_each_cost_is_taken_once() -> None:
    asked: list[int] = []

    def other(s: int) -> float:
        asked.append(s)
        return s - 10.5

    search_break_even(lambda s: 0.0, other, SIZES)
    assert len(asked) == len(set(asked))


def test_a_cost_that_is_not_known_has_no_break_even() -> None:
    assert search_break_even(lambda s: None, lambda s: 1.0, SIZES) is None
    assert search_break_even(lambda s: 1.0, lambda s: None, SIZES) is None


@pytest.mark.parametrize("target", ["edge-asic", "xc7z020"])
def test_formula_and_report_find_the_same(cli, target: str) -> None:
    report = json.loads(cli("report", "distilbert-tiny", "--on", target, "--format", "json").out)
    formula = json.loads(
        cli(
            "formula", "distilbert-tiny", "--on", target, "--of", "cycles", "--break-even", "S", "--format", "json"
        ).out
    )
    found = report["break_even_seq"]["inhibitor"]
    low, high = found["lengths"]
    assert [s for s in formula["break_even"] if low < s <= high] == found["cycles"]["at"]
    assert ("energy_pj" in found) == (target == "edge-asic")
