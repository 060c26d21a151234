"""The attention mechanisms, for any transformers model that uses `AttentionInterface`.

q [B,H,M,d], k [B,G,N,d], v [B,G,N,D] with G groups of heads (G = H without grouped queries).
`keep` [B or 1, H or 1, M, N] is True where a key exists for a query: a key beyond it takes no part in
sums, means or numbers of keys. `bias` is added to similarities and taken from distances.

Formulas: section headers below; sources in `models.mechanisms.MECHANISMS`.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.masking_utils import sdpa_mask

from models.attention.kernels import l1_distance, relu_sum, soft_threshold_sum
from models.attention.mechanisms import MECHANISMS, Mechanism
from models.errors import ModelError

CORE = "attention_core"  # name of the submodule that holds a mechanism, in every attention module


# Shared steps


def fold_groups(q: Tensor, k: Tensor) -> Tensor:
    """Queries of the heads of a group as rows of one matrix: [B,H,M,d] -> [B,G,(H/G) M,d]."""
    B, H, M, d = q.shape
    G = k.shape[1]
    return q if G == H else q.reshape(B, G, H // G * M, d)


def similarities(q: Tensor, k: Tensor) -> Tensor:
    """q k^T [B,H,M,N]."""
    B, H, M, _ = q.shape
    return torch.matmul(fold_groups(q, k), k.transpose(-1, -2)).reshape(B, H, M, k.shape[-2])


def distances(q: Tensor, k: Tensor, implementation: str) -> Tensor:
    """sum_d |q - k| [B,H,M,N]."""
    B, H, M, _ = q.shape
    rows = fold_groups(q, k)
    if implementation == "fast":
        z = l1_distance(rows, k)
    elif implementation == "cdist":
        z = torch.cdist(rows, k, p=1.0)
    else:
        z = (rows[..., :, None, :] - k[..., None, :, :]).abs().sum(-1)
    return z.reshape(B, H, M, k.shape[-2])


def weighted_values(weights: Tensor, v: Tensor) -> Tensor:
    """weights [B,H,M,N] v [B,G,N,D] -> [B,H,M,D]."""
    B, H, M, _ = weights.shape
    return torch.matmul(fold_groups(weights, v), v).reshape(B, H, M, v.shape[-1])


def inhibited_values(v: Tensor, z: Tensor, *, signed: bool, implementation: str) -> Tensor:
    """Values that outlast an inhibition z >= 0, summed over keys: [B,H,M,D].

    Signed: (v+ - z)+ + (v- + z)-, which is v - clip(v, -z, z). Unsigned: (v - z)+.
    """
    B, H, M, _ = z.shape
    rows = fold_groups(z, v)
    if implementation == "fast":
        h = soft_threshold_sum(v, rows) if signed else relu_sum(v, rows)
    else:
        t, w = rows[..., :, :, None], v[..., None, :, :]
        if signed:
            h = (torch.relu(torch.relu(w) - t) + torch.clamp(torch.clamp(w, max=0) + t, max=0)).sum(-2)
        else:
            h = torch.relu(w - t).sum(-2)
    return h.reshape(B, H, M, v.shape[-1])


def key_counts(keep: Tensor | None, z: Tensor) -> Tensor:
    """Number of keys of each query [..,M,1], at least 1; without a mask N, a constant that a trace can see."""
    if keep is None:
        return torch.full((), z.shape[-1], dtype=z.dtype, device=z.device)
    return keep.sum(-1, keepdim=True).clamp(min=1).to(z.dtype)


def normalised(h: Tensor, keep: Tensor | None, z: Tensor, normalise: str) -> Tensor:
    """h divided by n or sqrt n, n the number of keys of each query."""
    if normalise == "none":
        return h
    n = key_counts(keep, z)
    return h / (n if normalise == "n" else n**0.5)


# dot: softmax(scale q k^T) v


def attend_dot(
    q: Tensor, k: Tensor, v: Tensor, keep: Tensor | None, bias: Tensor | None, scale: float | None, dropout: float
) -> Tensor:
    mask = keep
    if bias is not None:
        mask = bias if keep is None else bias.masked_fill(~keep, float("-inf"))
        mask = mask.to(q.dtype)
    grouped = k.shape[1] != q.shape[1]
    h = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout, scale=scale, enable_gqa=grouped)
    return h


# l1-softmax: softmax(-|q - k|_1 / sqrt d) v


def attend_l1_softmax(
    q: Tensor, k: Tensor, v: Tensor, keep: Tensor | None, bias: Tensor | None, implementation: str, dropout: float
) -> Tensor:
    scores = distances(q, k, implementation) * -(q.shape[-1] ** -0.5)
    if bias is not None:
        scores = scores + bias
    if keep is not None:
        scores = scores.masked_fill(~keep, torch.finfo(scores.dtype).min)
    weights = torch.softmax(scores, dim=-1)
    if keep is not None:
        weights = weights.masked_fill(~keep, 0.0)  # a query without keys gets 0, not their mean
    return weighted_values(F.dropout(weights, dropout, training=dropout > 0), v)


# relu: relu(scale q k^T) / n v


def attend_relu(
    q: Tensor, k: Tensor, v: Tensor, keep: Tensor | None, bias: Tensor | None, scale: float | None, dropout: float
) -> Tensor:
    scores = similarities(q, k) * (q.shape[-1] ** -0.5 if scale is None else scale)
    if bias is not None:
        scores = scores + bias
    weights = torch.relu(scores)
    if keep is not None:
        weights = weights.masked_fill(~keep, 0.0)
    weights = weights / key_counts(keep, weights)
    return weighted_values(F.dropout(weights, dropout, training=dropout > 0), v)


# inhibitor-2023: z = (|q - k|_1 / sqrt d - shift)+, then the signed or unsigned sum


def attend_inhibitor_2023(
    q: Tensor, k: Tensor, v: Tensor, keep: Tensor | None, bias: Tensor | None, mechanism: Mechanism
) -> Tensor:
    z = distances(q, k, mechanism.implementation) / q.shape[-1] ** 0.5
    if bias is not None:
        z = torch.relu(z - bias)
    if mechanism.shift:
        z = torch.relu(z - mechanism.shift)
    if keep is not None:
        z = z.masked_fill(~keep, float("inf"))
    signed = mechanism.name.endswith("signed")
    h = inhibited_values(v, z, signed=signed, implementation=mechanism.implementation)
    return normalised(h, keep, z, mechanism.normalise)


# inhibitor: z = (gamma |q - k|_1 / sqrt d - mean - delta)+, then eta times the signed sum


def attend_inhibitor(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    keep: Tensor | None,
    bias: Tensor | None,
    mechanism: Mechanism,
    gamma: Tensor | float,
    delta: Tensor | float,
    eta: Tensor | float,
) -> Tensor:
    """gamma, delta, eta: numbers, or tensors that broadcast with [B,H,M,N]."""
    z = distances(q, k, mechanism.implementation) * (gamma * q.shape[-1] ** -0.5)
    if bias is not None:
        z = z - bias
    if keep is None or mechanism.center_over == "all":
        mean = z.mean(-1, keepdim=True)
    else:
        mean = z.masked_fill(~keep, 0.0).sum(-1, keepdim=True) / key_counts(keep, z)
    z = torch.relu(z - (mean + delta))
    if keep is not None:
        z = z.masked_fill(~keep, float("inf"))
    h = inhibited_values(v, z, signed=True, implementation=mechanism.implementation)
    return normalised(h * eta, keep, z, mechanism.normalise)


def attend(
    mechanism: Mechanism,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    keep: Tensor | None = None,
    *,
    bias: Tensor | None = None,
    scale: float | None = None,
    dropout: float = 0.0,
    gamma: Tensor | float | None = None,
    delta: Tensor | float | None = None,
    eta: Tensor | float | None = None,
) -> Tensor:
    """Attention output [B,H,M,D] by any mechanism; shapes as in the module docstring.

    Args:
        scale: factor of q k, 1/sqrt d unless given; distances always take 1/sqrt d.
        dropout: of attention weights, for the mechanisms that have weights.
        gamma, delta, eta: of `inhibitor`; the mechanism's initial values unless given.
    """
    if mechanism.name == "dot":
        return attend_dot(q, k, v, keep, bias, scale, dropout)
    if mechanism.name == "relu":
        return attend_relu(q, k, v, keep, bias, scale, dropout)
    if mechanism.name == "l1-softmax":
        return attend_l1_softmax(q, k, v, keep, bias, mechanism.implementation, dropout)
    if mechanism.name != "inhibitor":
        return attend_inhibitor_2023(q, k, v, keep, bias, mechanism)
    gamma = mechanism.gamma if gamma is None else gamma
    delta = mechanism.delta if delta is None else delta
    eta = mechanism.eta if eta is None else eta
    return attend_inhibitor(q, k, v, keep, bias, mechanism, gamma, delta, eta)


# A mechanism within a model


class AttentionCore(nn.Module):
    """A mechanism with its learnable parameters, a submodule of an attention module."""

    def __init__(self, mechanism: Mechanism, heads: int) -> None:
        super().__init__()
        self.mechanism = mechanism
        if mechanism.name == "inhibitor":
            shape = (heads, 1, 1) if mechanism.per_head else (1, 1, 1)
            self.gamma = nn.Parameter(torch.full(shape, mechanism.gamma))
            self.delta = nn.Parameter(torch.full(shape, mechanism.delta))
            self.eta = nn.Parameter(torch.full(shape, mechanism.eta))

    def forward(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        keep: Tensor | None,
        bias: Tensor | None,
        scale: float | None,
        dropout: float,
    ) -> Tensor:
        learned = dict(self.named_parameters())
        return attend(self.mechanism, q, k, v, keep, bias=bias, scale=scale, dropout=dropout, **learned)

    def extra_repr(self) -> str:
        return str(self.mechanism)


def split_mask(mask: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
    """A mask of transformers as `keep` and `bias`: booleans keep; floats near their minimum exclude."""
    if mask is None or mask.dtype == torch.bool:
        return mask, None
    keep = mask > torch.finfo(mask.dtype).min / 2
    return keep, mask.masked_fill(~keep, 0.0)


def interface_of(name: str) -> Any:
    """The function that transformers calls for `attn_implementation=name`."""
    default = Mechanism(name)

    def forward(
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        scaling: float | None = None,
        dropout: float = 0.0,
        is_causal: bool | None = None,
        position_bias: Tensor | None = None,
        softcap: float | None = None,
        s_aux: Tensor | None = None,
        **_: Any,  # arguments of other implementations, as transformers' own functions ignore them
    ) -> tuple[Tensor, None]:
        if softcap is not None or s_aux is not None:
            raise ModelError(
                f"attention {name!r} has no soft cap or sinks, which {type(module).__name__} asks for"
            )
        keep, bias = split_mask(attention_mask)
        M, N = query.shape[-2], key.shape[-2]
        causal = getattr(module, "is_causal", False) if is_causal is None else is_causal
        if keep is None and causal and M > 1:
            keep = torch.ones(M, N, dtype=torch.bool, device=query.device).tril(N - M)[None, None]
        if position_bias is not None:
            bias = position_bias if bias is None else bias + position_bias
        core = getattr(module, CORE, None)
        if core is None:
            h = attend(default, query, key, value, keep, bias=bias, scale=scaling, dropout=dropout)
        else:
            h = core(query, key, value, keep, bias, scaling, dropout)
        return h.transpose(1, 2).contiguous(), None

    return forward


def explicit_mask(*args: Any, **kwargs: Any) -> Tensor | None:
    """transformers' boolean mask, never left to an `is_causal` flag."""
    kwargs["allow_is_causal_skip"] = False
    return sdpa_mask(*args, **kwargs)


for _name in MECHANISMS:
    AttentionInterface.register(_name, interface_of(_name))
    AttentionMaskInterface.register(_name, explicit_mask)


def attention_modules(model: nn.Module) -> dict[str, nn.Module]:
    """The modules of a model that call `AttentionInterface`, by name: the code of `forward` says so."""

    def calls_interface(module: nn.Module) -> bool:
        code = getattr(type(module).forward, "__code__", None)
        return code is not None and "ALL_ATTENTION_FUNCTIONS" in code.co_names

    return {name: module for name, module in model.named_modules() if calls_interface(module)}


def heads_of(module: nn.Module) -> int:
    for holder in (module, getattr(module, "config", None)):
        for name in ("num_heads", "n_heads", "num_attention_heads", "n_head"):
            heads = getattr(holder, name, None)
            if isinstance(heads, int):
                return heads
    raise ModelError(f"cannot tell the number of heads of {type(module).__name__}")


def install(model: PreTrainedModel, mechanism: Mechanism) -> PreTrainedModel:
    """Give every attention module of a model the mechanism; returns the same model.

    The parameters of the mechanism are part of the model's state from now on, and the mechanism is
    part of its configuration, so that `save_pretrained` keeps both.

    Raises:
        ModelError: the model does not use `AttentionInterface`.
    """
    sites = attention_modules(model)
    if not sites:
        raise ModelError(
            f"{type(model).__name__} does not use transformers' AttentionInterface; "
            "its attention cannot be changed"
        )
    weight = next(model.parameters())
    for module in sites.values():
        core = AttentionCore(mechanism, heads_of(module)).to(dtype=weight.dtype)
        core.to_empty(device="meta") if weight.is_meta else core.to(weight.device)
        core.train(model.training)
        setattr(module, CORE, core)
    model.set_attn_implementation(mechanism.name)
    model.config.attention_mechanism = asdict(mechanism)
    return model
