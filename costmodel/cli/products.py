"""`costmodel gemm`: one product on one array."""

from __future__ import annotations

from pathlib import Path

import click

from costmodel.api.products import TIMINGS, gemm
from costmodel.cli.common import check_output, objective_option, output_options, present
from costmodel.hardware.pe import term_kinds
from costmodel.hardware.timing import DATAFLOWS


@click.command("gemm")
@click.argument("m", type=int)
@click.argument("n", type=int)
@click.argument("k", type=int)
@click.option("--array", help="Rows x columns of PEs.  [default: 32x32, or the target's]")
@click.option("--dataflow", type=click.Choice(DATAFLOWS), help="[default: os, or the target's]")
@click.option(
    "--kind",
    type=click.Choice(term_kinds()),
    default="mac",
    show_default=True,
    help="What a PE does with a pair.",
)
@click.option("--timing", type=click.Choice(TIMINGS), default="array", show_default=True)
@click.option("--on", "target", help="A target: its array and dataflow, moved bytes, energy; int8 operands.")
@objective_option
@output_options
def command(
    m: int,
    n: int,
    k: int,
    array: str | None,
    dataflow: str | None,
    kind: str,
    timing: str,
    target: str | None,
    objective: str | None,
    form: str,
    output: Path | None,
) -> None:
    """Cycles and buffer accesses of a [M,K] times b [K,N] on a systolic array.

    A cycle is the same for every kind of PE. The conventions differ by factors; `array` is our own,
    as sim/machine/array.py steps it, `scalesim` is what SCALE-Sim 3.0.0 prints.

    Example: costmodel gemm 128 768 768 --array 32x32 --dataflow os --timing all
    """
    check_output(output)
    present(gemm(m, n, k, array, dataflow, kind, timing, target, objective), form, output)
