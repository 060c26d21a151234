"""`costmodel report`: attention mechanisms side by side, as counts and on a target."""

from __future__ import annotations

from pathlib import Path

import click

from costmodel.api.graphs import Request, counted
from costmodel.api.pages import pictures_record, write_page
from costmodel.api.reports import accuracies, add_machine, trained_mechanisms
from costmodel.cli.common import check_output, model_options, show
from costmodel.cli.pages import check_page
from costmodel.compare.verdict import report_record
from costmodel.counting.energy import energy_record
from costmodel.counting.records import count_record
from costmodel.errors import CostModelError
from costmodel.hardware.loading import load_target
from costmodel.hardware.timing import CONVENTIONS
from costmodel.records import encode
from costmodel.show import report_tables
from costmodel.show.accuracy_tables import accuracy_grid, accuracy_notes
from costmodel.technology.loading import load_table
from costmodel.widths.policy import parse_policy


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
    form: str,
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
        column = encode(count_record(result.subject, result.graph, result.tally, "kind"))
        column["energy_pj"] = {
            name: energy_record(result.graph, result.tally, name, operands_in) for name in tables
        }
        columns.append(column)
    record = report_record(columns)
    grids, notes = report_tables.report_grids(record), report_tables.report_notes(record)
    if policy:
        more_grids, more_notes = add_machine(request, record, results, policy, machine, timing, tables)
        grids, notes = [*grids, *more_grids], [*notes, *more_notes]
    if task_name is not None:
        measured = accuracies(task_name, attentions, widths_text or "w8a8", data_dir, limit, stored)
        record["accuracy"] = encode(measured)
        grids.append(accuracy_grid(measured))
        notes += accuracy_notes(measured)
    if html is not None:
        record["pictures"] = pictures_record(request, record, results, policy, target, machine, timing, store)
        write_page(html, record, notes)
    show(form, output, record, report_tables.render_report_csv(record), grids, notes)
