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
