"""Lowerings of attention: torch's fused kernels, and the distances and sums of the inhibitor."""

from __future__ import annotations

from math import prod

from costmodel.errors import UnknownOp
from costmodel.graph.ir import Node, Ref, Value
from costmodel.graph.lowerings import Lower, emit_matmul, lowers, operand


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
        raise UnknownOp("cdist with p other than 1 has no count rule; add one in costmodel/graph/layers.py")
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
