"""Cost tables, memories, wires and syntheses to be read: every figure with unit, evidence and source."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from costmodel.show.grid import Grid
from costmodel.technology.elements import asic_pes, fpga_units
from costmodel.technology.loading import score_terms
from costmodel.technology.memories import dram_kinds, sram_rows, synthesised, wires
from costmodel.technology.tables import Energy, OpCost, Table


def table_grids(table: Table) -> list[Grid]:
    ops = [(r.op, r.dtype, energy_span(r), f"{r.area_um2:.4g}" if r.area_um2 else "-", r.kind) for r in table.ops]
    for e in table.estimates:
        unit = "" if e.of == "pj" else f" x {e.of}"
        span = f"{e.nominal:.4g} ({e.low:.4g} to {e.high:.4g}){unit}"
        ops.append((", ".join(e.ops), "any", span, "-", "estimate"))
    memories = [
        (m.name, str(m.access_bits), f"{m.energy_pj:.4g}", f"{m.low_pj:.4g} to {m.high_pj:.4g}", m.includes)
        for m in table.memories
    ]
    terms = [
        (
            t.operands,
            t.accumulator,
            f"{t.dot.nominal_pj:.4g}",
            span_of(t.manhattan),
            f"{t.dot.nominal_pj / t.manhattan.nominal_pj:.2f}" if t.manhattan.nominal_pj else "-",
            "a width interpolated" if t.interpolated else "",
        )
        for t in score_terms(table)
    ]
    head = ("operands", "accumulator", "dot pJ", "Manhattan pJ", "dot / Manhattan", "")
    return [
        Grid(f"{table.name}: {table.title}", ("op", "type", "pJ/op", "area µm²", "kind"), tuple(ops)),
        Grid(f"{table.name}: memory", ("memory", "bits", "pJ/access", "range", "includes"), tuple(memories)),
        Grid(f"{table.name}: one term of a score", head, tuple(terms)),
    ]


def energy_span(row: OpCost) -> str:
    energy = row.energy()
    exact = energy.low_pj == energy.high_pj and not row.kind.endswith("scaled")
    return f"{row.energy_pj:g}" if exact else span_of(energy)


def span_of(energy: Energy) -> str:
    """`0.16 (0.13 to 0.16)`, or one number where there is no range."""
    if energy.low_pj == energy.high_pj:
        return f"{energy.nominal_pj:.4g}"
    return f"{energy.nominal_pj:.4g} ({energy.low_pj:.4g} to {energy.high_pj:.4g})"


def table_notes(table: Table) -> list[str]:
    """The source of the table, then of the rows that have one of their own."""
    voltage = "no voltage given" if table.vdd is None else f"{table.vdd:g} V"
    parts = (table.includes, table.evidence, table.note)
    first = f"{table.name}: {table.source}. {table.node_nm} nm, {voltage}; {'; '.join(p for p in parts if p)}."
    own = [(f"{r.op} {r.dtype}", r.source) for r in table.ops] + [(m.name, m.source) for m in table.memories]
    own += [(", ".join(e.ops), e.source) for e in table.estimates]
    return [first, *grouped([(label, source) for label, source in own if source != "as the table"], table.name)]


def grouped(pairs: Iterable[tuple[str, str]], name: str) -> list[str]:
    """One line a source, with all that comes from it."""
    labels: dict[str, list[str]] = {}
    for label, source in pairs:
        labels.setdefault(source, []).append(label)
    return [f"{name}: {', '.join(dict.fromkeys(those))}: {source}." for source, those in labels.items()]


def render_tables_csv(tables: list[Table]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    head = ("table", "row", "type", "unit", "value", "low", "high", "area_um2", "source")
    writer.writerow((*head, "kind", "node_nm", "vdd", "includes", "evidence"))
    for t in tables:
        voltage = "" if t.vdd is None else t.vdd
        for r in t.ops:
            span = (r.energy_pj, r.energy().low_pj, r.energy().high_pj)
            row = (t.name, r.op, r.dtype, "pJ/op", *span, r.area_um2 or "", whole_source(t, r.source))
            writer.writerow((*row, r.kind, t.node_nm, voltage, t.includes, t.evidence))
        for e in t.estimates:
            unit = "pJ/op" if e.of == "pj" else f"x {e.of}"
            for op in e.ops:
                row = (t.name, op, "any", unit, e.nominal, e.low, e.high, "", e.source)
                writer.writerow((*row, "estimate", t.node_nm, voltage, t.includes, "estimate"))
        for m in t.memories:
            unit = f"pJ/{m.access_bits} bits"
            row = (t.name, m.name, "memory", unit, m.energy_pj, m.low_pj, m.high_pj, "", whole_source(t, m.source))
            writer.writerow((*row, "published", t.node_nm, voltage, m.includes, t.evidence))
    return out.getvalue()


def whole_source(table: Table, source: str) -> str:
    """`as the table` spelt out."""
    return table.source + source.removeprefix("as the table") if source.startswith("as the table") else source


# Memories, wires and syntheses: figures of one form.


@dataclass(frozen=True)
class Figure:
    """One number of a listing. `low` and `high` are `value` where the source leaves no range."""

    group: str
    name: str
    unit: str
    value: float
    low: float
    high: float
    node_nm: int | None
    vdd: float | None
    includes: str
    evidence: str
    source: str
    row: str


LISTINGS = ("memories", "wires", "fpga")


def figures(listing: str) -> tuple[Figure, ...]:
    """All figures of one of `LISTINGS`."""
    made = {"memories": memory_figures, "wires": wire_figures, "fpga": synthesis_figures}
    return tuple(made[listing]())


def exact(group: str, name: str, unit: str, value: float, row: Any) -> Figure:
    """A figure without a range, of a row that may lack a node, a voltage, or a name in the collection."""
    node, vdd = getattr(row, "node_nm", None), getattr(row, "vdd", None)
    origin = (row.includes, row.evidence, row.source, getattr(row, "row", ""))
    return Figure(group, name, unit, value, value, value, node, vdd, *origin)


def memory_figures() -> list[Figure]:
    fits, points = sram_rows()
    made = [
        exact("SRAM", f"{p.name}, {p.capacity_bytes // 1024} KiB", f"pJ/{p.access_bits} bits", p.energy_pj, p)
        for p in points
    ]
    for f in fits:
        k, area = f.k_pj_per_byte, f.area_um2
        origin = (f.node_nm, None, f.includes, f.evidence, f.source, "")
        low, high = k / (1 + f.max_error), k / (1 - f.max_error)
        made.append(Figure("SRAM", f"{f.name}, k", "pJ/byte at 8 KiB", k, low, high, *origin))
        made.append(exact("SRAM", f"{f.name}, p", "energy by capacity^p", f.exponent, f))
        low, high = area / (1 + f.area_max_error), area / (1 - f.area_max_error)
        made.append(Figure("SRAM", f"{f.name}, a", "µm² at 8 KiB", area, low, high, *origin))
        made.append(exact("SRAM", f"{f.name}, q", "area by capacity^q", f.area_exponent, f))
    for d in dram_kinds():
        span = (d.energy_pj, d.low_pj, d.high_pj)
        made.append(Figure("DRAM", d.name, "pJ/bit", *span, None, None, d.includes, d.evidence, d.source, d.row))
    return made


def wire_figures() -> list[Figure]:
    return [exact("wire", w.name, "fJ/bit/mm", round(1000 * w.pj_per_bit_mm, 6), w) for w in wires()]


def synthesis_figures() -> list[Figure]:
    made = []
    for pe in synthesised():
        name = "+".join(pe.kinds) + (" with DSP" if pe.dsp else "")
        for unit, value in (("LUT", pe.lut), ("FF", pe.ff), ("CARRY4", pe.carry4), ("DSP", pe.dsp)):
            made.append(exact("xc7 PE", name, unit, value, pe))
    for u in fpga_units():
        resources = (("LUT", u.lut), ("CARRY4", u.carry4), ("DSP", u.dsp), ("LUT sites", u.lut_sites))
        made += [exact("xc7 operation", f"{u.op} int{u.bits}", unit, value, u) for unit, value in resources]
    for a in asic_pes():
        for unit, pj in (("pJ/term", a.energy_pj), ("µm²", a.area_um2), ("ns", a.delay_ns)):
            if pj is not None:
                made.append(exact("ASIC PE", f"{a.library} {a.kind}", unit, pj, a))
    return made


def figure_grids(listed: tuple[Figure, ...]) -> list[Grid]:
    """A grid a group. What a thing has of several units stands side by side; a range where there is one."""
    grids = []
    tail = ("nm", "V", "includes")
    for group in dict.fromkeys(f.group for f in listed):
        mine = [f for f in listed if f.group == group]
        units = tuple(dict.fromkeys(f.unit for f in mine))
        wide = len(units) > 1 and group not in ("SRAM", "DRAM")
        head = ("name", *units, *tail) if wide else ("name", "value", "unit", *tail)
        grids.append(Grid(group, head, tuple(wide_rows(mine, units) if wide else map(figure_cells, mine))))
    return grids


def wide_rows(listed: list[Figure], units: tuple[str, ...]) -> list[tuple[str, ...]]:
    cells = {(f.name, f.unit): f"{f.value:g}" for f in listed}
    last = {f.name: tail_cells(f) for f in listed}
    return [(name, *(cells.get((name, unit), "-") for unit in units), *tail) for name, tail in last.items()]


def figure_cells(f: Figure) -> tuple[str, ...]:
    span = f"{f.value:.6g}" + ("" if f.low == f.high else f" ({f.low:.4g} to {f.high:.4g})")
    return (f.name, span, f.unit, *tail_cells(f))


def tail_cells(f: Figure) -> tuple[str, ...]:
    """Node, voltage, and what the figure includes."""
    known = ("-" if value is None else f"{value:g}" for value in (f.node_nm, f.vdd))
    return (*known, f.includes)


def figure_notes(listed: tuple[Figure, ...]) -> list[str]:
    notes = []
    for group in dict.fromkeys(f.group for f in listed):
        mine = [f for f in listed if f.group == group]
        one_source = len({f.source for f in mine}) == 1
        pairs = [("all" if one_source else f.name.split(", ")[0], f"{f.source} ({f.evidence})") for f in mine]
        notes += grouped(pairs, group)
    return notes


def render_figures_csv(listed: tuple[Figure, ...]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(asdict(listed[0])), lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: "" if v is None else v for k, v in asdict(f).items()} for f in listed)
    return out.getvalue()
