"""Rows of a task as tensors of token ids."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.errors import ModelError
from models.tasks.batches import Array, pad
from models.tasks.data import TASKS, TEXTS, load, load_texts
from models.tasks.scoring import encode_examples
from models.tasks.text import load_tokenizer
from models.training.recipe import TrainConfig


@dataclass(frozen=True)
class Batch:
    """Rows of one step: ids [B,S], which exist [B,S], labels [B]."""

    ids: Tensor
    keep: Tensor
    labels: Tensor


def batch_of(ids: Array, keep: Array, labels: Sequence[float] = ()) -> Batch:
    """Arrays as tensors; without labels where nothing is learned."""
    return Batch(torch.from_numpy(ids), torch.from_numpy(keep), torch.tensor(labels))


@dataclass(frozen=True)
class Rows:
    """Token ids and labels of a split."""

    ids: list[list[int]]
    labels: list[Any]

    def batch(self, chosen: Sequence[int]) -> Batch:
        ids, keep = pad([self.ids[i] for i in chosen])
        return batch_of(ids, keep, [self.labels[i] for i in chosen])

    def digest(self) -> str:
        return hashlib.sha256(json.dumps([self.ids, self.labels]).encode()).hexdigest()[:16]


def read_rows(config: TrainConfig, split: str, data_dir: Path | None, longest: int) -> Rows:
    """A split of the task in MiniLM's tokens, cut to `max_tokens`; of training, `max_train` rows by the seed."""
    texts = config.task == TEXTS
    examples = load_texts(split, data_dir) if texts else load(TASKS[config.task], split, data_dir)
    if split == "train" and config.max_train is not None:
        chosen = np.random.default_rng(config.seed).permutation(len(examples))[: config.max_train]
        examples = [examples[i] for i in chosen]
    if not examples:
        raise ModelError(f"{config.task} has no examples in {split}")
    ids = encode_examples(load_tokenizer("minilm-distilbert"), examples, min(config.max_tokens, longest))
    return Rows(ids, [e.label for e in examples])
