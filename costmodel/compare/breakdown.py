"""Why one point costs less than another: the difference of two cost breakdowns, part by part.

A breakdown is a list of sections; the parts of a section add up to its total, so that the differences of the
parts add up to the difference of the totals. Integers stay integers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated

from costmodel.compare.machine import MachineRecord, PartEnergies
from costmodel.counting.records import CountRecord
from costmodel.counting.tally import layer_of
from costmodel.errors import CostModelError
from costmodel.mapping.cost import LEFT_OUT
from costmodel.ops.counts import LABELS
from costmodel.records import INLINE
from costmodel.technology.tables import Energy

PART_LABELS = {
    "array": "PE array",
    "registers": "PE registers",
    "vector": "vector unit",
    "local": "local memory",
    "buffer": "buffer",
    "dram": "DRAM",
}
AREAS = {"pe": "PE array", "vector": "vector unit", "local": "local memory", "buffer": "buffer"}
LEVEL_LABELS = {
    "dram_read": "DRAM read",
    "dram_write": "DRAM write",
    "buffer_read": "buffer read",
    "buffer_write": "buffer write",
    "local_read": "local read",
    "local_write": "local write",
}
REST = ", the rest"
CORE = ", attention core"


@dataclass(frozen=True)
class Section:
    """One quantity by parts that add up to it."""

    title: str
    unit: str
    parts: dict[str, float]


@dataclass(frozen=True)
class Breakdown:
    """What a point costs. `name` says which point it is."""

    name: str
    sections: tuple[Section, ...]


def breakdown(name: str, count: CountRecord, machine: MachineRecord | None) -> Breakdown:
    """Sections of one mechanism: operations, and on a machine what it takes there."""
    inside = count.attention_core.counts
    operations = split_parts({LABELS[k]: (n, inside.get(k, 0)) for k, n in count.counts.items()})
    found = () if machine is None else tuple(machine_sections(machine))
    return Breakdown(name, (*found, Section("operations", "", operations)))


def machine_sections(machine: MachineRecord) -> Iterable[Section]:
    whole, core = machine.energy_pj, machine.core_energy_pj
    if whole.total is not None:
        parts = {label: (part_uj(whole, part), part_uj(core, part)) for part, label in PART_LABELS.items()}
        for part in LEFT_OUT:
            if getattr(whole, part) is None:
                del parts[PART_LABELS[part]]
        yield Section("energy by part", "µJ", split_parts(parts))
        yield Section("energy by layer", "µJ", {n: microjoules(e) for n, e in machine.energy_by_layer_pj.items()})
    yield Section("cycles by part", "cycles", summed((step.op, step.cycles) for step in machine.steps))
    layers = ((layer_of(step.module), step.cycles) for step in machine.steps)
    yield Section("cycles by layer", "cycles", summed(layers))
    there = {k: label for k, label in LEVEL_LABELS.items() if getattr(machine.bytes, k) is not None}
    levels = {label: (getattr(machine.bytes, k), getattr(machine.core_bytes, k)) for k, label in there.items()}
    yield Section("bytes by level", "B", split_parts(levels))
    if machine.area_mm2:
        each = {label: getattr(machine.area_mm2, k) for k, label in AREAS.items()}
        areas = {label: mm2 for label, mm2 in each.items() if mm2 is not None}
        yield Section("area by part", "mm²", areas)


def microjoules(energy: Energy | None) -> float:
    return 0.0 if energy is None else energy.nominal_pj / 1e6


def part_uj(energies: PartEnergies, part: str) -> float:
    return microjoules(getattr(energies, part))


def split_parts(parts: Mapping[str, tuple[float, float]]) -> dict[str, float]:
    """Each (whole, core) as two parts: within the attention core, and the rest."""
    found: dict[str, float] = {}
    for label, (whole, core) in parts.items():
        found[label + CORE] = core
        found[label + REST] = whole - core
    return found


def summed(pairs: Iterable[tuple[str, float]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, value in pairs:
        found[name] = found.get(name, 0) + value
    return found


# Differences


@dataclass(frozen=True)
class Amounts:
    """A quantity of both points, and how much more B takes."""

    a: float
    b: float
    difference: float


@dataclass(frozen=True)
class PartDifference:
    """One part of a section."""

    part: str
    amounts: Annotated[Amounts, INLINE]
    share: float | None  # of the difference of the totals; None where these are equal


@dataclass(frozen=True)
class SectionDifference:
    """One quantity, its parts by the size of their difference."""

    title: str
    unit: str
    rows: tuple[PartDifference, ...]
    total: Amounts


@dataclass(frozen=True)
class Difference:
    """Two points, section by section."""

    a: str
    b: str
    sections: tuple[SectionDifference, ...]
    only_one_has: tuple[str, ...]  # sections


def difference(a: Breakdown, b: Breakdown) -> Difference:
    """Per section and part: A, B, B - A, and its share of the difference of the totals; largest first.

    Only sections that both have.

    Raises:
        CostModelError: no section is in both.
    """
    others = {s.title: s for s in b.sections}
    found = tuple(section_difference(s, others[s.title]) for s in a.sections if s.title in others)
    missing = sorted({s.title for s in a.sections} ^ set(others))
    if not found:
        raise CostModelError(f"{a.name} and {b.name} have nothing to compare")
    return Difference(a.name, b.name, found, tuple(missing))


def section_difference(a: Section, b: Section) -> SectionDifference:
    total = amounts(sum(a.parts.values()), sum(b.parts.values()))
    rows = []
    for name in dict.fromkeys([*a.parts, *b.parts]):
        found = amounts(a.parts.get(name, 0), b.parts.get(name, 0))
        if found.a or found.b:
            part = found.difference / total.difference if total.difference else None
            rows.append(PartDifference(name, found, part))
    rows.sort(key=lambda row: -abs(row.amounts.difference))
    return SectionDifference(a.title, a.unit, tuple(rows), total)


def amounts(a: float, b: float) -> Amounts:
    return Amounts(a, b, b - a)
