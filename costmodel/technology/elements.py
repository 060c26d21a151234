"""What operations take on an FPGA, and whole processing elements on chips: own syntheses, unpublished.

Data lives in `technology/fpga/xc7-units.toml` and `technology/asic/pe.toml`. Nothing is priced with
it but by name: it is there to be read beside the published tables.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from costmodel.technology.loading import DATA
from costmodel.technology.rows import Toml, check_once, made_all, read_toml


@dataclass(frozen=True, kw_only=True)
class FpgaUnit:
    """Resources of one operation of `bits` bits; `op` as in the cost tables."""

    op: str
    bits: int
    lut: int
    carry4: int
    dsp: int
    lut_sites: int  # LUTs that are used up, those that only pass a carry included
    includes: str
    source: str
    evidence: str = ""
    row: str


@dataclass(frozen=True, kw_only=True)
class AsicPe:
    """Energy of a term, area and delay of a PE in one cell library; None where no figure is known."""

    library: str
    kind: str
    node_nm: int
    vdd: float | None = None
    energy_pj: float
    area_um2: float | None = None
    delay_ns: float | None = None
    includes: str
    source: str
    evidence: str = ""


@functools.cache
def fpga_units() -> tuple[FpgaUnit, ...]:
    record = read_toml(DATA / "fpga" / "xc7-units.toml")
    units = made_all(FpgaUnit, with_origin(record, "unit"), "unit", "xc7-units.toml")
    check_once((f"{unit.op} {unit.bits}" for unit in units), "unit", "xc7-units.toml")
    return units


@functools.cache
def asic_pes() -> tuple[AsicPe, ...]:
    record = read_toml(DATA / "asic" / "pe.toml")
    pes = made_all(AsicPe, with_origin(record, "pe"), "pe", "pe.toml")
    check_once((f"{pe.library} {pe.kind}" for pe in pes), "pe", "pe.toml")
    return pes


def with_origin(record: Toml, section: str) -> Toml:
    """Rows that say `as the file`, with the source and evidence of the file."""
    origin = {"source": record["source"], "evidence": record["evidence"]}
    return {section: [row | origin if row["source"] == "as the file" else row for row in record[section]]}
