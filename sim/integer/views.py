"""Views as functions on arrays, names of values, and the number of keys: what floats and integers share."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from costmodel.errors import CostModelError
from costmodel.graph.ir import Graph, Node, Ref, Value
from costmodel.ops.rules import kind_of

Array = np.ndarray[Any, Any]
Move = Callable[[Array], Array]
Layout = tuple[tuple[int, ...], tuple[int, ...], int]


def layout_of(value: Value) -> Layout:
    return value.shape, value.stride, value.offset


def mover(source: Value, view: Value) -> Move:
    """The function that takes the elements of a value to those of a view of it, in the same storage."""
    return find_move(layout_of(source), layout_of(view))


@lru_cache(maxsize=4096)
def find_move(source: Layout, view: Layout) -> Move:
    """By where each element lies in memory: dims in memory's order, cut anew, in the view's order; or by index."""
    shape, target = source[0], view[0]
    before, after = places(*source), places(*view)
    if prod(shape) == prod(target):
        there, back = memory_order(source), memory_order(view)
        inner = tuple(target[axis] for axis in back)
        axes = tuple(back.index(axis) for axis in range(len(target)))

        def move(x: Array) -> Array:
            return x.transpose(there).reshape(inner).transpose(axes)

        if (move(before) == after).all():
            return move
    order = np.argsort(before, axis=None)
    found = np.searchsorted(before.reshape(-1), after.reshape(-1), sorter=order)
    index = order[np.minimum(found, before.size - 1)]
    if not (before.reshape(-1)[index] == after.reshape(-1)).all():
        raise CostModelError(f"a view {target} reaches beyond the {shape} that it is of")
    return lambda x: x.reshape(-1)[index].reshape(target)


def memory_order(layout: Layout) -> tuple[int, ...]:
    """Axes from the largest stride to the smallest; those of one element keep their places."""
    shape, stride, _ = layout
    return tuple(sorted(range(len(shape)), key=lambda axis: -stride[axis] if shape[axis] > 1 else -(1 << 62)))


def places(shape: tuple[int, ...], stride: tuple[int, ...], offset: int) -> Array:
    """The place in memory of each element."""
    found = np.full(shape, offset, np.int64)
    for axis, (n, step) in enumerate(zip(shape, stride, strict=True)):
        found += (np.arange(n) * step).reshape((1,) * axis + (n,) + (1,) * (len(shape) - axis - 1))
    return found


def value_names(graph: Graph) -> dict[int, str]:
    """A name of each value that does not depend on sizes: its weight's, or module and op that make it."""
    names = {v.id: v.name for v in graph.values if v.kind != "temp"}
    seen: dict[str, int] = {}
    for node in graph.nodes:
        for i in node.outputs:
            name = f"{node.module or 'model'}:{node.attrs.get('was', node.op)}"
            seen[name] = seen.get(name, 0) + 1
            names[i] = name if seen[name] == 1 else f"{name}#{seen[name]}"
    return names


def key_power(graph: Graph, i: int) -> float | None:
    """The p of n^p where value i is a power of the number of keys, as `models.attention.key_counts` makes it."""
    maker = next((node for node in graph.nodes if i in node.outputs), None)
    if maker is None or maker.op != "index":
        return None
    if maker.attrs["was"] == "fill":
        return 1.0
    inner = key_power(graph, maker.inputs[0]) if maker.inputs else None
    if inner is None or maker.attrs["was"] != "sqrt":
        return None
    return inner / 2


def is_weight(graph: Graph, i: int) -> bool:
    """Whether a value is a weight, or a view of one."""
    return graph.values[graph.values[i].storage].kind in ("param", "buffer")


PER_KEY = ("scale", "softmax", "view", "copy", "mask")  # beside what acts element by element


def key_rows(graph: Graph) -> frozenset[int]:
    """Values whose last dim is keys: scores, and what is made of them element by element."""
    found: set[int] = set()

    def as_long(node: Node) -> bool:
        last = graph.values[node.outputs[0]].shape[-1:]
        return any(i in found and graph.values[i].shape[-1:] == last for i in node.inputs)

    for node in graph.nodes:
        moving = [i for i in node.inputs if not is_weight(graph, i)]
        scores = node.op == "l1" or (node.op == "matmul" and len(moving) == 2 and moving[0] not in found)
        if scores or ((node.op in PER_KEY or kind_of(node.op) == "elementwise") and as_long(node)):
            found.update(node.outputs)
    return frozenset(found)


def numbers_of(node: Node) -> list[float]:
    """The plain numbers among a node's arguments."""
    return [float(a) for a in node.attrs.get("args", ()) if not isinstance(a, Ref) and a is not None]


def check_keep(keep: Array | None, B: int, S: int) -> Array | None:
    """A mask [B,S] of keys that exist, or None where all do.

    Raises:
        CostModelError: another shape, or a row of which no key exists.
    """
    if keep is None:
        return None
    keep = np.asarray(keep, np.bool_)
    if keep.shape != (B, S):
        raise CostModelError(f"a mask {keep.shape} does not belong to ids ({B}, {S})")
    if not keep.any(1).all():
        raise CostModelError(f"row {int(np.argmin(keep.any(1)))} has no token")
    return None if keep.all() else keep
