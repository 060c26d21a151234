"""The attention formulas as loops over single numbers, for one head of one row."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from costmodel.ops.registry import enter
from models.attention.mechanisms import Mechanism


def pos(x: float) -> float:
    return max(x, 0.0)


def neg(x: float) -> float:
    return min(x, 0.0)


def l1(a: Tensor, b: Tensor) -> float:
    return sum(abs(float(x) - float(y)) for x, y in zip(a, b, strict=True))


def dot(a: Tensor, b: Tensor) -> float:
    return sum(float(x) * float(y) for x, y in zip(a, b, strict=True))


def softmax(scores: list[float]) -> list[float]:
    top = max(scores)
    raised = [math.exp(s - top) for s in scores]
    return [r / sum(raised) for r in raised]


RowLoop = Callable[[Mechanism, Tensor, Tensor, Tensor, list[int]], list[float]]
ROWS: dict[str, RowLoop] = {}


def row_loop(*names: str) -> Callable[[RowLoop], RowLoop]:
    """Register a loop over the keys that exist, for more mechanisms than `attend_row` knows."""
    return enter(ROWS, "row loop of", *names)


def attend_row(m: Mechanism, q: Tensor, k: Tensor, v: Tensor, keep: list[bool]) -> list[float]:
    """One query q [d] against k [N,d], v [N,D]; `keep` says which keys exist."""
    root = math.sqrt(len(q))
    keys = [j for j, exists in enumerate(keep) if exists]
    width = v.shape[1]
    if not keys:
        return [0.0] * width
    if m.name in ROWS:
        return ROWS[m.name](m, q, k, v, keys)
    value = [[float(v[j, c]) for c in range(width)] for j in range(len(k))]
    if m.name in ("dot", "l1-softmax", "relu"):
        if m.name == "l1-softmax":
            weights = softmax([-l1(q, k[j]) / root for j in keys])
        elif m.name == "dot":
            weights = softmax([dot(q, k[j]) / root for j in keys])
        else:
            weights = [pos(dot(q, k[j]) / root) / len(keys) for j in keys]
        return [sum(w * value[j][c] for w, j in zip(weights, keys, strict=True)) for c in range(width)]
    if m.name == "inhibitor":
        distance = [m.gamma / root * l1(q, k[j]) for j in range(len(k))]
        among = keys if m.center_over == "valid" else list(range(len(k)))
        mean = sum(distance[j] for j in among) / len(among)
        z = {j: pos(distance[j] - mean - m.delta) for j in keys}
    else:
        z = {j: l1(q, k[j]) / root for j in keys}
        if m.shift:
            z = {j: pos(z[j] - m.shift) for j in keys}
    if m.name == "inhibitor-2023":
        h = [sum(pos(value[j][c] - z[j]) for j in keys) for c in range(width)]
    else:
        h = [sum(pos(pos(value[j][c]) - z[j]) + neg(neg(value[j][c]) + z[j]) for j in keys) for c in range(width)]
    scale = m.eta if m.name == "inhibitor" else 1.0
    divisor = {"none": 1.0, "sqrt": math.sqrt(len(keys)), "n": float(len(keys))}[m.normalise]
    return [x * scale / divisor for x in h]


def attend(m: Mechanism, q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
    """q [B,H,M,d], k [B,G,N,d], v [B,G,N,D], keep [B,H,M,N] -> [B,H,M,D]."""
    B, H, M, _ = q.shape
    share = H // k.shape[1]
    out = torch.zeros(B, H, M, v.shape[-1], dtype=torch.float64)
    for b in range(B):
        for h in range(H):
            for i in range(M):
                row = attend_row(m, q[b, h, i], k[b, h // share], v[b, h // share], keep[b, h, i].tolist())
                out[b, h, i] = torch.tensor(row, dtype=torch.float64)
    return out
