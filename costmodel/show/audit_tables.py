"""What other counters say: tables, notes, CSV."""

from __future__ import annotations

import csv
import io
from typing import Any

from costmodel.show.count_tables import incomplete_lines
from costmodel.show.grid import Grid, shown, sizes_of

# Audit


def audit_grids(record: dict[str, Any]) -> list[Grid]:
    tools = ("costmodel", "FlopCounterMode", "fvcore")
    rows = [(row["op"], *(shown(row[tool]) for tool in tools)) for row in record["rows"]]
    rows.append(("total", *(shown(record["totals"][tool]) for tool in tools)))
    at = f"{sizes_of(record['batch'], record['seq'])}on {record['device']}"
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
    return notes + incomplete_lines(record["unknown"])


def render_audit_csv(record: dict[str, Any]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    complete = "yes" if record["complete"] else "INCOMPLETE"
    writer.writerow(("op", "costmodel", "FlopCounterMode", "fvcore", "complete"))
    for row in record["rows"]:
        writer.writerow([*("" if v is None else v for v in row.values()), complete])
    out.writelines(f"# {line}\n" for line in incomplete_lines(record["unknown"]))
    return out.getvalue()
