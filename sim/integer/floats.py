"""The canonical graph in float64: what calibration reads ranges from, and integers are compared with.

The witness of it is torch's own forward pass. Masks are not in the graph: `keep` [B,S] says which keys
exist, and what sums over keys leaves the others out, as the mechanisms do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from costmodel.errors import UnknownOp
from costmodel.graph.ir import Graph, Node, Ref
from costmodel.ops.registry import enter
from sim.integer import functions, products
from sim.integer.views import Array, check_keep, key_power, key_rows, mover

Watch = Callable[[int, Array], None]


@dataclass
class Pass:
    """One forward pass: values by id, and which keys exist [B,S]."""

    graph: Graph
    values: dict[int, Array]
    keep: Array | None
    per_key: frozenset[int]  # values whose last dim is keys
    all_keys: bool = False  # a mean over keys is over padding too (`center_over=all`)

    def args(self, node: Node) -> list[Array | float]:
        """Operands as arrays, plain numbers as they are."""
        return [self.values[a.id] if isinstance(a, Ref) else float(a) for a in node.attrs["args"] if a is not None]

    def over_keys(self, ndim: int) -> Array | None:
        """The mask of the last dim of an array [B,..,N]."""
        if self.keep is None:
            return None
        B, N = self.keep.shape
        return self.keep.reshape(B, *(1,) * (ndim - 2), N)

    def masked(self, v: Array) -> Array:
        """v [B,..,N,D], 0 where the key does not exist."""
        mask = self.over_keys(v.ndim - 1)
        return v if mask is None else np.where(mask[..., None], v, 0)


def run_floats(
    graph: Graph,
    weights: Mapping[str, Array],
    ids: Array,
    keep: Array | None = None,
    watch: Watch | None = None,
    all_keys: bool = False,
) -> Array:
    """The first output of a canonical graph, computed in float64. `watch(i, array)` sees every float value.

    Raises:
        UnknownOp: an op that DistilBERT does not have.
    """
    state = Pass(graph, {}, check_keep(keep, *ids.shape), key_rows(graph), all_keys)
    last = {i: n for n, node in enumerate(graph.nodes) for i in node.inputs}
    for value in graph.values:
        if value.kind == "input":
            state.values[value.id] = ids
        elif value.kind in ("param", "buffer"):
            state.values[value.id] = weights[value.name]
    for n, node in enumerate(graph.nodes):
        if node.op not in RULES:
            raise UnknownOp(f"op {node.op!r} in {node.module or 'the model'} has no rule in sim/integer/floats.py")
        out = RULES[node.op](state, node)
        state.values[node.outputs[0]] = out
        if watch is not None and out.dtype == np.float64 and node.op not in ("view", "index"):
            watch(node.outputs[0], out)
        for i in node.inputs:
            if last[i] == n and i not in graph.outputs:
                state.values.pop(i, None)
    return state.values[graph.outputs[0]]


def view(state: Pass, node: Node) -> Array:
    i, o = node.inputs[0], node.outputs[0]
    return mover(state.graph.values[i], state.graph.values[o])(state.values[i])


def index(state: Pass, node: Node) -> Array:
    power = key_power(state.graph, node.outputs[0])
    if power is None:
        raise UnknownOp(
            f"an index of {node.attrs.get('was')!r} in {node.module} has no rule in sim/integer/floats.py"
        )
    if state.keep is None:
        return np.array(float(state.graph.values[0].shape[-1]) ** power)
    return state.keep.sum(1).reshape(-1, 1, 1, 1).astype(np.float64) ** power


def gather(state: Pass, node: Node) -> Array:
    table, rows = (state.values[i] for i in node.inputs)
    return table[rows].astype(np.float64)


def matmul(state: Pass, node: Node) -> Array:
    a, b, *bias = (state.values[i] for i in node.inputs)
    if node.inputs[0] in state.per_key:
        b = state.masked(b)
    out = np.matmul(a.astype(np.float64, copy=False), b.astype(np.float64, copy=False))
    return out + bias[0] if bias else out


def softmax(state: Pass, node: Node) -> Array:
    x = state.values[node.inputs[0]]
    mask = state.over_keys(x.ndim)
    x = x if mask is None else np.where(mask, x, -np.inf)
    e = np.exp(x - x.max(-1, keepdims=True))
    return np.asarray(e / e.sum(-1, keepdims=True))


def mean(state: Pass, node: Node) -> Array:
    x = state.values[node.inputs[0]]
    mask = None if state.all_keys else state.over_keys(x.ndim)
    if mask is None:
        return np.asarray(x.mean(-1, keepdims=True))
    return np.asarray(np.where(mask, x, 0).sum(-1, keepdims=True) / mask.sum(-1, keepdims=True))


def key_sum(state: Pass, node: Node) -> Array:
    v = state.masked(state.values[node.inputs[0]])
    return np.asarray(v.sum(-2, keepdims=True))


def sums(kind: str) -> Callable[[Pass, Node], Array]:
    """Manhattan distances and sums over keys; keys that do not exist have v = 0, which adds 0 as z >= 0."""

    def run(state: Pass, node: Node) -> Array:
        first, second = (state.values[i] for i in node.inputs)
        a, b = (first, second.swapaxes(-1, -2)) if kind == "l1" else (second, state.masked(first))
        return products.float_sums(a, b, kind)

    return run


def layer_norm(state: Pass, node: Node) -> Array:
    x, *rest = (state.values[i] for i in node.inputs)
    centred = x - x.mean(-1, keepdims=True)
    normal = centred / np.sqrt((centred * centred).mean(-1, keepdims=True) + node.attrs["eps"])
    if node.attrs["weight"]:
        normal = normal * rest.pop(0)
    return np.asarray(normal + rest[0] if rest else normal)


def binary(function: Callable[..., Array]) -> Callable[[Pass, Node], Array]:
    def run(state: Pass, node: Node) -> Array:
        pair = state.args(node)
        return np.asarray(function(*(pair * 2 if len(pair) == 1 else pair)), np.float64)

    return run


def unary(function: Callable[[Array], Array]) -> Callable[[Pass, Node], Array]:
    return lambda state, node: np.asarray(function(state.values[node.inputs[0]]))


RULES: dict[str, Callable[[Pass, Node], Array]] = {
    "view": view,
    "index": index,
    "gather": gather,
    "matmul": matmul,
    "softmax": softmax,
    "mean": mean,
    "sum": key_sum,
    "l1": sums("l1"),
    "clip_sum": sums("clip"),
    "relu_sum": sums("relu"),
    "layer_norm": layer_norm,
    "add": binary(np.add),
    "sub": binary(np.subtract),
    "mul": binary(np.multiply),
    "div": binary(np.divide),
    "relu": unary(lambda x: np.maximum(x, 0)),
    "gelu": unary(functions.gelu),
    "copy": unary(np.ascontiguousarray),
}


def float_rule(*names: str) -> Callable[[Callable[[Pass, Node], Array]], Callable[[Pass, Node], Array]]:
    """Register the float rule of some more ops."""
    return enter(RULES, "float rule of", *names)
