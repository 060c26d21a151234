"""A document: what every output format is made of."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass

from costmodel.records import Cell as Cell
from costmodel.records import Row as Row
from costmodel.show.grid import Grid


@dataclass(frozen=True)
class Document:
    """Tables for people, lines below and above them, and the same figures as flat rows for programs."""

    grids: tuple[Grid, ...]
    notes: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()  # all with the same keys
    lead: tuple[str, ...] = ()  # what to read first, above the tables

    def __add__(self, other: Document) -> Document:
        """The tables and notes of both; the rows are those of the first."""
        return Document(
            self.grids + other.grids, self.notes + other.notes, self.rows or other.rows, self.lead + other.lead
        )


SCREEN = 100  # columns


def folded(lines: Iterable[str], width: int = SCREEN) -> tuple[str, ...]:
    """Lines of text broken between words, so that each fits the screen."""
    return tuple(part for line in lines for part in textwrap.wrap(line, width, break_on_hyphens=False) or [""])
