"""`simulate`: a model in integers on a simulated accelerator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from costmodel.api.results import Result
from costmodel.api.subjects import of_model
from costmodel.errors import CostModelError
from costmodel.hardware.loading import load_target
from costmodel.widths.policy import parse_policy


@dataclass(frozen=True, repr=False)
class Simulation(Result):
    """A run in integers; `record` as of `costmodel simulate --format json`, `ran` is what it is made of."""

    ran: Any  # sim.report.Simulated: program, schedule, execution, calibration

    @property
    def cycles(self) -> int:
        return int(self.record["cycles"])

    @property
    def timeline(self) -> list[dict[str, Any]]:
        """What array, vector unit and DMA do when: unit, first cycle, cycles, op, module."""
        from sim.machine.perfetto import spans_of

        return [
            {"unit": unit, "start_cycle": start, "cycles": cycles, "what": what, "module": done.step.module}
            for done in self.ran.execution.steps
            for unit, start, cycles, what in spans_of(done)
            if cycles
        ]


def simulate(
    model: str,
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
) -> Simulation:
    """Run a DistilBERT in integers on a simulated accelerator; rows are the steps of its schedule.

    Args:
        text: sentences, where the model has words; or
        random: the seed of random token ids [batch, seq].
        compare: integers against floats, value by value, and the machine against the analytic cost.

    >>> import costmodel as cm
    >>> run = cm.simulate("distilbert-tiny", "inhibitor", random=1, seq=16)
    >>> run.cycles == cm.price("distilbert-tiny", "inhibitor", seq=16, target="edge-asic").cycles
    True
    """
    from costmodel.api import running
    from costmodel.api.session import OVERFLOWS, ROUNDINGS, Session
    from sim.machine import summary

    of_model(model, seq, batch)
    if (text is None) == (random is None):
        raise CostModelError("give one of text and random")
    for name, value, known in (("overflow", overflow, OVERFLOWS), ("rounding", rounding, ROUNDINGS)):
        if value not in known:
            raise CostModelError(f"{name} = {value!r} is not one of {', '.join(known)}")
    if parse_policy(widths).is_float:
        raise CostModelError(f"widths {widths} are floats; the simulator runs integers, such as w8a8")
    load_target(target)
    lines = (text,) if isinstance(text, str) else tuple(text or ())
    session = Session(model, attention)
    inputs = session.read_inputs(lines, None, random, batch, seq)
    ranges = session.calibration(None, None, widths, "mse")
    settings = running.Settings(widths, target, (), "mse", overflow, rounding, False, compare)
    ran = running.simulate(session, inputs, ranges, settings)
    record: dict[str, Any] = summary.simulation_record(ran) | {"inputs": inputs.what}
    rows = tuple(
        {key: value for key, value in step.items() if not isinstance(value, dict | list)}
        for step in record["steps"]
    )
    return Simulation(record, rows, tuple(summary.grids(record)), tuple(summary.notes(record)), ran)
