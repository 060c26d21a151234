"""Mechanisms side by side: all tables, notes, and the same figures as flat rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from costmodel.compare.breakdown import LEVEL_LABELS
from costmodel.compare.ratios import share
from costmodel.compare.records import ReportColumn, ReportRecord
from costmodel.counting.energy import TableEnergy
from costmodel.hardware.accelerator import Accelerator
from costmodel.ops.counts import ARITHMETIC, LABELS
from costmodel.show.accuracy_tables import accuracy_grid, accuracy_notes
from costmodel.show.count_tables import incomplete_lines
from costmodel.show.document import Cell, Row
from costmodel.show.grid import Grid, shown, sizes_of
from costmodel.show.length_lines import length_grid, length_lines, length_rows, unfused_lines
from costmodel.show.machine_tables import (
    core_line,
    machine_grids,
    machine_notes,
    machines_of,
    overflow_lines,
    verdict_grid,
    width_grid,
    width_notes,
)
from costmodel.technology.loading import load_table
from costmodel.technology.tables import Energy, Table

OPERAND_PARTS = ("arithmetic", "memory", "total")


def report_grids(record: ReportRecord) -> list[Grid]:
    """Every table of a report."""
    names = [c.attention for c in record.columns]
    grids = [*count_grids(record), *(energy_grid(record.columns, t) for t in record.columns[0].energy_pj)]
    if record.verdict:
        title = "verdict: energy over that of the first, nominal (low to high)"
        grids.append(verdict_grid(title, record.verdict, "with operands"))
    widths, machines = [c.widths for c in record.columns if c.widths], machines_of(record.columns)
    if machines:
        grids += machine_grids(names, widths[0].policy, machines)
    elif widths:
        grids.append(width_grid(names, widths))
    if record.machine_verdict:
        title = "verdict over tables: energy over that of the first, at these widths"
        grids.append(verdict_grid(title, record.machine_verdict, "with memory"))
    if record.over_lengths:
        grids.append(length_grid(record))
    if record.accuracy:
        grids.append(accuracy_grid(record.accuracy))
    return grids


def count_grids(record: ReportRecord) -> list[Grid]:
    """Operations and bytes: of the whole model, and of that the part of the attention core."""
    counts = [c.count for c in record.columns]
    subject = counts[0].subject
    heads = ("", *(h for c in record.columns for h in (c.attention, "core")))
    title = f"{subject.model}, {sizes_of(subject.batch, subject.seq)}{subject.dtype}"
    title += "" if record.complete else "  INCOMPLETE"

    def line(label: str, pairs: Sequence[tuple[int, int | None]]) -> tuple[str, ...]:
        cells = []
        for whole, core in pairs:
            cells += [shown(whole), "-" if core is None or not whole else share(core, whole)]
        return (label, *cells)

    rows = []
    for name, label in LABELS.items():
        pairs = [(c.counts.get(name, 0), c.attention_core.counts.get(name, 0)) for c in counts]
        if any(whole for whole, _ in pairs) or name not in ("log", "trig"):
            rows.append(line(label, pairs))
    memory = (
        line("operand bytes", [(c.bytes.total, c.attention_core.bytes.total) for c in counts]),
        line("compulsory bytes", [(c.bytes.compulsory, None) for c in counts]),
        line("peak live bytes", [(c.bytes.peak_live, None) for c in counts]),
    )
    what = "operations, and the share of the attention core"
    return [Grid(f"{title}: {what}", heads, tuple(rows)), Grid("bytes", heads, memory)]


def energy_grid(columns: Sequence[ReportColumn], table: str) -> Grid:
    """Arithmetic in the model's own number type, and its operands one by one."""
    heads = ("", *(h for c in columns for h in (c.attention, "core")))
    found = [c.energy_pj[table] for c in columns]
    rows = []
    for part in OPERAND_PARTS:
        cells: list[str] = []
        for each in found:
            whole, core = parts_of(each, part)
            cells += (
                ["no row", "-"]
                if whole is None or core is None
                else [wide_microjoules(whole), core_share(core, whole)]
            )
        label = {"memory": f"operands in {found[0].operands_in}"}.get(part, part)
        rows.append((label, *cells))
    return Grid(f"energy in µJ under {table}: nominal (low to high)", heads, tuple(rows))


def parts_of(energy: TableEnergy, part: str) -> tuple[Energy | None, Energy | None]:
    """Of the whole model, and of the attention core."""
    return getattr(energy, part), getattr(energy, f"core_{part}")


def core_share(core: Energy, whole: Energy) -> str:
    return share(core.nominal_pj, whole.nominal_pj)


def wide_microjoules(energy: Energy) -> str:
    """µJ with its range, in three digits or whole."""
    nominal, low, high = map(in_microjoules, (energy.nominal_pj, energy.low_pj, energy.high_pj))
    return f"{nominal} ({low} to {high})"


def in_microjoules(picojoules: float) -> str:
    value = picojoules / 1e6
    return f"{value:,.0f}".replace(",", " ") if value >= 100 else f"{value:.3g}"


# Notes


def report_notes(record: ReportRecord, target: Accelerator | None) -> list[str]:
    """Every note of a report."""
    columns = record.columns
    names = [c.attention for c in columns]
    lines = [record.summary]
    for name, energy in columns[0].energy_pj.items():
        table = load_table(name)
        missing = f" {energy.missing}." if energy.missing else ""
        lines.append(f"{name}: {table.source}. {table.includes.capitalize()}.{missing}")
    lines.append("Energy is an estimate: no register, control, wire or reuse between operations.")
    lines += [line for name in columns[0].energy_pj for line in estimate_lines(load_table(name), columns)]
    for column in columns:
        lines += incomplete_lines(column.count.unknown)
    widths, machines = [c.widths for c in columns if c.widths], machines_of(columns)
    if machines and target is not None:
        lines.append(core_line(columns[0].count, machines[0]))
        lines += machine_notes(names, widths, machines, record.machine_verdict or (), target)
        lines += [*length_lines(record, names), *unfused_lines(record, names)]
    elif widths:
        lines += width_notes(names, widths)
        lines += [line for name, w in zip(names, widths, strict=True) for line in overflow_lines(name, w)]
    return lines + (accuracy_notes(record.accuracy) if record.accuracy else [])


def estimate_lines(table: Table, columns: Sequence[ReportColumn]) -> list[str]:
    """The table's own estimates of operations that occur and have no row in it."""
    priced = {row.op for row in table.ops}
    found = []
    for estimate in table.estimates:
        ops = [
            op
            for op in estimate.ops
            if op in ARITHMETIC and op not in priced and any(c.count.counts.get(op) for c in columns)
        ]
        if ops:
            unit = "pJ" if estimate.of == "pj" else f"times {estimate.of}"
            exact = estimate.low == estimate.high
            much = f"{estimate.low:g}" if exact else f"{estimate.low:g} to {estimate.high:g}"
            found.append(f"{', '.join(ops)} {much} {unit}")
    return [f"{table.name} has no row for some operations and estimates: {'; '.join(found)}."] if found else []


# Rows


def report_rows(record: ReportRecord) -> tuple[Row, ...]:
    """One row a figure and mechanism, and the attention core's part of it."""
    rows: list[Row] = []
    for i, column in enumerate(record.columns):
        add = adder(rows, column)
        count_rows(column, add)
        machine_rows(column, add)
        for verdict in record.verdict_of(i):
            for key in ("core_arithmetic", "model_arithmetic", "core_with_memory", "model_with_memory"):
                ratio = getattr(verdict, key)
                if ratio is not None:
                    label = f"{verdict.table} {key} over {verdict.over}"
                    add(label, "ratio", ratio.nominal, None, ratio.low, ratio.high)
        for kind, found in (record.accuracy[i].results if record.accuracy else {}).items():
            for n, (metric, value) in enumerate(found.metrics.items()):
                add(f"{metric} in {kind}", "share", value, None, *(found.interval if n == 0 else (None, None)))
        for figure, number, first, last in length_rows(record, column.attention):
            add(figure, "lengths S", number, None, first, last)
    return tuple(rows)


Add = Callable[..., None]


def adder(rows: list[Row], column: ReportColumn) -> Add:
    """A function that adds a row of one mechanism."""

    def add(figure: str, unit: str, value: Cell, core: Cell, low: Cell = None, high: Cell = None) -> None:
        rows.append(
            {
                "attention": column.attention,
                "figure": figure,
                "unit": unit,
                "value": value,
                "core": core,
                "low": low,
                "high": high,
                "complete": "yes" if column.count.complete else "INCOMPLETE",
            }
        )

    return add


def count_rows(column: ReportColumn, add: Add) -> None:
    """Operations, bytes, and energy under tables in the model's own type."""
    count, core = column.count, column.count.attention_core
    for name in ARITHMETIC:
        add(name, "operations", count.counts.get(name, 0), core.counts.get(name, 0))
    add("operand_read", "bytes", count.bytes.operand_read, core.bytes.operand_read)
    add("operand_write", "bytes", count.bytes.operand_write, core.bytes.operand_write)
    add("compulsory", "bytes", count.bytes.compulsory, None)
    add("peak_live", "bytes", count.bytes.peak_live, None)
    for table, energy in column.energy_pj.items():
        for part in OPERAND_PARTS:
            add_energy(add, f"{table} {part}", *parts_of(energy, part))


def machine_rows(column: ReportColumn, add: Add) -> None:
    """At widths, and on a target."""
    if column.widths:
        for table, found in column.widths.energy_pj.items():
            add_energy(add, f"{table} arithmetic in {column.widths.policy}", found.energy_pj, None)
    machine = column.machine
    if machine is None:
        return
    add("cycles", "cycles", machine.cycles, machine.core_cycles)
    add("time", "s", machine.seconds, None)
    for level in LEVEL_LABELS:
        if getattr(machine.bytes, level) is None:
            continue
        add(f"{level} on target", "bytes", getattr(machine.bytes, level), getattr(machine.core_bytes, level))
    for part in ("array", "vector", "local", "buffer", "dram", "total"):
        if part == "local" and machine.bytes.local_read is None:
            continue
        whole, core = getattr(machine.energy_pj, part), getattr(machine.core_energy_pj, part)
        add_energy(add, f"{part} on target", whole, core)
    if machine.area_mm2:
        add("area", "mm2", machine.area_mm2.total, None)
    for name, resource in machine.resources.items():
        add(f"{name} used", "units", resource.used, None)
        add(f"{name} usable", "units", resource.usable, None)


def add_energy(add: Add, figure: str, whole: Energy | None, core: Energy | None) -> None:
    if whole is None:
        add(figure, "pJ", None, None)
    else:
        add(figure, "pJ", whole.nominal_pj, None if core is None else core.nominal_pj, whole.low_pj, whole.high_pj)
