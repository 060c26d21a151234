"""`costmodel gemm`: one product on one array."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from costmodel import render
from costmodel.cli.common import check_output, output_options, show
from costmodel.timing import (
    CONVENTIONS,
    DATAFLOWS,
    ArrayShape,
    Product,
    accesses,
    cycles,
    folds_of,
    parse_array,
    utilisation,
)

KINDS = ("mac", "l1", "clip")


@click.command("gemm")
@click.argument("m", type=int)
@click.argument("n", type=int)
@click.argument("k", type=int)
@click.option("--array", "array_text", default="32x32", show_default=True, help="Rows x columns of PEs.")
@click.option("--dataflow", type=click.Choice(DATAFLOWS), default="os", show_default=True)
@click.option(
    "--kind", type=click.Choice(KINDS), default="mac", show_default=True, help="What a PE does with a pair."
)
@click.option("--timing", type=click.Choice((*CONVENTIONS, "all")), default="array", show_default=True)
@output_options
def command(
    m: int,
    n: int,
    k: int,
    array_text: str,
    dataflow: str,
    kind: str,
    timing: str,
    format_: str,
    output: Path | None,
) -> None:
    """Cycles and buffer accesses of a [M,K] times b [K,N] on a systolic array.

    A cycle is the same for every kind of PE. The conventions differ by factors; `array` is our own,
    as sim/array.py steps it, `scalesim` is what SCALE-Sim 3.0.0 prints.

    Example: costmodel gemm 128 768 768 --array 32x32 --dataflow os --timing all
    """
    check_output(output)
    product, array = Product(m, n, k), parse_array(array_text)
    conventions = CONVENTIONS if timing == "all" else (timing,)
    records = [gemm_record(product, array, dataflow, kind, convention) for convention in conventions]
    record = records[0] if timing != "all" else {"timings": records}
    show(format_, output, record, render.render_records_csv(records), [gemm_grid(records)], [])


def gemm_record(product: Product, array: ArrayShape, dataflow: str, kind: str, convention: str) -> dict[str, Any]:
    count = cycles(product, array, dataflow, convention)
    words = accesses(product, array, dataflow, convention)
    return {
        "M": product.M,
        "N": product.N,
        "K": product.K,
        "array": f"{array.R}x{array.C}",
        "dataflow": dataflow,
        "kind": kind,
        "timing": convention,
        "folds": folds_of(product, array, dataflow).number,
        "cycles": count,
        "sram_ifmap_reads": words.ifmap_reads,
        "sram_filter_reads": words.filter_reads,
        "sram_ofmap_reads": words.ofmap_reads,
        "sram_ofmap_writes": words.ofmap_writes,
        "utilisation": utilisation(product, array, count),
    }


def gemm_grid(records: list[dict[str, Any]]) -> render.Grid:
    first = records[0]
    title = f"[{first['M']},{first['K']}] x [{first['K']},{first['N']}] on {first['array']} {first['kind']} PEs, "
    title += f"{first['dataflow']}, {first['folds']} folds; buffer accesses in words"
    head = ("timing", "cycles", "utilisation", "ifmap reads", "filter reads", "ofmap reads", "ofmap writes")
    keys = ("sram_ifmap_reads", "sram_filter_reads", "sram_ofmap_reads", "sram_ofmap_writes")
    rows = tuple(
        (
            r["timing"],
            render.shown(r["cycles"]),
            f"{100 * r['utilisation']:.1f} %",
            *(render.shown(r[k]) for k in keys),
        )
        for r in records
    )
    return render.Grid(title, head, rows)
