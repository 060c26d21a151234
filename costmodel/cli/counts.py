"""`costmodel count`: one model, one attention, rows by kind, op, module or layer."""

from __future__ import annotations

from pathlib import Path

import click

from costmodel.api.counts import count
from costmodel.api.graphs import Request
from costmodel.cli.common import check_output, model_options, present
from costmodel.counting.tally import GROUPINGS


@click.command("count")
@model_options
@click.option("--attention", help="A mechanism, such as inhibitor or inhibitor:normalise=sqrt.  [default: dot]")
@click.option("--by", type=click.Choice(GROUPINGS), default="kind", show_default=True)
def command(asked: Request, form: str, output: Path | None, attention: str | None, by: str) -> None:
    """Count the operations and bytes of MODEL, forward pass.

    MODEL is a preset (distilbert, bert-base, llama-3-8b, ...), a directory or hub id with
    safetensors, or package.module:function returning (module, inputs).

    Example: costmodel count distilbert --seq 128 --by layer
    """
    check_output(output)
    found = count(
        asked.model, attention, asked.seq, asked.batch, asked.dtype, by,
        device=asked.device, as_run=asked.as_run, allow_unknown=asked.allow_unknown,
    )  # fmt: skip
    present(found, form, output)
