"""The verdict over cost tables: energy of each mechanism over that of the first."""

from __future__ import annotations

from collections.abc import Sequence

from costmodel.compare.ratios import Ratio, ratio_of
from costmodel.compare.records import Verdict
from costmodel.errors import UnknownTable
from costmodel.hardware.occupancy import memory_prices
from costmodel.mapping.cost import Cost, price
from costmodel.mapping.steps import Schedule
from costmodel.mapping.works import price_work
from costmodel.technology.loading import load_table, table_names
from costmodel.technology.tables import Energy, Table
from costmodel.widths.assign import Typed

# Prices MACs only, for a comparison with that tool: no verdict comes from it.
NO_VERDICT = ("accelforge",)


def verdict_over_tables(
    names: Sequence[str], typed: Sequence[Typed], planned: Sequence[Schedule]
) -> tuple[Verdict, ...]:
    """Energy of each other mechanism over the first under every table: core and model, with and without memory.

    Arithmetic is priced at the widths of each value. Memory is that of the target, and joins only tables of
    the target's own node. `missing` says what a table has no price for.
    """
    return tuple(
        verdict_under(load_table(name), names, typed, planned, i)
        for name in table_names()
        if name not in NO_VERDICT
        for i in range(1, len(typed))
    )


def verdict_under(
    table: Table, names: Sequence[str], typed: Sequence[Typed], planned: Sequence[Schedule], i: int
) -> Verdict:
    """One mechanism over the first under one table."""
    target = planned[0].target
    with_memory = table.node_nm == target.node_nm and memory_prices(target) is not None
    missing, costs = None, []
    try:
        costs = [price(typed[c], planned[c], table) for c in (0, i)]
    except UnknownTable as error:
        missing = str(error)

    def ratio(core: bool, memory: bool) -> Ratio | None:
        if not costs or (memory and not with_memory):
            return None
        before, after = (energy_parts(table, cost, core, memory) for cost in costs)
        return ratio_of(after, before)

    return Verdict(
        table=table.name,
        column=i,
        attention=names[i],
        over=names[0],
        core_arithmetic=ratio(True, False),
        model_arithmetic=ratio(False, False),
        core_with_memory=ratio(True, True),
        model_with_memory=ratio(False, True),
        missing=missing,
    )


def energy_parts(table: Table, cost: Cost, core: bool, memory: bool) -> dict[str, Energy]:
    """Energy by where the price is from: rows, each estimate, each memory."""
    steps = cost.schedule.steps
    places = cost.core_places if core else range(len(steps))
    sums: dict[str, Energy] = {}
    works = [w for i in places for w in (*steps[i].array_work, *steps[i].vector_work)]
    for work in works:
        origin = table.priced_by(work.op, str(work.type))
        sums[origin] = sums.get(origin, Energy()) + price_work(table, [work])
    if memory:
        for part in ("local", "buffer", "dram"):
            energy = cost.sum_of([part], places)
            if part == "local" and energy is None:
                continue
            assert energy is not None, "only targets with priced memories come here"
            sums[part] = energy
    return sums


def disagreement(verdicts: Sequence[Verdict]) -> list[str]:
    """What the tables say of the second column, and which of them find more where others find less."""
    lines = []
    for key, what in (("core_arithmetic", "attention core"), ("model_arithmetic", "whole model")):
        found = {v.table: getattr(v, key).nominal for v in verdicts if getattr(v, key) and v.column == 1}
        if not found:
            continue
        more = sorted(name for name, value in found.items() if value > 1)
        less = sorted(set(found) - set(more))
        low, high = min(found.values()), max(found.values())
        first, other = verdicts[0].over, verdicts[0].attention
        text = (
            f"Energy of the arithmetic of the {what}: {other} takes {low:.2f} to {high:.2f} times that of {first} "
            f"over {len(found)} tables"
        )
        if more and less:
            text += f". They disagree: more under {', '.join(more)}, less under {', '.join(less)}"
        lines.append(text + ".")
    return lines
