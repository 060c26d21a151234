"""Directories made and files written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from models.errors import ModelError


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is either complete or not there; the one before it stays until then.

    Raises:
        ModelError: it cannot be written.
    """
    try:
        handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise ModelError(f"{path} cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(beside, 0o666 & ~mask)
        os.replace(beside, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        if isinstance(error, OSError):
            raise ModelError(f"{path} cannot be written: {error.strerror}") from None
        raise


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
