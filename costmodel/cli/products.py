"""`costmodel gemm`: one product on one array."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from costmodel.cli.common import check_output, output_options, show
from costmodel.hardware.loading import check, load_target
from costmodel.hardware.pe import PE_KINDS
from costmodel.hardware.timing import CONVENTIONS, DATAFLOWS, ArrayShape, Product, parse_array
from costmodel.mapping.one_product import gemm_record, on_target
from costmodel.show import formats
from costmodel.show.product_tables import gemm_grid, target_notes


@click.command("gemm")
@click.argument("m", type=int)
@click.argument("n", type=int)
@click.argument("k", type=int)
@click.option("--array", "array_text", help="Rows x columns of PEs.  [default: 32x32, or the target's]")
@click.option("--dataflow", type=click.Choice(DATAFLOWS), help="[default: os, or the target's]")
@click.option(
    "--kind",
    type=click.Choice(tuple(PE_KINDS)),
    default="mac",
    show_default=True,
    help="What a PE does with a pair.",
)
@click.option("--timing", type=click.Choice((*CONVENTIONS, "all")), default="array", show_default=True)
@click.option("--on", "target_text", help="A target: its array and dataflow, moved bytes, energy; int8 operands.")
@output_options
def command(
    m: int,
    n: int,
    k: int,
    array_text: str | None,
    dataflow: str | None,
    kind: str,
    timing: str,
    target_text: str | None,
    form: str,
    output: Path | None,
) -> None:
    """Cycles and buffer accesses of a [M,K] times b [K,N] on a systolic array.

    A cycle is the same for every kind of PE. The conventions differ by factors; `array` is our own,
    as sim/machine/array.py steps it, `scalesim` is what SCALE-Sim 3.0.0 prints.

    Example: costmodel gemm 128 768 768 --array 32x32 --dataflow os --timing all
    """
    check_output(output)
    product = Product(m, n, k)
    target = None if target_text is None else load_target(target_text)
    own = target.array if target else ArrayShape(32, 32)
    array = own if array_text is None else parse_array(array_text)
    flow = dataflow or (target.dataflow if target else "os")
    conventions = CONVENTIONS if timing == "all" else (timing,)
    records = [gemm_record(product, array, flow, kind, convention) for convention in conventions]
    notes: list[str] = []
    if target:
        target = check(replace(target, array=array, dataflow=flow))
        for record in records:
            record |= on_target(product, kind, target, record["timing"])
        notes = target_notes(records[0], target)
    whole = records[0] if timing != "all" else {"timings": records}
    show(form, output, whole, formats.render_records_csv(records), [gemm_grid(records)], notes)
