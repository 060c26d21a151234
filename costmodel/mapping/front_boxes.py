"""Boxes of mappings of one product, by numba: their bounds, and how they are cut.

A box is a structure (order, held, single, blocks) and a range of candidates along each dim, and of the number of
blocks. Its bound is what the smallest size, fewest passes and least work of each range take: no mapping in it
takes less of anything.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from costmodel.mapping.front_figures import P_AM, P_BM, P_M, P_N, ceil_div, figures

Array = np.ndarray[Any, Any]
njit = numba.njit(cache=True, error_model="numpy")


@njit
def bound(
    c: Array, form: Array, single: int, i: tuple, j: tuple, tables: Array, least: Array, apart: Array, key: Array
) -> bool:
    """Bound over a box of candidates, from `i` to before `j` along each dim, or figures of its only mapping.

    The fourth range is that of the number of blocks: as many have the fewest tiles each. `tables[0..2]`: sizes,
    passes, work. `least`: the least work along a dim; `apart`: of one pass.
    """
    x, y, held, along = form[0], form[1], form[2], form[4]
    i0, i1, i2, blocks = i
    j0, j1, j2, beyond = j
    s = (tables[0, 0, i0], tables[0, 1, i1], tables[0, 2, i2])
    p = (tables[1, 0, j0 - 1], tables[1, 1, j1 - 1], tables[1, 2, j2 - 1])
    most = (tables[1, 0, i0], tables[1, 1, i1], tables[1, 2, i2])
    work = (
        tables[2, 0, i0] if j0 - i0 == 1 else max(least[0], p[0] * apart[0]),
        tables[2, 1, i1] if j1 - i1 == 1 else max(least[1], p[1] * apart[1]),
        tables[2, 2, i2] if j2 - i2 == 1 else max(least[2], p[2] * apart[2]),
    )
    tiles, size = 1, 0
    if along >= 0:
        tiles = max(ceil_div(p[along], beyond - 1), 2)
        if most[along] <= tiles:  # a single block
            return False
        dim = c[P_M] if along == 0 else c[P_N]
        size = max(tiles * s[along], ceil_div(dim, beyond - 1))
        if most[along] == p[along] and beyond - blocks == 1:
            if ceil_div(p[along], tiles) != blocks or p[along] % tiles == 1:
                return False
            size = min(tiles * s[along], dim)
    return figures(c, x, y, held, single, along, s, p, most, work, tiles, blocks, size, key)


@njit
def is_free(c: Array, form: Array) -> bool:
    """Whether figures do not depend on how many blocks there are: what comes once a block does not move."""
    return (form[4] == 0 and c[P_BM] == 0) or (form[4] == 1 and c[P_AM] == 0)


@njit
def most_blocks(parts: int) -> int:
    """So many blocks of whole tiles that the last one is not a single tile; 0 where there are no such blocks."""
    tiles = 2
    while tiles < parts and parts % tiles == 1:
        tiles += 1
    return ceil_div(parts, tiles) if tiles < parts else 0


@njit
def widest(i: tuple, j: tuple, tables: Array, free: bool) -> int:
    """The dim of a box whose sizes differ most; 3: the number of blocks."""
    w0 = spread(i[0], j[0], tables[0, 0])
    w1 = spread(i[1], j[1], tables[0, 1])
    w2 = spread(i[2], j[2], tables[0, 2])
    w3 = (j[3] - 1) / i[3] if i[3] > 0 and not free else 1.0
    if w0 >= w1 and w0 >= w2 and w0 >= w3:
        return 0
    if w1 >= w2 and w1 >= w3:
        return 1
    return 2 if w2 >= w3 else 3


@njit
def halves(i: tuple, j: tuple, along: int, tables: Array) -> tuple[tuple, tuple]:
    """Where a box is cut in two along a dim: end of one half, start of the other."""
    if along == 0:
        h = middle(i[0], j[0], tables[0, 0])
        return (h, j[1], j[2], j[3]), (h, i[1], i[2], i[3])
    if along == 1:
        h = middle(i[1], j[1], tables[0, 1])
        return (j[0], h, j[2], j[3]), (i[0], h, i[2], i[3])
    if along == 2:
        h = middle(i[2], j[2], tables[0, 2])
        return (j[0], j[1], h, j[3]), (i[0], i[1], h, i[3])
    h = max(i[3] + 1, int(np.sqrt(i[3] * (j[3] - 1)) + 1))
    return (j[0], j[1], j[2], h), (i[0], i[1], i[2], h)


@njit
def middle(first: int, beyond: int, sizes: Array) -> int:
    """The first size of the upper half of a range, by ratio."""
    wanted = np.sqrt(float(sizes[first]) * sizes[beyond - 1])
    return first + max(1, np.searchsorted(sizes[first : beyond - 1], wanted))


@njit
def spread(first: int, beyond: int, sizes: Array) -> float:
    """Ratio of the largest size of a range to the smallest."""
    return sizes[beyond - 1] / sizes[first]


@njit
def whole_box(form: Array, tables: Array, counts: Array) -> tuple[tuple, tuple]:
    """The box of all candidates of a structure."""
    along = form[4]
    first, beyond = 0, 1
    if along >= 0:
        first, beyond = 2, max(tables[1, along, 0] // 2 + 1, 2)
    return (0, 0, 0, first), (counts[0], counts[1], counts[2], beyond)
