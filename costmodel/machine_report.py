"""What a model costs at some widths on a target: records, side by side, and the verdict over tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from costmodel.cost import PARTS, Cost, critical_path_cycles, interpolated, moved_bytes, price, price_work
from costmodel.errors import CostModelError, UnknownTable
from costmodel.hardware import Accelerator, area_of, available, memory_prices, resources
from costmodel.render import Grid, shown
from costmodel.report import ratio_range, share
from costmodel.schedule import Schedule
from costmodel.technology import Energy, Table, add_up, load_table, table_names
from costmodel.widths import Typed, width_counts

# Prices MACs only, for a comparison with that tool: no verdict comes from it.
NO_VERDICT = ("accelforge",)


def span(energy: Energy | None) -> list[float] | None:
    """Nominal, low, high in pJ."""
    return None if energy is None else [energy.nominal_pj, energy.low_pj, energy.high_pj]


def widths_record(typed: Typed) -> dict[str, Any]:
    """Counts by operation and width, and sums that an accumulator might not hold."""
    counts: dict[str, dict[str, int]] = {}
    for (op, kind), n in sorted(width_counts(typed).items()):
        counts.setdefault(op, {})[kind] = n
    overflows = {(o.op, o.exact_bits, o.accumulator_bits) for o in typed.overflows}
    return {
        "policy": typed.policy.name,
        "counts": counts,
        "may_overflow": [
            {"op": op, "exact_bits": exact, "accumulator_bits": held} for op, exact, held in sorted(overflows)
        ],
    }


def machine_record(typed: Typed, planned: Schedule) -> dict[str, Any]:
    """Cycles, bytes, energy, area of one model on one target, as `--format json` prints them."""
    target = planned.target
    cost = price(typed, planned)
    core = cost.core_places
    core_cycles = sum(planned.steps[i].cycles for i in core)
    area = area_of(target)
    memories = memory_prices(target)
    used = resources(target)
    moved = moved_bytes(planned.steps)
    return {
        "target": target.name,
        "timing": planned.convention,
        "array": f"{target.array.R}x{target.array.C}",
        "dataflow": target.dataflow,
        "cycles": cost.cycles,
        "seconds": cost.seconds,
        "core_cycles": core_cycles,
        "roofline_cycles": cost.roofline_cycles,
        "critical_path_cycles": critical_path_cycles(planned, typed),
        "stall_cycles": sum(step.stall_cycles for step in planned.steps),
        "utilisation": cost.utilisation,
        "bytes": moved,
        "core_bytes": moved_bytes(planned.steps[i] for i in core),
        "largest_tiles_bytes": max(step.buffer_bytes for step in planned.steps),
        "largest_kept_bytes": max(step.kept_bytes for step in planned.steps),
        "energy_pj": {part: span(cost.sum_of([part])) for part in PARTS} | {"total": span(cost.energy)},
        "core_energy_pj": {part: span(cost.sum_of([part], core)) for part in PARTS}
        | {"total": span(cost.sum_of(PARTS, core))},
        "energy_by_layer_pj": {name: span(energy) for name, energy in cost.by_layer().items()},
        "energy_by_op_pj": {name: span(energy) for name, energy in cost.by_op().items()},
        "energy_delay_js": cost.energy_delay_js,
        "area_mm2": None
        if area is None
        else {"pe": area.pe_mm2, "vector": area.vector_mm2, "buffer": area.buffer_mm2, "total": area.total_mm2},
        "area_how": None if area is None else area.how,
        "resources": {name: [n, available(target.part)[name]] for name, n in used.items()} if target.part else {},
        "on_vector_unit": sorted({s.op for s in planned.steps if s.pairs and not s.array_work}),
        "interpolated": list(cost.interpolated),
        "memory_prices": [] if memories is None else list(memories.how),
        "steps": [step_record(cost, i) for i in range(len(planned.steps))],
    }


def step_record(cost: Cost, i: int) -> dict[str, Any]:
    step = cost.schedule.steps[i]
    return {
        "op": step.op,
        "module": step.module,
        "start_cycle": step.start_cycle,
        "cycles": step.cycles,
        "array_cycles": step.array_cycles,
        "vector_cycles": step.vector_cycles,
        "dma_cycles": step.dma_cycles,
        "tile": step.tile,
        "buffer_bytes": step.buffer_bytes,
        "kept_bytes": step.kept_bytes,
        "bytes": moved_bytes([step]),
        "energy_pj": span(cost.energies[i].total()),
    }


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


def break_even_seq(difference: Callable[[int], float], lengths: list[int]) -> list[int]:
    """Smallest S at which a difference of two costs changes its sign, between the lengths given."""
    found = []
    values = [difference(s) for s in lengths]
    for (low, before), (high, after) in zip(
        zip(lengths, values, strict=True), list(zip(lengths, values, strict=True))[1:], strict=False
    ):
        if (before > 0) == (after > 0):
            continue
        a, b = low, high
        while b - a > 1:
            middle = (a + b) // 2
            a, b = (middle, b) if (difference(middle) > 0) == (before > 0) else (a, middle)
        found.append(b)
    return found


# Grids


def machine_grids(columns: list[dict[str, Any]]) -> list[Grid]:
    """Side by side: each figure, and the share of the attention core."""
    first = columns[0]["machine"]
    heads = tuple(h for c in columns for h in (c["attention"], "core"))

    def line(label: str, cells: list[tuple[str, str]]) -> tuple[str, ...]:
        return (label, *(cell for pair in cells for cell in pair))

    machines = [c["machine"] for c in columns]
    rows = [
        line("cycles", [(shown(m["cycles"]), share(m["core_cycles"], m["cycles"])) for m in machines]),
        line("milliseconds", [(f"{1e3 * m['seconds']:.3f}", "") for m in machines]),
        line("bound by the roofline", [(shown(m["roofline_cycles"]), "") for m in machines]),
        line("critical path", [(shown(m["critical_path_cycles"]), "") for m in machines]),
        line("stalled", [(shown(m["stall_cycles"]), "") for m in machines]),
        line("PEs busy", [(f"{100 * m['utilisation']:.1f} %", "") for m in machines]),
    ]
    for key in first["bytes"]:
        label = key.replace("_", " ") + " B"
        rows.append(
            line(label, [(shown(m["bytes"][key]), share(m["core_bytes"][key], m["bytes"][key])) for m in machines])
        )
    title = f"on {first['target']}: {first['array']} PEs, {first['dataflow']}, timing {first['timing']}"
    grids = [Grid(f"{columns[0]['widths']['policy']} {title}", ("", *heads), tuple(rows))]
    energy = []
    for part in (*PARTS, "total"):
        pairs = []
        for m in machines:
            whole, core = m["energy_pj"][part], m["core_energy_pj"][part]
            pairs.append(("-", "-") if whole is None else (microjoules(whole), share(core[0], whole[0])))
        label = {"array": "PE array", "vector": "vector unit", "dram": "DRAM"}.get(part, part)
        energy.append(line(label, pairs))
    products = [m["energy_delay_js"] for m in machines]
    energy.append(line("energy x delay, J s", [("-" if p is None else f"{p:.3e}", "") for p in products]))
    grids.append(Grid("energy in µJ: nominal (low to high)", ("", *heads), tuple(energy)))
    grids.append(size_grid(first))
    return grids


def microjoules(energy: list[float]) -> str:
    nominal, low, high = (f"{e / 1e6:,.1f}".replace(",", " ") for e in energy)
    return nominal if low == high else f"{nominal} ({low} to {high})"


def size_grid(machine: dict[str, Any]) -> Grid:
    """Area of an ASIC, or resources of an FPGA."""
    if machine["resources"]:
        rows = tuple((name.upper(), shown(n), shown(limit)) for name, (n, limit) in machine["resources"].items())
        return Grid("resources", ("", "used", "usable"), rows)
    area = machine["area_mm2"] or {}
    return Grid("area in mm²", ("", "mm²"), tuple((name, f"{mm2:.3f}") for name, mm2 in area.items()))


def width_grid(columns: list[dict[str, Any]]) -> Grid:
    """Counts by operation and width."""
    keys: dict[tuple[str, str], None] = {}
    for c in columns:
        for op, kinds in c["widths"]["counts"].items():
            for kind in kinds:
                keys[op, kind] = None
    rows = tuple(
        (f"{op} {kind}", *(shown(c["widths"]["counts"].get(op, {}).get(kind, 0)) for c in columns))
        for op, kind in sorted(keys)
    )
    title = f"operations by width, {columns[0]['widths']['policy']}"
    return Grid(title, ("", *(c["attention"] for c in columns)), rows)


def verdict_grid(columns: list[dict[str, Any]], rows: list[dict[str, Any]]) -> Grid:
    keys = ("core_arithmetic", "model_arithmetic", "core_with_memory", "model_with_memory")
    head = ("", "table", "core, arithmetic", "model, arithmetic", "core, with memory", "model, with memory")
    lines = []
    for row in rows:
        cells = (
            "-" if row[k] is None else f"{row[k]['nominal']:.2f} ({row[k]['low']:.2f} to {row[k]['high']:.2f})"
            for k in keys
        )
        lines.append((f"{columns[row['column']]['attention']} / {columns[0]['attention']}", row["table"], *cells))
    return Grid("verdict over tables: energy over that of the first, at these widths", head, tuple(lines))


def machine_notes(columns: list[dict[str, Any]], rows: list[dict[str, Any]], target: Accelerator) -> list[str]:
    """What was estimated, what is missing, and the honest sentence."""
    first = columns[0]["machine"]
    energy, core = first["energy_pj"]["total"], first["core_energy_pj"]["total"]
    mul = share(columns[0]["attention_core"]["counts"]["mul"], columns[0]["counts"]["mul"])
    lines = [
        f"On {first['target']} the attention core of {columns[0]['attention']} takes "
        f"{share(first['core_cycles'], first['cycles'])} of the cycles"
        + (f", {share(core[0], energy[0])} of the energy" if energy else "")
        + f" and {mul} of the multiplications: no other attention can save more than that."
    ]
    lines += disagreement(rows)
    lines += [f"{row['table']}: {row['missing']}." for row in rows if "missing" in row and row["column"] == 1]
    for c in columns:
        unit = c["machine"]["on_vector_unit"]
        if unit:
            lines.append(
                f"{c['attention']}: no PE of {first['target']} does {', '.join(unit)}; the vector unit does."
            )
        for o in c["widths"]["may_overflow"]:
            lines.append(
                f"{c['attention']}: sums of {o['op']} take {o['exact_bits']} bits and may overflow "
                f"accumulators of {o['accumulator_bits']}."
            )
    flags = sorted({f for c in columns for f in c["machine"]["interpolated"]})
    if flags:
        lines.append(f"Interpolated widths ({target.table}): {', '.join(flags)}.")
    lines += [f"Estimate, {how}." for how in first["memory_prices"]]
    if first["area_how"]:
        lines.append(f"Area is an estimate: {first['area_how']}.")
    lines.append(f"{target.name}: {target.title}. {target.source}. {target.note}.")
    if not target.table:
        lines.append("No energy of arithmetic or buffers is published for this target: none is given.")
    lines.append("Registers, clocks, wires, leakage and idle PEs are not modelled.")
    return lines


def arithmetic_record(typed: Typed, tables: tuple[str, ...]) -> dict[str, Any]:
    """Energy of the arithmetic at the widths of each value, under each table; None where a price lacks."""
    record: dict[str, Any] = {}
    works = [work for node in typed.work for work in node]
    for name in tables:
        table = load_table(name)
        try:
            energy: Energy | None = add_up([price_work(table, works)])
            record[name] = {"energy_pj": span(energy), "interpolated": list(interpolated(table, works))}
        except CostModelError as error:
            record[name] = {"energy_pj": None, "interpolated": [], "missing": str(error)}
    return record


def width_notes(columns: list[dict[str, Any]]) -> list[str]:
    """Energy of the arithmetic at these widths, where no target is given."""
    lines = []
    for c in columns:
        for table, found in c["widths"]["energy_pj"].items():
            if found["energy_pj"] is None:
                lines.append(f"{c['attention']}: {found['missing']}.")
                continue
            flags = f"; interpolated: {', '.join(found['interpolated'])}" if found["interpolated"] else ""
            lines.append(
                f"{c['attention']}: arithmetic {microjoules(found['energy_pj'])} µJ under {table}{flags}."
            )
    return lines


def cycles_and_energy(typed: Typed, planned: Schedule) -> tuple[float, float | None]:
    """Cycles and nominal energy in pJ of one point."""
    energy = price(typed, planned).energy
    return planned.cycles, None if energy is None else energy.nominal_pj


def break_even_notes(found: dict[str, dict[str, Any]], columns: list[dict[str, Any]]) -> list[str]:
    """One line a mechanism and quantity."""
    lines = []
    first = columns[0]["attention"]
    for other, record in found.items():
        low, high = record["lengths"]
        for what, label in (("cycles", "cycles"), ("energy_pj", "energy")):
            if what not in record:
                continue
            cheaper = record[what]["cheaper_at_first"]
            at = record[what]["at"]
            state = "fewer" if what == "cycles" else "less"
            text = f"Break-even in S, {label} of the model, {other} against {first}: "
            if not at:
                side = other if cheaper else first
                text += f"never between S={low} and {high}; {side} takes {state} throughout"
            else:
                turns = []
                for s in at:
                    cheaper = not cheaper
                    turns.append(f"from S={s} on {other if cheaper else first} takes {state}")
                text += ", ".join(turns)
            lines.append(text + ".")
    return lines
