"""A document: what every output format is made of."""

from __future__ import annotations

from dataclasses import dataclass

from costmodel.records import Cell as Cell
from costmodel.records import Row as Row
from costmodel.show.grid import Grid


@dataclass(frozen=True)
class Document:
    """Tables for people, lines below them, and the same figures as flat rows for programs."""

    grids: tuple[Grid, ...]
    notes: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()  # all with the same keys

    def __add__(self, other: Document) -> Document:
        """The tables and notes of both; the rows are those of the first."""
        return Document(self.grids + other.grids, self.notes + other.notes, self.rows or other.rows)
