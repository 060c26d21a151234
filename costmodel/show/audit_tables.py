"""What other counters say: table, notes, rows."""

from __future__ import annotations

from costmodel.compare.audit_records import AuditRecord, AuditRow
from costmodel.records import encode
from costmodel.show.count_tables import incomplete_lines
from costmodel.show.document import Document, Row
from costmodel.show.grid import Grid, shown, sizes_of


def audit_document(record: AuditRecord) -> Document:
    """A row an op, and the total."""
    return Document((audit_grid(record),), tuple(audit_notes(record)), tuple(audit_rows(record)))


def audit_grid(record: AuditRecord) -> Grid:
    found = record.audited
    head = ("op", "costmodel", "FlopCounterMode", "fvcore")
    lines = [(row.op, row.costmodel, row.FlopCounterMode, row.fvcore) for row in found.rows]
    lines.append(("total", found.totals.costmodel, found.totals.FlopCounterMode, found.totals.fvcore))
    at = f"{sizes_of(record.batch, record.seq)}on {record.device}"
    title = f"{record.model}, attention {record.attention}, {at}; - is no count"
    rows = tuple((op, *map(shown, counts)) for op, *counts in lines)
    return Grid(title + ("" if found.complete else "  INCOMPLETE"), head, rows)


def audit_notes(record: AuditRecord) -> list[str]:
    found = record.audited
    notes = [f"{tool} counts {unit}." for tool, unit in found.units.items()]
    notes.append(f"MACs, as costmodel counts them: {shown(found.totals.costmodel_macs)}")
    for tool, ops in found.left_out.items():
        named = ", ".join(f"{op} {shown(n)}" for op, n in ops.items()) or "nothing"
        notes.append(f"{tool} leaves out {100 * found.left_out_share[tool]:.2f} % of the operations: {named}")
    notes += [f"{tool} does not run on this model here: {cause}" for tool, cause in found.failed.items()]
    if "fvcore" not in found.failed:
        unsupported = ", ".join(f"{op} x{n}" for op, n in found.fvcore_unsupported.items())
        notes.append(f"fvcore itself lists as unsupported: {unsupported or 'nothing'}")
    return notes + incomplete_lines(found.unknown)


def audit_rows(record: AuditRecord) -> list[Row]:
    """One flat row an op, and one without counts for each call that is missing."""
    found = record.audited
    missing = [AuditRow(call, None, None, None) for call in found.unknown]
    complete = "yes" if found.complete else "INCOMPLETE"
    return [encode(row) | {"complete": complete} for row in (*found.rows, *missing)]
