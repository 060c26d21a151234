"""The cost of a model on arrays of machines, compiled: how many a second says `tests/bench/POINTS.md`.

`compile_program` turns a typed graph into its pieces; `evaluate` runs them over numpy arrays of machine
parameters. Machines with one array and one size of buffer share all fronts of mappings (`front.py`); for each
machine every way of a front is weighed by its bandwidth, ports, clock, lanes and prices. Tests hold the results
equal to `schedule.py`, cycles and bytes exactly, energy to 1e-9. Timing is that of `array`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from costmodel.errors import BadTarget, CostModelError
from costmodel.hardware.accelerator import Accelerator
from costmodel.hardware.registers import register_price_pj
from costmodel.hardware.timing import DATAFLOWS, ArrayShape
from costmodel.mapping import many_loops as loops
from costmodel.mapping.fusion import all_plans
from costmodel.mapping.keeping import Kept, Kinds, Seat, choices_of, kinds_of, seats_of
from costmodel.mapping.objectives import KEPT_BITS, objective_of
from costmodel.mapping.options import Prices
from costmodel.mapping.pieces import Piece, Stay, pieces_of
from costmodel.mapping.schedule import DEFAULT, SLACK
from costmodel.mapping.ways import Ways, ways_of
from costmodel.technology.tables import Table
from costmodel.widths.assign import Typed

Array = np.ndarray[Any, Any]
PARAMETERS = (
    *("rows", "columns", "dataflow", "lanes", "buffer_bytes", "bandwidth_mb_s", "clock_mhz"),
    *("buffer_read_bytes", "buffer_write_bytes"),
)
OWN = ("lanes", "bandwidth_mb_s", "clock_mhz", "buffer_read_bytes", "buffer_write_bytes")  # see `many_loops`
MORE = ("rows", "columns", "dataflow")  # of arrays beside the first, by number: rows2
PRICES = ("buffer_read_pj", "buffer_write_pj", "dram_pj")  # a byte
CODES = ("cycles", "energy", "edp", "bytes")


@dataclass(frozen=True)
class Grouping:
    """One way to group the nodes of a graph: its distinct pieces, and the kinds of values that may stay."""

    seats: tuple[Seat, ...]
    kinds: Kinds


@dataclass(frozen=True)
class Program:
    """A model for machines whose PEs do one set of kinds, in all ways to group its nodes."""

    target: Accelerator
    groupings: tuple[Grouping, ...]
    prices: Prices  # of arithmetic; those of memories are parameters
    objective: str  # unless another one is asked for


def compile_program(typed: Typed, target: Accelerator, table: Table | None) -> Program:
    """The pieces of a typed graph on machines whose PEs do `target.kinds`; other sizes are parameters.

    Raises:
        UnknownTable: the table lacks the price of an operation.
    """
    found: list[Grouping] = []
    known: dict[Piece, int] = {}
    for plan in all_plans(typed):
        placed = pieces_of(typed, plan, target, known)
        kinds = kinds_of(plan, placed)
        found.append(Grouping(seats_of(placed, kinds), kinds))
    prices = Prices(register_pj=register_price_pj(table), table=table)
    prices.check(typed)  # what the table lacks, it lacks now
    return Program(target, tuple(found), prices, "cycles" if table is None else DEFAULT)


@dataclass(frozen=True)
class Costs:
    """What something takes on each machine."""

    numbers: Array  # [machines, 6], see `many_loops`
    energy_pj: Array

    def keys(self, objective: str) -> tuple[Array, ...]:
        """As `objectives.py` compares."""
        n = self.numbers
        moved = n[:, loops.R_READ] + n[:, loops.R_WRITE]
        rest = (n[:, loops.R_READS] + n[:, loops.R_WRITES], n[:, loops.R_ROOM])
        cycles, energy = n[:, loops.R_CYCLES], self.energy_pj
        return {
            "cycles": (cycles, energy, moved, *rest),
            "energy": (energy, cycles, moved, *rest),
            "edp": (energy * cycles, cycles, moved, *rest),
            "bytes": (moved, energy, cycles, *rest),
        }[objective]


def summed(parts: list[tuple[int, Costs]]) -> Costs:
    """Sums of so many times each, energies in their order."""
    numbers = np.zeros_like(parts[0][1].numbers)
    for times, part in parts:
        numbers = numbers + times * part.numbers
    numbers[:, loops.R_ROOM] = np.max([part.numbers[:, loops.R_ROOM] for _, part in parts], axis=0)
    energy = np.zeros(len(numbers))
    for times, part in parts:
        energy = energy + times * part.energy_pj
    return Costs(numbers, energy)


def settled_of(energy_pj: Array) -> Array:
    """`objectives.settled` of many."""
    mantissa, exponent = np.frexp(energy_pj)
    return np.ldexp(np.rint(np.ldexp(mantissa, KEPT_BITS)), exponent - KEPT_BITS)


def less(one: tuple[Array, ...], two: tuple[Array, ...]) -> Array:
    """Where the first keys come before the second."""
    result, equal = np.zeros(len(one[0]), bool), np.ones(len(one[0]), bool)
    for a, b in zip(one, two, strict=True):
        result |= equal & (a < b)
        equal &= a == b
    return result


def taken(where: Array, one: Costs, two: Costs) -> Costs:
    """The first costs at some machines, the second at others."""
    return Costs(np.where(where[:, None], one.numbers, two.numbers), np.where(where, one.energy_pj, two.energy_pj))


class Machines:
    """Machines with one array and buffer, and what pieces take on them, each computed once."""

    def __init__(self, program: Program, target: Accelerator, numbers: Array, prices: Array) -> None:
        self.program, self.target = program, target
        self.numbers, self.prices = numbers, prices
        self.known: dict[tuple[str, int, Stay, int], Costs | None] = {}
        self.seats: dict[tuple[str, int, int, int], Costs | None] = {}

    def ways(self, ways: Ways, objective: str) -> Costs:
        """The best of some ways, on each machine."""
        found, energy = np.zeros((len(self.numbers), 6), np.int64), np.zeros(len(self.numbers))
        loops.best_ways(
            *(ways.ways, ways.same, ways.arithmetic_pj, self.numbers, self.prices),
            *(self.program.prices.register_pj, CODES.index(objective), found, energy),
        )
        return Costs(found, energy)

    def piece(self, seat: Seat, kinds: int, free_bytes: int, objective: str) -> Costs | None:
        """The best option of a piece; None where nothing fits."""
        name = (objective, id(seat), kinds & seat.kinds, free_bytes)
        if name not in self.seats:
            own = (objective, seat.placed.place, seat.stay(kinds), free_bytes)
            if own not in self.known:
                self.known[own] = self.best_option(seat.placed.piece, own[2], free_bytes, objective)
            self.seats[name] = self.known[own]
        return self.seats[name]

    def bounds(self, grouping: Grouping, choices: tuple[Kept, ...], objective: str) -> Array:
        """[choices, machines] of what is compared first: with more room no piece takes more. Infinite: no way."""
        kinds = np.array([kept.kinds for kept in choices])
        result = np.ones((len(choices), len(self.numbers)))
        for name in ("energy", "cycles") if objective == "edp" else (objective,):
            total = np.zeros_like(result)
            for seat in grouping.seats:
                masks, place = np.unique(kinds & seat.kinds, return_inverse=True)
                found = [self.piece(seat, int(mask), self.target.buffer_bytes, name) for mask in masks]
                nothing = np.full(len(self.numbers), np.inf)
                table = np.stack([nothing if costs is None else costs.keys(name)[0] for costs in found])
                total += len(seat.places) * table[place.ravel()]
            result *= total * (1 - SLACK)
        return result

    def best_option(self, piece: Piece, stay: Stay, free_bytes: int, objective: str) -> Costs | None:
        best: Costs | None = None
        for option in ways_of(piece, stay, free_bytes, self.target, self.program.prices):
            now = summed([(1, self.ways(part, objective)) for part in option])
            best = now if best is None else taken(less(now.keys(objective), best.keys(objective)), now, best)
        return best

    def choice(self, grouping: Grouping, kept: Kept, objective: str) -> Choice | None:
        """All pieces where some values are kept; None where one does not fit."""
        parts: list[tuple[int, Costs]] = []
        core = np.zeros(len(self.numbers), np.int64)
        for seat in grouping.seats:
            free = self.target.buffer_bytes - seat.waiting_bytes(kept)
            costs = self.piece(seat, kept.kinds, free, objective)
            if costs is None:
                return None
            parts.append((len(seat.places), costs))
            if seat.placed.piece.in_core:
                core = core + len(seat.places) * costs.numbers[:, loops.R_CYCLES]
        costs = summed(parts)
        return Choice(Costs(costs.numbers, settled_of(costs.energy_pj)), core)


@dataclass(frozen=True)
class Choice:
    """What a model takes on each machine, and its attention cores of it."""

    costs: Costs
    core_cycles: Array


def best_choice(machines: Machines, objective: str) -> Choice | None:
    """The best choice of kept values and grouping on each machine; None where nothing fits."""
    best: Choice | None = None
    for grouping in machines.program.groupings:
        choices = choices_of(grouping.kinds, machines.target.buffer_bytes)
        bounds = machines.bounds(grouping, choices, objective)
        place = np.full(len(machines.numbers), -1)
        for i in np.argsort(bounds.sum(1), kind="stable"):
            if np.isinf(bounds[i]).any() or (
                best is not None and (bounds[i] > best.costs.keys(objective)[0]).all()
            ):
                continue
            now = machines.choice(grouping, choices[i], objective)
            if now is None:
                continue
            if best is None:
                best, place = now, np.full(len(place), i)
                continue
            new, old = now.costs.keys(objective), best.costs.keys(objective)
            where = less((*new, np.full(len(place), i)), (*old, place))
            best = Choice(taken(where, now.costs, best.costs), np.where(where, now.core_cycles, best.core_cycles))
            place = np.where(where, i, place)
    return best


def evaluate(program: Program, parameters: Mapping[str, Any], objective: str | None = None) -> dict[str, Array]:
    """Cycles, bytes and energy of a model on each machine.

    `parameters`: arrays (or numbers, they broadcast) by the names of `parameters_of` the target and `PRICES`;
    dataflow as `os`, `ws`, `is` or its place among them. Where no tile fits, `fits` is False and the rest is 0.

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
    """Numbers [n,6] as `many_loops` has them, energy, cycles of the cores; machines as rows of `PARAMETERS`."""
    numbers, energy = np.zeros((len(machine), 6), np.int64), np.zeros(len(machine))
    core = np.zeros(len(machine), np.int64)
    place_of = {name: j for j, name in enumerate(PARAMETERS)}
    shared = [place_of[name] for name in ("rows", "columns", "dataflow", "buffer_bytes")]
    shared += range(len(PARAMETERS), machine.shape[1])
    own = [place_of[name] for name in OWN]
    kinds, inverse = np.unique(machine[:, shared], axis=0, return_inverse=True)
    order = np.argsort(inverse.ravel(), kind="stable")
    ends = np.searchsorted(inverse.ravel()[order], np.arange(len(kinds) + 1))
    for j, (rows, columns, flow, buffer_bytes, *more) in enumerate(kinds.tolist()):
        where = order[ends[j] : ends[j + 1]]
        target = replace(
            with_arrays(program.target, more),
            array=ArrayShape(rows, columns),
            dataflow=DATAFLOWS[flow],
            buffer_bytes=buffer_bytes,
        )
        machines = Machines(
            program, target, np.ascontiguousarray(machine[where][:, own]), np.ascontiguousarray(prices[where] / 8)
        )
        found = best_choice(machines, objective)
        if found is not None:
            numbers[where], energy[where], core[where] = (
                found.costs.numbers,
                found.costs.energy_pj,
                found.core_cycles,
            )
    return numbers, energy, core


def machine_arrays(parameters: Mapping[str, Any], wanted: tuple[str, ...] = PARAMETERS) -> tuple[Array, Array]:
    """Machines as rows of the parameters that are wanted, their memories' prices as rows of `PRICES`.

    Raises:
        BadTarget: a parameter is missing, unknown, or not at least 1.
    """
    known = (*wanted, *PRICES)
    for name in (*(n for n in known if n not in parameters), *(n for n in parameters if n not in known)):
        raise BadTarget(f"parameter {name!r} is {'missing' if name in known else 'unknown'}; {', '.join(known)}")
    given = dict(parameters)
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
        if name not in flows and machine[:, j].min(initial=1) < 1:
            raise BadTarget(f"parameter {name!r} is not at least 1 everywhere")
    return machine, prices


def outcome(numbers: Array, energy_pj: Array, core_cycles: Array, prices: Array) -> dict[str, Array]:
    """The results of `evaluate`; where nothing fits all numbers are 0."""
    read, write, reads, writes = (numbers[:, loops.R_READ + i] for i in range(4))
    memory = reads / 8 * prices[:, 0] + writes / 8 * prices[:, 1] + (read + write) / 8 * prices[:, 2]
    return {
        "fits": numbers[:, loops.R_CYCLES] > 0,
        "cycles": numbers[:, loops.R_CYCLES],
        "core_cycles": core_cycles,
        "dram_read_bytes": read // 8,
        "dram_write_bytes": write // 8,
        "buffer_read_bytes": reads // 8,
        "buffer_write_bytes": writes // 8,
        "memory_pj": memory,
        "energy_pj": energy_pj,
    }
