"""Counts of a model: tables, notes, CSV."""

from __future__ import annotations

import csv
import io
from typing import Any

from costmodel.ops.counts import ARITHMETIC
from costmodel.show.grid import Grid, shown, sizes_of


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
