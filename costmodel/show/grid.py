"""A grid: a title, headings, and rows of cells. Every output format shows the same grids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

# Forms. A grid is a title, headings, and rows of cells; every form shows the same grids.


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


def sizes_of(record: dict[str, Any]) -> str:
    return "" if record["seq"] is None else f"B={record['batch']}, S={record['seq']}, "
