"""Why one point costs less than another: the difference of two cost breakdowns, part by part.

A breakdown is a list of sections; the parts of a section add up to its total, so that the differences of the
parts add up to the difference of the totals. Integers stay integers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from costmodel.counting.tally import layer_of
from costmodel.errors import CostModelError
from costmodel.ops.counts import LABELS

PARTS = {"array": "PE array", "vector": "vector unit", "buffer": "buffer", "dram": "DRAM"}
AREAS = {"pe": "PE array", "vector": "vector unit", "buffer": "buffer"}
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


def breakdown(column: Mapping[str, Any], name: str) -> Breakdown:
    """Sections of a column of a report's record, as `costmodel report --format json` writes it.

    Raises:
        CostModelError: the column lacks what a report's column has.
    """
    try:
        return Breakdown(name, tuple(sections(column)))
    except (AttributeError, KeyError, TypeError, IndexError, ValueError):
        raise CostModelError(
            f"{name} is no column of a report; write it by `costmodel report --format json`"
        ) from None


def sections(column: Mapping[str, Any]) -> Iterable[Section]:
    machine = column.get("machine")
    if machine:
        yield from machine_sections(machine)
    inside = column["attention_core"]["counts"]
    counts = split_parts({LABELS[k]: (n, inside.get(k, 0)) for k, n in column["counts"].items()})
    yield Section("operations", "", counts)


def machine_sections(machine: Mapping[str, Any]) -> Iterable[Section]:
    whole, core = machine["energy_pj"], machine["core_energy_pj"]
    steps = machine["steps"]
    if whole["total"] is not None:
        parts = {label: (whole[part][0] / 1e6, core[part][0] / 1e6) for part, label in PARTS.items()}
        yield Section("energy by part", "µJ", split_parts(parts))
        layers = machine["energy_by_layer_pj"].items()
        yield Section("energy by layer", "µJ", {name: e[0] / 1e6 for name, e in layers})
    yield Section("cycles by part", "cycles", summed((step["op"], step["cycles"]) for step in steps))
    yield Section("cycles by layer", "cycles", summed((layer_of(s["module"]), s["cycles"]) for s in steps))
    moved, inner = machine["bytes"], machine["core_bytes"]
    levels = {key.replace("_", " ").replace("dram", "DRAM"): (n, inner[key]) for key, n in moved.items()}
    yield Section("bytes by level", "B", split_parts(levels))
    if machine["area_mm2"]:
        yield Section("area by part", "mm²", {label: machine["area_mm2"][k] for k, label in AREAS.items()})


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


def difference(a: Breakdown, b: Breakdown) -> dict[str, Any]:
    """Per section and part: A, B, B - A, and its share of the difference of the totals; largest first.

    Only sections that both have. Shares are None where the totals are equal.

    Raises:
        CostModelError: no section is in both.
    """
    others = {s.title: s for s in b.sections}
    found = [section_record(s, others[s.title]) for s in a.sections if s.title in others]
    missing = sorted({s.title for s in a.sections} ^ set(others))
    if not found:
        raise CostModelError(f"{a.name} and {b.name} have nothing to compare")
    return {"a": a.name, "b": b.name, "sections": found, "only_one_has": missing}


def section_record(a: Section, b: Section) -> dict[str, Any]:
    names = list(dict.fromkeys([*a.parts, *b.parts]))
    total = {"a": sum(a.parts.values()), "b": sum(b.parts.values())}
    change = total["b"] - total["a"]
    rows: list[dict[str, Any]] = []
    for name in names:
        before, after = a.parts.get(name, 0), b.parts.get(name, 0)
        if before or after:
            moved = after - before
            row: dict[str, Any] = {"part": name, "a": before, "b": after, "difference": moved}
            rows.append(row | {"share": moved / change if change else None})
    rows.sort(key=lambda row: -abs(row["difference"]))
    return {"title": a.title, "unit": a.unit, "rows": rows, "total": total | {"difference": change}}
