"""`costmodel count`: one model, one attention, rows by kind, op, module or layer."""

from __future__ import annotations

from pathlib import Path

import click

from costmodel import render
from costmodel.cli.common import Request, check_output, counted, model_options, show
from costmodel.count import GROUPINGS
from costmodel.report import count_record


@click.command("count")
@model_options
@click.option("--attention", help="A mechanism, such as inhibitor or inhibitor:normalise=sqrt.  [default: dot]")
@click.option("--by", type=click.Choice(GROUPINGS), default="kind", show_default=True)
def command(
    request: Request,
    format_: str,
    output: Path | None,
    attention: str | None,
    by: str,
) -> None:
    """Count the operations and bytes of MODEL, forward pass.

    MODEL is a preset (distilbert, bert-base, llama-3-8b, ...), a directory or hub id with
    safetensors, or package.module:function returning (module, inputs).

    Example: costmodel count distilbert --seq 128 --by layer
    """
    check_output(output)
    result = counted(request, attention)
    record = count_record(result.subject, result.graph, result.tally, by)
    show(
        format_,
        output,
        record,
        render.render_count_csv(record),
        render.count_grids(record),
        render.count_notes(record),
    )
