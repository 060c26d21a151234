"""Graph rewrites of our ops, so that the same mathematics counts the same however it was written.

1. Values made of integers, booleans and constants only are positions and masks: their nodes become
   free `index` nodes, and adding or selecting with such a mask becomes a free `mask`.
2. A Manhattan distance spelled `(q - k).abs().sum()` becomes `l1`; sums over keys of ReLUs become
   `relu_sum`, or for the signed inhibitor the sum of values minus `clip_sum`.

With `--as-run` none of this is applied.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from costmodel.dtypes import is_float
from costmodel.graph.attention_forms import emit_clip_form, emit_l1, value_dims
from costmodel.graph.ir import Graph, Node, Ref, Value
from costmodel.graph.lowerings import Lower


def canonicalise(graph: Graph) -> Graph:
    """Both rewrites, on a lowered graph."""
    return fold_masks(fuse_distances(graph))


# Positions and masks


def fold_masks(graph: Graph) -> Graph:
    """Make index arithmetic and masks free."""
    # Of no float input and no float weight: what a compiler knows, or bookkeeping of integers.
    symbolic = {v.id for v in graph.values if v.kind == "const" or (v.kind != "temp" and not is_float(v.dtype))}
    masks: set[int] = set()  # symbolic values that a select made: 0 where a key exists, else very low
    shared: dict[int, int] = {}  # storage of masked scores -> storage of the scores
    values = list(graph.values)
    nodes: list[Node] = []
    for node in graph.nodes:
        if all(i in symbolic for i in node.inputs):
            symbolic.update(node.outputs)
            if node.op == "select" or any(i in masks for i in node.inputs):
                masks.update(node.outputs)
            if node.op not in ("view", "index"):
                node = replace(node, op="index", attrs={"was": node.op, **node.attrs})
        elif node.op == "add" and len(node.inputs) == 2 and not masks.isdisjoint(node.inputs):
            scores = next(i for i in node.inputs if i not in masks)
            (output,) = node.outputs
            if values[scores].shape == values[output].shape:
                # The excluded keys do not exist: no arithmetic, and the scores stay where they are.
                args = (Ref(scores), *(Ref(i) for i in node.inputs if i != scores))
                marks = {k: v for k, v in node.attrs.items() if k == "core"}
                inputs = tuple(arg.id for arg in args)
                node = Node("mask", inputs, node.outputs, {"args": args, "causal": False, **marks}, node.module)
                owner = shared.get(values[scores].storage, values[scores].storage)
                shared[values[output].storage] = owner
                values[output] = replace(values[scores], id=output, name="", kind="temp")
        nodes.append(node)
    values = [replace(v, storage=shared[v.storage]) if v.storage in shared else v for v in values]
    return replace(graph, nodes=tuple(nodes), values=tuple(values)).verify()


# Distances and sums over keys, spelled out by broadcasting


class Spelling:
    """Finds how a value was made, looking through views; remembers the nodes it walked over."""

    def __init__(self, graph: Graph, makers: dict[int, int]) -> None:
        self.graph, self.makers = graph, makers
        self.walked: set[int] = set()

    def made(self, arg: Any, *ops: str) -> Node | None:
        """The node of one of `ops` that made the value, or None."""
        if not isinstance(arg, Ref):
            return None
        seen = set()
        n = self.makers.get(arg.id)
        while n is not None and self.graph.nodes[n].op == "view":
            seen.add(n)
            n = self.makers.get(self.graph.nodes[n].inputs[0])
        if n is None or self.graph.nodes[n].op not in ops:
            return None
        self.walked |= seen | {n}
        return self.graph.nodes[n]

    def relu_of(self, arg: Any) -> Any:
        """x, where the value is max(x, 0)."""
        node = self.made(arg, "relu", "maximum")
        return node and node.attrs["args"][0] if node and node.attrs["args"][1:] in ((), (0,)) else None

    def negative_part_of(self, arg: Any) -> Any:
        """x, where the value is min(x, 0)."""
        node = self.made(arg, "minimum")
        return node.attrs["args"][0] if node and node.attrs["args"][1:] == (0,) else None


def fuse_distances(graph: Graph) -> Graph:
    """Replace spelled-out distances and sums over keys by `l1`, `relu_sum` and the clip form."""
    makers = {i: n for n, node in enumerate(graph.nodes) for i in node.outputs}
    state = Lower(graph, as_run=False)
    walked: set[int] = set()
    for node in graph.nodes:
        spelling = Spelling(graph, makers)
        if node.op == "sum" and (fuse_l1(state, node, spelling) or fuse_values(state, node, spelling)):
            walked |= spelling.walked
        else:
            state.nodes.append(node)
    if not walked:
        return graph
    kept = without_dead(state.nodes, {id(graph.nodes[n]) for n in walked}, set(graph.outputs))
    return replace(graph, values=tuple(state.values), nodes=tuple(kept)).verify()


def without_dead(nodes: list[Node], candidates: set[int], used: set[int]) -> list[Node]:
    """The nodes without those candidates whose outputs nothing reads any more."""
    kept = []
    for node in reversed(nodes):
        if id(node) in candidates and used.isdisjoint(node.outputs):
            continue
        used.update(node.inputs)
        kept.append(node)
    return kept[::-1]


def fuse_l1(state: Lower, node: Node, spelling: Spelling) -> bool:
    """sum over the last dim of |q [..,M,1,K] - k [..,1,N,K]|."""
    x = spelling.graph.values[node.inputs[0]]
    if node.attrs["axes"] != (len(x.shape) - 1,):
        return False
    absolute = spelling.made(node.attrs["args"][0], "abs")
    difference = absolute and spelling.made(absolute.attrs["args"][0], "sub")
    if not difference or len(difference.inputs) != 2:
        return False
    q, k = sorted(difference.inputs, key=lambda i: spelling.graph.values[i].shape[-2] != 1)
    queries, keys = squeeze(state, node, q, -2), squeeze(state, node, k, -3)
    if queries is None or keys is None:
        return False
    emit_l1(state, node, queries, keys)
    return True


def fuse_values(state: Lower, node: Node, spelling: Spelling) -> bool:
    """sum over keys of relu(v - z), or of relu(v+ - z) + min(v- + z, 0)."""
    x = spelling.graph.values[node.inputs[0]]
    if node.attrs["axes"] != (len(x.shape) - 2,):
        return False
    difference = spelling.made(spelling.relu_of(node.attrs["args"][0]), "sub")
    if difference and len(difference.inputs) == 2:
        v, z = squeeze(state, node, difference.inputs[0], -3), squeeze(state, node, difference.inputs[1], -1)
        if v is None or z is None:
            return False
        sums = replace(node, inputs=(v, z))
        state.emit(node, "relu_sum", (Ref(v), Ref(z)), node.outputs, **value_dims(state, sums))
        return True
    return fuse_signed(state, node, spelling)


def fuse_signed(state: Lower, node: Node, spelling: Spelling) -> bool:
    halves = spelling.made(node.attrs["args"][0], "add")
    if not halves or len(halves.inputs) != 2:
        return False
    upper = spelling.made(spelling.relu_of(halves.attrs["args"][0]), "sub")
    lower = spelling.made(spelling.negative_part_of(halves.attrs["args"][1]), "add")
    if not upper or not lower:
        return False
    plus, z = upper.attrs["args"]
    minus, same_z = lower.attrs["args"]
    v, same_v = spelling.relu_of(plus), spelling.negative_part_of(minus)
    if v is None or v != same_v or z != same_z:
        return False
    value = v.id
    if len(spelling.graph.values[value].shape) == len(spelling.graph.values[node.inputs[0]].shape):
        value = squeeze(state, node, value, -3)
    shift = squeeze(state, node, z.id, -1)
    if value is None or shift is None:
        return False
    emit_clip_form(state, node, value, shift)
    return True


def squeeze(state: Lower, node: Node, i: int, axis: int) -> int | None:
    """A view without the dim at `axis` (negative), or None if that dim is not 1."""
    v: Value = state[i]
    if len(v.shape) < -axis or v.shape[axis] != 1:
        return None
    at = len(v.shape) + axis
    return state.alias(node, i, v.shape[:at] + v.shape[at + 1 :], v.stride[:at] + v.stride[at + 1 :])
