"""Batches, forward passes and losses of training; parameters that are set from data."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from models.tasks.batches import shuffled_batches
from models.training.batches import Batch
from models.training.initial import fit_cores
from models.training.losses import (
    align_loss,
    context,
    encoder_layers,
    fake_quantised,
    forward,
    heads,
    quantised,
    task_loss,
)
from models.training.recipe import TrainConfig
from tests.training_models import STUDENT, batch_of, tiny


def test_every_row_once_an_epoch_in_batches_of_like_lengths() -> None:
    lengths = np.random.default_rng(0).integers(3, 60, 1003).tolist()
    batches = shuffled_batches(lengths, 16, seed=1, epoch=0)
    assert sorted(i for b in batches for i in b) == list(range(1003))
    waste = sum(max(lengths[i] for i in b) * len(b) for b in batches) / sum(lengths)
    assert waste < 1.1
    assert (
        batches == shuffled_batches(lengths, 16, seed=1, epoch=0) != shuffled_batches(lengths, 16, seed=1, epoch=1)
    )


@pytest.mark.parametrize("attention", [STUDENT, "inhibitor:center_over=all"])
def test_first_parameters_let_the_stated_share_live(attention: str) -> None:
    model, dot, batch = tiny(attention), tiny(), batch_of((9, 9, 9, 9))
    fit_cores(model, dot, batch, alive=0.3)
    hidden, _ = forward(dot, batch)
    for layer, like, x in zip(encoder_layers(model), encoder_layers(dot), hidden, strict=False):
        q, k, v = (t.detach() for t in heads(layer.attention, x))
        core = layer.attention.attention_core
        z = core.gamma * (q[..., :, None, :] - k[..., None, :, :]).abs().sum(-1) / q.shape[-1] ** 0.5
        z = torch.relu(z - z.mean(-1, keepdim=True) - core.delta)
        alive = (v[..., None, :, :].abs() > z[..., None]).float()
        shares = alive.mean((0, 2, 3, 4)) if core.mechanism.per_head else alive.mean()
        torch.testing.assert_close(shares, torch.full_like(shares, 0.3), atol=0.005, rtol=0)
        wanted, given = (context(a, x, batch.keep) for a in (like.attention, layer.attention))
        torch.testing.assert_close(wanted.norm(), given.norm(), rtol=1e-3, atol=0)


@pytest.mark.parametrize("labels", [1, 2])
def test_padding_changes_no_loss(labels: int) -> None:
    """Of alignment, distillation and training on integers; nor the parameters that are set from data."""
    batch = batch_of()
    padded = Batch(F.pad(batch.ids, (0, 6)), F.pad(batch.keep, (0, 6)), batch.labels)
    dot, model, other = tiny(labels=labels), tiny(STUDENT, 1, labels), tiny(STUDENT, 1, labels)
    fit_cores(model, dot, batch, 0.3)
    fit_cores(other, dot, padded, 0.3)
    for p, q in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(p, q, atol=1e-5, rtol=1e-5)
    config = TrainConfig("sst2")
    found = []
    for b in (batch, padded):
        losses = [align_loss(model, dot, b), task_loss(model, dot, b, config)]
        losses.append(task_loss(model, None, b, config))
        with quantised(model, "w8a8", b.keep):
            losses.append(task_loss(model, dot, b, config))
        found.append(torch.stack(losses))
    torch.testing.assert_close(found[0], found[1], atol=1e-5, rtol=1e-5)
    assert found[0][1] != found[0][3], "quantisation does something"


def test_forward_is_the_models_own() -> None:
    for attention in ("dot", STUDENT):
        model, batch = tiny(attention), batch_of()
        own = model(batch.ids, attention_mask=batch.keep.long(), output_hidden_states=True)
        hidden, logits = forward(model, batch)
        torch.testing.assert_close(logits, own.logits)
        torch.testing.assert_close(hidden[-1][batch.keep], own.hidden_states[-1][batch.keep])


@pytest.mark.parametrize("labels", [1, 2])
def test_the_loss_of_distillation_is_the_sum_it_says(labels: int) -> None:
    model, dot, batch = tiny(STUDENT, 1, labels), tiny(labels=labels), batch_of()
    hidden, logits = forward(model, batch)
    wanted, target = forward(dot, batch)
    if labels == 1:
        hard, soft = (logits[:, 0] - batch.labels).square().mean(), (logits - target).square().mean()
    else:
        hard = -torch.log_softmax(logits, -1)[range(4), batch.labels].mean()
        p, q = torch.softmax(target / 3, -1), torch.softmax(logits / 3, -1)
        soft = 9 * (p * (p / q).log()).sum(-1).mean()
    errors = []
    for a, b in zip(hidden[1:], wanted[1:], strict=True):
        there = batch.keep[..., None]
        errors.append(((a - b).square() * there).sum() / (b.square() * there).sum())
    config = TrainConfig("sst2", hard=0.2, soft=0.3, hidden=0.4, temperature=3.0)
    expected = 0.2 * hard + 0.3 * soft + 0.4 * sum(errors) / 2
    torch.testing.assert_close(task_loss(model, dot, batch, config), expected)
    torch.testing.assert_close(task_loss(model, None, batch, config), hard)


def test_integers_round_half_up_and_gradients_pass() -> None:
    x = torch.tensor([-127.0, -2.5, -0.5, 0.49, 0.5, 2.5, 127.0], requires_grad=True)
    y = fake_quantised(x, torch.tensor(1.0), 127)
    assert y.tolist() == [-127, -2, 0, 0, 1, 3, 127]
    y.sum().backward()
    assert x.grad.tolist() == [1] * 7
    model, batch = tiny(), batch_of()
    before = forward(model, batch)[1]
    with quantised(model, "w8a8", batch.keep):
        assert not torch.equal(forward(model, batch)[1], before)
    assert torch.equal(forward(model, batch)[1], before), "the layers are as they were"
