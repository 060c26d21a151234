"""How often Python looks for garbage in cycles."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

SELDOM = (50_000, 20, 50)  # new objects, and collections of the younger generation, between two


@contextmanager
def seldom_collected() -> Iterator[None]:
    """Collect cycles less often meanwhile.

    A search makes and drops records by the million and hardly a cycle; but each full collection looks through all
    that torch and transformers have made, half a million objects. A seventh of the time of a comparison over
    lengths went there.
    """
    before = gc.get_threshold()
    if before[0] == 0 or before[0] >= SELDOM[0]:  # it is off, or seldom already
        yield
        return
    gc.set_threshold(*SELDOM)
    try:
        yield
    finally:
        gc.set_threshold(*before)
