"""What a model costs at some widths on a target, as a record."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from costmodel.errors import CostModelError, UnknownTable
from costmodel.hardware.accelerator import Accelerator
from costmodel.hardware.occupancy import (
    Area,
    area_of,
    available,
    check_fits,
    memory_prices,
    resources,
    resources_how,
)
from costmodel.hardware.pe import PeWidths
from costmodel.hardware.registers import registers_how
from costmodel.mapping.cost import (
    PARTS,
    Cost,
    critical_path_cycles,
    interpolated,
    local_bytes,
    moved_bytes,
    price,
)
from costmodel.mapping.fusion import plan_groups
from costmodel.mapping.pe_widths import pe_widths
from costmodel.mapping.steps import Schedule, Step
from costmodel.mapping.works import price_work
from costmodel.records import OPTIONAL, flat
from costmodel.technology.loading import load_table
from costmodel.technology.tables import Energy, add_up
from costmodel.widths.assign import Typed, width_counts

# Widths


@dataclass(frozen=True)
class MayOverflow:
    """Sums that an accumulator might not hold."""

    op: str
    exact_bits: int
    accumulator_bits: int


@dataclass(frozen=True)
class ArithmeticEnergy:
    """Energy of all arithmetic at the widths of each value, under one table."""

    energy_pj: Energy | None  # None where a price lacks
    interpolated: tuple[str, ...]  # operations whose width the table lacks
    missing: Annotated[str | None, OPTIONAL] = None


@dataclass(frozen=True)
class WidthsRecord:
    """Operations by width."""

    policy: str
    counts: dict[str, dict[str, int]]  # by operation, then by type
    may_overflow: tuple[MayOverflow, ...]
    energy_pj: dict[str, ArithmeticEnergy]  # by table


def widths_record(typed: Typed, tables: Iterable[str]) -> WidthsRecord:
    """Counts by operation and width, sums that an accumulator might not hold, energy under each table."""
    counts: dict[str, dict[str, int]] = {}
    for (op, kind), n in sorted(width_counts(typed).items()):
        counts.setdefault(op, {})[kind] = n
    overflows = {(o.op, o.exact_bits, o.accumulator_bits) for o in typed.overflows}
    return WidthsRecord(
        policy=typed.policy.name,
        counts=counts,
        may_overflow=tuple(MayOverflow(*found) for found in sorted(overflows)),
        energy_pj={name: arithmetic_energy(typed, name) for name in tables},
    )


def arithmetic_energy(typed: Typed, table_name: str) -> ArithmeticEnergy:
    table = load_table(table_name)
    works = [work for node in typed.work for work in node]
    try:
        return ArithmeticEnergy(add_up([price_work(table, works)]), interpolated(table, works))
    except CostModelError as error:
        return ArithmeticEnergy(None, (), str(error))


# Machine


@dataclass(frozen=True)
class Moved:
    """Bytes at each level."""

    dram_read: int
    dram_write: int
    buffer_read: int
    buffer_write: int
    # Of the local memory in which sums lie, where the target has one.
    local_read: Annotated[int | None, OPTIONAL] = None
    local_write: Annotated[int | None, OPTIONAL] = None

    @property
    def dram(self) -> int:
        return self.dram_read + self.dram_write


@dataclass(frozen=True)
class PartEnergies:
    """Energy by part of the machine; None where nothing is published for the target."""

    array: Energy | None
    registers: Energy | None  # None too where the table has no row for one: not part of the total
    vector: Energy | None
    buffer: Energy | None
    dram: Energy | None
    total: Energy | None
    local: Annotated[Energy | None, OPTIONAL] = None  # of the local memory, where the target has one


@dataclass(frozen=True)
class AreaRecord:
    """Square millimetres of an ASIC."""

    pe: float
    vector: float
    buffer: float
    total: float
    local: Annotated[float | None, OPTIONAL] = None  # of the local memory, where the target has one


@flat
@dataclass(frozen=True)
class Resource:
    """What is used of an FPGA's resource; its JSON is [used, usable]."""

    used: int
    usable: int


@dataclass(frozen=True)
class StepRecord:
    """One step of a schedule."""

    op: str
    module: str
    start_cycle: int
    cycles: int
    array_cycles: int
    vector_cycles: int
    dma_cycles: int
    read_port_cycles: int  # of the buffer
    write_port_cycles: int
    tile: str
    buffer_bytes: int  # that its tiles occupy
    kept_bytes: int  # of activations that wait in the buffer meanwhile
    bytes: Moved
    energy_pj: Energy | None
    each_array_cycles: Annotated[tuple[int, ...] | None, OPTIONAL] = None  # of each array, where there are several
    # Of the local memory in which sums lie, where the target has one.
    local_read_cycles: Annotated[int | None, OPTIONAL] = None  # of its ports
    local_write_cycles: Annotated[int | None, OPTIONAL] = None
    local_bytes: Annotated[int | None, OPTIONAL] = None  # that sums occupy


@dataclass(frozen=True)
class MachineRecord:
    """One model on one target."""

    target: str
    timing: str
    objective: str  # what mappings are chosen by
    array: str
    dataflow: str
    cycles: int
    seconds: float
    core_cycles: int  # of the attention core
    roofline_cycles: int  # no schedule takes fewer
    critical_path_cycles: int
    stall_cycles: int  # in which neither array nor vector unit has work
    utilisation: float
    bytes: Moved
    core_bytes: Moved
    largest_tiles_bytes: int
    largest_kept_bytes: int
    energy_pj: PartEnergies
    core_energy_pj: PartEnergies
    energy_by_layer_pj: dict[str, Energy | None]
    energy_by_op_pj: dict[str, Energy | None]
    energy_delay_js: float | None
    area_mm2: AreaRecord | None  # None for an FPGA
    area_how: str | None  # how area or resources are known, or why not
    resources: dict[str, Resource]  # of an FPGA
    on_vector_unit: tuple[str, ...]  # steps with products that no PE does
    unfused_cores: int  # attention cores that run op by op: in one pass they do not fit the buffer, or take more
    interpolated: tuple[str, ...]  # operations whose width the table lacks
    memory_prices: tuple[str, ...]  # how they are known
    registers_how: str  # whether the table prices registers of PEs
    steps: tuple[StepRecord, ...]
    each_utilisation: Annotated[tuple[float, ...] | None, OPTIONAL] = (
        None  # of each array, where there are several
    )


def machine_record(typed: Typed, planned: Schedule) -> MachineRecord:
    """Cycles, bytes, energy, area of one model on one target."""
    target = planned.target
    cost = price(typed, planned)
    core = cost.core_places
    widths = pe_widths(typed, target)
    check_fits(target, widths)
    area, area_how = known_area(target, widths)
    memories = memory_prices(target)
    usable = available(target.part) if target.part else {}
    return MachineRecord(
        target=target.name,
        timing=planned.convention,
        objective=planned.objective,
        array=target.array_names,
        dataflow=target.dataflow_names,
        cycles=cost.cycles,
        seconds=cost.seconds,
        core_cycles=sum(planned.steps[i].cycles for i in core),
        roofline_cycles=cost.roofline_cycles,
        critical_path_cycles=critical_path_cycles(planned, typed),
        stall_cycles=sum(step.stall_cycles for step in planned.steps),
        utilisation=cost.utilisation,
        bytes=moved(planned.steps, target),
        core_bytes=moved((planned.steps[i] for i in core), target),
        largest_tiles_bytes=max(step.buffer_bytes for step in planned.steps),
        largest_kept_bytes=max(step.kept_bytes for step in planned.steps),
        energy_pj=part_energies(cost),
        core_energy_pj=part_energies(cost, core),
        energy_by_layer_pj=cost.by_layer(),
        energy_by_op_pj=cost.by_op(),
        energy_delay_js=cost.energy_delay_js,
        area_mm2=None if area is None else area_record(area),
        area_how=area_how,
        resources={name: Resource(n, usable[name]) for name, n in resources(target, widths).items()},
        on_vector_unit=tuple(sorted({s.op for s in planned.steps if s.pairs and not s.array_work})),
        unfused_cores=all_cores(typed) - fused_cores(planned),
        interpolated=cost.interpolated,
        registers_how=registers_how(target),
        memory_prices=() if memories is None else memories.how,
        steps=tuple(step_record(cost, i) for i in range(len(planned.steps))),
        each_utilisation=tuple(map(cost.utilisation_of, range(len(target.arrays)))) if target.more else None,
    )


def all_cores(typed: Typed) -> int:
    """Attention cores that run in one pass where a block of their rows fits."""
    return sum(group.kind == "core" for group in plan_groups(typed).groups)


def fused_cores(planned: Schedule) -> int:
    """Attention cores that do run in one pass."""
    return sum(step.kind == "core" for step in planned.steps)


def known_area(target: Accelerator, widths: PeWidths) -> tuple[Area | None, str]:
    """Area of an ASIC, and how area or resources are known; or why they are not."""
    if target.part:
        return None, resources_how(target, widths)
    try:
        area = area_of(target, widths)
    except UnknownTable as error:
        return None, str(error)
    return area, "" if area is None else area.how


def moved(steps: Iterable[Step], target: Accelerator) -> Moved:
    steps = tuple(steps)
    local = local_bytes(steps) if target.local_bytes else {}
    return Moved(**moved_bytes(steps), **local)


def part_energies(cost: Cost, only: tuple[int, ...] | None = None) -> PartEnergies:
    """Of all steps, or of those at some places."""
    each = {part: cost.sum_of([part], only) for part in PARTS}
    return PartEnergies(**each, total=cost.sum_of(PARTS, only))


def area_record(area: Area) -> AreaRecord:
    return AreaRecord(area.pe_mm2, area.vector_mm2, area.buffer_mm2, area.total_mm2, area.local_mm2 or None)


def step_record(cost: Cost, i: int) -> StepRecord:
    step, target = cost.schedule.steps[i], cost.schedule.target
    return StepRecord(
        op=step.op,
        module=step.module,
        start_cycle=step.start_cycle,
        cycles=step.cycles,
        array_cycles=step.array_cycles,
        vector_cycles=step.vector_cycles,
        dma_cycles=step.dma_cycles,
        read_port_cycles=step.read_port_cycles,
        write_port_cycles=step.write_port_cycles,
        tile=step.tile,
        buffer_bytes=step.buffer_bytes,
        kept_bytes=step.kept_bytes,
        bytes=moved([step], target),
        energy_pj=cost.energies[i].total(),
        each_array_cycles=each_array_cycles(step, target),
        local_read_cycles=step.local_read_cycles if target.local_bytes else None,
        local_write_cycles=step.local_write_cycles if target.local_bytes else None,
        local_bytes=step.local_bytes if target.local_bytes else None,
    )


def each_array_cycles(step: Step, target: Accelerator) -> tuple[int, ...] | None:
    """Cycles of each array in a step; None where there is one."""
    found = dict(step.each_cycles)
    return tuple(found.get(place, 0) for place in range(len(target.arrays))) if target.more else None
