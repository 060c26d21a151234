"""`costmodel report`: attention mechanisms side by side."""

from __future__ import annotations

from pathlib import Path

import click

from costmodel import render
from costmodel.cli.common import Request, check_output, counted, model_options, show
from costmodel.report import count_record, energy_record, report_record
from costmodel.technology import load_table


@click.command("report")
@model_options
@click.option(
    "--attention", "attentions", multiple=True, help="May be given several times.  [default: dot inhibitor]"
)
@click.option("--table", "tables", multiple=True, help="Cost tables.  [default: horowitz45 jouppi7]")
@click.option("--operands-in", help="Memory that every operand comes from and goes to.  [default: dram]")
def command(
    request: Request,
    format_: str,
    output: Path | None,
    attentions: tuple[str, ...],
    tables: tuple[str, ...],
    operands_in: str | None,
) -> None:
    """Compare attention mechanisms in MODEL: operations, bytes, energy, and the share of attention.

    Example: costmodel report distilbert --attention dot --attention inhibitor --seq 128
    """
    check_output(output)
    tables = tables or ("horowitz45", "jouppi7")
    for name in tables:
        table = load_table(name)
        if operands_in is not None:
            table.memory(operands_in)
    columns = []
    for attention in attentions or ("dot", "inhibitor"):
        result = counted(request, attention)
        column = count_record(result.subject, result.graph, result.tally, "kind")
        column["energy_pj"] = {
            name: energy_record(result.graph, result.tally, name, operands_in) for name in tables
        }
        columns.append(column)
    record = report_record(columns)
    show(
        format_,
        output,
        record,
        render.render_report_csv(record),
        render.report_grids(record),
        render.report_notes(record),
    )
