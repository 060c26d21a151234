"""Modules from outside the packages: what they register is gone after the test."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from costmodel.graph.lowerings import LOWERINGS
from costmodel.hardware.pe import PE_KINDS
from costmodel.mapping.objectives import OBJECTIVES
from costmodel.ops.rules import OPS
from costmodel.show.formats import FORMATS
from costmodel.widths.rules import RULES as WIDTH_RULES
from models.attention.formulas import FORMULAS
from models.attention.mechanisms import MECHANISMS
from sim.integer.floats import RULES as FLOAT_RULES
from sim.integer.rules import RULES as INTEGER_RULES
from sim.machine.events import RULES as EVENT_RULES
from tests.witness.loops import RUN
from tests.witness.naive import ROWS
from tests.witness.samples import SAMPLES

REGISTRIES: tuple[dict[str, Any], ...] = (
    *(OPS, LOWERINGS, PE_KINDS, OBJECTIVES, FORMATS, WIDTH_RULES, FORMULAS, MECHANISMS),
    *(FLOAT_RULES, INTEGER_RULES, EVENT_RULES, RUN, ROWS, SAMPLES),
)


@pytest.fixture
def outside() -> Iterator[Callable[..., None]]:
    """Import modules of `tests/extension/outside` as a user's own code would be."""
    before = [dict(registry) for registry in REGISTRIES]
    loaded: list[str] = []

    def add(*names: str) -> None:
        for name in names:
            loaded.append(f"tests.extension.outside.{name}")
            importlib.import_module(loaded[-1])

    yield add
    for registry, old in zip(REGISTRIES, before, strict=True):
        registry.clear()
        registry.update(old)
    for name in loaded:
        sys.modules.pop(name, None)
