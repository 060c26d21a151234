"""`costmodel pareto`: the front of a store as a table, a figure, or all its points as a file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import click

from costmodel.api.fronts import chosen_space, draw, held, nothing, point_row
from costmodel.api.sweeps import swept
from costmodel.cli.common import check_output, output_options, show
from costmodel.errors import CostModelError
from costmodel.explore.export import EXPORTS, export_points
from costmodel.explore.store import open_store, read_points
from costmodel.show.formats import render_records_csv
from costmodel.show.sweep_tables import point_grid


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
    form: str,
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
        show(form, output, {"points": rows}, render_records_csv(rows), [point_grid(r) for r in rows], [])
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
    show(form, output, record, render_records_csv(result.front()), list(result.grids), notes)


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
