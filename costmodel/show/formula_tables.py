"""Closed forms and break-even points: table, note, rows."""

from __future__ import annotations

from costmodel.compare.formula_records import FormulaRecord
from costmodel.show.document import Document, Row
from costmodel.show.grid import Grid
from costmodel.show.length_lines import interval_rows


def formula_document(record: FormulaRecord) -> Document:
    """A row a quantity, one row with the break-even points, or a row an interval."""
    rows = tuple(formula_rows(record))
    cells = tuple(tuple(map(str, row.values())) for row in rows)
    grid = Grid(f"{record.model}, attention {record.attention}", tuple(rows[0]), cells, numbers=False)
    return Document((grid,), () if record.verdict is None else (record.verdict,), rows)


def formula_rows(record: FormulaRecord) -> list[Row]:
    """Forms that are 0 are left out, unless all are."""
    if record.formulas is not None:
        some = {n: f for n, f in record.formulas.items() if f != "0"} or record.formulas
        return [{"quantity": name, "formula": formula} for name, formula in some.items()]
    if record.intervals is not None:
        return interval_rows(record.intervals, str(record.of), str(record.against), str(record.symbol))
    roots = ", ".join(f"{root:.6g}" for root in record.break_even or ()) or "never"
    return [{"quantity": record.of, "against": record.against, str(record.symbol): roots}]
