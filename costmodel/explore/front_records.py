"""Points of a store as records: the front, some points by number, and what a figure of the front draws."""

from __future__ import annotations

from dataclasses import dataclass

from costmodel.explore.goals import Objective
from costmodel.explore.workloads import Workload
from costmodel.records import Row


@dataclass(frozen=True)
class FrontRecord:
    """The feasible points that no other of the same sizes dominates, the best by the first objective first.

    A row has the number of the point, its knobs, its figures (None where it has none), feasible, error.
    """

    store: str
    points: int
    feasible: int
    failed: int
    space: str
    knobs: dict[str, tuple[str | int, ...]]
    objectives: tuple[Objective, ...]
    workloads: tuple[Workload, ...]  # whose weighted sums the figures are; none where knobs name the only one
    apart: tuple[str, ...]  # sizes of what is run: each combination of them has its own front
    constraints: tuple[str, ...]
    front: tuple[Row, ...]
    errors: tuple[str, ...]  # distinct


@dataclass(frozen=True)
class PointsRecord:
    """Points by number: rows as of a front, and the command that counts each anew."""

    points: tuple[Row, ...]


@dataclass(frozen=True)
class DrawnPoint:
    """One point of a figure: the values of its objectives, and its knobs."""

    index: int
    front: bool
    values: dict[str, float]
    knobs: dict[str, str | int]


@dataclass(frozen=True)
class FrontPicture:
    """What a figure of a front draws: the front, and of the other feasible points a sample."""

    store: str
    space: str
    stored: int
    failed: int
    feasible: int
    front: int
    drawn: int
    objectives: tuple[Objective, ...]
    attentions: tuple[str, ...]
    colours: tuple[int, ...]  # of the attentions
    varied: tuple[str, ...]  # knobs of several values
    apart: tuple[str, ...]  # of them sizes of what is run: points that differ in one are not compared
    points: tuple[DrawnPoint, ...]
