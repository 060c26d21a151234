"""Small nodes of every op: operand shapes and attrs, for all small sizes."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from costmodel.ops.rules import ELEMENTWISE

Sample = tuple[list[tuple[int, ...] | None], dict[str, Any]]  # None is a missing operand
SMALL = (1, 2, 3)


def elementwise(arity: int) -> Iterator[Sample]:
    for n in (1, 2, 5):
        yield [(n,)] * arity, {"n": n}


def reductions() -> Iterator[Sample]:
    for p, n in itertools.product(SMALL, (1, 2, 3, 5)):
        yield [(p, n)], {"P": p, "N": n, "axes": (1,)}


def products() -> Iterator[Sample]:
    for b, m, n, k, bias in itertools.product((1, 2), SMALL, SMALL, SMALL, (0, 1)):
        dims = {"B": b, "M": m, "N": n, "K": k, "bias": bias}
        yield [(b, m, k), (b, k, n), *([(n,)] * bias)], dims


def distances() -> Iterator[Sample]:
    for b, m, n, k in itertools.product((1, 2), SMALL, SMALL, SMALL):
        yield [(b, m, k), (b, n, k)], {"B": b, "M": m, "N": n, "K": k}


def key_sums() -> Iterator[Sample]:
    for b, m, n, d in itertools.product((1, 2), SMALL, SMALL, SMALL):
        yield [(b, n, d), (b, m, n)], {"B": b, "M": m, "N": n, "D": d}


def attentions() -> Iterator[Sample]:
    for b, m, n, k, d in itertools.product((1, 2), SMALL, SMALL, (1, 2), (1, 2)):
        yield [(b, m, k), (b, n, k), (b, n, d)], {"B": b, "M": m, "N": n, "K": k, "D": d}


def rows() -> Iterator[Sample]:
    for p, n in itertools.product(SMALL, (1, 2, 5)):
        yield [(p, n)], {"P": p, "N": n, "axis": 1}


def norms(with_bias: bool) -> Iterator[Sample]:
    for p, n, weight, bias in itertools.product(SMALL, (1, 2, 5), (0, 1), (0, 1) if with_bias else (0,)):
        operands: list[Any] = [(p, n), (n,) if weight else None, (n,) if bias else None]
        flags = {"P": p, "N": n, "eps": 1e-5, "weight": weight, "bias": bias}
        yield operands if with_bias else operands[:2], flags


def batch_norms() -> Iterator[Sample]:
    for b, c, s, weight, bias in itertools.product((1, 2), SMALL, (1, 4), (0, 1), (0, 1)):
        operands: list[Any] = [(b, c, s), (c,) if weight else None, (c,) if bias else None, (c,), (c,)]
        yield operands, {"n": b * c * s, "C": c, "eps": 1e-5, "weight": weight, "bias": bias}


def convolutions() -> Iterator[Sample]:
    for n, o, c, k, bias in itertools.product((1, 2), SMALL, (1, 2), (1, 2), (0, 1)):
        size = 3
        p = n * o * (size - k + 1) ** 2
        yield [(n, c, size, size), (o, c, k, k), (o,) if bias else None], {"P": p, "K": c * k * k, "bias": bias}


def topks() -> Iterator[Sample]:
    for p, n in itertools.product(SMALL, (1, 2, 5)):
        for k in range(1, n + 1):
            yield [(p, n)], {"P": p, "N": n, "K": k}


def pools() -> Iterator[Sample]:
    for p, k in itertools.product(SMALL, (1, 2, 4)):
        yield [(p, k)], {"P": p, "K": k}


BINARY = ("add", "sub", "mul", "div", "remainder", "minimum", "maximum", "compare", "pow")


SAMPLES: dict[str, Callable[[], Iterator[Sample]]] = {
    "matmul": products,
    "conv": convolutions,
    "l1": distances,
    "relu_sum": key_sums,
    "clip_sum": key_sums,
    "soft_threshold_sum": key_sums,
    "fused_attention": attentions,
    "softmax": rows,
    "log_softmax": rows,
    "layer_norm": lambda: norms(True),
    "group_norm": lambda: norms(True),
    "rms_norm": lambda: norms(False),
    "batch_norm": batch_norms,
    "topk": topks,
    "max_pool": pools,
    "avg_pool": pools,
    **dict.fromkeys(("sum", "mean", "extremum", "product", "variance", "norm2", "cumsum"), reductions),
    "scatter_add": lambda: iter([([(4,), None, (n,)], {"n": n}) for n in (1, 2, 4)]),
    **{op: partial(elementwise, 2 if op in BINARY else 1) for op in ELEMENTWISE},
}


def samples(op: str) -> list[Sample]:
    """All samples of an op that counts something."""
    return list(SAMPLES[op]())
