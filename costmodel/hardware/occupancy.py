"""What an accelerator occupies: area on an ASIC, resources of an FPGA; and what its memories cost."""

from __future__ import annotations

from dataclasses import dataclass

from costmodel.hardware.accelerator import BRAM36_BYTES, Accelerator, Part
from costmodel.hardware.pe import pe_resources, units_of
from costmodel.hardware.timing import ArrayShape
from costmodel.technology.loading import load_table
from costmodel.technology.memories import dram_price, sram_area_um2, sram_price
from costmodel.technology.scaling import area_factor
from costmodel.technology.tables import Energy, Table

# What it occupies


def available(part: Part) -> dict[str, int]:
    return {"lut": int(part.luts * part.usable), "dsp": part.dsps, "bram36": part.bram36}


def resources(target: Accelerator) -> dict[str, int]:
    """LUTs, DSPs and BRAMs of the array, the lanes and the buffer; none for an ASIC."""
    part = target.part
    if part is None:
        return {}
    pe = pe_resources(target.kinds, part.use_dsp)
    return {
        "lut": target.array.pes * pe.lut + target.lanes * part.lane_luts,
        "dsp": target.array.pes * pe.dsp,
        "bram36": -(-target.buffer_bytes // BRAM36_BYTES),
    }


def largest_array(part: Part, kinds: tuple[str, ...], use_dsp: bool, lanes: int) -> ArrayShape:
    """The largest array, as square as can be, that a part holds beside the lanes of a vector unit."""
    pe = pe_resources(kinds, use_dsp)
    limit = (available(part)["lut"] - lanes * part.lane_luts) // pe.lut
    pes = min(limit, part.dsps // pe.dsp) if pe.dsp else limit
    rows = max(1, int(pes**0.5))
    best = max(range(1, rows + 1), key=lambda r: (r * (pes // r) if 2 * r >= pes // r else 0, r))
    return ArrayShape(best, pes // best)


@dataclass(frozen=True)
class Area:
    """Square millimetres of an ASIC: functional units and SRAM; `how` says what was estimated."""

    pe_mm2: float
    vector_mm2: float
    buffer_mm2: float
    how: str

    @property
    def total_mm2(self) -> float:
        return self.pe_mm2 + self.vector_mm2 + self.buffer_mm2


def area_of(target: Accelerator) -> Area | None:
    """Area of an ASIC from published areas of functional units and a CACTI fit; None for an FPGA.

    Tables of other nodes than 45 nm give no areas: Horowitz's are scaled there by Stillmaker and Baas.
    """
    if target.part:
        return None
    table = load_table("horowitz45")
    factor = area_factor(45, target.node_nm)
    how = "units by Horowitz 45 nm" if target.node_nm == 45 else f"units scaled from 45 to {target.node_nm} nm"
    # A PE: one wide accumulator for all kinds, and the units of their terms.
    pe = unit_area(table, "add", "int32")
    for (op, width), n in units_of(target.kinds).items():
        pe += n * unit_area(table, op, str(width))
    lane = unit_area(table, "mul", "int32") + unit_area(table, "add", "int32")
    fit = "cacti-45hp" if target.node_nm >= 45 else "cacti-32hp"
    fit_nm = 45 if target.node_nm >= 45 else 32
    found = sram_area_um2(fit, target.buffer_bytes)
    if found is None:
        return None
    buffer = found[0] * area_factor(fit_nm, target.node_nm)
    how += f"; SRAM by {fit}" + ("" if fit_nm == target.node_nm else f", scaled to {target.node_nm} nm")
    scale = factor * 1e-6
    return Area(target.array.pes * pe * scale, target.lanes * lane * scale, buffer * 1e-6, how)


def unit_area(table: Table, op: str, dtype: str) -> float:
    return next(row.area_um2 for row in table.ops if (row.op, row.dtype) == (op, dtype))


# What memory costs


@dataclass(frozen=True)
class MemoryPrices:
    """Energy of a byte at each level, and how it is known."""

    buffer_read: Energy
    buffer_write: Energy
    dram: Energy
    how: tuple[str, ...]


def memory_prices(target: Accelerator) -> MemoryPrices | None:
    """Prices of the target's memories; None where it names none."""
    own = target.prices
    if own:
        read, write, dram = (
            Energy(pj, pj, pj) * 8 for pj in (own.buffer_read_pj, own.buffer_write_pj, own.dram_pj)
        )
        return MemoryPrices(read, write, dram, (own.source,))
    if not (target.sram and target.dram):
        return None
    sram, kind = sram_price(target.sram, target.buffer_bytes), dram_price(target.dram)
    how = (f"buffer: {target.sram}, {sram.how}", f"DRAM: {target.dram}, {kind.includes}")
    return MemoryPrices(sram.per_byte, sram.per_byte, kind.per_byte, how)
