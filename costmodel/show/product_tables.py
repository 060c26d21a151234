"""One product on an array: table and notes."""

from __future__ import annotations

from typing import Any

from costmodel.hardware.accelerator import Accelerator
from costmodel.show import grid


def target_notes(record: dict[str, Any], target: Accelerator) -> list[str]:
    moved = ", ".join(f"{k.replace('_', ' ')} {grid.shown(v)}" for k, v in record["moved_bytes"].items())
    lines = [
        f"On {target.name}: tile {record['tile']}; {grid.shown(record['step_cycles'])} cycles with loads and "
        f"stores ({grid.shown(record['dma_cycles'])} of DMA, {grid.shown(record['vector_cycles'])} of the "
        "vector unit).",
        f"Bytes: {moved}; no schedule moves fewer than {grid.shown(record['lower_bound_bytes'])} "
        "from and to DRAM.",
    ]
    energy = record["energy_pj"]
    if energy is None:
        return [*lines, "No energy is published for this target."]
    parts = ", ".join(f"{part} {e[0] / 1e6:.3f}" for part, e in energy.items())
    return [*lines, f"Energy in µJ, nominal: {parts}."]


def gemm_grid(records: list[dict[str, Any]]) -> grid.Grid:
    first = records[0]
    title = f"[{first['M']},{first['K']}] x [{first['K']},{first['N']}] on {first['array']} {first['kind']} PEs, "
    title += f"{first['dataflow']}, {first['folds']} folds; buffer accesses in words"
    head = ("timing", "cycles", "utilisation", "ifmap reads", "filter reads", "ofmap reads", "ofmap writes")
    keys = ("sram_ifmap_reads", "sram_filter_reads", "sram_ofmap_reads", "sram_ofmap_writes")
    rows = tuple(
        (
            r["timing"],
            grid.shown(r["cycles"]),
            f"{100 * r['utilisation']:.1f} %",
            *(grid.shown(r[k]) for k in keys),
        )
        for r in records
    )
    return grid.Grid(title, head, rows)
