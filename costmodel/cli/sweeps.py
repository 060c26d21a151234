"""`costmodel sweep`: the points of a design space into a store that survives being killed."""

from __future__ import annotations

from pathlib import Path

import click

from costmodel.api.sweeps import sweep
from costmodel.cli.common import check_output, output_options, present


@click.command("sweep")
@click.argument("space")
@click.option("--store", type=click.Path(path_type=Path), help="The file that keeps the points.  [required]")
@click.option("--workers", type=int, help="Processes of this machine.  [default: one a core]")
@click.option("--scheduler", help="Workers of a Dask cluster, by its scheduler's address: tcp://HOST:8786.")
@click.option("--trials", type=int, help="Search: so many points, chosen by Optuna, in place of all.")
@click.option("--seed", type=int, help="Of --trials.  [default: 0]")
@click.option("--details", is_flag=True, help="All knobs of the best points, and all that went wrong.")
@output_options
def command(
    space: str,
    store: Path | None,
    workers: int | None,
    scheduler: str | None,
    trials: int | None,
    seed: int | None,
    details: bool,
    form: str,
    output: Path | None,
) -> None:
    """Evaluate every point of SPACE, a TOML or Python file, into a store; `costmodel pareto` shows it.

    Killed or interrupted at any moment, the same command goes on where it was. Several may fill one store.
    With --scheduler the workers need this package, and the same paths to checkpoints and data.

    Example: costmodel sweep examples/asic.toml --store asic.db
    """
    check_output(output)
    if store is None:  # without one the function keeps nothing, and a command's points would be lost
        raise click.UsageError("name the file that keeps the points: --store FILE, such as --store sweep.db")
    present(sweep(space, store, workers, scheduler, trials, seed, details, progress=True), form, output)
