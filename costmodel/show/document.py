"""A document: what every output format is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from costmodel.show.grid import Grid

Cell = str | int | float | bool | None
Row = Mapping[str, Cell]  # one flat line of a table; all rows of a document have the same keys


@dataclass(frozen=True)
class Document:
    """Tables for people, lines below them, and the same figures as flat rows for programs."""

    grids: tuple[Grid, ...]
    notes: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()

    def __add__(self, other: Document) -> Document:
        """The tables and notes of both; the rows are those of the first."""
        return Document(self.grids + other.grids, self.notes + other.notes, self.rows or other.rows)
