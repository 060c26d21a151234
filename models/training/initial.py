"""The model that a run begins with: its weights, and parameters of its attention that are set from data."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import DistilBertConfig, DistilBertForSequenceClassification, DistilBertModel

from models.attention.cores import CORE, install
from models.attention.formulas import distances
from models.attention.mechanisms import Mechanism, parse_mechanism
from models.errors import ModelError
from models.tasks.data import TASKS, TEXTS
from models.training.batches import Batch
from models.training.losses import context, encode, encoder_layers, heads
from models.training.recipe import TrainConfig
from models.training.state import digest_of
from models.zoo.checkpoint import load_checkpoint, read_config
from models.zoo.distilbert import load_minilm

SMALLEST_GAMMA = 1e-3  # which training keeps to


def build(config: TrainConfig) -> tuple[Any, Any]:
    """The model to train and its teacher, or None; encoders without a head for `texts`."""
    teacher = None if config.teacher is None else load_checkpoint(Path(config.teacher))
    torch.manual_seed(config.seed)
    model = mean_of([Path(start) for start in config.start]) if config.start else None
    if config.task == TEXTS:
        teacher = minilm() if teacher is None else teacher.base_model
        model = copy.deepcopy(teacher) if model is None else model.base_model
        model.config.aligned_with = "minilm" if config.teacher is None else digest_of(config.teacher)
        check_sizes_of(model, teacher, config.teacher or "MiniLM")
    else:
        model = classifier(config, model, teacher)
    mechanism = parse_mechanism(config.attention)
    if Mechanism(**model.config.attention_mechanism) != mechanism:
        install(model, mechanism)
    return model, teacher


def classifier(config: TrainConfig, model: Any, teacher: Any) -> Any:
    """A model of as many outputs as the task has labels: what is given, else the teacher's copy, else MiniLM."""
    labels = max(1, len(TASKS[config.task].labels))
    if teacher is not None and getattr(getattr(teacher, "classifier", None), "out_features", 0) != labels:
        raise ModelError(f"{config.teacher} is no teacher of {config.task}, which has {labels} outputs")
    if model is None:
        model = minilm() if teacher is None else copy.deepcopy(teacher)
    if teacher is not None:
        check_sizes_of(model, teacher, config.teacher)
    if isinstance(model, DistilBertModel):
        if teacher is not None and getattr(model.config, "aligned_with", None) == "minilm":
            add_what_was_learned(model, teacher)
        return with_head(model, labels, teacher)
    if model.classifier.out_features != labels:
        model.classifier = nn.Linear(model.config.dim, labels)
        model.num_labels = model.config.num_labels = labels
    return model


def check_sizes_of(model: Any, teacher: Any, name: str | None) -> None:
    """Refuse a student of other sizes than its teacher."""
    theirs, ours = (f"{m.config.n_layers} layers of {m.config.dim} channels" for m in (teacher, model))
    if theirs != ours:
        raise ModelError(f"{name} has {theirs}, the student {ours}; they must be the same")


def minilm() -> Any:
    """MiniLM as it comes, an encoder, with our dot product."""
    model = load_minilm()
    install(model, parse_mechanism("dot"))
    return model


def has_own_cores(config: TrainConfig) -> bool:
    """Whether a run begins with an attention that was trained before, and not with one that is put in."""
    return bool(config.start) and read_config(Path(config.start[0]))[1] == parse_mechanism(config.attention)


@torch.no_grad()
def add_what_was_learned(encoder: Any, teacher: Any) -> None:
    """Add to an encoder that was aligned with MiniLM what the teacher has beyond MiniLM, weight by weight.

    Task arithmetic: Ilharco et al., ICLR 2023.
    """
    before, after = (m.base_model.state_dict() for m in (load_minilm(), teacher))
    for name, p in encoder.named_parameters():
        if name in before and name in after:
            p += after[name] - before[name]


def with_head(encoder: Any, labels: int, teacher: Any) -> Any:
    """A classifier of an encoder, whose head is the teacher's, or random where there is none."""
    sizes = DistilBertConfig.from_dict(encoder.config.to_dict() | {"num_labels": labels})
    model: Any = DistilBertForSequenceClassification(sizes)
    model.distilbert = encoder
    if teacher is not None:
        for name in ("pre_classifier", "classifier"):
            getattr(model, name).load_state_dict(getattr(teacher, name).state_dict())
    return model


@torch.no_grad()
def mean_of(paths: list[Path]) -> Any:
    """A model whose weights are the mean of several checkpoints' (a soup: Wortsman et al., ICML 2022).

    Raises:
        ModelError: checkpoints of different models.
    """
    model, *others = [load_checkpoint(path) for path in paths]
    weights = model.state_dict()
    for path, other in zip(paths[1:], others, strict=True):
        theirs = other.state_dict()
        same = {name: w.shape for name, w in weights.items()} == {name: w.shape for name, w in theirs.items()}
        if not same or other.config.to_dict() != model.config.to_dict():
            raise ModelError(f"{path} is of another model than {paths[0]}; a mean takes checkpoints of one model")
    if others:
        states = [m.state_dict() for m in (model, *others)]
        for name, w in weights.items():
            each = torch.stack([state[name] for state in states])
            if not (each == w).all():  # what all share, such as embeddings, stays what it is to the bit
                w.copy_(each.mean(0))
    return model


@torch.no_grad()
def fit_cores(model: Any, teacher: Any, batch: Batch, alive: float) -> None:
    """Set gamma, delta, eta of `inhibitor` from data: spread, share of live entries, norm of contexts.

    gamma makes the spread of centred distances the mean |v|; delta lets `alive` of all entries |v| > z;
    eta makes the norm of a head's contexts the teacher's.
    """
    hidden = encode(teacher, batch)
    for layer, like, x in zip(encoder_layers(model), encoder_layers(teacher), hidden[:-1], strict=True):
        core = getattr(layer.attention, CORE)
        if core.mechanism.name != "inhibitor":
            return
        q, k, v = heads(layer.attention, x)
        z = distances(q, k, core.mechanism.implementation) * q.shape[-1] ** -0.5
        keys = batch.keep[:, None, None, :] | (core.mechanism.center_over == "all")
        mean = (z * keys).sum(-1, keepdim=True) / keys.sum(-1, keepdim=True)
        pairs = batch.keep[:, :, None] & batch.keep[:, None, :]
        H = q.shape[1]
        groups = [[h] for h in range(H)] if core.mechanism.per_head else [list(range(H))]
        for g, group in enumerate(groups):
            centred = (z - mean)[:, group].transpose(0, 1)
            sizes = v[:, group].abs().transpose(0, 1)
            gamma = sizes[:, batch.keep].mean() / centred[:, pairs].std().clamp(min=1e-6)
            core.gamma[g] = gamma.clamp(min=SMALLEST_GAMMA)
            # An entry outlasts z - delta where z - |v| < delta: delta is a quantile of that.
            excess = (core.gamma[g] * centred[..., None] - sizes[:, :, None])[:, pairs].flatten()
            core.delta[g] = excess.kthvalue(1 + round(alive * (len(excess) - 1))).values
        core.eta.fill_(1.0)
        wanted, given = (context(a, x, batch.keep)[batch.keep] for a in (like.attention, layer.attention))
        norms = [c.reshape(len(c), len(groups), -1).square().sum((0, 2)).sqrt() for c in (wanted, given)]
        core.eta.copy_((norms[0] / norms[1].clamp(min=1e-6)).reshape(core.eta.shape))
