"""Rows of a TOML file as dataclasses: an error names the file, the row, and why it is refused."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from costmodel.errors import UnknownTable
from costmodel.records import Json

T = TypeVar("T")
Toml = dict[str, Json]  # a table of a TOML file, as it was written

# Text that must say something, and numbers that divide or are divided by.
NEEDED_TEXT = ("name", "op", "dtype", "kind", "of", "source", "includes", "evidence")
POSITIVE = ("node_nm", "vdd", "access_bits", "capacity_bytes", "min_bytes", "max_bytes")


def read_toml(path: Path) -> Toml:
    """The record of a file.

    Raises:
        UnknownTable: the file is not there, cannot be read, is not UTF-8 or not TOML.
    """
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8"))
    except FileNotFoundError:
        raise UnknownTable(f"{path}: there is no such file") from None
    except OSError as error:
        raise UnknownTable(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UnknownTable(
            f"{path} is not UTF-8: byte {error.start} is {error.object[error.start]:#04x}"
        ) from None
    except (ValueError, RecursionError) as error:  # no TOML, an integer beyond Python's digits, a NUL in the path
        raise UnknownTable(f"{path} is not TOML: {' '.join(str(error).split())}") from None


def section(record: Toml, name: str, where: str) -> list[Any]:
    """The rows of `[[name]]`; none where the section is not there."""
    rows = record.get(name, [])
    if not isinstance(rows, list):
        raise UnknownTable(f"{where}: {name} is {kind_of(rows)}, not rows of [[{name}]]")
    return rows


def made_all(cls: type[T], record: Toml, name: str, where: str) -> tuple[T, ...]:
    """Every row of `[[name]]`, checked."""
    rows = section(record, name, where)
    return tuple(made(cls, row, place(where, name, i, row)) for i, row in enumerate(rows, start=1))


def place(where: str, name: str, number: int, row: object) -> str:
    """`mine.toml: [[op]] row 3 (mul int8)`."""
    labels: Iterable[Any] = (
        (row.get(key) for key in ("name", "op", "ops", "dtype")) if isinstance(row, dict) else ()
    )
    words = [w for label in labels for w in (label if isinstance(label, list) else [label]) if isinstance(w, str)]
    return f"{where}: [[{name}]] row {number}" + (f" ({' '.join(' '.join(words).split())})" if words else "")


def made(cls: type[T], row: object, where: str) -> T:
    """One row as a `cls`, whose annotations say what its fields hold.

    Raises:
        UnknownTable: a field is missing, unknown, of the wrong type, negative, not finite, or says nothing.
    """
    if not isinstance(row, dict):
        raise UnknownTable(f"{where} is {kind_of(row)}, not a row")
    known = {f.name: f for f in fields(cls)}  # type: ignore[arg-type]
    for name in row:
        if name not in known:
            raise UnknownTable(f"{where}: unknown field {name!r}; known: {', '.join(known)}")
    for name, field in known.items():
        if name not in row and field.default is MISSING:
            raise UnknownTable(f"{where}: {name} is missing")
    hints = get_type_hints(cls)
    return cls(**{name: checked(value, str(hints[name]), name, where) for name, value in row.items()})


def checked(value: Any, hint: str, name: str, where: str) -> Any:
    """The value of one field, of the type that the annotation asks for."""
    if "tuple" in hint:
        if not (isinstance(value, list) and value and all(isinstance(v, str) and v.strip() for v in value)):
            raise UnknownTable(f"{where}: {name} is not a list of words")
        return tuple(value)
    if "str" in hint:
        if not isinstance(value, str):
            raise UnknownTable(f"{where}: {name} is {kind_of(value)}, not text")
        if name in NEEDED_TEXT and not value.strip():
            raise UnknownTable(f"{where}: {name} is empty")
        return value
    if "bool" in hint:
        if not isinstance(value, bool):
            raise UnknownTable(f"{where}: {name} is {kind_of(value)}, not true or false")
        return value
    if isinstance(value, bool) or not isinstance(value, int | float if "float" in hint else int):
        wanted = "a number" if "float" in hint else "a whole number"
        raise UnknownTable(f"{where}: {name} is {kind_of(value)}, not {wanted}")
    return checked_number(value, name, where)


def checked_number(value: int | float, name: str, where: str) -> int | float:
    if not isinstance(value, int) and not math.isfinite(value):
        raise UnknownTable(f"{where}: {name} is {value}")
    if value < 0:
        raise UnknownTable(f"{where}: {name} is negative: {value}")
    if value > 1e30:  # an integer of TOML has no limit, and would overflow a float
        raise UnknownTable(f"{where}: {name} is too large")
    if value == 0 and name in POSITIVE:
        raise UnknownTable(f"{where}: {name} is 0")
    return value


def check_order(low: float, nominal: float, high: float, where: str) -> None:
    if not low <= nominal <= high:
        raise UnknownTable(f"{where}: the range {low:g} to {high:g} does not hold {nominal:g}")


def check_once(labels: Iterable[str], name: str, where: str) -> None:
    """Refuse a label that a second row of `[[name]]` has too."""
    seen: dict[str, int] = {}
    for i, label in enumerate(labels, start=1):
        if label in seen:
            raise UnknownTable(f"{where}: [[{name}]] row {i} ({label}) is there already, as row {seen[label]}")
        seen[label] = i


def kind_of(value: object) -> str:
    """What a TOML value is, in the words of a user."""
    kinds = {bool: "true or false", int: "a whole number", float: "a number", str: "text", list: "a list"}
    return kinds.get(type(value), "a table" if isinstance(value, dict) else "a date or time")
