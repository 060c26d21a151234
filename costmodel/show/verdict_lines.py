"""What a report says in plain sentences: what is saved, where, how sure that is, and at what accuracy."""

from __future__ import annotations

from collections.abc import Sequence

from costmodel.compare.breakdown import PART_LABELS
from costmodel.compare.lengths import takes
from costmodel.compare.machine import MachineRecord
from costmodel.compare.ratios import share
from costmodel.compare.records import ReportColumn, ReportRecord
from costmodel.mapping.cost import LEFT_OUT, PARTS
from costmodel.show.grid import shown, sizes_of
from costmodel.show.machine_tables import microjoules
from costmodel.technology.tables import Energy

MOST_SURE = 2  # mechanisms of which the range of the verdict is told


def short_names(columns: Sequence[ReportColumn]) -> list[str]:
    """Mechanisms without their options, where that tells them apart."""
    names = [c.attention for c in columns]
    short = [name.split(":")[0] for name in names]
    return short if len(set(short)) == len(short) else names


def lead_lines(record: ReportRecord, names: Sequence[str]) -> list[str]:
    """The answer in a few sentences; `names` are those of the columns."""
    lines = [saved_line(record, names), where_line(record, names), sure_line(record, names)]
    return [line for line in (*lines, accuracy_line(record, names)) if line]


# What is saved


def saved_line(record: ReportRecord, names: Sequence[str]) -> str:
    """What the model takes with each other mechanism, against the first."""
    first, *others = record.columns
    subject = first.count.subject
    where = f"{first.widths.policy if first.widths else subject.dtype}"
    where += f" on {first.machine.target}" if first.machine else ""
    head = f"{subject.model} ({sizes_of(subject.batch, subject.seq)}{where})"
    if not others:
        return f"{head} takes {alone(first)} with {names[0]}."
    changes = [f"{change(first, c)} with {name}" for name, c in zip(names[1:], others, strict=True)]
    return f"Compared with {names[0]}, {head} takes {'; '.join(changes)}."


def alone(column: ReportColumn) -> str:
    """What one mechanism takes, where there is no other."""
    machine = column.machine
    if machine is None:
        return (
            f"{shown(column.count.flops)} operations, {shown(column.count.counts['mul'])} of them multiplications"
        )
    energy = machine.energy_pj.total
    text = f"{shown(machine.cycles)} cycles, {1e3 * machine.seconds:.3f} ms"
    return text + (f" and {microjoules(energy)} µJ" if energy else "")


def change(first: ReportColumn, other: ReportColumn) -> str:
    """Cycles and energy on a machine; else multiplications, and energy of the arithmetic under each table."""
    if first.machine and other.machine:
        text = changed(first.machine.cycles, other.machine.cycles, "fewer", "cycles")
        a, b = first.machine.energy_pj.total, other.machine.energy_pj.total
        return text + (f" and {changed_energy(a, b, 'energy')}" if a and b else "")
    text = changed(first.count.counts["mul"], other.count.counts["mul"], "fewer", "multiplications")
    parts = []
    for table, before in arithmetic_of(first).items():
        after = arithmetic_of(other)[table]
        if before and after and before.nominal_pj:
            parts.append(f"{changed_energy(before, after, 'energy of arithmetic')} under {table}")
    return ", ".join([text, *parts])


def changed_energy(before: Energy, after: Energy, what: str) -> str:
    return changed(before.nominal_pj, after.nominal_pj, "less", what)


def changed(before: float, after: float, less: str, what: str) -> str:
    """`0.3 % fewer cycles`, `3.1 times the cycles`, `as many cycles`."""
    said = takes(before, after)
    if said == "equal" or not before:
        return f"{'as many' if less == 'fewer' else 'the same'} {what}" if said == "equal" else f"more {what}"
    ratio = after / before
    if ratio > 2:
        return f"{ratio:.1f} times the {what}"
    percent = 100 * abs(ratio - 1)
    digits = f"{percent:.1f}" if percent >= 0.05 else f"{percent:.1g}"
    return f"{digits} % {less if said == 'less' else 'more'} {what}"


def arithmetic_of(column: ReportColumn) -> dict[str, Energy | None]:
    """Energy of all arithmetic by table: at the widths asked for, else in the model's own type."""
    if column.widths:
        return {table: found.energy_pj for table, found in column.widths.energy_pj.items()}
    return {table: found.arithmetic for table, found in column.energy_pj.items()}


# Where


def where_line(record: ReportRecord, names: Sequence[str]) -> str:
    """What attention is at most worth here, and which part of the machine changes most."""
    first = record.columns[0]
    subject, machine = first.count.subject, first.machine
    mul = share(first.count.attention_core.counts["mul"], first.count.counts["mul"])
    at = f"At S={subject.seq} the" if subject.seq else "The"
    text = f"{at} attention core of {names[0]} holds {mul} of the multiplications of {subject.model}"
    if machine:
        whole, core = machine.energy_pj.total, machine.core_energy_pj.total
        text += f", {share(machine.core_cycles, machine.cycles)} of the cycles"
        text += f" and {share(core.nominal_pj, whole.nominal_pj)} of the energy" if whole and core else ""
        text += f" on {machine.target}"
    text += ". No other attention can save more than that."
    for name, c in zip(names[1:2], record.columns[1:2], strict=True):
        if machine and c.machine:
            text += largest_change(machine, c.machine, name)
    return text


def largest_change(before: MachineRecord, after: MachineRecord, name: str) -> str:
    """The part of the machine whose energy changes most."""
    changes = []
    for part in PARTS:
        a, b = getattr(before.energy_pj, part), getattr(after.energy_pj, part)
        if part in LEFT_OUT and (a is None or b is None):
            continue
        if a is None or b is None:
            return ""
        changes.append((b.nominal_pj - a.nominal_pj, PART_LABELS[part]))
    most, label = max(changes, key=lambda each: abs(each[0]))
    if not most:
        return ""
    signed = f"{most / 1e6:+,.1f}".replace(",", " ")
    return f" With {name} the energy of the {label} changes most, by {signed} µJ."


# How sure


def sure_line(record: ReportRecord, names: Sequence[str]) -> str:
    """Over how many tables, and the ranges of their prices, that holds; of the first few mechanisms."""
    lines = [sure_of(record, i, names) for i in range(1, min(len(record.columns), MOST_SURE + 1))]
    more = len(record.columns) - 1 - MOST_SURE
    lines += [f"`details=True` has the verdict on {more} more."] if more > 0 else []
    return " ".join(line for line in lines if line)


def sure_of(record: ReportRecord, i: int, names: Sequence[str]) -> str:
    """One mechanism against the first: nominal ratios over tables, and where all ranges end."""
    found = record.verdict_of(i)
    core = [v.core_arithmetic for v in found if v.core_arithmetic]
    if not core:
        return ""
    ratios = [r.nominal for r in core]
    more = [v.table for v in found if v.core_arithmetic and v.core_arithmetic.nominal > 1]
    tables = "1 cost table" if len(core) == 1 else f"{len(core)} cost tables"
    first = record.columns[0]
    # Without a machine verdicts are of the model's own number type, whatever the widths.
    kind = f"In {first.count.subject.dtype} the" if first.widths and not first.machine else "The"
    text = f"{kind} arithmetic of the core of {names[i]} takes {span(ratios)} times the energy over {tables}"
    if more and len(more) < len(core):
        text += f" (more than {names[0]} under {', '.join(more)})"
    whole = [v.model_with_memory for v in found if v.model_with_memory]
    if whole:
        ends = [end for r in whole for end in (r.low, r.high)]
        memory = "on the machine" if record.machine_verdict else operands_text(record)
        text += f"; the model {memory} takes {span(ends)} times, at any prices within their ranges"
    return text + "."


def operands_text(record: ReportRecord) -> str:
    """The upper bound by its name."""
    where = {e.operands_in for e in record.columns[0].energy_pj.values()}
    return f"with every operand fetched from {' or '.join(sorted(where))}, an upper bound,"


def span(values: Sequence[float]) -> str:
    low, high = f"{min(values):.2f}", f"{max(values):.2f}"
    return low if low == high else f"{low} to {high}"


# Accuracy


def accuracy_line(record: ReportRecord, names: Sequence[str]) -> str:
    """Accuracy at the widths that are priced, with its 95 % interval."""
    found = record.accuracy
    if not found:
        return ""
    widths = record.columns[0].widths
    kind = widths.policy if widths and widths.policy in found[0].results else next(iter(found[0].results))
    metric = next(iter(found[0].results[kind].metrics))
    parts = []
    for name, each in zip(names, found, strict=True):
        got = each.results.get(kind)
        if got is not None:
            low, high = got.interval
            parts.append(f"{100 * got.metrics[metric]:.1f} % ({100 * low:.1f} to {100 * high:.1f}) with {name}")
    return f"{metric.capitalize()} on {found[0].task} in {kind}: {', '.join(parts)}."
