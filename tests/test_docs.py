"""README.md and docs/ are true: outputs are what commands print, commands and code run, what they name exists."""

from __future__ import annotations

import importlib
import inspect
import json
import re
from pathlib import Path
from typing import Any

import pytest

from models.zoo.presets import PRESETS
from tests import readme
from tests.paths import ROOT
from tests.readme import DOCS, PYTHON, documents, filled, printed, public, typed

LINE = 115  # of prose, as of code
DOCUMENTS = [pytest.param(path, id=str(path.relative_to(ROOT))) for path in documents()]
TEXTS = {path: path.read_text(encoding="utf-8") for path in documents()}
# Those with a word in capitals need the user's own files; other tests run them with some.
OWN_FILES = re.compile(r" [A-Z]{3,}( |$)")


def commands_of(path: Path) -> list[str]:
    found = re.findall(r"^    (costmodel .*?)(?: +# .*)?$", typed(TEXTS[path]), re.M)
    return [command for command in found if not OWN_FILES.search(command)]


# One document may name what another runs: each command runs once, with what stands before it in its document.
COMMANDS = {command: path for path in reversed(documents()) for command in commands_of(path)}
EACH = [*COMMANDS]


@pytest.mark.parametrize("path", DOCUMENTS)
def test_generated_parts_are_fresh(path: Path) -> None:
    text = TEXTS[path]
    assert filled(text) == text, f"{path.name} is stale: run `make readme`"


@pytest.mark.parametrize("command", EACH)
def test_commands_run(once, command: str) -> None:
    before = None
    if " pareto " in command:  # of the store that the line before it makes
        all_of_it = commands_of(COMMANDS[command])
        before = all_of_it[all_of_it.index(command) - 1]
    ran, folder = once(command, after=before)
    assert ran.code == 0
    assert not ran.err
    if "--output llama.json" in command:
        assert json.loads((folder / "llama.json").read_text())["seq"] == 2048


@pytest.mark.parametrize("path", DOCUMENTS)
def test_python_runs(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With nothing on stderr; those whose output stands below them are held to it by another test."""
    for code in PYTHON.findall(typed(TEXTS[path])):
        printed(code)
    assert not capsys.readouterr().err


@pytest.mark.parametrize("path", DOCUMENTS)
def test_what_it_names_exists(path: Path) -> None:
    prose = typed(TEXTS[path])
    for link, anchor in re.findall(r"\]\(([^)\s#:]*)(?:#([^)\s]*))?\)", prose):
        target = path.parent / link if link else path
        assert target.exists(), f"{path.name} links to {link}"
        if anchor:
            assert anchor in anchors(target), f"{path.name} links to {link}#{anchor}"
    for name in re.findall(r"`((?:[\w.-]+/)+(?:[\w-]+\.\w+)?)`", prose):
        if name.split("/")[0] in {p.name for p in ROOT.iterdir()} and "NAME" not in name:
            assert (ROOT / name).exists(), f"{path.name} names {name}"
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"(?:`|^    )make (\w+)", prose, re.M):
        assert re.search(rf"^{target}:", makefile, re.M), f"{path.name} names make {target}"


def anchors(path: Path) -> set[str]:
    """Of the headings of a page."""
    heads = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w -]", "", head).strip().lower().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("path", DOCUMENTS)
def test_prose_is_narrow_and_plain(path: Path) -> None:
    prose = PYTHON.sub("", typed(TEXTS[path]))
    for line in prose.splitlines():
        assert len(line) <= LINE or line.startswith(("|", "<!--", "![")), line
        assert "\N{EM DASH}" not in line, line


def test_presets_that_are_named_exist() -> None:
    named = re.search(r"a preset \((.*?), \.\.\.;", TEXTS[DOCS / "cli.md"])
    assert named
    assert all(name.strip("`") in PRESETS for name in named[1].split(", "))


def test_every_page_is_in_the_site() -> None:
    config = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = [path for path in documents() if path.parent == DOCS]
    pages += (ROOT / "notebooks").glob("*.ipynb")
    for path in pages:
        assert re.search(rf": (notebooks/)?{re.escape(path.name)}$", config, re.M), path.name


def test_what_the_reference_shows_has_a_docstring() -> None:
    missing = []
    for path in [path for paths in public().values() for path in paths]:
        module, _, name = path.rpartition(".")
        found = getattr(importlib.import_module(module), name)
        missing += [] if own_doc(found) else [path]
        for member, value in vars(found).items() if inspect.isclass(found) else ():
            known = any(hasattr(base, member) for base in found.__bases__)  # and says it there
            if inspect.isfunction(value) and not member.startswith("_") and not known and not own_doc(value):
                missing.append(f"{path}.{member}")
    assert not missing


def own_doc(found: Any) -> bool:
    """Written by a person: a dataclass without a docstring has its signature in that place."""
    text = found.__dict__.get("__doc__") if inspect.isclass(found) else found.__doc__
    return bool(text) and not str(text).startswith(f"{found.__name__}(")


# The machinery itself


def test_a_part_of_an_output(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readme, "run", lambda command: "one\ntwo\n\nfour\n")
    before = "a\n\n<!-- output: costmodel x | first 3 -->\nold\n<!-- end -->\nb\n"
    assert filled(before) == ("a\n\n<!-- output: costmodel x | first 3 -->\n```\none\ntwo\n```\n<!-- end -->\nb\n")
    assert filled(filled(before)) == filled(before)
    assert typed(filled(before)) == "a\n\n\nb\n"


def test_what_a_block_of_python_prints() -> None:
    text = "```python\nprint(1 + 1)\n```\n\n<!-- printed -->\n<!-- end -->\n"
    assert "<!-- printed -->\n```\n2\n```\n<!-- end -->" in filled(text)
