"""Targets: tables, notes, rows."""

from __future__ import annotations

from collections.abc import Sequence

from costmodel.hardware.accelerator import KIB
from costmodel.hardware.records import TargetRecord
from costmodel.records import encode
from costmodel.show.document import Document, Row
from costmodel.show.grid import Grid, shown
from costmodel.technology.tables import Energy

# What `details` has no line for: it is in the title, in the notes, or in a table of its own.
ELSEWHERE = (
    *("resources", "usable", "largest_arrays", "note", "source", "sources", "title", "name", "prices"),
    "levels",
)


def overview_document(targets: Sequence[TargetRecord]) -> Document:
    """A line a target."""
    return Document((overview(targets),), tuple(map(source_note, targets)), tuple(map(flat_row, targets)))


def target_document(target: TargetRecord) -> Document:
    """One target in full; on an FPGA its rows are the largest arrays that the part holds."""
    rows: tuple[Row, ...] = tuple(map(encode, target.largest_arrays or ())) or (flat_row(target),)
    grids = (details(target), levels(target), *fpga_grids(target), sources(target))
    return Document(grids, (source_note(target),), rows)


def overview(targets: Sequence[TargetRecord]) -> Grid:
    head = (
        *("", "node nm", "MHz", "array", "PEs do", "dataflow"),
        *("lanes", "buffer + local KiB", "read, write B a cycle", "DRAM MB/s", "mm²", "table"),
    )
    rows = tuple(
        (
            *(t.name, str(t.node_nm), str(t.clock_mhz), t.array, " ".join(t.kinds)),
            *(t.dataflow, str(t.lanes), beside(t.buffer_bytes // KIB, t.local_bytes and t.local_bytes // KIB)),
            beside(f"{t.buffer_read_bytes}, {t.buffer_write_bytes}", ports_of(t)),
            shown(t.bandwidth_mb_s),
            *("-" if t.area_mm2 is None else f"{t.area_mm2:.2f}", t.table or "none"),
        )
        for t in targets
    )
    return Grid("targets", head, rows)


def beside(buffer: object, local: object | None) -> str:
    """Of the buffer, and of the local memory of sums if there is one."""
    return str(buffer) if local is None else f"{buffer} + {local}"


def ports_of(target: TargetRecord) -> str | None:
    """Of the local memory."""
    return None if target.local_bytes is None else f"{target.local_read_bytes}, {target.local_write_bytes}"


def details(target: TargetRecord) -> Grid:
    """A line a field."""
    rows = tuple(
        (key, shown(v) if isinstance(v, int) and not isinstance(v, bool) else text_of(v))
        for key, v in encode(target).items()
        if key not in ELSEWHERE and v not in (None, [], "")
    )
    return Grid(target.name, ("", "value"), rows, numbers=False)


def levels(target: TargetRecord) -> Grid:
    """Memories from the PEs to DRAM: sizes, ports in bytes a cycle, pJ a byte with their range."""
    rows = tuple(
        (
            level.level,
            "-" if level.bytes is None else shown(level.bytes),
            *("-" if n is None else f"{n:g}" for n in (level.read_bytes_per_cycle, level.write_bytes_per_cycle)),
            *(picojoules(energy) for energy in (level.read_pj, level.write_pj)),
        )
        for level in target.levels
    )
    head = ("", "bytes", "read B a cycle", "write B a cycle", "read pJ a byte", "write pJ a byte")
    return Grid("memories", head, rows)


def picojoules(energy: Energy | None) -> str:
    """Nominal (low to high), or that nothing is published."""
    if energy is None:
        return "not priced"
    nominal, low, high = (f"{e:.3g}" for e in (energy.nominal_pj, energy.low_pj, energy.high_pj))
    return nominal if low == high else f"{nominal} ({low} to {high})"


def sources(target: TargetRecord) -> Grid:
    """Where each figure is from, by field of the target's file."""
    return Grid("where each figure is from", ("field", "source"), tuple(target.sources.items()), numbers=False)


def text_of(value: object) -> str:
    return "; ".join(map(str, value)) if isinstance(value, list) else str(value)


def source_note(target: TargetRecord) -> str:
    return f"{target.name}: {target.title}. {target.source}. {target.note}."


def flat_row(target: TargetRecord) -> Row:
    """What is one value, and the kinds of PE as one word each."""
    flat = dict.fromkeys(("local_bytes", "local_read_bytes", "local_write_bytes")) | encode(target)
    flat |= {"kinds": " ".join(target.kinds)}
    return {key: value for key, value in flat.items() if not isinstance(value, dict | list)}


def fpga_grids(target: TargetRecord) -> list[Grid]:
    """What the target takes of its part, and the largest array that the part holds of each kind of PE."""
    if target.usable is None or target.largest_arrays is None:
        return []
    used = tuple((n.upper(), shown(v), shown(target.usable[n])) for n, v in target.resources.items())
    arrays = tuple((r.kinds, "1 a PE" if r.dsp else "none", r.array, shown(r.pes)) for r in target.largest_arrays)
    return [
        Grid(f"resources of {target.part}", ("", "used", "usable"), used),
        Grid("largest array beside these lanes", ("PE does", "DSP", "array", "PEs"), arrays),
    ]
