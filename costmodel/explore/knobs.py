"""Knobs of a design space: what can be turned, and which values a file gives each.

A value is a text or a whole number. A file gives one value, a list, or for numbers a range:
`{from = 32, to = 512, step = 32}` or `{from = 32, to = 512, times = 2}`, both ends included.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from costmodel.errors import CostModelError
from costmodel.hardware.pe import PE_KINDS
from costmodel.hardware.timing import DATAFLOWS, parse_array
from costmodel.records import Json
from costmodel.widths.policy import parse_policy

# What decides which program is compiled, what its parameters are, and what only prices it. Points count
# up with the last knob turning fastest, so that neighbours share a program, then a machine.
SHAPE = ("layers", "width", "heads", "ffn")
PROGRAM = ("model", *SHAPE, "attention", "seq", "batch", "widths", "target", "kinds", "kinds2", "use_dsp2")
MACHINE = (
    *("array", "dataflow", "array2", "dataflow2", "buffer_kib", "lanes", "clock_mhz", "bandwidth_mb_s"),
    *("buffer_read_bytes", "buffer_write_bytes", "local_kib", "local_read_bytes", "local_write_bytes"),
)
PRICED = ("technology", "table", "sram", "dram")
NAMES = (*PROGRAM, *MACHINE, *PRICED)
# What has to be done, which no machine decides: points that differ in it are not compared unless asked for.
SIZES = ("model", *SHAPE, "seq", "batch")
NUMBERS = (*SHAPE, "seq", "batch", *MACHINE[4:])
REQUIRED = ("model", "target")
Value = str | int
MOST_VALUES = 100_000  # of one knob
LARGEST = 1 << 31  # value of a number: products of them stay below 2^63


@dataclass(frozen=True)
class Knob:
    """A name and its distinct values, in the order of the file."""

    name: str
    values: tuple[Value, ...]


def parse_knobs(record: Any, where: str, named: Collection[str] = ()) -> tuple[Knob, ...]:
    """Knobs in the order of `NAMES`; `named` are those that every workload has its own value of.

    Raises:
        CostModelError: an unknown knob, an empty range, a value twice, of the wrong type or not known.
    """
    spot = f"{where}: [knobs]"
    if not isinstance(record, dict) or not record:
        raise CostModelError(f"{where} has no [knobs]; give at least {' and '.join(REQUIRED)}")
    for name in record:
        if name not in NAMES:
            raise CostModelError(f"{spot}: unknown knob {name!r}; known: {', '.join(NAMES)}")
        if name in named:
            raise CostModelError(f"{spot} {name}: every [[workload]] names its own; leave one of both out")
    for name in REQUIRED:
        if name not in record and name not in named:
            raise CostModelError(f"{spot} lacks {name}; give one value or a list of them")
    for name in ("table", "sram"):
        if name in record and "technology" in record:
            raise CostModelError(f"{spot}: technology sets {name} too; leave one of both out")
    return tuple(Knob(name, parse_values(name, record[name], spot)) for name in NAMES if name in record)


def parse_values(name: str, given: Any, where: str) -> tuple[str | int, ...]:
    """The values of one knob, each checked."""
    where = f"{where} {name}"
    if isinstance(given, dict):
        if name not in NUMBERS:
            raise CostModelError(f"{where} takes texts, not a range; give a list")
        given = span(given, where)
    values = list(given) if isinstance(given, list | tuple | range) else [given]
    if not values:
        raise CostModelError(f"{where} is empty; give at least one value, or leave {name} out")
    if len(values) > MOST_VALUES:
        raise CostModelError(f"{where} has {len(values)} values; {MOST_VALUES} are the most")
    found = tuple(checked_value(name, value, where) for value in values)
    seen: set[str | int] = set()
    for value in found:
        if value in seen:
            raise CostModelError(f"{where}: {value!r} is given twice; leave one out")
        seen.add(value)
    return found


def span(given: Mapping[str, Json], where: str) -> range | list[int]:
    """A range of whole numbers, both ends included."""
    form = "{from = A, to = B, step = C} or {from = A, to = B, times = C}"
    if given.keys() not in ({"from", "to", "step"}, {"from", "to", "times"}):
        raise CostModelError(f"{where}: a range is {form}, not one of {', '.join(map(repr, given)) or 'nothing'}")
    for key, value in given.items():
        if not is_whole(value):
            raise CostModelError(f"{where}: {key} = {value!r} is not a whole number of at least 1; {form}")
    first, last = given["from"], given["to"]
    if first > last:
        raise CostModelError(f"{where}: from {first} to {last} is empty; exchange both")
    if "step" in given:
        numbers = range(first, last + 1, given["step"])
        if len(numbers) > MOST_VALUES:
            raise CostModelError(f"{where} has {len(numbers)} values; {MOST_VALUES} are the most")
        return numbers
    if given["times"] < 2:
        raise CostModelError(f"{where}: times = {given['times']} leads nowhere; give at least 2")
    found = [first]
    while found[-1] * given["times"] <= last:
        found.append(found[-1] * given["times"])
    return found


def is_function(model: str) -> bool:
    """Whether a model is the user's own, named as `package.module:function`: it decides its own sizes."""
    return ":" in model


def is_whole(value: Any) -> bool:
    return type(value) is int and 1 <= value <= LARGEST


def checked_value(name: str, value: Any, where: str) -> str | int:
    """One value, if it is of the knob's type and its words are known."""
    if name in NUMBERS:
        if not is_whole(value):
            raise CostModelError(f"{where}: {value!r} is not a whole number from 1 to {LARGEST}")
        return int(value)
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise CostModelError(f"{where}: {value!r} is not a text of at least one printable letter")
    try:
        if name in ("array", "array2"):
            shape = parse_array(value)
            if max(shape.R, shape.C) > 1 << 20:
                raise CostModelError(f"array {value} is larger than {1 << 20} each way")
            return f"{shape.R}x{shape.C}"
        if name == "widths":
            parse_policy(value)
    except CostModelError as error:
        raise CostModelError(f"{where}: {error}") from None
    if name in ("dataflow", "dataflow2") and value not in DATAFLOWS:
        raise CostModelError(f"{where}: unknown dataflow {value!r}; known: {', '.join(DATAFLOWS)}")
    if name == "use_dsp2" and value not in ("true", "false"):
        raise CostModelError(f'{where}: {value!r} is neither "true" nor "false"')
    if name in ("kinds", "kinds2"):
        parts = value.split("+")
        if set(parts) - set(PE_KINDS) or len(parts) != len(set(parts)):
            raise CostModelError(f"{where}: {value!r} is not some of {', '.join(PE_KINDS)} with + between them")
        return "+".join(kind for kind in PE_KINDS if kind in parts)
    if name == "target" and ":" in value:
        raise CostModelError(f"{where}: {value!r} varies a target; give what comes after the colon as knobs")
    return value
