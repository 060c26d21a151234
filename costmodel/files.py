"""Files: read with one line for what is wrong, written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from costmodel.errors import CostModelError


def write_whole(path: Path, text: str) -> None:
    """Write a file so that it is either complete or not there.

    Raises:
        OSError: it cannot be written.
    """
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(beside, 0o666 & ~mask)
        os.replace(beside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        raise


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


def write_output(path: Path, text: str, what: str) -> None:
    """Write what the user asked for; `what` is the option or parameter that named the file.

    Raises:
        CostModelError: it cannot be written.
    """
    try:
        write_whole(path, text)
    except OSError as error:
        raise CostModelError(f"{what} {path} cannot be written: {error.strerror}") from None
