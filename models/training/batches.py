"""Rows of a task as batches of token ids, in an order that pads little."""

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
from models.tasks.data import TASKS, TEXTS, load, load_texts
from models.tasks.scoring import encode_examples
from models.tasks.text import load_tokenizer, pad
from models.training.recipe import TrainConfig

CHUNK = 50  # batches within which rows are sorted by length


@dataclass(frozen=True)
class Batch:
    """Rows of one step: ids [B,S], which exist [B,S], labels [B]."""

    ids: Tensor
    keep: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Rows:
    """Token ids and labels of a split."""

    ids: list[list[int]]
    labels: list[Any]

    def batch(self, chosen: Sequence[int]) -> Batch:
        ids, keep = pad([self.ids[i] for i in chosen], 0)
        return Batch(torch.from_numpy(ids), torch.from_numpy(keep), torch.tensor([self.labels[i] for i in chosen]))

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


def order(lengths: Sequence[int], batch: int, seed: int, epoch: int) -> list[list[int]]:
    """An epoch's batches: rows shuffled, sorted by length within chunks, batches shuffled."""
    rng = np.random.default_rng([seed, epoch])
    shuffled = rng.permutation(len(lengths))
    batches: list[list[int]] = []
    for start in range(0, len(shuffled), CHUNK * batch):
        chunk = sorted(shuffled[start : start + CHUNK * batch].tolist(), key=lambda i: lengths[i])
        batches += [chunk[i : i + batch] for i in range(0, len(chunk), batch)]
    return [batches[i] for i in rng.permutation(len(batches))]
