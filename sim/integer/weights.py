"""Weights as integers: per output channel, in the form in which products run fast. Made once a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from costmodel.dtypes import Int
from costmodel.errors import CostModelError
from costmodel.graph.ir import Graph
from sim.integer.products import FLOAT32_EXACT, INT32_EXACT
from sim.integer.views import Array, mover

# Clipping points that are tried, as shares of the largest magnitude.
SHARES = tuple(share / 20 for share in range(8, 21))


@dataclass(frozen=True)
class Matrix:
    """A weight [K,N] as integers on one scale a column, and as floats in pieces of K for exact products."""

    integers: Array  # int8 or int16 [K,N]
    scale: Array  # float64 [N]
    column_sum: int  # the largest sum of magnitudes in a column
    floats: Array  # the same numbers, float32 [K,N]


@dataclass
class Weights:
    """A model's weights by name, and their integer forms as they are asked for."""

    floats: Mapping[str, Array]
    made: dict[tuple[str, Int, bytes], Matrix] = field(default_factory=dict)
    tables: dict[tuple[str, Int, float], Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, array in self.floats.items():
            check_finite(name, array)

    def named(self, name: str) -> Array:
        if name not in self.floats:
            raise CostModelError(f"the model has no weight {name}; the graph is of another model")
        return self.floats[name]

    def table(self, graph: Graph, i: int, kind: Int, scale: float) -> Array:
        """A table of embeddings [V,D] as integers on a given scale, saturated."""
        name = graph.values[graph.values[i].storage].name
        key = (name, kind, scale)
        if key not in self.tables:
            integers = np.clip(np.rint(self.named(name) / scale), -top_of(kind), top_of(kind))
            self.tables[key] = integers.astype(np.int8 if kind.bits <= 8 else np.int16)
        return self.tables[key]

    def matrix(self, graph: Graph, i: int, kind: Int, factors: Array) -> Matrix:
        """The weight behind value i [K,N], which may be a transposed view of it; its rows times `factors` [K]."""
        owner = graph.values[graph.values[i].storage]
        key = (owner.name, kind, factors.tobytes())
        if key not in self.made:
            rows = mover(owner, graph.values[i])(self.named(owner.name)).astype(np.float64)
            self.made[key] = quantise_columns(rows * factors[:, None], kind)
        return self.made[key]


def check_finite(name: str, array: Array) -> None:
    """Refuse what no integer stands for.

    Raises:
        CostModelError: a weight is NaN or infinite.
    """
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise CostModelError(f"the weight {name} holds NaN or infinity; no integer stands for that")


def top_of(kind: Int) -> int:
    """The largest number of a symmetric type: its lowest one is not used."""
    return (1 << (kind.bits - 1)) - 1


def quantise_columns(weight: Array, kind: Int) -> Matrix:
    """[K,N] -> integers, each column on a scale of its own; halves to even.

    From 8 bits on the scale reaches the column's largest magnitude. With fewer, clipping a few costs less than
    the coarse steps that they ask for: of some clipping points the one of least square error.
    """
    top = top_of(kind)
    largest = np.abs(weight).max(0)
    whole = np.where(largest > 0, largest, 1.0) / top
    scale, least = whole, np.full(weight.shape[1], np.inf)
    for share in SHARES if kind.bits < 8 else (1.0,):
        found = whole * share
        error = ((rounded(weight, found, top) * found - weight) ** 2).sum(0)
        scale, least = np.where(error < least, found, scale), np.minimum(error, least)
    integers = rounded(weight, scale, top).astype(np.int8 if kind.bits <= 8 else np.int16)
    column_sum = int(np.abs(integers.astype(np.int64)).sum(0).max(initial=0))
    return Matrix(integers, scale, column_sum, np.ascontiguousarray(integers, np.float32))


def rounded(weight: Array, scale: Array, top: int) -> Array:
    return np.clip(np.rint(weight / scale), -top, top)


def exact_product(a: Array, matrix: Matrix, largest: int) -> Array:
    """a [..,K] of magnitudes up to `largest` times a matrix -> int32 or int64 [..,N], exactly.

    float32 holds every partial sum while it stays within 2^24: K is cut into pieces for which that is
    proven, from the weights' own sums of magnitudes.
    """
    bound = largest * matrix.column_sum
    pieces = -(-bound // FLOAT32_EXACT) if bound else 1
    left = a.astype(np.float32, copy=False)
    if pieces == 1:
        return np.matmul(left, matrix.floats).astype(np.int32)
    K = a.shape[-1]
    pieces = min(K, -(-largest * int(np.abs(matrix.floats).max()) * K // FLOAT32_EXACT))
    out = np.zeros((*a.shape[:-1], matrix.floats.shape[1]), np.int32 if bound < INT32_EXACT else np.int64)
    for piece in range(pieces):
        rows = slice(K * piece // pieces, K * (piece + 1) // pieces)
        out += np.matmul(left[..., rows], matrix.floats[rows]).astype(out.dtype)
    return out
