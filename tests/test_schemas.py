"""The published schemas are those of the records, and real outputs follow them."""

from __future__ import annotations

import copy
import json
import shlex
from pathlib import Path
from typing import Any

import click
import pytest

import costmodel as cm
from costmodel.cli import COMMANDS, Commands
from costmodel.records import encode, from_json
from tests.schemas import FOLDER, NOT_YET, PUBLISHED, schema_text

Validator = pytest.importorskip("jsonschema", reason="jsonschema is not installed").Draft202012Validator


SPACE = """
objectives = ["latency_ms", "area_mm2"]
[knobs]
model = "distilbert-tiny"
seq = 16
target = "edge-asic"
array = ["8x8", "16x16"]
"""


@pytest.fixture
def folder(cli, tmp_path: Path) -> str:
    """A space and its points."""
    (tmp_path / "space.toml").write_text(SPACE)
    ran = cli("sweep", str(tmp_path / "space.toml"), "--store", str(tmp_path / "points.db"), "--workers", "1")
    assert ran.code == 0, ran.err
    return str(tmp_path)


def real_outputs(cli: Any, name: str, folder: str) -> list[dict[str, Any]]:
    found = []
    for example in PUBLISHED[name].examples:
        example = example.format(folder=folder)
        if example.startswith("costmodel "):
            ran = cli(*shlex.split(example)[1:], "--format", "json")
            assert ran.code == 0, ran.err
            found.append(json.loads(ran.out))
        else:
            found.append(json.loads(eval(example, {"cm": cm}).to_text("json")))
    return found


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_file_is_fresh(name: str) -> None:
    text = (FOLDER / f"{name}.json").read_text(encoding="utf-8")
    assert text == schema_text(name), "docs/schema is stale: run `make readme`"
    Validator.check_schema(json.loads(text))


@pytest.mark.parametrize("name", PUBLISHED)
def test_real_outputs_follow_it_and_are_read_back(cli, request: pytest.FixtureRequest, name: str) -> None:
    needs_store = any("{folder}" in example for example in PUBLISHED[name].examples)
    folder = request.getfixturevalue("folder") if needs_store else ""
    validator = Validator(json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8")))
    for output in real_outputs(cli, name, folder):
        validator.validate(output)
        record = from_json(PUBLISHED[name].load(), output, name)
        assert {"schema": 1, **encode(record)} == output
        for wrong in spoilt(output):
            assert not validator.is_valid(wrong)


def spoilt(output: dict[str, Any]) -> list[dict[str, Any]]:
    """The same with a key too few or too many, with another schema, and with a value of another type."""
    less, more, other = copy.deepcopy(output), copy.deepcopy(output), copy.deepcopy(output)
    del less["schema"]
    more["unheard_of"] = 1
    other["schema"] = 0
    spoilt = [less, more, other]
    for key, value in output.items():
        if isinstance(value, str):
            spoilt.append({**output, key: [value]})
            break
    return spoilt


def test_no_file_is_left_over() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} == set(PUBLISHED)


def test_every_command_that_prints_json_has_a_schema() -> None:
    for name in COMMANDS:
        command = Commands().get_command(click.Context(Commands()), name)
        assert command is not None
        forms = [p for p in command.params if p.name == "form" and "json" in getattr(p.type, "choices", ())]
        if forms:
            assert (name in PUBLISHED) != (name in NOT_YET), f"{name}: add its record to tests/schemas.py"
