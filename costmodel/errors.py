"""The errors that a user of the toolkit sees, all under `CostModelError`: a single line, exit code 2."""

from __future__ import annotations

import re
from collections.abc import Mapping

from models.errors import CostModelError as CostModelError

PARAMETER = re.compile(r"`(\w+)(?:=([^`]*))?`")


def in_words(message: str, words: Mapping[str, str]) -> str:
    """A message with other words for the parameters that it names, `name` or `name=value` between backticks.

    >>> in_words("`seq=600` is beyond 512 positions; see `costmodel count`", {"seq": "--seq"})
    '--seq 600 is beyond 512 positions; see `costmodel count`'
    """

    def word(match: re.Match[str]) -> str:
        name, value = match.groups()
        if name not in words:
            return match[0]
        return words[name] if value is None or value == "True" else f"{words[name]} {value}"

    return PARAMETER.sub(word, message)


class UnknownOp(CostModelError):
    """An operator without a lowering or a count rule."""


class BadGraph(CostModelError):
    """A graph or trace that breaks the rules of `Graph.verify`."""


class TraceError(CostModelError):
    """A model that will not run under the tracer."""


class UnknownTable(CostModelError):
    """A cost table that does not exist, or a row that a table lacks."""


class DoesNotFit(CostModelError):
    """A product of which no tile fits a buffer, or an array that its part cannot hold."""


class BadTarget(CostModelError):
    """A target that does not exist, or whose description is wrong."""


class BadRecord(CostModelError):
    """JSON that is no record of the kind that was expected."""
