"""`simulate`: a model in integers on a simulated accelerator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from costmodel.api.results import Result
from costmodel.api.session import METHODS, OVERFLOWS, ROUNDINGS, Inputs, Session
from costmodel.api.subjects import Model, check_choice, check_goal, check_whole
from costmodel.errors import CostModelError
from costmodel.files import write_output
from costmodel.hardware.loading import load_target
from costmodel.hardware.occupancy import check_fits
from costmodel.mapping.pe_widths import pe_widths
from costmodel.show.document import Row
from costmodel.show.progress import progress
from costmodel.technology.loading import load_table
from costmodel.widths.assign import assign_widths
from costmodel.widths.policy import parse_policy
from models.attention.mechanisms import parse_mechanism

if TYPE_CHECKING:  # numba takes a while to import
    from sim.integer.calibrate import Calibration
    from sim.machine.records import Simulated, SimulationRecord


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
    objective: str | None = None


@dataclass(frozen=True, repr=False)
class Simulation(Result[Any]):
    """A run in integers; `record` as of `costmodel simulate --format json`, `ran` is what it is made of.

    Its rows are the steps of the schedule; as CSV it has a line a figure.
    """

    record: SimulationRecord
    ran: Simulated  # program, schedule, execution, calibration

    @property
    def cycles(self) -> int:
        return self.record.cycles

    def to_rows(self) -> list[Row]:
        """One flat dict a step of the schedule: `pandas.DataFrame(result.to_rows())`."""
        from sim.machine.summary import step_rows

        return step_rows(self.record)

    @property
    def timeline(self) -> list[Row]:
        """What each array, vector unit and DMA do when: unit, first cycle, cycles, op, module."""
        from costmodel.records import encode
        from sim.machine.perfetto import spans_of

        several = bool(self.ran.execution.target.more)
        return [encode(span) for done in self.ran.execution.steps for span in spans_of(done, several)]


def simulate(
    model: Model,
    attention: str | None = None,
    text: str | Sequence[str] | None = None,
    random: int | None = None,
    seq: int | None = None,
    batch: int = 1,
    widths: str = "w8a8",
    target: str = "edge-asic",
    overflow: str = "saturate",
    rounding: str = "half_up",
    compare: bool = False,
    file: str | Path | None = None,
    calibration: str | Path | None = None,
    calibrate_on: str | Path | None = None,
    method: str = "mse",
    save_calibration: str | Path | None = None,
    tables: Sequence[str] = (),
    activity: bool = False,
    trace_file: str | Path | None = None,
    details: bool = False,
    objective: str | None = None,
) -> Simulation:
    """Run a DistilBERT in integers on a simulated accelerator; rows are the steps of its schedule.

    Args:
        model: a preset, a directory, `package.module:function`, or a torch module; a DistilBERT of any size.
        text: sentences, where the model has words; or
        random: the seed of random token ids [batch, seq]; or
        file: one sentence a line, or JSON with token ids, {"input_ids": [[...], ...]}.
        compare: integers against floats, value by value, and the machine against the analytic cost.
        calibration: a file of ranges that were saved before; or
        calibrate_on: a file of sentences to measure ranges on, by the method max, percentile or mse.
        save_calibration: write the ranges there.
        tables: cost tables. None takes the target's, and all others that price it.
        activity: scale the energy of PEs by the bits that toggle: an estimate.
        trace_file: write a timeline there that Perfetto opens.
        details: print every table, not only the first screen.
        objective: what mappings are chosen by: cycles, energy, edp, bytes. None takes edp, the energy-delay
            product, or cycles on a target without prices.

    >>> import costmodel as cm
    >>> run = cm.simulate("distilbert-tiny", "inhibitor", random=1, seq=16)
    >>> run.cycles == cm.price("distilbert-tiny", "inhibitor", seq=16, target="edge-asic").cycles
    True
    """
    settings = Settings(widths, target, tuple(tables), method, overflow, rounding, activity, compare, objective)
    sources = (None if file is None else Path(file), None if calibrate_on is None else Path(calibrate_on))
    lines = (text,) if isinstance(text, str) else tuple(text or ())
    if sum((bool(lines), file is not None, random is not None)) != 1:
        raise CostModelError("give one of `text`, `file`, `random`")
    if calibration is not None and calibrate_on is not None:
        raise CostModelError("give `calibration` or `calibrate_on`, not both")
    check_whole("batch", batch)
    check_whole("seq", seq)
    if attention is not None:
        parse_mechanism(attention)
    check_settings(settings)
    session = Session(model, attention)
    inputs = session.read_inputs(lines, sources[0], random, batch, seq)
    given = None if calibration is None else Path(calibration)
    ranges = session.calibration(given, sources[1], widths, method)
    if save_calibration is not None:
        write_output(Path(save_calibration), ranges.to_json(), "save_calibration")
    ran = run_session(session, inputs, ranges, settings)
    if trace_file is not None:
        from sim.machine.perfetto import chrome_trace

        title = f"{session.model} {session.attention} {widths} on {target}"
        clock = ran.execution.target.clock_mhz
        write_output(Path(trace_file), chrome_trace(ran.execution, clock, title), "trace_file")
    from sim.machine.records import simulation_record
    from sim.machine.summary import simulation_document

    record = simulation_record(ran)
    return Simulation(record, simulation_document(record, details), ran)


def check_settings(settings: Settings) -> None:
    """Refuse what the simulator cannot do, before a model is loaded.

    Raises:
        CostModelError: floats, an unknown method, overflow, rounding, target or table.
    """
    check_choice("method", settings.method, METHODS)
    check_choice("overflow", settings.overflow, OVERFLOWS)
    check_choice("rounding", settings.rounding, ROUNDINGS)
    if parse_policy(settings.widths).is_float:
        raise CostModelError(f"`widths={settings.widths}` are floats; the simulator runs integers, such as w8a8")
    check_goal(settings.objective, load_target(settings.target))
    for name in settings.tables:
        load_table(name)


def run_session(session: Session, inputs: Inputs, ranges: Calibration, settings: Settings) -> Simulated:
    """Run a session's model as settings say."""
    from costmodel.mapping.schedule import schedule
    from sim.integer.run import compile_program
    from sim.integer.weights import Weights
    from sim.machine.comparison import FloatWitness, differences
    from sim.machine.execution import execute
    from sim.machine.records import Simulated

    policy, target = parse_policy(settings.widths), load_target(settings.target)
    graph = session.graph_at(*inputs.ids.shape)
    typed = assign_widths(graph, policy)
    check_fits(target, pe_widths(typed, target))
    plan = schedule(typed, target, objective=settings.objective)
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
        inputs=inputs.what,
        errors=witness.errors if witness else None,
        differences=differences(execution, plan) if settings.compare else None,
    )
