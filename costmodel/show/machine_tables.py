"""What a model costs on a target, side by side: tables and notes."""

from __future__ import annotations

from typing import Any

from costmodel.compare.ratios import share
from costmodel.compare.tables import disagreement
from costmodel.hardware.accelerator import Accelerator
from costmodel.mapping.cost import PARTS
from costmodel.show.grid import Grid, shown

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
