"""README.md's outputs: `python -m tests.readme` writes them, `tests/test_readme.py` checks them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.paths import ROOT

README = ROOT / "README.md"
BLOCK = re.compile(r"(<!-- output: (.*?) -->\n)(.*?)(<!-- end -->)", re.S)


def run(command: str) -> str:
    name, *args = command.split()
    assert name == "costmodel"
    program = str(Path(sys.executable).parent / name)
    result = subprocess.run([program, *args], capture_output=True, text=True, check=True)
    return result.stdout


def filled(text: str) -> str:
    """The text with every marked output made anew."""

    def output(match: re.Match[str]) -> str:
        return f"{match[1]}```\n{run(match[2])}```\n{match[4]}"

    return BLOCK.sub(output, text)


if __name__ == "__main__":
    README.write_text(filled(README.read_text(encoding="utf-8")), encoding="utf-8")
