"""What a model costs on a target, side by side: tables and notes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from costmodel.compare.breakdown import LEVEL_LABELS, PART_LABELS
from costmodel.compare.machine import MachineRecord, StepRecord, WidthsRecord
from costmodel.compare.ratios import Ratio, share
from costmodel.compare.records import PriceRecord, ReportColumn, Verdict
from costmodel.compare.tables import disagreement
from costmodel.counting.records import CountRecord
from costmodel.hardware.accelerator import Accelerator
from costmodel.mapping.cost import PARTS
from costmodel.records import encode
from costmodel.show.document import Cell, Document, Row
from costmodel.show.grid import Grid, shown, sizes_of
from costmodel.technology.tables import Energy

# Cells


def microjoules(energy: Energy) -> str:
    """µJ, with the range where there is one."""
    nominal, low, high = (
        f"{e / 1e6:,.1f}".replace(",", " ") for e in (energy.nominal_pj, energy.low_pj, energy.high_pj)
    )
    return nominal if low == high else f"{nominal} ({low} to {high})"


def ratio_text(ratio: Ratio | None, digits: int = 2) -> str:
    if ratio is None:
        return "-"
    nominal, low, high = (f"{x:.{digits}f}" for x in (ratio.nominal, ratio.low, ratio.high))
    return f"{nominal} ({low} to {high})"


# Grids


def machines_of(columns: Sequence[ReportColumn]) -> list[MachineRecord]:
    return [c.machine for c in columns if c.machine is not None]


def machine_grids(names: Sequence[str], policy: str, machines: Sequence[MachineRecord]) -> list[Grid]:
    """Side by side: each figure, and the share of the attention core."""
    heads = ("", *(h for name in names for h in (name, "core")))
    first = machines[0]

    def line(label: str, cell: Callable[[MachineRecord], tuple[str, str]]) -> tuple[str, ...]:
        return (label, *(text for m in machines for text in cell(m)))

    def level(key: str) -> Callable[[MachineRecord], tuple[str, str]]:
        return lambda m: (
            shown(getattr(m.bytes, key)),
            share(getattr(m.core_bytes, key), getattr(m.bytes, key)),
        )

    def busy(place: int) -> Callable[[MachineRecord], tuple[str, str]]:
        return lambda m: (f"{100 * (m.each_utilisation or ())[place]:.1f} %", "")

    rows = [
        line("cycles", lambda m: (shown(m.cycles), share(m.core_cycles, m.cycles))),
        line("milliseconds", lambda m: (f"{1e3 * m.seconds:.3f}", "")),
        line("bound by the roofline", lambda m: (shown(m.roofline_cycles), "")),
        line("critical path", lambda m: (shown(m.critical_path_cycles), "")),
        line("stalled", lambda m: (shown(m.stall_cycles), "")),
        line("PEs busy", lambda m: (f"{100 * m.utilisation:.1f} %", "")),
        *(line(f"  of array {n + 1}", busy(n)) for n in range(len(first.each_utilisation or ()))),
        *(line(f"{key.replace('_', ' ')} B", level(key)) for key in levels_there(machines)),
    ]
    title = f"{policy} on {first.target}: {first.array} PEs, {first.dataflow}, "
    title += f"timing {first.timing}, least {first.objective}"
    products = line(
        "energy x delay, J s",
        lambda m: ("-" if m.energy_delay_js is None else f"{m.energy_delay_js:.3e}", ""),
    )
    return [
        Grid(title, heads, tuple(rows)),
        Grid("energy in µJ: nominal (low to high)", heads, (*energy_rows(machines), products)),
        size_grid(first),
    ]


def levels_there(machines: Sequence[MachineRecord]) -> dict[str, str]:
    """The levels of memory that the machines have."""
    return {
        key: label
        for key, label in LEVEL_LABELS.items()
        if any(getattr(m.bytes, key) is not None for m in machines)
    }


def energy_rows(machines: Sequence[MachineRecord]) -> list[tuple[str, ...]]:
    """By part of the target: energy, and the share of the attention core."""
    rows: list[tuple[str, ...]] = []
    for part in (*PARTS, "total"):
        if part == "local" and all(m.energy_pj.local is None for m in machines):
            continue
        cells: list[str] = []
        for m in machines:
            whole, core = getattr(m.energy_pj, part), getattr(m.core_energy_pj, part)
            cells += (
                ("-", "-") if whole is None else (microjoules(whole), share(core.nominal_pj, whole.nominal_pj))
            )
        rows.append((PART_LABELS.get(part, part), *cells))
    return rows


def size_grid(machine: MachineRecord) -> Grid:
    """Area of an ASIC, or resources of an FPGA."""
    if machine.resources:
        used = ((name.upper(), shown(r.used), shown(r.usable)) for name, r in machine.resources.items())
        return Grid("resources", ("", "used", "usable"), tuple(used))
    found: dict[str, float] = {} if machine.area_mm2 is None else encode(machine.area_mm2)
    return Grid("area in mm²", ("", "mm²"), tuple((name, f"{mm2:.3f}") for name, mm2 in found.items()))


def width_grid(names: Sequence[str], widths: Sequence[WidthsRecord]) -> Grid:
    """Counts by operation and width."""
    keys = sorted({(op, kind) for w in widths for op, kinds in w.counts.items() for kind in kinds})
    rows = tuple(
        (f"{op} {kind}", *(shown(w.counts.get(op, {}).get(kind, 0)) for w in widths)) for op, kind in keys
    )
    return Grid(f"operations by width, {widths[0].policy}", ("", *names), rows)


def verdict_grid(title: str, verdicts: Sequence[Verdict], memory: str) -> Grid:
    """Below 1 the other mechanism takes less energy than the first."""
    head = ("", "table", "core, arithmetic", "model, arithmetic", f"core, {memory}", f"model, {memory}")
    rows = []
    for v in verdicts:
        ratios = (v.core_arithmetic, v.model_arithmetic, v.core_with_memory, v.model_with_memory)
        rows.append((f"{v.attention} / {v.over}", v.table, *map(ratio_text, ratios)))
    return Grid(title, head, tuple(rows))


# Notes


def core_line(count: CountRecord, machine: MachineRecord) -> str:
    """What the attention core takes on the target: the most that another attention can save."""
    energy, core = machine.energy_pj.total, machine.core_energy_pj.total
    mul = share(count.attention_core.counts["mul"], count.counts["mul"])
    return (
        f"On {machine.target} the attention core of {count.subject.attention} takes "
        f"{share(machine.core_cycles, machine.cycles)} of the cycles"
        + (f", {share(core.nominal_pj, energy.nominal_pj)} of the energy" if energy and core else "")
        + f" and {mul} of the multiplications: no other attention can save more than that."
    )


def machine_notes(
    names: Sequence[str],
    widths: Sequence[WidthsRecord],
    machines: Sequence[MachineRecord],
    verdicts: Sequence[Verdict],
    target: Accelerator,
) -> list[str]:
    """What was estimated, and what is missing."""
    first = machines[0]
    lines = disagreement(verdicts)
    lines += [f"{v.table}: {v.missing}." for v in verdicts if v.missing and v.column == 1]
    for name, w, m in zip(names, widths, machines, strict=True):
        lines += [*vector_unit_lines(name, m), *overflow_lines(name, w)]
    flags = sorted({f for m in machines for f in m.interpolated})
    if flags:
        lines.append(f"Interpolated widths ({target.table}): {', '.join(flags)}.")
    lines += [f"Estimate, {how}." for how in first.memory_prices]
    if first.area_how:
        lines.append(f"{area_line(first)}: {first.area_how}.")
    lines.append(f"{target.name}: {target.title}. {target.source}. {target.note}.")
    if not target.table:
        lines.append("No energy of arithmetic or buffers is published for this target: none is given.")
    lines.append(
        f"Registers of PEs are {first.registers_how}. Clocks, wires, leakage and idle PEs are not modelled."
    )
    return lines


def area_line(machine: MachineRecord) -> str:
    if machine.resources:
        return "Resources are an estimate"
    return "Area is not known" if machine.area_mm2 is None else "Area is an estimate"


def vector_unit_lines(name: str, machine: MachineRecord) -> list[str]:
    """Products that no PE does."""
    if not machine.on_vector_unit:
        return []
    units = ", ".join(machine.on_vector_unit)
    return [f"{name}: the vector unit does {units}, because no PE of {machine.target} can."]


def overflow_lines(name: str, widths: WidthsRecord) -> list[str]:
    return [
        f"{name}: sums of {o.op} take {o.exact_bits} bits and may overflow accumulators of {o.accumulator_bits}."
        for o in widths.may_overflow
    ]


def width_notes(names: Sequence[str], widths: Sequence[WidthsRecord]) -> list[str]:
    """Energy of the arithmetic at these widths, where no target is given."""
    lines = []
    for name, w in zip(names, widths, strict=True):
        for table, found in w.energy_pj.items():
            if found.energy_pj is None:
                lines.append(f"{name}: {found.missing}.")
                continue
            flags = f"; interpolated: {', '.join(found.interpolated)}" if found.interpolated else ""
            lines.append(f"{name}: arithmetic {microjoules(found.energy_pj)} µJ under {table}{flags}.")
    return lines


# A price


def price_document(record: PriceRecord, count: CountRecord, target: Accelerator | None) -> Document:
    """One model: its steps on a target, or its operations by width."""
    names, widths = [record.attention], [record.widths]
    title = f"{record.model}, {sizes_of(record.batch, record.seq)}"
    if record.machine is None or target is None:
        grid = width_grid(names, widths)
        by_width: tuple[Row, ...] = tuple(
            {"op": op, "type": kind, "operations": n}
            for op, kinds in record.widths.counts.items()
            for kind, n in kinds.items()
        )
        notes = [*width_notes(names, widths), *overflow_lines(record.attention, record.widths)]
        return Document((replace(grid, title=title + grid.title),), tuple(notes), by_width)
    machines = [record.machine]
    first, *others = machine_grids(names, record.widths.policy, machines)
    notes = [core_line(count, record.machine), *machine_notes(names, widths, machines, (), target)]
    rows = tuple(map(step_row, record.machine.steps))
    return Document((replace(first, title=title + first.title), *others), tuple(notes), rows)


def step_row(step: StepRecord) -> Row:
    """A step of a schedule as one row; energy nominal."""
    row: dict[str, Cell] = {
        "op": step.op,
        "module": step.module,
        "start_cycle": step.start_cycle,
        "cycles": step.cycles,
        "array_cycles": step.array_cycles,
        **{f"array{n}_cycles": cycles for n, cycles in enumerate(step.each_array_cycles or (), 1)},
        "vector_cycles": step.vector_cycles,
        "dma_cycles": step.dma_cycles,
        "read_port_cycles": step.read_port_cycles,
        "write_port_cycles": step.write_port_cycles,
        "tile": step.tile,
        "buffer_bytes": step.buffer_bytes,
        "kept_bytes": step.kept_bytes,
    }
    local = ("local_read_cycles", "local_write_cycles", "local_bytes")
    row |= {name: getattr(step, name) for name in local if getattr(step, name) is not None}
    levels = {f"{level}_bytes": getattr(step.bytes, level) for level in LEVEL_LABELS}
    row |= {name: bytes_ for name, bytes_ in levels.items() if bytes_ is not None}
    return row | {"energy_pj": None if step.energy_pj is None else step.energy_pj.nominal_pj}
