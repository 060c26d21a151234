"""What was measured of a checkpoint on a task, in floats and in the bits that are priced."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from costmodel.records import OPTIONAL


@dataclass(frozen=True)
class Measured:
    """One arithmetic: float32, or the integers of some widths."""

    metrics: dict[str, float]  # the primary one first
    interval: tuple[float, float]  # 95 % of the primary metric
    agreement: float  # with what float32 says
    cpu_seconds: Annotated[float | None, OPTIONAL] = None

    @property
    def primary(self) -> float:
        return next(iter(self.metrics.values()))


@dataclass(frozen=True)
class Ranges:
    """How the ranges of the integers were measured."""

    method: str
    sentences: int


@dataclass(frozen=True)
class Training:
    """The runs that made a checkpoint, oldest first: one entry of each list a run."""

    commands: tuple[str, ...]
    steps: tuple[int, ...]
    cpu_hours: tuple[float | None, ...]  # None where a run did not measure them
    wall_hours: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """One checkpoint on one task: measured now, or stored."""

    model: str
    attention: str
    task: str
    source: str  # of the examples
    examples: int
    limited: bool
    max_tokens: Annotated[int | None, OPTIONAL] = None
    cut: Annotated[int | None, OPTIONAL] = None  # examples that fill max_tokens
    note: str
    calibration: Ranges
    results: dict[str, Measured]  # by arithmetic
    seeds: Annotated[int | None, OPTIONAL] = None  # over which a stored result is a mean
    # Of a stored result of one checkpoint: where it comes from.
    weights: Annotated[str | None, OPTIONAL] = None
    command: Annotated[str | None, OPTIONAL] = None
    versions: Annotated[dict[str, str] | None, OPTIONAL] = None
    date: Annotated[str | None, OPTIONAL] = None
    training: Annotated[Training | None, OPTIONAL] = None
    seed: Annotated[int | None, OPTIONAL] = None
    stored: Annotated[bool | None, OPTIONAL] = None  # in a report: not measured now
