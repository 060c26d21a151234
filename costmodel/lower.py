"""aten calls to our ops. The only file that knows aten.

A traced call becomes nodes of the closed op set, with the dims that its count rule takes and the
operands in the order of its reference loop. Views become free `view` nodes: their output is an
alias. To teach it a call, add its name to a table or write a function under `@lowers`. It is long
because aten is: half of it are tables of names, the rest is one short function a call.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod
from typing import Any

from costmodel.errors import UnknownOp
from costmodel.graph import Graph, Node, Ref, Value, refs
from costmodel.ops import UNKNOWN

# fmt: off
VIEWS = (
    "view", "_unsafe_view", "reshape", "alias", "transpose", "permute", "t", "expand", "expand_as",
    "unsqueeze", "squeeze", "select", "slice", "split", "split_with_sizes", "chunk", "unbind", "narrow",
    "as_strided", "detach", "diagonal", "unfold", "lift_fresh", "movedim", "_reshape_alias", "view_as_real",
    "view_as_complex", "unsafe_split", "unsafe_chunk", "real", "imag",
)
# fmt: on

# aten name -> our op, for calls that act on elements one by one. Operands: the first ones named.
UNARY = {
    "neg": "neg",
    "abs": "abs",
    "relu": "relu",
    "exp": "exp",
    "log": "log",
    "log1p": "log1p",
    "expm1": "expm1",
    "erf": "erf",
    "tanh": "tanh",
    "sin": "sin",
    "cos": "cos",
    "sqrt": "sqrt",
    "rsqrt": "rsqrt",
    "reciprocal": "reciprocal",
    "square": "square",
    "sigmoid": "sigmoid",
    "silu": "silu",
    "sign": "sign",
    "sgn": "sign",
    "elu": "elu",
    "leaky_relu": "leaky_relu",
    "hardsigmoid": "hardsigmoid",
    "hardswish": "hardswish",
    "hardtanh": "clip",
    "relu6": "clip",
    "floor": "round",
    "ceil": "round",
    "round": "round",
    "trunc": "round",
    "logical_not": "logic",
    "bitwise_not": "logic",
    "isnan": "compare",
    "isinf": "compare",
}
BINARY = {
    "mul": "mul",
    "div": "div",
    "true_divide": "div",
    "floor_divide": "div",
    "remainder": "remainder",
    "fmod": "remainder",
    "minimum": "minimum",
    "maximum": "maximum",
    "eq": "compare",
    "ne": "compare",
    "lt": "compare",
    "le": "compare",
    "gt": "compare",
    "ge": "compare",
    "logical_and": "logic",
    "logical_or": "logic",
    "logical_xor": "logic",
    "bitwise_and": "logic",
    "bitwise_or": "logic",
    "bitwise_xor": "logic",
    "__and__": "logic",
    "__or__": "logic",
    "__xor__": "logic",
}
# Calls that only move or make bytes.
MOVES = {
    "clone": "copy",
    "copy": "copy",
    "contiguous": "copy",
    "_to_copy": "cast",
    "cat": "concat",
    "stack": "concat",
    "embedding": "gather",
    "index": "gather",
    "gather": "gather",
    "index_select": "gather",
    "take_along_dim": "gather",
    "index_put": "scatter",
    "scatter": "scatter",
    "index_copy": "scatter",
    "masked_scatter": "scatter",
    "zeros": "fill",
    "ones": "fill",
    "full": "fill",
    "empty": "fill",
    "empty_strided": "fill",
    "arange": "fill",
    "scalar_tensor": "fill",
    "zeros_like": "fill",
    "ones_like": "fill",
    "full_like": "fill",
    "empty_like": "fill",
    "new_zeros": "fill",
    "new_ones": "fill",
    "new_full": "fill",
    "new_empty": "fill",
    "fill": "fill",
    "zero": "fill",
    "eye": "fill",
    "linspace": "fill",
    "constant_pad_nd": "pad",
    "reflection_pad1d": "pad",
    "roll": "permute_copy",
    "flip": "permute_copy",
    "repeat": "permute_copy",
    "repeat_interleave": "permute_copy",
    "pixel_shuffle": "permute_copy",
    "where": "select",
    "masked_fill": "select",
    "tril": "select",
    "triu": "select",
    "one_hot": "select",
    "any": "logic",
    "all": "logic",
}
REDUCTIONS = {
    "sum": "sum",
    "mean": "mean",
    "amax": "extremum",
    "amin": "extremum",
    "max": "extremum",
    "min": "extremum",
    "argmax": "extremum",
    "argmin": "extremum",
    "prod": "product",
    "var": "variance",
    "linalg_vector_norm": "norm2",
}

Lowering = Callable[["Lower", Node], None]
LOWERINGS: dict[str, Lowering] = {}


def lowers(*names: str) -> Callable[[Lowering], Lowering]:
    def register(function: Lowering) -> Lowering:
        for name in names:
            LOWERINGS[name] = function
        return function

    return register


class Lower:
    """The graph under construction: the traced values, new ones, and the nodes so far."""

    def __init__(self, graph: Graph, as_run: bool) -> None:
        self.values = list(graph.values)
        self.nodes: list[Node] = []
        self.as_run = as_run

    def __getitem__(self, i: int) -> Value:
        return self.values[i]

    def emit(self, source: Node, op: str, args: tuple[Any, ...], outputs: tuple[int, ...], **dims: Any) -> None:
        """Append a node. `args` are its operands in order: `Ref`s and numbers."""
        inputs = tuple(i for arg in args for i in refs(arg))
        self.nodes.append(Node(op, inputs, outputs, {"args": args, **dims}, source.module))

    def temp(self, shape: tuple[int, ...], dtype: str) -> int:
        """A new dense value."""
        i = len(self.values)
        self.values.append(Value(i, shape, dtype, "temp", i, dense_stride(shape)))
        return i

    def share(self, of: int) -> int:
        """A new value in the memory of another, of the same shape."""
        self.values.append(replace(self.values[of], id=len(self.values)))
        return len(self.values) - 1

    def alias(self, source: Node, of: int, shape: tuple[int, ...], stride: tuple[int, ...]) -> int:
        """A new view of a value, made by a free node."""
        if (self.values[of].shape, self.values[of].stride) == (shape, stride):
            return of
        i = len(self.values)
        old = self.values[of]
        self.values.append(replace(old, id=i, shape=shape, stride=stride, kind="temp", name=""))
        self.emit(source, "view", (Ref(of),), (i,))
        return i

    def transpose(self, source: Node, of: int) -> int:
        """A view with the last two dims swapped."""
        s, t = self.values[of].shape, self.values[of].stride
        return self.alias(source, of, (*s[:-2], s[-1], s[-2]), (*t[:-2], t[-1], t[-2]))


def dense_stride(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(prod(shape[i + 1 :]) for i in range(len(shape)))


def lower(graph: Graph, *, as_run: bool = False, allow_unknown: bool = False) -> Graph:
    """The same computation in our ops.

    Args:
        as_run: keep what the kernels execute, where that differs from the mathematics.
        allow_unknown: let an unknown call through as op `unknown` and list it in `Graph.unknown`.

    Raises:
        UnknownOp: a call without a lowering, with its shapes, module and the file to edit.
    """
    state = Lower(graph, as_run)
    unknown: dict[str, None] = {}
    for node in graph.nodes:
        function = LOWERINGS.get(base_name(node.op))
        if function is not None:
            function(state, node)
            continue
        shapes = ", ".join(str(graph.values[i]) for i in node.inputs)
        where = f"{node.op}({shapes}) in module {node.module or '(top)'}"
        if not allow_unknown:
            raise UnknownOp(f"no count rule for {where}; add one in costmodel/lower.py, or pass --allow-unknown")
        unknown[where] = None
        state.emit(node, UNKNOWN, tuple(Ref(i) for i in node.inputs), node.outputs, name=node.op)
    lowered = replace(graph, values=tuple(state.values), nodes=tuple(state.nodes), unknown=tuple(unknown))
    return lowered.verify()


def base_name(op: str) -> str:
    """`aten.add_.Tensor` -> `aten.add`: without overload and in-place mark."""
    namespace, name = op.split(".")[:2]
    inplace = name.endswith("_") and not name.endswith("__")
    return f"{namespace}.{name[:-1] if inplace else name}"


def operand(node: Node, *names: str) -> Any:
    """The first argument of that name: a `Ref`, a number, or None."""
    for name in names:
        if name in node.attrs:
            return node.attrs[name]
    return None


# Elementwise


def _lower_elementwise(op: str, names: tuple[str, ...]) -> Lowering:
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
    lowers(f"aten.{_name}")(_lower_elementwise(_op, ("self",)))
for _name, _op in BINARY.items():
    lowers(f"aten.{_name}")(_lower_elementwise(_op, ("self", "other")))


def emit_map(state: Lower, node: Node, op: str, args: tuple[Any, ...], output: int | None = None) -> int:
    """An elementwise node; without `output`, into a new value of the shape of the node's output."""
    final = state[node.outputs[0]]
    made = state.temp(final.shape, final.dtype) if output is None else output
    state.emit(node, op, args, (made,), n=final.numel)
    return made


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
        raise UnknownOp("softplus with beta other than 1 has no count rule; add one in costmodel/lower.py")
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


# Reductions


def reduced(state: Lower, node: Node) -> tuple[int, int, tuple[int, ...]]:
    """Outputs, terms of each, and the dims summed over."""
    x = state[node.attrs["self"].id]
    dims = operand(node, "dim")
    dims = (dims,) if isinstance(dims, int) else dims
    axes = tuple(d % len(x.shape) for d in dims) if dims else tuple(range(len(x.shape)))
    N = prod(x.shape[d] for d in axes)
    return (x.numel // N if N else 0), N, axes


def _lower_reduction(op: str) -> Lowering:
    def function(state: Lower, node: Node) -> None:
        if isinstance(node.attrs.get("other"), Ref):  # max(a, b) is elementwise
            side = "maximum" if "max" in node.op else "minimum"
            emit_map(state, node, side, (node.attrs["self"], node.attrs["other"]), node.outputs[0])
            return
        if op == "norm2" and node.attrs.get("ord", 2) != 2:
            raise UnknownOp("a norm of an order other than 2 has no count rule; add one in costmodel/lower.py")
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


# Normalisations


@lowers("aten._softmax", "aten._safe_softmax", "aten.softmax", "aten._log_softmax")
def _softmax(state: Lower, node: Node) -> None:
    x = state[node.attrs["self"].id]
    axis = node.attrs["dim"] % len(x.shape)
    N = x.shape[axis]
    op = "log_softmax" if "log" in node.op else "softmax"
    state.emit(node, op, (node.attrs["self"],), node.outputs, P=x.numel // N, N=N, axis=axis)


def weights(node: Node) -> tuple[Any, Any, dict[str, int]]:
    """Weight and bias of a normalisation, and the flags of its rule."""
    weight, bias = node.attrs.get("weight"), node.attrs.get("bias")
    return weight, bias, {"weight": int(weight is not None), "bias": int(bias is not None)}


@lowers("aten.native_layer_norm", "aten.layer_norm")
def _layer_norm(state: Lower, node: Node) -> None:
    x = state[node.attrs["input"].id]
    weight, bias, flags = weights(node)
    N = prod(node.attrs["normalized_shape"])
    args = (node.attrs["input"], weight, bias)
    eps = node.attrs.get("eps", 1e-5)
    # Its other outputs, mean and 1/sqrt, are for the backward pass; nothing reads them here.
    state.emit(node, "layer_norm", args, node.outputs[:1], P=x.numel // N, N=N, eps=eps, **flags)


@lowers("aten._fused_rms_norm", "aten.rms_norm")
def _rms_norm(state: Lower, node: Node) -> None:
    x = state[node.attrs["input"].id]
    weight, _, flags = weights(node)
    N = prod(node.attrs["normalized_shape"])
    args = (node.attrs["input"], weight)
    eps = node.attrs.get("eps")
    state.emit(node, "rms_norm", args, node.outputs[:1], P=x.numel // N, N=N, eps=eps, weight=flags["weight"])


@lowers("aten.native_group_norm")
def _group_norm(state: Lower, node: Node) -> None:
    x = state[node.attrs["input"].id]
    weight, bias, flags = weights(node)
    P = x.shape[0] * node.attrs["group"]
    args = (node.attrs["input"], weight, bias)
    state.emit(node, "group_norm", args, node.outputs[:1], P=P, N=x.numel // P, eps=node.attrs["eps"], **flags)


@lowers(
    "aten.native_batch_norm",
    "aten._native_batch_norm_legit_no_training",
    "aten.batch_norm",
    "aten.cudnn_batch_norm",
)
def _batch_norm(state: Lower, node: Node) -> None:
    if node.attrs.get("training"):
        raise UnknownOp("batch norm in training mode has no count rule: trace in eval mode (model.eval())")
    x = state[node.attrs["input"].id]
    weight, bias, flags = weights(node)
    args = (node.attrs["input"], weight, bias, node.attrs["running_mean"], node.attrs["running_var"])
    state.emit(node, "batch_norm", args, node.outputs[:1], n=x.numel, C=x.shape[1], eps=node.attrs["eps"], **flags)


# Products. Operands are views whose last two dims are those of the rule; leading dims broadcast.


def emit_matmul(state: Lower, node: Node, a: int, b: int, bias: Any = None, **marks: Any) -> None:
    """a [..,M,K] @ b [..,K,N] (+ bias). With one b for all, the rows of every batch are rows of one a."""
    output = state[node.outputs[0]] if "output" not in marks else state[marks.pop("output")]
    *_, K, N = state[b].shape
    M = state[a].numel // K if len(state[b].shape) == 2 else state[a].shape[-2]
    args = (Ref(a), Ref(b)) if bias is None else (Ref(a), Ref(b), bias)
    B = output.numel // (M * N) if M * N else 0
    state.emit(node, "matmul", args, (output.id,), B=B, M=M, N=N, K=K, bias=int(bias is not None), **marks)


def as_matrix(state: Lower, node: Node, i: int, axis: int) -> int:
    """A vector as a matrix, its new dim of one at `axis`; anything else as it is."""
    v = state[i]
    if len(v.shape) != 1:
        return i
    shape, stride = ((1, *v.shape), (0, *v.stride)) if axis == 0 else ((*v.shape, 1), (*v.stride, 0))
    return state.alias(node, i, shape, stride)


@lowers("aten.mm", "aten.bmm", "aten.matmul", "aten.mv", "aten.dot")
def _matmul(state: Lower, node: Node) -> None:
    a, b = node.inputs
    emit_matmul(state, node, as_matrix(state, node, a, 0), as_matrix(state, node, b, 1))


@lowers("aten.addmm", "aten.baddbmm")
def _addmm(state: Lower, node: Node) -> None:
    if node.attrs.get("beta", 1) != 1 or node.attrs.get("alpha", 1) != 1:
        raise UnknownOp("addmm with alpha or beta other than 1 has no count rule; add one in costmodel/lower.py")
    bias, a, b = node.inputs
    emit_matmul(state, node, a, b, Ref(bias))


@lowers("aten.linear")
def _linear(state: Lower, node: Node) -> None:
    a = as_matrix(state, node, node.attrs["input"].id, 0)
    b = state.transpose(node, as_matrix(state, node, node.attrs["weight"].id, 0))
    emit_matmul(state, node, a, b, node.attrs.get("bias"))


@lowers("aten.convolution", "aten._convolution")
def _convolution(state: Lower, node: Node) -> None:
    if node.attrs.get("transposed"):
        raise UnknownOp("transposed convolution has no count rule; add one in costmodel/lower.py")
    weight, bias = state[node.attrs["weight"].id], node.attrs.get("bias")
    args = (node.attrs["input"], node.attrs["weight"], bias)
    kept = {k: node.attrs[k] for k in ("stride", "padding", "dilation", "groups")}
    P, K = state[node.outputs[0]].numel, prod(weight.shape[1:])
    state.emit(node, "conv", args, node.outputs, P=P, K=K, bias=int(bias is not None), **kept)


@lowers("aten.scaled_dot_product_attention")
def _sdpa(state: Lower, node: Node) -> None:
    """q [..,H,S,d], k and v [..,G,T,d] with G groups of heads: scores, scale, softmax, values."""
    q, k, v = (state[node.attrs[name].id] for name in ("query", "key", "value"))
    *batch, M, K = q.shape
    N, _D = k.shape[-2], v.shape[-1]
    H = batch[-1] if batch else 1
    groups = k.shape[-3] if len(k.shape) > 2 else 1
    left, right, values = q.id, state.transpose(node, k.id), v.id
    inner: tuple[int, ...] = (*batch, M)
    if groups != H:
        # Heads of a group share its keys: [.., G, H/G, M, K] @ [.., G, 1, K, N].
        inner = (*batch[:-1], groups, H // groups, M)
        left = state.alias(node, left, (*inner, K), split_stride(q.stride, H // groups))
        right = state.alias(node, right, *unsqueeze_group(state[right]))
        values = state.alias(node, values, *unsqueeze_group(v))
    scores = state.temp((*inner, N), q.dtype)
    emit_matmul(state, node, left, right, output=scores, core=True)
    scaled = state.temp((*inner, N), q.dtype)
    scale = node.attrs.get("scale")
    scale = K**-0.5 if scale is None else scale
    state.emit(node, "mul", (Ref(scores), scale), (scaled,), n=state[scaled].numel, core=True)
    mask, causal = node.attrs.get("attn_mask"), bool(node.attrs.get("is_causal"))
    if isinstance(mask, Ref) and state[mask.id].dtype != "bool":
        # A bias of floats is added; if it is only a mask, `canonical.py` folds it.
        biased = state.temp((*inner, N), q.dtype)
        state.emit(node, "add", (Ref(scaled), mask), (biased,), n=state[biased].numel, core=True)
        scaled, mask = biased, None
    if isinstance(mask, Ref) or causal:
        masked = state.share(scaled)
        state.emit(node, "mask", (Ref(scaled), mask), (masked,), causal=causal, core=True)
        scaled = masked
    weights_ = state.temp((*inner, N), q.dtype)
    P = state[weights_].numel // N if N else 0
    state.emit(node, "softmax", (Ref(scaled),), (weights_,), P=P, N=N, axis=len(inner), core=True)
    emit_matmul(state, node, weights_, values, core=True)


def split_stride(stride: tuple[int, ...], size: int) -> tuple[int, ...]:
    """Strides of [.., H, M, K] seen as [.., H/size, size, M, K]."""
    *outer, h, m, k = stride
    return (*outer, h * size, h, m, k)


def unsqueeze_group(value: Value) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Shape and strides of [.., G, M, K] seen as [.., G, 1, M, K]."""
    s, t = value.shape, value.stride
    return (*s[:-2], 1, *s[-2:]), (*t[:-2], 0, *t[-2:])


@lowers(
    "aten._scaled_dot_product_flash_attention_for_cpu",
    "aten._scaled_dot_product_flash_attention",
    "aten._scaled_dot_product_efficient_attention",
    "aten._scaled_dot_product_cudnn_attention",
    "aten._scaled_dot_product_fused_attention_overrideable",
)
def _flash(state: Lower, node: Node) -> None:
    q, k, v = (state[node.attrs[name].id] for name in ("query", "key", "value"))
    args = tuple(Ref(x.id) for x in (q, k, v))
    *batch, M, K = q.shape
    dims = {"B": prod(batch), "M": M, "N": k.shape[-2], "K": K, "D": v.shape[-1]}
    # Its other outputs serve the backward pass.
    state.emit(node, "fused_attention", args, node.outputs[:1], core=True, **dims)


@lowers("inhibitor.l1_distance", "aten._cdist_forward", "aten.cdist")
def _l1(state: Lower, node: Node) -> None:
    if operand(node, "p") not in (None, 1, 1.0):
        raise UnknownOp("cdist with p other than 1 has no count rule; add one in costmodel/lower.py")
    emit_l1(state, node, node.inputs[0], node.inputs[1])


def emit_l1(state: Lower, node: Node, q: int, k: int) -> None:
    """q [..,M,K], k [..,N,K] -> [..,M,N]."""
    M, K = state[q].shape[-2:]
    N = state[k].shape[-2]
    B = state[node.outputs[0]].numel // (M * N) if M * N else 0
    state.emit(node, "l1", (Ref(q), Ref(k)), node.outputs, B=B, M=M, N=N, K=K)


def value_dims(state: Lower, node: Node) -> dict[str, int]:
    """Dims of a sum over keys: v [..,N,D], z [..,M,N] -> [..,M,D]."""
    v, z = (state[i] for i in node.inputs)
    return {"B": prod(z.shape[:-2]), "M": z.shape[-2], "N": z.shape[-1], "D": v.shape[-1]}


@lowers("inhibitor.relu_sum")
def _relu_sum(state: Lower, node: Node) -> None:
    v, z = node.inputs
    state.emit(node, "relu_sum", (Ref(v), Ref(z)), node.outputs, **value_dims(state, node))


@lowers("inhibitor.soft_threshold_sum")
def _soft_threshold_sum(state: Lower, node: Node) -> None:
    v, z = node.inputs
    if state.as_run:
        state.emit(node, "soft_threshold_sum", (Ref(v), Ref(z)), node.outputs, **value_dims(state, node))
    else:
        emit_clip_form(state, node, v, z)


def emit_clip_form(state: Lower, node: Node, v: int, z: int) -> None:
    """sum_j v_j - sum_j clip(v_j, -z, z): what hardware runs for both ReLUs of the signed inhibitor."""
    *batch, N, D = state[v].shape
    output = state[node.outputs[0]]
    summed = state.temp((*batch, 1, D), output.dtype)
    P = prod(batch) * D
    state.emit(node, "sum", (Ref(v),), (summed,), P=P, N=N, axes=(len(batch),), keepdim=True)
    clipped = state.temp(output.shape, output.dtype)
    M = state[z].shape[-2]
    B = output.numel // (M * D)
    state.emit(node, "clip_sum", (Ref(v), Ref(z)), (clipped,), B=B, M=M, N=N, D=D)
    state.emit(node, "sub", (Ref(summed), Ref(clipped)), (output.id,), n=output.numel)


@lowers("aten.max_pool2d_with_indices", "aten.max_pool2d")
def _max_pool(state: Lower, node: Node) -> None:
    K = (
        prod(node.attrs["kernel_size"])
        if len(node.attrs["kernel_size"]) > 1
        else node.attrs["kernel_size"][0] ** 2
    )
    P = state[node.outputs[0]].numel
    state.emit(node, "max_pool", (node.attrs["self"],), node.outputs[:1], P=P, K=K)


@lowers("aten.avg_pool2d", "aten._adaptive_avg_pool2d", "aten.adaptive_avg_pool2d")
def _avg_pool(state: Lower, node: Node) -> None:
    x, y = state[node.attrs["self"].id], state[node.outputs[0]]
    kernel = node.attrs.get("kernel_size")
    if kernel is None:
        kernel = tuple(n // m for n, m in zip(x.shape[-2:], y.shape[-2:], strict=True))
        if any(n % m for n, m in zip(x.shape[-2:], y.shape[-2:], strict=True)):
            raise UnknownOp("adaptive pooling to a size that does not divide has no count rule")
    K = prod(kernel) if len(kernel) > 1 else kernel[0] ** 2
    state.emit(node, "avg_pool", (node.attrs["self"],), node.outputs, P=y.numel, K=K)
