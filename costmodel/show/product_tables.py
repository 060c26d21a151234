"""One product on an array: table, notes, rows."""

from __future__ import annotations

from costmodel.mapping.one_product import AllTimings, GemmRecord, OnTarget, PricedProduct, ProductCost
from costmodel.records import encode
from costmodel.show.document import Cell, Document, Row
from costmodel.show.grid import Grid, shown

ACCESSES = ("sram_ifmap_reads", "sram_filter_reads", "sram_ofmap_reads", "sram_ofmap_writes")


def gemm_document(record: GemmRecord) -> Document:
    """A row for each convention; notes on the target, if there is one."""
    each = record.timings if isinstance(record, AllTimings) else (record,)
    costs = [r.cost if isinstance(r, PricedProduct) else r for r in each]
    notes = target_notes(each[0].on) if isinstance(each[0], PricedProduct) else []
    return Document((gemm_grid(costs),), tuple(notes), tuple(map(flat_row, each)))


def gemm_grid(costs: list[ProductCost]) -> Grid:
    first = costs[0]
    title = f"[{first.M},{first.K}] x [{first.K},{first.N}] on {first.array} {first.kind} PEs, "
    title += f"{first.dataflow}, {first.folds} folds; buffer accesses in words"
    head = ("timing", "cycles", "utilisation", "ifmap reads", "filter reads", "ofmap reads", "ofmap writes")
    rows = tuple(
        (
            c.timing,
            shown(c.cycles),
            f"{100 * c.utilisation:.1f} %",
            *(shown(getattr(c, name)) for name in ACCESSES),
        )
        for c in costs
    )
    return Grid(title, head, rows)


def target_notes(on: OnTarget) -> list[str]:
    moved = ", ".join(f"{k.replace('_', ' ')} {shown(v)}" for k, v in encode(on.moved_bytes).items())
    local = ""
    if on.local_read_cycles is not None and on.local_write_cycles is not None:
        local = f", {shown(on.local_read_cycles)} and {shown(on.local_write_cycles)} of those of the local memory"
    lines = [
        f"On {on.target}: tile {on.tile}; {shown(on.step_cycles)} cycles with loads and stores "
        f"({shown(on.dma_cycles)} of DMA, {shown(on.vector_cycles)} of the vector unit, "
        f"{shown(on.read_port_cycles)} and {shown(on.write_port_cycles)} of the buffer's read and write port"
        f"{local}).",
        f"Bytes: {moved}; no schedule moves fewer than {shown(on.lower_bound_bytes)} from and to DRAM.",
    ]
    if on.energy_pj is None:
        return [*lines, "No energy is published for this target."]
    energies = encode(on.energy_pj)
    energies["total"] = energies.pop("total")  # behind its parts
    parts = ", ".join(f"{part} {found[0] / 1e6:.3f}" for part, found in energies.items() if found)
    return [*lines, f"Energy in µJ, nominal: {parts}."]


def flat_row(record: ProductCost | PricedProduct) -> Row:
    """The record without nesting: `moved_bytes` as `dram_read_bytes`, nominal energies as `array_pj`."""
    row: dict[str, Cell] = {}
    for name, value in encode(record).items():
        if name == "moved_bytes":
            row |= {f"{level}_bytes": n for level, n in value.items()}
        elif name == "energy_pj":
            # An unpublished energy keeps its columns, so that all rows have the same.
            parts: tuple[str, ...] = ("array", "registers", "vector", "buffer", "dram", "total")
            known = value or {}
            parts += ("local",) if "local" in known else ()
            row |= {f"{part}_pj": known[part][0] if known.get(part) else None for part in parts}
        else:
            row[name] = value
    return row
