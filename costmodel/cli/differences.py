"""`costmodel diff`: why one point costs less than another."""

from __future__ import annotations

from pathlib import Path

import click

from costmodel.api.differences import diff
from costmodel.cli.common import check_output, output_options, present


@click.command("diff")
@click.argument("a")
@click.argument("b")
@output_options
def command(a: str, b: str, form: str, output: Path | None) -> None:
    """Difference of two cost breakdowns, A to B, part by part: what makes one of them better.

    A and B are each a file of `costmodel report --format json` (FILE, or FILE#ATTENTION where it holds several),
    a point of a sweep (STORE#INDEX), or the words of a report in quotes: a model, --attention, --on and sizes.

    Example: costmodel diff "distilbert --on edge-asic" "distilbert --attention inhibitor --on edge-asic"
    """
    check_output(output)
    present(diff(a, b), form, output)
