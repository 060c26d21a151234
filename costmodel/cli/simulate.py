"""`costmodel simulate`: a model in integers on a simulated accelerator."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from costmodel.cli.common import check_output, check_sizes, output_options, put, show
from costmodel.cli.session import METHODS, OVERFLOWS, ROUNDINGS, Inputs, Session, progress
from costmodel.errors import CostModelError
from costmodel.hardware import load_target
from costmodel.schedule import schedule
from costmodel.technology import load_table
from costmodel.widths import assign_widths, parse_policy
from models.mechanisms import parse_mechanism


@dataclass(frozen=True)
class Settings:
    """How the simulator is to compute."""

    widths: str
    target: str
    tables: tuple[str, ...]
    method: str
    overflow: str
    rounding: str
    activity: bool
    compare: bool


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
    format_: str,
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
        from sim.perfetto import chrome_trace

        title = f"{model} {session.attention} {widths} on {target}"
        put(chrome_trace(simulated.execution, simulated.execution.target.clock_mhz, title), trace_file)
    from sim import report

    record = report.simulation_record(simulated)
    record["inputs"] = inputs.what
    show(format_, output, record, report.render_csv(record), report.grids(record), report.notes(record))


def simulate(session: Session, inputs: Inputs, ranges: Any, settings: Settings) -> Any:
    """Run a session's model as settings say."""
    from sim.compare import FloatWitness, differences
    from sim.machine import execute
    from sim.report import Simulated
    from sim.run import compile_program
    from sim.weights import Weights

    policy, target = parse_policy(settings.widths), load_target(settings.target)
    graph = session.graph_at(*inputs.ids.shape)
    typed = assign_widths(graph, policy)
    plan = schedule(typed, target)
    program = compile_program(
        typed, Weights(session.weights), ranges, settings.overflow, settings.rounding, session.all_keys
    )
    witness = None
    if settings.compare:
        witness = FloatWitness(program, graph, session.weights, inputs.ids, inputs.keep, session.all_keys)
    with progress("simulating", len(plan.steps)) as tick:
        execution = execute(
            program,
            plan,
            inputs.ids,
            inputs.keep,
            settings.activity,
            tick=lambda done: tick(1),
            watch=witness.see if witness else None,
        )
    return Simulated(
        model=session.model,
        attention=session.attention,
        program=program,
        schedule=plan,
        execution=execution,
        calibration=ranges,
        tables=settings.tables,
        activity=settings.activity,
        shape=inputs.ids.shape,
        keys=None if inputs.keep is None else inputs.keep.sum(1),
        errors=witness.errors if witness else None,
        differences=differences(execution, plan) if settings.compare else None,
    )
