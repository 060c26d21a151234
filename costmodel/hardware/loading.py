"""Accelerators by name: from the files in `targets/` or a user's own, varied in place, checked as a whole."""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

from costmodel.errors import BadTarget, UnknownTable
from costmodel.hardware.accelerator import KIB, Accelerator, Part, Prices, build, whole
from costmodel.hardware.more_arrays import FIELDS, NUMBERED, check_arrays, kinds_of, parse_more, vary_more
from costmodel.hardware.occupancy import check_fits
from costmodel.hardware.timing import parse_array
from costmodel.technology.loading import load_table
from costmodel.technology.memories import dram_price, sram_price

DATA = Path(__file__).parent / "targets"


VARIED = (
    "array",
    "kinds",
    "dataflow",
    "lanes",
    "buffer_kib",
    "buffer_read_bytes",
    "buffer_write_bytes",
    "local_kib",
    "local_read_bytes",
    "local_write_bytes",
    "bandwidth_mb_s",
    "clock_mhz",
    "table",
    "sram",
    "dram",
    *(f"{name}2" for name in FIELDS),
)


IN_KIB = {"buffer_kib": "buffer_bytes", "local_kib": "local_bytes"}  # fields of a file, and of a target
LOCAL = ("local_kib", "local_read_bytes", "local_write_bytes")


def target_names() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in DATA.glob("*.toml")))


def load_target(text: str) -> Accelerator:
    """A target by name, or from a TOML file, varied by what stands behind a colon.

    Raises:
        BadTarget: no such target or file, or a description that is wrong; the message says where.
        DoesNotFit: the array, buffer or lanes exceed the part.
    """
    name, _, rest = text.partition(":")
    if name.endswith(".toml"):
        path = Path(name)
    elif name in target_names():
        path = DATA / f"{name}.toml"
    else:
        raise BadTarget(f"unknown target {name!r}; known: {', '.join(target_names())}, or a file FILE.toml")
    try:
        record = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadTarget(f"cannot read target {name}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # no TOML, no UTF-8, an integer beyond Python's digits
        raise BadTarget(f"{name} is no TOML file: {error}") from None
    target = parse_target(record, name)
    return check(vary(target, rest, text) if rest else target)


def parse_target(record: dict[str, Any], where: str) -> Accelerator:
    """A target from its TOML record, see the shipped files for the fields.

    Raises:
        BadTarget: a field is missing, unknown, of the wrong type or out of range.
    """
    flat = dict(record)
    flat.pop("sources", None)
    for name, kind in (("part", Part), ("prices", Prices)):
        if name in flat:
            flat[name] = build(kind, flat[name], f"{where}: [{name}]")
    if isinstance(flat.get("array"), str):
        flat["array"] = parse_array(flat["array"])
    if isinstance(flat.get("kinds"), list):
        flat |= kinds_of(tuple(flat["kinds"]))
    for name, field in IN_KIB.items():
        if name in flat:
            flat[field] = whole(flat.pop(name), where, name) * KIB
    arrays = flat.pop("arrays", [])
    target: Accelerator = build(Accelerator, flat, where)
    more, sources = parse_more(arrays, where, checked_sources)
    return replace(target, more=more, sources=(*checked_sources(record, where), *sources))


# Fields that say something themselves; [prices] has a source of its own.
WORDS = ("name", "title", "source", "note", "part", "prices", "sources", "arrays")


def checked_sources(record: dict[str, Any], where: str) -> tuple[tuple[str, str], ...]:
    """Where each figure of a target and of its part is from; an empty name needs no source.

    Raises:
        BadTarget: a figure has none.
    """
    sources = record.get("sources")
    if not isinstance(sources, dict):
        raise BadTarget(f"{where} lacks [sources]: for each field where it is from, or that it is ours")
    part = record.get("part")
    stated = record | (part if isinstance(part, dict) else {})
    wanted = [name for name, value in stated.items() if name not in WORDS and value != ""]
    lacking = [name for name in wanted if name not in sources]
    if lacking:
        raise BadTarget(
            f"{where}: [sources] lacks {', '.join(lacking)}; say where it is from, or 'ours: ...' with the reason"
        )
    for name, text in sources.items():
        if name not in stated or name in WORDS:
            raise BadTarget(f"{where}: [sources] names {name}, which is no figure of the target; take it out")
        if not isinstance(text, str) or not text.strip():
            raise BadTarget(f"{where}: [sources]: {name} says nothing; say where it is from, or 'ours: ...'")
    return tuple((name, sources[name]) for name in wanted)


def vary(target: Accelerator, rest: str, text: str) -> Accelerator:
    """A target with some fields exchanged: `array=16x16,buffer_kib=128`."""
    changes: dict[str, Any] = {}
    numbered: dict[str, str] = {}  # of arrays beside the first
    seen: set[str] = set()
    for item in rest.split(","):
        key, equals, value = item.partition("=")
        if not equals or not (key in VARIED or NUMBERED.fullmatch(key)):
            raise BadTarget(f"target {text!r}: {item!r} is not FIELD=VALUE with a field of {', '.join(VARIED)}")
        if key in seen:
            raise BadTarget(f"target {text!r}: {key} is given twice; leave one out")
        seen.add(key)
        if key == "array":
            changes[key] = parse_array(value)
        elif key == "kinds":
            changes |= kinds_of(tuple(value.split("+")))
        elif key in ("dataflow", "table", "sram", "dram"):
            changes[key] = value
        elif NUMBERED.fullmatch(key):
            numbered[key] = value
        else:
            # Digits are those of ASCII: int() takes more, and isdigit() yet more.
            number = whole(int(value) if re.fullmatch("[0-9]{1,10}", value) else value, f"target {text!r}", key)
            changes[IN_KIB.get(key, key)] = number * (KIB if key in IN_KIB else 1)
    sources = {
        name: "as given with the name of the target" if name in seen else why for name, why in target.sources
    }
    sources |= dict.fromkeys(sorted(seen - sources.keys()), "as given with the name of the target")
    more = vary_more(target.more, numbered, f"target {text!r}")
    return replace(target, name=text, sources=tuple(sources.items()), more=more, **changes)


def check(target: Accelerator) -> Accelerator:
    """The target, if its names are known and its part holds it."""
    check_arrays(target)
    check_local(target)
    try:
        nodes = {load_table(target.table).node_nm} if target.table else set()
        if target.sram:
            nodes.add(sram_price(target.sram, target.buffer_bytes).node_nm)
            if target.local_bytes:
                nodes.add(sram_price(target.sram, target.local_bytes).node_nm)
        if target.dram:
            dram_price(target.dram)
    except UnknownTable as error:
        raise BadTarget(f"target {target.name}: {error}") from None
    if nodes - {target.node_nm}:
        raise BadTarget(
            f"target {target.name} is of {target.node_nm} nm, its prices of "
            f"{', '.join(map(str, sorted(nodes)))} nm; name tables of one node"
        )
    check_fits(target)
    return target


def check_local(target: Accelerator) -> None:
    """Refuse a local memory that is not described as a whole.

    Raises:
        BadTarget: its size or a port is missing, or its prices where the target states those of its memories.
    """
    sizes = (target.local_bytes, target.local_read_bytes, target.local_write_bytes)
    lacking = [name for name, size in zip(LOCAL, sizes, strict=True) if not size]
    if 0 < len(lacking) < len(LOCAL):
        raise BadTarget(
            f"target {target.name} lacks {', '.join(lacking)} of its local memory; "
            f"give all of {', '.join(LOCAL)}, or none"
        )
    own = target.prices
    if target.local_bytes and own and None in (own.local_read_pj, own.local_write_pj):
        raise BadTarget(
            f"target {target.name} states prices of its memories, but not those of its local memory; give "
            "local_read_pj and local_write_pj"
        )
