"""`costmodel results`: the accuracies that were measured, beside published ones of a larger model."""

from __future__ import annotations

from pathlib import Path

import click

from costmodel.api.stored import stored_results
from costmodel.cli.common import check_output, output_options, present


@click.command("results")
@output_options
def command(form: str, output: Path | None) -> None:
    """Print the stored accuracies: MiniLM's, by task and attention, as means over seeds, in floats and in bits.

    Beside them stand the published figures of DistilBERT-base, which is another, larger model.

    Example: costmodel results
    """
    check_output(output)
    present(stored_results(), form, output)
