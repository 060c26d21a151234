"""Lowerings of calls that act on elements one by one, move them, or reduce a dim. Names are in `names.py`.

Views become free `view` nodes: their output is an alias.
"""

from __future__ import annotations

from typing import Any

from costmodel.errors import UnknownOp
from costmodel.graph.ir import Node, Ref, refs
from costmodel.graph.lowerings import Lower, Lowering, base_name, emit_map, lowers, operand, reduced
from costmodel.graph.names import BINARY, MOVES, REDUCTIONS, UNARY, VIEWS

# Elementwise


def elementwise_lowering(op: str, names: tuple[str, ...]) -> Lowering:
    """The lowering of a call that acts on elements one by one; `names` of its operands, in order."""

    def function(state: Lower, node: Node) -> None:
        args = tuple(node.attrs[name] for name in names if name in node.attrs)
        state.emit(
            node, op, args, node.outputs, n=state[node.outputs[0]].numel, aten=base_name(node.op), **extra(node)
        )

    def extra(node: Node) -> dict[str, Any]:
        kept = ("min_val", "max_val", "negative_slope", "alpha", "rounding_mode")
        return {k: v for k, v in node.attrs.items() if k in kept}

    return function


for _name, _op in UNARY.items():
    lowers(f"aten.{_name}")(elementwise_lowering(_op, ("self",)))
for _name, _op in BINARY.items():
    lowers(f"aten.{_name}")(elementwise_lowering(_op, ("self", "other")))


@lowers("aten.add", "aten.sub", "aten.rsub")
def _add(state: Lower, node: Node) -> None:
    left, right = node.attrs["self"], node.attrs["other"]
    if base_name(node.op) == "aten.rsub":
        left, right = right, left
    alpha = node.attrs.get("alpha", 1)
    if alpha != 1:
        right = Ref(emit_map(state, node, "mul", (right, alpha)))
    emit_map(state, node, "add" if base_name(node.op) == "aten.add" else "sub", (left, right), node.outputs[0])


@lowers("aten.addcmul", "aten.addcdiv")
def _addcmul(state: Lower, node: Node) -> None:
    op = "mul" if base_name(node.op) == "aten.addcmul" else "div"
    product = Ref(emit_map(state, node, op, (node.attrs["tensor1"], node.attrs["tensor2"])))
    if node.attrs.get("value", 1) != 1:
        product = Ref(emit_map(state, node, "mul", (product, node.attrs["value"])))
    emit_map(state, node, "add", (node.attrs["self"], product), node.outputs[0])


@lowers("aten.pow")
def _pow(state: Lower, node: Node) -> None:
    base, p = node.attrs["self"], node.attrs["exponent"]
    simple = {2: "square", 3: "cube", 0.5: "sqrt", -0.5: "rsqrt", -1: "reciprocal"}
    op = simple.get(p) if isinstance(p, int | float) else None
    args = (base,) if op else (base, p)
    emit_map(state, node, op or "pow", args, node.outputs[0])


@lowers("aten.clamp", "aten.clip", "aten.clamp_min", "aten.clamp_max")
def _clamp(state: Lower, node: Node) -> None:
    low, high = node.attrs.get("min"), node.attrs.get("max")
    if low is None or high is None:
        op, bound = ("minimum", high) if low is None else ("maximum", low)
        emit_map(state, node, op, (node.attrs["self"], bound), node.outputs[0])
    else:
        emit_map(state, node, "clip", (node.attrs["self"], low, high), node.outputs[0])


@lowers("aten.gelu")
def _gelu(state: Lower, node: Node) -> None:
    op = "gelu_tanh" if node.attrs.get("approximate", "none") == "tanh" else "gelu"
    emit_map(state, node, op, (node.attrs["self"],), node.outputs[0])


@lowers("aten.softplus")
def _softplus(state: Lower, node: Node) -> None:
    if node.attrs.get("beta", 1) != 1:
        raise UnknownOp("softplus with beta other than 1 has no count rule; add one in costmodel/graph/layers.py")
    emit_map(state, node, "softplus", (node.attrs["self"],), node.outputs[0])


@lowers("aten.native_dropout", "aten.dropout")
def _dropout(state: Lower, node: Node) -> None:
    raise UnknownOp(f"dropout in module {node.module or '(top)'}: trace the model in eval mode (model.eval())")


# Movement and views


def _lower_move(op: str) -> Lowering:
    def function(state: Lower, node: Node) -> None:
        args = tuple(v for v in node.attrs.values() if next(refs(v), None) is not None)
        kept = {
            k: v for k, v in node.attrs.items() if k not in ("device", "layout", "pin_memory", "memory_format")
        }
        state.emit(node, op, args, node.outputs, aten=node.op, call=tuple(kept.items()))

    return function


for _name, _op in MOVES.items():
    lowers(f"aten.{_name}")(_lower_move(_op))


@lowers(*(f"aten.{name}" for name in VIEWS))
def _view(state: Lower, node: Node) -> None:
    # A view that had to copy (reshape of a transposed tensor) owns new memory.
    source = state[node.inputs[0]]
    moved = all(state[i].storage != source.storage for i in node.outputs)
    state.emit(node, "copy" if moved else "view", tuple(Ref(i) for i in node.inputs), node.outputs)


@lowers("aten.scatter_add", "aten.index_add")
def _scatter_add(state: Lower, node: Node) -> None:
    source = operand(node, "src", "source")
    args = (node.attrs["self"], node.attrs["index"], source)
    state.emit(node, "scatter_add", args, node.outputs, n=state[source.id].numel)


def _lower_reduction(op: str) -> Lowering:
    def function(state: Lower, node: Node) -> None:
        if isinstance(node.attrs.get("other"), Ref):  # max(a, b) is elementwise
            side = "maximum" if "max" in node.op else "minimum"
            emit_map(state, node, side, (node.attrs["self"], node.attrs["other"]), node.outputs[0])
            return
        if op == "norm2" and node.attrs.get("ord", 2) != 2:
            raise UnknownOp(
                "a norm of an order other than 2 has no count rule; add one in costmodel/graph/layers.py"
            )
        P, N, axes = reduced(state, node)
        state.emit(node, op, (node.attrs["self"],), node.outputs, P=P, N=N, axes=axes, aten=base_name(node.op))

    return function


for _name, _op in REDUCTIONS.items():
    lowers(f"aten.{_name}")(_lower_reduction(_op))


@lowers("aten.cumsum")
def _cumsum(state: Lower, node: Node) -> None:
    P, N, axes = reduced(state, node)
    state.emit(node, "cumsum", (node.attrs["self"],), node.outputs, P=P, N=N, axes=axes)


@lowers("aten.topk", "aten.sort")
def _topk(state: Lower, node: Node) -> None:
    # A sort is the selection of all.
    x = state[node.attrs["self"].id]
    N = x.shape[operand(node, "dim") if operand(node, "dim") is not None else -1]
    state.emit(node, "topk", (node.attrs["self"],), node.outputs, P=x.numel // N, N=N, K=node.attrs.get("k", N))
