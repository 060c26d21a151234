"""`costmodel sweep`: the points of a design space into a store that survives being killed."""

from __future__ import annotations

import os
from pathlib import Path

import click

from costmodel.api.spaces import read_space
from costmodel.api.workers import pool_of, work_of
from costmodel.cli.common import check_output, output_options, show
from costmodel.errors import CostModelError
from costmodel.explore.running import run_sweep
from costmodel.explore.store import GRID, counted, create_store
from costmodel.explore.summary import summary
from costmodel.show.formats import render_records_csv
from costmodel.show.sweep_screen import screen
from costmodel.show.sweep_tables import sweep_grid, sweep_notes


@click.command("sweep")
@click.argument("space")
@click.option("--store", type=click.Path(path_type=Path), help="The file that keeps the points.  [required]")
@click.option("--workers", type=int, help="Processes of this machine.  [default: one a core]")
@click.option("--scheduler", help="Workers of a Dask cluster, by its scheduler's address: tcp://HOST:8786.")
@click.option("--trials", type=int, help="Search: so many points, chosen by Optuna, in place of all.")
@click.option("--seed", type=int, help="Of --trials.  [default: 0]")
@output_options
def command(
    space: str,
    store: Path | None,
    workers: int | None,
    scheduler: str | None,
    trials: int | None,
    seed: int | None,
    form: str,
    output: Path | None,
) -> None:
    """Evaluate every point of SPACE, a TOML or Python file, into a store; `costmodel pareto` shows it.

    Killed or interrupted at any moment, the same command goes on where it was. Several may fill one store.
    With --scheduler the workers need this package, and the same paths to checkpoints and data.

    Example: costmodel sweep examples/asic.toml --store asic.db
    """
    check_output(output)
    if store is None:
        raise CostModelError("where to? give --store FILE, such as --store sweep.db")
    if scheduler is not None and workers is not None:
        raise CostModelError("--workers are processes of this machine; leave it out with --scheduler")
    workers = (os.cpu_count() or 1) if workers is None else workers
    if workers < 1:
        raise click.BadParameter(f"--workers {workers} is not at least 1")
    if trials is not None and trials < 1:
        raise click.BadParameter(f"--trials {trials} is not at least 1")
    if seed is not None and (trials is None or seed < 0):
        raise CostModelError("--seed goes with --trials" if trials is None else f"--seed {seed} is negative")
    parsed = read_space(space)
    how = GRID if trials is None else f"search with seed {seed or 0}"
    work = work_of(parsed, trials, seed or 0)
    with pool_of(workers, scheduler) as pool:
        opened = create_store(store, parsed, how)
        try:
            before = counted(opened)[0]
            with screen(parsed) as tell:
                run_sweep(opened, work, pool, tell)
            record = summary(opened, store, before)
        finally:
            opened.connection.close()
    show(form, output, record, render_records_csv(record["best"]), [sweep_grid(record)], sweep_notes(record))
