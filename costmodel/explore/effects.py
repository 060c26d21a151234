"""What single changes of a design save, and combinations of them: the record of `costmodel sensitivity`."""

from __future__ import annotations

from dataclasses import dataclass

from costmodel.records import Cell


@dataclass(frozen=True)
class Figures:
    """A design in figures; None where nothing is published for the target, or where it has no such resource."""

    energy_uj: float | None
    latency_ms: float
    energy_delay_js: float | None
    cycles: int
    dram_bytes: int
    area_mm2: float | None
    lut: int | None
    dsp: int | None
    bram36: int | None
    accuracy: float | None  # of the task, where it is stored


@dataclass(frozen=True)
class Change:
    """One knob of the design at another value."""

    knob: str
    was: Cell
    now: Cell


@dataclass(frozen=True)
class Effect:
    """Some changes together, and the share of the chosen figure that they save; below 0 they cost."""

    changes: tuple[Change, ...]
    saves: float
    figures: Figures
    same_bits: bool  # neither widths nor attention changed, so that accuracy is what it was


@dataclass(frozen=True)
class Refused:
    """A change that this target or model does not take, and why."""

    change: Change
    why: str


@dataclass(frozen=True)
class Wish:
    """The smallest combination that saves the share asked for; else the one that saves most."""

    asked: float
    reached: bool
    short: float  # of the share asked for; 0 where it is reached
    effect: Effect  # of several that reach it the one with the least area, or LUTs
    same_bits: Effect | None  # where that changes bits: the least of as many changes that reach it and do not
    others: int  # as many changes that reach it, too
    tried: int  # combinations
    beyond_pairs: tuple[Change, ...]  # combinations of three and more are of these; none where pairs were enough
    command: str  # the report of it


@dataclass(frozen=True)
class SensitivityRecord:
    """Changes of one design by what they save of one figure, the most first."""

    model: str
    attention: str | None
    batch: int | None
    seq: int | None
    widths: str
    target: str
    of: str  # the figure: energy, cycles, edp or bytes
    objective: str | None  # by which schedules are chosen; None: edp, or cycles where no energy is known
    task: str | None
    metric: str | None  # of the accuracies
    machine: dict[str, Cell]  # the knobs of the base
    base: Figures
    singles: tuple[Effect, ...]
    pairs: tuple[Effect, ...]
    refused: tuple[Refused, ...]
    wish: Wish | None
