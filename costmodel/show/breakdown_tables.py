"""The difference of two cost breakdowns: tables, notes, rows."""

from __future__ import annotations

from costmodel.compare.breakdown import Amounts, Difference
from costmodel.show.document import Document, Row
from costmodel.show.grid import Grid, shown


def difference_document(record: Difference) -> Document:
    return Document(difference_grids(record), tuple(difference_notes(record)), difference_rows(record))


def difference_grids(record: Difference) -> tuple[Grid, ...]:
    """A table a section, its parts by the size of their difference."""
    grids = []
    for s in record.sections:
        rows = [row_cells(row.part, row.amounts, row.share) for row in s.rows]
        rows.append(row_cells("total", s.total, 1.0 if s.total.difference else None))
        title = f"{s.title}{' in ' + s.unit if s.unit and s.unit != 'cycles' else ''}"
        grids.append(Grid(title, ("", "A", "B", "B - A", "share of it"), tuple(rows)))
    return tuple(grids)


def row_cells(name: str, found: Amounts, part: float | None) -> tuple[str, ...]:
    share = "-" if part is None else f"{round(100 * part, 1) + 0.0:.1f} %"  # no -0.0
    return (name, digits(found.a), digits(found.b), digits(found.difference, "+"), share)


def digits(value: float, sign: str = "") -> str:
    """Integers whole, others with four digits behind the point."""
    if isinstance(value, int):
        return shown(value) if not sign or value <= 0 else f"+{shown(value)}"
    return f"{value:{sign},.4f}".replace(",", " ")


def difference_notes(record: Difference) -> list[str]:
    """Which points these are, and which part of each section differs most."""
    lines = [f"A: {record.a}", f"B: {record.b}"]
    for s in record.sections:
        change = s.total.difference
        if not change or s.title == "operations":
            continue
        top = s.rows[0]
        less = "less" if change < 0 else "more"
        lines.append(
            f"{s.title}: B takes {digits(abs(change))} {s.unit} {less} than A; {top.part} differs most, by "
            f"{digits(top.amounts.difference, '+')} {s.unit}."
        )
    if record.only_one_has:
        lines.append(f"Only one of the two has: {', '.join(record.only_one_has)}.")
    return lines


def difference_rows(record: Difference) -> tuple[Row, ...]:
    """A row a part; the totals are rows too."""
    rows: list[Row] = []
    for s in record.sections:
        each = [(row.part, row.amounts, row.share) for row in s.rows]
        for name, found, share in (*each, ("total", s.total, None)):
            row: Row = {
                "section": s.title,
                "unit": s.unit,
                "part": name,
                "a": found.a,
                "b": found.b,
                "difference": found.difference,
                "share": share,
            }
            rows.append(row)
    return tuple(rows)
