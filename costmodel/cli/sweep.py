"""`costmodel sweep`: the points of a design space into a store that survives being killed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from costmodel.cli.common import check_output, output_options, show
from costmodel.cli.graphs import graph_of, read_space
from costmodel.errors import CostModelError
from costmodel.points import accuracy_keys
from costmodel.pool import Pool, local_pool
from costmodel.render import Grid, render_records_csv, shown
from costmodel.space import Space
from costmodel.store import GRID, Store, counted, create_store
from costmodel.sweep import State, Work, best_of, run_sweep

# How long a scheduler may take to answer.
ANSWER_S = 10


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
    format_: str,
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
    show(format_, output, record, render_records_csv(record["best"]), [grid(record)], notes(record))


def work_of(space: Space, trials: int | None = None, seed: int = 0) -> Work:
    """What workers do for this space; its data and checkpoints are read here, before anything runs.

    Raises:
        CostModelError, ModelError: the sentences that accuracy is measured on are not to be had.
    """
    keys = accuracy_keys(space)
    if not keys:
        return Work(graph_of, no_accuracy, {}, trials, seed)
    from costmodel.cli.accuracy import measure_accuracy, names_of

    return Work(graph_of, measure_accuracy, names_of(keys), trials, seed)


def no_accuracy(key: Any, name: str) -> float | str:
    return "this space measures no accuracy"


# Workers


@contextmanager
def pool_of(workers: int, scheduler: str | None) -> Iterator[Pool]:
    if scheduler is not None:
        with cluster(scheduler) as pool:
            yield pool
        return
    if workers > 1:
        # Processes side by side: threads within them would only wait for each other.
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ.setdefault(name, str(max(1, (os.cpu_count() or 1) // workers)))
    yield local_pool(workers)


@contextmanager
def cluster(address: str) -> Iterator[Pool]:
    """The workers behind a Dask scheduler."""
    try:
        import distributed
        from distributed.comm.core import CommClosedError
    except ImportError:
        raise CostModelError("--scheduler needs dask: pip install 'costmodel[cluster]'") from None
    import logging
    from concurrent.futures import CancelledError

    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] == "distributed":
            logging.getLogger(name).setLevel(logging.CRITICAL)  # what matters is told in one line
    try:
        client = distributed.Client(address, timeout=ANSWER_S, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        why = " ".join(str(error).split()) or type(error).__name__
        raise CostModelError(f"--scheduler {address} does not answer: {why}") from None
    losses = (distributed.KilledWorker, CancelledError, CommClosedError)
    try:
        cores = sum(client.nthreads().values())
        if not cores:
            raise CostModelError(f"--scheduler {address} has no workers; start one with `dask worker {address}`")

        def check() -> None:
            if client.status in ("closing", "closed"):
                raise CostModelError(
                    f"--scheduler {address} is gone; what was done is stored, run the command again"
                )

        yield Pool(lambda: client.get_executor(pure=False), cores, losses, check)
    finally:
        client.close()


# The screen


@contextmanager
def screen(space: Space) -> Iterator[Callable[[State], None]]:
    """A bar with rate and time left, and the best points so far, on stderr where that is a terminal."""
    from rich.console import Console, Group
    from rich.live import Live
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.text import Text

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda state: None
        return
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=console,
    )
    tasks: dict[str, Any] = {}
    with Live(bar, console=console, transient=True, refresh_per_second=4) as live:

        def tell(state: State) -> None:
            if state.what not in tasks:
                tasks[state.what] = bar.add_task(state.what, total=state.total, completed=state.done, rate="")
            bar.update(tasks[state.what], completed=state.done)
            speed = next(task.speed for task in bar.tasks if task.id == tasks[state.what])
            bar.update(tasks[state.what], rate=f"{speed:,.0f}/s" if speed and state.what == "points" else "")
            lines = [
                f"best {name} {value:.4g}: {varied(space, point)}" for name, (value, point) in state.best.items()
            ]
            lines += [f"{state.failed:,} failed"] if state.failed else []
            live.update(Group(bar, *(Text(line, no_wrap=True, overflow="ellipsis") for line in lines)))

        yield tell


def varied(space: Space, point: int) -> str:
    """The knobs of a point that the space turns."""
    knobs = space.knobs(point)
    return ", ".join(f"{k.name} {knobs[k.name]}" for k in space.all_knobs if len(k.values) > 1)


# The summary


def summary(store: Store, path: Path, before: int) -> dict[str, Any]:
    """Counts, the best point by each objective, accuracies, and what went wrong how often."""
    from costmodel.store import accuracies, error_counts

    done, feasible, failed = counted(store)
    senses = {o.name: o.sense for o in store.space.objectives}
    best = [
        {"objective": name, "sense": senses[name], "value": value, "point": point, **store.space.knobs(point)}
        for name, (value, point) in best_of(store).items()
    ]
    measured = []
    for text, value in accuracies(store).items():
        named = json.loads(text)
        failure = value if isinstance(value, str) else None
        number = None if isinstance(value, str) else value
        measured.append(
            {k: named[k] for k in ("task", "checkpoint", "widths")} | {"value": number, "error": failure}
        )
    return {
        "store": str(path),
        "space": store.space.where,
        "how": store.how,
        "points": len(store.space) if store.how == GRID else done,
        "stored": done,
        "stored_before": before,
        "feasible": feasible,
        "failed": failed,
        "errors": error_counts(store),
        "best": best or [{"objective": None}],
        "accuracies": measured,
    }


def grid(record: dict[str, Any]) -> Grid:
    rows = [
        (
            b["objective"],
            f"{b['value']:.6g}",
            shown(b["point"]),
            ", ".join(f"{k} {v}" for k, v in b.items() if k not in ("objective", "sense", "value", "point")),
        )
        for b in record["best"]
        if b["objective"] is not None
    ]
    title = f"{record['space']}: {shown(record['stored'])} points, {shown(record['feasible'])} feasible, " + (
        f"{shown(record['failed'])} failed"
    )
    return Grid(title, ("best", "value", "point", "knobs"), tuple(rows), numbers=False)


def notes(record: dict[str, Any]) -> list[str]:
    lines = []
    if record["stored_before"]:
        lines.append(f"{shown(record['stored_before'])} of the points were stored before.")
    for text, times in record["errors"].items():
        lines.append(f"Failed, {shown(times)} points: {text}")
    return [*lines, f"The front: costmodel pareto {record['store']}"]
