"""One run of a session's model in integers on a simulated accelerator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from costmodel.api.session import Inputs, Session
from costmodel.hardware.loading import load_target
from costmodel.mapping.schedule import schedule
from costmodel.show.progress import progress
from costmodel.widths.assign import assign_widths
from costmodel.widths.policy import parse_policy


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


def simulate(session: Session, inputs: Inputs, ranges: Any, settings: Settings) -> Any:
    """Run a session's model as settings say."""
    from sim.integer.run import compile_program
    from sim.integer.weights import Weights
    from sim.machine.comparison import FloatWitness, differences
    from sim.machine.execution import execute
    from sim.machine.summary import Simulated

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
