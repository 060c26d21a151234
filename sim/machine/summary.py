"""A simulation as a record for JSON, and as grids for every other form."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np

from costmodel.compare.machine import span
from costmodel.compare.tables import NO_VERDICT
from costmodel.errors import UnknownTable
from costmodel.mapping.cost import interpolated, roofline_cycles
from costmodel.mapping.schedule import Schedule
from costmodel.show.formats import render_records_csv
from costmodel.show.grid import Grid, shown
from costmodel.show.machine_tables import microjoules
from costmodel.technology.loading import load_table, table_names
from costmodel.technology.tables import Table
from sim.integer.calibrate import Calibration
from sim.integer.program import Program
from sim.integer.run import real_of
from sim.integer.views import Array
from sim.machine.comparison import Difference, NodeError
from sim.machine.energy import Split, by_layer, energy_of
from sim.machine.events import Events, sum_events, works_of
from sim.machine.execution import Execution

PARTS = ("array", "register", "vector", "buffer", "dram")
LABELS = {"array": "PEs", "register": "registers", "vector": "vector unit", "buffer": "buffer", "dram": "DRAM"}
MOST_ROWS = 8  # of logits that the table form shows


@dataclass(frozen=True)
class Simulated:
    """One run and what belongs to it."""

    model: str
    attention: str
    program: Program
    schedule: Schedule
    execution: Execution
    calibration: Calibration
    tables: tuple[str, ...]
    activity: bool
    shape: tuple[int, int]  # B, S
    keys: Array | None  # tokens of each row; None: all rows are full
    errors: tuple[NodeError, ...] | None
    differences: list[Difference] | None


def simulation_record(s: Simulated) -> dict[str, Any]:
    """Everything that was found, as JSON has it."""
    execution, target = s.execution, s.schedule.target
    total = sum_events(done.events for done in execution.steps)
    record: dict[str, Any] = {
        "model": s.model,
        "attention": s.attention,
        "batch": s.shape[0],
        "seq": s.shape[1],
        "tokens": int(s.shape[0] * s.shape[1] if s.keys is None else s.keys.sum()),
        "widths": s.program.typed.policy.name,
        "overflow": s.program.overflow,
        "target": target.name,
        "dataflow": target.dataflow,
        "calibration": {
            "method": s.calibration.method,
            "sentences": s.calibration.sentences,
            "tokens": s.calibration.tokens,
            "weights": s.calibration.weights,
        },
        "output": output_record(s),
        "cycles": execution.cycles,
        "seconds": execution.seconds,
        "utilisation": execution.utilisation,
        "roofline_cycles": roofline_cycles(s.program.typed, s.schedule),
        "events": events_record(total),
        "energy_pj": {name: energy_record(s, total, load_table(name)) for name in tables_of(s)},
        "energy_by_layer_pj": layer_records(s),
        "steps": [
            {
                "op": done.step.op,
                "module": done.step.module,
                "start_cycle": done.step.start_cycle,
                "cycles": done.cycles,
                "array_cycles": done.array_cycles,
                "vector_cycles": done.vector_cycles,
                "dma_cycles": done.dma_cycles,
                "buffer_bytes": done.buffer_bytes,
                "events": events_record(done.events),
            }
            for done in execution.steps
        ],
    }
    if s.errors is not None:
        record["errors"] = [
            {
                "value": e.name,
                "type": e.type,
                "sqnr_db": e.sqnr_db if np.isfinite(e.sqnr_db) else None,
                "max_error": e.max_error,
                "largest": e.largest,
            }
            for e in s.errors
        ]
    if s.differences is not None:
        record["differences_from_analytic"] = [
            {"step": d.step, "what": d.what, "machine": str(d.machine), "analytic": str(d.analytic)}
            for d in s.differences
        ]
    return record


def output_record(s: Simulated) -> dict[str, Any]:
    """Logits in full; of hidden states the first token of each row, and a digest of all integers."""
    integers = s.execution.output
    (i,) = s.program.typed.graph.outputs
    keys = np.full(s.shape[0], s.shape[1]) if s.keys is None else s.keys
    real = real_of(s.program, i, integers, keys)
    digest = sha256(np.ascontiguousarray(integers, np.int64).tobytes()).hexdigest()
    found: dict[str, Any] = {"shape": list(integers.shape), "sha256": digest}
    if integers.ndim == 2:
        return found | {"logits": real.tolist(), "integers": integers.tolist(), "label": real.argmax(1).tolist()}
    return found | {"first_token": real[:, 0].tolist(), "first_token_integers": integers[:, 0].tolist()}


def events_record(events: Events) -> dict[str, Any]:
    return {
        "array": {f"{op} {kind}": n for (op, kind), n in sorted(events.array.items())},
        "vector": {f"{op} {kind}": n for (op, kind), n in sorted(events.vector.items())},
        "pairs": events.pairs,
        "register_bits": events.register_bits,
        "buffer_read_bits": events.buffer_read_bits,
        "buffer_write_bits": events.buffer_write_bits,
        "dram_read_bits": events.dram_read_bits,
        "dram_write_bits": events.dram_write_bits,
        "activity": events.activity,
    }


def tables_of(s: Simulated) -> tuple[str, ...]:
    """The tables that were asked for, or the target's own and then all others that compare."""
    own = s.schedule.target.table
    names = tuple(name for name in table_names() if name not in NO_VERDICT and name != own)
    return s.tables or ((own, *names) if own else names)


def energy_record(s: Simulated, events: Events, table: Table) -> dict[str, Any]:
    """Energy by part under one table, or what the table has no price for."""
    try:
        split = energy_of(events, s.schedule.target, table, s.activity)
    except UnknownTable as error:
        return {"missing": str(error)}
    works = works_of(events.array + events.vector)
    return split_record(split) | {"interpolated": list(interpolated(table, works))}


def split_record(split: Split) -> dict[str, Any]:
    return {part: span(getattr(split, part)) for part in PARTS} | {"total": span(split.total)}


def layer_records(s: Simulated) -> dict[str, Any]:
    """Energy of each layer under the first table."""
    table = load_table(tables_of(s)[0])
    try:
        layers = by_layer(s.execution, s.schedule.target, table, s.activity)
    except UnknownTable:
        return {}
    return {name: split_record(split) for name, split in layers.items()}


# Forms


def grids(record: dict[str, Any]) -> list[Grid]:
    title = f"{record['model']}, attention {record['attention']}, B={record['batch']}, S={record['seq']}, "
    title += f"{record['widths']} on {record['target']}"
    found = [output_grid(record, title), run_grid(record), event_grid(record), energy_grid(record)]
    if record["energy_by_layer_pj"]:
        found.append(layer_grid(record))
    if "errors" in record:
        found.append(error_grid(record))
    if record.get("differences_from_analytic"):
        rows = tuple(
            (d["step"], d["what"], d["machine"], d["analytic"]) for d in record["differences_from_analytic"]
        )
        found.append(
            Grid("machine and analytic cost differ", ("step", "what", "machine", "analytic"), rows, False)
        )
    return found


def output_grid(record: dict[str, Any], title: str) -> Grid:
    output = record["output"]
    if "logits" in output:
        head = ("row", "label", *(f"logit {i}" for i in range(len(output["logits"][0]))))
        rows = [
            (str(i), str(label), *(f"{x:.4f}" for x in row))
            for i, (row, label) in enumerate(zip(output["logits"], output["label"], strict=True))
        ]
        return Grid(f"{title}: logits", head, tuple(rows[:MOST_ROWS]))
    rows = [(str(i), *(f"{x:.4f}" for x in row[:4])) for i, row in enumerate(output["first_token"])]
    head = ("row", *(f"h{i}" for i in range(min(4, len(output["first_token"][0])))))
    return Grid(f"{title}: hidden state of the first token", head, tuple(rows[:MOST_ROWS]))


def run_grid(record: dict[str, Any]) -> Grid:
    events = record["events"]
    rows = [
        ("cycles", shown(record["cycles"])),
        ("milliseconds", f"{1e3 * record['seconds']:.3f}"),
        ("PEs busy", f"{100 * record['utilisation']:.1f} %"),
        ("bound by the roofline", shown(record["roofline_cycles"])),
        ("DRAM read B", shown(events["dram_read_bits"] // 8)),
        ("DRAM write B", shown(events["dram_write_bits"] // 8)),
        ("buffer read B", shown(events["buffer_read_bits"] // 8)),
        ("buffer write B", shown(events["buffer_write_bits"] // 8)),
        ("PE register write B", shown(events["register_bits"] // 8)),
    ]
    if events["activity"] is not None:
        rows.append(("bits toggling at PE ports", f"{100 * events['activity']:.1f} %"))
    return Grid("the machine", ("", "run"), tuple(rows))


def event_grid(record: dict[str, Any]) -> Grid:
    """Arithmetic by kind and width."""
    array, vector = record["events"]["array"], record["events"]["vector"]
    rows = tuple((key, shown(array.get(key, 0)), shown(vector.get(key, 0))) for key in sorted({*array, *vector}))
    return Grid("arithmetic events", ("", "on PEs", "on lanes"), rows)


def cell(energy: list[float] | None) -> str:
    return "-" if energy is None else microjoules(energy)


def energy_grid(record: dict[str, Any]) -> Grid:
    priced = {name: found for name, found in record["energy_pj"].items() if "missing" not in found}
    rows = [(LABELS[part], *(cell(found[part]) for found in priced.values())) for part in PARTS]
    rows.append(("all but registers", *(cell(found["total"]) for found in priced.values())))
    return Grid("energy in µJ: nominal (low to high)", ("", *priced), tuple(rows))


def layer_grid(record: dict[str, Any]) -> Grid:
    layers = record["energy_by_layer_pj"]
    rows = tuple((name, *(cell(split[part]) for part in (*PARTS, "total"))) for name, split in layers.items())
    table = next(iter(record["energy_pj"]))
    head = ("layer", *(LABELS[part] for part in PARTS), "all but registers")
    return Grid(f"energy by layer in µJ under {table}", head, rows)


def error_grid(record: dict[str, Any]) -> Grid:
    rows = tuple(
        (
            e["value"],
            e["type"],
            "exact" if e["sqnr_db"] is None else f"{e['sqnr_db']:.1f}",
            f"{e['max_error']:.4g}",
            f"{e['largest']:.4g}",
        )
        for e in record["errors"]
    )
    return Grid("integers against float64", ("value", "type", "SQNR dB", "max error", "largest"), rows)


def notes(record: dict[str, Any]) -> list[str]:
    calibration = record["calibration"]
    lines = [
        f"Inputs: {record['inputs']}; {record['tokens']} tokens. Ranges: {calibration['method']} over "
        f"{calibration['sentences']} sentences of {calibration['tokens']} tokens.",
        f"Every value was checked against its width; accumulators {record['overflow']}. "
        f"SHA-256 of the output integers: {record['output']['sha256'][:16]}.",
    ]
    lines += [f"{name}: {e['missing']}." for name, e in record["energy_pj"].items() if "missing" in e]
    if record["events"]["activity"] is not None:
        lines.append(
            "Estimate: the energy of PEs is scaled by the bits that toggle at their ports, over the half that "
            "random operands would toggle."
        )
    if "differences_from_analytic" in record:
        found = len(record["differences_from_analytic"])
        steps = len(record["steps"])
        lines.append(
            f"Machine against analytic cost: {found} differences."
            if found
            else f"Machine and analytic cost agree in all {steps} steps: cycles, bits at each level, arithmetic."
        )
    priced = [name for name, e in record["energy_pj"].items() if "missing" not in e]
    flagged = {name: record["energy_pj"][name]["interpolated"] for name in priced[:1]}
    lines += [f"Interpolated widths ({name}): {', '.join(found)}." for name, found in flagged.items() if found]
    lines.append(
        "Memory is priced under tables of the target's own node. Clocks, wires, leakage, idle PEs are not."
    )
    return lines


def render_csv(record: dict[str, Any]) -> str:
    """One line a figure: `figure, unit, value, low, high`."""
    rows: list[dict[str, Any]] = []

    def add(figure: str, unit: str, value: Any, low: Any = "", high: Any = "") -> None:
        rows.append({"figure": figure, "unit": unit, "value": value, "low": low, "high": high})

    add("cycles", "cycles", record["cycles"])
    add("time", "s", record["seconds"])
    add("utilisation", "", record["utilisation"])
    for place in ("array", "vector"):
        for key, n in record["events"][place].items():
            add(f"{place} {key}", "events", n)
    for level in ("register_bits", "buffer_read_bits", "buffer_write_bits", "dram_read_bits", "dram_write_bits"):
        add(level.removesuffix("_bits").replace("_", " "), "bits", record["events"][level])
    for name, found in record["energy_pj"].items():
        for part in (*PARTS, "total"):
            if found.get(part) is not None:
                add(f"{name} {part}", "pJ", *found[part])
    for error in record.get("errors", ()):
        add(f"SQNR {error['value']}", "dB", "" if error["sqnr_db"] is None else error["sqnr_db"])
    return render_records_csv(rows)
