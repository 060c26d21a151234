"""The public functions that run many things: a model in integers, a whole design space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from costmodel.api_model import of_model
from costmodel.errors import CostModelError
from costmodel.hardware import load_target
from costmodel.results import Simulation
from costmodel.widths import parse_policy


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
    from costmodel.cli import simulate as cli
    from costmodel.cli.session import OVERFLOWS, ROUNDINGS, Session
    from sim import report

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
    settings = cli.Settings(widths, target, (), "mse", overflow, rounding, False, compare)
    ran = cli.simulate(session, inputs, ranges, settings)
    record: dict[str, Any] = report.simulation_record(ran) | {"inputs": inputs.what}
    rows = tuple(
        {key: value for key, value in step.items() if not isinstance(value, dict | list)}
        for step in record["steps"]
    )
    return Simulation(record, rows, tuple(report.grids(record)), tuple(report.notes(record)), ran)
