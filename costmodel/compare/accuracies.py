"""Stored accuracies by task and mechanism, as means over seeds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from costmodel.compare.evaluation import Evaluation


@dataclass(frozen=True)
class SeedMeans:
    """One task and mechanism: its primary metric over several seeds, by arithmetic."""

    task: str
    attention: str
    metric: str
    seeds: int
    metrics: dict[str, float]  # means
    ranges: dict[str, tuple[float, float]]  # least and most
    by_seed: dict[str, float]  # in floats


@dataclass(frozen=True)
class Published:
    """Accuracies of a larger model in %, with dot products and with the inhibitor, by task."""

    source: str
    values: dict[str, tuple[float, float]]


@dataclass(frozen=True)
class StoredRecord:
    """What is stored, beside what is published."""

    results: tuple[SeedMeans, ...]
    published: Published


def summarise(results: Iterable[Evaluation]) -> tuple[SeedMeans, ...]:
    """Of each task and mechanism: the mean of its primary metric over seeds, and the range, by arithmetic."""
    groups: dict[tuple[str, str], list[Evaluation]] = {}
    for result in results:
        groups.setdefault((result.task, result.attention.partition(":")[0]), []).append(result)
    return tuple(means_of(task, attention, members) for (task, attention), members in groups.items())


def means_of(task: str, attention: str, members: list[Evaluation]) -> SeedMeans:
    metric = next(iter(members[0].results["float32"].metrics))
    values = {
        arithmetic: [m.results[arithmetic].metrics[metric] for m in members] for arithmetic in members[0].results
    }
    return SeedMeans(
        task=task,
        attention=attention,
        metric=metric,
        seeds=len(members),
        metrics={arithmetic: sum(v) / len(v) for arithmetic, v in values.items()},
        ranges={arithmetic: (min(v), max(v)) for arithmetic, v in values.items()},
        by_seed={str(m.seed): v for m, v in zip(members, values["float32"], strict=True)},
    )
