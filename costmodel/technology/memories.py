"""What memories cost: SRAM by capacity, DRAM by kind, wires; and the FPGA resources of a PE.

Data lives in `technology/memory/*.toml` and `technology/fpga/*.toml`. Between published capacities energy
goes by a power of the capacity (a line in logarithms), and so beyond them; `how` says which it was.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

from costmodel.errors import UnknownTable
from costmodel.technology.loading import DATA
from costmodel.technology.rows import check_order, made_all, read_toml
from costmodel.technology.tables import Energy

REFERENCE_BYTES = 8192  # the capacity at which the fits are stated


@dataclass(frozen=True, kw_only=True)
class SramFit:
    """pJ/byte = k (C / 8 KiB)^exponent, um2 = area (C / 8 KiB)^area_exponent; errors as shares."""

    name: str
    node_nm: int
    k_pj_per_byte: float
    exponent: float
    max_error: float
    area_um2: float
    area_exponent: float
    area_max_error: float
    includes: str
    evidence: str
    source: str


@dataclass(frozen=True, kw_only=True)
class SramPoint:
    """Energy of an access to an SRAM of one capacity."""

    name: str
    node_nm: int
    vdd: float | None = None  # None where the source gives no voltage
    capacity_bytes: int
    access_bits: int
    energy_pj: float
    includes: str
    evidence: str
    source: str
    row: str

    @property
    def pj_per_byte(self) -> float:
        return self.energy_pj * 8 / self.access_bits


@dataclass(frozen=True, kw_only=True)
class BitCell:
    """A published six-transistor cell of a node, and the share of a macro's area that cells take."""

    node_nm: int
    area_um2: float
    array_efficiency: float
    includes: str
    evidence: str
    source: str


@dataclass(frozen=True, kw_only=True)
class DramKind:
    """Energy of a bit from or to one kind of DRAM."""

    name: str
    low_pj: float
    energy_pj: float
    high_pj: float
    includes: str
    evidence: str
    source: str
    row: str

    @property
    def per_byte(self) -> Energy:
        return Energy(self.energy_pj, self.low_pj, self.high_pj) * 8


@dataclass(frozen=True, kw_only=True)
class Wire:
    """Energy of a bit over a millimetre."""

    name: str
    node_nm: int
    vdd: float | None = None
    pj_per_bit_mm: float
    includes: str
    evidence: str
    source: str
    row: str


@dataclass(frozen=True, kw_only=True)
class PeResources:
    """What a PE of some kinds takes on an FPGA."""

    kinds: tuple[str, ...]
    dsp: float  # a half where two PEs share one
    lut: int
    ff: int
    carry4: int
    includes: str
    evidence: str
    source: str


@dataclass(frozen=True)
class MemoryPrice:
    """Energy of a byte, the node, and how it is known."""

    per_byte: Energy
    node_nm: int
    how: str
    source: str


@functools.cache
def sram_rows() -> tuple[tuple[SramFit, ...], tuple[SramPoint, ...]]:
    record = read_toml(DATA / "memory" / "sram.toml")
    return made_all(SramFit, record, "fit", "sram.toml"), made_all(SramPoint, record, "point", "sram.toml")


@functools.cache
def bit_cells() -> tuple[BitCell, ...]:
    return made_all(BitCell, read_toml(DATA / "memory" / "cells.toml"), "cell", "cells.toml")


def bit_cell(node_nm: int) -> BitCell | None:
    """The cell of a node; None where none was collected."""
    return next((cell for cell in bit_cells() if cell.node_nm == node_nm), None)


@functools.cache
def dram_kinds() -> tuple[DramKind, ...]:
    kinds = made_all(DramKind, read_toml(DATA / "memory" / "dram.toml"), "dram", "dram.toml")
    for kind in kinds:
        check_order(kind.low_pj, kind.energy_pj, kind.high_pj, f"dram.toml: {kind.name}")
    return kinds


@functools.cache
def wires() -> tuple[Wire, ...]:
    return made_all(Wire, read_toml(DATA / "memory" / "dram.toml"), "wire", "dram.toml")


@functools.cache
def synthesised() -> tuple[PeResources, ...]:
    return made_all(PeResources, read_toml(DATA / "fpga" / "xc7.toml"), "pe", "xc7.toml")


def sram_names() -> tuple[str, ...]:
    fits, points = sram_rows()
    return tuple(dict.fromkeys([*(p.name for p in points), *(f.name for f in fits)]))


FITTED_BYTES = (1024, 8 << 20)  # capacities that the fits were made over


def sram_price(name: str, capacity_bytes: int) -> MemoryPrice:
    """Energy of a byte read from or written to an SRAM of a capacity.

    Nominal is what `name` says; the range spans all sources of its node that hold at the capacity: published
    points that enclose it, and fits that were made over it.

    Raises:
        UnknownTable: no such SRAM.
    """
    pj, how, node_nm, source = own_price(name, capacity_bytes)
    others = {other: found for other in sram_names() if (found := held_price(other, node_nm, capacity_bytes))}
    others = others | {name: pj}
    low, high = min(others.values()), max(others.values())
    if len(others) > 1:
        how += f"; {low:.3g} to {high:.3g} pJ/byte over {', '.join(sorted(others))}"
    return MemoryPrice(Energy(pj, low, high), node_nm, how, source)


def held_price(name: str, node_nm: int, capacity_bytes: int) -> float | None:
    """pJ a byte of a source at a node, where it holds at the capacity."""
    fits, points = sram_rows()
    if name in {fit.name for fit in fits}:
        first, last = FITTED_BYTES
    else:
        sizes = [p.capacity_bytes for p in points if p.name == name]
        first, last = min(sizes), max(sizes)
    if not first <= capacity_bytes <= last:
        return None
    pj, _, node, _ = own_price(name, capacity_bytes)
    return pj if node == node_nm else None


def own_price(name: str, capacity_bytes: int) -> tuple[float, str, int, str]:
    """pJ a byte of one source, how it is known, node and source."""
    fits, points = sram_rows()
    for fit in fits:
        if fit.name == name:
            pj = fit.k_pj_per_byte * (capacity_bytes / REFERENCE_BYTES) ** fit.exponent
            how = f"fit, error up to {100 * fit.max_error:.0f} %"
            inside = FITTED_BYTES[0] <= capacity_bytes <= FITTED_BYTES[1]
            how += "" if inside else "; beyond the fitted 1 KiB to 8 MiB"
            return pj, how, fit.node_nm, fit.source
    mine = sorted((p for p in points if p.name == name), key=lambda p: p.capacity_bytes)
    if not mine:
        raise UnknownTable(f"unknown SRAM {name!r}; known: {', '.join(sram_names())}")
    pj, how = between_points(mine, capacity_bytes)
    return pj, how, mine[0].node_nm, mine[0].source


def between_points(points: list[SramPoint], capacity_bytes: int) -> tuple[float, str]:
    """pJ a byte at a capacity, and how it is known."""
    for point in points:
        if point.capacity_bytes == capacity_bytes:
            return point.pj_per_byte, "published"
    if len(points) == 1:
        raise UnknownTable(f"SRAM {points[0].name} is published at {points[0].capacity_bytes} bytes only")
    above = next((i for i, p in enumerate(points) if p.capacity_bytes > capacity_bytes), len(points) - 1)
    low, high = points[max(above, 1) - 1], points[max(above, 1)]
    slope = math.log(high.pj_per_byte / low.pj_per_byte) / math.log(high.capacity_bytes / low.capacity_bytes)
    inside = low.capacity_bytes < capacity_bytes < high.capacity_bytes
    where = f"{low.capacity_bytes // 1024} and {high.capacity_bytes // 1024} KiB"
    how = f"interpolated between {where}" if inside else f"extrapolated from {where}"
    return low.pj_per_byte * (capacity_bytes / low.capacity_bytes) ** slope, how


def sram_area_um2(name: str, capacity_bytes: int) -> tuple[float, str] | None:
    """Area of an SRAM and how it is known; None where the source gives no areas.

    Raises:
        UnknownTable: no such SRAM.
    """
    for fit in sram_rows()[0]:
        if fit.name == name:
            area = fit.area_um2 * (capacity_bytes / REFERENCE_BYTES) ** fit.area_exponent
            return area, f"fit, error up to {100 * fit.area_max_error:.0f} %"
    if name not in sram_names():
        raise UnknownTable(f"unknown SRAM {name!r}; known: {', '.join(sram_names())}")
    return None


def dram_price(name: str) -> DramKind:
    """A kind of DRAM by name.

    Raises:
        UnknownTable: no such kind.
    """
    for kind in dram_kinds():
        if kind.name == name:
            return kind
    raise UnknownTable(f"unknown DRAM {name!r}; known: {', '.join(k.name for k in dram_kinds())}")


def multiplying() -> frozenset[str]:
    """Kinds of PE whose multiplier a DSP can be."""
    return frozenset(kind for row in synthesised() if row.dsp and len(row.kinds) == 1 for kind in row.kinds)


def synthesised_pe(parts: frozenset[str], dsp: bool) -> PeResources:
    """Resources of a PE that does some kinds of term, with a DSP where one can multiply or without.

    What was not synthesised as one is the sum of its parts, an upper estimate.

    Raises:
        UnknownTable: nothing was synthesised that does one of the kinds.
    """
    return summed_pe(pe_rows(parts, dsp))


def pe_rows(parts: frozenset[str], dsp: bool) -> tuple[PeResources, ...]:
    """The rows that a PE of some kinds is made of: one, where it was synthesised as a whole."""
    multiply = multiplying()
    use_dsp = dsp and not multiply.isdisjoint(parts)
    for row in synthesised():
        if set(row.kinds) == parts and bool(row.dsp) == use_dsp:
            return (row,)
    if len(parts) < 2:
        known = sorted({kind for row in synthesised() for kind in row.kinds})
        raise UnknownTable(f"xc7.toml has no PE of {', '.join(parts) or 'no kind'}; known: {', '.join(known)}")
    found = [row for kind in sorted(parts & multiply) for row in pe_rows(frozenset((kind,)), dsp)]
    rest = parts - multiply
    whole = next((row for row in synthesised() if set(row.kinds) == rest), None)
    found += [whole] if whole else [row for kind in sorted(rest) for row in pe_rows(frozenset((kind,)), dsp)]
    return tuple(found)


def summed_pe(rows: tuple[PeResources, ...]) -> PeResources:
    if len(rows) == 1:
        return rows[0]
    return PeResources(
        kinds=tuple(sorted(kind for row in rows for kind in row.kinds)),
        dsp=sum(row.dsp for row in rows),
        lut=sum(row.lut for row in rows),
        ff=sum(row.ff for row in rows),
        carry4=sum(row.carry4 for row in rows),
        includes="sum of parts that were synthesised one by one: an upper estimate",
        evidence=rows[0].evidence,
        source=rows[0].source,
    )
