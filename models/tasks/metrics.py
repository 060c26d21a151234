"""Metrics of a task's predictions, and their intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from models.errors import ModelError
from models.tasks.data import Task

Array = np.ndarray[Any, Any]


def score(task: Task, predictions: Sequence[float] | Array, labels: Sequence[float] | Array) -> dict[str, float]:
    """The task's metrics as fractions, from predictions [N] and labels [N]: class numbers, or scores of any scale.

    F1 is that of class 1. What is undefined (constant predictions or labels; F1 without class 1) is 0.0: so says
    scikit-learn of F1 and Matthews; SciPy says NaN of the correlations.

    Raises:
        ModelError: empty, of different lengths, not finite, or no class of the task.
    """
    p, y = np.asarray(predictions, np.float64), np.asarray(labels, np.float64)
    if p.ndim != 1 or p.shape != y.shape or not p.size:
        raise ModelError(
            f"{task.name}: predictions {list(p.shape)} and labels {list(y.shape)} are not both [N], N > 0"
        )
    for name, values in (("prediction", p), ("label", y)):
        fits = np.isin(values, range(len(task.labels))) if task.labels else np.isfinite(values)
        if not fits.all():
            known = f"a class from 0 to {len(task.labels) - 1}" if task.labels else "finite"
            raise ModelError(f"{task.name}: {name} {np.argmin(fits)} is {values[~fits][0]:g}, not {known}")
    return {name: METRICS[name](p, y) for name in task.metrics}


def accuracy(p: Array, y: Array) -> float:
    return float(np.mean(p == y))


def f1(p: Array, y: Array) -> float:
    total = np.sum(p == 1) + np.sum(y == 1)
    return float(2 * np.sum((p == 1) & (y == 1)) / total) if total else 0.0


def pearson(p: Array, y: Array) -> float:
    if np.ptp(p) == 0 or np.ptp(y) == 0:
        return 0.0
    p, y = ((v - v.mean()) / np.ptp(v) for v in (p, y))
    return min(1.0, max(-1.0, float(p @ y / math.sqrt((p @ p) * (y @ y)))))


def spearman(p: Array, y: Array) -> float:
    return pearson(ranks(p), ranks(y))


def ranks(values: Array) -> Array:
    """From 1; equal values share the average of theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]


# Of two classes, Matthews' correlation is Pearson's.
METRICS = {"accuracy": accuracy, "f1": f1, "matthews": pearson, "pearson": pearson, "spearman": spearman}


def wilson(correct: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's interval of a share, at 95 % as it stands.

    Raises:
        ModelError: not 0 <= correct <= total, or total is 0.
    """
    if not 0 <= correct <= total or total == 0:
        raise ModelError(f"{correct} correct of {total} is no share")
    share, n = correct / total, total
    middle, half = share + z * z / (2 * n), z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, (middle - half) / (1 + z * z / n)), min(1.0, (middle + half) / (1 + z * z / n))


def bootstrap(
    task: Task,
    predictions: Sequence[float] | Array,
    labels: Sequence[float] | Array,
    samples: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """The primary metric's 2.5 and 97.5 percentiles over N examples drawn with replacement. Raises as `score`."""
    score(task, predictions, labels)
    if samples < 1:
        raise ModelError(f"`samples={samples}` is not at least 1")
    p, y = np.asarray(predictions, np.float64), np.asarray(labels, np.float64)
    drawn, metric = np.random.default_rng(seed), METRICS[task.metrics[0]]
    found = [metric(p[rows], y[rows]) for rows in (drawn.integers(p.size, size=p.size) for _ in range(samples))]
    low, high = np.percentile(found, [2.5, 97.5])
    return float(low), float(high)
