"""`costmodel sensitivity`: which changes of a design save most, and which reach a wish."""

from __future__ import annotations

from pathlib import Path

import click

from costmodel.api.sensitivities import sensitivity
from costmodel.cli.common import check_output, objective_option, output_options, present
from costmodel.explore.neighbours import OF


@click.command("sensitivity")
@click.argument("model")
@click.option("--on", "target", required=True, help="A target of `costmodel targets`, or a file FILE.toml.")
@click.option("--attention", help="The mechanism of the base.  [default: dot, or the model's own]")
@click.option("--seq", type=int, help="Positions a row, S.  [default: 128, or what the model takes]")
@click.option("--batch", type=int, default=1, show_default=True, help="Rows, B.")
@click.option("--widths", default="w8a8", show_default=True, help="fp32, bf16, w8a8, w4a8:acc=24, ...")
@click.option(
    "--of", type=click.Choice(list(OF)), help="What is saved.  [default: edp, or cycles without energies]"
)
@click.option("--save", help="A wish, such as 30%: the smallest combination of changes that saves so much.")
@click.option("--pairs/--no-pairs", default=True, show_default=True, help="Two changes at once, too.")
@click.option("--task", help="Accuracies that are stored for a task, such as sst2, of minilm-distilbert.")
@objective_option
@click.option("--details", is_flag=True, help="All changes and pairs, and what is not possible.")
@output_options
def command(
    model: str,
    target: str,
    attention: str | None,
    seq: int | None,
    batch: int,
    widths: str,
    of: str | None,
    save: str | None,
    pairs: bool,
    task: str | None,
    objective: str | None,
    details: bool,
    form: str,
    output: Path | None,
) -> None:
    """Rank changes of a design by what they save: the next widths, buffers, bandwidths, lanes, arrays, other
    dataflows, attention mechanisms and kinds of PE; one by one, and in pairs.

    With --save it says which smallest combination reaches the wish, and what that takes.

    Example: costmodel sensitivity minilm-distilbert --on edge-asic --save 30%
    """
    check_output(output)
    present(
        sensitivity(model, target, attention, seq, batch, widths, of, save, pairs, task, objective, details),
        form,
        output,
    )
