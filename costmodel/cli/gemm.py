"""`costmodel gemm`: one product on one array."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from costmodel import render
from costmodel.cli.common import check_output, output_options, show
from costmodel.cost import price_work
from costmodel.hardware import KINDS, Accelerator, check, load_target, memory_prices
from costmodel.schedule import show_tile, site_of, slots, term_work
from costmodel.technology import add_up, load_table
from costmodel.tile import Operands, best_tile, lower_bound_bits
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
from costmodel.widths import requantise_work


@click.command("gemm")
@click.argument("m", type=int)
@click.argument("n", type=int)
@click.argument("k", type=int)
@click.option("--array", "array_text", help="Rows x columns of PEs.  [default: 32x32, or the target's]")
@click.option("--dataflow", type=click.Choice(DATAFLOWS), help="[default: os, or the target's]")
@click.option(
    "--kind", type=click.Choice(KINDS), default="mac", show_default=True, help="What a PE does with a pair."
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
    format_: str,
    output: Path | None,
) -> None:
    """Cycles and buffer accesses of a [M,K] times b [K,N] on a systolic array.

    A cycle is the same for every kind of PE. The conventions differ by factors; `array` is our own,
    as sim/array.py steps it, `scalesim` is what SCALE-Sim 3.0.0 prints.

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
    show(format_, output, whole, render.render_records_csv(records), [gemm_grid(records)], notes)


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


def on_target(product: Product, kind: str, target: Accelerator, convention: str) -> dict[str, Any]:
    """The best tile of an int8 product with 32-bit sums and int8 results; bytes at each level, energy.

    The vector unit requantises the results; where no PE does this kind of term it does that too.
    """
    on_array = kind in target.kinds
    terms = term_work(kind, product, 32)
    work = requantise_work(product.M * product.N, 32) + (() if on_array else terms)
    operands = Operands(
        8, 8, 32, 8, b_bypasses=target.weights_bypass, on_array=on_array, vector_cycles=slots(work, target)
    )
    cost = best_tile(product, 1, operands, site_of(target, convention))
    record: dict[str, Any] = {
        "target": target.name,
        "tile": show_tile(cost.tile),
        "step_cycles": cost.cycles,
        "dma_cycles": cost.dma_cycles,
        "vector_cycles": operands.vector_cycles,
        "moved_bytes": {
            "dram_read": (cost.a_bits + cost.b_bits + cost.out_read_bits) // 8,
            "dram_write": cost.out_write_bits // 8,
            "buffer_read": cost.buffer_read_bits // 8,
            "buffer_write": cost.buffer_write_bits // 8,
        },
        "lower_bound_bytes": lower_bound_bits(product, 1, operands, target.tile_bytes) // 8,
        "energy_pj": None,
    }
    memories = memory_prices(target)
    if memories is not None and target.table:
        table, moved = load_table(target.table), record["moved_bytes"]
        energy = {
            "array": price_work(table, terms if on_array else ()),
            "vector": price_work(table, work),
            "buffer": memories.buffer_read * moved["buffer_read"] + memories.buffer_write * moved["buffer_write"],
            "dram": memories.dram * (moved["dram_read"] + moved["dram_write"]),
        }
        energy["total"] = add_up(energy.values())
        record["energy_pj"] = {part: [e.nominal_pj, e.low_pj, e.high_pj] for part, e in energy.items()}
    return record


def target_notes(record: dict[str, Any], target: Accelerator) -> list[str]:
    moved = ", ".join(f"{k.replace('_', ' ')} {render.shown(v)}" for k, v in record["moved_bytes"].items())
    lines = [
        f"On {target.name}: tile {record['tile']}; {render.shown(record['step_cycles'])} cycles with loads and "
        f"stores ({render.shown(record['dma_cycles'])} of DMA, {render.shown(record['vector_cycles'])} of the "
        "vector unit).",
        f"Bytes: {moved}; no schedule moves fewer than {render.shown(record['lower_bound_bytes'])} "
        "from and to DRAM.",
    ]
    energy = record["energy_pj"]
    if energy is None:
        return [*lines, "No energy is published for this target."]
    parts = ", ".join(f"{part} {e[0] / 1e6:.3f}" for part, e in energy.items())
    return [*lines, f"Energy in µJ, nominal: {parts}."]


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
