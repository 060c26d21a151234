"""The public functions that run many things: a model in integers, a whole design space."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from costmodel.api_model import of_model
from costmodel.errors import CostModelError
from costmodel.hardware import load_target
from costmodel.results import Result
from costmodel.sweeps import Sweep, swept
from costmodel.widths import parse_policy


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
        from sim.perfetto import spans_of

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


def sweep(
    space: Mapping[str, Any] | str | Path,
    store: str | Path | None = None,
    workers: int = 1,
    scheduler: str | None = None,
    trials: int | None = None,
    seed: int = 0,
) -> Sweep:
    """Every point of a design space, or those that a search proposes; its Pareto front is what a result shows.

    Args:
        space: a dict of the form of `costmodel.space`, or a file of it.
        store: a file that keeps all points; a sweep that was stopped goes on there. None keeps nothing.
        workers: processes of this machine; 1 works in this one.
        scheduler: workers of a Dask cluster in place of these, by its scheduler's address.
        trials: so many points, chosen by Optuna from `seed`, in place of all.

    >>> import costmodel as cm
    >>> knobs = {"model": "distilbert-tiny", "target": "edge-asic", "array": ["8x8", "16x16"], "lanes": [16, 32]}
    >>> found = cm.sweep({"objectives": ["latency_ms", "area_mm2"], "knobs": knobs})
    >>> len(found.to_rows()), [row["array"] for row in found.front()]
    (4, ['8x8', '8x8'])

    Raises:
        CostModelError: something in the space is wrong, or the store is another space's.
    """
    from costmodel import store as stores
    from costmodel.cli import sweep as cli
    from costmodel.cli.graphs import checked, read_space
    from costmodel.space import parse_space
    from costmodel.sweep import run_sweep

    for name, value, least in (("workers", workers, 1), ("trials", trials, 1), ("seed", seed, 0)):
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < least):
            raise CostModelError(f"{name} = {value!r} is not a whole number of at least {least}")
    if isinstance(space, str | Path):
        parsed = read_space(space)
    else:
        parsed = checked(parse_space(dict(space) if isinstance(space, Mapping) else space, "space"))
    work = cli.work_of(parsed, trials, seed)
    how = stores.GRID if trials is None else f"search with seed {seed}"
    with tempfile.TemporaryDirectory() as folder, cli.pool_of(workers, scheduler) as pool:
        opened = stores.create_store(Path(folder) / "points" if store is None else store, parsed, how)
        try:
            run_sweep(opened, work, pool)
            return swept(parsed, stores.read_points(opened))
        finally:
            opened.connection.close()
