"""Widths: a policy gives every value of a lowered graph an integer or float type.

Integers are exact: a value carries its range, and its type is the narrowest that holds it. Values
stay wide until an op takes narrow operands (a product, a table, a softmax); there an explicit
`requantise` node stands. A factor (1/sqrt d, gamma, eta) is folded into the next one, and is free.

Roles and their types, W and A of `wWaA`:

    weights                      W bits, each output channel on its own scale
    embedding tables             A bits or W if that is more, all on one scale
    biases, norm weights         32 and 16 bits
    operands of products         A bits; q and k of a distance on one common scale, z on that of v
    the residual stream          A + 8 bits: what a norm makes, and the branch that is added to it, on one
                                 scale; their sum is exact
    softmax                      A bits in, probabilities of A - 1 bits out; exp by table to 16 bits, one
                                 reciprocal a row
    layer norm                   exact sums, reciprocal root and fraction of 16 bits, A + 8 bits out
    GELU and other functions     A bits in, A + 8 out: a table of 2^A entries; beyond 8 bits two of 256 and
                                 a line

`sim/integer/run.py` executes a typed graph and checks every value against its range.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from costmodel.dtypes import Float
from costmodel.graph.ir import Graph, Node
from costmodel.ops.counts import ARITHMETIC
from costmodel.ops.rules import count_op, kind_of
from costmodel.widths.policy import Overflow, Policy, Range, Work, add_work
from costmodel.widths.rules import type_node
from costmodel.widths.typing import Typing


@dataclass(frozen=True)
class Typed:
    """A graph whose values are typed, with the work of each node by operation and width.

    `ranges[i]` belongs to value i (None for floats, indices and masks). `graph.values[i].dtype` is the
    type by name, so that operand bytes follow from it (packed: 4 bits take half a byte).
    """

    graph: Graph
    policy: Policy
    ranges: tuple[Range | None, ...]
    work: tuple[tuple[Work, ...], ...]
    overflows: tuple[Overflow, ...]


def assign_widths(graph: Graph, policy: Policy) -> Typed:
    """Type every value of a canonical graph.

    Raises:
        UnknownOp: an op has no width rule; the message names it and its module.
    """
    if policy.is_float:
        return assign_floats(graph, policy)
    state = Typing(graph, policy)
    for node in graph.nodes:
        type_node(state, node)
    typed = replace(graph, values=tuple(state.values), nodes=tuple(state.nodes)).verify()
    return Typed(typed, policy, tuple(state.ranges), tuple(state.work), tuple(state.overflows))


def width_counts(typed: Typed) -> dict[tuple[str, str], int]:
    """Counts by (op, width) of the whole graph."""
    return add_work(work for node in typed.work for work in node)


def assign_floats(graph: Graph, policy: Policy) -> Typed:
    """Floats: one type for all, sums of products in float32 at least (as matrix units do)."""
    values = []
    for v in graph.values:
        values.append(replace(v, dtype=str(policy.activation)) if "float" in v.dtype else v)
    work = tuple(float_work(node, policy.of(node.op)) for node in graph.nodes)
    nothing: tuple[None, ...] = (None,) * len(values)
    return Typed(replace(graph, values=tuple(values)), policy, nothing, work, ())


def float_work(node: Node, policy: Policy) -> tuple[Work, ...]:
    counts = count_op(node.op, node.attrs)
    narrow = policy.activation
    wide = narrow if narrow.bits >= 32 else Float(32)
    product = kind_of(node.op) == "product"
    summed = node.attrs["B"] * node.attrs["M"] * node.attrs["N"] * node.attrs["K"] if node.op == "l1" else 0
    work = []
    for op in ARITHMETIC:
        n = getattr(counts, op)
        if op == "add" and product:
            work += [Work("add", narrow, summed), Work("add", wide, n - summed)]
        else:
            work.append(Work(op, narrow, n))
    return tuple(w for w in work if w.n)
