"""`costmodel count`: one model, one attention, rows by kind, op, module or layer."""

from __future__ import annotations

from pathlib import Path

import click

from costmodel.api.graphs import Request, counted
from costmodel.cli.common import check_output, model_options, show
from costmodel.counting.records import count_record
from costmodel.counting.tally import GROUPINGS
from costmodel.show import count_tables


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
        count_tables.render_count_csv(record),
        count_tables.count_grids(record),
        count_tables.count_notes(record),
    )
