"""Design spaces: every combination of some knobs, what is judged, and what must hold.

A space is a TOML file, or a Python file that defines SPACE as a dict of the same form:

    objectives = ["energy_uj", "latency_ms", "area_mm2"]
    constraints = ["area_mm2 <= 4", "seq <= 384"]

    [knobs]
    model = "distilbert"
    attention = ["dot", "inhibitor"]
    seq = {from = 64, to = 512, times = 2}
    widths = ["w8a8", "w4a8"]
    target = "edge-asic"
    array = ["16x16", "32x32"]
    buffer_kib = [128, 256, 512]

    [accuracy]
    task = "sst2"
    limit = 200

Tables [[workload]] judge every machine on several runs together: see `costmodel.explore.workloads`. Sizes of what
is run are no choice of a machine: points that differ in one (`SIZES`) are not compared with each other, unless
`across = ["seq"]` asks for that. `objective` is what the schedule of every step makes least: edp (but cycles
where no energy is known), cycles, energy or bytes.

A point is a number from 0 to len(space) - 1; `space.knobs(number)` are its values. All that this package can
know is checked before anything runs; models and checkpoints are checked by `costmodel.api.spaces`.
"""

from __future__ import annotations

import hashlib
import json
import math
import runpy
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from costmodel.errors import CostModelError
from costmodel.explore.goals import (
    Accuracy,
    Checkpoint,
    Constraint,
    Objective,
    check_widths,
    parse_accuracy,
    parse_constraints,
    parse_objectives,
)
from costmodel.explore.knobs import NAMES, SIZES, Knob, parse_knobs
from costmodel.explore.machines import MEASURED, available_figures, data_digest
from costmodel.explore.programs import NEEDS_PRICES, check_objective
from costmodel.explore.workloads import Workload, named_by, parse_workloads

Array = np.ndarray[Any, Any]
SECTIONS = ("name", "objectives", "constraints", "objective", "across", "workload", "knobs", "accuracy")
MOST_POINTS = 1 << 62  # numbers of points are int64


@dataclass(frozen=True)
class Space:
    """The product of all knobs. `figures` are the columns that a point gets."""

    name: str
    where: str
    all_knobs: tuple[Knob, ...]
    objectives: tuple[Objective, ...]
    constraints: tuple[Constraint, ...]
    accuracy: Accuracy | None
    figures: tuple[str, ...]
    data: str  # digest of the targets and tables that the points are computed from
    workloads: tuple[Workload, ...] = ()  # none: the knobs name the only one
    across: tuple[str, ...] = ()  # sizes over which points are compared all the same
    objective: str | None = None  # of the schedule of each step; None: edp, or cycles where no energy is known

    def __len__(self) -> int:
        return math.prod(len(knob.values) for knob in self.all_knobs)

    @property
    def runs(self) -> tuple[Workload, ...]:
        """What each point runs."""
        return self.workloads or (Workload(),)

    @property
    def models(self) -> tuple[str, ...]:
        """All models that some point runs."""
        own = [run.model for run in self.runs if run.model is not None]
        return tuple(dict.fromkeys([*map(str, self.values("model")), *own]))

    @property
    def apart(self) -> tuple[str, ...]:
        """Knobs of several values by which points are kept apart: sizes of what is run."""
        names = [name for name in SIZES if name not in self.across]
        return tuple(k.name for k in self.all_knobs if k.name in names and len(k.values) > 1)

    @property
    def groups(self) -> int:
        """How many fronts the space has: one of each combination of sizes."""
        return math.prod(len(self.values(name)) for name in self.apart)

    def group_of(self, indices: Any) -> Array:
        """Of points [n] the number of their group, in the order of the knobs' values."""
        digits = self.digits(indices)
        code = np.zeros(len(np.asarray(indices)), np.int64)
        for name in self.apart:
            code = code * len(self.values(name)) + digits[name]
        return code

    def strides(self) -> dict[str, int]:
        """Of each knob how many points it is from one value to the next."""
        found, stride = {}, 1
        for knob in reversed(self.all_knobs):
            found[knob.name] = stride
            stride *= len(knob.values)
        return found

    @property
    def senses(self) -> tuple[str, ...]:
        return tuple(objective.sense for objective in self.objectives)

    def values(self, name: str) -> tuple[str | int, ...]:
        """The values of a knob; none where the space has no such knob."""
        return next((knob.values for knob in self.all_knobs if knob.name == name), ())

    def knobs(self, index: int) -> dict[str, str | int]:
        """Values of one point by knob.

        Raises:
            CostModelError: there is no such point.
        """
        if not 0 <= index < len(self):
            raise CostModelError(f"{self.where} has points 0 to {len(self) - 1}, not {index}")
        found: dict[str, str | int] = {}
        for knob in reversed(self.all_knobs):
            index, place = divmod(index, len(knob.values))
            found[knob.name] = knob.values[place]
        return dict(reversed(found.items()))

    def digits(self, indices: Any) -> dict[str, Array]:
        """Of points [n], places of their values by knob, each [n]."""
        rest = np.asarray(indices, np.int64)
        found: dict[str, Array] = {}
        for knob in reversed(self.all_knobs):
            rest, found[knob.name] = np.divmod(rest, len(knob.values))
        return dict(reversed(found.items()))

    @cached_property
    def digest(self) -> str:
        """Names all that the points depend on: knobs, objectives, constraints, checkpoints, targets, tables."""
        record = {key: value for key, value in asdict(self).items() if key not in ("name", "where")}
        for checkpoint in (record["accuracy"] or {}).get("checkpoints", ()):
            if checkpoint["digest"]:
                del checkpoint["path"]  # the same files elsewhere are the same checkpoint
        return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:32]


def load_space(path: str | Path) -> Space:
    """A space from a TOML file or a Python file that defines SPACE.

    Raises:
        CostModelError: the file cannot be read or run, or something in it is wrong; see `parse_space`.
    """
    path = Path(path)
    try:
        if path.suffix == ".py":
            record = runpy.run_path(str(path)).get("SPACE")
            if record is None:
                raise CostModelError(f"{path} defines no SPACE; give SPACE = {{'knobs': {{...}}, ...}}")
        else:
            record = tomllib.loads(path.read_text(encoding="utf-8"))
    except CostModelError:
        raise
    except OSError as error:
        raise CostModelError(f"cannot read space {path}: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CostModelError(f"{path} is no TOML file: {one_line(error)}") from None
    except (Exception, SystemExit) as error:  # whatever a user's Python raises
        raise CostModelError(f"{path} does not run: {type(error).__name__}: {one_line(error)}") from None
    return parse_space(record, str(path))


def one_line(error: object) -> str:
    return " ".join(str(error).split())


def parse_space(record: Any, where: str) -> Space:
    """A space from its record, checked as far as no model is needed.

    Raises:
        CostModelError: an unknown section, knob, value, objective or constraint; an empty range or a value twice;
            tables of several nodes; an objective that a target has no figure of. The message says where.
    """
    if not isinstance(record, dict):
        raise CostModelError(f"{where} is not a table of sections; known: {', '.join(SECTIONS)}")
    for key in record:
        if key not in SECTIONS:
            raise CostModelError(f"{where}: unknown key {key!r}; known: {', '.join(SECTIONS)}")
    name = record.get("name", Path(where).stem)
    if not isinstance(name, str) or not name.isprintable():
        raise CostModelError(f"{where}: name {name!r} is not a text")
    workloads = parse_workloads(record.get("workload"), where)
    knobs = parse_knobs(record.get("knobs"), where, named_by(workloads))
    points = math.prod(len(knob.values) for knob in knobs)
    if points > MOST_POINTS:
        raise CostModelError(f"{where} has {float(points):.1g} points; {MOST_POINTS:.1g} are the most")
    accuracy = parse_accuracy(record["accuracy"], where) if "accuracy" in record else None
    if accuracy is not None:
        check_widths(knobs, where)
    models = [w.model for w in workloads if w.model is not None]
    models += [str(value) for knob in knobs if knob.name == "model" for value in knob.values]
    figures, lacking = available_figures(knobs, models, where)
    if accuracy is None:
        lacking[MEASURED] = 'accuracy needs a section [accuracy] with a task, such as task = "sst2"'
    else:
        figures = (*figures, MEASURED)
    objectives = parse_objectives(record.get("objectives"), lacking, where)
    constraints = parse_constraints(record.get("constraints", []), lacking, knobs, where)
    return Space(
        name=name,
        where=where,
        all_knobs=knobs,
        objectives=objectives,
        constraints=constraints,
        accuracy=accuracy,
        figures=figures,
        data=data_digest(knobs),
        workloads=workloads,
        across=parse_across(record.get("across", []), knobs, f"{where}: across"),
        objective=parse_objective(record.get("objective"), lacking, f"{where}: objective"),
    )


def parse_across(given: Any, knobs: Sequence[Knob], spot: str) -> tuple[str, ...]:
    """Sizes over which points are compared.

    Raises:
        CostModelError: no list, or a name that is no size among the knobs.
    """
    sizes = [knob.name for knob in knobs if knob.name in SIZES]
    if not isinstance(given, list | tuple):
        raise CostModelError(f'{spot} is no list of knobs such as ["seq"]')
    for name in given:
        if name not in sizes:
            known = f"known: {', '.join(sizes)}" if sizes else "it has none"
            raise CostModelError(f"{spot}: {name!r} is no size among the knobs of this space; {known}")
    return tuple(name for name in sizes if name in given)


def parse_objective(given: Any, lacking: Mapping[str, str], spot: str) -> str | None:
    """What schedules are chosen by.

    Raises:
        CostModelError: none of the known, or it needs prices that some target has not.
    """
    try:
        objective = check_objective(given)
    except CostModelError as error:
        raise CostModelError(f"{spot}: {error}") from None
    if objective in NEEDS_PRICES and "energy_uj" in lacking:
        raise CostModelError(f"{spot}: {objective} needs prices: {lacking['energy_uj']}")
    return objective


def with_checkpoints(space: Space, checkpoints: Sequence[Checkpoint]) -> Space:
    """The space with the checkpoints that its accuracy is measured with, one of each attention."""
    assert space.accuracy is not None
    return replace(space, accuracy=replace(space.accuracy, checkpoints=tuple(checkpoints)))


def with_values(space: Space, name: str, values: tuple[str | int, ...]) -> Space:
    """The space with other values of a knob, in their order."""
    others = [knob for knob in space.all_knobs if knob.name != name]
    knobs = sorted([*others, Knob(name, values)], key=lambda knob: NAMES.index(knob.name))
    return replace(space, all_knobs=tuple(knobs))
