"""What a design space is judged by: objectives, constraints, and what accuracy is measured on."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from costmodel.errors import CostModelError
from costmodel.explore.knobs import NUMBERS, Knob, is_whole
from costmodel.explore.machines import FIGURES, MEASURED
from costmodel.widths.policy import parse_policy

MAXIMISED = (MEASURED, "rows_per_s")
CONSTRAINT = re.compile(r"\s*([A-Za-z_]\w*)\s*(<=|>=|==|!=|<|>)\s*([-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)\s*")


@dataclass(frozen=True)
class Objective:
    """A figure, and whether less of it is better (`min`) or more (`max`)."""

    name: str
    sense: str


@dataclass(frozen=True)
class Constraint:
    """A figure or a number knob, a comparison, a limit."""

    name: str
    comparison: str
    limit: float

    def __str__(self) -> str:
        return f"{self.name} {self.comparison} {self.limit:g}"

    def holds(self, values: Any) -> Any:
        """Elementwise; NaN holds nothing."""
        values = np.asarray(values)
        compared = {
            "<=": np.less_equal,
            ">=": np.greater_equal,
            "<": np.less,
            ">": np.greater,
            "==": np.equal,
            "!=": np.not_equal,
        }
        return compared[self.comparison](values, self.limit) & ~np.isnan(values)


@dataclass(frozen=True)
class Checkpoint:
    """Of one attention mechanism: a directory, and a digest of its files."""

    attention: str
    path: str
    digest: str = ""


@dataclass(frozen=True)
class Accuracy:
    """What accuracy is measured on. Without checkpoints, those that ship are taken."""

    task: str
    checkpoints: tuple[Checkpoint, ...] = ()
    limit: int | None = None
    data_dir: str | None = None

    def of(self, attention: str) -> Checkpoint | None:
        return next((c for c in self.checkpoints if c.attention == attention), None)


def check_widths(knobs: Sequence[Knob], where: str) -> None:
    for knob in knobs:
        for value in knob.values if knob.name == "widths" else ():
            if parse_policy(str(value)).is_float and value != "fp32":
                raise CostModelError(
                    f"{where}: [knobs] widths: accuracy is measured in integers and fp32, not in {value}; "
                    "leave it or [accuracy] out"
                )


def known_figure(name: Any, lacking: dict[str, str], spot: str, others: Sequence[str] = ()) -> str:
    """The name, if every point has the figure."""
    if not isinstance(name, str) or (name not in FIGURES and name not in others):
        near = [f for f in FIGURES if isinstance(name, str) and f.split("_")[0] == name]
        hint = f"did you mean {near[0]}? " if near else ""
        raise CostModelError(f"{spot}: unknown {name!r}; {hint}known: {', '.join((*FIGURES, *others))}")
    if name in lacking:
        raise CostModelError(f"{spot}: {lacking[name]}")
    return name


def parse_objectives(given: Any, lacking: dict[str, str], where: str) -> tuple[Objective, ...]:
    spot = f"{where}: objectives"
    if not isinstance(given, list | tuple) or not given:
        raise CostModelError(f"{spot} is not a list of at least one of {', '.join(FIGURES)}")
    names = [known_figure(name, lacking, spot) for name in given]
    for name in names:
        if names.count(name) > 1:
            raise CostModelError(f"{spot}: {name} is given twice; leave one out")
    return tuple(Objective(name, "max" if name in MAXIMISED else "min") for name in names)


def parse_constraints(
    given: Any, lacking: dict[str, str], knobs: Sequence[Knob], where: str
) -> tuple[Constraint, ...]:
    spot = f"{where}: constraints"
    if not isinstance(given, list | tuple):
        raise CostModelError(f'{spot} is not a list of texts such as "area_mm2 <= 4"')
    numbers = {knob.name: np.array(knob.values) for knob in knobs if knob.name in NUMBERS}
    found: list[Constraint] = []
    for text in given:
        match = CONSTRAINT.fullmatch(text) if isinstance(text, str) else None
        if match is None or not math.isfinite(float(match[3])):
            raise CostModelError(f'{spot}: {text!r} is not NAME COMPARISON NUMBER, such as "area_mm2 <= 4"')
        if match[1] in NUMBERS and match[1] not in numbers:
            raise CostModelError(f"{spot}: {text!r}: {match[1]} is no knob of this space; add it to [knobs]")
        found.append(Constraint(known_figure(match[1], lacking, spot, tuple(numbers)), match[2], float(match[3])))
        if found.count(found[-1]) > 1:
            raise CostModelError(f"{spot}: {text!r} is given twice; leave one out")
    for name, values in numbers.items():
        mine = [c for c in found if c.name == name]
        if not np.logical_and.reduce([c.holds(values) for c in mine] or [np.True_]).any():
            raise CostModelError(
                f"{spot}: no value of {name} holds {' and '.join(map(str, mine))}; widen one of them"
            )
    return tuple(found)


def parse_accuracy(record: Any, where: str) -> Accuracy:
    spot = f"{where}: [accuracy]"
    known = ("task", "limit", "data_dir", "checkpoints")
    if not isinstance(record, dict) or not isinstance(record.get("task"), str) or not record["task"]:
        raise CostModelError(f'{spot} lacks task, such as task = "sst2"')
    for key in record:
        if key not in known:
            raise CostModelError(f"{spot}: unknown key {key!r}; known: {', '.join(known)}")
    limit, data_dir, given = record.get("limit"), record.get("data_dir"), record.get("checkpoints", {})
    if limit is not None and not is_whole(limit):
        raise CostModelError(f"{spot} limit: {limit!r} is not a whole number of at least 1")
    if data_dir is not None and not is_path(data_dir):
        raise CostModelError(f"{spot} data_dir: {data_dir!r} is not the name of a directory")
    if not isinstance(given, dict) or not all(map(is_path, given.values())):
        raise CostModelError(f'{spot} checkpoints: not of the form {{dot = "DIRECTORY", ...}}')
    return Accuracy(record["task"], tuple(Checkpoint(k, v) for k, v in given.items()), limit, data_dir)


def is_path(value: Any) -> bool:
    return isinstance(value, str) and bool(value) and value.isprintable()
