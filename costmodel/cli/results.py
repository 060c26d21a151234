"""`costmodel results`: the accuracies that were measured, beside published ones of a larger model."""

from __future__ import annotations

from pathlib import Path

import click

from costmodel.cli.common import check_output, output_options, show
from costmodel.compare.accuracies import summarise
from costmodel.show.formats import render_records_csv
from costmodel.show.stored_tables import stored_grid, stored_notes


@click.command("results")
@output_options
def command(form: str, output: Path | None) -> None:
    """Print the stored accuracies: MiniLM's, by task and attention, as means over seeds, in floats and in bits.

    Beside them stand the published figures of DistilBERT-base, which is another, larger model.

    Example: costmodel results
    """
    from models.zoo.students import PUBLISHED, stored_results

    check_output(output)
    rows = summarise(stored_results())
    record = {"results": rows, "published": PUBLISHED}
    show(
        form,
        output,
        record,
        render_records_csv([dict(r, **r["metrics"]) for r in rows]),
        [stored_grid(rows, PUBLISHED)],
        stored_notes(PUBLISHED),
    )
