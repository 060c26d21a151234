"""`pareto`: the front of a store under other objectives and constraints, its points, its figure, its export."""

from __future__ import annotations

import os
import platform
import shlex
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np

from costmodel.api.results import Result
from costmodel.errors import CostModelError
from costmodel.explore.export import EXPORTS, export_points
from costmodel.explore.front_records import DrawnPoint, FrontPicture, FrontRecord, PointsRecord
from costmodel.explore.goals import parse_constraints, parse_objectives
from costmodel.explore.knobs import SHAPE
from costmodel.explore.machines import FIGURES, target_of
from costmodel.explore.rows import front_places, front_record, rows_at
from costmodel.explore.space import Space, parse_across
from costmodel.explore.store import Points, Store, open_store, read_points
from costmodel.files import write_output
from costmodel.hardware.loading import LOCAL, load_target
from costmodel.records import Row
from costmodel.show.sweep_tables import front_document, points_document

MOST_DRAWN = 3000  # points of a figure beside the front
FIGURE_FILES = (".html",)


@dataclass(frozen=True, repr=False)
class Front(Result[FrontRecord]):
    """The front of a store; `record` as of `costmodel pareto --format json`, `to_rows()` all of its points."""


@dataclass(frozen=True, repr=False)
class StoredPoints(Result[PointsRecord]):
    """Some points of a store by number, and the commands that count them anew."""


def pareto(
    store: str | Path,
    objectives: Sequence[str] = (),
    where: Sequence[str] = (),
    points: Sequence[int] = (),
    across: Sequence[str] = (),
    export: str | Path | None = None,
    figure: str | Path | None = None,
    details: bool = False,
) -> Front | StoredPoints:
    """The points of a store that no other feasible point beats, the best by the first objective first.

    A point beats another that it is nowhere worse than, and somewhere better. Points that run other sizes (model,
    seq, batch, ...) are not compared: each combination of sizes has its front.

    Args:
        store: a file of `sweep`. Points that are still being computed are not looked at.
        objectives: figures to judge by; none takes those of the space.
        where: only points that hold these constraints, such as "area_mm2 <= 4".
        points: these by number, in place of the front.
        across: sizes over which points are compared all the same, such as "seq"; beside the space's own.
        export: a file for all points, FILE.csv or FILE.parquet.
        figure: a file for the front as a page, FILE.html.
        details: show all points of the front, and all their figures.

    >>> import costmodel as cm, tempfile, pathlib
    >>> store = pathlib.Path(tempfile.mkdtemp()) / "points.db"
    >>> knobs = {"model": "distilbert-tiny", "target": "edge-asic", "array": ["8x8", "16x16"], "lanes": [16, 32]}
    >>> swept = cm.sweep({"objectives": ["latency_ms", "area_mm2"], "knobs": knobs}, store)
    >>> [row["array"] for row in cm.pareto(store, objectives=["area_mm2"]).to_rows()]
    ['8x8']

    Raises:
        CostModelError: no such store, figure or point, a malformed constraint, no feasible point, or a file that
            cannot be written.
    """
    store = Path(store)
    written = check_file("export", export, EXPORTS), check_file("figure", figure, FIGURE_FILES)
    if points and (objectives or where or across or figure):
        raise CostModelError(
            "`points` shows points by number; leave `objectives`, `where`, `across` and `figure` out"
        )
    opened = open_store(store)
    try:
        space = chosen_space(opened, objectives, where, across)
        stored = read_points(opened)
    finally:
        opened.connection.close()
    if written[0] is not None:
        export_points(written[0], opened.space, stored)
    if points:
        some = PointsRecord(tuple(point_row(opened, stored, number) for number in points))
        return StoredPoints(some, points_document(some))
    kept = held(space, stored)
    record = front_record(str(store), space, kept)
    if not record.front:
        raise CostModelError(nothing(store, opened.space, kept))
    if written[1] is not None:
        draw(written[1], store, space, kept, command_of(store, objectives, where, across, written[1]))
    return Front(record, front_document(record, details))


def check_file(name: str, given: str | Path | None, endings: Sequence[str]) -> Path | None:
    """Refuse a file that cannot be written, before the work is done."""
    if given is None:
        return None
    path = Path(given)
    if path.suffix not in endings:
        raise CostModelError(f"`{name}={path}` does not end in {' or '.join(endings)}")
    if path.is_dir():
        raise CostModelError(f"`{name}={path}` is a directory")
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise CostModelError(f"`{name}={path}`: {path.parent} is no directory that can be written")
    return path


def command_of(
    store: Path, objectives: Sequence[str], where: Sequence[str], across: Sequence[str], figure: Path
) -> str:
    """The command line of a figure."""
    words = ["costmodel", "pareto", str(store)]
    for name in objectives:
        words += ["--objective", name]
    for text in where:
        words += ["--where", text]
    for name in across:
        words += ["--across", name]
    return shlex.join([*words, "--figure", str(figure)])


def chosen_space(
    store: Store, objectives: Sequence[str], where: Sequence[str], across: Sequence[str] = ()
) -> Space:
    """The space of a store, judged by other objectives, with more constraints.

    Raises:
        CostModelError: the store has no such figure, or a constraint is malformed.
    """
    space = store.space
    lacking = {name: f"the points of {store.path} have no {name}" for name in FIGURES if name not in space.figures}
    judged = parse_objectives(objectives, lacking, "`objectives`") if objectives else space.objectives
    added = parse_constraints(where, lacking, space.all_knobs, "`where`")
    over = parse_across(across, space.all_knobs, "`across`")
    return replace(
        space,
        objectives=judged,
        constraints=(*space.constraints, *added),
        across=tuple(dict.fromkeys((*space.across, *over))),
    )


def held(space: Space, points: Points) -> Points:
    """The points, feasible where they also hold the constraints that were given beside the space's."""
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


def point_row(store: Store, points: Points, number: int) -> Row:
    """Knobs, figures and the command that counts the point anew."""
    store.space.knobs(number)  # complains of a number that is none
    place = int(np.searchsorted(points.indices, number))
    if place == len(points.indices) or points.indices[place] != number:
        raise CostModelError(f"point {number} is not stored in {store.path} yet; run `costmodel sweep` on it")
    (row,) = rows_at(store.space, points, [place])
    return {**row, "command": reproduce(store.space, number)}


def reproduce(space: Space, number: int) -> str | None:
    """A command line with the cost of a point; None where the options of `costmodel report` cannot say it."""
    knobs = space.knobs(number)
    if any(name in knobs for name in SHAPE) or len(space.runs) > 1:
        return None
    knobs = space.runs[0].over(knobs)
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
            words += ["--on", text]
            return shlex.join(words if space.objective is None else [*words, "--objective", space.objective])
    return None


MACHINE_FIELDS = (
    *("kinds", "array", "dataflow", "buffer_kib", "lanes", "clock_mhz", "bandwidth_mb_s"),
    *("array2", "kinds2", "dataflow2", "use_dsp2"),
    *("buffer_read_bytes", "buffer_write_bytes", *LOCAL, "dram"),
)


# The figure


def draw(path: Path, store: Path, space: Space, points: Points, command: str) -> None:
    """The front as one page that needs no network."""
    from costmodel.show.page import Page, render_page
    from costmodel.show.sweep_figures import front_figure

    record = front_picture(store, space, points)
    picture = front_figure(record)
    page = Page(
        title=f"Pareto front of {store.name}",
        lead=picture.says,
        names=record.attentions,
        glance=picture.grid,
        notes=tuple(f"Constraint: {c}" for c in space.constraints),
        command=command,
        date=date.today().isoformat(),
        python=platform.python_version(),
    )
    write_output(path, render_page(page, [picture]), "figure")


def front_picture(store: Path, space: Space, points: Points) -> FrontPicture:
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
            knobs: dict[str, str | int] = {"attention": "dot", **space.knobs(number)}
            drawn.append(DrawnPoint(number, on_front, values, knobs))
    attentions = tuple(str(a) for a in space.values("attention")) or ("dot",)
    return FrontPicture(
        store=store.name,
        space=space.where,
        stored=len(points.indices),
        failed=len(points.errors),
        feasible=int(judged.sum()),
        front=len(best),
        drawn=len(drawn),
        objectives=space.objectives,
        attentions=attentions,
        colours=tuple(range(len(attentions))),
        varied=tuple(k.name for k in space.all_knobs if len(k.values) > 1),
        apart=space.apart,
        points=tuple(drawn),
    )
