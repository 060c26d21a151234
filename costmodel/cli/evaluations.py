"""`costmodel evaluate`: accuracy in floats and in the very bits that the simulator prices."""

from __future__ import annotations

from pathlib import Path

import click

from costmodel.api.evaluations import measure
from costmodel.api.session import METHODS, Session
from costmodel.cli.common import check_output, output_options, put, show
from costmodel.errors import CostModelError
from costmodel.show.accuracy_tables import evaluation_grid, evaluation_notes, evaluation_rows
from costmodel.show.formats import render_records_csv
from costmodel.widths.policy import parse_policy
from models.attention.mechanisms import parse_mechanism

SHORTEST = 5  # tokens: of a pair, one of each sentence and three marks


@click.command("evaluate")
@click.argument("model")
@click.option("--task", "task_name", help="sst2, cola, mrpc, rte, stsb, ...  [required]")
@click.option("--file", type=click.Path(path_type=Path), help="A labelled file: sentence[, sentence2], label.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="GLUE's TSV files.")
@click.option("--attention", help="A mechanism, in place of the checkpoint's.")
@click.option("--widths", multiple=True, help="Integers; may be given several times.  [default: w8a8]")
@click.option("--limit", type=int, help="Only the first so many examples, for a quick look.")
@click.option("--max-tokens", type=int, help="Cut examples to so many tokens.  [default: the model's positions]")
@click.option("--calibration", type=click.Path(path_type=Path), help="Ranges that were saved before.")
@click.option(
    "--calibrate-on", type=click.Path(path_type=Path), help="Sentences to measure ranges on, one a line."
)
@click.option("--method", type=click.Choice(METHODS), default="mse", show_default=True, help="Of ranges.")
@click.option("--save-calibration", type=click.Path(path_type=Path), help="Write the ranges to a file.")
@click.option("--predictions", type=click.Path(path_type=Path), help="What is said of each example, as TSV.")
@output_options
def command(
    model: str,
    task_name: str | None,
    file: Path | None,
    data_dir: Path | None,
    attention: str | None,
    widths: tuple[str, ...],
    limit: int | None,
    max_tokens: int | None,
    calibration: Path | None,
    calibrate_on: Path | None,
    method: str,
    save_calibration: Path | None,
    predictions: Path | None,
    form: str,
    output: Path | None,
) -> None:
    """Accuracy of MODEL, a checkpoint of `costmodel train`, on a task's dev split or a file of your own.

    In float32, and bit for bit in integers of each --widths, with 95 % intervals; both read the same checkpoint.

    Example: costmodel evaluate models/students/sst2-dot --task sst2 --limit 32
    """
    from models.tasks.data import TASKS

    for path in (output, predictions, save_calibration):
        check_output(path)
    if attention is not None:
        parse_mechanism(attention)
    widths = widths or ("w8a8",)
    for text in widths:
        if parse_policy(text).is_float:
            raise CostModelError(f"widths {text} are floats: they are measured anyway; give integers such as w8a8")
    if file is not None and data_dir is not None:
        raise click.BadParameter("give --file or --data-dir, not both")
    if calibration is not None and calibrate_on is not None:
        raise click.BadParameter("give --calibration or --calibrate-on, not both")
    if limit is not None and limit < 1:
        raise click.BadParameter(f"--limit {limit} is not at least 1")
    if max_tokens is not None and max_tokens < SHORTEST:
        raise click.BadParameter(f"--max-tokens {max_tokens} is not at least {SHORTEST}")
    if task_name is None or task_name not in TASKS:
        given = "which task? give --task" if task_name is None else f"unknown task {task_name!r}; known:"
        raise CostModelError(f"{given} {', '.join(TASKS)}")
    record, sentences = measure(
        Session(model, attention), task_name, file, data_dir, widths, limit, calibration, calibrate_on, method,
        save_calibration, max_tokens,
    )  # fmt: skip
    if predictions is not None:
        put(sentences, predictions)
    show(
        form,
        output,
        record,
        render_records_csv(evaluation_rows(record)),
        [evaluation_grid(record)],
        evaluation_notes(record),
    )
