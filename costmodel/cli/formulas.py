"""`costmodel formula`: closed forms of counts, bytes and energy, and where two mechanisms break even."""

from __future__ import annotations

from pathlib import Path

import click

from costmodel.api.formulas import BREAK_EVEN, PRICES, QUANTITIES, formula
from costmodel.cli.common import check_output, objective_option, output_options, present
from costmodel.hardware.timing import CONVENTIONS


@click.command("formula")
@click.argument("model")
@click.option("--attention", default="dot", show_default=True)
@click.option("--of", "of", type=click.Choice(QUANTITIES), help="One quantity.  [default: all counts and bytes]")
@click.option("--table", default="horowitz45", show_default=True, help="Cost table of energy_pj.")
@click.option("--break-even", type=click.Choice(BREAK_EVEN), help="Solve for this symbol.")
@click.option("--against", default="inhibitor", show_default=True, help="The other mechanism, with --break-even.")
@click.option("--on", "target", help="A target: forms of cycles, bytes that move, energy_pj.")
@click.option("--widths", default="w8a8", show_default=True, help="Number types, with --on.")
@click.option("--timing", type=click.Choice(CONVENTIONS), default="array", show_default=True)
@click.option("--prices", type=click.Choice(PRICES), default="numbers", show_default=True)
@click.option("--seq", type=int, help="S, where it is not solved for.  [default: 128]")
@click.option("--lengths", help="With --on every number FIRST..LAST of --break-even.  [default: as in a report]")
@click.option("--workers", type=int, help="Processes for --lengths.  [default: one a core]")
@click.option("--batch", type=int, default=1, show_default=True, help="B, where it is not solved for.")
@objective_option
@output_options
def command(
    model: str,
    attention: str,
    of: str | None,
    table: str,
    break_even: str | None,
    against: str,
    target: str | None,
    widths: str,
    timing: str,
    prices: str,
    seq: int | None,
    batch: int,
    lengths: str | None,
    workers: int | None,
    objective: str | None,
    form: str,
    output: Path | None,
) -> None:
    """Closed forms in B, S, d, H, G, F, L of MODEL, a preset.

    B batch, S sequence, d width of a head, H heads, G heads of keys and values, F width of the FFN,
    L layers; the model's width is H d. Energy is the nominal energy of float32 arithmetic, or with --on all
    of a target's at some widths. Forms on a target are piecewise: printed is the piece around --seq, where
    tiles, types and the slowest unit are as chosen there. With --break-even and --on the two mechanisms are
    compared at every whole number of a range.

    Example: costmodel formula distilbert --attention dot --of energy_pj --break-even S --against inhibitor
    """
    check_output(output)
    found = formula(
        model,
        attention,
        of,
        break_even,
        against,
        seq,
        batch,
        table,
        target,
        widths,
        timing,
        prices,
        lengths,
        workers,
        objective,
    )
    present(found, form, output)
