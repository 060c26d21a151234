"""What an accelerator occupies: area on an ASIC, resources of an FPGA; and what its memories cost."""

from __future__ import annotations

import math
from dataclasses import dataclass

from costmodel.errors import DoesNotFit, UnknownTable
from costmodel.hardware.accelerator import BRAM36_BYTES, Accelerator, Part, PeArray
from costmodel.hardware.fpga import pe_resources
from costmodel.hardware.pe import INT8_WIDTHS, Number, PeWidths, units_of
from costmodel.hardware.timing import ArrayShape
from costmodel.technology.loading import load_table
from costmodel.technology.memories import PeResources, bit_cell, dram_price, sram_area_um2, sram_price
from costmodel.technology.scaling import area_factor
from costmodel.technology.tables import Energy, Table

UNITS = "horowitz45"  # the only table with areas of integers and floats

# What it occupies


def available(part: Part) -> dict[str, int]:
    return {"lut": int(part.luts * part.usable), "dsp": part.dsps, "bram36": part.bram36}


def resources(target: Accelerator, widths: PeWidths = INT8_WIDTHS) -> dict[str, int]:
    """LUTs, DSPs and BRAMs of the array, the lanes, the buffer and the local memory; none for an ASIC.

    Args:
        widths: types that the PEs are built for.

    Raises:
        BadTarget: what a PE of such types takes is not known.
    """
    part = target.part
    if part is None:
        return {}
    each = [(own.array.pes, built_pe(own, widths)) for own in target.arrays]
    return {
        "lut": sum(pes * pe.lut for pes, pe in each) + target.lanes * part.lane_luts,
        "dsp": sum(math.ceil(pes * pe.dsp) for pes, pe in each),
        "bram36": sum(-(-size // BRAM36_BYTES) for size in (target.buffer_bytes, target.local_bytes)),
    }


def built_pe(array: PeArray, widths: PeWidths = INT8_WIDTHS) -> PeResources:
    """FPGA resources of a PE of one array, built for what its own kinds of term need.

    Raises:
        BadTarget: what a PE of such types takes is not known.
    """
    return pe_resources(array.pe_kinds, bool(array.use_dsp), widths.on(array.kinds))


def described(target: Accelerator, widths: PeWidths) -> str:
    """The types that PEs are built for: of all arrays, by array where there are several."""
    each = [widths.on(own.kinds).describe(own.pe_kinds) for own in target.arrays]
    return each[0] if len(each) == 1 else "; ".join(f"array {n}: {text}" for n, text in enumerate(each, 1))


def resources_how(target: Accelerator, widths: PeWidths = INT8_WIDTHS) -> str:
    """How the resources of an FPGA's PEs are known."""
    assert target.part is not None, "only an FPGA has resources"
    each = [(own, built_pe(own, widths).includes) for own in target.arrays]
    if len(each) == 1:
        return f"PEs of {described(target, widths)}: {each[0][1]}"
    how = (
        f"array {n}, PEs of {widths.on(own.kinds).describe(own.pe_kinds)}: {text}"
        for n, (own, text) in enumerate(each, 1)
    )
    return "; ".join(how)


def check_fits(target: Accelerator, widths: PeWidths = INT8_WIDTHS) -> None:
    """Refuse what the target's part cannot hold.

    Raises:
        DoesNotFit: the array, the buffer or the lanes take more than is usable.
        BadTarget: what a PE of such types takes is not known.
    """
    for name, used in resources(target, widths).items():
        assert target.part is not None, "only an FPGA has resources"
        limit = available(target.part)[name]
        if used > limit:
            raise DoesNotFit(
                f"target {target.name} takes {used} {name} of {limit} usable on {target.part.name} with PEs of "
                f"{described(target, widths)}; make the array, the buffer or the lanes smaller"
            )


def largest_array(
    part: Part, kinds: tuple[str, ...], use_dsp: bool, lanes: int, widths: PeWidths = INT8_WIDTHS
) -> ArrayShape:
    """The largest array, as square as can be, that a part holds beside the lanes of a vector unit."""
    pe = pe_resources(kinds, use_dsp, widths)
    limit = (available(part)["lut"] - lanes * part.lane_luts) // pe.lut
    pes = min(limit, int(part.dsps / pe.dsp)) if pe.dsp else limit
    rows = max(1, int(pes**0.5))
    best = max(range(1, rows + 1), key=lambda r: (r * (pes // r) if 2 * r >= pes // r else 0, r))
    return ArrayShape(best, pes // best)


@dataclass(frozen=True)
class Area:
    """Square millimetres of an ASIC: functional units and SRAM; `how` says what was estimated."""

    pe_mm2: float
    vector_mm2: float
    buffer_mm2: float
    local_mm2: float
    how: str

    @property
    def total_mm2(self) -> float:
        return self.pe_mm2 + self.vector_mm2 + self.buffer_mm2 + self.local_mm2


def area_of(target: Accelerator, widths: PeWidths = INT8_WIDTHS) -> Area | None:
    """Area of an ASIC from published areas of functional units and of SRAM; None for an FPGA.

    Tables of other nodes than 45 nm give no areas: Horowitz's are scaled there by Stillmaker and Baas. A PE has
    one accumulator for all kinds, and the units of their terms.

    Args:
        widths: types that the PEs are built for.

    Raises:
        UnknownTable: no area of such a unit is published.
    """
    if target.part:
        return None
    table = load_table(UNITS)
    factor = area_factor(45, target.node_nm)
    how = "units by Horowitz 45 nm" if target.node_nm == 45 else f"units scaled from 45 to {target.node_nm} nm"
    how = f"PEs of {described(target, widths)}; {how}"
    pe_um2 = 0.0
    used: set[tuple[str, Number]] = set()
    for own in target.arrays:
        units = pe_units(own, widths)
        pe_um2 += own.array.pes * sum(n * unit_area(table, op, str(kind)) for (op, kind), n in units.items())
        used |= units.keys()
    between = sorted(f"{op} {kind}" for op, kind in used if (op, str(kind)) not in area_rows(table))
    if between:
        how += f", {', '.join(between)} interpolated"
    lane = unit_area(table, "mul", "int32") + unit_area(table, "add", "int32")
    buffer, sram_how = sram_area_at(target.node_nm, target.buffer_bytes)
    local = sram_area_at(target.node_nm, target.local_bytes)[0] if target.local_bytes else 0.0
    scale = factor * 1e-6
    return Area(pe_um2 * scale, target.lanes * lane * scale, buffer * 1e-6, local * 1e-6, f"{how}; {sram_how}")


def pe_units(array: PeArray, widths: PeWidths) -> dict[tuple[str, Number], int]:
    """Functional units of a PE of one array, its accumulator among them."""
    own = widths.on(array.kinds)
    units: dict[tuple[str, Number], int] = {("add", own.accumulator): 1}
    for unit, n in units_of(array.pe_kinds, own).items():
        units[unit] = units.get(unit, 0) + n
    return units


def area_rows(table: Table) -> set[tuple[str, str]]:
    return {(row.op, row.dtype) for row in table.ops if row.area_um2}


def unit_area(table: Table, op: str, dtype: str) -> float:
    """Square micrometres of a functional unit.

    Raises:
        UnknownTable: none is published.
    """
    area = table.area(op, dtype)
    if area is None:
        raise UnknownTable(f"no area of {op} of {dtype} is published in {table.name}; use widths that it has")
    return area


def sram_area_at(node_nm: int, capacity_bytes: int) -> tuple[float, str]:
    """Square micrometres of a buffer at a node, and how it is known.

    A fit of CACTI, scaled as logic where it is of another node, but never less than the bit cells of the node
    take at the array efficiency of that fit: cells have shrunk less than logic.
    """
    fit, fit_nm = ("cacti-45hp", 45) if node_nm >= 45 else ("cacti-32hp", 32)
    found = sram_area_um2(fit, capacity_bytes)
    assert found is not None, "fits have areas"
    area = found[0] * area_factor(fit_nm, node_nm)
    how = f"SRAM by {fit}" + ("" if fit_nm == node_nm else f", scaled to {node_nm} nm")
    cell = bit_cell(node_nm)
    if cell is None:
        return area, f"{how}; no bit cell of {node_nm} nm is known"
    floor = 8 * capacity_bytes * cell.area_um2 / cell.array_efficiency
    if area >= floor:
        return area, how
    return floor, f"SRAM by bit cells of {cell.area_um2:g} µm², {100 * cell.array_efficiency:.0f} % of the macro"


# What memory costs


@dataclass(frozen=True)
class MemoryPrices:
    """Energy of a byte at each level, and how it is known."""

    buffer_read: Energy
    buffer_write: Energy
    dram: Energy
    how: tuple[str, ...]
    local_read: Energy | None = None  # None: the target has no local memory
    local_write: Energy | None = None

    def of_local(self, read_bytes: float, write_bytes: float) -> Energy | None:
        """What so many bytes of the local memory take; None where the target has none."""
        if self.local_read is None or self.local_write is None:
            return None
        return self.local_read * read_bytes + self.local_write * write_bytes


def memory_prices(target: Accelerator) -> MemoryPrices | None:
    """Prices of the target's memories; None where it names none."""
    own = target.prices
    if own:
        read, write, dram = (
            Energy(pj, pj, pj) * 8 for pj in (own.buffer_read_pj, own.buffer_write_pj, own.dram_pj)
        )
        both = (own.local_read_pj, own.local_write_pj)
        stated = (None if pj is None else Energy(pj, pj, pj) * 8 for pj in both)
        return MemoryPrices(read, write, dram, (own.source,), *stated)
    if not (target.sram and target.dram):
        return None
    sram, kind = sram_price(target.sram, target.buffer_bytes), dram_price(target.dram)
    buffer_how, dram_how = f"buffer: {target.sram}, {sram.how}", f"DRAM: {target.dram}, {kind.includes}"
    if not target.local_bytes:
        return MemoryPrices(sram.per_byte, sram.per_byte, kind.per_byte, (buffer_how, dram_how))
    local = sram_price(target.sram, target.local_bytes)
    how = (buffer_how, f"local memory: {target.sram}, {local.how}", dram_how)
    return MemoryPrices(sram.per_byte, sram.per_byte, kind.per_byte, how, local.per_byte, local.per_byte)
