"""Tables that are filled by name: an entry made twice is refused, never replaced in silence."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def enter(table: dict[str, T], what: str, *names: str) -> Callable[[T], T]:
    """A decorator that enters what it decorates into a table, under each of some names.

    Args:
        what: what the table holds, for the complaint: "lowering of", "width rule of".

    Raises:
        ValueError: the table has an entry of that name.
    """

    def register(entry: T) -> T:
        for name in names:
            if name in table:
                raise ValueError(f"there is a {what} {name!r} already")
            table[name] = entry
        return entry

    return register
