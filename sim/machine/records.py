"""A simulation as a record, as `costmodel simulate --format json` prints it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated

import numpy as np

from costmodel.compare.tables import NO_VERDICT
from costmodel.errors import UnknownTable
from costmodel.hardware.accelerator import Accelerator
from costmodel.mapping.cost import interpolated, roofline_cycles
from costmodel.mapping.steps import Schedule
from costmodel.records import INLINE, OPTIONAL
from costmodel.technology.loading import load_table, table_names
from costmodel.technology.tables import Table
from sim.integer.calibrate import Calibration
from sim.integer.program import Program
from sim.integer.run import real_of
from sim.integer.views import Array
from sim.machine.comparison import Difference, NodeError
from sim.machine.energy import Split, by_layer, energy_of
from sim.machine.events import Arithmetic, Events, sum_events, works_of
from sim.machine.execution import Executed, Execution


@dataclass(frozen=True)
class Simulated:
    """One run and what belongs to it."""

    model: str
    attention: str
    program: Program
    schedule: Schedule
    execution: Execution
    calibration: Calibration
    tables: tuple[str, ...]
    activity: bool
    shape: tuple[int, int]  # B, S
    keys: Array | None  # tokens of each row; None: all rows are full
    inputs: str  # what was asked for, in words
    errors: tuple[NodeError, ...] | None
    differences: tuple[Difference, ...] | None


@dataclass(frozen=True)
class Measurement:
    """What the ranges were measured on."""

    method: str
    sentences: int
    tokens: int
    weights: str  # digest


@dataclass(frozen=True)
class Logits:
    """Output of a model with a classification head, in full: real values [B,C], integers, and classes."""

    shape: tuple[int, ...]
    sha256: str  # of all integers
    logits: tuple[tuple[float, ...], ...]
    integers: tuple[tuple[int, ...], ...]
    label: tuple[int, ...]


@dataclass(frozen=True)
class Hidden:
    """Output of an encoder [B,S,D]: the first token of each row."""

    shape: tuple[int, ...]
    sha256: str  # of all integers
    first_token: tuple[tuple[float, ...], ...]
    first_token_integers: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class EventCounts:
    """What happened, of one step or of all."""

    array: dict[str, int]  # by operation and type
    vector: dict[str, int]
    pairs: int
    register_bits: int
    buffer_read_bits: int
    buffer_write_bits: int
    dram_read_bits: int
    dram_write_bits: int
    activity: float | None  # share of bits at PE ports that toggle; None where that was not watched
    each_pairs: Annotated[tuple[int, ...] | None, OPTIONAL] = None  # pairs by array, where there are several
    # Of the local memory in which sums lie, where the target has one.
    local_read_bits: Annotated[int | None, OPTIONAL] = None
    local_write_bits: Annotated[int | None, OPTIONAL] = None


@dataclass(frozen=True)
class Priced:
    """Energy under one table."""

    split: Annotated[Split, INLINE]
    interpolated: tuple[str, ...]  # operations whose width the table lacks


@dataclass(frozen=True)
class Unpriced:
    """A table that cannot price this run."""

    missing: str


@dataclass(frozen=True)
class StepRun:
    """One step as it ran."""

    op: str
    module: str
    start_cycle: int
    cycles: int
    array_cycles: int
    vector_cycles: int
    dma_cycles: int
    read_port_cycles: int  # of the buffer
    write_port_cycles: int
    buffer_bytes: int
    events: EventCounts
    each_array_cycles: Annotated[tuple[int, ...] | None, OPTIONAL] = None  # of each array, where there are several
    # Of the local memory in which sums lie, where the target has one.
    local_read_cycles: Annotated[int | None, OPTIONAL] = None  # of its ports
    local_write_cycles: Annotated[int | None, OPTIONAL] = None
    local_bytes: Annotated[int | None, OPTIONAL] = None  # that sums occupy


@dataclass(frozen=True)
class Exactness:
    """One value in integers against the same one in float64."""

    value: str
    type: str
    sqnr_db: float | None  # None where one of signal and error is 0
    max_error: float
    largest: float  # magnitude in floats


@dataclass(frozen=True)
class SimulationRecord:
    """One run in integers on one accelerator."""

    model: str
    attention: str
    batch: int
    seq: int
    tokens: int
    widths: str
    overflow: str
    target: str
    dataflow: str
    calibration: Measurement
    output: Logits | Hidden
    cycles: int
    seconds: float
    utilisation: float
    roofline_cycles: int
    events: EventCounts
    energy_pj: dict[str, Priced | Unpriced]  # by table, the one asked for or the target's own first
    energy_by_layer_pj: dict[str, Split]  # under the first table
    steps: tuple[StepRun, ...]
    errors: Annotated[tuple[Exactness, ...] | None, OPTIONAL]
    differences_from_analytic: Annotated[tuple[Difference, ...] | None, OPTIONAL]
    inputs: str
    each_utilisation: Annotated[tuple[float, ...] | None, OPTIONAL] = (
        None  # of each array, where there are several
    )

    @property
    def priced(self) -> dict[str, Priced]:
        """Tables that have a price for everything that happened."""
        return {name: found for name, found in self.energy_pj.items() if isinstance(found, Priced)}


def simulation_record(s: Simulated) -> SimulationRecord:
    """Everything that was found."""
    execution, target = s.execution, s.schedule.target
    total = sum_events(done.events for done in execution.steps)
    return SimulationRecord(
        model=s.model,
        attention=s.attention,
        batch=s.shape[0],
        seq=s.shape[1],
        tokens=int(s.shape[0] * s.shape[1] if s.keys is None else s.keys.sum()),
        widths=s.program.typed.policy.name,
        overflow=s.program.overflow,
        target=target.name,
        dataflow=target.dataflow_names,
        calibration=Measurement(
            s.calibration.method, s.calibration.sentences, s.calibration.tokens, s.calibration.weights
        ),
        output=output_record(s),
        cycles=execution.cycles,
        seconds=execution.seconds,
        utilisation=execution.utilisation,
        roofline_cycles=roofline_cycles(s.program.typed, s.schedule),
        events=event_counts(total, target),
        energy_pj={name: energy_record(s, total, load_table(name)) for name in tables_of(s)},
        energy_by_layer_pj=layer_records(s),
        steps=tuple(step_record(done, target) for done in execution.steps),
        errors=None if s.errors is None else tuple(error_record(e) for e in s.errors),
        differences_from_analytic=s.differences,
        inputs=s.inputs,
        each_utilisation=tuple(map(execution.utilisation_of, range(len(target.arrays)))) if target.more else None,
    )


def output_record(s: Simulated) -> Logits | Hidden:
    """Logits in full; of hidden states the first token of each row; and a digest of all integers."""
    integers = s.execution.output
    (i,) = s.program.typed.graph.outputs
    keys = np.full(s.shape[0], s.shape[1]) if s.keys is None else s.keys
    real = real_of(s.program, i, integers, keys)
    digest = sha256(np.ascontiguousarray(integers, np.int64).tobytes()).hexdigest()
    shape = tuple(integers.shape)
    if integers.ndim == 2:
        return Logits(shape, digest, rows_of(real), rows_of(integers), tuple(real.argmax(1).tolist()))
    return Hidden(shape, digest, rows_of(real[:, 0]), rows_of(integers[:, 0]))


def rows_of(x: Array) -> tuple[tuple[int, ...], ...]:
    """An array [N,M] as plain numbers."""
    return tuple(tuple(row) for row in x.tolist())


def event_counts(events: Events, target: Accelerator) -> EventCounts:
    arrays = len(target.arrays)
    return EventCounts(
        array=named(events.array),
        vector=named(events.vector),
        pairs=events.pairs,
        register_bits=events.register_bits,
        buffer_read_bits=events.buffer_read_bits,
        buffer_write_bits=events.buffer_write_bits,
        dram_read_bits=events.dram_read_bits,
        dram_write_bits=events.dram_write_bits,
        activity=events.activity,
        each_pairs=tuple(events.pairs_on[n] for n in range(arrays)) if arrays > 1 else None,
        local_read_bits=events.local_read_bits if target.local_bytes else None,
        local_write_bits=events.local_write_bits if target.local_bytes else None,
    )


def named(arithmetic: Arithmetic) -> dict[str, int]:
    return {f"{op} {kind}": n for (op, kind), n in sorted(arithmetic.items())}


def step_record(done: Executed, target: Accelerator) -> StepRun:
    """One step, on a target."""
    arrays, local = len(target.arrays), target.local_bytes > 0
    return StepRun(
        op=done.step.op,
        module=done.step.module,
        start_cycle=done.step.start_cycle,
        cycles=done.cycles,
        array_cycles=done.array_cycles,
        vector_cycles=done.vector_cycles,
        dma_cycles=done.dma_cycles,
        read_port_cycles=done.read_port_cycles,
        write_port_cycles=done.write_port_cycles,
        buffer_bytes=done.buffer_bytes,
        events=event_counts(done.events, target),
        each_array_cycles=tuple(dict(done.each_cycles).get(n, 0) for n in range(arrays)) if arrays > 1 else None,
        local_read_cycles=done.local_read_cycles if local else None,
        local_write_cycles=done.local_write_cycles if local else None,
        local_bytes=done.local_bytes if local else None,
    )


def error_record(e: NodeError) -> Exactness:
    return Exactness(e.name, e.type, e.sqnr_db if np.isfinite(e.sqnr_db) else None, e.max_error, e.largest)


def tables_of(s: Simulated) -> Sequence[str]:
    """The tables that were asked for, or the target's own and then all others that compare."""
    own = s.schedule.target.table
    names = tuple(name for name in table_names() if name not in NO_VERDICT and name != own)
    return s.tables or ((own, *names) if own else names)


def energy_record(s: Simulated, events: Events, table: Table) -> Priced | Unpriced:
    """Energy by part under one table, or what the table has no price for."""
    try:
        split = energy_of(events, s.schedule.target, table, s.activity)
    except UnknownTable as error:
        return Unpriced(str(error))
    return Priced(split, tuple(interpolated(table, works_of(events.array + events.vector))))


def layer_records(s: Simulated) -> dict[str, Split]:
    """Energy of each layer under the first table."""
    table = load_table(tables_of(s)[0])
    try:
        return by_layer(s.execution, s.schedule.target, table, s.activity)
    except UnknownTable:
        return {}
