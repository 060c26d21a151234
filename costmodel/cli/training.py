"""`costmodel train`: fine-tune MiniLM on a task, or distil it into another attention."""

from __future__ import annotations

from pathlib import Path

import click

from costmodel.api.training import train
from costmodel.cli.common import check_output, output_options, present
from models.training.recipe import PRECISIONS

FOLDER = click.Path(path_type=Path)


@click.command("train")
@click.argument("task")
@click.option("--attention", default="dot", show_default=True, help="The mechanism to train.")
@click.option("--teacher", type=FOLDER, help="Distil from this checkpoint, of any attention.")
@click.option(
    "--start",
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
@output_options
def command(
    task: str,
    attention: str,
    teacher: Path | None,
    start: tuple[Path, ...],
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
    form: str,
    output: Path | None,
) -> None:
    """Train a MiniLM on TASK; with --teacher, by distillation into the attention asked for.

    OUT/best holds the weights of the best dev metric, OUT/last those of the last step, OUT/log.csv a row a step,
    OUT/run.json the results. A run that was stopped goes on, step for step as if it had not been. Embeddings stay
    MiniLM's. TASK "texts" aligns another attention with dot product on the sentences of all tasks in --data-dir,
    without labels; a task begins with that by --start OUT/best.

    Example: costmodel train sst2 --attention inhibitor:per_head=true --teacher runs/dot/best --out runs/inhibitor
    """
    check_output(output)
    found = train(
        task, out, attention, teacher, start, data_dir, seed, steps, align_steps, batch, rate, average,
        precision, qat, qat_steps, int8, threads, max_train,
    )  # fmt: skip
    present(found, form, output)
