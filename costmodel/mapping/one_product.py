"""One product on one array: cycles under each convention; on a target its best tile, bytes and energy."""

from __future__ import annotations

from typing import Any

from costmodel.hardware.accelerator import Accelerator
from costmodel.hardware.occupancy import memory_prices
from costmodel.hardware.timing import ArrayShape, Product, accesses, cycles, folds_of, utilisation
from costmodel.mapping.bounds import lower_bound_bits
from costmodel.mapping.cost import price_work
from costmodel.mapping.schedule import show_tile, site_of, slots, term_work
from costmodel.mapping.tile import Operands, best_tile
from costmodel.technology.loading import load_table
from costmodel.technology.tables import add_up
from costmodel.widths.typing import requantise_work


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
