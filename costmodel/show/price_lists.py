"""Cost tables, memories, wires and syntheses to be read: every figure with unit, evidence and source."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from costmodel.records import encode
from costmodel.show.document import Document, Row
from costmodel.show.grid import Grid
from costmodel.technology.figures import Figure
from costmodel.technology.loading import score_terms
from costmodel.technology.tables import Energy, OpCost, Table


def tables_document(tables: Sequence[Table]) -> Document:
    """Operations, memories and the terms of a score of each table."""
    grids = tuple(grid for table in tables for grid in table_grids(table))
    notes = tuple(note for table in tables for note in table_notes(table))
    return Document(grids, notes, tuple(table_rows(tables)))


def figures_document(listed: Sequence[Figure]) -> Document:
    """Figures by group."""
    return Document(tuple(figure_grids(listed)), tuple(figure_notes(listed)), tuple(map(encode, listed)))


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


def table_rows(tables: Sequence[Table]) -> list[Row]:
    """A row a figure, with the source spelt out."""
    rows: list[Row] = []
    for t in tables:
        for r in t.ops:
            energy = r.energy()
            rows.append(
                price_row(t, r.op, r.dtype, "pJ/op", energy, whole_source(t, r.source), r.kind, r.area_um2)
            )
        for e in t.estimates:
            unit = "pJ/op" if e.of == "pj" else f"x {e.of}"
            span = Energy(e.nominal, e.low, e.high)
            rows += [price_row(t, op, "any", unit, span, e.source, "estimate") for op in e.ops]
        for m in t.memories:
            span, source = Energy(m.energy_pj, m.low_pj, m.high_pj), whole_source(t, m.source)
            made = price_row(t, m.name, "memory", f"pJ/{m.access_bits} bits", span, source, "published")
            rows.append({**made, "includes": m.includes})
    return rows


def price_row(
    table: Table, name: str, dtype: str, unit: str, span: Energy, source: str, kind: str, area_um2: float = 0.0
) -> Row:
    """One figure of a table; `span` in pJ, or in multiples of another operation."""
    evidence = "estimate" if kind == "estimate" else table.evidence
    return {
        "table": table.name,
        "row": name,
        "type": dtype,
        "unit": unit,
        "value": span.nominal_pj,
        "low": span.low_pj,
        "high": span.high_pj,
        "area_um2": area_um2 or None,
        "source": source,
        "kind": kind,
        "node_nm": table.node_nm,
        "vdd": table.vdd,
        "includes": table.includes,
        "evidence": evidence,
    }


def whole_source(table: Table, source: str) -> str:
    """`as the table` spelt out."""
    return table.source + source.removeprefix("as the table") if source.startswith("as the table") else source


def figure_grids(listed: Sequence[Figure]) -> list[Grid]:
    """A grid a group. What a thing has in several units is side by side; a range where there is one."""
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


def figure_notes(listed: Sequence[Figure]) -> list[str]:
    notes = []
    for group in dict.fromkeys(f.group for f in listed):
        mine = [f for f in listed if f.group == group]
        one_source = len({f.source for f in mine}) == 1
        pairs = [("all" if one_source else f.name.split(", ")[0], f"{f.source} ({f.evidence})") for f in mine]
        notes += grouped(pairs, group)
    return notes
