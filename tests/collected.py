"""The collection of published costs, where it lies beside this checkout."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from tests.paths import SHARED

COSTS = SHARED / "energy" / "costs.yaml"


@functools.cache
def whole_collection() -> dict[str, Any]:
    yaml = pytest.importorskip("yaml", reason="the collection of published costs is YAML")
    return yaml.load(COSTS.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


@functools.cache
def collection() -> dict[str, dict[str, Any]]:
    """Its rows by name."""
    return {entry["name"]: entry for entry in whole_collection()["entries"]}


needs_collection = pytest.mark.skipif(
    not COSTS.exists(), reason="the collection of published costs is not beside this checkout"
)
