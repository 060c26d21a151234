"""`costmodel pareto`: the front of a store as a table, a figure, or all its points as a file."""

from __future__ import annotations

from pathlib import Path

import click

from costmodel.api.fronts import pareto
from costmodel.cli.common import check_output, output_options, present


@click.command("pareto")
@click.argument("store", type=click.Path(path_type=Path))
@click.option("--objective", "objectives", multiple=True, help="Figures to judge by.  [default: the space's]")
@click.option(
    "--where", multiple=True, help='Of points that hold it: "area_mm2 <= 4". May be given several times.'
)
@click.option("--point", "points", type=int, multiple=True, help="One point, and the command that reproduces it.")
@click.option("--across", multiple=True, help="Compare points over a size, too: seq. May be given several times.")
@click.option("--export", type=click.Path(path_type=Path), help="All points, FILE.csv or FILE.parquet.")
@click.option("--figure", type=click.Path(path_type=Path), help="The front as a page, FILE.html.")
@click.option("--details", is_flag=True, help="All points of the front and all their figures.")
@output_options
def command(
    store: Path,
    objectives: tuple[str, ...],
    where: tuple[str, ...],
    points: tuple[int, ...],
    across: tuple[str, ...],
    export: Path | None,
    figure: Path | None,
    details: bool,
    form: str,
    output: Path | None,
) -> None:
    """The points of STORE, a file of `costmodel sweep`, that no other feasible point beats.

    A point beats another that it is nowhere worse than, and somewhere better. Points that run other sizes (model,
    seq, batch) are not compared, unless with --across: each combination has its front. The best by the first
    objective comes first. Points that are still being computed are not looked at. `costmodel diff STORE#A STORE#B`
    says why one point is better than another.

    Example: costmodel pareto asic.db --where "area_mm2 <= 2"
    """
    check_output(output)
    present(pareto(store, objectives, where, points, across, export, figure, details), form, output)
