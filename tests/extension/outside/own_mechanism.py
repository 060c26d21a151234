"""An attention mechanism: weights cosh(q k / sqrt d) / n."""

import math

import torch
from torch import Tensor

from models.attention.formulas import Call, attends, key_counts, similarities, weighted_values
from models.attention.mechanisms import Mechanism, add_mechanism
from tests.witness.naive import dot, row_loop

# models/attention/mechanisms.py
add_mechanism("cosh", "cosh(q k / sqrt d) / n v")


# models/attention/formulas.py
@attends("cosh")
def attend_cosh(call: Call) -> Tensor:
    scale = call.q.shape[-1] ** -0.5 if call.scale is None else call.scale
    scores = similarities(call.q, call.k) * scale
    if call.bias is not None:
        scores = scores + call.bias
    weights = torch.cosh(scores)
    if call.keep is not None:
        weights = weights.masked_fill(~call.keep, 0.0)
    return weighted_values(weights / key_counts(call.keep, weights), call.v)


# tests/witness/naive.py
@row_loop("cosh")
def cosh_row(m: Mechanism, q: Tensor, k: Tensor, v: Tensor, keys: list[int]) -> list[float]:
    weights = [math.cosh(dot(q, k[j]) / math.sqrt(len(q))) / len(keys) for j in keys]
    return [sum(w * float(v[j, c]) for w, j in zip(weights, keys, strict=True)) for c in range(v.shape[1])]
