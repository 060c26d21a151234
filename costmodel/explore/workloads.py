"""Workloads of a design space: what every machine of it is judged on, together.

    [[workload]]
    model = "distilbert"
    seq = 128
    weight = 9

    [[workload]]
    model = "distilbert"
    seq = 512

A weight says how often a workload runs, 1 if it says nothing. Figures of a run are sums over all workloads, each
times its weight: energy, time, cycles and bytes of the whole mix. So weights that add up to 1 give means. Energy
times delay is the product of both sums. What a workload does not name a knob of the same name does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from costmodel.errors import CostModelError
from costmodel.explore.knobs import Value, checked_value
from costmodel.hardware.accelerator import shortened

PHASES = ("prefill",)
NAMED = ("model", "seq", "batch")  # by a workload, or by knobs
KEYS = (*NAMED, "phase", "weight")
MOST_WORKLOADS = 256
LARGEST_WEIGHT = 1e12


@dataclass(frozen=True)
class Workload:
    """One forward pass, and how often it runs. None: a knob says it, or the model decides."""

    model: str | None = None
    seq: int | None = None
    batch: int | None = None
    phase: str = "prefill"
    weight: float = 1.0

    def __str__(self) -> str:
        return ", ".join(f"{name}={value}" for name in NAMED if (value := getattr(self, name)) is not None)

    def over(self, knobs: Mapping[str, Value]) -> dict[str, Value]:
        """Knobs with what the workload names in their place."""
        own = {name: value for name in NAMED if (value := getattr(self, name)) is not None}
        return {**knobs, **own}


def parse_workloads(given: Any, where: str) -> tuple[Workload, ...]:
    """The tables [[workload]] of a space; none where it has none.

    Raises:
        CostModelError: an unknown key, a value of the wrong type, one workload twice.
    """
    if given is None:
        return ()
    if not isinstance(given, list | tuple) or not given:
        raise CostModelError(f"{where}: workload is no list of tables; begin each with [[workload]]")
    if len(given) > MOST_WORKLOADS:
        raise CostModelError(f"{where} has {len(given)} workloads; {MOST_WORKLOADS} are the most")
    found: list[Workload] = []
    for number, record in enumerate(given, 1):
        each = parse_workload(record, f"{where}: [[workload]] {number}")
        if any(each.over({}) == other.over({}) for other in found):
            raise CostModelError(
                f"{where}: [[workload]] {number}: {each or 'it'} is given twice; add up the weights"
            )
        found.append(each)
    return tuple(found)


def parse_workload(record: Any, where: str) -> Workload:
    if not isinstance(record, dict):
        raise CostModelError(f"{where} is no table; known: {', '.join(KEYS)}")
    for key in record:
        if key not in KEYS:
            raise CostModelError(f"{where}: unknown key {key!r}; known: {', '.join(KEYS)}")
    phase = record.get("phase", PHASES[0])
    if phase not in PHASES:
        raise CostModelError(
            f"{where}: phase {phase!r} is not one of {', '.join(PHASES)}: models are traced over whole sequences"
        )
    weight = record.get("weight", 1)
    number = isinstance(weight, int | float) and not isinstance(weight, bool)
    if not number or not 0 < weight <= LARGEST_WEIGHT:
        raise CostModelError(
            f"{where}: weight {shortened(weight)} is not a number above 0; it says how often this runs"
        )
    named = {name: checked_value(name, record[name], f"{where} {name}") for name in NAMED if name in record}
    return Workload(**named, phase=phase, weight=float(weight))  # type: ignore[arg-type]


def named_by(workloads: tuple[Workload, ...]) -> frozenset[str]:
    """What every workload names, so that no knob may."""
    return frozenset(n for n in NAMED if workloads and all(getattr(w, n) is not None for w in workloads))
