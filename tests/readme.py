"""What people read: README.md and docs/*.md. `python -m tests.readme [NAME ...]` writes their generated parts.

A mark on a line of its own says what stands between it and the next `<!-- end -->`:

    <!-- output: costmodel ... -->             what the command prints
    <!-- output: costmodel ... | first 12 -->  the first lines of it
    <!-- printed -->                           what the block of Python above it prints
    <!-- file: examples/asic.toml -->          a file of the repository
    <!-- api -->                               the public functions and their results, as mkdocstrings wants them
    <!-- schemas -->                           the published schemas of records
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import get_type_hints

from tests.paths import ROOT

README = ROOT / "README.md"
DOCS = ROOT / "docs"
BLOCK = re.compile(
    r"^(<!-- (output|printed|file|api|schemas)(?:: ([^\n]*?))? -->\n)(.*?)(^<!-- end -->)", re.S | re.M
)
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.S | re.M)


def documents() -> list[Path]:
    return [README, *sorted(DOCS.glob("*.md"))]


@cache
def run(command: str) -> str:
    """What a command prints."""
    name, *args = shlex.split(command)
    assert name == "costmodel"
    program = str(Path(sys.executable).parent / name)
    result = subprocess.run([program, *args], capture_output=True, text=True, check=True, cwd=ROOT)
    return result.stdout


def output(what: str) -> str:
    """What a command prints, or the first lines of it: `costmodel count distilbert | first 12`."""
    command, _, first = what.partition(" | first ")
    text = run(command)
    return text if not first else "\n".join(text.splitlines()[: int(first)]).rstrip() + "\n"


@cache
def printed(code: str) -> str:
    """What a block of Python prints."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, "a block of Python", "exec"), {"__name__": "__main__"})
    return out.getvalue()


def public() -> dict[str, list[str]]:
    """Paths of the public functions, of the classes of their results, and of the attention mechanisms."""
    import importlib

    import costmodel

    functions = [f"costmodel.api.{home}.{name}" for name, home in costmodel.HOMES.items()]
    results: list[str] = []
    for name, home in costmodel.HOMES.items():
        module: ModuleType = importlib.import_module(f"costmodel.api.{home}")
        made = get_type_hints(getattr(module, name)).get("return")
        for cls in reversed(getattr(made, "__mro__", ())):  # what they share first
            path = f"{cls.__module__}.{cls.__qualname__}"
            if path.startswith("costmodel.") and path not in results:
                results.append(path)
    attention = ["mechanisms.Mechanism", "mechanisms.parse_mechanism"]
    attention += ["cores.install", "cores.attend", "cores.AttentionCore"]
    errors = ["models.errors.CostModelError"]
    return {
        "Functions": functions,
        "Results": results,
        "Attention mechanisms": [f"models.attention.{path}" for path in attention],
        "Errors": errors,
    }


def api() -> str:
    parts = []
    for heading, paths in public().items():
        parts += [f"## {heading}", *(f"::: {path}" for path in paths)]
    return "\n" + "\n\n".join(parts) + "\n\n"


def schemas() -> str:
    from tests.schemas import PUBLISHED

    rows = [f"| [{name}](schema/{name}.json) | {published.says} |" for name, published in PUBLISHED.items()]
    return "\n".join(["", "| schema | record |", "|---|---|", *rows, "", ""])


def fenced(text: str, language: str = "") -> str:
    return f"```{language}\n{text}```\n"


def filled(text: str) -> str:
    """The text with every marked part made anew."""

    def part(match: re.Match[str]) -> str:
        head, kind, what, _, tail = match.groups()
        if kind == "output":
            return head + fenced(output(what)) + tail
        if kind == "file":
            return head + fenced((ROOT / what).read_text(encoding="utf-8"), Path(what).suffix[1:]) + tail
        if kind == "printed":
            return head + fenced(printed(PYTHON.findall(match.string[: match.start()])[-1])) + tail
        return head + {"api": api, "schemas": schemas}[kind]() + tail

    return BLOCK.sub(part, text)


def typed(text: str) -> str:
    """What a person wrote: the text without its generated parts."""
    return BLOCK.sub("", text)


if __name__ == "__main__":
    for path in documents():
        if len(sys.argv) == 1 or path.name in sys.argv[1:]:
            path.write_text(filled(path.read_text(encoding="utf-8")), encoding="utf-8")
