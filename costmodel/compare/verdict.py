"""Attention mechanisms side by side: what changed, and the energy of each over that of the first."""

from __future__ import annotations

from collections.abc import Sequence

from costmodel.compare.ratios import Ratio, ratio_of, share
from costmodel.compare.records import ReportColumn, ReportRecord, Verdict
from costmodel.counting.energy import TableEnergy
from costmodel.technology.tables import Energy


def report_record(columns: Sequence[ReportColumn]) -> ReportRecord:
    """The columns with what follows from them."""
    return ReportRecord(
        columns=tuple(columns),
        summary=summarise(columns),
        verdict=verdict_over_columns(columns),
        complete=all(c.count.complete for c in columns),
    )


def verdict_over_columns(columns: Sequence[ReportColumn]) -> tuple[Verdict, ...]:
    """Energy of each other column over the first, under every table; memory is operand traffic."""
    first, *others = columns
    found = []
    for i, other in enumerate(others, 1):
        for table, before in first.energy_pj.items():
            after = other.energy_pj[table]
            found.append(
                Verdict(
                    table=table,
                    column=i,
                    attention=other.attention,
                    over=first.attention,
                    core_arithmetic=operand_ratio(before, after, core=True, memory=False),
                    model_arithmetic=operand_ratio(before, after, core=False, memory=False),
                    core_with_memory=operand_ratio(before, after, core=True, memory=True),
                    model_with_memory=operand_ratio(before, after, core=False, memory=True),
                )
            )
    return tuple(found)


def operand_ratio(before: TableEnergy, after: TableEnergy, core: bool, memory: bool) -> Ratio | None:
    """One energy over another under the same table; None where that has no price."""

    def parts(found: TableEnergy) -> dict[str, Energy] | None:
        arithmetic, operands = (
            (found.core_arithmetic, found.core_memory) if core else (found.arithmetic, found.memory)
        )
        if arithmetic is None or (memory and operands is None):
            return None
        each = found.core_parts if core else found.parts
        return {name: e for name, e in each.items() if memory or name != "memory"}

    one, two = parts(after), parts(before)
    return None if one is None or two is None else ratio_of(one, two)


def summarise(columns: Sequence[ReportColumn]) -> str:
    """One sentence: what changed from the first column to the others, and what no attention can save."""
    first, *others = columns
    subject = first.count.subject
    part = share(first.count.attention_core.counts["mul"], first.count.counts["mul"])
    at = f"At S={subject.seq} the" if subject.seq else "The"
    head = f"{at} attention core of {subject.attention} holds {part} of the multiplications of {subject.model}"
    if not others:
        return head + ", and no other attention can save more than that."
    changes = [change_of(first, other) for other in others]
    return f"{head}; " + "; ".join(changes) + "."


def change_of(first: ReportColumn, other: ReportColumn) -> str:
    """What the model takes with another mechanism."""

    def difference(name: str) -> str:
        a, b = first.count.counts[name], other.count.counts[name]
        if a and b > 2 * a:
            return f"{b / a:.1f} times the {name}"
        return f"{100 * (b - a) / a:+.1f} % {name}" if a else f"{b - a:+,} {name}"

    parts = [difference(name) for name in ("mul", "add", "cmp", "exp")]
    energies = []
    for table, energy in first.energy_pj.items():
        before, after = energy.arithmetic, other.energy_pj[table].arithmetic
        if before is None or after is None or not before.nominal_pj:
            continue
        a, b = before.nominal_pj, after.nominal_pj
        inner, outer = energy.core_arithmetic, other.energy_pj[table].core_arithmetic
        core = outer.nominal_pj / inner.nominal_pj if inner and outer and inner.nominal_pj else float("nan")
        energies.append(f"{100 * (b - a) / a:+.1f} % ({core:.2f} times in the core) under {table}")
    text = f"with {other.attention} the model takes {', '.join(parts)}"
    return text + (f", and its arithmetic {', '.join(energies)}" if energies else "")
