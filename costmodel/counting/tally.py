"""Counts and bytes of a lowered graph, and their sums by kind, op, module, layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from costmodel.dtypes import stored_bytes
from costmodel.errors import CostModelError
from costmodel.graph.ir import Graph, Node, storage_bytes
from costmodel.ops.counts import Counts, total
from costmodel.ops.rules import UNKNOWN, count_op, kind_of

GROUPINGS = ("kind", "op", "module", "layer")
CORE = "attention_core"  # name of the submodule that `models.attention` puts a mechanism in


@dataclass(frozen=True)
class Row:
    """One group of nodes and what they count together."""

    key: str
    nodes: int
    counts: Counts


@dataclass(frozen=True)
class Tally:
    """Everything counted of one graph."""

    counts: Counts
    per_node: tuple[Counts, ...]
    compulsory_bytes: int  # weights, inputs and outputs once: what an infinite buffer would move
    peak_live_bytes: int  # weights, and the temporaries alive at the worst moment
    params: int
    unknown: tuple[str, ...]


def count(graph: Graph) -> Tally:
    """Count a lowered graph.

    Raises:
        UnknownOp: a node without a count rule.
    """
    per_node = tuple(count_node(graph, node) for node in graph.nodes)
    return Tally(
        total(per_node), per_node, compulsory_bytes(graph), peak_live_bytes(graph), graph.params, graph.unknown
    )


def count_node(graph: Graph, node: Node) -> Counts:
    """Arithmetic by the op's rule; each distinct operand read once, each output written once."""
    if node.op == UNKNOWN:
        return Counts()
    arithmetic = count_op(node.op, node.attrs)
    if kind_of(node.op) == "free":
        return arithmetic
    return arithmetic + Counts(read_bytes=read_bytes(graph, node), write_bytes=write_bytes(graph, node))


def read_bytes(graph: Graph, node: Node) -> int:
    return sum(read_terms(graph, node))


def read_terms(graph: Graph, node: Node) -> list[int]:
    """Bytes of each distinct operand. A gather reads the rows it picks and its indices, not the table."""
    values = {i: graph.values[i] for i in node.inputs}
    if node.op == "gather":
        table, *indices = values.values()
        output = graph.values[node.outputs[0]]
        return [stored_bytes(table.dtype, output.numel), *(v.distinct_bytes for v in indices)]
    if node.op == "fill":
        return []
    if node.op == "scatter_add":
        # Places in the target are read, added to and written: as many as the source has elements.
        _, index, source = (graph.values[i] for i in node.inputs)
        return [index.distinct_bytes, 2 * source.distinct_bytes]
    return [v.distinct_bytes for v in values.values()]


def write_bytes(graph: Graph, node: Node) -> int:
    return sum(write_terms(graph, node))


def write_terms(graph: Graph, node: Node) -> list[int]:
    return [graph.values[i].distinct_bytes for i in node.outputs]


def gathered_only(graph: Graph) -> set[int]:
    """Weights of which nodes only pick rows, such as embedding tables."""
    tables = {node.inputs[0] for node in graph.nodes if node.op == "gather" and node.inputs}
    others = {i for n in graph.nodes for k, i in enumerate(n.inputs) if not (n.op == "gather" and k == 0)}
    return {i for i in tables - others if graph.values[i].kind in ("param", "buffer")}


def compulsory_bytes(graph: Graph) -> int:
    """Weights that are used, inputs and outputs, each once; of a lookup table the rows looked up."""
    tables = gathered_only(graph)
    used = {
        i
        for node in graph.nodes
        for i in node.inputs
        # A factor that was folded into a requantise is no operand any more.
        if node.op != "index" and (node.op != "scale" or graph.values[i].kind == "input")
    }
    rows: dict[int, int] = {}
    for node in graph.nodes:
        if node.op == "gather" and node.inputs[0] in tables:
            table, output = graph.values[node.inputs[0]], graph.values[node.outputs[0]]
            picked = stored_bytes(table.dtype, output.numel)
            rows[table.id] = min(rows.get(table.id, 0) + picked, table.distinct_bytes)
    leaves = [v for v in graph.values if v.id in used and v.kind in ("param", "buffer", "input")]
    whole = sum(v.distinct_bytes for v in leaves if v.id not in tables)
    outputs = {graph.values[i].storage for i in graph.outputs}
    sizes = storage_bytes(graph)
    return whole + sum(rows.values()) + sum(sizes[s] for s in outputs)


def peak_live_bytes(graph: Graph) -> int:
    """All used weights and inputs, and the temporaries alive at the worst moment.

    A temporary lives from the node that makes its storage to the last one that reads it. An op
    writes beside its operands: nothing is done in place that the model does not do in place.
    """
    sizes = storage_bytes(graph)
    storage = [v.storage for v in graph.values]
    real = [node for node in graph.nodes if node.op != "index"]
    last: dict[int, int] = {}
    for n, node in enumerate(real):
        for i in (*node.inputs, *node.outputs):
            last[storage[i]] = n
    for i in graph.outputs:
        last[storage[i]] = len(real)
    fixed = {s for s in last if graph.values[s].kind != "temp"}
    ending: dict[int, list[int]] = {}
    for s, n in last.items():
        ending.setdefault(n, []).append(s)
    live, peak, born = 0, 0, set(fixed)
    for n, node in enumerate(real):
        for i in node.outputs:
            if storage[i] not in born:
                born.add(storage[i])
                live += sizes[storage[i]]
        peak = max(peak, live)
        live -= sum(sizes[s] for s in ending.get(n, ()) if s in born and s not in fixed)
    return peak + sum(sizes[s] for s in fixed)


# Groupings


def layer_of(module: str) -> str:
    """`transformer.layer.3.attention.q_lin` -> `transformer.layer.3`; without a number, the first name."""
    names = module.split(".")
    for i, name in enumerate(names):
        if name.isdigit():
            return ".".join(names[: i + 1])
    return names[0] or "(model)"


KEYS: dict[str, Callable[[Node], str]] = {
    "kind": lambda node: kind_of(node.op),
    "op": lambda node: node.op,
    "module": lambda node: node.module or "(model)",
    "layer": lambda node: layer_of(node.module),
}


def rows_by(graph: Graph, tally: Tally, by: str) -> tuple[Row, ...]:
    """Rows in order of first appearance.

    Raises:
        CostModelError: `by` is not one of `GROUPINGS`.
    """
    if by not in KEYS:
        raise CostModelError(f"cannot group by {by!r}; known: {', '.join(GROUPINGS)}")
    groups: dict[str, list[Counts]] = {}
    for node, counts in zip(graph.nodes, tally.per_node, strict=True):
        groups.setdefault(KEYS[by](node), []).append(counts)
    return tuple(Row(key, len(group), total(group)) for key, group in groups.items())


def attention_core(graph: Graph) -> tuple[bool, ...]:
    """For each node, whether it belongs to the attention core: between projections and output.

    The core is what a submodule called `attention_core` runs, what a fused attention call became,
    and, in a module that spells attention out, everything from its first product of two
    activations to its last, where there is a softmax or a distance between.
    """
    inside = [bool(n.attrs.get("core")) or CORE in n.module.split(".") for n in graph.nodes]
    weights = {v.storage for v in graph.values if v.kind in ("param", "buffer")}
    spans: dict[str, list[int]] = {}
    marks = set()
    for n, node in enumerate(graph.nodes):
        if inside[n]:
            continue
        if kind_of(node.op) == "product" and all(graph.values[i].storage not in weights for i in node.inputs):
            spans.setdefault(node.module, []).append(n)
        if node.op in ("softmax", "l1"):
            marks.add(node.module)
    for module, products in spans.items():
        if module in marks and len(products) > 1:
            for n in range(products[0], products[-1] + 1):
                inside[n] |= graph.nodes[n].module == module
    return tuple(inside)


def core_counts(graph: Graph, tally: Tally) -> Counts:
    """What the attention core counts."""
    inside = attention_core(graph)
    return total(c for c, core in zip(tally.per_node, inside, strict=True) if core)
