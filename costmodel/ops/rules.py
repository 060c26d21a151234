"""The closed op set: one count rule a function.

A rule is a pure function of dimensions (ints or sympy symbols) and returns what the plain reference
loop of the op executes; `tests/witness/loops.py` holds those loops and `tests/ops/test_rules.py` runs them on a
number type that tallies its own arithmetic. Bytes are not counted here: they follow from the
operands, see `counting/tally.py`.

Dims: B batch, M N K of a product, D features, P outputs of a reduction, n elements.

To add an op, write its rule here, its loop in `tests/witness/loops.py` and a sample in `tests/witness/samples.py`,
and name the aten call that becomes it in `graph/lowering.py`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from costmodel.errors import UnknownOp
from costmodel.ops.counts import Counts, Number

RULES: dict[str, Callable[..., Counts]] = {}
PARAMETERS: dict[str, tuple[str, ...]] = {}  # the dims that each rule takes
KIND_OF: dict[str, str] = {}

# What rows of a report are grouped by with `--by kind`.
KINDS = ("product", "elementwise", "reduction", "normalisation", "movement", "free")


def rule(kind: str) -> Callable[[Callable[..., Counts]], Callable[..., Counts]]:
    """Register a function as the count rule of the op of its name."""

    def register(function: Callable[..., Counts]) -> Callable[..., Counts]:
        add_rule(function.__name__, kind, function)
        return function

    return register


def add_rule(name: str, kind: str, function: Callable[..., Counts]) -> None:
    if name in RULES:
        raise ValueError(f"op {name!r} has two rules")
    RULES[name], KIND_OF[name] = function, kind
    PARAMETERS[name] = tuple(inspect.signature(function).parameters)


def count_op(op: str, attrs: dict[str, Any]) -> Counts:
    """The arithmetic of one node.

    Raises:
        UnknownOp: the op has no rule.
    """
    if op not in RULES:
        raise UnknownOp(f"op {op!r} has no count rule; add one in costmodel/ops/rules.py")
    return RULES[op](*[attrs[name] for name in PARAMETERS[op]])


# Products. `bias` is 1 where a bias is added to each output, else 0.


@rule("product")
def matmul(B: Number, M: Number, N: Number, K: Number, bias: Number) -> Counts:
    """a [B,M,K] @ b [B,K,N] (+ bias [N]) -> [B,M,N]: K mul and K-1 adds an output, and the bias."""
    return Counts(mul=B * M * N * K, add=B * M * N * (K - 1 + bias))


@rule("product")
def conv(P: Number, K: Number, bias: Number) -> Counts:
    """P outputs of K taps each. Taps on zero padding are multiplied like any other."""
    return Counts(mul=P * K, add=P * (K - 1 + bias))


@rule("product")
def l1(B: Number, M: Number, N: Number, K: Number) -> Counts:
    """q [B,M,K], k [B,N,K] -> sum_K |q - k| [B,M,N]: K subtractions, K abs, K-1 adds an output."""
    return Counts(add=B * M * N * (2 * K - 1), abs=B * M * N * K)


@rule("product")
def relu_sum(B: Number, M: Number, N: Number, D: Number) -> Counts:
    """v [B,N,D], z [B,M,N] -> sum_N relu(v - z) [B,M,D]: N subtractions, N cmp, N-1 adds an output."""
    return Counts(add=B * M * D * (2 * N - 1), cmp=B * M * D * N)


@rule("product")
def clip_sum(B: Number, M: Number, N: Number, D: Number) -> Counts:
    """v [B,N,D], z [B,M,N] -> sum_N clip(v, -z, z) [B,M,D]: 2 cmp a term, N-1 adds an output.

    -z is not counted: the lower comparison is against z with the sign of v.
    """
    return Counts(add=B * M * D * (N - 1), cmp=2 * B * M * D * N)


@rule("product")
def soft_threshold_sum(B: Number, M: Number, N: Number, D: Number) -> Counts:
    """sum_N (v - clip(v, -z, z)), as the float kernel runs it: 2 cmp and a subtraction a term."""
    return Counts(add=B * M * D * (2 * N - 1), cmp=2 * B * M * D * N)


@rule("product")
def fused_attention(B: Number, M: Number, N: Number, K: Number, D: Number) -> Counts:
    """softmax(scale q k^T) v in one kernel, scores never stored: what `as_run` finds on CPU."""
    scores = matmul(B, M, N, K, 0) + Counts(mul=B * M * N)
    return scores + softmax(B * M, N) + matmul(B, M, D, N, 0)


# Elementwise ops: counts of one element. n is the number of elements of the output.

ELEMENTWISE: dict[str, Counts] = {
    "add": Counts(add=1),
    "sub": Counts(add=1),
    "neg": Counts(add=1),  # 0 - x
    "mul": Counts(mul=1),
    "div": Counts(div=1),
    "remainder": Counts(div=1),
    "abs": Counts(abs=1),
    "minimum": Counts(cmp=1),
    "maximum": Counts(cmp=1),
    "relu": Counts(cmp=1),
    "clip": Counts(cmp=2),
    "compare": Counts(cmp=1),
    "sign": Counts(cmp=2),
    "exp": Counts(exp=1),
    "log": Counts(log=1),
    "log1p": Counts(add=1, log=1),
    "expm1": Counts(exp=1, add=1),
    "erf": Counts(erf=1),
    "tanh": Counts(tanh=1),
    "sin": Counts(trig=1),
    "cos": Counts(trig=1),
    "sqrt": Counts(sqrt=1),
    "rsqrt": Counts(sqrt=1, div=1),
    "reciprocal": Counts(div=1),
    "square": Counts(mul=1),
    "cube": Counts(mul=2),
    "pow": Counts(log=1, mul=1, exp=1),  # exp(p log x)
    "sigmoid": Counts(add=2, exp=1, div=1),  # 1 / (1 + exp(0 - x))
    "silu": Counts(mul=1, add=2, exp=1, div=1),  # x sigmoid(x)
    "softplus": Counts(cmp=1, exp=1, add=1, log=1),  # log(1 + exp x), x itself beyond a threshold
    "gelu": Counts(mul=3, add=1, erf=1),  # 0.5 x (1 + erf(x / sqrt 2)), the constant inverted
    "gelu_tanh": Counts(mul=6, add=2, tanh=1),  # 0.5 x (1 + tanh(c (x + a x x x)))
    "elu": Counts(cmp=1, exp=1, add=1, mul=1),  # x > 0 ? x : a (exp(x) - 1)
    "leaky_relu": Counts(cmp=1, mul=1),
    "hardsigmoid": Counts(add=1, cmp=2, mul=1),  # clip(x + 3, 0, 6) / 6, the constant inverted
    "hardswish": Counts(add=1, cmp=2, mul=2),  # x hardsigmoid(x)
    "requantise": Counts(mul=1, add=1, cmp=2),  # times a fixed-point factor, rounded, saturated
}


def _elementwise(name: str, each: Counts) -> Callable[..., Counts]:
    def count(n: Number) -> Counts:
        return each * n

    count.__name__, count.__doc__ = name, f"{name} of n elements: {each.arithmetic()} each."
    return count


for _name, _each in ELEMENTWISE.items():
    add_rule(_name, "elementwise", _elementwise(_name, _each))


# Reductions: P outputs of N terms each.


@rule("reduction")
def sum(P: Number, N: Number) -> Counts:
    """N-1 adds an output."""
    return Counts(add=P * (N - 1))


@rule("reduction")
def mean(P: Number, N: Number) -> Counts:
    """N-1 adds and a multiplication by 1/N an output."""
    return Counts(add=P * (N - 1), mul=P)


@rule("reduction")
def extremum(P: Number, N: Number) -> Counts:
    """max, min, argmax, argmin: N-1 comparisons an output."""
    return Counts(cmp=P * (N - 1))


@rule("reduction")
def product(P: Number, N: Number) -> Counts:
    """N-1 multiplications an output."""
    return Counts(mul=P * (N - 1))


@rule("reduction")
def variance(P: Number, N: Number) -> Counts:
    """Mean, N subtractions, N squares, N-1 adds, a multiplication by the inverse of the divisor."""
    return mean(P, N) + Counts(add=P * (2 * N - 1), mul=P * (N + 1))


@rule("reduction")
def norm2(P: Number, N: Number) -> Counts:
    """Euclidean length: N squares, N-1 adds, a square root."""
    return Counts(mul=P * N, add=P * (N - 1), sqrt=P)


@rule("reduction")
def cumsum(P: Number, N: Number) -> Counts:
    """P scans of N terms: N-1 adds a scan."""
    return Counts(add=P * (N - 1))


@rule("reduction")
def topk(P: Number, N: Number, K: Number) -> Counts:
    """K passes of selection over what is left: (N-1) + (N-2) + ... comparisons."""
    return Counts(cmp=P * (K * (2 * N - K - 1)) // 2)


@rule("reduction")
def max_pool(P: Number, K: Number) -> Counts:
    """P outputs of a window of K: K-1 comparisons an output."""
    return Counts(cmp=P * (K - 1))


@rule("reduction")
def avg_pool(P: Number, K: Number) -> Counts:
    """P outputs of a window of K: K-1 adds and a multiplication by 1/K an output."""
    return Counts(add=P * (K - 1), mul=P)


@rule("reduction")
def scatter_add(n: Number) -> Counts:
    """n elements added into places of another tensor."""
    return Counts(add=n)


# Normalisations: P rows of N elements. `weight`, `bias` are 1 where there is one, else 0.


@rule("normalisation")
def softmax(P: Number, N: Number) -> Counts:
    """N-1 cmp for the maximum, N subtractions, N exp, N-1 adds, N div a row. A mask is free."""
    return Counts(cmp=P * (N - 1), add=P * (2 * N - 1), exp=P * N, div=P * N)


@rule("normalisation")
def log_softmax(P: Number, N: Number) -> Counts:
    """N-1 cmp, N subtractions, N exp, N-1 adds, a log, N subtractions a row."""
    return Counts(cmp=P * (N - 1), add=P * (3 * N - 1), exp=P * N, log=P)


@rule("normalisation")
def layer_norm(P: Number, N: Number, weight: Number, bias: Number) -> Counts:
    """Mean, N subtractions, variance from them, eps, 1/sqrt, N scalings, weight, bias."""
    moments = mean(P, N) + Counts(add=P * N) + Counts(mul=P * (N + 1), add=P * (N - 1))
    inverse = Counts(add=P, sqrt=P, div=P)
    return moments + inverse + Counts(mul=P * N * (1 + weight), add=P * N * bias)


@rule("normalisation")
def rms_norm(P: Number, N: Number, weight: Number) -> Counts:
    """N squares, N-1 adds, a mul by 1/N, eps, 1/sqrt, N scalings, weight."""
    return Counts(mul=P * (2 * N + 1 + N * weight), add=P * N, sqrt=P, div=P)


@rule("normalisation")
def batch_norm(n: Number, C: Number, weight: Number, bias: Number) -> Counts:
    """Inference: 1/sqrt(var + eps) a channel; subtract the mean, scale, weight, bias an element."""
    each = Counts(add=n * (1 + bias), mul=n * (1 + weight))
    return Counts(add=C, sqrt=C, div=C) + each


@rule("normalisation")
def group_norm(P: Number, N: Number, weight: Number, bias: Number) -> Counts:
    """Like `layer_norm`, over P groups of N elements."""
    return layer_norm(P, N, weight, bias)


# Movement: bytes, no arithmetic. Each is listed, so that nothing is free in silence.

MOVEMENT = {
    "copy": "clone, contiguous",
    "cast": "another number type",
    "round": "floor, ceil, round, trunc: no arithmetic on the values",
    "concat": "cat, stack",
    "gather": "embedding, index, gather, index_select: what is picked, not the table",
    "scatter": "index_put, scatter, without addition",
    "fill": "zeros, ones, full, arange: written, not read",
    "pad": "constant padding",
    "permute_copy": "roll, flip, repeat: elements in another order",
    "select": "where, masked_fill, tril, triu: a choice by a mask",
    "logic": "and, or, not, any, all on booleans or bits",
}
FREE = {
    "view": "views, transposes, expands: no bytes move",
    "index": "positions and masks: made of integers, booleans and constants only; a compiler folds them",
    "scale": "a factor that the next requantise takes in",
    "mask": "a mask laid on scores: keys beyond it do not exist",
}


def _nothing() -> Counts:
    return Counts()


for _name in MOVEMENT:
    add_rule(_name, "movement", _nothing)
for _name in FREE:
    add_rule(_name, "free", _nothing)

# An op let through by --allow-unknown: counts nothing, and marks the whole result INCOMPLETE.
UNKNOWN = "unknown"
