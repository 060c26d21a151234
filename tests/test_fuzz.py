"""Malformed spaces, targets, tables, inputs, checkpoints and command lines: exit 2, one line, nothing left behind.

`make fuzz` runs more of them, from another seed.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fuzz import Bench, fuzz

SEED, CASES, PARTS = 20261124, 2000, 8


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with Bench() as made:
        yield made


@pytest.mark.parametrize("part", range(PARTS))
def test_what_is_malformed_is_one_line(bench: Bench, part: int) -> None:
    size = CASES // PARTS
    failures, kinds = fuzz(bench, SEED, range(part * size, (part + 1) * size))
    assert not failures, "\n".join(failures)
    refused = sum(n for kind, n in kinds.items() if kind.endswith("refused"))
    assert refused > 0.8 * size, "most cases are malformed"
