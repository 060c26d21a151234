"""`price`: what one model costs at some widths, under tables and on a target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from costmodel.api.results import Price
from costmodel.api.subjects import Model, counted_of
from costmodel.compare.machine import arithmetic_record, machine_record, widths_record
from costmodel.counting.records import count_record
from costmodel.errors import CostModelError
from costmodel.hardware.loading import load_target
from costmodel.hardware.timing import CONVENTIONS
from costmodel.mapping.schedule import schedule
from costmodel.records import encode
from costmodel.show import machine_tables
from costmodel.show.grid import sizes_of
from costmodel.technology.loading import load_table
from costmodel.widths.assign import assign_widths
from costmodel.widths.policy import parse_policy

TABLES = ("horowitz45", "jouppi7")


def price(
    model: Model,
    attention: str | None = None,
    seq: int | None = None,
    batch: int = 1,
    widths: str = "w8a8",
    target: str | None = None,
    table: str | Sequence[str] | None = None,
    timing: str = "array",
) -> Price:
    """What one model costs at some widths: its arithmetic under tables, and on a target all of it.

    Args:
        target: such as `edge-asic`, `edge-asic:array=16x16,buffer_kib=128`, or a file FILE.toml. Rows are
            then the steps of its schedule; without one they are operations by width.
        table: tables of the arithmetic, horowitz45 by default. With a target one table in place of its
            own, of the same node.

    >>> import costmodel as cm
    >>> cost = cm.price("distilbert", seq=128, widths="w8a8", target="edge-asic")
    >>> cost.cycles, round(cost.latency_ms, 3), round(cost.area_mm2, 2)
    (6188868, 12.378, 2.38)
    >>> cost.to_rows()[0]["op"]
    'gather+add+layer_norm+requantise'
    """
    if timing not in CONVENTIONS:
        raise CostModelError(f"timing = {timing!r} is not one of {', '.join(CONVENTIONS)}")
    policy = parse_policy(widths)
    machine = load_target(with_table(target, table)) if target else None
    tables = tuple([table] if isinstance(table, str) else table or (machine.table if machine else TABLES[0],))
    for name in filter(None, tables):
        load_table(name)
    found = counted_of(model, attention, seq, batch)
    typed = assign_widths(found.graph, policy)
    subject = found.subject
    record: dict[str, Any] = {
        "model": subject.model,
        "attention": subject.attention,
        "batch": subject.batch,
        "seq": subject.seq,
        "widths": widths_record(typed),
    }
    record["widths"]["energy_pj"] = arithmetic_record(typed, tuple(filter(None, tables)))
    counts = encode(count_record(subject, found.graph, found.tally, "kind"))
    title = f"{subject.model}, {sizes_of(record['batch'], record['seq'])}"
    if machine is None:
        grid = machine_tables.width_grid([record])
        rows = tuple(
            {"op": op, "type": kind, "operations": n}
            for op, kinds in record["widths"]["counts"].items()
            for kind, n in kinds.items()
        )
        grids = (replace(grid, title=title + grid.title),)
        return Price(record, rows, grids, tuple(machine_tables.width_notes([record])))
    planned = schedule(typed, machine, timing)
    record["machine"] = machine_record(typed, planned)
    columns = [counts | record]
    first, *others = machine_tables.machine_grids(columns)
    notes = machine_tables.machine_notes(columns, [], machine)
    rows = tuple(map(flat_step, record["machine"]["steps"]))
    return Price(record, rows, (replace(first, title=title + first.title), *others), tuple(notes))


def with_table(target: str, table: str | Sequence[str] | None) -> str:
    if table is None:
        return target
    if not isinstance(table, str):
        raise CostModelError("on a target there is one table: give its name as text")
    return f"{target}{',' if ':' in target else ':'}table={table}"


def flat_step(step: dict[str, Any]) -> dict[str, Any]:
    """A step of a schedule as one row; energy nominal."""
    row = {key: value for key, value in step.items() if not isinstance(value, dict | list)}
    energy = step["energy_pj"]
    row |= {f"{level}_bytes": n for level, n in step["bytes"].items()}
    return row | {"energy_pj": None if energy is None else energy[0]}
