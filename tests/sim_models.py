"""Small models for the simulator's tests: weights, ids with padding, graphs of any size."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from transformers import DistilBertConfig, DistilBertForSequenceClassification, DistilBertModel

from costmodel.graph.canonical import canonicalise
from costmodel.graph.ir import Graph
from costmodel.graph.lowering import lower
from costmodel.graph.tracing import trace
from models.attention.cores import install
from models.attention.mechanisms import parse_mechanism

# A spelling of every mechanism, and of every option that changes what is computed.
SPELLINGS = (
    "dot",
    "inhibitor",
    "inhibitor:per_head=true,normalise=sqrt",
    "inhibitor:normalise=n,gamma=0.7,delta=0.3,eta=1.4",
    "inhibitor:center_over=all",
    "inhibitor-2023",
    "inhibitor-2023:normalise=n",
    "inhibitor-2023-signed:shift=0.2,normalise=sqrt",
    "l1-softmax",
    "relu",
)


@dataclass(frozen=True)
class Model:
    module: Any
    weights: dict[str, np.ndarray]
    all_keys: bool

    def graph(self, B: int, S: int) -> Graph:
        ids = torch.zeros(B, S, dtype=torch.long)
        return canonicalise(lower(trace(self.module, {"input_ids": ids}, device="cpu")))

    def forward(self, ids: np.ndarray, keep: np.ndarray | None) -> np.ndarray:
        mask = None if keep is None else torch.from_numpy(keep.astype(np.int64))
        with torch.no_grad():
            out = self.module(input_ids=torch.from_numpy(ids), attention_mask=mask)
        return (out.logits if hasattr(out, "logits") else out.last_hidden_state).numpy()


@cache
def model_of(
    spelling: str, dim: int = 16, heads: int = 2, ffn: int = 24, layers: int = 2, head: bool = False
) -> Model:
    """A DistilBERT with weights large enough that every part matters."""
    config = DistilBertConfig(
        vocab_size=50,
        max_position_embeddings=40,
        n_layers=layers,
        n_heads=heads,
        dim=dim,
        hidden_dim=ffn,
        num_labels=3,
    )
    torch.manual_seed(0)
    kind = DistilBertForSequenceClassification if head else DistilBertModel
    module = install(kind(config), parse_mechanism(spelling))
    for name, weight in module.named_parameters():
        if "core" in name:
            with torch.no_grad():
                weight.mul_(torch.rand_like(weight) * 0.5 + 0.75)
        elif weight.ndim == 2:
            torch.nn.init.normal_(weight, std=0.3 if "lin" in name else 0.5)
        else:
            with torch.no_grad():
                weight.add_(torch.randn_like(weight) * 0.1)
    module = module.double().eval()
    weights = {name: tensor.detach().numpy() for name, tensor in module.state_dict(keep_vars=False).items()}
    weights |= {name: tensor.numpy() for name, tensor in module.named_buffers()}
    return Model(module, weights, "center_over=all" in spelling)


def padded_ids(B: int, S: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Ids [B,S] and which of them exist: the first row is full."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(1, 50, (B, S))
    lengths = np.array([S, *rng.integers(1, S + 1, B - 1)])
    keep = np.arange(S) < lengths[:, None]
    return np.where(keep, ids, 0), keep
