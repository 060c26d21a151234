"""`report`: attention mechanisms side by side, as counts, on a target, and with measured accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from costmodel.api.graphs import Counted, Request, counted
from costmodel.api.prices import TABLES
from costmodel.api.results import Report
from costmodel.api.subjects import of_model
from costmodel.compare.break_even import break_even_seq
from costmodel.compare.evaluation import Evaluation
from costmodel.compare.machine import arithmetic_record, cycles_and_energy, machine_record, widths_record
from costmodel.compare.tables import verdict_over_tables
from costmodel.compare.verdict import report_record
from costmodel.counting.energy import energy_record
from costmodel.counting.records import count_record
from costmodel.errors import CostModelError
from costmodel.hardware.accelerator import Accelerator
from costmodel.hardware.loading import load_target
from costmodel.hardware.timing import CONVENTIONS
from costmodel.mapping.schedule import schedule
from costmodel.records import encode
from costmodel.show import grid, machine_tables, report_tables
from costmodel.technology.loading import load_table
from costmodel.widths.assign import Typed, assign_widths
from costmodel.widths.policy import Policy, parse_policy
from models.zoo.presets import PRESETS


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
    from costmodel.api.graphs import Request, counted
    from costmodel.show import accuracy_tables

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
        names = trained_mechanisms(request, task, names, stored)
    results = [counted(request, name) for name in names]
    columns = []
    for result in results:
        column = encode(count_record(result.subject, result.graph, result.tally, "kind"))
        energies = {t: energy_record(result.graph, result.tally, t, operands_in) for t in tables}
        columns.append(column | {"energy_pj": energies})
    record = report_record(columns)
    grids, notes = report_tables.report_grids(record), report_tables.report_notes(record)
    if widths or machine:
        policy = parse_policy(widths or "w8a8")
        added = add_machine(request, record, results, policy, machine, timing, tables)
        grids, notes = [*grids, *added[0]], [*notes, *added[1]]
    if task is not None:
        folder = None if data_dir is None else Path(data_dir)
        measured = accuracies(task, names, widths or "w8a8", folder, limit, stored)
        record["accuracy"] = encode(measured)
        grids.append(accuracy_tables.accuracy_grid(measured))
        notes += accuracy_tables.accuracy_notes(measured)
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


# Lengths between which break-even points are looked for.
LENGTHS = (16, 32, 64, 128, 256, 384, 512, 1024, 2048, 4096)


def add_machine(
    request: Request,
    record: dict[str, Any],
    results: list[Counted],
    policy: Policy,
    machine: Accelerator | None,
    timing: str,
    tables: tuple[str, ...],
) -> tuple[list[grid.Grid], list[str]]:
    """Widths and, with a target, its costs; into the record, and as grids and notes."""
    columns = record["columns"]
    typed = [assign_widths(result.graph, policy) for result in results]
    for column, each in zip(columns, typed, strict=True):
        column["widths"] = widths_record(each)
        column["widths"]["energy_pj"] = arithmetic_record(each, tables)
    if machine is None:
        return [machine_tables.width_grid(columns)], machine_tables.width_notes(columns)
    planned = [schedule(each, machine, timing) for each in typed]
    for column, each, plan in zip(columns, typed, planned, strict=True):
        column["machine"] = machine_record(each, plan)
    rows = verdict_over_tables(typed, planned)
    record["machine_verdict"] = rows
    grids = machine_tables.machine_grids(columns)
    notes = machine_tables.machine_notes(columns, rows, machine)
    if rows:
        grids.append(machine_tables.verdict_grid(columns, rows))
    names = [result.subject.attention for result in results]
    record["break_even_seq"] = break_even(request, names, policy, machine, timing)
    notes += machine_tables.break_even_notes(record["break_even_seq"], columns)
    return grids, notes


# Accuracy


def trained_mechanisms(request: Request, task: str, attentions: tuple[str, ...], stored: bool) -> tuple[str, ...]:
    """The mechanisms of the checkpoints that were measured, with their options: they are what is counted, too."""
    from models.attention.mechanisms import Mechanism
    from models.tasks.data import TASKS
    from models.zoo.students import mechanism_of, stored_result, student

    if task not in TASKS:
        raise CostModelError(f"unknown task {task!r}; known: {', '.join(TASKS)}")
    if request.model != "minilm-distilbert":
        raise CostModelError(f"--task: the checkpoints that ship are of minilm-distilbert, not of {request.model}")
    if stored:
        return tuple(stored_result(task, name).attention for name in attentions)
    return tuple(str(Mechanism(**mechanism_of(student(task, name)))) for name in attentions)


def accuracies(
    task: str, attentions: tuple[str, ...], widths: str, data_dir: Path | None, limit: int | None, stored: bool
) -> list[Evaluation]:
    """Of each mechanism its accuracy in floats and in bits: measured now, or as it was stored."""
    from costmodel.api.stored import stored_evaluation
    from models.zoo.students import student

    if stored:
        return [replace(stored_evaluation(task, name), stored=True) for name in attentions]
    from costmodel.api.evaluations import measure
    from costmodel.api.session import Session

    found = []
    for name in attentions:
        session = Session(str(student(task, name)), None)
        record, _ = measure(session, task, None, data_dir, (widths,), limit)
        found.append(replace(record, stored=False))
    return found


def break_even(
    request: Request, names: list[str], policy: Policy, machine: Accelerator, timing: str
) -> dict[str, dict[str, Any]]:
    """Of each other mechanism the sequence lengths from which on it is cheaper, or no longer, than the first."""
    preset = PRESETS.get(request.model)
    if preset is None or preset.fixed_seq is not None or len(names) < 2:
        return {}
    longest = preset.max_positions or LENGTHS[-1]
    lengths = [s for s in LENGTHS if s < longest] + [longest - 1]
    known: dict[tuple[str, int], tuple[float, float | None]] = {}

    def costs(attention: str, seq: int) -> tuple[float, float | None]:
        if (attention, seq) not in known:
            result = counted(replace(request, seq=seq), attention)
            each: Typed = assign_widths(result.graph, policy)
            known[attention, seq] = cycles_and_energy(each, schedule(each, machine, timing))
        return known[attention, seq]

    found: dict[str, dict[str, Any]] = {}
    for other in names[1:]:
        found[other] = {"lengths": [lengths[0], lengths[-1]]}
        for place, what in enumerate(("cycles", "energy_pj")):
            if costs(other, lengths[0])[place] is None:
                continue

            def difference(seq: int, place: int = place, other: str = other) -> float:
                return float((costs(other, seq)[place] or 0) - (costs(names[0], seq)[place] or 0))

            found[other][what] = {
                "at": break_even_seq(difference, lengths),
                "cheaper_at_first": difference(lengths[0]) < 0,
            }
    return found
