"""A target as a record, with what it occupies and the largest arrays that its part holds."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from costmodel.hardware.accelerator import Accelerator
from costmodel.hardware.occupancy import area_of, available, largest_array, memory_prices, resources

# Kinds of PE of which the largest array is shown: what a design for one mechanism would take.
CHOICES = (("mac",), ("l1",), ("clip",), ("l1", "clip"), ("mac", "l1", "clip"))


def target_record(target: Accelerator) -> dict[str, Any]:
    area, memories = area_of(target), memory_prices(target)
    record = asdict(target) | {
        "array": f"{target.array.R}x{target.array.C}",
        "peak_steps_per_s": target.peak_steps_per_s,
    }
    record |= {"part": target.part.name if target.part else None, "prices": None}
    record["area_mm2"] = None if area is None else area.total_mm2
    record["area_how"] = None if area is None else area.how
    record["memory_prices"] = [] if memories is None else list(memories.how)
    record["resources"] = resources(target)
    if target.part:
        record["usable"] = available(target.part)
        record["largest_arrays"] = largest_arrays(target)
    return record


def largest_arrays(target: Accelerator) -> list[dict[str, Any]]:
    assert target.part is not None
    rows = []
    for kinds in CHOICES:
        for dsp in (True, False) if "mac" in kinds else (False,):
            array = largest_array(target.part, kinds, dsp, target.lanes)
            rows.append({"kinds": "+".join(kinds), "dsp": dsp, "array": f"{array.R}x{array.C}", "pes": array.pes})
    return rows
