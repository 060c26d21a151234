"""Records as JSON: the one place that writes them, reads them, and says what is in them.

A record is a frozen dataclass. Its fields are the keys of its JSON object, in their order; the mark OPTIONAL leaves
a field out where it is None, and INLINE puts the keys of a record among those of the record that holds it, as in
`subject: Annotated[Subject, INLINE]`. `schema_of` makes a JSON schema of a class from its type hints, and `decode`
holds JSON to the same hints, so that what is written, read and published cannot differ.
"""

from __future__ import annotations

import dataclasses
import json
import types
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from costmodel.errors import BadRecord

SCHEMA = 1  # of every record; a change that an old reader would misread is another number

R = TypeVar("R")
Json = Any  # what `json.loads` gives: dict, list, str, int, float, bool, None
Cell = str | int | float | bool | None
Row = Mapping[str, Cell]  # one flat line of a table, whose keys are data
LEAVES = {int: "integer", float: "number", str: "string", bool: "boolean", types.NoneType: "null"}


OPTIONAL = "left out where it is None"
INLINE = "its keys stand among those of the record that holds it"


def flat(cls: type[R]) -> type[R]:
    """Mark a record whose JSON is the list of its fields in place of an object."""
    cls.__json_list__ = True  # type: ignore[attr-defined]
    return cls


@lru_cache(None)
def fields_of(cls: Any) -> tuple[tuple[str, Any, tuple[Any, ...]], ...]:
    """Name, type and marks of each field of a record."""
    hints = get_type_hints(cls, include_extras=True)
    found = []
    for f in dataclasses.fields(cls):
        hint = hints[f.name]
        marked = get_origin(hint) is Annotated
        found.append((f.name, hint.__origin__ if marked else hint, hint.__metadata__ if marked else ()))
    return tuple(found)


def encode(value: Any) -> Json:
    """A record, and all that is in it, as plain dicts, lists, numbers and text.

    Raises:
        TypeError: something in it has no place in JSON.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        pairs = [(name, marks, getattr(value, name)) for name, _, marks in fields_of(type(value))]
        if hasattr(value, "__json_list__"):
            return [encode(found) for _, _, found in pairs]
        made: dict[str, Json] = {}
        for name, marks, found in pairs:
            if INLINE in marks:
                made |= encode(found)
            elif found is not None or OPTIONAL not in marks:
                made[name] = encode(found)
        return made
    if isinstance(value, Mapping):
        return {str(key): encode(found) for key, found in value.items()}
    if isinstance(value, list | tuple):
        return [encode(found) for found in value]
    if isinstance(value, Path):
        return str(value)
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise TypeError(f"a {type(value).__name__} has no place in a record")


def to_json(record: Any) -> dict[str, Json]:
    """A whole record as one JSON object, with the number of its schema first."""
    return {"schema": SCHEMA, **encode(record)}


def to_text(record: Any) -> str:
    """A whole record as a text of JSON."""
    return json.dumps(to_json(record), indent=1, ensure_ascii=False) + "\n"


def decode(cls: type[R], value: Json, where: str) -> R:
    """The record that a JSON object is of; the inverse of `encode`.

    Args:
        where: what to call the object in a complaint, such as the name of its file.

    Raises:
        BadRecord: a field is missing, unknown or of another type.
    """
    return _decoded(cls, value, where)


def from_json(cls: type[R], value: Json, where: str) -> R:
    """The record of a whole JSON object, as `to_json` makes it.

    Raises:
        BadRecord: it is of another schema, or no such record.
    """
    if not isinstance(value, dict) or value.get("schema") != SCHEMA:
        raise BadRecord(f"{where} is no record of schema {SCHEMA}; write it anew with this version")
    return decode(cls, {key: found for key, found in value.items() if key != "schema"}, where)


def _decoded(hint: Any, value: Json, where: str) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if hint is Any:
        return value
    if origin in (Union, types.UnionType):
        # What is there is complained of as what it should have been, not as no null.
        for choice in args if value is None else [a for a in args if a is not types.NoneType]:
            try:
                return _decoded(choice, value, where)
            except BadRecord as error:
                last = error
        raise last
    if origin is Literal:
        if value not in args:
            raise BadRecord(f"{where} is {value!r}, not one of {', '.join(map(str, args))}")
        return value
    if origin is tuple:
        if not isinstance(value, list) or (args[-1] is not Ellipsis and len(value) != len(args)):
            raise BadRecord(f"{where} is no list" + ("" if args[-1] is Ellipsis else f" of {len(args)}"))
        kinds = [args[0]] * len(value) if args[-1] is Ellipsis else args
        pairs = zip(kinds, value, strict=True)
        return tuple(_decoded(kind, each, f"{where}[{n}]") for n, (kind, each) in enumerate(pairs))
    if origin in (dict, Mapping) or (
        origin is not None and isinstance(origin, type) and issubclass(origin, Mapping)
    ):
        if not isinstance(value, dict):
            raise BadRecord(f"{where} is no object")
        return {key: _decoded(args[1], each, f"{where}.{key}") for key, each in value.items()}
    if dataclasses.is_dataclass(hint):
        return _decoded_record(hint, value, where)
    wanted = (int, float) if hint is float else hint
    if not isinstance(value, wanted) or (isinstance(value, bool) and hint is not bool):
        raise BadRecord(f"{where} is {value!r:.60}, no {LEAVES.get(hint, hint)}")
    return value


def _decoded_record(cls: Any, value: Json, where: str) -> Any:
    known = fields_of(cls)
    if hasattr(cls, "__json_list__"):
        if not isinstance(value, list) or len(value) != len(known):
            raise BadRecord(f"{where} is no list of {len(known)}")
        value = {name: each for (name, _, _), each in zip(known, value, strict=True)}
    if not isinstance(value, dict):
        raise BadRecord(f"{where} is no object")
    value = dict(value)
    for name, hint, marks in known:
        if INLINE in marks:
            value[name] = {key: value.pop(key) for key in sorted(keys_of(hint) & set(value))}
    unknown = sorted(set(value) - {name for name, _, _ in known})
    missing = [name for name, _, marks in known if name not in value and OPTIONAL not in marks]
    if unknown or missing:
        what = f"unknown {unknown[0]!r}" if unknown else f"no {missing[0]!r}"
        raise BadRecord(f"{where} has {what}")
    given = {name: _decoded(hint, value[name], f"{where}.{name}") for name, hint, _ in known if name in value}
    return cls(**given)


def keys_of(cls: Any) -> set[str]:
    """The keys of a record's JSON object."""
    keys: set[str] = set()
    for name, hint, marks in fields_of(cls):
        keys |= keys_of(hint) if INLINE in marks else {name}
    return keys


# Schema


def schema_of(cls: Any, title: str) -> dict[str, Json]:
    """JSON schema (draft 2020-12) of a whole record, as `to_json` makes it."""
    parts: dict[str, Json] = {}
    top = dict(_object_schema(cls, parts))
    top["properties"] = {"schema": {"const": SCHEMA}, **top["properties"]}
    top["required"] = ["schema", *top["required"]]
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title}
    return head | top | ({"$defs": dict(sorted(parts.items()))} if parts else {})


def _object_schema(cls: Any, parts: dict[str, Json]) -> dict[str, Json]:
    each: dict[str, Json] = {}
    required: list[str] = []
    for name, hint, marks in fields_of(cls):
        if INLINE in marks:
            inner = _object_schema(hint, parts)
            each |= inner["properties"]
            required += inner["required"]
            continue
        each[name] = _schema(hint, parts)
        required += [] if OPTIONAL in marks else [name]
    if hasattr(cls, "__json_list__"):
        items = list(each.values())
        return {"type": "array", "prefixItems": items, "items": False, "minItems": len(items)}
    return {"type": "object", "properties": each, "required": required, "additionalProperties": False}


def _schema(hint: Any, parts: dict[str, Json]) -> Json:
    origin, args = get_origin(hint), get_args(hint)
    if hint is Any:
        return {}
    if origin in (Union, types.UnionType):
        return {"anyOf": [_schema(choice, parts) for choice in args]}
    if origin is Literal:
        return {"enum": list(args)}
    if origin is tuple and args[-1] is Ellipsis:
        return {"type": "array", "items": _schema(args[0], parts)}
    if origin is tuple:
        items = [_schema(each, parts) for each in args]
        return {"type": "array", "prefixItems": items, "items": False, "minItems": len(items)}
    if origin is not None and issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": _schema(args[1], parts)}
    if dataclasses.is_dataclass(hint):
        name = hint.__name__  # type: ignore[union-attr]
        if name not in parts:
            parts[name] = {}  # a record may hold itself
            parts[name] = _object_schema(hint, parts)
        return {"$ref": f"#/$defs/{name}"}
    return {"type": LEAVES[hint]}
