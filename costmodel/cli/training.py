"""`costmodel train`: fine-tune MiniLM on a task, or distil it into another attention."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from costmodel.api.graphs import quiet_imports
from models.training.recipe import PRECISIONS, preset

FOLDER = click.Path(path_type=Path)


@click.command("train")
@click.argument("task")
@click.option("--attention", default="dot", show_default=True, help="The mechanism to train.")
@click.option("--teacher", type=FOLDER, help="Distil from this checkpoint, of any attention.")
@click.option(
    "--start",
    "starts",
    type=FOLDER,
    multiple=True,
    help="Begin with this checkpoint, or the mean of several.  [default: the teacher, or MiniLM]",
)
@click.option("--out", type=FOLDER, required=True, help="Directory of the run; an unfinished one is resumed.")
@click.option("--data-dir", type=FOLDER, help="Where GLUE's directories are, such as DIR/SST-2/train.tsv.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--steps", type=int, help="Steps of training.  [default: the task's epochs]")
@click.option("--align-steps", type=int, help="Steps of alignment before it.  [default: the task's]")
@click.option("--batch", type=int, help="Rows a step.  [default: the task's]")
@click.option("--rate", type=float, help="The highest learning rate of training.  [default: the task's]")
@click.option(
    "--average", type=float, help="Keep the moving average of weights, with this decay a step.  [default: 0]"
)
@click.option(
    "--precision", type=click.Choice(PRECISIONS), default="float32", show_default=True, help="Of products."
)
@click.option("--qat", help="Then train on integers, such as w8a8.")
@click.option("--qat-steps", type=int, help="Steps of --qat.  [default: 300]")
@click.option("--int8", is_flag=True, help="Write OUT/int8 too: the best weights in a quarter of the bytes.")
@click.option("--threads", type=int, default=2, show_default=True, help="Threads of torch.")
@click.option("--max-train", type=int, help="Use no more rows of the training file than this.")
def command(
    task: str,
    attention: str,
    teacher: Path | None,
    starts: tuple[Path, ...],
    out: Path,
    data_dir: Path | None,
    seed: int,
    steps: int | None,
    align_steps: int | None,
    batch: int | None,
    rate: float | None,
    average: float | None,
    precision: str,
    qat: str | None,
    qat_steps: int | None,
    int8: bool,
    threads: int,
    max_train: int | None,
) -> None:
    """Train a MiniLM on TASK; with --teacher, by distillation into the attention asked for.

    OUT/best holds the weights of the best dev metric, OUT/last those of the last step, OUT/log.csv a row a step,
    OUT/run.json the results. A run that was stopped goes on, step for step as if it had not been. Embeddings stay
    MiniLM's. TASK "texts" aligns another attention with dot product on the sentences of all tasks in --data-dir,
    without labels; a task begins with that by --start OUT/best.

    Example: costmodel train sst2 --attention inhibitor:per_head=true --teacher runs/dot/best --out runs/inhibitor
    """
    config = preset(task, attention, None if teacher is None else str(teacher), tuple(map(str, starts)))
    given = {
        "train_steps": steps,
        "align_steps": align_steps,
        "batch": batch,
        "rate": rate,
        "average": average,
        "qat": qat,
        "qat_steps": qat_steps,
        "max_train": max_train,
    }
    changed: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    config = replace(config, seed=seed, int8=int8, threads=threads, precision=precision, **changed)
    quiet_imports()
    from models.training.distill import train

    with steps_bar(f"{task} {attention}") as tick:
        best = train(config, out, data_dir, tick)
    record = json.loads((out / "run.json").read_text(encoding="utf-8"))
    for form, metrics in record["results"].items():
        shown = ", ".join(f"{name} {value:.4f}" for name, value in metrics.items())
        where = out / form if form == "int8" else best
        click.echo(f"{where}{f' on {form}' if form == qat else ''}: dev {shown}")


class steps_bar:
    """A bar on stderr with the loss and the last dev metric; called with step, total, loss, metric."""

    def __init__(self, what: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        console = Console(stderr=True)
        self.bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self.what = what
        self.task = self.bar.add_task(what, total=None)

    def __enter__(self) -> Any:
        self.bar.start()
        return self.tick

    def tick(self, step: int, total: int, loss: float, metric: float | None) -> None:
        dev = "" if metric is None else f" dev {metric:.4f}"
        self.bar.update(self.task, completed=step, total=total, description=f"{self.what} loss {loss:.4f}{dev}")

    def __exit__(self, *error: object) -> None:
        self.bar.stop()
