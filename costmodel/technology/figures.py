"""Memories, wires and syntheses as figures of one form: a number with its unit, evidence and source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from costmodel.technology.elements import asic_pes, fpga_units
from costmodel.technology.memories import dram_kinds, sram_rows, synthesised, wires


@dataclass(frozen=True)
class Figure:
    """One number of a listing. `low` and `high` are `value` where the source leaves no range."""

    group: str
    name: str
    unit: str
    value: float
    low: float
    high: float
    node_nm: int | None
    vdd: float | None
    includes: str
    evidence: str
    source: str
    row: str


class Published(Protocol):
    """A row that says where its numbers are from."""

    @property
    def includes(self) -> str: ...
    @property
    def evidence(self) -> str: ...
    @property
    def source(self) -> str: ...


def exact(group: str, name: str, unit: str, value: float, row: Published) -> Figure:
    """A figure without a range, of a row that may lack a node, a voltage, or a name in the collection."""
    node, vdd = getattr(row, "node_nm", None), getattr(row, "vdd", None)
    origin = (row.includes, row.evidence, row.source, getattr(row, "row", ""))
    return Figure(group, name, unit, value, value, value, node, vdd, *origin)


def memory_figures() -> list[Figure]:
    fits, points = sram_rows()
    made = [
        exact("SRAM", f"{p.name}, {p.capacity_bytes // 1024} KiB", f"pJ/{p.access_bits} bits", p.energy_pj, p)
        for p in points
    ]
    for f in fits:
        k, area = f.k_pj_per_byte, f.area_um2
        origin = (f.node_nm, None, f.includes, f.evidence, f.source, "")
        low, high = k / (1 + f.max_error), k / (1 - f.max_error)
        made.append(Figure("SRAM", f"{f.name}, k", "pJ/byte at 8 KiB", k, low, high, *origin))
        made.append(exact("SRAM", f"{f.name}, p", "energy by capacity^p", f.exponent, f))
        low, high = area / (1 + f.area_max_error), area / (1 - f.area_max_error)
        made.append(Figure("SRAM", f"{f.name}, a", "µm² at 8 KiB", area, low, high, *origin))
        made.append(exact("SRAM", f"{f.name}, q", "area by capacity^q", f.area_exponent, f))
    for d in dram_kinds():
        span = (d.energy_pj, d.low_pj, d.high_pj)
        made.append(Figure("DRAM", d.name, "pJ/bit", *span, None, None, d.includes, d.evidence, d.source, d.row))
    return made


def wire_figures() -> list[Figure]:
    return [exact("wire", w.name, "fJ/bit/mm", round(1000 * w.pj_per_bit_mm, 6), w) for w in wires()]


def synthesis_figures() -> list[Figure]:
    made = []
    for pe in synthesised():
        name = "+".join(pe.kinds) + (" with DSP" if pe.dsp else "")
        for unit, value in (("LUT", pe.lut), ("FF", pe.ff), ("CARRY4", pe.carry4), ("DSP", pe.dsp)):
            made.append(exact("xc7 PE", name, unit, value, pe))
    for u in fpga_units():
        resources = (("LUT", u.lut), ("CARRY4", u.carry4), ("DSP", u.dsp), ("LUT sites", u.lut_sites))
        made += [exact("xc7 operation", f"{u.op} int{u.bits}", unit, value, u) for unit, value in resources]
    for a in asic_pes():
        for unit, pj in (("pJ/term", a.energy_pj), ("µm²", a.area_um2), ("ns", a.delay_ns)):
            if pj is not None:
                made.append(exact("ASIC PE", f"{a.library} {a.kind}", unit, pj, a))
    return made


LISTINGS: dict[str, Callable[[], list[Figure]]] = {
    "memories": memory_figures,
    "wires": wire_figures,
    "fpga": synthesis_figures,
}


def figures(listing: str) -> tuple[Figure, ...]:
    """All figures of one of `LISTINGS`."""
    return tuple(LISTINGS[listing]())
