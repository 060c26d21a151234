"""A report on one screen: the verdict in sentences, one table with what matters, where to look further."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from costmodel.compare.machine import MachineRecord
from costmodel.compare.ratios import share
from costmodel.compare.records import ReportColumn, ReportRecord
from costmodel.hardware.accelerator import Accelerator
from costmodel.show.accuracy_tables import accuracy_notes
from costmodel.show.document import SCREEN, Document, folded
from costmodel.show.grid import Grid, shown, sizes_of
from costmodel.show.length_lines import length_lines, unfused_lines
from costmodel.show.machine_tables import machines_of, overflow_lines, vector_unit_lines
from costmodel.show.plots import compact
from costmodel.show.report_tables import report_grids, report_notes, report_rows
from costmodel.show.verdict_lines import arithmetic_of, lead_lines, short_names
from costmodel.technology.tables import Energy

LONGEST_NAME = 16  # of a mechanism in the head of a column
MOST_LINES = 3  # of one kind of note
LONGEST_MODEL = 40
UNITS = ((1e12, "J"), (1e9, "mJ"), (1e6, "µJ"))  # in pJ


def report_document(record: ReportRecord, target: Accelerator | None, details: bool = False) -> Document:
    """One screen, or with details every table and note."""
    names = screen_names(record.columns)
    rows, lead = report_rows(record), folded(lead_lines(record, names))
    if details:
        return Document(tuple(report_grids(record)), tuple(report_notes(record, target)), rows, lead)
    return Document((main_grid(record, names),), folded(screen_notes(record, names)), rows, lead)


def screen_names(columns: Sequence[ReportColumn]) -> list[str]:
    """Names short enough for the head of a column, each of its own; a note tells which is which."""
    names = short_names(columns)
    if max(map(len, names)) <= LONGEST_NAME:
        return names
    short = [name.split(":")[0][:LONGEST_NAME] for name in names]
    return [name if short.count(name) == 1 else f"{name} ({n})" for n, name in enumerate(short, 1)]


# The table


def main_grid(record: ReportRecord, names: Sequence[str]) -> Grid:
    """One line a figure that matters; the more mechanisms there are, the shorter the numbers."""
    title, head = main_title(record), ("", *names)
    for style in STYLES:
        grid = Grid(title, head, tuple(main_rows(record, style)))
        if width_of(grid) <= SCREEN:
            break
    return grid


@dataclass(frozen=True)
class Style:
    """How numbers are written."""

    number: Callable[[int], str]
    apart: bool  # the ends of a range on lines of their own


STYLES = (Style(shown, False), Style(compact, False), Style(compact, True))


def width_of(grid: Grid) -> int:
    """Characters of a line of the table on a terminal."""
    widths = [max(len(row[i]) for row in (grid.head, *grid.rows)) for i in range(len(grid.head))]
    return sum(widths) + 3 * (len(widths) - 1) + 2  # between columns, and at the edges


def main_title(record: ReportRecord) -> str:
    first = record.columns[0]
    subject, machine = first.count.subject, first.machine
    kind = first.widths.policy if first.widths else subject.dtype
    model = subject.model if len(subject.model) <= LONGEST_MODEL else f"...{subject.model[-LONGEST_MODEL:]}"
    title = f"{model}, {sizes_of(subject.batch, subject.seq)}{kind}"
    if machine:
        title += f" on {machine.target} ({machine.array} PEs, {machine.dataflow}, "
        timing = "" if machine.timing == "array" else f"timing {machine.timing}, "
        title += f"{timing}least {machine.objective})"
    return title + ("" if record.complete else "  INCOMPLETE")


def main_rows(record: ReportRecord, style: Style) -> list[tuple[str, ...]]:
    """Counts, then what a machine takes or the energy under each table, then accuracy."""
    number = style.number
    columns, machines = record.columns, machines_of(record.columns)
    counts = [c.count for c in columns]
    core = [share(c.attention_core.counts["mul"], c.counts["mul"]) for c in counts]
    rows = [
        ("multiplications", *(number(c.counts["mul"]) for c in counts)),
        ("  in the attention core", *core),
        ("additions", *(number(c.counts["add"]) for c in counts)),
    ]
    if machines:
        rows += machine_lines(machines, style)
    else:
        rows.append(("exponentials", *(number(c.counts["exp"]) for c in counts)))
        for table in columns[0].energy_pj:
            energies = [arithmetic_of(c)[table] for c in columns]
            rows += energy_lines(f"arithmetic under {table.rpartition('/')[2]}", energies, style)
    return rows + accuracy_lines(record, style)


def machine_lines(machines: Sequence[MachineRecord], style: Style) -> list[tuple[str, ...]]:
    """What the machine takes; energy only where it is published."""
    number = style.number
    return [
        ("cycles", *(number(m.cycles) for m in machines)),
        ("  in the attention core", *(share(m.core_cycles, m.cycles) for m in machines)),
        ("milliseconds", *(f"{1e3 * m.seconds:.4g}" for m in machines)),
        *energy_lines("energy", [m.energy_pj.total for m in machines], style),
        ("bytes from and to DRAM", *(number(m.bytes.dram) for m in machines)),
    ]


def energy_lines(label: str, energies: Sequence[Energy | None], style: Style) -> list[tuple[str, ...]]:
    """Nominal energies, and below them their ranges, in the unit that suits them."""
    known = [e for e in energies if e is not None]
    if not known:
        return [(label, *("no row" for _ in energies))] if label != "energy" else []
    most = max(e.high_pj for e in known)
    scale, unit = next((each for each in UNITS if most >= 10 * each[0]), UNITS[-1])

    def number(value: float) -> str:
        x = value / scale
        return f"{x:,.0f}".replace(",", " ") if x >= 10_000 else f"{x:.4g}"

    nominal = ("no row" if e is None else number(e.nominal_pj) for e in energies)
    lines = [(f"{label}, {unit}", *nominal)]
    if any(e.low_pj != e.high_pj for e in known):
        ends = [None if e is None else (number(e.low_pj), number(e.high_pj)) for e in energies]
        lines += range_lines("low to high", ends, style)
    return lines


def range_lines(label: str, ends: Sequence[tuple[str, str] | None], style: Style) -> list[tuple[str, ...]]:
    """Both ends of each range on one line, or on two."""
    if not style.apart:
        return [(f"  {label}", *("" if e is None else f"{e[0]} to {e[1]}" for e in ends))]
    return [
        (f"  {label}, {end}", *("" if e is None else e[i] for e in ends)) for i, end in enumerate(("from", "to"))
    ]


def accuracy_lines(record: ReportRecord, style: Style) -> list[tuple[str, ...]]:
    """The primary metric in each arithmetic, in %."""
    found = record.accuracy
    if not found:
        return []
    rows = []
    for kind, first in found[0].results.items():
        metric = next(iter(first.metrics))
        each = [e.results.get(kind) for e in found]
        values = ("-" if r is None else f"{100 * r.metrics[metric]:.1f}" for r in each)
        ends = [None if r is None else (f"{100 * r.interval[0]:.1f}", f"{100 * r.interval[1]:.1f}") for r in each]
        rows += [(f"{metric} in {kind}, %", *values), *range_lines("95 % interval", ends, style)]
    return rows


# Notes


def screen_notes(record: ReportRecord, names: Sequence[str]) -> list[str]:
    """What must be known beside the table, then where the rest is."""
    columns = record.columns
    renamed = [f"{n} is {c.attention}" for n, c in zip(names, columns, strict=True) if n != c.attention]
    lines = ["; ".join(renamed) + "."] if renamed else []
    lines += capped(length_lines(record, names), "comparisons over lengths")
    lines += capped(unfused_lines(record, names), "warnings")
    lines += capped(warnings_of(record, names), "warnings")
    lines.append(basis_line(record))
    lines += accuracy_notes(record.accuracy) if record.accuracy else []
    unknown = list(dict.fromkeys(call for c in columns for call in c.count.unknown))
    if unknown:
        lines.append("INCOMPLETE: these calls have no count rule and count nothing:")
        lines += capped([f"  {call}" for call in unknown], "calls")
    return [*lines, where_to_look(record)]


def capped(lines: Sequence[str], what: str) -> list[str]:
    """The first few lines, and how many more there are."""
    more = len(lines) - MOST_LINES
    return [*lines[:MOST_LINES], *([f"{more} more {what}: `details=True` shows all."] if more > 0 else [])]


def warnings_of(record: ReportRecord, names: Sequence[str]) -> list[str]:
    """What a table lacks, what no PE does, what may overflow."""
    lines = []
    for name, c in zip(names, record.columns, strict=True):
        if c.machine:
            lines += vector_unit_lines(name, c.machine)
        else:
            found = c.widths.energy_pj if c.widths else c.energy_pj
            missing = (e.missing for t, e in found.items() if arithmetic_of(c)[t] is None)
            lines += [f"{name}: {text}." for text in missing if text]
        lines += overflow_lines(name, c.widths) if c.widths else []
    return lines


def basis_line(record: ReportRecord) -> str:
    """What the energies are of."""
    machine = record.columns[0].machine
    if machine is None:
        return "Energy is an estimate of the arithmetic alone: no memory, register, control or wire."
    if machine.energy_pj.total is None:
        return "No energy of arithmetic or buffers is published for this target: none is given."
    if machine.energy_pj.registers is None:
        text = "Energy is an estimate of arithmetic, buffer and DRAM: no clock, wire, leakage or idle PE."
        text += f" Registers of PEs are {machine.registers_how}."
    else:
        text = "Energy is an estimate of arithmetic, registers of PEs, buffer and DRAM: no clock, wire or leakage."
    flags = {f for c in record.columns if c.machine for f in c.machine.interpolated}
    return text + (f" {len(flags)} prices are interpolated between published widths." if flags else "")


def where_to_look(record: ReportRecord) -> str:
    machine = record.columns[0].machine is not None
    where = (
        "every operation, bytes and energy by part, area, " if machine else "every operation, bytes, operands, "
    )
    return (
        f"More: `details=True` prints {where}the verdict under each table and all sources; "
        "`form=json` has every figure; `html` draws a page."
    )
