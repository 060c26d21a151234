"""Targets: tables."""

from __future__ import annotations

from typing import Any

from costmodel.hardware.accelerator import KIB, Accelerator
from costmodel.hardware.occupancy import area_of, available, resources
from costmodel.hardware.records import largest_arrays, target_record
from costmodel.show import grid


def overview(targets: list[Accelerator]) -> grid.Grid:
    head = (
        "",
        "node nm",
        "MHz",
        "array",
        "PEs do",
        "dataflow",
        "lanes",
        "buffer KiB",
        "DRAM MB/s",
        "mm²",
        "table",
    )
    rows = []
    for t in targets:
        area = area_of(t)
        rows.append(
            (
                *(t.name, str(t.node_nm), str(t.clock_mhz), f"{t.array.R}x{t.array.C}", " ".join(t.kinds)),
                *(t.dataflow, str(t.lanes), str(t.buffer_bytes // KIB), grid.shown(t.bandwidth_mb_s)),
                *("-" if area is None else f"{area.total_mm2:.2f}", t.table or "none"),
            )
        )
    return grid.Grid("targets", head, tuple(rows))


def details(target: Accelerator) -> grid.Grid:
    record = target_record(target)
    skipped = ("resources", "usable", "largest_arrays", "note", "source", "title", "name", "prices")
    rows = [
        (key, grid.shown(v) if isinstance(v, int) and not isinstance(v, bool) else text_of(v))
        for key, v in record.items()
        if key not in skipped and v not in (None, [], "")
    ]
    return grid.Grid(target.name, ("", "value"), tuple(rows), numbers=False)


def text_of(value: Any) -> str:
    return "; ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def fpga_grids(target: Accelerator) -> list[grid.Grid]:
    """What the target takes of its part, and the largest array that the part holds of each kind of PE."""
    if target.part is None:
        return []
    limits = available(target.part)
    used = tuple((n.upper(), grid.shown(v), grid.shown(limits[n])) for n, v in resources(target).items())
    arrays = tuple(
        (r["kinds"], "1 a PE" if r["dsp"] else "none", r["array"], grid.shown(r["pes"]))
        for r in largest_arrays(target)
    )
    return [
        grid.Grid(f"resources of {target.part.name}", ("", "used", "usable"), used),
        grid.Grid("largest array beside these lanes", ("PE does", "DSP", "array", "PEs"), arrays),
    ]
