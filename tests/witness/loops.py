"""The plain reference loop of every op, on arrays of numbers that may tally. Slow and obvious.

Each takes the operands of the node in order, then its attrs; `RUN[op](args, attrs)` gives the output.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tests.witness.tally import cos, erf, exp, log, plain, sin, sqrt, tanh

Array = np.ndarray
RUN: dict[str, Callable[[list[Any], dict[str, Any]], Array]] = {}


def loop(function: Callable[..., Array]) -> Callable[..., Array]:
    RUN[function.__name__.rstrip("_")] = function
    return function


def array(shape: tuple[int, ...]) -> Array:
    return np.empty(shape, object)


def leading(*arrays: Array) -> Iterator[tuple[Array, ...]]:
    """Matrices of arrays whose leading dims broadcast."""
    shape = np.broadcast_shapes(*(a.shape[:-2] for a in arrays))
    wide = [np.broadcast_to(a, (*shape, *a.shape[-2:])) for a in arrays]
    for index in itertools.product(*map(range, shape)):
        yield tuple(a[index] for a in wide)


def add_up(terms: list[Any]) -> Any:
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def greatest(terms: list[Any]) -> Any:
    best = terms[0]
    for term in terms[1:]:
        best = term if term > best else best
    return best


# Products


@loop
def matmul(args: list[Any], attrs: dict[str, Any]) -> Array:
    a, b, *bias = args
    if b.ndim == 2:
        a = a.reshape(-1, a.shape[-1])
    results = []
    for x, y in leading(a, b):
        out = array((x.shape[0], y.shape[1]))
        for i, j in np.ndindex(*out.shape):
            out[i, j] = add_up([x[i, c] * y[c, j] for c in range(x.shape[1])])
            if bias:
                out[i, j] = out[i, j] + np.broadcast_to(bias[0], out.shape)[i, j]
        results.append(out)
    return np.stack(results)


@loop
def conv(args: list[Any], attrs: dict[str, Any]) -> Array:
    """One group, no stride, no padding, no dilation: taps are what counts."""
    x, w, b = args
    kernel = w.shape[2:]
    out = array((x.shape[0], w.shape[0], *(n - k + 1 for n, k in zip(x.shape[2:], kernel, strict=True))))
    for n, o, *at in np.ndindex(*out.shape):
        taps = [
            x[(n, c, *(p + q for p, q in zip(at, tap, strict=True)))] * w[(o, c, *tap)]
            for c, *tap in np.ndindex(*w.shape[1:])
        ]
        out[(n, o, *at)] = add_up(taps) if b is None else add_up(taps) + b[o]
    return out


@loop
def l1(args: list[Any], attrs: dict[str, Any]) -> Array:
    results = []
    for q, k in leading(*args):
        out = array((q.shape[0], k.shape[0]))
        for i, j in np.ndindex(*out.shape):
            out[i, j] = add_up([abs(q[i, c] - k[j, c]) for c in range(q.shape[1])])
        results.append(out)
    return np.stack(results)


def sum_over_keys(args: list[Any], term: Callable[[Any, Any], Any]) -> Array:
    results = []
    for v, z in leading(*args):
        out = array((z.shape[0], v.shape[1]))
        for i, c in np.ndindex(*out.shape):
            out[i, c] = add_up([term(v[j, c], z[i, j]) for j in range(v.shape[0])])
        results.append(out)
    return np.stack(results)


def relu_of(x: Any) -> Any:
    return x if x > 0 else like(x, 0.0)


def clipped(x: Any, low: Any, high: Any) -> Any:
    x = like(x, low) if x < low else x
    return high if x > high else x


@loop
def relu_sum(args: list[Any], attrs: dict[str, Any]) -> Array:
    return sum_over_keys(args, lambda v, z: like(v, plain(relu_of(v - z))))


def like(x: Any, value: float) -> Any:
    """A plain result as a tallying number of x's ledger, without an operation."""
    return type(x)(value, x.ledger) if hasattr(x, "ledger") else value


def magnitude_clip(v: Any, z: Any) -> Any:
    """clip(v, -z, z) by two comparisons; the sign of the bound is wiring."""
    top, bottom = plain(z), -plain(z)
    return like(v, plain(clipped(v, bottom, top)))


@loop
def clip_sum(args: list[Any], attrs: dict[str, Any]) -> Array:
    return sum_over_keys(args, magnitude_clip)


@loop
def soft_threshold_sum(args: list[Any], attrs: dict[str, Any]) -> Array:
    return sum_over_keys(args, lambda v, z: v - magnitude_clip(v, z))


@loop
def fused_attention(args: list[Any], attrs: dict[str, Any]) -> Array:
    q, k, v = args
    scores = matmul([q, np.swapaxes(k, -1, -2)], {})
    for index in np.ndindex(*scores.shape):
        scores[index] = scores[index] * 0.5
    weights = softmax([scores], {"axis": scores.ndim - 1})
    return matmul([weights, v.reshape(-1, *v.shape[-2:])], {})


# Elementwise. One function of scalars each; both branches of a choice are always computed.


def sigmoid_of(x: Any) -> Any:
    return 1 / (1 + exp(0 - x))


def choose(condition: bool, yes: Any, no: Any) -> Any:
    return yes if condition else no


def general_pow(x: Any, p: Any) -> Any:
    return exp(log(x) * p)


def gelu_tanh_of(x: Any) -> Any:
    inner = (x + x * x * x * 0.044715) * 0.7978845608028654
    return x * 0.5 * (tanh(inner) + 1)


def compare_of(a: Any, b: Any = 0) -> Any:
    return a > b


def sign_of(x: Any) -> Any:
    above, below = x > 0, x < 0
    return like(x, float(above) - float(below))


SCALAR: dict[str, Callable[..., Any]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "neg": lambda a: 0 - a,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "remainder": lambda a, b: a % b,
    "abs": abs,
    "minimum": lambda a, b: choose(a < b, a, like(a, plain(b))),
    "maximum": lambda a, b: choose(a > b, a, like(a, plain(b))),
    "relu": lambda a: choose(a > 0, a, like(a, 0.0)),
    "clip": lambda a, low=-1, high=1: like(a, plain(clipped(a, low, high))),
    "compare": compare_of,
    "sign": sign_of,
    "exp": exp,
    "log": log,
    "log1p": lambda a: log(1 + a),
    "expm1": lambda a: exp(a) - 1,
    "erf": erf,
    "tanh": tanh,
    "sin": sin,
    "cos": cos,
    "sqrt": sqrt,
    "rsqrt": lambda a: 1 / sqrt(a),
    "reciprocal": lambda a: 1 / a,
    "square": lambda a: a * a,
    "cube": lambda a: a * a * a,
    "pow": general_pow,
    "sigmoid": sigmoid_of,
    "silu": lambda a: a * sigmoid_of(a),
    "softplus": lambda a: choose(a > 20, a, log(1 + exp(a))),
    "gelu": lambda a: a * 0.5 * (erf(a * 0.7071067811865476) + 1),
    "gelu_tanh": gelu_tanh_of,
    "elu": lambda a: choose(a > 0, a, (exp(a) - 1) * 1.0),
    "leaky_relu": lambda a: choose(a > 0, a, a * 0.01),
    "hardsigmoid": lambda a: like(a, plain(clipped(a + 3, 0, 6))) * (1 / 6),
    "requantise": lambda a: like(a, plain(clipped(a * 0.7 + 0.5, -128, 127))),
    "hardswish": lambda a: a * (like(a, plain(clipped(a + 3, 0, 6))) * (1 / 6)),
}


def _map(function: Callable[..., Any]) -> Callable[[list[Any], dict[str, Any]], Array]:
    def run(args: list[Any], attrs: dict[str, Any]) -> Array:
        arrays = np.broadcast_arrays(*[np.asarray(a, object) for a in args])
        out = array(arrays[0].shape)
        for index in np.ndindex(*out.shape):
            out[index] = function(*(a[index] for a in arrays))
        return out

    return run


RUN.update({name: _map(function) for name, function in SCALAR.items()})


# Reductions


def over(x: Array, axes: tuple[int, ...], function: Callable[[list[Any]], Any]) -> Array:
    """A function of the terms along `axes`, which stay as dims of one."""
    kept = tuple(1 if d in axes else n for d, n in enumerate(x.shape))
    out = array(kept)
    for index in np.ndindex(*kept):
        picked = tuple(slice(None) if d in axes else i for d, i in enumerate(index))
        out[index] = function(list(x[picked].reshape(-1)))
    return out


def mean_of(terms: list[Any]) -> Any:
    return add_up(terms) * (1 / len(terms))


def variance_of(terms: list[Any]) -> Any:
    mean = mean_of(terms)
    return add_up([(t - mean) * like(t, plain(t) - plain(mean)) for t in terms]) * (1 / (len(terms) - 1 or 1))


def product_of(terms: list[Any]) -> Any:
    result = terms[0]
    for term in terms[1:]:
        result = result * term
    return result


def length_of(terms: list[Any]) -> Any:
    return sqrt(add_up([t * t for t in terms]))


for _name, _function in {
    "sum": add_up,
    "mean": mean_of,
    "extremum": greatest,
    "product": product_of,
    "variance": variance_of,
    "norm2": length_of,
}.items():
    RUN[_name] = lambda args, attrs, f=_function: over(args[0], attrs["axes"], f)


@loop
def cumsum(args: list[Any], attrs: dict[str, Any]) -> Array:
    (axis,) = attrs["axes"]
    x = np.moveaxis(args[0], axis, -1).copy()
    for row in x.reshape(-1, x.shape[-1]):
        for i in range(1, len(row)):
            row[i] = row[i - 1] + row[i]
    return np.moveaxis(x, -1, axis)


@loop
def topk(args: list[Any], attrs: dict[str, Any]) -> Array:
    x = args[0].reshape(-1, args[0].shape[-1])
    out = array((x.shape[0], attrs["K"]))
    for i, row in enumerate(x):
        left = list(row)
        for j in range(attrs["K"]):
            best = 0
            for n in range(1, len(left)):
                best = n if left[n] > left[best] else best
            out[i, j] = left.pop(best)
    return out


@loop
def max_pool(args: list[Any], attrs: dict[str, Any]) -> Array:
    return over(args[0], (1,), greatest)


@loop
def avg_pool(args: list[Any], attrs: dict[str, Any]) -> Array:
    return over(args[0], (1,), mean_of)


@loop
def scatter_add(args: list[Any], attrs: dict[str, Any]) -> Array:
    target, index, source = args
    out = target.copy()
    for i, x in zip(index, source, strict=True):
        out[i] = out[i] + x
    return out


# Normalisations


@loop
def softmax(args: list[Any], attrs: dict[str, Any]) -> Array:
    x = np.moveaxis(args[0], attrs["axis"], -1)
    out = array(x.shape)
    for index in np.ndindex(*x.shape[:-1]):
        top = greatest(list(x[index]))
        raised = [exp(t - top) for t in x[index]]
        total = add_up(raised)
        for j, e in enumerate(raised):
            out[(*index, j)] = e / total
    return np.moveaxis(out, -1, attrs["axis"])


@loop
def log_softmax(args: list[Any], attrs: dict[str, Any]) -> Array:
    out = array(args[0].shape)
    for index in np.ndindex(*out.shape[:-1]):
        top = greatest(list(args[0][index]))
        shifted = [t - top for t in args[0][index]]
        total = log(add_up([exp(t) for t in shifted]))
        for j, t in enumerate(shifted):
            out[(*index, j)] = t - total
    return out


@loop
def layer_norm(args: list[Any], attrs: dict[str, Any]) -> Array:
    x, weight, bias = args
    rows = x.reshape(-1, attrs["N"])
    out = array(rows.shape)
    for i, row in enumerate(rows):
        mean = mean_of(list(row))
        centred = [t - mean for t in row]
        variance = mean_of([t * t for t in centred])
        inverse = 1 / sqrt(variance + attrs["eps"])
        for j, t in enumerate(centred):
            y = t * inverse
            y = y if weight is None else y * weight.reshape(-1)[j]
            out[i, j] = y if bias is None else y + bias.reshape(-1)[j]
    return out.reshape(x.shape)


@loop
def group_norm(args: list[Any], attrs: dict[str, Any]) -> Array:
    return layer_norm(args, attrs)


@loop
def rms_norm(args: list[Any], attrs: dict[str, Any]) -> Array:
    x, weight = args
    rows = x.reshape(-1, attrs["N"])
    out = array(rows.shape)
    for i, row in enumerate(rows):
        inverse = 1 / sqrt(mean_of([t * t for t in row]) + attrs["eps"])
        for j, t in enumerate(row):
            out[i, j] = t * inverse if weight is None else t * inverse * weight[j]
    return out.reshape(x.shape)


@loop
def batch_norm(args: list[Any], attrs: dict[str, Any]) -> Array:
    x, weight, bias, mean, variance = args
    inverse = [1 / sqrt(v + attrs["eps"]) for v in variance]
    out = array(x.shape)
    for n, c, *rest in np.ndindex(*x.shape):
        y = (x[(n, c, *rest)] - mean[c]) * inverse[c]
        y = y if weight is None else y * weight[c]
        out[(n, c, *rest)] = y if bias is None else y + bias[c]
    return out


# Movement and masks, as far as a DistilBERT needs them


@loop
def copy(args: list[Any], attrs: dict[str, Any]) -> Array:
    return args[0]


@loop
def cast(args: list[Any], attrs: dict[str, Any]) -> Array:
    return args[0].astype(bool).astype(object) if dict(attrs["call"])["dtype"] == "torch.bool" else args[0]


@loop
def gather(args: list[Any], attrs: dict[str, Any]) -> Array:
    table, indices = args
    if isinstance(indices, tuple):
        return table[tuple(i.astype(int) for i in indices)]
    return table[indices.astype(int)]


@loop
def fill(args: list[Any], attrs: dict[str, Any]) -> Array:
    call = dict(attrs["call"])
    if "arange" in attrs["aten"]:
        return np.arange(call["end"]).astype(object)
    if "scalar_tensor" in attrs["aten"]:
        return np.asarray(call["s"], object)
    return np.full(call["size"], 1 if "ones" in attrs["aten"] else 0).astype(object)


@loop
def select(args: list[Any], attrs: dict[str, Any]) -> Array:
    """masked_fill, or where on plain numbers."""
    if "where" in attrs["aten"]:
        return np.where(args[0].astype(bool), args[1], args[2])
    x, mask = args
    out = x.copy()
    for index in np.ndindex(*x.shape):
        if np.broadcast_to(mask, x.shape)[index]:
            out[index] = like(x[index], dict(attrs["call"])["value"])
    return out


@loop
def mask(args: list[Any], attrs: dict[str, Any]) -> Array:
    """A boolean mask keeps; a float one, 0 or very low, is laid on without arithmetic."""
    scores, keep = args
    keep = np.broadcast_to(keep, scores.shape)
    out = scores.copy()
    for index in np.ndindex(*scores.shape):
        if keep[index] is False or (keep[index] is not True and keep[index] < -100):
            out[index] = like(scores[index], float("-inf"))
    return out


@loop
def logic(args: list[Any], attrs: dict[str, Any]) -> Array:
    name = attrs["aten"].removeprefix("aten.")
    arrays = np.broadcast_arrays(*args)
    out = array(arrays[0].shape)
    functions = {"bitwise_and": lambda a, b: bool(a) and bool(b), "bitwise_not": lambda a: not a}
    if name == "all":
        return np.asarray(all(args[0].reshape(-1)), object)
    for index in np.ndindex(*out.shape):
        out[index] = functions[name](*(a[index] for a in arrays))
    return out


def compare(args: list[Any], attrs: dict[str, Any]) -> Array:
    """gt, which tallies, or another comparison of plain numbers."""
    name = attrs.get("aten", "gt").removeprefix("aten.")
    plain_only = {"ge": lambda a, b: a >= b, "le": lambda a, b: a <= b}
    return _map(plain_only.get(name, compare_of))(args, attrs)


RUN["compare"] = compare


def run_index(args: list[Any], attrs: dict[str, Any]) -> Array:
    """An index node: the loop of the op that it was, on plain numbers."""
    return RUN[attrs["was"]](args, attrs)


RUN["index"] = run_index
# Ops that have no loop here, and why.
WITHOUT_LOOP = {
    "scale": "folded into the next requantise",
    "view": "the interpreter reads and writes through strides",
    "round": "no arithmetic to tally",
    "concat": "no arithmetic to tally",
    "scatter": "no arithmetic to tally",
    "pad": "no arithmetic to tally",
    "permute_copy": "no arithmetic to tally",
}
