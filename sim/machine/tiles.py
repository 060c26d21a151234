"""A product in tiles: operands, accumulators, the order of passes, the slots of the buffer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from costmodel.dtypes import Int
from costmodel.hardware.accelerator import Accelerator
from costmodel.hardware.pe import PE_KINDS
from costmodel.hardware.timing import Product
from costmodel.mapping.tile import Tile
from sim.integer import products
from sim.integer.program import Sums
from sim.integer.views import Array

Place = tuple[int, int, int]  # of a tile: which product, first row, first column
# Dims of passes, from the outermost loop to the innermost: what stays does not depend on that one.
ORDER = {"out": ("M", "N", "K"), "a": ("M", "K", "N"), "b": ("N", "K", "M")}


def passes(t: Tiles, tile: Tile) -> Iterator[tuple[int, slice, slice, slice]]:
    """Passes (s, M, N, K) of all B products, in the order of the operand that stays."""
    cuts = {dim: pieces(getattr(t.product, dim), getattr(tile, dim)) for dim in "MNK"}
    outer, middle, inner = ORDER[tile.stay]
    for s in range(t.B):
        for x in cuts[outer]:
            for y in cuts[middle]:
                for z in cuts[inner]:
                    now = {outer: x, middle: y, inner: z}
                    yield s, now["M"], now["N"], now["K"]


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
    """The buffer's slots for tiles: what lies in them, and how many bytes were ever taken at once.

    An operand has the slot of the pass that runs and one for the pass that follows, unless all passes read
    the same tile. Sums have a slot unless the array itself holds them; two where they travel.
    """

    def __init__(self, t: Tiles, tile: Tile, target: Accelerator, a_bits: int, b_bits: int, acc: int) -> None:
        self.a_slot = tile.M * tile.K * a_bits
        self.b_slot = 0 if target.weights_bypass else tile.K * tile.N * b_bits
        travel = tile.K < t.product.K and tile.stay != "out"
        in_array = tile.K >= t.product.K and (target.dataflow == "os" or tile.K <= target.array.R)
        self.sums = (2 if travel else 0 if in_array else 1) * tile.M * tile.N * acc
        self.before: tuple[Place, Place] | None = None
        self.peak_bytes = 0

    def hold(self, a: Place, b: Place) -> None:
        """The tiles of a pass arrive while those of the pass before are in use; both of one product."""
        before_a, before_b = (a, b) if self.before is None or self.before[0][0] != a[0] else self.before
        taken = len({before_a, a}) * self.a_slot + len({before_b, b}) * self.b_slot + self.sums
        self.peak_bytes = max(self.peak_bytes, -(-taken // 8))
        self.before = (a, b)
