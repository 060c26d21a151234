"""`costmodel simulate`: a model in integers on a simulated accelerator."""

from __future__ import annotations

from pathlib import Path

import click

from costmodel.api.session import METHODS, OVERFLOWS, ROUNDINGS
from costmodel.api.simulations import simulate
from costmodel.cli.common import check_output, objective_option, output_options, present


@click.command("simulate")
@click.argument("model")
@click.option("--attention", help="A mechanism.  [default: dot, or what the checkpoint was saved with]")
@click.option("--widths", default="w8a8", show_default=True, help="Integers, such as w8a8, w4a8, w8a16.")
@click.option("--on", "target", default="edge-asic", show_default=True, help="A target, or a file FILE.toml.")
@click.option("--text", multiple=True, help="A sentence; may be given several times.")
@click.option(
    "--input",
    "file",
    type=click.Path(path_type=Path),
    help='One sentence a line; or .json: {"input_ids": [[...]]}.',
)
@click.option("--random", type=int, help="Random token ids from this seed.")
@click.option("--batch", type=int, default=1, show_default=True, help="Rows of --random.")
@click.option("--seq", type=int, help="Tokens a row of --random.  [default: 128, or what the model takes]")
@click.option("--calibration", type=click.Path(path_type=Path), help="Ranges that were saved before.")
@click.option(
    "--calibrate-on", type=click.Path(path_type=Path), help="Sentences to measure ranges on, one a line."
)
@click.option("--method", type=click.Choice(METHODS), default="mse", show_default=True, help="Of ranges.")
@click.option("--save-calibration", type=click.Path(path_type=Path), help="Write the ranges to a file.")
@click.option("--overflow", type=click.Choice(OVERFLOWS), default="saturate", show_default=True)
@click.option("--rounding", type=click.Choice(ROUNDINGS), default="half_up", show_default=True)
@click.option(
    "--table", "tables", multiple=True, help="Cost tables.  [default: the target's, and all that price it]"
)
@click.option("--activity", is_flag=True, help="Scale the energy of PEs by bits that toggle: an estimate.")
@click.option(
    "--compare", is_flag=True, help="Integers against floats, and the machine against the analytic cost."
)
@click.option("--trace", "trace_file", type=click.Path(path_type=Path), help="A timeline that Perfetto opens.")
@click.option("--details", is_flag=True, help="Print every table: events by width, energy by table and layer.")
@objective_option
@output_options
def command(
    model: str,
    attention: str | None,
    widths: str,
    target: str,
    text: tuple[str, ...],
    file: Path | None,
    random: int | None,
    batch: int,
    seq: int | None,
    calibration: Path | None,
    calibrate_on: Path | None,
    method: str,
    save_calibration: Path | None,
    overflow: str,
    rounding: str,
    tables: tuple[str, ...],
    activity: bool,
    compare: bool,
    trace_file: Path | None,
    details: bool,
    objective: str | None,
    form: str,
    output: Path | None,
) -> None:
    """Run MODEL, a DistilBERT, in integers on a simulated accelerator: bits, cycles, events, energy.

    MODEL is a preset, a directory, or package.module:function returning (module, inputs). Every value is checked
    against its width; cycles, bytes and arithmetic are counted as they happen. Ranges come from --calibration,
    from `calibration.json` beside the weights, or are measured on sentences.

    Example: costmodel simulate distilbert-tiny --attention inhibitor --random 1 --seq 16 --compare
    """
    check_output(output)
    check_output(trace_file, "--trace")
    check_output(save_calibration, "--save-calibration")
    found = simulate(
        model, attention, text, random, seq, batch, widths, target, overflow, rounding, compare,
        file, calibration, calibrate_on, method, save_calibration, tables, activity, trace_file, details,
        objective,
    )  # fmt: skip
    present(found, form, output)
