"""Mechanisms side by side, as counts and energies: tables, notes, CSV."""

from __future__ import annotations

import csv
import io
from typing import Any

from costmodel.compare.ratios import share
from costmodel.ops.counts import ARITHMETIC, LABELS
from costmodel.show.count_tables import incomplete_lines
from costmodel.show.grid import Grid, shown, sizes_of
from costmodel.technology.loading import load_table


def report_grids(record: dict[str, Any]) -> list[Grid]:
    """Side by side: a figure of the whole model, and of that the part of the attention core."""
    columns = record["columns"]
    first = columns[0]
    heads = tuple(h for c in columns for h in (c["attention"], "core"))
    title = f"{first['model']}, {sizes_of(first['batch'], first['seq'])}{first['dtype']}"
    title += "" if record["complete"] else "  INCOMPLETE"

    def line(label: str, pairs: list[tuple[Any, Any]]) -> tuple[str, ...]:
        cells = []
        for whole, core in pairs:
            cells.append(shown(whole))
            cells.append("-" if core is None or not whole else share(core, whole))
        return (label, *cells)

    rows = []
    for name, label in LABELS.items():
        pairs = [(c["counts"].get(name, 0), c["attention_core"]["counts"].get(name, 0)) for c in columns]
        if any(whole for whole, _ in pairs) or name not in ("log", "trig"):
            rows.append(line(label, pairs))
    counts = Grid(f"{title}: operations, and the share of the attention core", ("", *heads), tuple(rows))

    def operand(c: dict[str, Any]) -> int:
        return c["operand_read"] + c["operand_write"]

    memory = [
        line("operand bytes", [(operand(c["bytes"]), operand(c["attention_core"]["bytes"])) for c in columns]),
        line("compulsory bytes", [(c["bytes"]["compulsory"], None) for c in columns]),
        line("peak live bytes", [(c["bytes"]["peak_live"], None) for c in columns]),
    ]
    grids = [counts, Grid("bytes", ("", *heads), tuple(memory))]
    for table in first.get("energy_pj", {}):
        energies = [c["energy_pj"][table] for c in columns]
        lines = []
        for part in ("arithmetic", "memory", "total"):
            cells = []
            for energy in energies:
                cells.append(microjoules(energy, part))
                known = energy[part] is not None
                cells.append(share(energy[f"core_{part}"], energy[part]) if known else "-")
            label = {"memory": f"operands in {energies[0]['operands_in']}"}.get(part, part)
            lines.append((label, *cells))
        grids.append(Grid(f"energy in µJ under {table}: nominal (low to high)", ("", *heads), tuple(lines)))
    if record["verdict"]:
        grids.append(verdict_grid(record["verdict"]))
    return grids


def verdict_grid(verdict: list[dict[str, Any]]) -> Grid:
    """Below 1 the other mechanism takes less energy than the first."""
    head = ("", "table", "core, arithmetic", "model, arithmetic", "core, with operands", "model, with operands")
    rows = []
    for row in verdict:
        ratios = [row[key] for key in ("core_arithmetic", "arithmetic", "core_total", "total")]
        cells = ("-" if r is None else f"{r['nominal']:.2f} ({r['low']:.2f} to {r['high']:.2f})" for r in ratios)
        rows.append((f"{row['attention']} / {row['over']}", row["table"], *cells))
    return Grid("verdict: energy over that of the first, nominal (low to high)", head, tuple(rows))


def microjoules(energy: dict[str, Any], part: str) -> str:
    if energy[part] is None:
        return "no row"
    nominal, low, high = (in_microjoules(x) for x in (energy[part], *energy[f"{part}_range"]))
    return f"{nominal} ({low} to {high})"


def in_microjoules(picojoules: float) -> str:
    value = picojoules / 1e6
    return f"{value:,.0f}".replace(",", " ") if value >= 100 else f"{value:.3g}"


def report_notes(record: dict[str, Any]) -> list[str]:
    notes = [record["summary"]]
    columns = record["columns"]
    for name in columns[0].get("energy_pj", {}):
        table = load_table(name)
        missing = columns[0]["energy_pj"][name].get("missing")
        notes.append(
            f"{name}: {table.source}. {table.includes.capitalize()}." + (f" {missing}." if missing else "")
        )
    notes.append(
        "Energy is an estimate: no register, control, wire or reuse between operations. Where a table has no row, "
        "cmp and abs take 0 to 1 add, and exp, erf, tanh, log, sin, cos, div, sqrt 1 to 20 pJ: "
        "the range in brackets."
    )
    for column in columns:
        notes += incomplete_lines(column["unknown"])
    return notes


def render_report_csv(record: dict[str, Any]) -> str:
    """One line a figure and attention: `attention, figure, unit, value, core, low, high, complete`."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("attention", "figure", "unit", "value", "core", "low", "high", "complete"))
    for column in record["columns"]:
        complete = "yes" if column["complete"] else "INCOMPLETE"
        core = column["attention_core"]
        for name in ARITHMETIC:
            pair = (column["counts"].get(name, 0), core["counts"].get(name, 0))
            writer.writerow((column["attention"], name, "operations", *pair, "", "", complete))
        for name, value in column["bytes"].items():
            part = core["bytes"].get(name, "")
            writer.writerow((column["attention"], name, "bytes", value, part, "", "", complete))
        for table, energy in column["energy_pj"].items():
            for part in ("arithmetic", "memory", "total"):
                pair = (energy[part], energy.get(f"core_{part}"))
                low, high = energy[f"{part}_range"] or ("", "")
                writer.writerow((column["attention"], f"{table} {part}", "pJ", *pair, low, high, complete))
    out.writelines(f"# {line}\n" for column in record["columns"] for line in incomplete_lines(column["unknown"]))
    return out.getvalue()
