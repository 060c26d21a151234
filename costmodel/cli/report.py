"""`costmodel report`: attention mechanisms side by side, as counts and on a target."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from costmodel import machine_report, render
from costmodel.cli.common import Counted, Request, check_output, counted, model_options, show
from costmodel.cli.html import check_page, pictures_record, write_page
from costmodel.errors import CostModelError
from costmodel.hardware import Accelerator, load_target
from costmodel.report import count_record, energy_record, report_record
from costmodel.schedule import schedule
from costmodel.technology import load_table
from costmodel.timing import CONVENTIONS
from costmodel.widths import Policy, Typed, assign_widths, parse_policy
from models.presets import PRESETS

# Lengths between which break-even points are looked for.
LENGTHS = (16, 32, 64, 128, 256, 384, 512, 1024, 2048, 4096)


@click.command("report")
@model_options
@click.option(
    "--attention", "attentions", multiple=True, help="May be given several times.  [default: dot inhibitor]"
)
@click.option("--table", "tables", multiple=True, help="Cost tables.  [default: horowitz45 jouppi7]")
@click.option("--operands-in", help="Memory that every operand comes from and goes to.  [default: dram]")
@click.option("--widths", help="fp32, bf16, w8a8, w4a8:acc=24, ...  [default with --on: w8a8]")
@click.option("--on", "target", help="A target of `costmodel targets`, or a file FILE.toml.")
@click.option("--timing", type=click.Choice(CONVENTIONS), default="array", show_default=True)
@click.option("--task", "task_name", help="Accuracy, too: of the checkpoints that ship for a task, such as sst2.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="GLUE's TSV files, for --task.")
@click.option("--limit", type=int, help="Only so many sentences of --task, for a quick look.")
@click.option(
    "--stored",
    is_flag=True,
    help="Of --task the stored result, if need be a mean over seeds; of any task of `results`.",
)
@click.option("--html", type=click.Path(path_type=Path), help="Also a page of figures: one file, works offline.")
@click.option(
    "--store", type=click.Path(path_type=Path), help="A store of `costmodel sweep`: its front, for --html."
)
def command(
    request: Request,
    format_: str,
    output: Path | None,
    attentions: tuple[str, ...],
    tables: tuple[str, ...],
    operands_in: str | None,
    widths: str | None,
    target: str | None,
    timing: str,
    task_name: str | None,
    data_dir: Path | None,
    limit: int | None,
    stored: bool,
    html: Path | None,
    store: Path | None,
) -> None:
    """Compare attention mechanisms in MODEL: operations, bytes, energy, and the share of attention.

    With --widths and --on also cycles, latency, bytes at each level, energy by part and area on a target.

    Example: costmodel report distilbert --attention dot --attention inhibitor --widths w8a8 --on edge-asic
    """
    check_output(output)
    check_page(html, output)
    if store is not None and html is None:
        raise CostModelError("--store goes with --html: the page shows its Pareto front")
    if task_name is None and (data_dir is not None or limit is not None or stored):
        raise CostModelError("--data-dir, --limit and --stored go with --task")
    if limit is not None and limit < 1:
        raise click.BadParameter(f"--limit {limit} is not at least 1")
    tables = tables or ("horowitz45", "jouppi7")
    for name in tables:
        table = load_table(name)
        if operands_in is not None:
            table.memory(operands_in)
    machine = None if target is None else load_target(target)
    default = None if machine is None else "w8a8"
    widths_text = default if widths is None else widths
    policy = None if widths_text is None else parse_policy(widths_text)
    if policy and request.as_run:
        raise CostModelError("--widths and --on price the mathematics; they do not go with --as-run")
    attentions = attentions or ("dot", "inhibitor")
    if task_name is not None:
        attentions = trained_mechanisms(request, task_name, attentions, stored)
    results = [counted(request, attention) for attention in attentions]
    columns = []
    for result in results:
        column = count_record(result.subject, result.graph, result.tally, "kind")
        column["energy_pj"] = {
            name: energy_record(result.graph, result.tally, name, operands_in) for name in tables
        }
        columns.append(column)
    record = report_record(columns)
    grids, notes = render.report_grids(record), render.report_notes(record)
    if policy:
        more_grids, more_notes = add_machine(request, record, results, policy, machine, timing, tables)
        grids, notes = [*grids, *more_grids], [*notes, *more_notes]
    if task_name is not None:
        record["accuracy"] = accuracies(task_name, attentions, widths_text or "w8a8", data_dir, limit, stored)
        grids.append(accuracy_grid(record["accuracy"]))
        notes += accuracy_notes(record["accuracy"])
    if html is not None:
        record["pictures"] = pictures_record(request, record, results, policy, target, machine, timing, store)
        write_page(html, record, notes)
    show(format_, output, record, render.render_report_csv(record), grids, notes)


def add_machine(
    request: Request,
    record: dict[str, Any],
    results: list[Counted],
    policy: Policy,
    machine: Accelerator | None,
    timing: str,
    tables: tuple[str, ...],
) -> tuple[list[render.Grid], list[str]]:
    """Widths and, with a target, its costs; into the record, and as grids and notes."""
    columns = record["columns"]
    typed = [assign_widths(result.graph, policy) for result in results]
    for column, each in zip(columns, typed, strict=True):
        column["widths"] = machine_report.widths_record(each)
        column["widths"]["energy_pj"] = machine_report.arithmetic_record(each, tables)
    if machine is None:
        return [machine_report.width_grid(columns)], machine_report.width_notes(columns)
    planned = [schedule(each, machine, timing) for each in typed]
    for column, each, plan in zip(columns, typed, planned, strict=True):
        column["machine"] = machine_report.machine_record(each, plan)
    rows = machine_report.verdict_over_tables(typed, planned)
    record["machine_verdict"] = rows
    grids = machine_report.machine_grids(columns)
    notes = machine_report.machine_notes(columns, rows, machine)
    if rows:
        grids.append(machine_report.verdict_grid(columns, rows))
    names = [result.subject.attention for result in results]
    record["break_even_seq"] = break_even(request, names, policy, machine, timing)
    notes += machine_report.break_even_notes(record["break_even_seq"], columns)
    return grids, notes


# Accuracy


def trained_mechanisms(request: Request, task: str, attentions: tuple[str, ...], stored: bool) -> tuple[str, ...]:
    """The mechanisms of the checkpoints that were measured, with their options: they are what is counted, too."""
    from models.mechanisms import Mechanism
    from models.students import mechanism_of, stored_result, student
    from models.tasks import TASKS

    if task not in TASKS:
        raise CostModelError(f"unknown task {task!r}; known: {', '.join(TASKS)}")
    if request.model != "minilm-distilbert":
        raise CostModelError(f"--task: the checkpoints that ship are of minilm-distilbert, not of {request.model}")
    if stored:
        return tuple(stored_result(task, name)["attention"] for name in attentions)
    return tuple(str(Mechanism(**mechanism_of(student(task, name)))) for name in attentions)


def accuracies(
    task: str, attentions: tuple[str, ...], widths: str, data_dir: Path | None, limit: int | None, stored: bool
) -> list[dict[str, Any]]:
    """Of each mechanism its accuracy in floats and in bits: measured now, or as it was stored."""
    from models.students import stored_result, student

    if stored:
        return [dict(stored_result(task, name), stored=True) for name in attentions]
    from costmodel.cli.evaluate import measure
    from costmodel.cli.session import Session

    found = []
    for name in attentions:
        session = Session(str(student(task, name)), None)
        record, _ = measure(session, task, None, data_dir, (widths,), limit)
        found.append(record | {"stored": False})
    return found


def accuracy_grid(columns: list[dict[str, Any]]) -> render.Grid:
    rows = []
    first = columns[0]["results"]
    for arithmetic in first:
        for metric in first[arithmetic]["metrics"]:
            cells = [c["results"].get(arithmetic, {}).get("metrics", {}).get(metric) for c in columns]
            shown = ("-" if x is None else f"{100 * x:.1f}" for x in cells)
            rows.append((f"{metric} in {arithmetic}", *shown))
        ends = [c["results"].get(arithmetic, {}).get("interval") for c in columns]
        spans = ("-" if e is None else f"{100 * e[0]:.1f} to {100 * e[1]:.1f}" for e in ends)
        rows.append((f"  95 % of {next(iter(first[arithmetic]['metrics']))}", *spans))
    how = "stored results" if columns[0]["stored"] else "measured now"
    title = f"{columns[0]['task']}, {how}: {columns[0]['source']}, {columns[0]['examples']} examples"
    return render.Grid(title, ("", *(c["attention"] for c in columns)), tuple(rows))


def accuracy_notes(columns: list[dict[str, Any]]) -> list[str]:
    lines = ["Accuracy in integers is of the very bits that are priced: every value within its width."]
    if columns[0].get("limited"):
        lines.append("A part of the examples only: for a quick look.")
    if any(c.get("seeds", 1) > 1 for c in columns):
        lines.append("Means over seeds; an interval is the mean of theirs: of the examples, not of training.")
    return lines + ([columns[0]["note"]] if columns[0].get("note") else [])


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
            known[attention, seq] = machine_report.cycles_and_energy(each, schedule(each, machine, timing))
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
                "at": machine_report.break_even_seq(difference, lengths),
                "cheaper_at_first": difference(lengths[0]) < 0,
            }
    return found
