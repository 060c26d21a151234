"""The attention mechanisms within any transformers model that uses `AttentionInterface`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.masking_utils import sdpa_mask

from models.attention.formulas import attend
from models.attention.mechanisms import MECHANISMS, Mechanism
from models.errors import ModelError

CORE = "attention_core"  # name of the submodule that holds a mechanism, in every attention module


# A mechanism within a model


class AttentionCore(nn.Module):
    """A mechanism with its learnable parameters, a submodule of an attention module."""

    def __init__(self, mechanism: Mechanism, heads: int) -> None:
        super().__init__()
        self.mechanism = mechanism
        shape = (heads, 1, 1) if mechanism.per_head else (1, 1, 1)
        for name in MECHANISMS[mechanism.name].learned:
            self.register_parameter(name, nn.Parameter(torch.full(shape, getattr(mechanism, name))))

    def forward(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        keep: Tensor | None,
        bias: Tensor | None,
        scale: float | None,
        dropout: float,
    ) -> Tensor:
        learned = dict(self.named_parameters())
        return attend(self.mechanism, q, k, v, keep, bias=bias, scale=scale, dropout=dropout, learned=learned)

    def extra_repr(self) -> str:
        return str(self.mechanism)


def split_mask(mask: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
    """A mask of transformers as `keep` and `bias`: booleans keep; floats near their minimum exclude."""
    if mask is None or mask.dtype == torch.bool:
        return mask, None
    keep = mask > torch.finfo(mask.dtype).min / 2
    return keep, mask.masked_fill(~keep, 0.0)


def interface_of(name: str) -> Any:
    """The function that transformers calls for `attn_implementation=name`."""
    default = Mechanism(name)

    def forward(
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        scaling: float | None = None,
        dropout: float = 0.0,
        is_causal: bool | None = None,
        position_bias: Tensor | None = None,
        softcap: float | None = None,
        s_aux: Tensor | None = None,
        **_: Any,  # arguments of other implementations, as transformers' own functions ignore them
    ) -> tuple[Tensor, None]:
        if softcap is not None or s_aux is not None:
            raise ModelError(
                f"attention {name!r} has no soft cap or sinks, which {type(module).__name__} asks for"
            )
        keep, bias = split_mask(attention_mask)
        M, N = query.shape[-2], key.shape[-2]
        causal = getattr(module, "is_causal", False) if is_causal is None else is_causal
        if keep is None and causal and M > 1:
            keep = torch.ones(M, N, dtype=torch.bool, device=query.device).tril(N - M)[None, None]
        if position_bias is not None:
            bias = position_bias if bias is None else bias + position_bias
        core = getattr(module, CORE, None)
        if core is None:
            h = attend(default, query, key, value, keep, bias=bias, scale=scaling, dropout=dropout)
        else:
            h = core(query, key, value, keep, bias, scaling, dropout)
        return h.transpose(1, 2).contiguous(), None

    return forward


def explicit_mask(*args: Any, **kwargs: Any) -> Tensor | None:
    """transformers' boolean mask, never left to an `is_causal` flag."""
    kwargs["allow_is_causal_skip"] = False
    return sdpa_mask(*args, **kwargs)


def offer(name: str) -> None:
    """Make transformers know a mechanism as `attn_implementation=name`."""
    AttentionInterface.register(name, interface_of(name))
    AttentionMaskInterface.register(name, explicit_mask)


for _name in MECHANISMS:
    offer(_name)


def attention_modules(model: nn.Module) -> dict[str, nn.Module]:
    """The modules of a model that call `AttentionInterface`, by name: the code of `forward` says so."""

    def calls_interface(module: nn.Module) -> bool:
        code = getattr(type(module).forward, "__code__", None)
        return code is not None and "ALL_ATTENTION_FUNCTIONS" in code.co_names

    return {name: module for name, module in model.named_modules() if calls_interface(module)}


def heads_of(module: nn.Module) -> int:
    for holder in (module, getattr(module, "config", None)):
        for name in ("num_heads", "n_heads", "num_attention_heads", "n_head"):
            heads = getattr(holder, name, None)
            if isinstance(heads, int):
                return heads
    raise ModelError(f"cannot tell the number of heads of {type(module).__name__}")


def install(model: PreTrainedModel, mechanism: Mechanism) -> PreTrainedModel:
    """Give every attention module of a model the mechanism; returns the same model.

    The parameters of the mechanism are part of the model's state from now on, and the mechanism is
    part of its configuration, so that `save_pretrained` keeps both.

    Raises:
        ModelError: the model does not use `AttentionInterface`.
    """
    sites = attention_modules(model)
    if not sites:
        raise ModelError(
            f"{type(model).__name__} does not use transformers' AttentionInterface; "
            "its attention cannot be changed"
        )
    weight = next(model.parameters())
    for module in sites.values():
        core = AttentionCore(mechanism, heads_of(module)).to(dtype=weight.dtype)
        core.to_empty(device="meta") if weight.is_meta else core.to(weight.device)
        core.train(model.training)
        setattr(module, CORE, core)
    if mechanism.name not in AttentionInterface().valid_keys():  # one that was added since
        offer(mechanism.name)
    model.set_attn_implementation(mechanism.name)
    model.config.attention_mechanism = asdict(mechanism)
    return model
