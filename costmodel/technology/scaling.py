"""A cost table at another node: Stillmaker and Baas, Integration 58 (2017) 74-81. Opt-in, and always said.

The factors are fits to simulated logic. They know nothing of a table's own circuits: Horowitz's 45 nm
figures scaled to 7 nm are 3.4 to 7 times below the ones that Jouppi prints for 7 nm.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from pathlib import Path

from costmodel.errors import UnknownTable
from costmodel.records import decode
from costmodel.technology.rows import read_toml
from costmodel.technology.tables import Estimate, MemoryCost, OpCost, Table

DATA = Path(__file__).parent / "scaling" / "stillmaker.toml"
FLAVOURS = ("HP", "LP")
# Names of memories that are parts of their own, on another chip: no logic equation holds for them.
OFF_CHIP = ("dram", "ddr", "lpddr", "gddr", "hbm")
WARNING = "scaling Horowitz from 45 to 7 nm underestimates Jouppi's 7 nm figures by 3.4 to 7 times"


@dataclass(frozen=True)
class Stillmaker:
    """Coefficients by node, such as `180` or `HP45`: polynomials in the voltage, the highest power first."""

    source: str
    found_at: str
    evidence: str
    energy: dict[str, tuple[float, ...]]
    power: dict[str, tuple[float, ...]]
    delay: dict[str, tuple[float, ...]]
    area_45_to: dict[str, float]
    nominal_vdd: dict[str, float]


@functools.cache
def stillmaker() -> Stillmaker:
    return decode(Stillmaker, read_toml(DATA), DATA.name)


def nodes() -> tuple[int, ...]:
    """Nodes in nm that have coefficients, the largest first."""
    return tuple(int(n) for n in stillmaker().area_45_to)


def check_node(node_nm: int) -> None:
    if node_nm not in nodes():
        known = ", ".join(map(str, nodes()))
        raise UnknownTable(f"Stillmaker and Baas have no {node_nm} nm node; known: {known}")


def nominal_vdd(node_nm: int) -> float:
    """Volts that are taken for a node where none are given."""
    check_node(node_nm)
    return float(stillmaker().nominal_vdd[str(node_nm)])


def energy_at(node_nm: int, vdd: float, flavour: str) -> float:
    """Energy of the reference circuit in the fit's own unit; only ratios mean anything."""
    check_node(node_nm)
    if flavour not in FLAVOURS:
        raise UnknownTable(f"unknown flavour {flavour!r}; known: {', '.join(FLAVOURS)}")
    square, linear, constant = stillmaker().energy[str(node_nm) if node_nm >= 65 else f"{flavour}{node_nm}"]
    energy = square * vdd**2 + linear * vdd + constant
    if not (0 < vdd < 5 and energy > 0):
        raise UnknownTable(f"Stillmaker and Baas do not hold at {vdd:g} V for {node_nm} nm")
    return float(energy)


def energy_factor(from_node: int, from_vdd: float, to_node: int, to_vdd: float, flavour: str = "HP") -> float:
    """Energy of logic at one node and voltage over that at another.

    Args:
        from_node, to_node: nanometres, one of `nodes()`.
        from_vdd, to_vdd: volts.
        flavour: HP or LP transistors below 65 nm, for both ends.

    Raises:
        UnknownTable: no such node or flavour, or a voltage at which the fit is no energy.
    """
    return energy_at(to_node, to_vdd, flavour) / energy_at(from_node, from_vdd, flavour)


def area_factor(from_nm: int, to_nm: int) -> float:
    """Area of logic at one node over that at another.

    Raises:
        UnknownTable: no such node.
    """
    check_node(from_nm)
    check_node(to_nm)
    areas = stillmaker().area_45_to
    return float(areas[str(to_nm)] / areas[str(from_nm)])


def scale_table(table: Table, to_node_nm: int, to_vdd: float | None = None, flavour: str = "HP") -> Table:
    """The table at another node; its name, title, source and note say that it is scaled, and from what.

    Operations and on-chip memories go by the factor of logic, areas by that of area. Off-chip memories and
    estimates that are tied to no node stay. A voltage that is not given, or that the table lacks, is
    the node's nominal one, which the note says.

    Raises:
        UnknownTable: scaled already, no such node, or a voltage that the fit does not cover.
    """
    if "@" in table.name and table.title.startswith("SCALED"):
        raise UnknownTable(f"table {table.name} is scaled already")
    given = table.vdd
    start = nominal_vdd(table.node_nm) if given is None else given
    target = nominal_vdd(to_node_nm) if to_vdd is None else to_vdd
    energy = energy_factor(table.node_nm, start, to_node_nm, target, flavour)
    area = area_factor(table.node_nm, to_node_nm)
    origin = f"{table.node_nm} nm, {start:g} V" + (
        " (assumed: the source gives no voltage)" if given is None else ""
    )
    change = f"SCALED from {origin} to {to_node_nm} nm, {target:g} V by Stillmaker and Baas 2017 ({flavour}): "
    change += f"energy x {energy:.4g}, area x {area:.4g}"
    return replace(
        table,
        name=f"{table.name}@{to_node_nm}nm" + ("" if to_vdd is None else f",{to_vdd:g}V"),
        title=f"SCALED to {to_node_nm} nm, {target:g} V from: {table.title}",
        node_nm=to_node_nm,
        vdd=target,
        source=f"{change}, doi:10.1016/j.vlsi.2017.02.002; {WARNING}. Original: {table.source}",
        note="; ".join(part for part in (table.note, change, WARNING, "off-chip memories are not scaled") if part),
        ops=tuple(scaled_op(row, energy, area) for row in table.ops),
        estimates=tuple(scaled_estimate(row, energy) for row in table.estimates),
        memories=tuple(scaled_memory(row, energy) for row in table.memories),
    )


def scaled_op(row: OpCost, energy: float, area: float) -> OpCost:
    priced = row.energy() * energy
    low = None if row.low_pj is None else priced.low_pj
    high = None if row.high_pj is None else priced.high_pj
    return replace(
        row,
        energy_pj=priced.nominal_pj,
        area_um2=row.area_um2 * area,
        kind=f"{row.kind}, scaled",
        low_pj=low,
        high_pj=high,
        row="",
    )


def scaled_estimate(row: Estimate, energy: float) -> Estimate:
    if row.of != "pj" or row.any_node:
        return row
    return replace(
        row,
        low=row.low * energy,
        nominal=row.nominal * energy,
        high=row.high * energy,
        source=f"{row.source}; scaled x {energy:.4g}",
    )


def scaled_memory(row: MemoryCost, energy: float) -> MemoryCost:
    if row.name.lower().startswith(OFF_CHIP):
        return replace(row, includes=f"{row.includes}; not scaled")
    return replace(
        row,
        energy_pj=row.energy_pj * energy,
        low_pj=row.low_pj * energy,
        high_pj=row.high_pj * energy,
        includes=f"{row.includes}; scaled by the factor of logic",
        row="",
    )
