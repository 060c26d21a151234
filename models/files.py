"""Directories made and files written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from models.errors import CostModelError, ModelError

Content = bytes | str | Callable[[BinaryIO], None]  # a function writes what is too large to be held


def write_whole(path: Path, content: Content) -> None:
    """Write a file so that it is either complete or not there; the one before it stays until then.

    Raises:
        OSError: it cannot be written.
    """
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            if callable(content):
                content(file)
            else:
                file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(beside, 0o666 & ~mask)
        os.replace(beside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        raise


def write_output(path: Path, content: Content, what: str = "") -> None:
    """`write_whole` for a file that the user asked for; `what` is the parameter that named it.

    Raises:
        CostModelError: it cannot be written.
    """
    named = f"`{what}={path}`" if what else str(path)
    try:
        write_whole(path, content)
    except OSError as error:
        raise CostModelError(f"{named} cannot be written: {error.strerror}") from None


def make_directory(path: Path) -> Path:
    """The directory, made if need be.

    Raises:
        ModelError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ModelError(f"{path} cannot be made a directory: {error.strerror}") from None
    return path
