"""Which sizes of tiles can be the best, of all integers: exactly those that this module lists.

What a mapping costs depends on the size s of a tile along one dim D through

    the passes p = ceil(D/s), the folds of all passes together (ceil of each pass by the array's side), the
    cycles of what streams, sum of max(part, 2 R) under ws and is, and s itself: room in the buffer.

At equal p everything grows with the other three. So of sizes with equal p only those can be the best whose
folds or stream are fewer than those of every smaller size. The smallest is always one; an even split may
cut through folds of the array (43 + 43 + 42 rows on 32 are six folds), and the next size of fewer folds
(63 + 63 + 2: five) is another. Whole folds are listed where they are such a size, and only there: a tile of
whole folds has the fewest folds, but not always the fewest passes that fit the buffer. Along the dim that
streams through an output-stationary array there are no folds: one size for each p.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Sizes:
    """Candidates along one dim, sizes ascending; `work` is folds, or cycles of the stream."""

    size: Array
    parts: Array
    work: Array


@lru_cache(maxsize=4096)
def sizes_along(dim: int, unit: int, stream: int, whole_folds: bool = False) -> Sizes:
    """The sizes of tiles of a dim that can be the best.

    Args:
        unit: elements in a fold; 0 where the dim streams.
        stream: the least cycles of a pass, 2 R, where the dim streams under ws or is; else 0.
        whole_folds: only all of the dim, or whole folds of it.
    """
    size = np.arange(1, dim + 1, dtype=np.int64)
    if whole_folds:
        size = size[(size % unit == 0) | (size == dim)]
    parts = -(-dim // size)
    last = dim - (parts - 1) * size
    if stream:
        work = (parts - 1) * np.maximum(size, stream) + np.maximum(last, stream)
    elif unit:
        work = (parts - 1) * -(-size // unit) + -(-last // unit)
    else:
        work = np.zeros_like(size)
    # Fewer than every smaller size of as many passes: `parts` falls, so that a new run begins below all before.
    level = parts * (int(work.max()) + 1) + work
    before = np.minimum.accumulate(level)
    found = np.ones(len(size), bool)
    found[1:] = level[1:] < before[:-1]
    return Sizes(size[found], parts[found], work[found])


@lru_cache(maxsize=4096)
def block_sizes(dim: int, works: tuple[tuple[int, int], ...]) -> tuple[int, ...]:
    """Sizes that can be the best: none smaller has as many parts, and no more work of any kind.

    `works`: for each kind the elements in a fold (0: none) and the least cycles of a part that streams.
    """
    sizes = np.arange(1, dim + 1, dtype=np.int64)
    parts = -(-dim // sizes)
    last = dim - (parts - 1) * sizes
    columns = []
    for unit, stream in works:
        if unit:
            columns.append((parts - 1) * -(-sizes // unit) + -(-last // unit))
        if stream:
            columns.append((parts - 1) * np.maximum(sizes, stream) + np.maximum(last, stream))
    from costmodel.mapping.core_loops import not_above  # numba takes half a second: not before it is needed

    found: list[int] = sizes[not_above(parts, np.stack([*columns, 0 * sizes], 1))].tolist()
    return tuple(found)
