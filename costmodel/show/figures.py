"""Records of a report as figures: counts, energy, traffic, verdict, accuracy. Sums and shares, nothing else.

What needs a schedule or a sweep is in `machine_figures.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

from costmodel.compare.breakdown import PART_LABELS
from costmodel.compare.evaluation import Evaluation
from costmodel.compare.machine import MachineRecord
from costmodel.compare.ratios import Ratio, share
from costmodel.compare.records import ReportColumn, ReportRecord, Verdict
from costmodel.ops.counts import LABELS
from costmodel.show.grid import Grid, shown
from costmodel.show.machine_tables import (
    energy_rows,
    levels_there,
    machines_of,
    microjoules,
    ratio_text,
)
from costmodel.show.plots import Bar, Mark, Panel, Picture, bars, full, ranges
from costmodel.show.report_tables import core_share, parts_of
from costmodel.show.verdict_lines import short_names
from costmodel.technology.loading import load_table
from costmodel.technology.tables import Energy

SHADES = (("whole", "the whole model"), ("core", "of it the attention core"))
RANGE = ("range", "low to high, where prices are known as ranges")
COUNTED = "Counts of the traced graph by the rules of costmodel/ops/rules.py (docs/counting.md)."
# A panel for the core and one for the model: arithmetic alone, and with memory.
VERDICTS = (
    ("attention core", ("core_arithmetic", "core_with_memory")),
    ("whole model", ("model_arithmetic", "model_with_memory")),
)


def figures_of(record: ReportRecord) -> list[Picture]:
    """All that a record of `costmodel report` can show by itself."""
    columns = record.columns
    found: list[Picture | None] = [count_figure(columns)]
    if machines_of(columns):
        table = record.pictures.table if record.pictures else None
        found += [energy_figure(columns, table or ""), traffic_figure(columns)]
    elif columns[0].energy_pj:
        found.append(table_energy_figure(columns))
    found += [verdict_figure(record), accuracy_figure(record)]
    return [picture for picture in found if picture is not None]


def pair_grid(title: str, columns: Sequence[ReportColumn], rows: Sequence[tuple[str, ...]]) -> Grid:
    return Grid(title, ("", *(h for c in columns for h in (c.attention, "core"))), tuple(rows))


def count_figure(columns: Sequence[ReportColumn]) -> Picture:
    """Operations by kind: of the whole model, and of the attention core alone."""
    names = short_names(columns)

    def count(c: ReportColumn, name: str) -> tuple[int, int]:
        return c.count.counts.get(name, 0), c.count.attention_core.counts.get(name, 0)

    kinds = [n for n in LABELS if any(count(c, n)[0] for c in columns)]
    whole: list[tuple[str, list[Bar | None]]] = [(LABELS[n], [Bar(*count(c, n)) for c in columns]) for n in kinds]
    inner = [n for n in kinds if any(count(c, n)[1] for c in columns)]
    core: list[tuple[str, list[Bar | None]]] = [
        (LABELS[n], [Bar(count(c, n)[1], count(c, n)[1]) for c in columns]) for n in inner
    ]
    rows = []
    for n in kinds:
        pairs = [count(c, n) for c in columns]
        rows.append((LABELS[n], *(cell for a, b in pairs for cell in (shown(a), share(b, a)))))
    parts = [f"{share(*reversed(count(c, 'mul')))} with {n}" for c, n in zip(columns, names, strict=True)]
    return Picture(
        "operations",
        "Operations",
        f"Share of the attention core in all multiplications: {', '.join(parts)}.",
        (
            bars("of the whole model", "operations", names, whole),
            bars("of the attention core alone", "operations", names, core),
        ),
        COUNTED,
        pair_grid("operations, and the share of the attention core", columns, rows),
        SHADES,
    )


# Energy and traffic


def energy_bar(whole: Energy | None, core: Energy | None) -> Bar | None:
    """In µJ, with its range."""
    if whole is None or core is None:
        return None
    return Bar(*(pj / 1e6 for pj in (whole.nominal_pj, core.nominal_pj, whole.low_pj, whole.high_pj)))


def energy_figure(columns: Sequence[ReportColumn], table: str) -> Picture | None:
    """Energy by part of the target, in µJ, with its range; None where nothing is published for it."""
    machines = machines_of(columns)
    rows = []
    for part, label in PART_LABELS.items():
        cells = [energy_bar(getattr(m.energy_pj, part), getattr(m.core_energy_pj, part)) for m in machines]
        if any(cells):
            rows.append((label, cells))
    if not rows:
        return None
    names = short_names(columns)
    totals = [m.energy_pj.total for m in machines]
    says = "Of some parts no energy is published: they are left out."
    if totals[0] is not None:
        texts = [f"{microjoules(t)} µJ with {n}" for t, n in zip(totals, names, strict=True) if t is not None]
        says = f"One forward pass takes {', '.join(texts)}."
    sources = [f"Operations under {table}: {load_table(table).source}"] if table else []
    sources += [f"{how[:1].upper()}{how[1:]}" for how in machines[0].memory_prices]
    sources.append(f"Registers of PEs: {machines[0].registers_how}")
    return Picture(
        "energy",
        "Energy by part",
        says,
        (bars("", "µJ", names, rows),),
        ". ".join([*sources, "Clocks, wires, leakage and idle PEs are not modelled."]),
        pair_grid("energy in µJ: nominal (low to high)", columns, energy_rows(machines)),
        (*SHADES, RANGE),
    )


def table_energy_figure(columns: Sequence[ReportColumn]) -> Picture:
    """Without a target: energy of arithmetic and of operand traffic under each table, in µJ."""
    names = short_names(columns)
    panels, lines, sources = [], [], []
    for name in columns[0].energy_pj:
        rows = []
        for part in ("arithmetic", "memory"):
            pairs = [parts_of(c.energy_pj[name], part) for c in columns]
            rows.append((part, [energy_bar(whole, core) for whole, core in pairs]))
            texts: list[str] = []
            for whole, core in pairs:
                if whole is None or core is None:
                    texts += ["-", "-"]
                else:
                    texts += [microjoules(whole), core_share(core, whole)]
            lines.append((f"{name}, {part}", *texts))
        panels.append(bars(f"under {name}", "µJ", names, rows))
        table = load_table(name)
        sources.append(f"{name}: {table.source}. {table.includes.capitalize()}.")
    where = next(iter(columns[0].energy_pj.values())).operands_in
    return Picture(
        "energy",
        "Energy of arithmetic and of operands",
        f"Every operand comes from and goes to {where}: no reuse, the most that memory can take.",
        tuple(panels),
        " ".join(sources),
        pair_grid("energy in µJ: nominal (low to high)", columns, lines),
        (*SHADES, RANGE),
    )


def traffic_figure(columns: Sequence[ReportColumn]) -> Picture:
    """Bytes at each level of memory."""
    machines, names = machines_of(columns), short_names(columns)
    rows: list[tuple[str, list[Bar | None]]] = []
    lines = []
    for key, label in levels_there(machines).items():
        pairs = [(getattr(m.bytes, key), getattr(m.core_bytes, key)) for m in machines]
        rows.append((label, [Bar(whole, core) for whole, core in pairs]))
        lines.append((label, *(cell for whole, core in pairs for cell in (shown(whole), share(core, whole)))))
    texts = [f"{full(m.bytes.dram / 1e6)} MB with {n}" for m, n in zip(machines, names, strict=True)]
    return Picture(
        "traffic",
        "Traffic by level",
        f"Between DRAM and chip move {', '.join(texts)}.",
        (bars("", "bytes", names, rows),),
        f"Tiles and schedule of {machines[0].target} (costmodel/mapping/), timing {machines[0].timing}.",
        pair_grid("bytes, and the share of the attention core", columns, lines),
        SHADES,
    )


# Verdict


def verdict_figure(record: ReportRecord) -> Picture | None:
    """Ratios to the first mechanism under every table, with their ranges."""
    columns = record.columns
    names = short_names(columns)
    if record.machine_verdict:
        policy = columns[0].widths.policy if columns[0].widths else ""
        how = f"Prices at the widths of each value ({policy}); memory of the target."
    else:
        how = f"Prices in {columns[0].count.subject.dtype}; memory: every operand once."
    keys = [key for _, pair in VERDICTS for key in pair]
    found = [v for v in record.machine_verdict or record.verdict if any(getattr(v, key) for key in keys)]
    if not found:
        return None
    tables = list(dict.fromkeys(v.table for v in found))
    panels = [
        ranges(title, f"energy over that of {names[0]}", tables, verdict_marks(found, names, title, pair), 1.0)
        for title, pair in VERDICTS
    ]
    lines = [
        (f"{v.attention} / {v.over}", v.table, *(ratio_text(getattr(v, key), 3) for key in keys)) for v in found
    ]
    head = ("", "table", "core, arithmetic", "core, with memory", "model, arithmetic", "model, with memory")
    sources = "; ".join(f"{name}: {load_table(name).source}" for name in tables)
    return Picture(
        "verdict",
        "Verdict over cost tables",
        f"Left of 1, {' or '.join(names[1:])} takes less energy than {names[0]}.",
        tuple(panels),
        f"{how} {sources}.",
        Grid("energy over that of the first: nominal (low to high)", head, tuple(lines)),
        (("circle", "arithmetic alone"), ("diamond", "with memory"), ("range", "low to high")),
    )


def verdict_marks(found: Sequence[Verdict], names: Sequence[str], title: str, pair: Sequence[str]) -> list[Mark]:
    """A mark a table, mechanism and kind of energy, beside each other within the row of the table."""
    tables = list(dict.fromkeys(v.table for v in found))
    series = len(names) - 1
    marks = []
    for v in found:
        for symbol, key in enumerate(pair):
            r: Ratio | None = getattr(v, key)
            if r is None:
                continue
            what = "with memory" if symbol else "arithmetic"
            text = f"<b>{v.table}</b>, {names[v.column]} / {names[0]}<br>{title}, {what}: {ratio_text(r, 3)}"
            shift = (2 * (v.column - 1) + symbol - (2 * series - 1) / 2) * 0.7 / (2 * series)
            marks.append(Mark(tables.index(v.table), v.column, symbol, shift, r.nominal, r.low, r.high, text))
    return marks


# Accuracy


def accuracy_figure(record: ReportRecord) -> Picture | None:
    """Accuracy in each arithmetic with its 95 % interval; beside it the energy or cycles at the priced widths."""
    found = record.accuracy
    if not found:
        return None
    columns = record.columns
    names = short_names(columns)
    kinds = list(found[0].results)
    metric = next(iter(found[0].results[kinds[0]].metrics))
    marks, lines = [], []
    for row, kind in enumerate(kinds):
        cells = []
        for i, each in enumerate(found):
            got = each.results.get(kind)
            if got is None:
                cells.append("-")
                continue
            value, low, high = (100 * x for x in (got.metrics[metric], *got.interval))
            text = f"{value:.1f} ({low:.1f} to {high:.1f})"
            shift = 0.5 * (i - (len(found) - 1) / 2) / max(1, len(found))
            marks.append(
                Mark(row, i, 0, shift, value, low, high, f"<b>{names[i]}</b> in {kind}<br>{metric} {text} %")
            )
            cells.append(text)
        lines.append((f"{metric} in {kind}, %", *cells))
    panels = [ranges(f"{metric} on {found[0].task}", "%, with 95 % interval", kinds, marks, None)]
    beside = cost_panel(columns, found, names)
    how = "stored result" if found[0].stored else "measured for this page"
    return Picture(
        "accuracy",
        "Accuracy beside cost",
        "Accuracy in integers is of the very bits that are priced.",
        (*panels, *([beside] if beside else [])),
        f"{found[0].source}, {found[0].examples} examples; {how}; checkpoints "
        f"{', '.join(each.model for each in found)}.",
        Grid(f"{metric}: value (95 % interval)", ("", *(c.attention for c in columns)), tuple(lines)),
        (("range", "95 % interval of accuracy; low to high of energy"), *SHADES),
    )


def cost_panel(columns: Sequence[ReportColumn], found: Sequence[Evaluation], names: list[str]) -> Panel | None:
    """Energy at the priced widths, or cycles where no energy is published: from zero, so that lengths compare."""
    machines: list[MachineRecord] = machines_of(columns)
    widths = columns[0].widths
    if not machines or widths is None or widths.policy not in found[0].results:
        return None
    policy = widths.policy
    cells = [energy_bar(m.energy_pj.total, m.core_energy_pj.total) for m in machines]
    if cells[0] is None:
        cells = [Bar(m.cycles, m.core_cycles) for m in machines]
        return bars(f"cycles in {policy}", "cycles", names, [(policy, cells)])
    return bars(f"energy in {policy}", "µJ", names, [(policy, cells)])
