"""What happened on the machine: arithmetic by kind and width, bits at each level, cycles, toggles.

One function an op says which operations its kernel performs on so many elements or rows; the widths are
those of the values at hand. `costmodel.widths.rules` says the same of a typed graph: tests hold both equal,
and the specifications in `fixed.py` to both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import prod

from costmodel.dtypes import Int, parse, product_type
from costmodel.errors import UnknownOp
from costmodel.graph.ir import Graph, Node
from costmodel.hardware.pe import PE_KINDS
from costmodel.ops.registry import enter
from costmodel.widths.assign import Typed
from costmodel.widths.policy import Work, type_of
from sim.integer.fixed import EXP_BITS, INVERSE_BITS, NORMAL_BITS, TABLE_BITS

Arithmetic = Counter[tuple[str, str]]  # (op, type) -> how often
FACTOR_BITS = 16  # of a fixed-point factor, at least
CENTRED_BITS = 22  # of what a norm centres, at least
UNSIGNED_INVERSE = str(Int(INVERSE_BITS, signed=False))


@dataclass
class Events:
    """Of one step. Bits are what was read or written; `register` bits were written into PE registers."""

    array: Arithmetic = field(default_factory=Counter)
    vector: Arithmetic = field(default_factory=Counter)
    register_bits: int = 0
    buffer_read_bits: int = 0
    buffer_write_bits: int = 0
    local_read_bits: int = 0  # of sums and statistics; `settle_sums` says where they lie
    local_write_bits: int = 0
    dram_read_bits: int = 0
    dram_write_bits: int = 0
    pairs: int = 0  # of operands that PEs took in
    pairs_on: Counter[int] = field(default_factory=Counter)  # the same by array of the target
    port_bits: int = 0  # of operands at the ports of PEs, each time a PE takes a pair in
    toggled_bits: int | None = None  # of these, how many differ from those before; None: not watched

    def add(self, other: Events) -> None:
        self.array += other.array
        self.vector += other.vector
        self.register_bits += other.register_bits
        self.buffer_read_bits += other.buffer_read_bits
        self.buffer_write_bits += other.buffer_write_bits
        self.local_read_bits += other.local_read_bits
        self.local_write_bits += other.local_write_bits
        self.dram_read_bits += other.dram_read_bits
        self.dram_write_bits += other.dram_write_bits
        self.pairs += other.pairs
        self.pairs_on += other.pairs_on
        self.port_bits += other.port_bits
        if other.toggled_bits is not None:
            self.toggled_bits = (self.toggled_bits or 0) + other.toggled_bits

    @property
    def activity(self) -> float | None:
        """Share of the bits at PE ports that toggle; random operands would make it 0.5."""
        if self.toggled_bits is None or not self.port_bits:
            return None
        return self.toggled_bits / self.port_bits


def sum_events(events: Iterable[Events]) -> Events:
    total = Events()
    for each in events:
        total.add(each)
    return total


def works_of(arithmetic: Arithmetic) -> tuple[Work, ...]:
    """The same as `costmodel` has it, to be priced."""
    return tuple(Work(op, parse(kind), n) for (op, kind), n in arithmetic.items())


# Sums of terms, on PEs or on the vector unit


def term_events(
    pe: str, terms: int, outputs: int, a: Int, b: Int, low: int, high: int, accumulator: Int, started: bool
) -> Arithmetic:
    """`terms` terms summed into `outputs` accumulators that hold something already, or do not.

    `low`, `high`: ends of |a - b|'s range, for its width.
    """
    adds = terms if started else terms - outputs
    found: Arithmetic = Counter({("add", str(accumulator)): adds} if adds else {})
    if pe == "mac":
        found["mul", str(product_type(a, b))] += terms
    elif pe == "l1":
        term = str(type_of(low, high))
        found["add", term] += terms
        found["abs", term] += terms
    elif pe not in ("clip", "relu"):  # a kind that was added: what its record says
        for op, kind, n in PE_KINDS[pe].work(a, b):
            found[op, str(kind)] += n * terms
    else:  # a is z, which takes a sign to be compared with v
        width = str(Int(max(b.bits, a.bits + 1)))
        found["cmp", width] += terms * (2 if pe == "clip" else 1)
        if pe == "relu":
            found["add", width] += terms
    return found


# Everything else


@dataclass(frozen=True)
class Site:
    """A node with the types and shapes of its values."""

    typed: Typed
    node: Node

    @property
    def graph(self) -> Graph:
        return self.typed.graph

    def shape(self, i: int) -> tuple[int, ...]:
        return self.graph.values[i].shape

    @property
    def outputs(self) -> int:
        """Distinct elements of the result."""
        return prod(self.shape(self.node.outputs[0]))

    def exact(self, i: int) -> Int:
        """The narrowest type of a value's range."""
        held = self.typed.ranges[i]
        assert held is not None, "integer values carry ranges"
        return held.type

    def summed(self, n: int) -> Int:
        """The type of an exact sum of n values of the first operand."""
        held = self.typed.ranges[self.node.inputs[0]]
        assert held is not None, "integer values carry ranges"
        return type_of(held.low * n, held.high * n)

    def kind(self, i: int) -> Int:
        """The type in which a value is kept."""
        found = parse(self.graph.values[i].dtype)
        assert isinstance(found, Int)
        return found

    @property
    def accumulator(self) -> Int:
        bits = self.typed.policy.of(self.node.op).accumulator_bits
        return Int(bits) if bits else self.exact(self.node.outputs[0])


def requantise(site: Site) -> Arithmetic:
    n = site.outputs
    width = str(Int(max(FACTOR_BITS, site.exact(site.node.inputs[0]).bits, site.kind(site.node.outputs[0]).bits)))
    return Counter({("mul", width): n, ("add", width): n, ("cmp", width): 2 * n})


def add_or_sub(site: Site) -> Arithmetic:
    moving = [i for i in site.node.inputs if site.typed.ranges[i] is not None]
    width = Int(max(site.exact(i).bits for i in moving))
    if len(site.node.inputs) == 1:  # with a number, which takes the operand's own type
        width = site.exact(site.node.inputs[0])
    return Counter({("add", str(width)): site.outputs})


def relu(site: Site) -> Arithmetic:
    return Counter({("cmp", str(site.exact(site.node.inputs[0]))): site.outputs})


def table(site: Site) -> Arithmetic:
    n, wide = site.outputs, str(site.kind(site.node.outputs[0]))
    if site.kind(site.node.inputs[0]).bits <= TABLE_BITS:
        return Counter({("lookup", wide): n})
    return Counter({("lookup", wide): 2 * n, ("mul", wide): n, ("add", wide): n})


def mean(site: Site) -> Arithmetic:
    """Over the last dim: n - 1 adds, a factor, an add to round."""
    rows, n = site.outputs, site.shape(site.node.inputs[0])[-1]
    width = site.summed(n)
    factor = Int(max(FACTOR_BITS, width.bits, site.exact(site.node.inputs[0]).bits), width.signed)
    return Counter({("add", str(width)): rows * n, ("mul", str(factor)): rows})


def key_sum(site: Site) -> Arithmetic:
    n = site.shape(site.node.inputs[0])[-2]
    return Counter({("add", str(site.accumulator)): site.outputs * (n - 1)} if n > 1 else {})


def softmax(site: Site) -> Arithmetic:
    i = site.node.inputs[0]
    n, elements = site.shape(i)[-1], site.outputs
    rows, operand = elements // n, site.exact(i)
    wide = site.kind(site.node.outputs[0]).bits > TABLE_BITS
    entry = str(Int(EXP_BITS, signed=False))
    total = str(Int(EXP_BITS + (n - 1).bit_length(), signed=False))
    found: Arithmetic = Counter()
    found["cmp", str(operand)] += rows * (n - 1)
    found["add", str(Int(operand.bits + 1))] += elements
    found["lookup", entry] += elements * (2 if wide else 1)
    found["mul", entry] += elements * (2 if wide else 1)
    found["add", entry] += elements * (2 if wide else 1)
    found["add", total] += rows * (n - 1)
    found["div", UNSIGNED_INVERSE] += rows
    return found


def layer_norm(site: Site) -> Arithmetic:
    i = site.node.inputs[0]
    n, elements, operand = site.shape(i)[-1], site.outputs, site.exact(i)
    rows, total = elements // n, site.summed(n)
    centred = Int(max(CENTRED_BITS, operand.bits + 1))
    squares = str(Int(min(64, 2 * centred.bits + (n - 1).bit_length())))
    # A normalised value is sqrt(n - 1) at most: its fraction, a sign, and half the bits of n before the point.
    norm = str(Int(max(centred.bits, NORMAL_BITS + 1 + -(-(n - 1).bit_length() // 2))))
    found: Arithmetic = Counter()
    found["add", str(total)] += rows * n  # n - 1 of the sum, one to round the mean
    found["mul", str(Int(max(INVERSE_BITS, total.bits)))] += rows
    found["add", str(centred)] += elements
    found["mul", str(centred)] += elements
    found["add", squares] += elements  # n - 1 of the sum, one for eps
    found["mul", UNSIGNED_INVERSE] += rows
    found["sqrt", UNSIGNED_INVERSE] += rows
    found["div", UNSIGNED_INVERSE] += rows
    found["mul", norm] += 2 * elements
    found["add", norm] += 2 * elements  # of the bias, and to round
    found["cmp", norm] += 2 * elements
    return found


def nothing(site: Site) -> Arithmetic:
    return Counter()


RULES: dict[str, Callable[[Site], Arithmetic]] = {
    "gather": nothing,
    "copy": nothing,
    "requantise": requantise,
    "add": add_or_sub,
    "sub": add_or_sub,
    "relu": relu,
    "gelu": table,
    "mean": mean,
    "sum": key_sum,
    "softmax": softmax,
    "layer_norm": layer_norm,
}


def event_rule(*names: str) -> Callable[[Callable[[Site], Arithmetic]], Callable[[Site], Arithmetic]]:
    """Register the events of some more ops on the vector unit."""
    return enter(RULES, "event rule of", *names)


def vector_events(typed: Typed, node: Node) -> Arithmetic:
    """What the vector unit does for a node that is no sum of terms.

    Raises:
        UnknownOp: the op has no rule.
    """
    if node.op not in RULES:
        raise UnknownOp(f"op {node.op!r} in {node.module or 'the model'} has no rule in sim/machine/events.py")
    return +RULES[node.op](Site(typed, node))
