"""The cost of a model on arrays of machines, compiled: how many a second says `tests/bench/POINTS.md`.

`compile_program` turns a typed graph into its pieces; `evaluate` runs them over numpy arrays of machine
parameters. Machines with one array and one size of buffer share all fronts of mappings (`front.py`); for each
machine every way of a front is weighed by its bandwidth, ports, clock, lanes and prices. A machine that comes
alone asks for the mappings that are the best for it where what is kept takes room. Tests hold the results equal
to `schedule.py`, cycles and bytes exactly, energy to 1e-9. Timing is that of `array`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from costmodel.errors import BadTarget, CostModelError
from costmodel.hardware.accelerator import Accelerator
from costmodel.hardware.registers import register_price_pj
from costmodel.hardware.timing import DATAFLOWS, ArrayShape
from costmodel.mapping import many_loops as loops
from costmodel.mapping.fusion import all_plans
from costmodel.mapping.keeping import kinds_of, seats_of
from costmodel.mapping.many_choices import CODES, Grouping, Shared, best_choices
from costmodel.mapping.nest_records import WIDE
from costmodel.mapping.objectives import objective_of
from costmodel.mapping.pieces import new_places, pieces_of
from costmodel.mapping.prices import Prices
from costmodel.mapping.schedule import DEFAULT
from costmodel.technology.tables import Table
from costmodel.widths.assign import Typed

Array = np.ndarray[Any, Any]
PARAMETERS = (
    *("rows", "columns", "dataflow", "lanes", "buffer_bytes", "bandwidth_mb_s", "clock_mhz"),
    *("buffer_read_bytes", "buffer_write_bytes", "local_bytes", "local_read_bytes", "local_write_bytes"),
)
LOCAL = PARAMETERS[-3:]  # 0, or left out: a machine without a local memory
PORTS = ("buffer_read_bytes", "buffer_write_bytes", "local_read_bytes", "local_write_bytes")
OWN = ("lanes", "bandwidth_mb_s", "clock_mhz", *PORTS)  # see `many_loops`
MORE = ("rows", "columns", "dataflow")  # of arrays beside the first, by number: rows2
MOST_KNOWN = 128  # arrays with a buffer of which a program remembers the ways
MOST_PIECES = 4096  # in some state of the buffer, of each of them; several hundred are of use to all machines
PRICES = ("buffer_read_pj", "buffer_write_pj", "dram_pj", "local_read_pj", "local_write_pj")  # a byte
ABSENT = dict.fromkeys((*LOCAL, *PRICES[3:]), 0)


@dataclass(frozen=True)
class Program:
    """A model for machines whose PEs do one set of kinds, in all ways to group its nodes."""

    target: Accelerator
    groupings: tuple[Grouping, ...]
    prices: Prices  # of arithmetic; those of memories are parameters
    objective: str  # unless another one is asked for
    known: dict[Accelerator, Shared] = field(default_factory=dict, init=False, compare=False, repr=False)

    def shared(self, target: Accelerator) -> Shared:
        """What all machines with these arrays and buffer share; of the last `MOST_KNOWN` it is remembered.

        Machines that come alone leave what is of use to them only: where that is much the next one begins anew.
        """
        found = self.known.get(target)
        if found is None or len(found.known) > MOST_PIECES:
            if found is None and len(self.known) >= MOST_KNOWN:
                del self.known[next(iter(self.known))]
            found = self.known[target] = Shared(self.groupings, target, self.prices)
        return found


def compile_program(typed: Typed, target: Accelerator, table: Table | None) -> Program:
    """The pieces of a typed graph on machines whose PEs do `target.kinds`; other sizes are parameters.

    Raises:
        UnknownTable: the table lacks the price of an operation.
    """
    found: list[Grouping] = []
    places = new_places()
    for plan in all_plans(typed):
        placed = pieces_of(typed, plan, target, places)
        kinds = kinds_of(plan, placed)
        found.append(Grouping(seats_of(placed, kinds), kinds))
    prices = Prices(register_pj=register_price_pj(table), table=table)
    prices.check(typed)  # what the table lacks, it lacks now
    return Program(target, tuple(found), prices, "cycles" if table is None else DEFAULT)


def evaluate(program: Program, parameters: Mapping[str, Any], objective: str | None = None) -> dict[str, Array]:
    """Cycles, bytes and energy of a model on each machine.

    `parameters`: arrays (or numbers, they broadcast) by the names of `parameters_of` the target and `PRICES`;
    dataflow as `os`, `ws`, `is` or its place among them. Those of the local memory may be left out: there is none.
    Where no tile fits, `fits` is False and the rest is 0.

    Args:
        objective: what mappings are chosen by: cycles, energy, edp, bytes; None: edp, or cycles without a table.

    Raises:
        BadTarget: a parameter is missing, unknown, or not at least 1.
        CostModelError: no such objective, or one that was added from outside.
    """
    goal = objective or program.objective
    if objective_of(goal).first is None:
        raise CostModelError(f"`objective={goal}` is not compiled; take one of {', '.join(CODES)}")
    machine, prices = machine_arrays(parameters, parameters_of(program.target))
    return outcome(*run(program, machine, prices, goal), prices)


def parameters_of(target: Accelerator) -> tuple[str, ...]:
    """The parameters of machines like a target: those of each further array behind the others."""
    return (*PARAMETERS, *(f"{name}{n}" for n in range(2, 2 + len(target.more)) for name in MORE))


def with_arrays(target: Accelerator, numbers: list[int]) -> Accelerator:
    """A target with other sizes and dataflows of its further arrays."""
    more = [
        replace(own, array=ArrayShape(*numbers[3 * i : 3 * i + 2]), dataflow=DATAFLOWS[numbers[3 * i + 2]])
        for i, own in enumerate(target.more)
    ]
    return replace(target, more=tuple(more))


def run(program: Program, machine: Array, prices: Array, objective: str) -> tuple[Array, Array, Array]:
    """Numbers [n,8] as `many_loops` has them, energy, cycles of the cores; machines as rows of `PARAMETERS`."""
    numbers, energy = np.zeros((len(machine), loops.RESULTS), np.int64), np.zeros(len(machine))
    core = np.zeros(len(machine), np.int64)
    place_of = {name: j for j, name in enumerate(PARAMETERS)}
    shared = [place_of[name] for name in ("rows", "columns", "dataflow", "buffer_bytes", "local_bytes")]
    shared += range(len(PARAMETERS), machine.shape[1])
    own = [place_of[name] for name in OWN]
    for where in alike(machine[:, shared]):
        rows, columns, flow, buffer_bytes, local_bytes, *more = machine[where[0], shared].tolist()
        target = replace(
            with_arrays(program.target, more),
            array=ArrayShape(rows, columns),
            dataflow=DATAFLOWS[flow],
            buffer_bytes=buffer_bytes,
            local_bytes=local_bytes,
        )
        found = best_choices(
            program.shared(target),
            *(np.ascontiguousarray(machine[where][:, own]), np.ascontiguousarray(prices[where] / 8), objective),
        )
        if found is not None:
            numbers[where], energy[where], core[where] = found
    return numbers, energy, core


def alike(rows: Array) -> list[Array]:
    """Places of the rows that are the same, ascending in each list; the lists in the order of the rows."""
    if not len(rows):
        return []
    number = np.zeros(len(rows), np.int64)
    for column in rows.T:
        if column.min() < column.max():
            both = np.stack([number, column], 1)
            values = [np.unique(each, return_inverse=True)[1].ravel() for each in both.T]
            number = values[0] * (values[1].max() + 1) + values[1]
    order = np.argsort(number, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(number[order])) + 1)


def machine_arrays(parameters: Mapping[str, Any], wanted: tuple[str, ...] = PARAMETERS) -> tuple[Array, Array]:
    """Machines as rows of the parameters that are wanted, their memories' prices as rows of `PRICES`.

    Raises:
        BadTarget: a parameter is missing, unknown, or not at least 1; of the local memory not at least 0.
    """
    known, given = (*wanted, *PRICES), ABSENT | dict(parameters)
    for name in (*(n for n in known if n not in given), *(n for n in given if n not in known)):
        raise BadTarget(f"parameter {name!r} is {'missing' if name in known else 'unknown'}; {', '.join(known)}")
    flows = [name for name in wanted if name.startswith("dataflow")]
    for name in flows:
        own = np.asarray(given[name])
        if own.dtype.kind in "US":
            if not np.isin(own, list(DATAFLOWS)).all():
                raise BadTarget(f"parameter {name!r} is not of {', '.join(DATAFLOWS)} everywhere")
            given[name] = np.select([own == flow for flow in DATAFLOWS], list(range(len(DATAFLOWS))))
    arrays = np.broadcast_arrays(*[np.atleast_1d(np.asarray(given[n])) for n in known])
    machine = np.stack([np.ascontiguousarray(a, dtype=np.int64) for a in arrays[: len(wanted)]], axis=1)
    prices = np.stack([np.ascontiguousarray(a, dtype=float) for a in arrays[len(wanted) :]], axis=1)
    for j, name in enumerate(wanted):
        least = 0 if name in LOCAL else 1
        if name not in flows and machine[:, j].min(initial=1) < least:
            raise BadTarget(f"parameter {name!r} is not at least {least} everywhere")
    for name in LOCAL[1:]:  # where no port is, nothing waits for it
        ports = machine[:, wanted.index(name)]
        ports[ports == 0] = WIDE
    return machine, prices


def outcome(numbers: Array, energy_pj: Array, core_cycles: Array, prices: Array) -> dict[str, Array]:
    """The results of `evaluate`; where nothing fits all numbers are 0."""
    read, write, reads, writes = (numbers[:, loops.R_READ + i] for i in range(4))
    local = numbers[:, loops.R_SUMS_READ], numbers[:, loops.R_SUMS_WRITTEN]
    memory = reads / 8 * prices[:, 0] + writes / 8 * prices[:, 1] + (read + write) / 8 * prices[:, 2]
    memory = memory + local[0] / 8 * prices[:, 3] + local[1] / 8 * prices[:, 4]
    return {
        "fits": numbers[:, loops.R_CYCLES] > 0,
        "cycles": numbers[:, loops.R_CYCLES],
        "core_cycles": core_cycles,
        "dram_read_bytes": read // 8,
        "dram_write_bytes": write // 8,
        "buffer_read_bytes": reads // 8,
        "buffer_write_bytes": writes // 8,
        "local_read_bytes": local[0] // 8,
        "local_write_bytes": local[1] // 8,
        "memory_pj": memory,
        "energy_pj": energy_pj,
    }
