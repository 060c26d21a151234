"""Results of the commonest calls on meta, without torch's own shape functions.

torch infers shapes on meta in Python, at a tenth of a millisecond a call: most of a trace's time.
For dense float tensors of one type the answer is short. Everything else is left to torch (None).
`tests/graph/test_meta_shapes.py` traces every preset both ways and demands equal graphs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from costmodel.ops.registry import enter

Inference = Callable[..., Any]
INFER: dict[str, Inference] = {}


def infers(*names: str) -> Callable[[Inference], Inference]:
    """Register a function as the shape of some calls on meta."""
    return enter(INFER, "shape of", *names)


def infer(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The result of a call on meta tensors, or None where torch must say."""
    function = INFER.get(name)
    if function is None or not args or not isinstance(args[0], Tensor) or not args[0].is_meta:
        return None
    try:
        return function(*args, **kwargs)
    except TypeError:  # arguments of a form that is not foreseen here
        return None


def is_plain(*tensors: Tensor) -> bool:
    """Dense meta tensors of one float type."""
    first = tensors[0]
    return first.is_floating_point() and all(
        t.is_meta and t.dtype == first.dtype and t.is_contiguous() for t in tensors
    )


@infers("aten::add", "aten::sub", "aten::mul", "aten::div")
def _binary(x: Tensor, other: Any, *, alpha: Any = 1) -> Any:
    if not isinstance(other, Tensor):
        return x.new_empty(x.shape) if is_plain(x) and isinstance(other, int | float) else None
    if not is_plain(x, other) or (x.shape != other.shape and not spans(x, other)):
        return None
    return x.new_empty(x.shape)


def spans(x: Tensor, other: Tensor) -> bool:
    """Whether `other` broadcasts into the shape of x."""
    if other.dim() == 0 or other.dim() > x.dim():
        return False
    return all(m in (1, n) for n, m in zip(reversed(x.shape), reversed(other.shape), strict=False))


@infers(
    "aten::gelu", "aten::relu", "aten::tanh", "aten::silu", "aten::sigmoid", "aten::exp", "aten::neg", "aten::abs"
)
def _unary(x: Tensor, *, approximate: str = "none") -> Any:
    return x.new_empty(x.shape) if is_plain(x) else None


@infers("aten::_softmax")
def _softmax(x: Tensor, dim: int, half_to_float: bool) -> Any:
    return x.new_empty(x.shape) if is_plain(x) and not half_to_float else None


@infers("aten::native_layer_norm")
def _layer_norm(x: Tensor, shape: list[int], weight: Any, bias: Any, eps: float) -> Any:
    if x.dtype != torch.float32 or not is_plain(x):
        return None
    moments = (*x.shape[: x.dim() - len(shape)], *(1 for _ in shape))
    return x.new_empty(x.shape), x.new_empty(moments), x.new_empty(moments)


@infers("aten::embedding")
def _embedding(weight: Tensor, indices: Tensor, *_: Any, **__: Any) -> Any:
    if not (weight.is_meta and indices.is_meta and weight.dim() == 2):
        return None
    return weight.new_empty((*indices.shape, weight.shape[1]))


# Composites, under their names in the graph.


@infers("aten.linear")
def _linear(x: Tensor, weight: Tensor, bias: Any = None) -> Any:
    if weight.dim() != 2 or x.dim() < 2 or x.shape[-1] != weight.shape[1] or not is_plain(x, weight):
        return None
    return x.new_empty((*x.shape[:-1], weight.shape[0]))


@infers("aten.matmul")
def _matmul(a: Tensor, b: Tensor) -> Any:
    if a.dim() != b.dim() or a.dim() < 2 or a.shape[:-2] != b.shape[:-2] or a.shape[-1] != b.shape[-2]:
        return None
    if a.dtype != b.dtype or not a.is_floating_point() or not b.is_meta:
        return None
    return a.new_empty((*a.shape[:-1], b.shape[-1]))


@infers("aten.scaled_dot_product_attention")
def _sdpa(q: Tensor, k: Tensor, v: Tensor, *_: Any, **__: Any) -> Any:
    if not q.dim() == k.dim() == v.dim() == 4 or not q.dtype == k.dtype == v.dtype or not q.is_floating_point():
        return None
    if (
        q.shape[0] != k.shape[0]
        or k.shape[:-1] != v.shape[:-1]
        or q.shape[1] % k.shape[1]
        or q.shape[-1] != k.shape[-1]
    ):
        return None
    return q.new_empty((*q.shape[:-1], v.shape[-1]))
