"""A grid: a title, headings, and rows of cells. Every output format shows the same grids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Grid:
    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: bool = True  # all columns but the first hold numbers, set to the right


def shown(value: Any) -> str:
    """Numbers with thousands separated by blanks, as the papers print them."""
    if value is None:
        return "-"
    return f"{value:,}".replace(",", " ") if isinstance(value, int) else str(value)


def cell_text(value: Any) -> str:
    """A cell of a table: whole numbers in full, others with four digits."""
    if isinstance(value, float):
        return shown(round(value)) if abs(value) >= 10_000 else f"{value:.4g}"
    return "" if value is None else shown(value)


def sizes_of(batch: int | None, seq: int | None) -> str:
    """Sizes for a title; empty where the user's own model decides them."""
    return "" if seq is None else f"B={batch}, S={seq}, "
