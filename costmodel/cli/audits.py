"""`costmodel audit`: the same model under other counters."""

from __future__ import annotations

from pathlib import Path

import click

from costmodel.api.audits import audit
from costmodel.api.graphs import Request
from costmodel.cli.common import check_output, model_options, present


@click.command("audit", context_settings={"default_map": {"device": "cpu"}})
@model_options
@click.option("--attention", help="A mechanism of ours, or eager or sdpa of transformers.  [default: sdpa]")
def command(asked: Request, form: str, output: Path | None, attention: str | None) -> None:
    """Run fvcore and torch's FlopCounterMode on MODEL, and show what each counts and leaves out.

    What they count depends on the device: on CPU both miss the fused attention.

    Example: costmodel audit distilbert-tiny --device cpu
    """
    check_output(output)
    found = audit(
        asked.model, attention, asked.seq, asked.batch, asked.dtype, asked.device, asked.as_run,
        asked.allow_unknown,
    )  # fmt: skip
    present(found, form, output)
