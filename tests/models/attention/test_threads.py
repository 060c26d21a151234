"""Loops in several threads: what the shares of a batch give is what one thread gives, bit for bit."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from models.attention import kernels

BATCH = 7  # leaves shares of unequal size


@pytest.fixture
def threads() -> Iterator[None]:
    """Three of them, however many the tests run with."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", ["l1_distance", "relu_sum", "soft_threshold_sum"])
def test_shares_of_a_batch_are_the_whole(threads: None, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    made = torch.Generator().manual_seed(0)
    x, y = (torch.randn(BATCH, 64, 96, generator=made, requires_grad=True) for _ in range(2))
    if name != "l1_distance":  # z is [..,M,N], and not negative
        y = torch.rand(BATCH, 48, 64, generator=made).requires_grad_()
    pools = []
    pool = kernels.ThreadPoolExecutor
    monkeypatch.setattr(kernels, "ThreadPoolExecutor", lambda n: pools.append(n) or pool(n))
    found = getattr(kernels, name)(x, y)
    found.square().sum().backward()
    assert pools == [3, 3]
    shared = (found.detach(), x.grad, y.grad)
    x.grad = y.grad = None
    torch.set_num_threads(1)
    alone = getattr(kernels, name)(x, y)
    alone.square().sum().backward()
    assert pools == [3, 3]
    for a, b in zip(shared, (alone.detach(), x.grad, y.grad), strict=True):
        assert a is not None
        assert torch.equal(a, b)
