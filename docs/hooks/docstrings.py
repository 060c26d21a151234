"""Docstrings as mkdocstrings wants them: an extension of griffe, which reads them.

Examples become blocks of code, and a line for several arguments, `a, b: ...`, becomes one for each.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

# A paragraph that begins with a prompt, up to the next empty line.
EXAMPLE = re.compile(r"(?:(?<=\n\n)|\A)(>>> .*?)(?=\n\n|\Z)", re.S)
SEVERAL = re.compile(r"^( +)((?:\w+, )+\w+): (.*(?:\n\1 +.*)*)", re.M)


class Docstrings(griffe.Extension):
    """Rewrites the docstring of everything that is read."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None:
            text = EXAMPLE.sub(r"```pycon\n\1\n```", obj.docstring.value)
            obj.docstring.value = SEVERAL.sub(each, text)


def each(match: re.Match[str]) -> str:
    indent, names, says = match.groups()
    return "\n".join(f"{indent}{name}: {says}" for name in names.split(", "))
