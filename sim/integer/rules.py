"""One rule an op: from a node of a typed graph to a function on integer arrays.

To teach the simulator an op, write a function under `@integer_rule(OP)`; `docs/extending.md` has the recipe.
"""

from __future__ import annotations

from collections.abc import Callable
from math import erf, floor, log2, sqrt
from typing import Any

import numpy as np

from costmodel.dtypes import Int
from costmodel.errors import CostModelError, UnknownOp
from costmodel.graph.ir import Node
from costmodel.ops.registry import enter
from costmodel.widths.typing import BIAS_BITS, CENTRED_BITS, NORM_BITS, factor_bits
from sim.integer import functions, products
from sim.integer.fixed import NORMAL_BITS, Norm, exp_table, multiplier_of, table_of
from sim.integer.functions import stored
from sim.integer.program import Batch, Compiler, Scale, Sums
from sim.integer.views import Array, mover, numbers_of
from sim.integer.weights import top_of

Run = Callable[[Batch], Array]
Rule = Callable[[Compiler, Node], Any]
RULES: dict[str, Rule] = {}


def integer_rule(*names: str) -> Callable[[Rule], Rule]:
    """Register a function as the integer rule of some ops: it sets the result's scale and returns what runs."""
    return enter(RULES, "integer rule of", *names)


def constant_integers(state: Compiler, node: Node, reals: Array | float, scale: Scale, bound: int) -> Array:
    """A constant on a scale; halves to even.

    Raises:
        CostModelError: it is beyond `bound`: the width that it is added to is too small for it.
    """
    integers = np.rint(np.asarray(reals, np.float64) / scale.real)
    worst = float(np.abs(integers).max(initial=0))
    if not worst <= bound:
        raise CostModelError(
            f"a constant of op {node.op!r} in {node.module} takes {floor(log2(worst)) + 2} bits on the scale of "
            f"what it is added to, which has {bound.bit_length() + 1}; use wider activations or calibrate anew"
        )
    return integers.astype(np.int64)


# Movement


@integer_rule("view")
def view(state: Compiler, node: Node) -> Run:
    i, o = node.inputs[0], node.outputs[0]
    move = mover(state.graph.values[i], state.graph.values[o])
    if o != state.graph.values[o].storage:
        return lambda batch: move(batch.values[i])
    state.scales[o] = state.scale(i)
    return lambda batch: move(batch.values[i])


@integer_rule("copy")
def copy(state: Compiler, node: Node) -> Run:
    i = node.inputs[0]
    state.set(node.outputs[0], state.scale(i))
    return lambda batch: np.ascontiguousarray(batch.values[i])


@integer_rule("gather")
def gather(state: Compiler, node: Node) -> Run:
    """Rows of a table. Tables share one scale, which reaches what calibration saw of them; the rest saturates."""
    table, rows = node.inputs
    kind = state.kind(node.outputs[0])
    if 0 not in state.by_name:
        looked_up = [n.outputs[0] for n in state.graph.nodes if n.op == "gather"]
        reach = max(state.calibration.range_of(state.name_of(i)) for i in looked_up)
        state.by_name[0] = Scale(np.array(reach / top_of(kind)))
    state.set(node.outputs[0], state.by_name[0])
    integers = state.weights.table(state.graph, table, kind, float(state.by_name[0].real))
    if state.is_constant(rows):
        chosen = integers[state.constant(rows)]
        return lambda batch: chosen
    return lambda batch: np.asarray(integers[batch.values[rows]])


# Products


@integer_rule("matmul")
def matmul(state: Compiler, node: Node) -> Sums:
    a, b, *bias = node.inputs
    accumulator = state.accumulator(node)
    if state.is_constant(b):
        kind = state.typed.policy.of(node.op).weight
        assert isinstance(kind, Int)
        scale = state.scale(a)
        base = float(scale.real.max())
        matrix = state.weights.matrix(state.graph, b, kind, scale.real.reshape(-1) / base)
        real = base * matrix.scale
        state.set(node.outputs[0], Scale(real, scale.power))
        start = None
        if bias:
            room = max(0, state.bias_room(node, matrix))
            start = constant_integers(state, node, state.constant(bias[0]), Scale(real), room)
            start = start.astype(stored(Int(BIAS_BITS)))
        return Sums("mac", accumulator, lambda batch: (batch.values[a], matrix.integers), start, matrix)
    left, right = state.scale(a), state.scale(b)
    state.set(node.outputs[0], Scale(left.real * right.real, left.power + right.power))
    over_keys = a in state.per_key
    return Sums(
        "mac",
        accumulator,
        lambda batch: (batch.values[a], batch.existing(batch.values[b]) if over_keys else batch.values[b]),
    )


@integer_rule("l1")
def distance(state: Compiler, node: Node) -> Sums:
    q, k = node.inputs
    state.set(node.outputs[0], state.scale(q))
    return Sums("l1", state.accumulator(node), lambda b: (b.values[q], b.values[k].swapaxes(-1, -2)))


def value_sum(kind: str) -> Callable[[Compiler, Node], Sums]:
    """Sums over keys of v against z >= 0: a key that does not exist has v = 0, which adds 0."""

    def rule(state: Compiler, node: Node) -> Sums:
        v, z = node.inputs
        state.set(node.outputs[0], state.scale(v))
        return Sums(kind, state.accumulator(node), lambda b: (b.values[z], b.existing(b.values[v])))

    return rule


integer_rule("clip_sum")(value_sum("clip"))
integer_rule("relu_sum")(value_sum("relu"))


@integer_rule("sum")
def key_sum(state: Compiler, node: Node) -> Run:
    """The sum of values over keys: a product with ones, on the vector unit."""
    v = node.inputs[0]
    if tuple(node.attrs["axes"]) != (len(state.graph.values[v].shape) - 2,):
        raise UnknownOp(f"a sum over other dims than keys in {node.module} has no rule in sim/integer/rules.py")
    state.set(node.outputs[0], state.scale(v))
    ones, accumulator = np.ones((1, node.attrs["N"]), np.int8), state.accumulator(node)
    shape, overflow = state.graph.values[node.outputs[0]].shape, state.overflow

    def run(batch: Batch) -> Array:
        values = batch.existing(batch.values[v])
        return np.asarray(products.product(ones, values, "mac", accumulator, overflow)).reshape(shape)

    return run


# Element by element


@integer_rule("requantise")
def requantise(state: Compiler, node: Node) -> Run:
    """Onto the scale that the typed graph names: a known one, or one that calibration gives."""
    i, o = node.inputs[0], node.outputs[0]
    kind = state.kind(o)
    state.scales[o] = target = state.operand_scale(o) if state.feeds_weights(o) else state.calibrated(o)
    if target.power:
        raise CostModelError(f"op {node.op!r} in {node.module} would need a scale for each number of keys")
    bits = factor_bits(kind.bits) - 1
    source, move = state.behind(i) if target.real.size == 1 else i, None
    if source != i:  # before the view: one factor a column there
        move = mover(state.graph.values[source], state.graph.values[i])
    scale, shape, rounding = state.scale(source), state.graph.values[source].shape, state.rounding
    # A factor beyond the largest number saturates whatever is not 0: no larger one is needed.
    most = float(top_of(kind))
    ratio, by = laid_out(scale.real / target.real, shape)
    state.reads[o] = (source,)
    if not scale.power:
        m, shift = functions.multipliers_of(np.clip(ratio, -most, most), bits)

        def run(batch: Batch) -> Array:
            out = functions.requantise(batch.values[source], m, shift, kind, rounding, by)
            return np.asarray(out if move is None else move(out))

        return run
    longest = state.graph.values[state.input].shape[-1]
    powers = (float(n) ** scale.power for n in range(1, longest + 1))
    table = [functions.multipliers_of(np.clip(ratio * power, -most, most), bits) for power in powers]

    def run_by_keys(batch: Batch) -> Array:
        x = batch.values[source]
        rows = []
        for b, n in enumerate(batch.keys):
            m, shift = table[n - 1]
            rows.append(functions.requantise(x[b], m, shift, kind, rounding, by))
        out = np.stack(rows)
        return np.asarray(out if move is None else move(out))

    return run_by_keys


def laid_out(ratio: Array, shape: tuple[int, ...]) -> tuple[Array, str]:
    """Factors as the kernel takes them: one, one a column, or one for each leading row."""
    if ratio.size == 1:
        return ratio.reshape(()), "columns"
    ratio = ratio.reshape((1,) * (len(shape) - ratio.ndim) + ratio.shape)
    if ratio.size == ratio.shape[-1]:
        return ratio.reshape(-1), "columns"
    varying = 1 + max(axis for axis, n in enumerate(ratio.shape) if n > 1)
    leading = ratio.reshape(ratio.shape[:varying])
    return np.broadcast_to(leading, shape[:varying]).reshape(-1), "rows"


@integer_rule("scale")
def scale_factor(state: Compiler, node: Node) -> Run:
    """A factor: only the scale changes."""
    moving = next(i for i in node.inputs if not state.is_constant(i))
    scale = state.scale(moving)
    real, power = scale.real, scale.power
    sign = -1 if node.attrs["was"] == "div" else 1
    for number in numbers_of(node):
        real = real * number**sign
    for i in node.inputs:
        if i in state.powers:
            power += sign * state.powers[i]
        elif i != moving:
            real = real * state.constant(i).astype(np.float64) ** sign
    state.set(node.outputs[0], Scale(np.asarray(real), power))
    return lambda batch: batch.values[moving]


@integer_rule("add", "sub")
def add_or_sub(state: Compiler, node: Node) -> Run:
    kind, sign = stored(state.kind(node.outputs[0])), -1 if node.op == "sub" else 1
    moving = [i for i in node.inputs if not state.is_constant(i)]
    state.set(node.outputs[0], state.scale(moving[0]))
    function = np.add if sign == 1 else np.subtract
    if len(moving) == 2:
        a, b = moving
        return lambda batch: np.asarray(function(batch.values[a], batch.values[b], dtype=kind, casting="unsafe"))
    numbers = numbers_of(node)
    reals = numbers[0] if numbers else state.constant(next(i for i in node.inputs if i not in moving))
    held = state.held(moving[0])
    scale = state.scale(moving[0])
    if scale.power:
        raise CostModelError(f"a constant is added to what is divided by the number of keys in {node.module}")
    integers = constant_integers(state, node, reals, scale, max(held.high, -held.low)).astype(kind)
    (i,) = moving
    return lambda batch: np.asarray(function(batch.values[i], integers, dtype=kind, casting="unsafe"))


@integer_rule("relu")
def relu(state: Compiler, node: Node) -> Run:
    i = node.inputs[0]
    scale = state.scale(i)
    if not (scale.real > 0).all():
        raise CostModelError(f"a ReLU in {node.module} would stand on a scale that is not positive (gamma?)")
    state.set(node.outputs[0], scale)
    kind = stored(state.kind(node.outputs[0]))
    return lambda batch: np.maximum(batch.values[i], 0).astype(kind, copy=False)


@integer_rule("gelu")
def gelu(state: Compiler, node: Node) -> Run:
    i, o = node.inputs[0], node.outputs[0]
    state.scales[o] = scale = state.calibrated(o)
    kind, steps = state.kind(o), (float(state.scale(i).real), float(scale.real))
    function = table_of(lambda x: 0.5 * x * (1 + erf(x / sqrt(2))), *steps, state.kind(i).bits, kind)
    return lambda batch: np.asarray(functions.look_up(batch.values[i], function, kind))


# Rows


@integer_rule("mean")
def mean(state: Compiler, node: Node) -> Run:
    """Over keys: the exact sum times 1/n."""
    i, N = node.inputs[0], node.attrs["N"]
    state.set(node.outputs[0], state.scale(i))
    held, kind = state.held(i), stored(state.kind(node.outputs[0]))
    bits = factor_bits(held.type.bits) - 1
    factors = np.array([multiplier_of(1 / n, bits) for n in range(1, N + 1)])
    all_keys = state.all_keys

    def run(batch: Batch) -> Array:
        x = batch.values[i]
        mask = None if all_keys else batch.mask(x.ndim)
        if mask is None:
            out = functions.mean(x, *factors[N - 1])
        else:
            m, shift = (factors[batch.keys - 1, j].reshape(-1, *(1,) * (x.ndim - 2)) for j in (0, 1))
            out = functions.mean(x, m, shift, mask)
        return np.asarray(out[..., None].astype(kind))

    return run


@integer_rule("softmax")
def softmax(state: Compiler, node: Node) -> Run:
    i, o = node.inputs[0], node.outputs[0]
    kind = state.kind(o)
    state.set(o, Scale(np.array(1.0 / top_of(kind))))
    table = exp_table(float(state.scale(i).real), state.kind(i).bits)

    def run(batch: Batch) -> Array:
        x = batch.values[i]
        mask = batch.mask(x.ndim)
        keep = None if mask is None else np.broadcast_to(mask, x.shape)
        return np.asarray(functions.softmax(x, table, kind.bits, keep))

    return run


@integer_rule("layer_norm")
def layer_norm(state: Compiler, node: Node) -> Run:
    """Weight and bias on one scale, so large that both have 16 bits and the result a power of two of it."""
    i, o = node.inputs[0], node.outputs[0]
    state.scales[o] = out = state.calibrated(o)
    kind, N = state.kind(o), node.attrs["N"]
    source = state.scale(i)
    if source.power or source.real.size > 1:
        raise CostModelError(f"a norm in {node.module} would stand on more than one scale")
    parameters = [state.constant(j).astype(np.float64) for j in node.inputs[1:]]
    weight = parameters.pop(0) if node.attrs["weight"] else np.ones(N)
    bias = parameters.pop(0) if node.attrs["bias"] else np.zeros(N)
    largest = max(float(np.abs(weight).max()), float(np.abs(bias).max())) or 1.0
    shift = min(62, floor(log2(top_of(Int(NORM_BITS)) * float(out.real) / largest)) + NORMAL_BITS)
    if shift < 0:
        raise CostModelError(
            f"weights of the norm in {node.module} reach {largest:g}: too much for {NORM_BITS} bits"
        )
    step = float(out.real) * 2.0 ** (NORMAL_BITS - shift)
    fraction = max(0, CENTRED_BITS - 1 - state.held(i).type.bits)
    eps = N * node.attrs["eps"] / float(source.real) ** 2 * 4.0**fraction
    norm = Norm(
        tuple(int(x) for x in np.rint(weight / step)),
        tuple(int(x) for x in np.rint(bias / step)),
        max(1, round(eps)),
        fraction,
        multiplier_of(1 / N),
        shift,
    )
    constants, rounding = functions.norm_constants(norm), state.rounding
    return lambda batch: np.asarray(functions.layer_norm(batch.values[i], norm, kind, rounding, constants))
