"""Metrics of every task, and their intervals."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from models.errors import ModelError
from models.tasks.data import TASKS
from models.tasks.metrics import bootstrap, score, wilson

SST2, COLA, MRPC, STSB = (TASKS[name] for name in ("sst2", "cola", "mrpc", "stsb"))


def test_metrics_by_hand() -> None:
    p, y = [1, 1, 1, 0, 0, 1, 0, 0], [1, 1, 0, 0, 1, 1, 0, 1]  # TP 3, FP 1, FN 2, TN 2
    assert score(SST2, p, y) == {"accuracy": 5 / 8}
    assert list(score(MRPC, p, y).items()) == [("f1", pytest.approx(6 / 9)), ("accuracy", 5 / 8)]
    assert score(COLA, p, y)["matthews"] == pytest.approx((3 * 2 - 1 * 2) / math.sqrt(4 * 5 * 3 * 4))
    # Squares: the order is kept, the line is not. Deviations (-2 -1 0 1 2) and (-10 -7 -2 5 14).
    found = score(STSB, [1, 4, 9, 16, 25], [1, 2, 3, 4, 5])
    assert list(found) == ["pearson", "spearman"]
    assert found["pearson"] == pytest.approx(60 / math.sqrt(10 * 374))
    assert found["spearman"] == 1.0
    # Ranks (1, 2.5, 2.5, 4) against (1, 2, 3, 4): 4.5 / sqrt(4.5 * 5).
    assert score(STSB, [0, 7, 7, 9], [1, 2, 3, 4])["spearman"] == pytest.approx(4.5 / math.sqrt(4.5 * 5))
    assert score(TASKS["mnli"], [0, 1, 2], [0, 2, 2]) == {"accuracy": 2 / 3}


def test_metrics_against_naive_ones() -> None:
    rng = np.random.default_rng(7)
    for n in (2, 3, 10, 101):
        for _ in range(20):
            p, y = rng.integers(0, 2, n).tolist(), rng.integers(0, 2, n).tolist()
            tp, fp, fn, tn = (sum((a, b) == c for a, b in zip(p, y, strict=True)) for c in CELLS)
            product = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
            matthews = (tp * tn - fp * fn) / math.sqrt(product) if product else 0.0
            f1 = 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 0.0
            assert score(COLA, p, y)["matthews"] == pytest.approx(matthews, abs=1e-12)
            assert score(MRPC, p, y) == pytest.approx({"f1": f1, "accuracy": (tp + tn) / n})
            scores, gold = rng.integers(0, 6, n) / 2, rng.normal(size=n).round(1)
            found = score(STSB, scores, gold)
            assert found["pearson"] == pytest.approx(naive_pearson(scores, gold), abs=1e-12)
            ranked = naive_pearson(naive_ranks(scores), naive_ranks(gold))
            assert found["spearman"] == pytest.approx(ranked, abs=1e-12)


CELLS = [(1, 1), (1, 0), (0, 1), (0, 0)]  # (predicted, true): TP, FP, FN, TN


def naive_pearson(a: Any, b: Any) -> float:
    return float(np.corrcoef(a, b)[0, 1]) if len(set(a)) > 1 and len(set(b)) > 1 else 0.0


def naive_ranks(values: Any) -> list[float]:
    return [sum(w < v for w in values) + (sum(w == v for w in values) + 1) / 2 for v in values]


def test_undefined_metrics_are_zero() -> None:
    assert score(COLA, [1, 1, 1], [1, 0, 1]) == {"matthews": 0.0}
    assert score(COLA, [1, 1], [1, 1]) == {"matthews": 0.0}
    assert score(MRPC, [0, 0], [0, 0]) == {"f1": 0.0, "accuracy": 1.0}
    assert score(STSB, [0.1] * 7, [1, 2, 3, 4, 5, 1, 2]) == {"pearson": 0.0, "spearman": 0.0}
    assert score(STSB, [1, 2, 3], [2.2] * 3) == {"pearson": 0.0, "spearman": 0.0}


def test_correlations_keep_their_bounds_at_any_scale() -> None:
    x = np.random.default_rng(3).normal(size=50)
    for scale in (1e-200, 1e-3, 1.0, 1e200):
        assert score(STSB, x * scale, -x)["pearson"] == pytest.approx(-1, abs=1e-12)
        assert score(STSB, x * scale, -x)["pearson"] >= -1
        assert score(STSB, x * scale, x)["pearson"] <= 1


@pytest.mark.parametrize(
    ("name", "p", "y", "message"),
    [
        ("sst2", [], [], r"sst2: predictions \[0\] and labels \[0\] are not both \[N\], N > 0"),
        ("sst2", [1], [1, 0], r"sst2: predictions \[1\] and labels \[2\] are not both"),
        ("sst2", [[1, 0]], [[1, 0]], r"predictions \[1, 2\] and labels \[1, 2\] are not both"),
        ("sst2", [1, 2], [1, 0], r"sst2: prediction 1 is 2, not a class from 0 to 1"),
        ("cola", [1, 0.5], [1, 0], r"cola: prediction 1 is 0\.5, not a class from 0 to 1"),
        ("mnli", [1, 0], [3, 0], r"mnli: label 0 is 3, not a class from 0 to 2"),
        ("stsb", [1, math.nan], [1, 0], r"stsb: prediction 1 is nan, not finite"),
    ],
)
def test_metrics_refuse(name: str, p: Any, y: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        score(TASKS[name], p, y)
    with pytest.raises(ModelError, match=message):
        bootstrap(TASKS[name], p, y)


def test_wilson() -> None:
    # The bounds solve (share - bound)² = z² bound (1 - bound) / n.
    for correct, total in ((0, 10), (3, 10), (81, 263), (10, 10), (1, 1)):
        low, high = wilson(correct, total)
        assert 0 <= low <= correct / total <= high <= 1
        for bound in (low, high):
            gap = (correct / total - bound) ** 2 - 1.96**2 * bound * (1 - bound) / total
            assert gap == pytest.approx(0, abs=1e-12)
        assert low < high
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)  # Newcombe (1998), table I
    assert wilson(3, 10, z=1.0)[0] > wilson(3, 10)[0]
    for correct, total in ((0, 0), (-1, 5), (6, 5)):
        with pytest.raises(ModelError, match=f"{correct} correct of {total} is no share"):
            wilson(correct, total)


def test_bootstrap() -> None:
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, 400)
    p = np.where(rng.random(400) < 0.8, y, 1 - y)
    low, high = bootstrap(SST2, p, y)
    share = score(SST2, p, y)["accuracy"]
    assert low < share < high
    # Of a share of many examples it is nearly Wilson's.
    assert (low, high) == pytest.approx(wilson(int((p == y).sum()), 400), abs=0.012)
    many = bootstrap(SST2, p, y, samples=4000)
    assert many[1] - many[0] == pytest.approx(2 * 1.96 * math.sqrt(share * (1 - share) / 400), rel=0.08)
    assert bootstrap(SST2, p, y) == (low, high)
    assert bootstrap(SST2, p, y, samples=50, seed=5) != bootstrap(SST2, p, y, samples=50, seed=6)
    assert bootstrap(SST2, [1, 0], [1, 0]) == (1.0, 1.0)
    # The primary metric: F1 without class 1 is 0, accuracy would be 1.
    assert bootstrap(MRPC, [0, 0], [0, 0], samples=3) == (0.0, 0.0)
    with pytest.raises(ModelError, match="`samples=0` is not at least 1"):
        bootstrap(SST2, p, y, samples=0)


def test_bootstrap_covers() -> None:
    """Of 200 draws from a coin of 0.7, about 95 % of the intervals hold 0.7."""
    rng = np.random.default_rng(2)
    held = 0
    for seed in range(200):
        y = np.ones(100, int)
        low, high = bootstrap(SST2, (rng.random(100) < 0.7).astype(int), y, samples=200, seed=seed)
        held += low <= 0.7 <= high
    assert 178 <= held <= 199
