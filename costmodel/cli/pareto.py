"""`costmodel pareto`: the front of a store as a table, a figure, or all its points as a file."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import click
import numpy as np

from costmodel.cli.common import check_output, output_options, put, show
from costmodel.errors import CostModelError
from costmodel.export import EXPORTS, export_points
from costmodel.hardware import load_target
from costmodel.render import Grid, render_records_csv
from costmodel.space import Space, parse_constraints, parse_objectives
from costmodel.space_knobs import SHAPE
from costmodel.space_targets import FIGURES, target_of
from costmodel.store import Points, Store, open_store, read_points
from costmodel.sweeps import front_places, rows_at, swept

MOST_DRAWN = 3000  # points of a figure beside the front


@click.command("pareto")
@click.argument("store", type=click.Path(path_type=Path))
@click.option("--objective", "objectives", multiple=True, help="Figures to judge by.  [default: the space's]")
@click.option(
    "--where", multiple=True, help='Of points that hold it: "area_mm2 <= 4". May be given several times.'
)
@click.option("--point", "numbers", type=int, multiple=True, help="One point, and the command that reproduces it.")
@click.option("--export", type=click.Path(path_type=Path), help="All points, FILE.csv or FILE.parquet.")
@click.option("--figure", type=click.Path(path_type=Path), help="The front as a page, FILE.html.")
@output_options
def command(
    store: Path,
    objectives: tuple[str, ...],
    where: tuple[str, ...],
    numbers: tuple[int, ...],
    export: Path | None,
    figure: Path | None,
    format_: str,
    output: Path | None,
) -> None:
    """The points of STORE, a file of `costmodel sweep`, that no other feasible point beats.

    A point beats another that it is nowhere worse than, and somewhere better. Points that are still being
    computed are not looked at. `costmodel diff STORE#A STORE#B` says why one point is better than another.

    Example: costmodel pareto asic.db --where "area_mm2 <= 2"
    """
    check_output(output)
    check_file(export, "--export", EXPORTS)
    check_file(figure, "--figure", (".html",))
    if numbers and (objectives or where or figure):
        raise CostModelError("--point shows points by number; leave --objective, --where and --figure out")
    opened = open_store(store)
    try:
        chosen = chosen_space(opened, objectives, where)
        points = read_points(opened)
    finally:
        opened.connection.close()
    if export is not None:
        export_points(export, opened.space, points)
    if numbers:
        rows = [point_row(opened, points, number) for number in numbers]
        show(format_, output, {"points": rows}, render_records_csv(rows), [point_grid(r) for r in rows], [])
        return
    space, points = chosen, held(chosen, points)
    result = swept(space, points)
    if not result.rows:
        raise CostModelError(nothing(store, opened.space, points))
    if figure is not None:
        draw(figure, store, space, points)
    notes = [
        *result.notes,
        f"Why a point is better: costmodel diff {store}#{result.rows[0]['point']} {store}#NUMBER",
    ]
    record = {"store": str(store)} | result.to_dict()
    show(format_, output, record, render_records_csv(result.front()), list(result.grids), notes)


def check_file(path: Path | None, option: str, endings: Sequence[str]) -> None:
    """Refuse a file that cannot be written, before the work is done."""
    if path is None:
        return
    if path.suffix not in endings:
        raise click.BadParameter(f"{option} {path} does not end in {' or '.join(endings)}")
    if path.is_dir():
        raise click.BadParameter(f"{option} {path} is a directory")
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise click.BadParameter(f"{option} {path}: {path.parent} is no directory that can be written")


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


def point_grid(row: dict[str, Any]) -> Grid:
    cells = tuple((name, "-" if value is None else str(value)) for name, value in row.items())
    return Grid(f"point {row['point']}", ("", "value"), cells, numbers=False)


# The figure


def draw(path: Path, store: Path, space: Space, points: Points) -> None:
    """The front as one page that needs no network."""
    from costmodel.figures_sweep import front_figure
    from costmodel.page import Page, render_page

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
    put(render_page(page, [picture]), path)


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
