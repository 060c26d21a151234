"""Counts of a model: table, notes, rows."""

from __future__ import annotations

from collections.abc import Sequence

from costmodel.counting.records import CountRecord, CountRow, OperandBytes
from costmodel.ops.counts import ARITHMETIC
from costmodel.show.document import Cell, Document, Row
from costmodel.show.grid import Grid, shown, sizes_of


def count_document(record: CountRecord) -> Document:
    """A row a kind, op, module or layer, and the total."""
    return Document((count_grid(record),), tuple(count_notes(record)), tuple(count_rows(record)))


def incomplete_lines(unknown: Sequence[str]) -> list[str]:
    if not unknown:
        return []
    return ["INCOMPLETE: these calls have no count rule and count nothing:", *(f"  {call}" for call in unknown)]


def title_of(record: CountRecord) -> str:
    subject = record.subject
    title = (
        f"{subject.model}, attention {subject.attention}, {sizes_of(subject.batch, subject.seq)}{subject.dtype}"
    )
    return title + ("" if record.complete else "  INCOMPLETE")


def count_grid(record: CountRecord) -> Grid:
    names = [n for n in record.counts if any(row.counts.get(n) for row in record.rows)]
    head = (record.by, "nodes", *names, "read B", "write B")
    rows = []
    for row in record.rows:
        counts = (shown(row.counts.get(n, 0)) for n in names)
        rows.append(
            (row.key, shown(row.nodes), *counts, *map(shown, (row.bytes.operand_read, row.bytes.operand_write)))
        )
    nodes = sum(row.nodes for row in record.rows)
    sums = (shown(record.counts.get(n, 0)) for n in names)
    rows.append(
        ("total", shown(nodes), *sums, shown(record.bytes.operand_read), shown(record.bytes.operand_write))
    )
    return Grid(title_of(record), head, tuple(rows))


def count_notes(record: CountRecord) -> list[str]:
    return [
        f"parameters {shown(record.params)}; MACs {shown(record.macs)}; all operations {shown(record.flops)}",
        f"compulsory {shown(record.bytes.compulsory)} B; peak live {shown(record.bytes.peak_live)} B",
        *incomplete_lines(record.unknown),
    ]


def count_rows(record: CountRecord) -> list[Row]:
    """One flat row a group, and one a call without a rule, which counts nothing; `complete` marks them all."""
    nothing = OperandBytes(0, 0)
    missing = (CountRow(call, 1, {}, nothing) for call in record.unknown)
    rows: list[Row] = []
    for row in (*record.rows, *missing):
        flat: dict[str, Cell] = {"key": row.key, "nodes": row.nodes}
        flat |= {name: row.counts.get(name, 0) for name in ARITHMETIC}
        flat |= {"operand_read_bytes": row.bytes.operand_read, "operand_write_bytes": row.bytes.operand_write}
        rows.append(flat | {"complete": "yes" if record.complete else "INCOMPLETE"})
    return rows
