"""README.md is true: its outputs are what the commands print, its commands and code run."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from models.zoo.presets import PRESETS
from tests.readme import README, filled

TEXT = README.read_text(encoding="utf-8")
# Those with a word in capitals need the user's own files; other tests run them with some.
COMMANDS = [c for c in re.findall(r"^    (costmodel .*)$", TEXT, re.M) if not re.search(r" [A-Z]{3,}( |$)", c)]


def test_outputs_are_what_the_commands_print() -> None:
    assert filled(TEXT) == TEXT, "README.md is stale: run `make readme`"


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_run(cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(README.parent / "examples")
    if " pareto " in command:  # of the store that the line before it makes
        before = COMMANDS[COMMANDS.index(command) - 1]
        assert cli(*shlex.split(before)[1:]).code == 0
    ran = cli(*shlex.split(command)[1:])
    assert ran.code == 0
    assert not ran.err
    if "--output" in command:
        assert json.loads((tmp_path / "llama.json").read_text())["seq"] == 2048


def test_python_runs(capsys: pytest.CaptureFixture[str]) -> None:
    machines, questions, block = re.findall(r"```python\n(.*?)```", TEXT, re.S)
    exec(compile(machines, "README.md", "exec"), {})
    cycles = [int(n) for n in capsys.readouterr().out.strip("[]\n").split()]
    assert cycles == sorted(cycles, reverse=True)
    assert len(cycles) == 3
    exec(compile(questions, "README.md", "exec"), {})
    said = ["5598907648 152174592", "6167070", "24221725696", "['16x16', '32x32', '64x64']"]
    assert capsys.readouterr().out.splitlines() == said
    exec(compile(block, "README.md", "exec"), {})
    assert "torch.Size([1, 8, 768])" in capsys.readouterr().out


def test_what_it_names_exists(cli) -> None:
    root = README.parent
    for path in re.findall(r"\]\(([\w/.]+)\)", TEXT):
        assert (root / path).exists(), path
    for target in re.findall(r"`?make (\w+)`?", TEXT):
        assert re.search(rf"^{target}:", (root / "Makefile").read_text(), re.M), target
    assert all(name in PRESETS for name in ("distilbert", "minilm-distilbert", "bert-base", "gpt2", "vit-base"))
    record = json.loads(cli("report", "distilbert", "--seq", "512", "--attention", "dot", "--format", "json").out)
    column = record["columns"][0]
    share = 100 * column["attention_core"]["counts"]["mul"] / column["counts"]["mul"]
    assert f"at S=512 it is {share:.1f} %" in TEXT
