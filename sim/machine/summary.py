"""A simulation for people: one screen, or all tables; and its figures as flat rows."""

from __future__ import annotations

from collections.abc import Mapping

from costmodel.show.document import Cell, Document, Row, folded
from costmodel.show.grid import Grid, shown
from costmodel.technology.tables import Energy
from sim.machine.energy import Split
from sim.machine.records import Exactness, Logits, SimulationRecord, Unpriced

LABELS = {"array": "PEs", "registers": "registers", "vector": "vector unit", "local": "local memory"}
LABELS |= {"buffer": "buffer", "dram": "DRAM"}
IN_DETAILS = ("milliseconds", "PE register write B")  # rows that the first screen leaves out
MOST_ROWS = 8  # of outputs that a table shows
MOST_ROWS_IN_LEAD = 2
MOST_NAMED = 3  # values that a note names
LOW_SQNR_DB = 6.0  # below it the error is more than half as large as the value


def simulation_document(record: SimulationRecord, details: bool = False) -> Document:
    """What ran, how long, at what energy, and whether machine and analytic cost agree; then one table, or all."""
    grids = detailed_grids(record) if details else [run_grid(record)]
    notes = simulation_notes(record, details)
    return Document(tuple(grids), folded(notes), simulation_rows(record), folded(lead_lines(record)))


# Lines


def lead_lines(record: SimulationRecord) -> list[str]:
    """The answer in a few sentences."""
    energy = f"No table prices all of its energy on {record.target}."
    for name, found in list(record.priced.items())[:1]:
        if found.split.total is not None:
            energy = f"Energy {microjoules(found.split.total)} µJ under {name}."
        else:
            energy = f"No energy of memory is published for {record.target} under {name}."
    return [
        f"{record.model} with attention {record.attention} ran in {record.widths} integers on {record.target}: "
        f"B={record.batch}, S={record.seq}, {record.inputs}.",
        f"{shown(record.cycles)} cycles, {1e3 * record.seconds:.3f} ms, "
        f"{100 * record.utilisation:.1f} % of the PEs' cycles busy. {energy}",
        agreement_line(record),
        output_line(record),
    ]


def agreement_line(record: SimulationRecord) -> str:
    """Whether the machine and the analytic cost, which knows nothing of the run, have the same figures."""
    found = record.differences_from_analytic
    if found is None:
        return "Not held against floats and the analytic cost; `compare=True` does that."
    if found:
        return f"Machine and analytic cost differ in {len(found)} figures; `details=True` lists them."
    return f"Machine and analytic cost agree in all {len(record.steps)} steps: cycles, bits moved, arithmetic."


def output_line(record: SimulationRecord) -> str:
    """The first rows of the output."""
    output = record.output
    if isinstance(output, Logits):
        each = [f"label {n} ({numbers(row)})" for n, row in zip(output.label, output.logits, strict=True)]
        what = "Logits"
    else:
        each = [f"({numbers(row)}, ...)" for row in output.first_token]
        what = "Hidden state of the first token"
    more = f"; {len(each) - MOST_ROWS_IN_LEAD} more rows" if len(each) > MOST_ROWS_IN_LEAD else ""
    return f"{what}: {'; '.join(each[:MOST_ROWS_IN_LEAD])}{more}."


def numbers(row: tuple[float, ...]) -> str:
    return ", ".join(f"{x:.4f}" for x in row[:4])


def simulation_notes(record: SimulationRecord, details: bool) -> list[str]:
    """What was checked, what is estimated, what is missing."""
    calibration = record.calibration
    lines = [
        f"Ranges: {calibration.method} over {calibration.sentences} sentences of {calibration.tokens} tokens; the "
        f"run has {record.tokens} tokens.",
        f"Every value was checked against its width; accumulators {record.overflow}. "
        f"SHA-256 of the output integers: {record.output.sha256[:16]}.",
    ]
    lines += [f"{name}: {e.missing}." for name, e in record.energy_pj.items() if isinstance(e, Unpriced)]
    if record.events.activity is not None:
        lines.append(
            "Estimate: the energy of PEs is scaled by the bits that toggle at their ports, over the half that "
            "random operands would toggle."
        )
    lines += error_lines(record.errors or ())
    for name, found in list(record.priced.items())[:1]:
        if found.interpolated and details:
            lines.append(f"Interpolated widths ({name}): {', '.join(found.interpolated)}.")
        elif found.interpolated:
            lines.append(f"{len(found.interpolated)} prices are interpolated between the widths of {name}.")
    lines.append(
        "Memory is priced under tables of the target's own node. Clocks, wires, leakage, idle PEs are not."
    )
    return lines + ([] if details else [where_to_look(record)])


def error_lines(errors: tuple[Exactness, ...]) -> list[str]:
    """Values that hold little of what floats have, in words."""
    low = sorted(
        ((e.sqnr_db, e.value) for e in errors if e.sqnr_db is not None and e.sqnr_db < LOW_SQNR_DB),
    )
    if not low:
        return []
    named = ", ".join(f"{value} ({db:.1f} dB)" for db, value in low[:MOST_NAMED])
    more = f" and {len(low) - MOST_NAMED} more" if len(low) > MOST_NAMED else ""
    return [
        f"SQNR near 0 dB, an error about as large as the value itself: {named}{more}. Where the values after it "
        "have a higher SQNR, they do not read the part that was lost, such as what lies beyond a clip."
    ]


def where_to_look(record: SimulationRecord) -> str:
    more = "" if record.errors is None else ", each value against floats"
    shown = f"events by width, energy by table and layer{more}"
    return f"More: `details=True` prints {shown}; `form=json` has every step."


# Tables


def run_grid(record: SimulationRecord) -> Grid:
    """The figures of the whole run that matter."""
    events = record.events
    rows = [
        *(row for row in machine_rows(record) if row[0] not in IN_DETAILS),
        ("operations on PEs", shown(sum(events.array.values()))),
        ("operations on the vector unit", shown(sum(events.vector.values()))),
    ]
    name, split = first_split(record)
    if split is not None:
        parts = {LABELS[part]: energy for part, energy in parts_of(split).items()}
        rows += [(f"energy of {label}, µJ", cell(energy)) for label, energy in parts.items() if energy is not None]
        rows.append(("energy of all, µJ", cell(split.total)))
    if record.errors:
        rows.append(("SQNR of the output, dB", decibels(record.errors[-1])))
    return Grid("the run" if name is None else f"the run, energy under {name}", ("", "run"), tuple(rows))


def machine_rows(record: SimulationRecord) -> list[tuple[str, str]]:
    events = record.events
    rows = [
        ("cycles", shown(record.cycles)),
        ("milliseconds", f"{1e3 * record.seconds:.3f}"),
        ("PEs busy", f"{100 * record.utilisation:.1f} %"),
        *((f"  of array {n}", f"{100 * busy:.1f} %") for n, busy in enumerate(record.each_utilisation or (), 1)),
        ("bound by the roofline", shown(record.roofline_cycles)),
        ("DRAM read B", shown(events.dram_read_bits // 8)),
        ("DRAM write B", shown(events.dram_write_bits // 8)),
        ("buffer read B", shown(events.buffer_read_bits // 8)),
        ("buffer write B", shown(events.buffer_write_bits // 8)),
        *(
            (f"local {way} B", shown(bits // 8))
            for way, bits in (("read", events.local_read_bits), ("write", events.local_write_bits))
            if bits is not None
        ),
        ("PE register write B", shown(events.register_bits // 8)),
    ]
    if events.activity is not None:
        rows.append(("bits toggling at PE ports", f"{100 * events.activity:.1f} %"))
    return rows


def first_split(record: SimulationRecord) -> tuple[str | None, Split | None]:
    """The first table that prices the run, and the energy under it."""
    for name, found in record.priced.items():
        return name, found.split
    return None, None


def parts_of(split: Split) -> Mapping[str, Energy | None]:
    """By part of the machine, of which a local memory may not be there."""
    return {part: getattr(split, part) for part in LABELS if part != "local" or split.local is not None}


def detailed_grids(record: SimulationRecord) -> list[Grid]:
    """Every table there is."""
    found = [output_grid(record), Grid("the machine", ("", "run"), tuple(machine_rows(record)))]
    found += [event_grid(record), energy_grid(record)]
    if record.energy_by_layer_pj:
        found.append(layer_grid(record))
    if record.errors is not None:
        found.append(error_grid(record.errors))
    if record.differences_from_analytic:
        rows = tuple((d.step, d.what, d.machine, d.analytic) for d in record.differences_from_analytic)
        head = ("step", "what", "machine", "analytic")
        found.append(Grid("machine and analytic cost differ", head, rows, False))
    return found


def output_grid(record: SimulationRecord) -> Grid:
    title = f"{record.model}, attention {record.attention}, B={record.batch}, S={record.seq}, "
    title += f"{record.widths} on {record.target}"
    output = record.output
    if isinstance(output, Logits):
        head = ("row", "label", *(f"logit {i}" for i in range(len(output.logits[0]))))
        rows = [
            (str(i), str(label), *(f"{x:.4f}" for x in row))
            for i, (row, label) in enumerate(zip(output.logits, output.label, strict=True))
        ]
        return Grid(f"{title}: logits", head, tuple(rows[:MOST_ROWS]))
    rows = [(str(i), *(f"{x:.4f}" for x in row[:4])) for i, row in enumerate(output.first_token)]
    head = ("row", *(f"h{i}" for i in range(min(4, len(output.first_token[0])))))
    return Grid(f"{title}: hidden state of the first token", head, tuple(rows[:MOST_ROWS]))


def event_grid(record: SimulationRecord) -> Grid:
    """Arithmetic by kind and width."""
    array, vector = record.events.array, record.events.vector
    rows = tuple((key, shown(array.get(key, 0)), shown(vector.get(key, 0))) for key in sorted({*array, *vector}))
    return Grid("arithmetic events", ("", "on PEs", "on lanes"), rows)


def energy_grid(record: SimulationRecord) -> Grid:
    priced = record.priced
    rows = [
        (label, *(cell(getattr(found.split, part)) for found in priced.values()))
        for part, label in LABELS.items()
        if part != "local" or record.events.local_read_bits is not None
    ]
    rows.append(("all", *(cell(found.split.total) for found in priced.values())))
    return Grid("energy in µJ: nominal (low to high)", ("", *priced), tuple(rows))


def layer_grid(record: SimulationRecord) -> Grid:
    layers = record.energy_by_layer_pj
    parts = {part: label for split in layers.values() for part, label in LABELS.items() if part in parts_of(split)}
    rows = tuple(
        (name, *(cell(getattr(split, part)) for part in (*parts, "total"))) for name, split in layers.items()
    )
    head = ("layer", *parts.values(), "all")
    return Grid(f"energy by layer in µJ under {next(iter(record.energy_pj))}", head, rows)


def error_grid(errors: tuple[Exactness, ...]) -> Grid:
    rows = tuple((e.value, e.type, decibels(e), f"{e.max_error:.4g}", f"{e.largest:.4g}") for e in errors)
    return Grid("integers against float64", ("value", "type", "SQNR dB", "max error", "largest"), rows)


def decibels(e: Exactness) -> str:
    """A signal to error ratio; in words where there is none, or next to none."""
    if e.sqnr_db is None:
        return "exact" if e.max_error == 0 else "all error, of 0"
    return f"{e.sqnr_db:.1f}" if e.sqnr_db >= LOW_SQNR_DB else f"error as large as the value, {e.sqnr_db:.1f}"


def cell(energy: Energy | None) -> str:
    return "-" if energy is None else microjoules(energy)


def microjoules(energy: Energy) -> str:
    """Nominal (low to high), with three digits where a tenth of a µJ would be too coarse."""
    each = (energy.nominal_pj, energy.low_pj, energy.high_pj)
    nominal, low, high = (f"{x / 1e6:,.1f}".replace(",", " ") if x >= 100e6 else f"{x / 1e6:.3g}" for x in each)
    return nominal if energy.low_pj == energy.high_pj else f"{nominal} ({low} to {high})"


# Rows


def simulation_rows(record: SimulationRecord) -> tuple[Row, ...]:
    """One row a figure: figure, unit, value, and the range of an energy."""
    rows: list[Row] = []

    def add(figure: str, unit: str, value: Cell, low: Cell = "", high: Cell = "") -> None:
        rows.append({"figure": figure, "unit": unit, "value": value, "low": low, "high": high})

    add("cycles", "cycles", record.cycles)
    add("time", "s", record.seconds)
    add("utilisation", "", record.utilisation)
    for place, found in (("array", record.events.array), ("vector", record.events.vector)):
        for key, n in found.items():
            add(f"{place} {key}", "events", n)
    levels = ["register_bits", "buffer_read_bits", "buffer_write_bits", "dram_read_bits", "dram_write_bits"]
    levels += ["local_read_bits", "local_write_bits"] if record.events.local_read_bits is not None else []
    for level in levels:
        add(level.removesuffix("_bits").replace("_", " "), "bits", getattr(record.events, level))
    for name, priced in record.priced.items():
        for part, energy in (*parts_of(priced.split).items(), ("total", priced.split.total)):
            if energy is not None:
                add(f"{name} {part}", "pJ", energy.nominal_pj, energy.low_pj, energy.high_pj)
    for error in record.errors or ():
        add(f"SQNR {error.value}", "dB", "" if error.sqnr_db is None else error.sqnr_db)
    return tuple(rows)


def step_rows(record: SimulationRecord) -> list[Row]:
    """One row a step of the schedule."""
    names = (
        "op",
        "module",
        "start_cycle",
        "cycles",
        "array_cycles",
        "vector_cycles",
        "dma_cycles",
        "read_port_cycles",
        "write_port_cycles",
        "buffer_bytes",
    )
    rows: list[Row] = []
    for step in record.steps:
        row: dict[str, Cell] = {}
        for name in names:
            row[name] = getattr(step, name)
            if name == "array_cycles":
                row |= {f"array{n}_cycles": cycles for n, cycles in enumerate(step.each_array_cycles or (), 1)}
        local = ("local_read_cycles", "local_write_cycles", "local_bytes")
        row |= {name: getattr(step, name) for name in local if getattr(step, name) is not None}
        rows.append(row)
    return rows
