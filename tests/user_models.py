"""Models that a user might hand over as `tests.user_models:function`."""

from __future__ import annotations

from typing import Any

import torch


class Odd(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.linalg.svdvals(x)


class Broken(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("first line\nsecond line")


def linear() -> tuple[torch.nn.Module, Any]:
    return torch.nn.Linear(3, 4), torch.zeros(2, 3)


def odd() -> tuple[torch.nn.Module, Any]:
    return Odd(), (torch.zeros(3, 3),)


def broken() -> tuple[torch.nn.Module, Any]:
    return Broken(), (torch.zeros(3, 3),)


def nothing() -> int:
    return 3


def distilbert() -> tuple[torch.nn.Module, Any]:
    from transformers import DistilBertConfig, DistilBertForSequenceClassification

    torch.manual_seed(0)
    config = DistilBertConfig(
        vocab_size=50, max_position_embeddings=32, n_layers=1, n_heads=2, dim=16, hidden_dim=24, num_labels=3
    )
    return DistilBertForSequenceClassification(config), {"input_ids": torch.zeros(1, 4, dtype=torch.long)}
