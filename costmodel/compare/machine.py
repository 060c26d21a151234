"""What a model costs at some widths on a target, as a record."""

from __future__ import annotations

from typing import Any

from costmodel.errors import CostModelError
from costmodel.hardware.occupancy import area_of, available, memory_prices, resources
from costmodel.mapping.cost import PARTS, Cost, critical_path_cycles, interpolated, moved_bytes, price, price_work
from costmodel.mapping.schedule import Schedule
from costmodel.technology.loading import load_table
from costmodel.technology.tables import Energy, add_up
from costmodel.widths.assign import Typed, width_counts


def span(energy: Energy | None) -> list[float] | None:
    """Nominal, low, high in pJ."""
    return None if energy is None else [energy.nominal_pj, energy.low_pj, energy.high_pj]


def widths_record(typed: Typed) -> dict[str, Any]:
    """Counts by operation and width, and sums that an accumulator might not hold."""
    counts: dict[str, dict[str, int]] = {}
    for (op, kind), n in sorted(width_counts(typed).items()):
        counts.setdefault(op, {})[kind] = n
    overflows = {(o.op, o.exact_bits, o.accumulator_bits) for o in typed.overflows}
    return {
        "policy": typed.policy.name,
        "counts": counts,
        "may_overflow": [
            {"op": op, "exact_bits": exact, "accumulator_bits": held} for op, exact, held in sorted(overflows)
        ],
    }


def machine_record(typed: Typed, planned: Schedule) -> dict[str, Any]:
    """Cycles, bytes, energy, area of one model on one target, as `--format json` prints them."""
    target = planned.target
    cost = price(typed, planned)
    core = cost.core_places
    core_cycles = sum(planned.steps[i].cycles for i in core)
    area = area_of(target)
    memories = memory_prices(target)
    used = resources(target)
    moved = moved_bytes(planned.steps)
    return {
        "target": target.name,
        "timing": planned.convention,
        "array": f"{target.array.R}x{target.array.C}",
        "dataflow": target.dataflow,
        "cycles": cost.cycles,
        "seconds": cost.seconds,
        "core_cycles": core_cycles,
        "roofline_cycles": cost.roofline_cycles,
        "critical_path_cycles": critical_path_cycles(planned, typed),
        "stall_cycles": sum(step.stall_cycles for step in planned.steps),
        "utilisation": cost.utilisation,
        "bytes": moved,
        "core_bytes": moved_bytes(planned.steps[i] for i in core),
        "largest_tiles_bytes": max(step.buffer_bytes for step in planned.steps),
        "largest_kept_bytes": max(step.kept_bytes for step in planned.steps),
        "energy_pj": {part: span(cost.sum_of([part])) for part in PARTS} | {"total": span(cost.energy)},
        "core_energy_pj": {part: span(cost.sum_of([part], core)) for part in PARTS}
        | {"total": span(cost.sum_of(PARTS, core))},
        "energy_by_layer_pj": {name: span(energy) for name, energy in cost.by_layer().items()},
        "energy_by_op_pj": {name: span(energy) for name, energy in cost.by_op().items()},
        "energy_delay_js": cost.energy_delay_js,
        "area_mm2": None
        if area is None
        else {"pe": area.pe_mm2, "vector": area.vector_mm2, "buffer": area.buffer_mm2, "total": area.total_mm2},
        "area_how": None if area is None else area.how,
        "resources": {name: [n, available(target.part)[name]] for name, n in used.items()} if target.part else {},
        "on_vector_unit": sorted({s.op for s in planned.steps if s.pairs and not s.array_work}),
        "interpolated": list(cost.interpolated),
        "memory_prices": [] if memories is None else list(memories.how),
        "steps": [step_record(cost, i) for i in range(len(planned.steps))],
    }


def step_record(cost: Cost, i: int) -> dict[str, Any]:
    step = cost.schedule.steps[i]
    return {
        "op": step.op,
        "module": step.module,
        "start_cycle": step.start_cycle,
        "cycles": step.cycles,
        "array_cycles": step.array_cycles,
        "vector_cycles": step.vector_cycles,
        "dma_cycles": step.dma_cycles,
        "tile": step.tile,
        "buffer_bytes": step.buffer_bytes,
        "kept_bytes": step.kept_bytes,
        "bytes": moved_bytes([step]),
        "energy_pj": span(cost.energies[i].total()),
    }


def arithmetic_record(typed: Typed, tables: tuple[str, ...]) -> dict[str, Any]:
    """Energy of the arithmetic at the widths of each value, under each table; None where a price lacks."""
    record: dict[str, Any] = {}
    works = [work for node in typed.work for work in node]
    for name in tables:
        table = load_table(name)
        try:
            energy: Energy | None = add_up([price_work(table, works)])
            record[name] = {"energy_pj": span(energy), "interpolated": list(interpolated(table, works))}
        except CostModelError as error:
            record[name] = {"energy_pj": None, "interpolated": [], "missing": str(error)}
    return record


def cycles_and_energy(typed: Typed, planned: Schedule) -> tuple[float, float | None]:
    """Cycles and nominal energy in pJ of one point."""
    energy = price(typed, planned).energy
    return planned.cycles, None if energy is None else energy.nominal_pj
