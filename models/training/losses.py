"""Forward passes and losses of training, in floats and on quantised weights and operands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.attention.cores import CORE
from models.tasks.data import TEXTS
from models.training.batches import Batch
from models.training.recipe import TrainConfig, parse_widths
from models.zoo.checkpoint import row_scales

# Forward


def encoder_layers(model: Any) -> Any:
    return model.base_model.transformer.layer


def encode(model: Any, batch: Batch) -> list[Tensor]:
    """Hidden states [B,S,D], that of the embeddings first."""
    with torch.no_grad():
        x = model.base_model.embeddings(batch.ids)
    hidden, mask = [x], batch.keep[:, None, None, :]
    for layer in encoder_layers(model):
        hidden.append(layer(hidden[-1], attention_mask=mask))
    return hidden


def forward(model: Any, batch: Batch) -> tuple[list[Tensor], Tensor]:
    """Hidden states as of `encode`, and logits [B,labels]."""
    hidden = encode(model, batch)
    pooled = torch.relu(model.pre_classifier(hidden[-1][:, 0]))
    return hidden, model.classifier(model.dropout(pooled))


def heads(attention: Any, x: Tensor) -> list[Tensor]:
    """q, k, v [B,H,S,d] of hidden states [B,S,D]."""
    split = (*x.shape[:2], attention.n_heads, -1)
    return [
        linear(x).view(split).transpose(1, 2) for linear in (attention.q_lin, attention.k_lin, attention.v_lin)
    ]


def context(attention: Any, x: Tensor, keep: Tensor) -> Tensor:
    """What attention hands to its output projection, [B,S,D], without dropout."""
    h = getattr(attention, CORE)(*heads(attention, x), keep[:, None, None, :], None, None, 0.0)
    return h.transpose(1, 2).reshape(x.shape)


# Losses


def relative_error(a: Tensor, b: Tensor, keep: Tensor) -> Tensor:
    """|a - b|^2 / |b|^2 over tokens that exist; a, b [B,S,D]."""
    a, b = a[keep].float(), b[keep].float()
    return (a - b).square().sum() / b.square().sum()


def align_loss(model: Any, teacher: Any, batch: Batch) -> Tensor:
    """Mean over layers of the relative error of contexts, each layer on the teacher's hidden state."""
    with torch.no_grad():
        hidden = encode(teacher, batch)
        wanted = [
            context(layer.attention, x, batch.keep)
            for layer, x in zip(encoder_layers(teacher), hidden[:-1], strict=True)
        ]
    errors = [
        relative_error(context(layer.attention, x, batch.keep), target, batch.keep)
        for layer, x, target in zip(encoder_layers(model), hidden[:-1], wanted, strict=True)
    ]
    return torch.stack(errors).mean()


def hidden_error(hidden: list[Tensor], wanted: list[Tensor], keep: Tensor) -> Tensor:
    """Mean over layers of the relative error of hidden states."""
    errors = [relative_error(a, b, keep) for a, b in zip(hidden[1:], wanted[1:], strict=True)]
    return torch.stack(errors).mean()


def task_loss(model: Any, teacher: Any, batch: Batch, config: TrainConfig) -> Tensor:
    """The loss of stages train and qat."""
    if config.task == TEXTS:
        with torch.no_grad():
            states = encode(teacher, batch)
        return hidden_error(encode(model, batch), states, batch.keep)
    hidden, logits = forward(model, batch)
    regression = logits.shape[1] == 1
    labels = batch.labels.float() if regression else batch.labels
    hard = F.mse_loss(logits[:, 0], labels) if regression else F.cross_entropy(logits, labels)
    if teacher is None:
        return hard
    with torch.no_grad():
        wanted, target = forward(teacher, batch)
    if regression:
        soft = F.mse_loss(logits, target)
    else:
        T = config.temperature
        scores, goal = F.log_softmax(logits / T, -1), F.log_softmax(target / T, -1)
        soft = T * T * F.kl_div(scores, goal, reduction="batchmean", log_target=True)
    return config.hard * hard + config.soft * soft + config.hidden * hidden_error(hidden, wanted, batch.keep)


# Quantised weights and operands


def fake_quantised(x: Tensor, scale: Tensor, most: int) -> Tensor:
    """x on multiples of a scale, rounded half up as the simulator does; the gradient passes as if it were x."""
    on_grid = torch.floor(x / scale + 0.5).clamp(-most, most) * scale
    return x + (on_grid - x).detach()


@contextmanager
def quantised(model: nn.Module, widths: str, keep: Tensor) -> Iterator[None]:
    """Linear layers on integers: weights by the maximum of a row, operands by that over tokens that exist."""
    weight_bits, operand_bits = parse_widths(widths)
    weight_most, operand_most = 2 ** (weight_bits - 1) - 1, 2 ** (operand_bits - 1) - 1

    def forward_of(linear: nn.Linear) -> Any:
        def on_integers(x: Tensor) -> Tensor:
            seen = x.detach() if x.dim() == 2 else x.detach()[keep]
            scale = (seen.abs().max() / operand_most).clamp(min=torch.finfo(x.dtype).tiny)
            rows = row_scales(linear.weight.detach(), weight_most)[:, None]
            weight = fake_quantised(linear.weight, rows, weight_most)
            return F.linear(fake_quantised(x, scale, operand_most), weight, linear.bias)

        return on_integers

    linears = [m for m in model.modules() if isinstance(m, nn.Linear)]
    try:
        for linear in linears:
            linear.forward = forward_of(linear)  # type: ignore[method-assign]
        yield
    finally:
        for linear in linears:
            linear.__dict__.pop("forward", None)
