"""`costmodel diff`: why one point costs less than another."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from costmodel.api.differences import load, point_column
from costmodel.api.graphs import Request
from costmodel.cli.common import check_output, check_sizes, output_options, show
from costmodel.compare.breakdown import Breakdown, breakdown, difference
from costmodel.errors import CostModelError
from costmodel.show import formats
from costmodel.show.breakdown_tables import difference_grids, difference_notes, difference_rows

OPTIONS = {"task_name": "task", "as_run": "as-run", "tables": "table", "operands_in": "operands-in"}


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
    record = difference(load(a) or from_words(a), load(b) or from_words(b))
    csv_text = formats.render_records_csv(difference_rows(record))
    show(form, output, record, csv_text, difference_grids(record), difference_notes(record))


def from_words(text: str) -> Breakdown:
    """A point by the words of a report: one attention."""
    from costmodel.cli.reports import command as report

    try:
        words = shlex.split(text)
    except ValueError as error:
        raise CostModelError(f"{text!r}: {error}") from None
    if not words:
        raise CostModelError("an empty point; give a file, STORE#INDEX, or the words of a report in quotes")
    if "--help" in words:
        raise CostModelError(f"{text!r} asks for help; give a model and its options")
    given = report.make_context("report", words).params
    attentions = given["attentions"] or ("dot",)
    if len(attentions) != 1:
        raise CostModelError(f"{text!r} has {len(attentions)} attentions; a point has one")
    for option in ("html", "store", "task_name", "output", "as_run", "tables", "operands_in"):
        if given[option]:
            raise CostModelError(f"{text!r}: --{OPTIONS.get(option, option)} is of no use in a point")
    check_sizes(given["batch"], given["seq"])
    names = ("model", "batch", "seq", "dtype", "device", "as_run", "allow_unknown")
    request = Request(*(given[n] for n in names))
    column = point_column(request, attentions[0], given["widths"], given["target"], given["timing"])
    return breakdown(column, text)
