"""Groups of a typed graph as pieces: all that their cost depends on, but for the machine and what is kept.

Layers of a transformer are alike: a graph of a hundred groups has some ten different pieces.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import count
from typing import NamedTuple

from costmodel.dtypes import Int, parse
from costmodel.errors import UnknownOp
from costmodel.graph.ir import Graph, Node
from costmodel.hardware.accelerator import Accelerator
from costmodel.hardware.timing import Product
from costmodel.mapping.fusion import Group, Plan, outside_bits, value_bits
from costmodel.mapping.row_statistics import statistics_of, works_again
from costmodel.ops.rules import needs_whole_rows, pe_of
from costmodel.widths.assign import Typed
from costmodel.widths.policy import Work

VECTOR, PRODUCT, CORE, CHAIN = "vector", "product", "core", "chain"
BLOCKED = (CORE, CHAIN)  # two products in one step, by blocks
ONE = Product(1, 1, 1)
Works = tuple[Work, ...]


@dataclass(frozen=True)
class Piece:
    """One group. Reads and writes beside the operands of products are in bits, in the order of `Placed`."""

    kind: str
    in_core: bool
    reads: tuple[tuple[int, bool], ...]  # bits, and whether only what is behind the cut reads them
    writes: tuple[int, ...]
    vector_work: Works
    array_work: Works = ()
    B: int = 1
    product: Product = ONE
    D: int = 0  # columns of a core's values, or of a chain's result
    a_bits: int = 0
    b_bits: int = 0
    v_bits: int = 0
    between_bits: int = 0
    accumulator_bits: int = 0
    shared: int = 1
    whole_rows: bool = False  # of a chain: a norm behind it takes whole rows of its result
    again_bits: int = 0  # of operands of products that the vector unit reads, too
    first_on: tuple[int, ...] = ()  # arrays that do the first product; none: the vector unit does it
    second_on: tuple[int, ...] = ()
    # By blocks of keys: passes of statistics beforehand (None: by whole rows only), and what they take more.
    statistics: int | None = None
    row_words: int = 1
    again_array: Works = ()
    again_vector: Works = ()
    # A norm behind a product may run with it, which takes whole rows, or as a step of its own.
    cut_bits: int = 0  # of the result that lies between; 0: there is none
    head_work: Works = ()
    rest_work: Works = ()


Places = defaultdict[Piece, int]  # of distinct pieces, each a number of its own


def new_places() -> Places:
    """No pieces yet; a new one gets the next number, whoever else asks at the same time."""
    return defaultdict(count().__next__)


@dataclass(frozen=True)
class Placed:
    """A piece at its place in the graph; values by their origin."""

    piece: Piece
    place: int  # among distinct pieces
    group: int
    operands: tuple[int, ...]  # of the products: a and b; of a core q, k, v
    reads: tuple[int, ...]
    writes: tuple[int, ...]


# A piece, its place, the values of its operands and what else it reads, by all that these depend on in a graph.
Described = dict[object, tuple[Piece, int, tuple[int, ...], tuple[int, ...]]]


class Stay(NamedTuple):
    """Which values of a piece lie in the buffer, in the order of `Placed`; a tuple, for it is looked up often."""

    operands: tuple[bool, ...]
    reads: tuple[bool, ...]
    writes: tuple[bool, ...]


@dataclass(frozen=True)
class Shape:
    """A product node as a product: B times a [M,K], b [K,N]; the values that are a and b."""

    B: int
    product: Product
    a: int
    b: int


def shape_of(graph: Graph, node: Node) -> Shape:
    """The product that a node runs on an array. For sums over keys a is z [M,N], b is v [N,D].

    Raises:
        UnknownOp: no kind of PE runs its terms, as of a kernel that is several products in one.
    """
    if not pe_of(node.op):
        raise UnknownOp(
            f"no kind of PE runs op {node.op!r}; say which with pe= at its rule in costmodel/ops/rules.py"
        )
    attrs = node.attrs
    first, second = node.inputs[:2]
    if node.op == "conv":
        channels = graph.values[second].shape[0]
        return Shape(1, Product(attrs["P"] // channels, channels, attrs["K"]), first, second)
    if "D" in attrs:
        return Shape(attrs["B"], Product(attrs["M"], attrs["D"], attrs["N"]), second, first)
    B, product = attrs["B"], Product(attrs["M"], attrs["N"], attrs["K"])
    if B > 1 and graph.values[second].distinct_numel == product.N * product.K:
        # One b for all: rows of all B products stream past it.
        return Shape(1, replace(product, M=B * product.M), first, second)
    return Shape(B, product, first, second)


def pieces_of(
    typed: Typed,
    plan: Plan,
    target: Accelerator,
    places: Places | None = None,
    described: Described | None = None,
) -> tuple[Placed, ...]:
    """The pieces of a plan, in order; `target` says which products its PEs do. New ones are entered in `places`.

    Args:
        described: groups of other plans of the same graph, by all that a piece depends on; new ones are entered.
    """
    described, placed = {} if described is None else described, []
    places = new_places() if places is None else places
    for g, group in enumerate(plan.groups):
        name = (group.kind, group.core, group.cut, tuple(group.nodes), tuple(group.products), plan.writes[g])
        if name not in described:
            piece, operands, reads = describe(typed, plan, target, g, group)
            described[name] = piece, places[piece], operands, reads
        piece, place, operands, reads = described[name]
        placed.append(Placed(piece, place, g, operands, reads, plan.writes[g]))
    return tuple(placed)


def describe(
    typed: Typed, plan: Plan, target: Accelerator, g: int, group: Group
) -> tuple[Piece, tuple[int, ...], tuple[int, ...]]:
    """A group as a piece, the values of its operands, and what else it reads."""
    graph, source = typed.graph, plan.source
    writes = tuple(value_bits(graph, v) for v in plan.writes[g])
    if group.kind == VECTOR:
        found = outside_bits(plan, g, ())
        reads = tuple((bits, False) for bits in found.values())
        return Piece(VECTOR, group.core, reads, writes, work_of(typed, group.nodes)), (), tuple(found)
    nodes = [graph.nodes[n] for n in group.products]
    shapes = [shape_of(graph, node) for node in nodes]
    on = [target.doing(pe_of(node.op)) for node in nodes]
    placed = {n for n, here in zip(group.products, on, strict=True) if here}
    first = shapes[0]
    operands = [source[first.a], source[first.b]]
    joined = shapes[1:] if group.kind == PRODUCT else []  # products of the same a, side by side in its columns
    piece = Piece(
        kind=group.kind,
        in_core=group.core,
        reads=(),
        writes=writes,
        vector_work=work_of(typed, [n for n in group.nodes if n not in placed]),
        array_work=work_of(typed, [n for n in group.products if n in placed]),
        B=first.B,
        product=replace(first.product, N=first.product.N + sum(s.product.N for s in joined)),
        a_bits=bits_of(graph, first.a),
        b_bits=bits_of(graph, first.b),
        accumulator_bits=max(accumulator_bits(typed, node) for node in nodes),
        first_on=on[0],
    )
    if group.kind in BLOCKED:
        second, made = shapes[1], made_by(plan, group.nodes)
        between = second.a if source[second.a] in made else second.b
        values = second.b if between == second.a else second.a
        keys = graph.values[first.b].distinct_numel
        operands.append(source[values])
        piece = replace(
            piece,
            D=second.product.N,
            v_bits=bits_of(graph, values),
            between_bits=bits_of(graph, between),
            second_on=on[1],
            shared=max(1, first.B * first.product.N * first.product.K // keys),
            whole_rows=any(needs_whole_rows(graph.nodes[n].op) for n in group.nodes) and group.kind == CHAIN,
        )
    piece = with_statistics(typed, plan, g, piece, placed)
    behind: set[int] = set()
    if group.cut is not None:
        head, rest = group.nodes[: group.cut], group.nodes[group.cut :]
        made = made_by(plan, head)
        inputs = [source[i] for n in rest for i in graph.nodes[n].inputs]
        behind = {v for v in inputs if v not in made}
        piece = replace(
            piece,
            cut_bits=value_bits(graph, next(v for v in inputs if v in made)),
            head_work=work_of(typed, [n for n in head if n not in placed]),
            rest_work=work_of(typed, rest),
        )
    found = outside_bits(plan, g, (*operands, *(source[s.b] for s in joined)))
    reads = tuple((bits, v in behind) for v, bits in found.items())
    again = sum(value_bits(graph, v) for v in read_again(plan, group, operands))
    return replace(piece, reads=reads, again_bits=again), tuple(operands), tuple(found)


def with_statistics(typed: Typed, plan: Plan, g: int, piece: Piece, placed: set[int]) -> Piece:
    """A core or a chain with what it takes by blocks of keys: a chain's columns stand each for itself."""
    if piece.kind == CHAIN:
        return replace(piece, statistics=0)
    found = statistics_of(typed, plan, g, piece.accumulator_bits) if piece.kind == CORE else None
    if found is None:
        return piece
    array, vector = works_again(typed, found, placed)
    return replace(
        piece, statistics=found.passes, row_words=found.row_words, again_array=array, again_vector=vector
    )


def read_again(plan: Plan, group: Group, operands: list[int]) -> set[int]:
    """Operands of products that other nodes of the group read as well: a residual of what a chain begins with."""
    others = (plan.graph.nodes[n] for n in group.nodes if n not in group.products)
    return {plan.source[i] for node in others for i in node.inputs} & set(operands)


def work_of(typed: Typed, nodes: list[int]) -> Works:
    return tuple(work for n in nodes for work in typed.work[n])


def bits_of(graph: Graph, i: int) -> int:
    return parse(graph.values[i].dtype).bits


def made_by(plan: Plan, nodes: list[int]) -> set[int]:
    return {plan.source[i] for n in nodes for i in plan.graph.nodes[n].outputs}


def accumulator_bits(typed: Typed, node: Node) -> int:
    kind = typed.policy.activation
    if not isinstance(kind, Int):
        return max(32, kind.bits)
    exact = bits_of(typed.graph, node.outputs[0])
    return typed.policy.of(node.op).accumulator_bits or exact
