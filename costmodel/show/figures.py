"""Records of a report as figures: counts, energy, traffic, verdict, accuracy. Sums and shares, nothing else.

What needs a schedule or a sweep is in `machine_figures.py`.
"""

from __future__ import annotations

from typing import Any

from costmodel.compare.ratios import share
from costmodel.ops.counts import LABELS
from costmodel.show.grid import Grid, shown
from costmodel.show.machine_tables import microjoules
from costmodel.show.plots import Bar, Mark, Panel, Picture, bars, full, ranges, short_names
from costmodel.technology.loading import load_table

PART_LABELS = {"array": "PE array", "vector": "vector unit", "buffer": "buffer", "dram": "DRAM"}
TRAFFIC_LABELS = {
    "dram_read": "DRAM read",
    "dram_write": "DRAM write",
    "buffer_read": "buffer read",
    "buffer_write": "buffer write",
}
SHADES = (("whole", "the whole model"), ("core", "of it the attention core"))
COUNTED = "Counts of the traced graph by the rules of costmodel/ops/rules.py (docs/counting.md)."


def figures_of(record: dict[str, Any]) -> list[Picture]:
    """All that a record of `costmodel report` can show by itself."""
    columns = record["columns"]
    found: list[Picture | None] = [count_figure(columns)]
    if "machine" in columns[0]:
        found += [energy_figure(columns, record["pictures"]["table"]), traffic_figure(columns)]
    elif columns[0].get("energy_pj"):
        found.append(table_energy_figure(columns))
    found += [verdict_figure(record), accuracy_figure(record)]
    return [picture for picture in found if picture is not None]


def pair_grid(title: str, columns: list[dict[str, Any]], rows: list[tuple[str, ...]]) -> Grid:
    return Grid(title, ("", *(h for c in columns for h in (c["attention"], "core"))), tuple(rows))


def count_figure(columns: list[dict[str, Any]]) -> Picture:
    """Operations by kind: of the whole model, and of the attention core alone."""
    names = short_names(columns)

    def count(c: dict[str, Any], name: str) -> tuple[int, int]:
        return c["counts"].get(name, 0), c["attention_core"]["counts"].get(name, 0)

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


def energy_figure(columns: list[dict[str, Any]], table: str) -> Picture | None:
    """Energy by part of the target, in µJ, with its range; None where nothing is published for it."""
    machines = [c["machine"] for c in columns]
    rows: list[tuple[str, list[Bar | None]]] = []
    lines: list[tuple[str, ...]] = []
    for part, label in (*PART_LABELS.items(), ("total", "total")):
        cells: list[Bar | None] = []
        texts: list[str] = []
        for m in machines:
            whole, core = m["energy_pj"][part], m["core_energy_pj"][part]
            known = whole is not None
            cells.append(Bar(whole[0] / 1e6, core[0] / 1e6, whole[1] / 1e6, whole[2] / 1e6) if known else None)
            texts += [microjoules(whole), share(core[0], whole[0])] if known else ["-", "-"]
        lines.append((label, *texts))
        if part != "total" and any(cells):
            rows.append((label, cells))
    if not rows:
        return None
    totals = [m["energy_pj"]["total"] for m in machines]
    says = "Of some parts no energy is published: they are left out."
    if totals[0] is not None:
        texts = [f"{microjoules(t)} µJ with {n}" for t, n in zip(totals, short_names(columns), strict=True)]
        says = f"One forward pass takes {', '.join(texts)}."
    sources = [f"Operations under {table}: {load_table(table).source}"] if table else []
    sources += [f"{how[:1].upper()}{how[1:]}" for how in machines[0]["memory_prices"]]
    return Picture(
        "energy",
        "Energy by part",
        says,
        (bars("", "µJ", short_names(columns), rows),),
        ". ".join([*sources, "Registers, clocks, wires, leakage and idle PEs are not modelled."]),
        pair_grid("energy in µJ: nominal (low to high)", columns, lines),
        (*SHADES, ("range", "low to high, where prices are known as ranges")),
    )


def table_energy_figure(columns: list[dict[str, Any]]) -> Picture:
    """Without a target: energy of arithmetic and of operand traffic under each table, in µJ."""
    panels, lines, sources = [], [], []
    for name in columns[0]["energy_pj"]:
        rows = []
        for part in ("arithmetic", "memory"):
            cells: list[Bar | None] = []
            texts: list[str] = []
            for c in columns:
                e = c["energy_pj"][name]
                if e[part] is None:
                    cells.append(None)
                    texts += ["-", "-"]
                    continue
                ends = [e[part], *e[f"{part}_range"]]
                cells.append(Bar(*(x / 1e6 for x in (e[part], e[f"core_{part}"], *e[f"{part}_range"]))))
                texts += [microjoules(ends), share(e[f"core_{part}"], e[part])]
            rows.append((part, cells))
            lines.append((f"{name}, {part}", *texts))
        panels.append(bars(f"under {name}", "µJ", short_names(columns), rows))
        table = load_table(name)
        sources.append(f"{name}: {table.source}. {table.includes.capitalize()}.")
    where = columns[0]["energy_pj"][next(iter(columns[0]["energy_pj"]))]["operands_in"]
    return Picture(
        "energy",
        "Energy of arithmetic and of operands",
        f"Every operand comes from and goes to {where}: no reuse, the most that memory can take.",
        tuple(panels),
        " ".join(sources),
        pair_grid("energy in µJ: nominal (low to high)", columns, lines),
        (*SHADES, ("range", "low to high, where prices are known as ranges")),
    )


def traffic_figure(columns: list[dict[str, Any]]) -> Picture:
    machines = [c["machine"] for c in columns]
    rows: list[tuple[str, list[Bar | None]]] = []
    lines = []
    for key, label in TRAFFIC_LABELS.items():
        rows.append((label, [Bar(m["bytes"][key], m["core_bytes"][key]) for m in machines]))
        pairs = [(shown(m["bytes"][key]), share(m["core_bytes"][key], m["bytes"][key])) for m in machines]
        lines.append((label, *(cell for pair in pairs for cell in pair)))
    moved = [m["bytes"]["dram_read"] + m["bytes"]["dram_write"] for m in machines]
    texts = [f"{full(b / 1e6)} MB with {n}" for b, n in zip(moved, short_names(columns), strict=True)]
    return Picture(
        "traffic",
        "Traffic by level",
        f"Between DRAM and chip move {', '.join(texts)}.",
        (bars("", "bytes", short_names(columns), rows),),
        f"Tiles and schedule of {machines[0]['target']} (costmodel/mapping/), timing {machines[0]['timing']}.",
        pair_grid("bytes, and the share of the attention core", columns, lines),
        SHADES,
    )


# Verdict


def verdict_figure(record: dict[str, Any]) -> Picture | None:
    """Ratios to the first mechanism under every table, with their ranges."""
    columns = record["columns"]
    names = short_names(columns)
    places = {c["attention"]: i for i, c in enumerate(columns)}
    if record.get("machine_verdict"):
        found = [(row["column"], row) for row in record["machine_verdict"]]
        keys = ("core_arithmetic", "core_with_memory"), ("model_arithmetic", "model_with_memory")
        how = f"Prices at the widths of each value ({columns[0]['widths']['policy']}); memory of the target."
    else:
        found = [(places[row["attention"]], row) for row in record["verdict"]]
        keys = ("core_arithmetic", "core_total"), ("arithmetic", "total")
        how = f"Prices in {columns[0]['dtype']}; memory: every operand once."
    found = [(i, row) for i, row in found if any(row[k] for pair in keys for k in pair)]
    if not found:
        return None
    tables = list(dict.fromkeys(row["table"] for _, row in found))
    panels = []
    for title, pair in zip(("attention core", "whole model"), keys, strict=True):
        marks = []
        series = len(columns) - 1
        for i, row in found:
            for symbol, key in enumerate(pair):
                r = row[key]
                if r is None:
                    continue
                what = "with memory" if symbol else "arithmetic"
                text = f"<b>{row['table']}</b>, {names[i]} / {names[0]}<br>{title}, {what}: {ratio_text(r)}"
                shift = (2 * (i - 1) + symbol - (2 * series - 1) / 2) * 0.7 / (2 * series)
                marks.append(
                    Mark(tables.index(row["table"]), i, symbol, shift, r["nominal"], r["low"], r["high"], text)
                )
        panels.append(ranges(title, f"energy over that of {names[0]}", tables, marks, 1.0))
    lines = []
    for i, row in found:
        cells = ("-" if row[k] is None else ratio_text(row[k]) for pair in keys for k in pair)
        lines.append((f"{columns[i]['attention']} / {columns[0]['attention']}", row["table"], *cells))
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


def ratio_text(r: dict[str, float]) -> str:
    return f"{r['nominal']:.3f} ({r['low']:.3f} to {r['high']:.3f})"


# Accuracy


def accuracy_figure(record: dict[str, Any]) -> Picture | None:
    """Accuracy in each arithmetic with its 95 % interval; beside it the energy or cycles at the priced widths."""
    found = record.get("accuracy")
    if not found:
        return None
    columns = record["columns"]
    names = short_names(columns)
    kinds = list(found[0]["results"])
    metric = next(iter(found[0]["results"][kinds[0]]["metrics"]))
    marks, lines = [], []
    for row, kind in enumerate(kinds):
        cells = []
        for i, each in enumerate(found):
            got = each["results"].get(kind)
            if got is None:
                cells.append("-")
                continue
            value, (low, high) = got["metrics"][metric], got.get("interval") or [got["metrics"][metric]] * 2
            text = f"{100 * value:.1f} ({100 * low:.1f} to {100 * high:.1f})"
            shift = 0.5 * (i - (len(found) - 1) / 2) / max(1, len(found))
            hover = f"<b>{names[i]}</b> in {kind}<br>{metric} {text} %"
            marks.append(Mark(row, i, 0, shift, 100 * value, 100 * low, 100 * high, hover))
            cells.append(text)
        lines.append((f"{metric} in {kind}, %", *cells))
    panels = [ranges(f"{metric} on {found[0]['task']}", "%, with 95 % interval", kinds, marks, None)]
    beside = cost_panel(columns, found, names)
    how = "stored result" if found[0]["stored"] else "measured for this page"
    return Picture(
        "accuracy",
        "Accuracy beside cost",
        "Accuracy in integers is of the very bits that are priced.",
        (*panels, *([beside] if beside else [])),
        f"{found[0]['source']}, {found[0]['examples']} examples; {how}; checkpoints "
        f"{', '.join(each['model'] for each in found)}.",
        Grid(f"{metric}: value (95 % interval)", ("", *(c["attention"] for c in columns)), tuple(lines)),
        (("range", "95 % interval of accuracy; low to high of energy"), *SHADES),
    )


def cost_panel(columns: list[dict[str, Any]], found: list[dict[str, Any]], names: list[str]) -> Panel | None:
    """Energy at the priced widths, or cycles where no energy is published: from zero, so that lengths compare."""
    if "machine" not in columns[0] or columns[0]["widths"]["policy"] not in found[0]["results"]:
        return None
    machines = [c["machine"] for c in columns]
    policy = columns[0]["widths"]["policy"]
    if machines[0]["energy_pj"]["total"] is None:
        cells: list[Bar | None] = [Bar(m["cycles"], m["core_cycles"]) for m in machines]
        return bars(f"cycles in {policy}", "cycles", names, [(policy, cells)])
    cells = []
    for m in machines:
        nominal, low, high = (x / 1e6 for x in m["energy_pj"]["total"])
        cells.append(Bar(nominal, m["core_energy_pj"]["total"][0] / 1e6, low, high))
    return bars(f"energy in {policy}", "µJ", names, [(policy, cells)])
