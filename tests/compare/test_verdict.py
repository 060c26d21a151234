"""Verdicts: one record for both, ratios at all corners of their prices, plain words."""

from __future__ import annotations

import json
import random

import pytest

from costmodel.compare.ratios import Ratio, ratio_of
from costmodel.compare.records import Verdict
from costmodel.compare.tables import disagreement
from costmodel.technology.tables import Energy

pytestmark = pytest.mark.quick


def test_a_ratio_s_ends_hold_every_choice_of_prices() -> None:
    rng = random.Random(1)
    before = {"a": Energy(3, 1, 4), "b": Energy(5, 5, 5)}
    after = {"a": Energy(6, 2, 8), "c": Energy(1, 0, 20)}
    found = ratio_of(after, before)
    assert found is not None
    assert found.nominal == 7 / 8
    for _ in range(500):
        a, c = rng.uniform(1, 4), rng.uniform(0, 20)
        assert found.low <= (2 * a + c) / (a + 5) <= found.high
    assert ratio_of(after, {}) is None


def verdict(table: str, ratio: float | None) -> Verdict:
    found = None if ratio is None else Ratio(ratio, ratio, ratio)
    return Verdict(table, 1, "other", "dot", found, None, None, None)


def test_disagreement_is_told_in_plain_words() -> None:
    (line,) = disagreement([verdict("x", 0.5), verdict("y", 1.25), verdict("z", None)])
    first, second = line.split(". ")
    assert first == (
        "Energy of the arithmetic of the attention core: other takes 0.50 to 1.25 times that of dot over 2 tables"
    )
    assert second == "They disagree: more under y, less under x."
    (line,) = disagreement([verdict("x", 0.5), verdict("y", 0.75)])
    assert "disagree" not in line


def test_both_verdicts_have_the_same_keys(cli) -> None:
    record = json.loads(
        cli("report", "distilbert-tiny", "--seq", "8", "--on", "edge-asic", "--format", "json").out
    )
    columns, machine = record["verdict"][0], record["machine_verdict"][0]
    assert columns.keys() - {"missing"} == machine.keys() - {"missing"}
    assert {r["attention"] for r in record["machine_verdict"]} == {"inhibitor"}
