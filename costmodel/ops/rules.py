"""The closed op set: one record an op, with its count rule and its traits.

A rule is a pure function of dimensions (ints or sympy symbols) and returns what the plain reference
loop of the op executes; `tests/witness/loops.py` holds those loops and `tests/ops/test_rules.py` runs them on a
number type that tallies its own arithmetic. Bytes are not counted here: they follow from the
operands, see `counting/tally.py`.

A trait is what other floors must know of an op beside its counts: which kind of PE runs its terms, whether it
needs whole rows of what it reads. It is said once, at the rule.

Dims: B batch, M N K of a product, D features, P outputs of a reduction, n elements.

To add an op, write its rule here, its loop in `tests/witness/loops.py` and a sample in `tests/witness/samples.py`,
and name the aten call that becomes it in `graph/names.py`; `docs/extending.md` has the recipe.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from costmodel.errors import UnknownOp
from costmodel.ops.counts import Counts, Number

Rule = Callable[..., Counts]

# What rows of a report are grouped by with `--by kind`.
KINDS = ("product", "elementwise", "reduction", "normalisation", "movement", "free")
# An op let through by --allow-unknown: counts nothing, and marks the whole result INCOMPLETE.
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Op:
    """One op of the closed set."""

    name: str
    kind: str  # one of KINDS
    count: Rule
    dims: tuple[str, ...]  # what the rule takes, by the names of the node's attrs
    pe: str = ""  # of a product: the kind of PE that runs its terms; empty where no array runs it
    whole_rows: bool = False  # of a reduction or normalisation: no output is known before a whole row is read
    piecewise: str = ""  # why a reduction or normalisation can do with less than whole rows


OPS: dict[str, Op] = {}


def rule(kind: str, *, pe: str = "", whole_rows: bool = False, piecewise: str = "") -> Callable[[Rule], Rule]:
    """Register a function as the count rule of the op of its name, with the traits of `Op`."""

    def register(function: Rule) -> Rule:
        dims = tuple(inspect.signature(function).parameters)
        add_op(Op(function.__name__, kind, function, dims, pe, whole_rows, piecewise))
        return function

    return register


def add_op(op: Op) -> None:
    """Register an op.

    Raises:
        ValueError: there is one of this name, its kind is not one of KINDS, or it is a reduction or normalisation
            that does not say whether it needs whole rows.
    """
    if op.name in OPS:
        raise ValueError(f"op {op.name!r} has two rules")
    if op.kind not in KINDS:
        raise ValueError(f"op {op.name!r} is of kind {op.kind!r}, not one of {', '.join(KINDS)}")
    if op.kind in ("reduction", "normalisation") and op.whole_rows == bool(op.piecewise):
        raise ValueError(f"op {op.name!r} needs whole_rows=True, or piecewise=REASON where parts of rows suffice")
    OPS[op.name] = op


def count_op(op: str, attrs: dict[str, Any]) -> Counts:
    """The arithmetic of one node.

    Raises:
        UnknownOp: the op has no rule.
    """
    if op not in OPS:
        raise UnknownOp(f"op {op!r} has no count rule; add one in costmodel/ops/rules.py")
    found = OPS[op]
    return found.count(*[attrs[name] for name in found.dims])


# Traits, by the name of an op. A name that is not in the set is of kind `unknown` and has no trait.


def kind_of(op: str) -> str:
    """The kind of an op: one of KINDS, or `unknown`."""
    return OPS[op].kind if op in OPS else UNKNOWN


def dims_of(op: str) -> tuple[str, ...]:
    """The dims that an op's rule takes."""
    return OPS[op].dims if op in OPS else ()


def pe_of(op: str) -> str:
    """The kind of PE that runs an op's terms; empty for what no array runs."""
    return OPS[op].pe if op in OPS else ""


def needs_whole_rows(op: str) -> bool:
    """Whether an op needs whole rows of what it reads: after a product, a tile must then hold whole rows."""
    return op in OPS and OPS[op].whole_rows


# Products. `bias` is 1 where a bias is added to each output, else 0.


@rule("product", pe="mac")
def matmul(B: Number, M: Number, N: Number, K: Number, bias: Number) -> Counts:
    """a [B,M,K] @ b [B,K,N] (+ bias [N]) -> [B,M,N]: K mul and K-1 adds an output, and the bias."""
    return Counts(mul=B * M * N * K, add=B * M * N * (K - 1 + bias))


@rule("product", pe="mac")
def conv(P: Number, K: Number, bias: Number) -> Counts:
    """P outputs of K taps each. Taps on zero padding are multiplied like any other."""
    return Counts(mul=P * K, add=P * (K - 1 + bias))


@rule("product", pe="l1")
def l1(B: Number, M: Number, N: Number, K: Number) -> Counts:
    """q [B,M,K], k [B,N,K] -> sum_K |q - k| [B,M,N]: K subtractions, K abs, K-1 adds an output."""
    return Counts(add=B * M * N * (2 * K - 1), abs=B * M * N * K)


@rule("product", pe="relu")
def relu_sum(B: Number, M: Number, N: Number, D: Number) -> Counts:
    """v [B,N,D], z [B,M,N] -> sum_N relu(v - z) [B,M,D]: N subtractions, N cmp, N-1 adds an output."""
    return Counts(add=B * M * D * (2 * N - 1), cmp=B * M * D * N)


@rule("product", pe="clip")
def clip_sum(B: Number, M: Number, N: Number, D: Number) -> Counts:
    """v [B,N,D], z [B,M,N] -> sum_N clip(v, -z, z) [B,M,D]: 2 cmp a term, N-1 adds an output.

    -z is not counted: the lower comparison is against z with the sign of v.
    """
    return Counts(add=B * M * D * (N - 1), cmp=2 * B * M * D * N)


@rule("product", pe="clip")
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


def add_elementwise(name: str, each: Counts) -> None:
    """Register an op that acts on elements one by one, by what it takes for each."""
    add_op(Op(name, "elementwise", _elementwise(name, each), ("n",)))


for _name, _each in ELEMENTWISE.items():
    add_elementwise(_name, _each)


# Reductions: P outputs of N terms each.

WINDOW = "a window spans neighbouring positions, not the features of one"


@rule("reduction", whole_rows=True)
def sum(P: Number, N: Number) -> Counts:
    """N-1 adds an output."""
    return Counts(add=P * (N - 1))


@rule("reduction", whole_rows=True)
def mean(P: Number, N: Number) -> Counts:
    """N-1 adds and a multiplication by 1/N an output."""
    return Counts(add=P * (N - 1), mul=P)


@rule("reduction", whole_rows=True)
def extremum(P: Number, N: Number) -> Counts:
    """max, min, argmax, argmin: N-1 comparisons an output."""
    return Counts(cmp=P * (N - 1))


@rule("reduction", whole_rows=True)
def product(P: Number, N: Number) -> Counts:
    """N-1 multiplications an output."""
    return Counts(mul=P * (N - 1))


@rule("reduction", whole_rows=True)
def variance(P: Number, N: Number) -> Counts:
    """Mean, N subtractions, N squares, N-1 adds, a multiplication by the inverse of the divisor."""
    return mean(P, N) + Counts(add=P * (2 * N - 1), mul=P * (N + 1))


@rule("reduction", whole_rows=True)
def norm2(P: Number, N: Number) -> Counts:
    """Euclidean length: N squares, N-1 adds, a square root."""
    return Counts(mul=P * N, add=P * (N - 1), sqrt=P)


@rule("reduction", whole_rows=True)
def cumsum(P: Number, N: Number) -> Counts:
    """P scans of N terms: N-1 adds a scan."""
    return Counts(add=P * (N - 1))


@rule("reduction", whole_rows=True)
def topk(P: Number, N: Number, K: Number) -> Counts:
    """K passes of selection over what is left: (N-1) + (N-2) + ... comparisons."""
    return Counts(cmp=P * (K * (2 * N - K - 1)) // 2)


@rule("reduction", piecewise=WINDOW)
def max_pool(P: Number, K: Number) -> Counts:
    """P outputs of a window of K: K-1 comparisons an output."""
    return Counts(cmp=P * (K - 1))


@rule("reduction", piecewise=WINDOW)
def avg_pool(P: Number, K: Number) -> Counts:
    """P outputs of a window of K: K-1 adds and a multiplication by 1/K an output."""
    return Counts(add=P * (K - 1), mul=P)


@rule("reduction", piecewise="each element goes to its place by itself")
def scatter_add(n: Number) -> Counts:
    """n elements added into places of another tensor."""
    return Counts(add=n)


# Normalisations: P rows of N elements. `weight`, `bias` are 1 where there is one, else 0.


@rule("normalisation", whole_rows=True)
def softmax(P: Number, N: Number) -> Counts:
    """N-1 cmp for the maximum, N subtractions, N exp, N-1 adds, N div a row. A mask is free."""
    return Counts(cmp=P * (N - 1), add=P * (2 * N - 1), exp=P * N, div=P * N)


@rule("normalisation", whole_rows=True)
def log_softmax(P: Number, N: Number) -> Counts:
    """N-1 cmp, N subtractions, N exp, N-1 adds, a log, N subtractions a row."""
    return Counts(cmp=P * (N - 1), add=P * (3 * N - 1), exp=P * N, log=P)


@rule("normalisation", whole_rows=True)
def layer_norm(P: Number, N: Number, weight: Number, bias: Number) -> Counts:
    """Mean, N subtractions, variance from them, eps, 1/sqrt, N scalings, weight, bias."""
    moments = mean(P, N) + Counts(add=P * N) + Counts(mul=P * (N + 1), add=P * (N - 1))
    inverse = Counts(add=P, sqrt=P, div=P)
    return moments + inverse + Counts(mul=P * N * (1 + weight), add=P * N * bias)


@rule("normalisation", whole_rows=True)
def rms_norm(P: Number, N: Number, weight: Number) -> Counts:
    """N squares, N-1 adds, a mul by 1/N, eps, 1/sqrt, N scalings, weight."""
    return Counts(mul=P * (2 * N + 1 + N * weight), add=P * N, sqrt=P, div=P)


@rule("normalisation", piecewise="mean and variance are those of training")
def batch_norm(n: Number, C: Number, weight: Number, bias: Number) -> Counts:
    """Inference: 1/sqrt(var + eps) a channel; subtract the mean, scale, weight, bias an element."""
    each = Counts(add=n * (1 + bias), mul=n * (1 + weight))
    return Counts(add=C, sqrt=C, div=C) + each


@rule("normalisation", whole_rows=True)
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
    add_op(Op(_name, "movement", _nothing, ()))
for _name in FREE:
    add_op(Op(_name, "free", _nothing, ()))
