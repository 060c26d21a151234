"""Help is fast, and its examples run."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from costmodel.cli import COMMANDS, Commands
from tests.paths import ROOT

HEAVY = ("torch", "transformers", "numpy", "sympy", "plotly", "rich", "optuna", "models", "sim")
# Examples that stand on what an earlier one writes, or that train: they run with less.
LESS = {"train": "--steps 2 --align-steps 1 --batch 2 --data-dir glue", "evaluate": "--limit 2"}


def example_of(name: str) -> str:
    """The command line after `Example:` in a subcommand's docstring."""
    command = Commands().get_command(click.Context(Commands()), name)
    assert command is not None
    found = re.search(r"Example: (costmodel .*?)(?:\n\n|$)", command.help or "", re.S)
    assert found, f"the help of {name} has no example"
    return " ".join(found[1].split())


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom costmodel.cli import group\n"
        "try:\n    group.main(['--help'])\nexcept SystemExit:\n    pass\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "[]"
    assert all(name in ran.stdout for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_example_runs(cli, once, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if name not in LESS:  # whole, as it stands there
        ran, _ = once(example_of(name), after=example_of("sweep") if name == "pareto" else None)
        assert ran.code == 0, ran.err
        assert ran.out.strip()
        return
    words = shlex.split(example_of(name))[1:]
    monkeypatch.chdir(tmp_path)
    for folder in ("examples", "models"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    if name == "train":  # with a teacher of its own, on files of a few rows
        (tmp_path / "glue" / "SST-2").mkdir(parents=True)
        for split in ("train", "dev"):
            rows = "".join(
                f"{split} {word} film\t{i % 2}\n" for i, word in enumerate(("bad", "good", "dull", "fine"))
            )
            (tmp_path / "glue" / "SST-2" / f"{split}.tsv").write_text("sentence\tlabel\n" + rows, encoding="utf-8")
        first = cli("train", "sst2", "--out", "runs/dot", *LESS["train"].replace("--align-steps 1 ", "").split())
        assert first.code == 0, first.err
    ran = cli(*words, *LESS[name].split())
    assert ran.code == 0, ran.err
    assert ran.out.strip()
