"""Records and JSON: what is written is read again, what is malformed is one line, and the schema says the same."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmodel.errors import BadRecord
from costmodel.records import (
    INLINE,
    OPTIONAL,
    SCHEMA,
    decode,
    encode,
    flat,
    from_json,
    schema_of,
    to_json,
    to_text,
)

pytestmark = pytest.mark.quick


@dataclass(frozen=True)
class Sizes:
    B: int
    S: int | None


@flat
@dataclass(frozen=True)
class Span:
    nominal: float
    low: float
    high: float


@dataclass(frozen=True)
class Part:
    name: str
    span: Span | None
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True)
class Whole:
    sizes: Annotated[Sizes, INLINE]
    kind: Literal["a", "b"]
    parts: tuple[Part, ...]
    counts: dict[str, int]
    pair: tuple[float, float]
    note: Annotated[str | None, OPTIONAL] = None
    done: bool = False


NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
SPANS = st.none() | st.builds(Span, NUMBERS, NUMBERS, NUMBERS)
PARTS = st.recursive(
    st.builds(Part, st.text(), SPANS),
    lambda inner: st.builds(Part, st.text(), SPANS, st.tuples(inner, inner)),
    max_leaves=5,
)
WHOLES = st.builds(
    Whole,
    st.builds(Sizes, st.integers(), st.none() | st.integers()),
    st.sampled_from(["a", "b"]),
    st.lists(PARTS, max_size=3).map(tuple),
    st.dictionaries(st.text(), st.integers(), max_size=3),
    st.tuples(NUMBERS, NUMBERS),
    st.none() | st.text(),
    st.booleans(),
)
ONE = Whole(Sizes(1, None), "a", (Part("x", Span(2.0, 1.0, 3.0)),), {"mul": 4}, (0.5, 1.0))
PLAIN = {
    "schema": SCHEMA,
    "B": 1,
    "S": None,
    "kind": "a",
    "parts": [{"name": "x", "span": [2.0, 1.0, 3.0], "parts": []}],
    "counts": {"mul": 4},
    "pair": [0.5, 1.0],
    "done": False,
}


def test_what_is_written() -> None:
    assert to_json(ONE) == PLAIN
    assert list(to_json(ONE)) == list(PLAIN)
    assert json.loads(to_text(ONE)) == PLAIN
    assert encode({"path": Path("a/b")}) == {"path": "a/b"}


@given(WHOLES)
def test_what_is_written_is_read_again(record: Whole) -> None:
    text = to_text(record)
    assert from_json(Whole, json.loads(text), "it") == record
    jsonschema.validate(json.loads(text), schema_of(Whole, "whole"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 2}, "it is no record of schema 1; write it anew with this version"),
        ({"B": "1"}, "it.sizes.B is '1', no integer"),
        ({"B": True}, "it.sizes.B is True, no integer"),
        ({"kind": "c"}, "it.kind is 'c', not one of a, b"),
        ({"parts": {}}, "it.parts is no list"),
        ({"parts": [3]}, "it.parts[0] is no object"),
        ({"parts": [{"name": "x", "span": [1.0], "parts": []}]}, "it.parts[0].span is no list of 3"),
        ({"counts": []}, "it.counts is no object"),
        ({"pair": [1.0]}, "it.pair is no list of 2"),
        ({"more": 1}, "it has unknown 'more'"),
        ({"done": None}, "it.done is None, no boolean"),
        ({"counts": None}, "it.counts is no object"),
    ],
)
def test_what_is_malformed_is_one_line(change: dict[str, Any], message: str) -> None:
    with pytest.raises(BadRecord) as caught:
        from_json(Whole, PLAIN | change, "it")
    assert str(caught.value) == message
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(PLAIN | change, schema_of(Whole, "whole"))


def test_what_is_missing_is_named() -> None:
    for name in ("B", "parts"):
        lacking = {key: value for key, value in PLAIN.items() if key != name}
        with pytest.raises(BadRecord, match=f"has no {name!r}"):
            from_json(Whole, lacking, "it")
    with pytest.raises(BadRecord, match="it is no object"):
        decode(Whole, [], "it")
    with pytest.raises(TypeError, match="a set has no place in a record"):
        encode({1})
