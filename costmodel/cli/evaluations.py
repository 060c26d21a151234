"""`costmodel evaluate`: accuracy in floats and in the very bits that the simulator prices."""

from __future__ import annotations

from pathlib import Path

import click

from costmodel.api.evaluations import evaluate
from costmodel.api.session import METHODS
from costmodel.cli.common import check_output, output_options, present


@click.command("evaluate")
@click.argument("model")
@click.option("--task", help="sst2, cola, mrpc, rte, stsb, ...  [required]")
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
    task: str | None,
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
    check_output(output)
    check_output(predictions, "--predictions")
    check_output(save_calibration, "--save-calibration")
    found = evaluate(
        model, task, file, data_dir, attention, widths or ("w8a8",), limit, max_tokens,
        calibration, calibrate_on, method, save_calibration, predictions,
    )  # fmt: skip
    present(found, form, output)
