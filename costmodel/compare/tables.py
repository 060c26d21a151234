"""The verdict over cost tables: energy of each mechanism over that of the first."""

from __future__ import annotations

from typing import Any

from costmodel.compare.ratios import ratio_range
from costmodel.errors import UnknownTable
from costmodel.hardware.occupancy import memory_prices
from costmodel.mapping.cost import Cost, price, price_work
from costmodel.mapping.schedule import Schedule
from costmodel.technology.loading import load_table, table_names
from costmodel.technology.tables import Energy, Table
from costmodel.widths.assign import Typed

# Prices MACs only, for a comparison with that tool: no verdict comes from it.
NO_VERDICT = ("accelforge",)


# The verdict


def verdict_over_tables(typed: list[Typed], planned: list[Schedule]) -> list[dict[str, Any]]:
    """Energy of each other column over the first under every table: core and model, with and without memory.

    Arithmetic is priced at the widths of each value. Memory is that of the target, and joins only tables of
    the target's own node. `missing` says what a table has no price for.
    """
    rows = []
    target = planned[0].target
    for name in table_names():
        if name in NO_VERDICT:
            continue
        table = load_table(name)
        for i in range(1, len(typed)):
            row: dict[str, Any] = {"table": name, "column": i}
            for key, core, memory in (
                ("core_arithmetic", True, False),
                ("model_arithmetic", False, False),
                ("core_with_memory", True, True),
                ("model_with_memory", False, True),
            ):
                row[key] = None
                if memory and (table.node_nm != target.node_nm or memory_prices(target) is None):
                    continue
                try:
                    row[key] = ratio(table, typed, planned, i, core, memory)
                except UnknownTable as error:
                    row["missing"] = str(error)
            rows.append(row)
    return rows


def ratio(
    table: Table, typed: list[Typed], planned: list[Schedule], i: int, core: bool, memory: bool
) -> dict[str, float] | None:
    """Nominal ratio and range of two energies. A price known as a range is the same on both sides."""
    parts = [energy_parts(table, planned[c], price(typed[c], planned[c], table), core, memory) for c in (0, i)]
    before, after = (sum(part[1] for part in found.values()) for found in parts)
    if not before:
        return None
    low, high = ratio_range(*parts)
    return {"nominal": after / before, "low": low, "high": high}


def energy_parts(table: Table, planned: Schedule, cost: Cost, core: bool, memory: bool) -> dict[str, list[float]]:
    """Low, nominal and high energy by where the price is from: rows, each estimate, each memory."""
    places = cost.core_places if core else range(len(planned.steps))
    sums: dict[str, Energy] = {}
    works = [w for i in places for w in (*planned.steps[i].array_work, *planned.steps[i].vector_work)]
    for work in works:
        origin = table.priced_by(work.op, str(work.type))
        sums[origin] = sums.get(origin, Energy()) + price_work(table, [work])
    if memory:
        for part in ("buffer", "dram"):
            energy = cost.sum_of([part], places)
            assert energy is not None, "only targets with priced memories come here"
            sums[part] = energy
    return {name: [e.low_pj, e.nominal_pj, e.high_pj] for name, e in sums.items()}


def disagreement(rows: list[dict[str, Any]]) -> list[str]:
    """Tables that find the other column dearer where most find it cheaper, or the other way round."""
    lines = []
    for key, what in (("core_arithmetic", "core"), ("model_arithmetic", "model")):
        found = {row["table"]: row[key]["nominal"] for row in rows if row[key] and row["column"] == 1}
        dearer = sorted(name for name, value in found.items() if value > 1)
        cheaper = sorted(set(found) - set(dearer))
        if found:
            low, high = min(found.values()), max(found.values())
            text = f"Arithmetic of the {what}: {low:.2f} to {high:.2f} times the first over {len(found)} tables"
            if dearer and cheaper:
                text += f"; they disagree: dearer under {', '.join(dearer)}, cheaper under {', '.join(cheaper)}"
            lines.append(text + ".")
    return lines
