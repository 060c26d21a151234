"""One rule an op: integer types of its results, where a requantise stands, its work by width.

What the types are is in `assign.py`. To teach it an op, write a function under `@width_rule(OP)`.
"""

from __future__ import annotations

from collections.abc import Callable

from costmodel.dtypes import Int, product_type
from costmodel.errors import UnknownOp
from costmodel.graph.ir import Node, Ref
from costmodel.ops.registry import enter
from costmodel.ops.rules import count_op, kind_of
from costmodel.widths.policy import Range, Work, range_of, type_of
from costmodel.widths.typing import (
    BIAS_BITS,
    CENTRED_BITS,
    EXP_BITS,
    INVERSE_BITS,
    KEEP,
    NORM_BITS,
    TABLES,
    WIDER_BITS,
    Typing,
    factor_bits,
    free_node,
    times,
)

WidthRule = Callable[[Typing, Node], None]
RULES: dict[str, WidthRule] = {}


def width_rule(*names: str) -> Callable[[WidthRule], WidthRule]:
    """Register a function as the width rule of some ops."""
    return enter(RULES, "width rule of", *names)


@width_rule("gather")
def embedding(state: Typing, node: Node) -> None:
    table = node.inputs[0]
    policy = state.policy.of("gather")
    assert isinstance(policy.weight, Int)
    assert isinstance(policy.activation, Int)
    kind = Int(max(policy.weight.bits, policy.activation.bits))
    if table in state.constants:
        state.weight(node, table, kind)
    held = state.operand(table)
    # Tables that are added to each other share one scale.
    state.emit(node, (), Range(held.low, held.high, 0))


@width_rule("matmul", "conv")
def matmul(state: Typing, node: Node) -> None:
    a, b, *bias = node.inputs
    kind = state.policy.of(node.op).weight
    assert isinstance(kind, Int)
    pair = []
    for i in (a, b):
        pair.append(state.weight(node, i, kind) if i in state.constants else state.narrow(node, i))
    left, right = state.operand(pair[0]), state.operand(pair[1])
    low, high = times(left, right)
    low, high = low * node.attrs["K"], high * node.attrs["K"]
    for i in bias:  # it joins the sum on its scale; calibration sees that it fits
        state.weight(node, i, Int(BIAS_BITS))
    summed = Range(low, high, state.own_scale(node.outputs[0]))
    if b in state.constants:
        state.products.add(node.outputs[0])
    counts = count_op(node.op, node.attrs)
    work = (
        Work("mul", product_type(left.type, right.type), counts.mul),
        Work("add", state.add_type(node, summed), counts.add),
    )
    state.emit(state.rewire(node, tuple(pair)), work, summed)


@width_rule("l1")
def distance(state: Typing, node: Node) -> None:
    q, k = node.inputs
    scale = state.own_scale(node.outputs[0])  # one for both, so that they can be subtracted
    pair = (state.narrow(node, q, scale), state.narrow(node, k, scale))
    left, right = state.operand(pair[0]), state.operand(pair[1])
    each = max(left.high - right.low, right.high - left.low)
    K, counts = node.attrs["K"], count_op(node.op, node.attrs)
    summed = Range(0, each * K, scale)
    term = type_of(0, each)
    work = (
        Work("add", term, counts.abs),
        Work("abs", term, counts.abs),
        Work("add", state.add_type(node, summed), counts.add - counts.abs),
    )
    state.emit(state.rewire(node, pair), work, summed)


@width_rule("clip_sum", "relu_sum", "soft_threshold_sum")
def value_sum(state: Typing, node: Node) -> None:
    """clip_sum, relu_sum, soft_threshold_sum of v and z: z on the scale of v."""
    v = state.narrow(node, node.inputs[0])
    values = state.operand(v)
    kind = state.policy.of(node.op).activation
    assert isinstance(kind, Int)
    z = state.requantise(node, node.inputs[1], kind, values.scale, low=0)
    shift = state.operand(z)
    low, high = {
        "clip_sum": (-min(-values.low, shift.high), min(values.high, shift.high)),
        "relu_sum": (0, values.high - shift.low),
        "soft_threshold_sum": (values.low, values.high),
    }[node.op]
    N, counts = node.attrs["N"], count_op(node.op, node.attrs)
    summed = Range(low * N, high * N, values.scale)
    terms = counts.add - node.attrs["B"] * node.attrs["M"] * node.attrs["D"] * (N - 1)
    width = Int(max(values.type.bits, shift.type.bits + 1))
    work = (
        Work("add", width, terms),
        Work("cmp", width, counts.cmp),
        Work("add", state.add_type(node, summed), counts.add - terms),
    )
    state.emit(state.rewire(node, (v, z)), work, summed)


@width_rule("sum")
def sum_over(state: Typing, node: Node) -> None:
    """A sum over keys is a product with ones: of narrow operands."""
    x = state.narrow(node, node.inputs[0])
    held, N = state.operand(x), node.attrs["N"]
    summed = Range(held.low * N, held.high * N, held.scale)
    kind = state.add_type(node, summed)
    state.emit(state.rewire(node, (x,)), (Work("add", kind, count_op(node.op, node.attrs).add),), summed)


@width_rule("mean")
def mean_over(state: Typing, node: Node) -> None:
    """The exact sum, times 1/N, rounded to the scale of the operand."""
    held, N, counts = state.operand(node.inputs[0]), node.attrs["N"], count_op(node.op, node.attrs)
    summed = type_of(held.low * N, held.high * N)
    factor = Int(max(summed.bits, factor_bits(held.type.bits)), summed.signed)
    work = (Work("add", summed, counts.add + counts.mul), Work("mul", factor, counts.mul))
    state.emit(node, work, held)


@width_rule("add", "sub")
def add_or_sub(state: Typing, node: Node) -> None:
    if len(node.inputs) == 1:  # with a number, or with itself
        held = state.operand(node.inputs[0])
        bound = max(held.high, -held.low)
        doubled = Range(held.low - bound, held.high + bound, held.scale)
        state.emit(node, (Work("add", held.type, node.attrs["n"]),), doubled)
        return
    first, second = node.inputs
    for own, other in ((first, second), (second, first)):
        if other in state.constants:
            held = state.operand(own)  # a constant on the scale of what it is added to
            bound = max(held.high, -held.low)
            state.set(other, Range(-bound, bound, held.scale))
    a, b = state.operand(first), state.operand(second)
    if a.scale != b.scale:
        # A product has a scale for each channel: it joins the stream on the stream's. Of others the narrower
        # one is the stream.
        made = [state.values[i].storage in state.products for i in (first, second)]
        narrower = b.type.bits <= a.type.bits if made[0] == made[1] else made[0]
        stream = second if narrower else first
        kind = state.policy.activation
        assert isinstance(kind, Int)
        stream_scale = state.operand(stream).scale
        wide = Int(kind.bits + WIDER_BITS)
        moved = {i: i if i == stream else state.requantise(node, i, wide, stream_scale) for i in node.inputs}
        first, second = moved[first], moved[second]
        a, b = state.operand(first), state.operand(second)
    low, high = (a.low + b.low, a.high + b.high) if node.op == "add" else (a.low - b.high, a.high - b.low)
    held = Range(low, high, a.scale)
    n = node.attrs["n"]
    width = Int(max(a.type.bits, b.type.bits))
    state.emit(state.rewire(node, (first, second)), (Work("add", width, n),), held)


@width_rule("mul", "div", "square")
def factor(state: Typing, node: Node) -> None:
    """A multiplication by a factor is folded; one of two activations is a product of narrow operands."""
    moving = [i for i in node.inputs if i not in state.constants]
    constants = [i for i in node.inputs if i in state.constants]
    output = state.values[node.outputs[0]]
    small = all(state.values[i].shape[-1:] in ((), (1,)) for i in constants)
    numbers = any(not isinstance(a, Ref) for a in node.attrs["args"])
    if len(moving) == 1 and (numbers or (constants and small)):
        held = state.operand(moving[0])
        negative = sum(a < 0 for a in node.attrs["args"] if not isinstance(a, Ref)) % 2 == 1
        if negative != (state.values[moving[0]].storage in state.negated):
            state.negated.add(output.id)
        state.emit(free_node(node), (), Range(held.low, held.high, state.own_scale(output.id)))
        return
    if node.op == "div":
        raise UnknownOp(f"op 'div' of two activations in {node.module} has no rule for integer widths")
    pair = tuple(i if i in state.constants else state.narrow(node, i) for i in node.inputs)
    ranges = [state.operand(i) for i in pair] * (2 if len(pair) == 1 else 1)
    low, high = times(ranges[0], ranges[1])
    width = Int(max(r.type.bits for r in ranges))
    held = Range(low, high, state.own_scale(output.id))
    state.emit(state.rewire(node, pair), (Work("mul", width, count_op(node.op, node.attrs).mul),), held)


@width_rule("neg", "abs")
def sign_change(state: Typing, node: Node) -> None:
    held = state.operand(node.inputs[0])
    bound = max(held.high, -held.low)
    low, high = {"neg": (-held.high, -held.low), "abs": (0, bound)}[node.op]
    state.emit(node, elementwise_work(node, held.type), Range(low, high, held.scale))


@width_rule("relu")
def one_sided(state: Typing, node: Node) -> None:
    held = state.operand(node.inputs[0])
    state.emit(node, elementwise_work(node, held.type), Range(max(0, held.low), max(0, held.high), held.scale))


def elementwise_work(node: Node, kind: Int) -> tuple[Work, ...]:
    counts = count_op(node.op, node.attrs).arithmetic()
    return tuple(Work(op, kind, n) for op, n in counts.items() if n)


@width_rule(*TABLES)
def table_function(state: Typing, node: Node) -> None:
    x = state.narrow(node, node.inputs[0])
    kind = state.policy.of(node.op).activation
    assert isinstance(kind, Int)
    n, wide = node.attrs["n"], Int(kind.bits + WIDER_BITS)
    work: tuple[Work, ...] = (Work("lookup", wide, n),)
    if kind.bits > 8:  # a line between 256 points
        work = (Work("lookup", wide, 2 * n), Work("mul", wide, n), Work("add", wide, n))
    state.emit(state.rewire(node, (x,)), work, range_of(wide, state.own_scale(node.outputs[0])), wide)


@width_rule("softmax")
def softmax(state: Typing, node: Node) -> None:
    x = state.narrow(node, node.inputs[0])
    held, P, N = state.operand(x), node.attrs["P"], node.attrs["N"]
    kind = state.policy.of(node.op).activation
    assert isinstance(kind, Int)
    summed = Int(EXP_BITS + (N - 1).bit_length(), signed=False)
    exp_kind = Int(EXP_BITS, signed=False)
    lookups = P * N * (1 if kind.bits <= 8 else 2)
    line = P * N if kind.bits > 8 else 0
    work = (
        Work("cmp", held.type, P * (N - 1)),
        Work("add", Int(held.type.bits + 1), P * N),
        Work("lookup", exp_kind, lookups),
        Work("add", summed, P * (N - 1)),
        Work("div", Int(INVERSE_BITS, signed=False), P),
        Work("mul", exp_kind, P * N + line),
        Work("add", exp_kind, P * N + line),
    )
    full = range_of(kind, state.own_scale(node.outputs[0]))
    state.emit(state.rewire(node, (x,)), work, Range(0, full.high, full.scale), kind)


@width_rule("layer_norm", "rms_norm")
def layer_norm(state: Typing, node: Node) -> None:
    """Exact sums; (x - mean) times a reciprocal root, times weight, plus bias: `sim.fixed.layer_norm`.

    What is centred has 22 bits, or one more than the operand: the mean keeps what is missing as fraction.
    """
    x, *parameters = node.inputs
    for i in parameters:
        state.weight(node, i, Int(NORM_BITS))
    held, P, N = state.operand(x), node.attrs["P"], node.attrs["N"]
    kind = state.policy.of(node.op).activation
    assert isinstance(kind, Int)
    wide = Int(kind.bits + WIDER_BITS)
    counts = count_op(node.op, node.attrs)
    centred = Int(max(CENTRED_BITS, held.type.bits + 1))
    total = type_of(held.low * N, held.high * N)
    squares = Int(min(64, 2 * centred.bits + (N - 1).bit_length()))
    norm = Int(max(centred.bits, NORM_BITS + 1 + ((N - 1).bit_length() + 1) // 2))  # at most sqrt N
    has_mean = node.op == "layer_norm"
    scaled = counts.mul - P * (N + 1 + has_mean)  # by the reciprocal root, and by the weight
    shifted = counts.add - P * (N + has_mean * (2 * N - 1))  # of the bias
    work = (
        Work("add", total, P * N * has_mean),  # one of them rounds the mean
        Work("mul", Int(max(INVERSE_BITS, total.bits)), P * has_mean),
        Work("add", centred, P * N * has_mean),
        Work("mul", centred, P * N),
        Work("add", squares, P * N),
        Work("mul", Int(INVERSE_BITS, signed=False), P),
        Work("sqrt", Int(INVERSE_BITS, signed=False), P),
        Work("div", Int(INVERSE_BITS, signed=False), P),
        Work("mul", norm, scaled),
        Work("add", norm, shifted),
        # Rounded and saturated to activations.
        Work("add", norm, P * N),
        Work("cmp", norm, 2 * P * N),
    )
    state.emit(node, work, range_of(wide, state.own_scale(node.outputs[0])), wide)


@width_rule(*KEEP)
def keep(state: Typing, node: Node) -> None:
    held = state.operand(node.inputs[0])
    work = (Work("cmp", held.type, count_op(node.op, node.attrs).cmp),) if node.op == "extremum" else ()
    state.emit(node, work, held)
    for i in node.outputs[1:]:
        if "float" in state.graph.values[i].dtype:
            state.set(i, held)


@width_rule("concat", "select")
def joined(state: Typing, node: Node) -> None:
    """Concatenation and selection: all operands on one scale."""
    moving = [i for i in node.inputs if i not in state.constants]
    scales = {state.operand(i).scale for i in moving}
    if len(scales) == 1:
        held = state.operand(moving[0])
        low = min(state.operand(i).low for i in moving)
        state.emit(node, (), Range(low, max(state.operand(i).high for i in moving), held.scale))
        return
    scale = state.own_scale(node.outputs[0])
    swap = {i: state.narrow(node, i, scale) for i in moving}
    pair = tuple(swap.get(i, i) for i in node.inputs)
    state.emit(state.rewire(node, pair), (), state.operand(swap[moving[0]]))


@width_rule("view")
def view(state: Typing, node: Node) -> None:
    """A view, or several, as of a split."""
    held = state.operand(node.inputs[0])
    state.emit(node, (), held)
    for i in node.outputs[1:]:
        state.set(i, held)


def type_node(state: Typing, node: Node) -> None:
    if node.op in ("index", "fill") or (kind_of(node.op) == "movement" and not state.has_floats(node)):
        state.constants.update(node.outputs)
        state.emit(node)
    elif all(i in state.constants for i in node.inputs) and node.op != "gather":
        state.constants.update(node.outputs)
        state.emit(node if node.op == "view" else free_node(node))
    elif node.op in RULES:
        RULES[node.op](state, node)
    else:
        where = f" in {node.module}" if node.module else ""
        raise UnknownOp(
            f"op {node.op!r}{where} has no rule for integer widths; "
            "use `widths=fp32` or bf16, or add a rule in costmodel/widths/rules.py"
        )
