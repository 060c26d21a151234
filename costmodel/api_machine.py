"""The public functions about machines: prices of one model, mechanisms side by side, targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from costmodel import machine_report, render
from costmodel.api_model import Model, counted_of, of_model
from costmodel.errors import CostModelError
from costmodel.hardware import Accelerator, load_target
from costmodel.report import count_record, energy_record, report_record
from costmodel.results import Price, Report, Target
from costmodel.schedule import schedule
from costmodel.technology import load_table
from costmodel.timing import CONVENTIONS
from costmodel.widths import assign_widths, parse_policy

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
        "widths": machine_report.widths_record(typed),
    }
    record["widths"]["energy_pj"] = machine_report.arithmetic_record(typed, tuple(filter(None, tables)))
    counts = count_record(subject, found.graph, found.tally, "kind")
    title = f"{subject.model}, {render.sizes_of(record)}"
    if machine is None:
        grid = machine_report.width_grid([record])
        rows = tuple(
            {"op": op, "type": kind, "operations": n}
            for op, kinds in record["widths"]["counts"].items()
            for kind, n in kinds.items()
        )
        grids = (replace(grid, title=title + grid.title),)
        return Price(record, rows, grids, tuple(machine_report.width_notes([record])))
    planned = schedule(typed, machine, timing)
    record["machine"] = machine_report.machine_record(typed, planned)
    columns = [counts | record]
    first, *others = machine_report.machine_grids(columns)
    notes = machine_report.machine_notes(columns, [], machine)
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


def report(
    model: str,
    attentions: Sequence[str] = ("dot", "inhibitor"),
    seq: int | None = None,
    batch: int = 1,
    tables: Sequence[str] = TABLES,
    operands_in: str | None = None,
    widths: str | None = None,
    target: str | None = None,
    timing: str = "array",
    task: str | None = None,
    data_dir: str | Path | None = None,
    limit: int | None = None,
    stored: bool = False,
) -> Report:
    """Mechanisms side by side: operations, bytes, energy under tables, and the share of the attention core.

    Args:
        operands_in: memory of the tables that every operand comes from and goes to.
        widths, target, timing: also cycles, bytes at each level, energy by part, area, break-even in S.
        task: accuracy, too, of the checkpoints that ship, measured now on `limit` sentences; or as `stored`.

    Rows are one figure a mechanism: attention, figure, unit, value, and the core's part of it.

    >>> import costmodel as cm
    >>> result = cm.report("distilbert", seq=128)
    >>> [c["attention_core"]["counts"]["exp"] for c in result.to_dict()["columns"]]
    [1179648, 0]
    >>> result.notes[0][:72]
    'At S=128 the attention core of dot holds 2.7 % of the multiplications of'
    """
    from costmodel.cli import report as cli
    from costmodel.cli.common import Request, counted

    of_model(model, seq, batch)
    if timing not in CONVENTIONS:
        raise CostModelError(f"timing = {timing!r} is not one of {', '.join(CONVENTIONS)}")
    if isinstance(attentions, str) or not attentions:
        raise CostModelError("attentions is a list of mechanisms, such as ['dot', 'inhibitor']")
    if task is None and (data_dir is not None or limit is not None or stored):
        raise CostModelError("data_dir, limit and stored go with task")
    names, tables = tuple(attentions), tuple(tables)
    for name in tables:
        table = load_table(name)
        if operands_in is not None:
            table.memory(operands_in)
    machine = load_target(target) if target else None
    request = Request(model, batch, seq, "float32", "meta", False, False)
    if task is not None:
        names = cli.trained_mechanisms(request, task, names, stored)
    results = [counted(request, name) for name in names]
    columns = []
    for result in results:
        column = count_record(result.subject, result.graph, result.tally, "kind")
        energies = {t: energy_record(result.graph, result.tally, t, operands_in) for t in tables}
        columns.append(column | {"energy_pj": energies})
    record = report_record(columns)
    grids, notes = render.report_grids(record), render.report_notes(record)
    if widths or machine:
        policy = parse_policy(widths or "w8a8")
        added = cli.add_machine(request, record, results, policy, machine, timing, tables)
        grids, notes = [*grids, *added[0]], [*notes, *added[1]]
    if task is not None:
        folder = None if data_dir is None else Path(data_dir)
        record["accuracy"] = cli.accuracies(task, names, widths or "w8a8", folder, limit, stored)
        grids.append(cli.accuracy_grid(record["accuracy"]))
        notes += cli.accuracy_notes(record["accuracy"])
    return Report(record, tuple(report_rows(record)), tuple(grids), tuple(notes))


def report_rows(record: dict[str, Any]) -> list[dict[str, Any]]:
    """One row a figure and mechanism."""
    rows = []

    def add(column: dict[str, Any], figure: str, unit: str, value: Any, core: Any) -> None:
        rows.append(
            {"attention": column["attention"], "figure": figure, "unit": unit, "value": value, "core": core}
        )

    for column in record["columns"]:
        core = column["attention_core"]
        for name, n in column["counts"].items():
            add(column, name, "operations", n, core["counts"].get(name, 0))
        for name, n in column["bytes"].items():
            add(column, f"{name}_bytes", "bytes", n, core["bytes"].get(name))
        for table, energy in column["energy_pj"].items():
            for part in ("arithmetic", "memory", "total"):
                add(column, f"{part} under {table}", "pJ", energy[part], energy.get(f"core_{part}"))
        machine = column.get("machine")
        if machine:
            add(column, "cycles", "cycles", machine["cycles"], machine["core_cycles"])
            for part, energy in machine["energy_pj"].items():
                inside = machine["core_energy_pj"][part]
                add(column, f"{part} on target", "pJ", energy and energy[0], inside and inside[0])
    return rows


def target(name: str) -> Target:
    """One accelerator: what it is, what it occupies, and on an FPGA the largest arrays that its part holds.

    >>> import costmodel as cm
    >>> zynq = cm.target("xc7z020").to_dict()
    >>> zynq["resources"]["dsp"], zynq["usable"]["dsp"]
    (210, 220)

    Raises:
        BadTarget: no such target, or a description that is wrong.
        DoesNotFit: its part cannot hold it.
    """
    from costmodel.cli import targets as cli

    found: Accelerator = load_target(name)
    record = cli.target_record(found)
    rows = record.get("largest_arrays") or [{k: v for k, v in record.items() if not isinstance(v, dict | list)}]
    grids = (cli.details(found), *cli.fpga_grids(found))
    return Target(record, tuple(rows), grids, (f"{found.title}. {found.source}. {found.note}.",))
