"""`costmodel targets`: the accelerators, what they occupy, and what an FPGA part holds."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from costmodel import render
from costmodel.cli.common import check_output, output_options, show
from costmodel.hardware import (
    KIB,
    Accelerator,
    area_of,
    available,
    largest_array,
    load_target,
    memory_prices,
    resources,
    target_names,
)

# Kinds of PE of which the largest array is shown: what a design for one mechanism would take.
CHOICES = (("mac",), ("l1",), ("clip",), ("l1", "clip"), ("mac", "l1", "clip"))


@click.command("targets")
@click.argument("name", required=False)
@output_options
def command(name: str | None, format_: str, output: Path | None) -> None:
    """Print all targets, or the one called NAME (or a file NAME.toml), with sources.

    A target can be varied in place: edge-asic:array=16x16,buffer_kib=128,dataflow=ws.

    Example: costmodel targets xc7z020
    """
    check_output(output)
    targets = [load_target(n) for n in ([name] if name else target_names())]
    records = [target_record(target) for target in targets]
    grids = [overview(targets)] if name is None else [details(targets[0]), *fpga_grids(targets[0])]
    notes = [f"{t.name}: {t.title}. {t.source}. {t.note}." for t in targets]
    flat = [{k: v for k, v in r.items() if not isinstance(v, dict | list)} for r in records]
    show(format_, output, {"targets": records}, render.render_records_csv(flat), grids, notes)


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


def overview(targets: list[Accelerator]) -> render.Grid:
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
                *(t.dataflow, str(t.lanes), str(t.buffer_bytes // KIB), render.shown(t.bandwidth_mb_s)),
                *("-" if area is None else f"{area.total_mm2:.2f}", t.table or "none"),
            )
        )
    return render.Grid("targets", head, tuple(rows))


def details(target: Accelerator) -> render.Grid:
    record = target_record(target)
    skipped = ("resources", "usable", "largest_arrays", "note", "source", "title", "name", "prices")
    rows = [
        (key, render.shown(v) if isinstance(v, int) and not isinstance(v, bool) else text_of(v))
        for key, v in record.items()
        if key not in skipped and v not in (None, [], "")
    ]
    return render.Grid(target.name, ("", "value"), tuple(rows), numbers=False)


def text_of(value: Any) -> str:
    return "; ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def fpga_grids(target: Accelerator) -> list[render.Grid]:
    """What the target takes of its part, and the largest array that the part holds of each kind of PE."""
    if target.part is None:
        return []
    limits = available(target.part)
    used = tuple((n.upper(), render.shown(v), render.shown(limits[n])) for n, v in resources(target).items())
    arrays = tuple(
        (r["kinds"], "1 a PE" if r["dsp"] else "none", r["array"], render.shown(r["pes"]))
        for r in largest_arrays(target)
    )
    return [
        render.Grid(f"resources of {target.part.name}", ("", "used", "usable"), used),
        render.Grid("largest array beside these lanes", ("PE does", "DSP", "array", "PEs"), arrays),
    ]
