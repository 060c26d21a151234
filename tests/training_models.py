"""What is trained in tests: classifiers of 16 channels, and batches of a few rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from transformers import DistilBertConfig, DistilBertForSequenceClassification

from models.attention.cores import install
from models.attention.mechanisms import parse_mechanism
from models.training.batches import Batch, Rows

STUDENT = "inhibitor:per_head=true,normalise=sqrt"
QUERY = "distilbert.transformer.layer.0.attention.q_lin.weight"


def tiny(attention: str = "dot", seed: int = 0, labels: int = 2) -> Any:
    """A classifier whose weights are large enough that layers do something."""
    torch.manual_seed(seed)
    config = DistilBertConfig(n_layers=2, n_heads=2, dim=16, hidden_dim=32, max_position_embeddings=64)
    config.num_labels = labels
    model = install(DistilBertForSequenceClassification(config), parse_mechanism(attention))
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.dim() == 2:
                p.normal_(0, 1.0 if ".embeddings." in name else 0.3)
    return model.eval()


def weights(model: Any) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def batch_of(lengths: tuple[int, ...] = (5, 9, 3, 7), seed: int = 0) -> Batch:
    rng = np.random.default_rng(seed)
    rows = Rows([rng.integers(999, 2000, n).tolist() for n in lengths], [i % 2 for i in range(len(lengths))])
    return rows.batch(range(len(lengths)))
