"""Three operators that torch lacks: pairwise Manhattan distance and two sums over keys.

    l1_distance(q [..,M,K], k [..,N,K])          -> sum_K |q - k|                  [..,M,N]
    relu_sum(v [..,N,D], z [..,M,N])             -> sum_N relu(v - z)              [..,M,D]
    soft_threshold_sum(v [..,N,D], z [..,M,N])   -> sum_N v - clip(v, -z, z)       [..,M,D]

None makes a tensor of M N D elements: memory is that of operands and result. `z` may be +inf, which
takes a key out exactly. float16 and bfloat16 are computed in float32. At ties the gradient is 0, as
torch's `abs` and `relu` have it. On CPU they are numba loops, one thread for a share of the leading
dims; elsewhere torch runs one feature at a time. They are registered with `torch.library`, so that
`torch.export` and `torch.compile` keep them whole.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor


def _flat(x: Tensor) -> np.ndarray:
    """[..,m,n] as a dense numpy array [B,m,n] of float32 or float64."""
    wide = x if x.dtype in (torch.float32, torch.float64) else x.float()
    return wide.detach().reshape(-1, *x.shape[-2:]).contiguous().numpy()


def _in_threads(name: str, *arrays: np.ndarray) -> None:
    """Run a loop of `models.attention.loops` on shares of the leading dim, as many as torch has threads."""
    from models.attention import loops  # numba is only loaded by who runs on CPU

    loop = getattr(loops, name)
    B = arrays[0].shape[0]
    shares = min(torch.get_num_threads(), B)
    # A small job is done before a thread has started.
    if shares <= 1 or arrays[0].size < 1 << 14:
        loop(*arrays)
        return
    edges = [B * s // shares for s in range(shares + 1)]
    with ThreadPoolExecutor(shares) as pool:
        list(pool.map(lambda s: loop(*(a[edges[s] : edges[s + 1]] for a in arrays)), range(shares)))


def _result(array: np.ndarray, like: Tensor, shape: tuple[int, ...]) -> Tensor:
    return torch.from_numpy(array).reshape(shape).to(like.dtype)


@torch.library.custom_op("inhibitor::l1_distance", mutates_args=())
def l1_distance(q: Tensor, k: Tensor) -> Tensor:
    """sum_K |q - k|: q [..,M,K], k [..,N,K], same leading dims -> [..,M,N]."""
    out = torch.zeros((*q.shape[:-1], k.shape[-2]), dtype=_wide(q), device=q.device)
    for c in range(q.shape[-1]):
        out += (q[..., c, None].to(out.dtype) - k[..., None, :, c].to(out.dtype)).abs_()
    return out.to(q.dtype)


@l1_distance.register_kernel("cpu")
def _(q: Tensor, k: Tensor) -> Tensor:
    x, y = _flat(q), _flat(k)
    out = np.empty((*x.shape[:2], y.shape[1]), x.dtype)
    _in_threads("l1_forward", x, np.ascontiguousarray(y.swapaxes(1, 2)), out)
    return _result(out, q, (*q.shape[:-1], k.shape[-2]))


@l1_distance.register_fake
def _(q: Tensor, k: Tensor) -> Tensor:
    return q.new_empty((*q.shape[:-1], k.shape[-2]))


@torch.library.custom_op("inhibitor::l1_distance_backward", mutates_args=())
def l1_distance_backward(grad: Tensor, q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
    dq, dk = torch.empty_like(q), torch.empty_like(k)
    for c in range(q.shape[-1]):
        signed = grad * torch.sign(q[..., c, None] - k[..., None, :, c])
        dq[..., c] = signed.sum(-1)
        dk[..., c] = -signed.sum(-2)
    return dq, dk


@l1_distance_backward.register_kernel("cpu")
def _(grad: Tensor, q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
    g, x, y = _flat(grad), _flat(q), _flat(k)
    dx, dy = np.empty_like(x), np.empty_like(y)
    _in_threads("l1_backward", g, x, y, dx, dy)
    return _result(dx, q, q.shape), _result(dy, k, k.shape)


@l1_distance_backward.register_fake
def _(grad: Tensor, q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
    return torch.empty_like(q), torch.empty_like(k)


@torch.library.custom_op("inhibitor::relu_sum", mutates_args=())
def relu_sum(v: Tensor, z: Tensor) -> Tensor:
    """sum_N relu(v - z): v [..,N,D], z [..,M,N], same leading dims -> [..,M,D]."""
    out = torch.empty((*z.shape[:-1], v.shape[-1]), dtype=v.dtype, device=v.device)
    for c in range(v.shape[-1]):
        out[..., c] = (v[..., None, :, c].to(_wide(v)) - z).relu_().sum(-1)
    return out


@torch.library.custom_op("inhibitor::soft_threshold_sum", mutates_args=())
def soft_threshold_sum(v: Tensor, z: Tensor) -> Tensor:
    """sum_N v - clip(v, -z, z): v [..,N,D], z [..,M,N] >= 0, same leading dims -> [..,M,D]."""
    out = torch.empty((*z.shape[:-1], v.shape[-1]), dtype=v.dtype, device=v.device)
    for c in range(v.shape[-1]):
        value = v[..., None, :, c].to(_wide(v))
        out[..., c] = (value - torch.minimum(torch.maximum(value, -z), z)).sum(-1)
    return out


@torch.library.custom_op("inhibitor::relu_sum_backward", mutates_args=())
def relu_sum_backward(grad: Tensor, v: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    return _sum_backward(grad, v, z, lambda value: value > z, signed=False)


@torch.library.custom_op("inhibitor::soft_threshold_sum_backward", mutates_args=())
def soft_threshold_sum_backward(grad: Tensor, v: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    return _sum_backward(grad, v, z, lambda value: value.abs() > z, signed=True)


def _sum_backward(
    grad: Tensor, v: Tensor, z: Tensor, alive: Callable[[Tensor], Tensor], *, signed: bool
) -> tuple[Tensor, Tensor]:
    dv, dz = torch.empty_like(v), torch.zeros_like(z)
    for c in range(v.shape[-1]):
        value = v[..., None, :, c]
        passed = grad[..., c, None] * alive(value)
        dv[..., c] = passed.sum(-2)
        dz -= passed * torch.sign(value) if signed else passed
    return dv, dz


def _wide(x: Tensor) -> torch.dtype:
    """The type in which a sum over x is made."""
    return x.dtype if x.dtype in (torch.float32, torch.float64) else torch.float32


def _register_sum(op: Any, backward_op: Any, forward_loop: str, backward_loop: str) -> None:
    """CPU kernels, shapes and gradients of a sum over keys, and of its backward op."""

    @op.register_kernel("cpu")
    def _(v: Tensor, z: Tensor) -> Tensor:
        x, t = _flat(v), _flat(z)
        out = np.empty((x.shape[0], t.shape[1], x.shape[2]), x.dtype)
        _in_threads(forward_loop, x, t, out)
        return _result(out, v, (*z.shape[:-1], v.shape[-1]))

    @op.register_fake
    def _(v: Tensor, z: Tensor) -> Tensor:
        return v.new_empty((*z.shape[:-1], v.shape[-1]))

    @backward_op.register_kernel("cpu")
    def _(grad: Tensor, v: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        g, x, t = _flat(grad), _flat(v), _flat(z)
        dx, dt = np.empty_like(x), np.empty_like(t)
        _in_threads(backward_loop, g, x, t, dx, dt)
        return _result(dx, v, v.shape), _result(dt, z, z.shape)

    @backward_op.register_fake
    def _(grad: Tensor, v: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        return torch.empty_like(v), torch.empty_like(z)

    _register_gradient(op, backward_op)


def _register_gradient(op: Any, backward_op: Any) -> None:
    def save(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        return backward_op(grad.contiguous(), *ctx.saved_tensors)

    op.register_autograd(backward, setup_context=save)


_register_gradient(l1_distance, l1_distance_backward)
_register_sum(relu_sum, relu_sum_backward, "relu_sum_forward", "relu_sum_backward")
_register_sum(soft_threshold_sum, soft_threshold_sum_backward, "soft_forward", "soft_backward")
