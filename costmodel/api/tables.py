"""`price_tables`: the cost tables with units and sources; `table`: any rows as a result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from costmodel.api.results import Result
from costmodel.errors import CostModelError
from costmodel.records import OPTIONAL, Row
from costmodel.show.document import Document
from costmodel.show.grid import Grid, cell_text
from costmodel.show.price_lists import figures_document, tables_document
from costmodel.technology.figures import LISTINGS, Figure, figures
from costmodel.technology.loading import load_table, table_names
from costmodel.technology.tables import Table


@dataclass(frozen=True)
class RowsRecord:
    """Any rows, with a title."""

    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class PricesRecord:
    """Cost tables, or one of the other listings."""

    tables: Annotated[tuple[Table, ...] | None, OPTIONAL] = None
    memories: Annotated[tuple[Figure, ...] | None, OPTIONAL] = None
    wires: Annotated[tuple[Figure, ...] | None, OPTIONAL] = None
    fpga: Annotated[tuple[Figure, ...] | None, OPTIONAL] = None


@dataclass(frozen=True, repr=False)
class Prices(Result[PricesRecord]):
    """What operations and memories cost, with sources; `record` as of `costmodel tables --format json`."""


def price_tables(name: str | None = None) -> Prices:
    """The cost tables of operations with units and sources, or one listing of other figures.

    Args:
        name: a table, a FILE.toml of your own, either at another node (`horowitz45@7nm`, scaled by Stillmaker
            and Baas), or one of memories, wires, fpga; None gives all tables.

    >>> import costmodel as cm
    >>> rows = cm.price_tables("horowitz45").to_rows()
    >>> [row["value"] for row in rows if (row["row"], row["type"]) == ("mul", "int8")]
    [0.2]
    >>> cm.price_tables("wires").to_rows()[0]["unit"]
    'fJ/bit/mm'

    Raises:
        UnknownTable: no such table, or a bad one, with the row and the reason.
    """
    if name in LISTINGS:
        listed = figures(name)
        record = PricesRecord(
            memories=listed if name == "memories" else None,
            wires=listed if name == "wires" else None,
            fpga=listed if name == "fpga" else None,
        )
        return Prices(record, figures_document(listed))
    tables = tuple(load_table(n) for n in (table_names() if name is None else [name]))
    return Prices(PricesRecord(tables=tables), tables_document(tables))


def table(rows: Sequence[Row], title: str = "") -> Result[RowsRecord]:
    """Any rows of the same keys as a result: how notebooks show what they have worked out.

    Whole numbers stand in full, others with four digits.

    >>> import costmodel as cm
    >>> rows = [{"S": s, "exp": cm.count("distilbert", seq=s).counts["exp"]} for s in (64, 128)]
    >>> print(cm.table(rows, "growth"))
    growth
    <BLANKLINE>
     S           exp
     ───────────────
     64      294 912
     128   1 179 648

    Raises:
        CostModelError: no rows, or rows of other keys.
    """
    own = tuple(dict(row) for row in rows)
    if not own or any(row.keys() != own[0].keys() for row in own):
        raise CostModelError("a table needs rows, all with the same keys")
    cells = tuple(tuple(map(cell_text, row.values())) for row in own)
    return Result(RowsRecord(title, own), Document((Grid(title, tuple(own[0]), cells),), (), own))
