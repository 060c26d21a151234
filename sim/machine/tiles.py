"""A product in tiles: operands, accumulators, the order of passes, the slots of the buffer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from costmodel.dtypes import Int
from costmodel.hardware.pe import PE_KINDS
from costmodel.hardware.timing import Product
from costmodel.mapping.nest_records import Mapping
from sim.integer import products
from sim.integer.program import Sums
from sim.integer.views import Array

Place = tuple[int, int, int, int]  # of a tile: which product and block, first row, first column


def passes(t: Tiles, mapping: Mapping) -> Iterator[tuple[int, int, slice, slice, slice]]:
    """Passes (s, block, M, N, K) of all B products, in the order of a mapping's loops."""
    cuts = {dim: pieces(getattr(t.product, dim), getattr(mapping, dim)) for dim in "MNK"}
    outer, middle, inner = tuple(mapping.order)
    blocks = [cuts]
    if mapping.along:
        tiles = cuts[mapping.along]
        starts = range(0, len(tiles), mapping.tiles)
        blocks = [cuts | {mapping.along: tiles[first : first + mapping.tiles]} for first in starts]
    for s in range(t.B):
        for b, block in enumerate(blocks):
            for x in block[outer]:
                for y in block[middle]:
                    for z in block[inner]:
                        now = {outer: x, middle: y, inner: z}
                        yield s, b, now["M"], now["N"], now["K"]


def pieces(total: int, size: int) -> list[slice]:
    return [slice(start, min(start + size, total)) for start in range(0, total, size)]


@dataclass
class Tiles:
    """A product in pieces: operands a [B,M,K], b [B,K,N], accumulators [B,M,N]."""

    sums: Sums
    B: int
    product: Product
    a: Array
    b: Array
    kinds: tuple[Int, Int]  # in which operands are stored
    exact: tuple[Int, Int]  # the narrowest of their ranges, for the width of arithmetic
    term: tuple[int, int]
    moves: tuple[bool, bool]
    fast: tuple[Array, Array] | None  # the operands as floats, where that is exact
    safe: bool
    overflow: str
    fold: int | None
    accumulators: Array

    def sum_tile(self, s: int, m: slice, j: slice, k: slice) -> None:
        """Add a pass's terms to the accumulators of its outputs."""
        held = self.accumulators[s, m, j]
        if self.fast is not None:
            held += np.matmul(self.fast[0][s, m, k], self.fast[1][s, k, j]).astype(held.dtype)
            return
        a, b = self.a[s, m, k], self.b[s, k, j]
        if self.safe or self.overflow == "exact":
            held += products.unordered(a, b, self.sums.kind, products.bound_of(a, b, self.sums.kind))
        else:
            held[...] = products.in_order(
                a, b, self.sums.kind, self.sums.accumulator, self.overflow, held, self.fold
            )

    def finished(self) -> Array:
        """All sums, checked where they might not have fitted.

        Raises:
            CostModelError: overflow is `exact`, and a sum does not fit its accumulator.
        """
        if not self.safe and self.overflow == "exact":
            products.check_fits(self.accumulators, self.sums.accumulator, self.sums.kind)
        return self.accumulators


def tiles_of(
    sums: Sums,
    B: int,
    product: Product,
    a: Array,
    b: Array,
    kinds: tuple[Int, Int],
    exact: tuple[Int, Int],
    term: tuple[int, int],
    overflow: str,
    fold: int | None,
    moves: tuple[bool, bool],
) -> Tiles:
    """Accumulators at where sums begin, and whether any of them might overflow."""
    bound = products.bound_of(a, b, sums.kind)
    if sums.matrix is not None:
        bound = min(bound, products.magnitude(a) * sums.matrix.column_sum)
    first = 0 if sums.start is None else products.magnitude(sums.start)
    wide = np.int32 if bound + first < products.INT32_EXACT else np.int64
    accumulators = np.zeros((B, product.M, product.N), wide)
    if sums.start is not None:
        accumulators[...] = sums.start
    fast = None
    safe = products.fits(bound + first, sums.accumulator, PE_KINDS[sums.kind].signed or sums.start is not None)
    if sums.kind == "mac" and bound <= products.FLOAT32_EXACT and safe:
        floats = b.astype(np.float32) if sums.matrix is None else sums.matrix.floats.reshape(b.shape)
        fast = (a.astype(np.float32), floats)
    return Tiles(sums, B, product, a, b, kinds, exact, term, moves, fast, safe, overflow, fold, accumulators)


class Slots:
    """The places of one operand in the buffer: which tiles lie there, and how many words they ever took at once.

    A tile arrives while the pass before runs, and its words take the places of what is done. What is held lies
    there until its last use; of everything else the tile in use. Where only one tile is ever in use there are
    two places of the size of a whole one, or one (`single`), into which nothing arrives before it is free.
    """

    def __init__(self, tiles: Sequence[tuple[Place, int]], held: bool, single: bool) -> None:
        """`tiles`: the tile of each pass and its words."""
        names = [tile for tile, _ in tiles]
        last = {tile: n for n, tile in enumerate(names)}
        ends: dict[int, list[Place]] = {}
        for tile, n in last.items():
            ends.setdefault(n, []).append(tile)
        alive: dict[Place, int] = {}
        self.loads: list[bool] = []
        most, alone = 0, True
        for n, (tile, words) in enumerate(tiles):
            self.loads.append(tile not in alive)
            if not held:
                alive.clear()
            alive[tile] = words
            alone = alone and len(alive) == 1
            coming = 0 if n + 1 == len(tiles) or names[n + 1] in alive else tiles[n + 1][1]
            most = max(most, sum(alive.values()) + coming)
            for done in ends.get(n, ()):
                if held:
                    del alive[done]
        self.waits = False
        self.words = most
        if alone and sum(self.loads) > 1:
            self.waits = single
            self.words = max(words for _, words in tiles) * (1 if single else 2)


class SumSlots:
    """The places of accumulators: those of a tile, or of all that is held; what leaves for DRAM and comes back."""

    def __init__(self, tiles: Sequence[tuple[Place, int]], held: bool) -> None:
        names = [tile for tile, _ in tiles]
        last = {tile: n for n, tile in enumerate(names)}
        alive: dict[Place, int] = {}
        self.back: list[bool] = []  # comes back from DRAM before a pass
        self.leaves: list[bool] = []  # leaves for it after a pass
        self.words = 0
        begun: set[Place] = set()
        for n, (tile, words) in enumerate(tiles):
            self.back.append(tile in begun and tile not in alive)
            begun.add(tile)
            if not held:
                alive.clear()
            alive[tile] = words
            self.words = max(self.words, sum(alive.values()))
            self.leaves.append(not held and last[tile] > n and names[n + 1] != tile)
            if last[tile] == n:
                del alive[tile]

    @property
    def travels(self) -> bool:
        return any(self.leaves)
