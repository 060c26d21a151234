"""Lowerings of layers: products, convolutions, norms, softmax and pooling."""

from __future__ import annotations

from math import prod
from typing import Any

from costmodel.errors import UnknownOp
from costmodel.graph.ir import Node, Ref
from costmodel.graph.lowerings import Lower, as_matrix, emit_matmul, lowers

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


@lowers("aten.mm", "aten.bmm", "aten.matmul", "aten.mv", "aten.dot")
def _matmul(state: Lower, node: Node) -> None:
    a, b = node.inputs
    emit_matmul(state, node, as_matrix(state, node, a, 0), as_matrix(state, node, b, 1))


@lowers("aten.addmm", "aten.baddbmm")
def _addmm(state: Lower, node: Node) -> None:
    if node.attrs.get("beta", 1) != 1 or node.attrs.get("alpha", 1) != 1:
        raise UnknownOp(
            "addmm with alpha or beta other than 1 has no count rule; add one in costmodel/graph/layers.py"
        )
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
        raise UnknownOp("transposed convolution has no count rule; add one in costmodel/graph/layers.py")
    weight, bias = state[node.attrs["weight"].id], node.attrs.get("bias")
    args = (node.attrs["input"], node.attrs["weight"], bias)
    kept = {k: node.attrs[k] for k in ("stride", "padding", "dilation", "groups")}
    P, K = state[node.outputs[0]].numel, prod(weight.shape[1:])
    state.emit(node, "conv", args, node.outputs, P=P, K=K, bias=int(bias is not None), **kept)


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
