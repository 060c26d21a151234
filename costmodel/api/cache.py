"""Traces on disk, so that a second question about a model needs neither torch nor transformers.

An entry's name is a hash of everything that the trace depends on, the code and the versions of torch
and transformers included. Its first line is a hash of the rest: a corrupt entry is as good as none.
Entries are written beside and renamed, so that parallel writers do no harm.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from costmodel.files import write_whole

PACKAGES = ("torch", "transformers", "numba")


def directory() -> Path:
    """`$COSTMODEL_CACHE`, or `costmodel` in the user's cache folder."""
    own = os.environ.get("COSTMODEL_CACHE")
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "costmodel"


@lru_cache(maxsize=1)
def sources_digest() -> Any:
    """Hash of the sources of `costmodel` and `models`: a process runs what it has loaded, and reads once."""
    here = Path(__file__).parent.parent
    digest = hashlib.sha256()
    for folder in (here, here.parent / "models"):
        for path in sorted(folder.rglob("*.py")):
            digest.update(path.name.encode() + path.read_bytes())
    return digest


def code_digest() -> str:
    """Hash of the sources, and of the versions that they run on."""
    digest = sources_digest().copy()
    for package in PACKAGES:
        try:
            digest.update(f"{package}={version(package)}".encode())
        except PackageNotFoundError:
            digest.update(f"{package} missing".encode())
    return digest.hexdigest()


def key_of(*parts: Any) -> str:
    """The name of an entry."""
    text = json.dumps([code_digest(), *parts])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def load(name: str) -> Any:
    """The entry, or None where there is none or it is corrupt."""
    try:
        digest, _, body = (directory() / name).read_text(encoding="utf-8").partition("\n")
    except (OSError, UnicodeDecodeError):
        return None
    if hashlib.sha256(body.encode()).hexdigest() != digest:
        return None
    return json.loads(body)


def save(name: str, entry: Any) -> None:
    """Write an entry whole. A cache that cannot be written is no error: the next call traces again."""
    body = json.dumps(entry, separators=(",", ":"))
    text = hashlib.sha256(body.encode()).hexdigest() + "\n" + body
    with contextlib.suppress(OSError):
        folder = directory()
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / name, text)
