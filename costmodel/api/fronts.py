"""The front of a store under other objectives and constraints, its points, and its figure."""

from __future__ import annotations

import platform
import shlex
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from costmodel.errors import CostModelError
from costmodel.explore.goals import parse_constraints, parse_objectives
from costmodel.explore.knobs import SHAPE
from costmodel.explore.machines import FIGURES, target_of
from costmodel.explore.rows import front_places, rows_at
from costmodel.explore.space import Space
from costmodel.explore.store import Points, Store
from costmodel.files import write_output
from costmodel.hardware.loading import load_target

MOST_DRAWN = 3000  # points of a figure beside the front


def chosen_space(store: Store, objectives: Sequence[str], where: Sequence[str]) -> Space:
    """The space of a store, judged by other objectives, with more constraints.

    Raises:
        CostModelError: the store has no such figure, or a constraint is malformed.
    """
    space = store.space
    lacking = {name: f"the points of {store.path} have no {name}" for name in FIGURES if name not in space.figures}
    judged = parse_objectives(objectives, lacking, "--objective") if objectives else space.objectives
    added = parse_constraints(where, lacking, space.all_knobs, "--where")
    return replace(space, objectives=judged, constraints=(*space.constraints, *added))


def held(space: Space, points: Points) -> Points:
    """The points, feasible where they also hold the constraints that came with the command line."""
    feasible = points.feasible.copy()
    digits = space.digits(points.indices)
    for constraint in space.constraints:
        if constraint.name in points.columns:
            feasible &= constraint.holds(points.columns[constraint.name])
        else:
            values = np.array(space.values(constraint.name))
            feasible &= constraint.holds(values)[digits[constraint.name]]
    return replace(points, feasible=feasible)


def nothing(path: Path, space: Space, points: Points) -> str:
    """Why there is no front."""
    stored, failed = len(points.indices), len(points.errors)
    if not stored:
        return f"store {path} has no point yet; run `costmodel sweep` on it"
    why = "loosen the constraints" if failed < stored else f"the first error: {next(iter(points.errors.values()))}"
    return f"store {path}: of {stored:,} points {failed:,} failed and none is feasible; {why}"


# One point


def point_row(store: Store, points: Points, number: int) -> dict[str, Any]:
    """Knobs, figures and the command that counts the point anew."""
    store.space.knobs(number)  # complains of a number that is none
    place = int(np.searchsorted(points.indices, number))
    if place == len(points.indices) or points.indices[place] != number:
        raise CostModelError(f"point {number} is not stored in {store.path} yet; run `costmodel sweep` on it")
    (row,) = rows_at(store.space, points, [place])
    return row | {"command": reproduce(store.space, number)}


def reproduce(space: Space, number: int) -> str | None:
    """A command line with the cost of a point; None where the options of `costmodel report` cannot say it."""
    knobs = space.knobs(number)
    if any(name in knobs for name in SHAPE):
        return None
    target = target_of(knobs)
    text = target.name
    if "technology" in knobs or "table" in knobs:
        fields = {k: v for k, v in knobs.items() if k in MACHINE_FIELDS}
        fields |= {"table": target.table, "sram": target.sram, "node_nm": target.node_nm}
        text = f"{knobs['target']}:" + ",".join(f"{name}={value}" for name, value in fields.items())
    with suppress(CostModelError):
        if replace(load_target(text), name="") == replace(target, name=""):
            words = ["costmodel", "report", str(knobs["model"]), "--attention", str(knobs.get("attention", "dot"))]
            for name in ("seq", "batch", "widths"):
                if name in knobs:
                    words += [f"--{name}", str(knobs[name])]
            return shlex.join([*words, "--on", text])
    return None


MACHINE_FIELDS = (
    *("kinds", "array", "dataflow", "buffer_kib", "lanes", "clock_mhz", "bandwidth_mb_s"),
    "dram",
)


# The figure


def draw(path: Path, store: Path, space: Space, points: Points) -> None:
    """The front as one page that needs no network."""
    from costmodel.show.page import Page, render_page
    from costmodel.show.sweep_figures import front_figure

    record = figure_record(store, space, points)
    picture = front_figure(record)
    page = Page(
        title=f"Pareto front of {store.name}",
        lead=picture.says,
        names=tuple(record["attentions"]),
        glance=picture.grid,
        notes=tuple(f"Constraint: {c}" for c in space.constraints),
        command=shlex.join(["costmodel", *sys.argv[1:]]),
        date=date.today().isoformat(),
        python=platform.python_version(),
    )
    write_output(path, render_page(page, [picture]), "figure")


def figure_record(store: Path, space: Space, points: Points) -> dict[str, Any]:
    """What `front_figure` draws: the front, and of the other feasible points a sample by equal steps."""
    best = np.array(front_places(space, points), np.int64)
    names = [o.name for o in space.objectives]
    judged = points.feasible & np.all([np.isfinite(points.columns[name]) for name in names], axis=0)
    others = np.setdiff1d(np.flatnonzero(judged), best)
    others = others[:: max(1, -(-len(others) // MOST_DRAWN))]
    drawn = []
    for on_front, places in ((True, best), (False, others)):
        for place in places.tolist():
            number = int(points.indices[place])
            values = {name: float(points.columns[name][place]) for name in names}
            knobs = {"attention": "dot"} | space.knobs(number)
            drawn.append({"index": number, "front": on_front, "values": values, "knobs": knobs})
    attentions = [str(a) for a in space.values("attention")] or ["dot"]
    return {
        "store": store.name,
        "space": space.where,
        "stored": len(points.indices),
        "failed": len(points.errors),
        "feasible": int(judged.sum()),
        "front": len(best),
        "drawn": len(drawn),
        "objectives": [{"name": o.name, "sense": o.sense} for o in space.objectives],
        "attentions": attentions,
        "colours": list(range(len(attentions))),
        "varied": [k.name for k in space.all_knobs if len(k.values) > 1],
        "points": drawn,
    }
