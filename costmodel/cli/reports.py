"""`costmodel report`: attention mechanisms side by side, as counts and on a target."""

from __future__ import annotations

from pathlib import Path

import click

from costmodel.api.graphs import Request
from costmodel.api.prices import TABLES
from costmodel.api.reports import report
from costmodel.cli.common import check_output, model_options, objective_option, present
from costmodel.cli.pages import check_page
from costmodel.hardware.timing import CONVENTIONS


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
@click.option("--task", help="Accuracy, too: of the checkpoints that ship for a task, such as sst2.")
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
@click.option("--details", is_flag=True, help="Print every table and note.")
@click.option(
    "--lengths", help="With --on compare at every S, too: FIRST..LAST, or `all`: 16..512, and up to --seq."
)
@click.option("--workers", type=int, help="Processes for --lengths.  [default: one a core]")
@objective_option
def command(
    asked: Request,
    form: str,
    output: Path | None,
    attentions: tuple[str, ...],
    tables: tuple[str, ...],
    operands_in: str | None,
    widths: str | None,
    target: str | None,
    timing: str,
    task: str | None,
    data_dir: Path | None,
    limit: int | None,
    stored: bool,
    html: Path | None,
    store: Path | None,
    details: bool,
    lengths: str | None,
    workers: int | None,
    objective: str | None,
) -> None:
    """Compare attention mechanisms in MODEL: operations, bytes, energy, and the share of attention.

    With --widths and --on also cycles, latency, bytes at each level, energy by part and area on a target,
    and with --lengths all S at which each other mechanism takes less than the first.
    It prints one screen; --details prints all tables, --format json and csv have every figure.

    Example: costmodel report distilbert --attention dot --attention inhibitor --widths w8a8 --on edge-asic
    """
    check_output(output)
    check_page(html, output)
    found = report(
        asked.model, attentions or None, asked.seq, asked.batch, tables or TABLES, operands_in, widths, target,
        timing, task, data_dir, limit, stored, asked.device, asked.dtype, asked.as_run, asked.allow_unknown,
        html, store, details, lengths=lengths, workers=workers, objective=objective,
    )  # fmt: skip
    present(found, form, output)
