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


@dataclass(frozen=True)
class Ranges:
    """How the ranges of the integers were measured."""

    method: str
    sentences: int


@dataclass(frozen=True)
class Evaluation:
    """One checkpoint on one task: measured now, or stored."""

    model: str
    attention: str
    task: str
    source: str  # of the examples
    examples: int
    limited: bool
    note: str
    calibration: Ranges
    results: dict[str, Measured]  # by arithmetic
    max_tokens: Annotated[int | None, OPTIONAL] = None
    cut: Annotated[int | None, OPTIONAL] = None  # examples that fill max_tokens
    seeds: Annotated[int | None, OPTIONAL] = None  # over which a stored result is a mean
    stored: Annotated[bool | None, OPTIONAL] = None
