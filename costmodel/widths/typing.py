"""The state of the pass that types a graph: ranges, requantisations, work. Its rules are in `rules.py`."""

from __future__ import annotations

from dataclasses import replace

from costmodel.dtypes import Int
from costmodel.errors import UnknownOp
from costmodel.graph.ir import Graph, Node, Ref, Value
from costmodel.widths.policy import Overflow, Policy, Range, Work, range_of

EXP_BITS, NORM_BITS, BIAS_BITS, INVERSE_BITS = 16, 16, 32, 32
CENTRED_BITS = 22  # of a norm
FACTOR_BITS = 16  # of the fixed-point factors of requantising, at least
WIDER_BITS = 8  # more than operands of products have: the residual stream, results of functions
# Functions of one variable, by table.
# fmt: off
TABLES = (
    "gelu", "gelu_tanh", "erf", "tanh", "sigmoid", "silu", "exp", "log", "softplus", "elu", "hardsigmoid",
    "hardswish", "leaky_relu", "cube", "sqrt", "rsqrt", "reciprocal", "sin", "cos", "pow",
)
# fmt: on
KEEP = ("copy", "permute_copy", "scatter", "pad", "mask", "view", "extremum")  # range and scale as they are


class Typing:
    """The typed graph as it grows: values, ranges, nodes and their work."""

    def __init__(self, graph: Graph, policy: Policy) -> None:
        self.graph, self.policy = graph, policy
        self.values: list[Value] = list(graph.values)
        self.ranges: list[Range | None] = [None] * len(graph.values)
        self.nodes: list[Node] = []
        self.work: list[tuple[Work, ...]] = []
        self.overflows: list[Overflow] = []
        self.narrowed: dict[tuple[int, Int, int], int] = {}
        self.negated: set[int] = set()  # values on a negative scale
        self.products: set[int] = set()  # results of products with weights
        kind = policy.activation
        for v in graph.values:
            if v.kind == "input" and "float" in v.dtype and isinstance(kind, Int):
                self.set(v.id, range_of(kind, self.own_scale(v.id)))
        # Values made of weights only, such as gamma / sqrt d: constants that a factor is folded from.
        self.constants = {v.id for v in graph.values if v.kind in ("param", "buffer", "const")}

    # Emitting

    def set(self, i: int, held: Range, kind: Int | None = None) -> None:
        """Range and type of a value: the narrowest type, or the one in which it is kept."""
        self.ranges[i] = held
        self.values[i] = replace(self.values[i], dtype=str(kind or held.type))

    def emit(
        self, node: Node, work: tuple[Work, ...] = (), held: Range | None = None, kind: Int | None = None
    ) -> None:
        self.nodes.append(node)
        self.work.append(tuple(w for w in work if w.n))
        if held is not None:
            self.set(node.outputs[0], held, kind)

    def known(self, node: Node, i: int) -> Range:
        """The range of an operand that an op before it has given."""
        held = self.ranges[i]
        if held is None:
            raise UnknownOp(
                f"%{i}, an operand of op {node.op!r} in {node.module or 'the model'}, has no integer range; "
                "use `widths=fp32` or bf16, or add a type to the op that makes it in costmodel/widths/rules.py"
            )
        return held

    def requantise(self, node: Node, i: int, kind: Int, scale: int, low: int | None = None) -> int:
        """The value in another type on another scale: an int of `kind`, or of its part from `low` on."""
        held = self.known(node, i)
        full = range_of(kind, scale)
        if held.scale == scale and held.low >= full.low and held.high <= full.high:
            return i
        key = (i, kind, scale)
        if key not in self.narrowed:
            old = self.values[i]
            new = Value(len(self.values), old.shape, str(kind), "temp", len(self.values), old.stride, old.offset)
            self.values.append(new)
            self.ranges.append(None)
            n = old.distinct_numel
            attrs = {"n": n, "args": (Ref(i),)}
            work = requantise_work(n, held.type.bits, kind.bits)
            self.emit(Node("requantise", (i,), (new.id,), attrs, node.module), work, full)
            if self.values[i].storage in self.negated:
                self.set(new.id, Range(full.low, 0 if held.low >= 0 else full.high, scale), kind)
            elif low is not None or held.low >= 0:
                self.set(new.id, Range(max(0, full.low), full.high, scale), kind)
            self.narrowed[key] = new.id
        return self.narrowed[key]

    def narrow(self, node: Node, i: int, scale: int | None = None) -> int:
        """The operand at the width of activations, on its own scale if none is given."""
        held = self.known(node, i)
        kind = self.policy.of(node.op).activation
        assert isinstance(kind, Int)
        full = range_of(kind, 0)
        fits = held.low >= full.low and held.high <= full.high
        if scale is None:
            scale = held.scale if fits else narrow_scale(i)
        return self.requantise(node, i, kind, scale)

    def own_scale(self, i: int) -> int:
        """The scale of what an op makes, by name; weights have negative names, tables of embeddings 0."""
        return 2 * i + 1

    def weight(self, node: Node, i: int, kind: Int) -> int:
        """Give a weight its type when it is first used (views of it come before)."""
        if self.ranges[i] is None:
            self.set(i, range_of(kind, -1 - self.values[i].storage))
            owner = self.values[i].storage
            if self.ranges[owner] is None:
                self.set(owner, range_of(kind, -1 - owner))
        return i

    def add_type(self, node: Node, held: Range) -> Int:
        """The accumulator that sums into `held`, and a note where it might overflow."""
        bits = self.policy.of(node.op).accumulator_bits
        if bits is None:
            return held.type
        if held.type.bits + (not held.type.signed) > bits:
            exact = held.type.bits + (not held.type.signed)
            self.overflows.append(Overflow(node.op, node.module, exact, bits))
        return Int(bits)

    def rewire(self, node: Node, operands: tuple[int, ...]) -> Node:
        """The node with its first tensor operands exchanged for (requantised) others."""
        swap = dict(zip(node.inputs, operands, strict=False))
        args = tuple(Ref(swap.get(a.id, a.id)) if isinstance(a, Ref) else a for a in node.attrs.get("args", ()))
        inputs = tuple(swap.get(i, i) for i in node.inputs)
        return replace(node, inputs=inputs, attrs=node.attrs | ({"args": args} if args else {}))

    def has_floats(self, node: Node) -> bool:
        return any("float" in self.graph.values[i].dtype for i in node.outputs if i < len(self.graph.values))

    def operand(self, i: int) -> Range:
        """The range of a value; a constant that meets activations gets the width of activations."""
        held = self.ranges[i]
        if held is None:
            kind = self.policy.activation
            assert isinstance(kind, Int)
            self.weight(Node("", (), (), {}), i, kind)
            held = self.ranges[i]
        assert held is not None
        return held


def narrow_scale(i: int) -> int:
    """The scale of value i at the width of activations, by name."""
    return 2 * i + 2


def value_of_scale(name: int) -> int:
    """The value after which a scale of activations is named."""
    return (name - 1) // 2


def free_node(node: Node) -> Node:
    """A factor, folded into the next requantise."""
    return replace(node, op="scale", attrs={"was": node.op, **node.attrs})


def requantise_work(n: int, bits: int, result_bits: int = 8) -> tuple[Work, ...]:
    """A multiplication by a fixed-point factor, an add to round, two comparisons to saturate.

    The shift by a constant is wiring. A factor has 16 bits, or as many as the result if that is more; the work
    is as wide as the wider of the value and the factor.
    """
    wide = Int(max(bits, factor_bits(result_bits)))
    return (Work("mul", wide, n), Work("add", wide, n), Work("cmp", wide, 2 * n))


def factor_bits(bits: int) -> int:
    """Bits of a fixed-point factor whose product has so many that matter."""
    return max(FACTOR_BITS, bits)


def times(a: Range, b: Range) -> tuple[int, int]:
    corners = [x * y for x in (a.low, a.high) for y in (b.low, b.high)]
    return min(corners), max(corners)
