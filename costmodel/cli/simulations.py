"""`costmodel simulate`: a model in integers on a simulated accelerator."""

from __future__ import annotations

from pathlib import Path

import click

from costmodel.api.running import Settings, simulate
from costmodel.api.session import METHODS, OVERFLOWS, ROUNDINGS, Session
from costmodel.cli.common import check_output, check_sizes, output_options, put, show
from costmodel.errors import CostModelError
from costmodel.hardware.loading import load_target
from costmodel.technology.loading import load_table
from costmodel.widths.policy import parse_policy
from models.attention.mechanisms import parse_mechanism


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
@click.option("--random", "seed", type=int, help="Random token ids from this seed.")
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
@output_options
def command(
    model: str,
    attention: str | None,
    widths: str,
    target: str,
    text: tuple[str, ...],
    file: Path | None,
    seed: int | None,
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
    form: str,
    output: Path | None,
) -> None:
    """Run MODEL, a DistilBERT, in integers on a simulated accelerator: bits, cycles, events, energy.

    Every value is checked against its width; cycles, bytes and arithmetic are counted as they happen. Ranges
    come from --calibration, from `calibration.json` beside the weights, or are measured on sentences.

    Example: costmodel simulate distilbert-tiny --attention inhibitor --random 1 --seq 16 --compare
    """
    for path in (output, trace_file, save_calibration):
        check_output(path)
    if sum((bool(text), file is not None, seed is not None)) != 1:
        raise click.BadParameter("give one of --text, --input, --random")
    if calibration is not None and calibrate_on is not None:
        raise click.BadParameter("give --calibration or --calibrate-on, not both")
    check_sizes(batch, seq)
    if attention is not None:
        parse_mechanism(attention)
    if parse_policy(widths).is_float:
        raise CostModelError(f"widths {widths} are floats; the simulator runs integers, such as w8a8")
    load_target(target)
    for name in tables:
        load_table(name)
    settings = Settings(widths, target, tables, method, overflow, rounding, activity, compare)
    session = Session(model, attention)
    inputs = session.read_inputs(text, file, seed, batch, seq)
    ranges = session.calibration(calibration, calibrate_on, widths, method)
    if save_calibration is not None:
        put(ranges.to_json(), save_calibration)
    simulated = simulate(session, inputs, ranges, settings)
    if trace_file is not None:
        from sim.machine.perfetto import chrome_trace

        title = f"{model} {session.attention} {widths} on {target}"
        put(chrome_trace(simulated.execution, simulated.execution.target.clock_mhz, title), trace_file)
    from sim.machine import summary

    record = summary.simulation_record(simulated)
    record["inputs"] = inputs.what
    show(form, output, record, summary.render_csv(record), summary.grids(record), summary.notes(record))
