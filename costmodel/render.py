"""Forms of a record: terminal table, Markdown, CSV, JSON. Shows numbers, makes none."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from typing import Any

from costmodel.counts import ARITHMETIC
from costmodel.report import share
from costmodel.technology import load_table

FORMATS = ("table", "json", "csv", "md")

# Forms. A grid is a title, headings, and rows of cells; every form shows the same grids.


@dataclass(frozen=True)
class Grid:
    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: bool = True  # all columns but the first hold numbers, set to the right


def shown(value: Any) -> str:
    """Numbers with thousands separated by blanks, as the papers print them."""
    if value is None:
        return "-"
    return f"{value:,}".replace(",", " ") if isinstance(value, int) else str(value)


def sizes_of(record: dict[str, Any]) -> str:
    return "" if record["seq"] is None else f"B={record['batch']}, S={record['seq']}, "


def incomplete_lines(record: dict[str, Any]) -> list[str]:
    if not record["unknown"]:
        return []
    return [
        "INCOMPLETE: these calls have no count rule and count nothing:",
        *(f"  {u}" for u in record["unknown"]),
    ]


def count_grids(record: dict[str, Any]) -> list[Grid]:
    names = [n for n in record["counts"] if any(row["counts"].get(n) for row in record["rows"])]
    head = (record["by"], "nodes", *names, "read B", "write B")
    rows = []
    for row in record["rows"]:
        counts = (shown(row["counts"].get(n, 0)) for n in names)
        sizes = (shown(row["bytes"]["operand_read"]), shown(row["bytes"]["operand_write"]))
        rows.append((row["key"], shown(row["nodes"]), *counts, *sizes))
    nodes = sum(row["nodes"] for row in record["rows"])
    sums = (shown(record["counts"].get(n, 0)) for n in names)
    sizes = (shown(record["bytes"]["operand_read"]), shown(record["bytes"]["operand_write"]))
    rows.append(("total", shown(nodes), *sums, *sizes))
    title = f"{record['model']}, attention {record['attention']}, {sizes_of(record)}{record['dtype']}" + (
        "" if record["complete"] else "  INCOMPLETE"
    )
    return [Grid(title, head, tuple(rows))]


def count_notes(record: dict[str, Any]) -> list[str]:
    sizes = record["bytes"]
    return [
        f"parameters {shown(record['params'])}; MACs {shown(record['macs'])}; "
        f"all operations {shown(record['flops'])}",
        f"compulsory {shown(sizes['compulsory'])} B; peak live {shown(sizes['peak_live'])} B",
        *incomplete_lines(record),
    ]


LABELS = {
    "mul": "multiplies",
    "add": "adds",
    "cmp": "comparisons",
    "abs": "abs",
    "exp": "exp",
    "erf": "erf",
    "tanh": "tanh",
    "div": "div",
    "sqrt": "sqrt",
    "log": "log",
    "trig": "sin, cos",
}


def report_grids(record: dict[str, Any]) -> list[Grid]:
    """Side by side: a figure of the whole model, and of that the part of the attention core."""
    columns = record["columns"]
    first = columns[0]
    heads = tuple(h for c in columns for h in (c["attention"], "core"))
    title = f"{first['model']}, {sizes_of(first)}{first['dtype']}"
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
        notes += incomplete_lines(column)
    return notes


def render_md(grids: list[Grid], notes: list[str]) -> str:
    lines = []
    for grid in grids:
        lines += [f"**{grid.title}**", "", "| " + " | ".join(grid.head) + " |"]
        lines.append("|" + "|".join(["---"] + ["---:"] * (len(grid.head) - 1)) + "|")
        lines += ["| " + " | ".join(row) + " |" for row in grid.rows]
        lines.append("")
    return "\n".join([*lines, *notes]) + "\n"


def render_count_csv(record: dict[str, Any]) -> str:
    """A heading, then one line a row; `complete` is no where calls are missing."""
    complete = "yes" if record["complete"] else "INCOMPLETE"
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow((record["by"], "nodes", *ARITHMETIC, "operand_read", "operand_write", "complete"))
    for row in record["rows"]:
        counts = (row["counts"].get(name, 0) for name in ARITHMETIC)
        writer.writerow((row["key"], row["nodes"], *counts, *row["bytes"].values(), complete))
    out.writelines(f"# {line}\n" for line in incomplete_lines(record))
    return out.getvalue()


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
    out.writelines(f"# {line}\n" for column in record["columns"] for line in incomplete_lines(column))
    return out.getvalue()


def render_records_csv(records: list[dict[str, Any]]) -> str:
    """Flat records of the same keys, one line each."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(records[0])
    writer.writerows(record.values() for record in records)
    return out.getvalue()


def render_table(grids: list[Grid], notes: list[str]) -> str:
    """For a terminal, as wide as it needs to be."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    out = io.StringIO()
    console = Console(file=out, width=400, no_color=True, highlight=False, markup=False, emoji=False)
    for grid in grids:
        table = Table(box=box.SIMPLE_HEAD, title=None, pad_edge=False)
        for n, heading in enumerate(grid.head):
            table.add_column(
                heading, justify="right" if n and grid.numbers else "left", no_wrap=grid.numbers or n == 0
            )
        for n, row in enumerate(grid.rows):
            table.add_row(*row, end_section=n == len(grid.rows) - 2 and grid.rows[-1][0] == "total")
        console.print(grid.title)
        console.print(table)
    for note in notes:
        console.print(note, soft_wrap=True)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def render_json(record: dict[str, Any]) -> str:
    return json.dumps(record, indent=1, ensure_ascii=False) + "\n"


# Audit


def audit_grids(record: dict[str, Any]) -> list[Grid]:
    tools = ("costmodel", "FlopCounterMode", "fvcore")
    rows = [(row["op"], *(shown(row[tool]) for tool in tools)) for row in record["rows"]]
    rows.append(("total", *(shown(record["totals"][tool]) for tool in tools)))
    at = f"{sizes_of(record)}on {record['device']}"
    title = f"{record['model']}, attention {record['attention']}, {at}; - is no count"
    return [Grid(title + ("" if record["complete"] else "  INCOMPLETE"), ("op", *tools), tuple(rows))]


def audit_notes(record: dict[str, Any]) -> list[str]:
    notes = [f"{tool} counts {unit}." for tool, unit in record["units"].items()]
    notes.append(f"MACs, as costmodel counts them: {shown(record['totals']['costmodel_macs'])}")
    for tool, ops in record["left_out"].items():
        named = ", ".join(f"{op} {shown(n)}" for op, n in ops.items()) or "nothing"
        notes.append(f"{tool} leaves out {100 * record['left_out_share'][tool]:.2f} % of the operations: {named}")
    notes += [f"{tool} does not run on this model here: {cause}" for tool, cause in record["failed"].items()]
    if "fvcore" not in record["failed"]:
        unsupported = ", ".join(f"{op} x{n}" for op, n in record["fvcore_unsupported"].items())
        notes.append(f"fvcore itself lists as unsupported: {unsupported or 'nothing'}")
    return notes + incomplete_lines(record)


def render_audit_csv(record: dict[str, Any]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    complete = "yes" if record["complete"] else "INCOMPLETE"
    writer.writerow(("op", "costmodel", "FlopCounterMode", "fvcore", "complete"))
    for row in record["rows"]:
        writer.writerow([*("" if v is None else v for v in row.values()), complete])
    out.writelines(f"# {line}\n" for line in incomplete_lines(record))
    return out.getvalue()
