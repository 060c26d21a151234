"""The formulas of the attention mechanisms, each a function of one call.

To add one, name it in `mechanisms.py`, write its formula here under `@attends(NAME)`, and its scalar loop in
`tests/witness/naive.py`.

q [B,H,M,d], k [B,G,N,d], v [B,G,N,D] with G groups of heads (G = H without grouped queries).
`keep` [B or 1, H or 1, M, N] is True where a key exists for a query: a key beyond it takes no part in
sums, means or numbers of keys. `bias` is added to similarities and taken from distances.

Formulas: section headers below; sources in `mechanisms.MECHANISMS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from models.attention.kernels import l1_distance, relu_sum, soft_threshold_sum
from models.attention.mechanisms import MECHANISMS, Mechanism


@dataclass(frozen=True)
class Call:
    """What a formula is given; shapes as in the module docstring."""

    mechanism: Mechanism
    q: Tensor
    k: Tensor
    v: Tensor
    keep: Tensor | None
    bias: Tensor | None
    scale: float | None  # of q k, 1/sqrt d unless given; distances always take 1/sqrt d
    dropout: float  # of attention weights, for the mechanisms that have weights
    # Of what a mechanism learns, by name: numbers, or tensors that broadcast with [B,H,M,N].
    learned: Mapping[str, Tensor | float] = field(default_factory=dict)


Formula = Callable[[Call], Tensor]
FORMULAS: dict[str, Formula] = {}


def attends(*names: str) -> Callable[[Formula], Formula]:
    """Register a function as the formula of some mechanisms, which `MECHANISMS` must have.

    Raises:
        ValueError: one of them has a formula, or is not known.
    """

    def register(function: Formula) -> Formula:
        for name in names:
            if name in FORMULAS or name not in MECHANISMS:
                what = "a formula already" if name in FORMULAS else "no entry in MECHANISMS"
                raise ValueError(f"attention {name!r} has {what}")
            FORMULAS[name] = function
        return function

    return register


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


@attends("dot")
def attend_dot(call: Call) -> Tensor:
    mask = call.keep
    if call.bias is not None:
        mask = call.bias if call.keep is None else call.bias.masked_fill(~call.keep, float("-inf"))
        mask = mask.to(call.q.dtype)
    return F.scaled_dot_product_attention(
        call.q,
        call.k,
        call.v,
        attn_mask=mask,
        dropout_p=call.dropout,
        scale=call.scale,
        enable_gqa=call.k.shape[1] != call.q.shape[1],
    )


# l1-softmax: softmax(-|q - k|_1 / sqrt d) v


@attends("l1-softmax")
def attend_l1_softmax(call: Call) -> Tensor:
    keep = call.keep
    scores = distances(call.q, call.k, call.mechanism.implementation) * -(call.q.shape[-1] ** -0.5)
    if call.bias is not None:
        scores = scores + call.bias
    if keep is not None:
        scores = scores.masked_fill(~keep, torch.finfo(scores.dtype).min)
    weights = torch.softmax(scores, dim=-1)
    if keep is not None:
        weights = weights.masked_fill(~keep, 0.0)  # a query without keys gets 0, not their mean
    return weighted_values(F.dropout(weights, call.dropout, training=call.dropout > 0), call.v)


# relu: relu(scale q k^T) / n v


@attends("relu")
def attend_relu(call: Call) -> Tensor:
    scores = similarities(call.q, call.k) * (call.q.shape[-1] ** -0.5 if call.scale is None else call.scale)
    if call.bias is not None:
        scores = scores + call.bias
    weights = torch.relu(scores)
    if call.keep is not None:
        weights = weights.masked_fill(~call.keep, 0.0)
    weights = weights / key_counts(call.keep, weights)
    return weighted_values(F.dropout(weights, call.dropout, training=call.dropout > 0), call.v)


# inhibitor-2023: z = (|q - k|_1 / sqrt d - shift)+, then the signed or unsigned sum


@attends("inhibitor-2023", "inhibitor-2023-signed")
def attend_inhibitor_2023(call: Call) -> Tensor:
    mechanism, keep = call.mechanism, call.keep
    z = distances(call.q, call.k, mechanism.implementation) / call.q.shape[-1] ** 0.5
    if call.bias is not None:
        z = torch.relu(z - call.bias)
    if mechanism.shift:
        z = torch.relu(z - mechanism.shift)
    if keep is not None:
        z = z.masked_fill(~keep, float("inf"))
    signed = mechanism.name.endswith("signed")
    h = inhibited_values(call.v, z, signed=signed, implementation=mechanism.implementation)
    return normalised(h, keep, z, mechanism.normalise)


# inhibitor: z = (gamma |q - k|_1 / sqrt d - mean - delta)+, then eta times the signed sum


@attends("inhibitor")
def attend_inhibitor(call: Call) -> Tensor:
    mechanism, keep = call.mechanism, call.keep
    gamma, delta, eta = (call.learned[name] for name in ("gamma", "delta", "eta"))
    z = distances(call.q, call.k, mechanism.implementation) * (gamma * call.q.shape[-1] ** -0.5)
    if call.bias is not None:
        z = z - call.bias
    if keep is None or mechanism.center_over == "all":
        mean = z.mean(-1, keepdim=True)
    else:
        mean = z.masked_fill(~keep, 0.0).sum(-1, keepdim=True) / key_counts(keep, z)
    z = torch.relu(z - (mean + delta))
    if keep is not None:
        z = z.masked_fill(~keep, float("inf"))
    h = inhibited_values(call.v, z, signed=True, implementation=mechanism.implementation)
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
    learned: Mapping[str, Tensor | float] | None = None,
) -> Tensor:
    """Attention output [B,H,M,D] by any mechanism; arguments as in `Call`.

    Args:
        learned: what the mechanism learns, by name; its initial values unless given.
    """
    names = MECHANISMS[mechanism.name].learned
    values = {name: getattr(mechanism, name) for name in names} | dict(learned or {})
    return FORMULAS[mechanism.name](Call(mechanism, q, k, v, keep, bias, scale, dropout, values))
