"""Files: read with one line for what is wrong, written whole or not at all."""

from __future__ import annotations

from pathlib import Path

from costmodel.errors import CostModelError
from models.files import write_output as write_output
from models.files import write_whole as write_whole


def read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise CostModelError(f"{path} is no text in UTF-8") from None
    except OSError as error:
        raise CostModelError(f"cannot read {path}: {error.strerror}") from None


def read_lines(path: Path) -> list[str]:
    """The lines of a file that hold a sentence."""
    lines = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    if not lines:
        raise CostModelError(f"{path} holds no sentence")
    return lines
