"""Fusion groups: which nodes of a typed graph run together, and what crosses between them.

    product  a product and what follows it element by element while nobody else reads it: requantise, bias,
             GELU, residual, and a norm, which needs whole rows of the product
    core     scores, what lies between, values: an attention core in one pass, the same for every mechanism
    joined   products of one and the same first operand, such as those that make q, k and v: it comes once for all
    chain    two products by weights, the second of what follows the first element by element (FFN 1, GELU, FFN 2):
             by blocks of rows and of columns between, as a core; what lies between never leaves the chip
    vector   everything else: lookups of embeddings, a norm that was cut off

Values that cross from one group to another move through DRAM, unless the buffer can keep them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from costmodel.counting.tally import attention_core, read_terms
from costmodel.graph.ir import Graph, Node
from costmodel.ops.rules import kind_of, needs_whole_rows
from costmodel.widths.assign import Typed

ALWAYS = ("requantise", "copy")  # what rides on the maker of its operand even where nothing is fused


@dataclass(eq=False)
class Group:
    """Nodes by index, in order. `kind` is product, core, chain or vector."""

    kind: str
    nodes: list[int] = field(default_factory=list)
    products: list[int] = field(default_factory=list)
    core: bool = False
    cut: int | None = None  # place in `nodes` of the first op that needs whole rows of the product


@dataclass(frozen=True)
class Plan:
    """Groups in the order in which they run, and the values that cross between them."""

    graph: Graph
    groups: tuple[Group, ...]
    source: tuple[int, ...]  # of each value, the value behind its views
    reads: tuple[tuple[int, ...], ...]  # of each group: values from outside, each once
    writes: tuple[tuple[int, ...], ...]  # of each group: values that others read, or the graph returns
    born: dict[int, int]  # value -> group that makes it
    last: dict[int, int]  # value -> last group that reads it


def is_free(node: Node) -> bool:
    return kind_of(node.op) == "free"


def sources_of(graph: Graph) -> tuple[int, ...]:
    """Each value's origin behind views, masks and folded factors."""
    source = list(range(len(graph.values)))
    for node in graph.nodes:
        if is_free(node) and node.op != "index" and node.inputs:
            moving = [i for i in node.inputs if graph.values[source[i]].kind in ("temp", "input")]
            origin = source[(moving or node.inputs)[0]]
            for i in node.outputs:
                source[i] = origin
    return tuple(source)


def plan_groups(typed: Typed, fuse: bool = True, fuse_core: bool = True) -> Plan:
    """Group the nodes of a typed graph; `fuse=False` leaves each op alone but for its requantise.

    Args:
        fuse_core: an attention core in one pass; else op by op.
    """
    source = sources_of(typed.graph)
    return crossings(typed.graph, groups_of(typed.graph, source, fuse, fuse_core), source)


def all_plans(typed: Typed, fuse: bool = True) -> list[Plan]:
    """All ways to group the nodes that are looked at.

    Cores in one pass or op by op, products joined or not, two products in a chain or one by one. That with cores
    in one pass, joined products and no chains, which is often the best, is the first.
    """
    graph, source = typed.graph, sources_of(typed.graph)
    found: list[list[Group]] = []
    for fuse_core in (True, False):
        groups = groups_of(graph, source, fuse, fuse_core)
        ways = [groups]
        for merge in (joined, chained) if fuse else ():
            merged = [merge(graph, each, source) for each in ways]
            more = [new for new, old in zip(merged, ways, strict=True) if len(new) < len(old)]
            ways = [*more, *ways] if merge is joined else [*ways, *more]
        found += ways
        if not fuse or not any(group.kind == "core" for group in groups):
            break
    return [crossings(graph, groups, source) for groups in found]


def groups_of(graph: Graph, source: tuple[int, ...], fuse: bool, fuse_core: bool) -> list[Group]:
    """Groups of nodes, in the order in which they run."""
    inside = attention_core(graph)
    readers: dict[int, set[int]] = {}
    for n, node in enumerate(graph.nodes):
        if not is_free(node):
            for i in node.inputs:
                readers.setdefault(source[i], set()).add(n)
    returned = {source[i] for i in graph.outputs}
    groups: list[Group] = []
    home: dict[int, Group] = {}  # value -> group that makes it

    def producers(node: Node) -> list[Group]:
        found: list[Group] = []
        for i in node.inputs:
            group = home.get(source[i])
            if group is not None and group not in found:
                found.append(group)
        return sorted(found, key=groups.index)

    def only_reader(group: Group, n: int) -> bool:
        """Whether all that node n reads of a group is read by nobody else."""
        made = {source[i] for i in graph.nodes[n].inputs if home.get(source[i]) is group}
        return all(readers[v] <= {n, *group.nodes} and v not in returned for v in made)

    open_core: Group | None = None
    for n, node in enumerate(graph.nodes):
        if is_free(node):
            continue
        found = producers(node)
        group = None
        if kind_of(node.op) == "product":
            activations = all(graph.values[source[i]].kind == "temp" for i in node.inputs[:2])
            if open_core is not None and inside[n]:
                group, open_core = open_core, None
            else:
                starts = fuse and fuse_core and inside[n] and activations and core_continues(graph, inside, n)
                group = Group("core" if starts else "product", core=inside[n])
                groups.append(group)
                open_core = group if starts else None
            group.products.append(n)
        elif found and node.op in ALWAYS:
            group = found[-1]  # whoever else reads the value, it is at hand
        elif found and found[-1].kind != "vector" and fuse and only_reader(found[-1], n):
            group = found[-1]
        elif open_core is not None and inside[n]:
            group = open_core
        elif fuse:
            group = merge_vectors(groups, found, home, [g for g in found if only_reader(g, n)])
        if group is None:
            group = Group("vector", core=inside[n])
            groups.append(group)
        if needs_whole_rows(node.op) and group.kind == "product" and group.cut is None:
            group.cut = len(group.nodes)
        group.nodes.append(n)
        for i in node.outputs:
            home[source[i]] = group
    return groups


def joined(graph: Graph, groups: list[Group], source: tuple[int, ...]) -> list[Group]:
    """Neighbouring products of one first operand and different weights become one, side by side in its columns."""
    found: list[Group] = []
    for group in groups:
        before = found[-1] if found else None
        if before is not None and may_join(graph, before, group, source):
            nodes = sorted([*before.nodes, *group.nodes])
            found[-1] = Group("product", nodes, [*before.products, *group.products], before.core)
        else:
            found.append(group)
    return found


def may_join(graph: Graph, one: Group, two: Group, source: tuple[int, ...]) -> bool:
    """Whether the second group multiplies what the first one does, and reads nothing else but weights."""
    if one.kind != "product" or two.kind != "product" or one.cut is not None or two.cut is not None:
        return False
    first, second = graph.nodes[one.products[0]], graph.nodes[two.products[0]]
    made = {source[i] for n in two.nodes for i in graph.nodes[n].outputs}
    others = {source[i] for n in two.nodes for i in graph.nodes[n].inputs} - made - {source[first.inputs[0]]}
    same = [(n.op, *(n.attrs.get(dim) for dim in "BMK")) for n in (first, second)]
    types = [tuple(graph.values[i].dtype for i in (*n.inputs[:2], n.outputs[0])) for n in (first, second)]
    return (
        source[first.inputs[0]] == source[second.inputs[0]]
        and same[0] == same[1]
        and "N" in first.attrs
        and "D" not in first.attrs
        and types[0] == types[1]
        and all(graph.values[source[n.inputs[1]]].kind == "param" for n in (first, second))
        and all(graph.values[v].kind == "param" for v in others)
    )


def chained(graph: Graph, groups: list[Group], source: tuple[int, ...]) -> list[Group]:
    """Two neighbouring products become one group where the second takes nothing of the first but its result."""
    found: list[Group] = []
    readers = readers_of(graph, groups, source)
    for group in groups:
        before = found[-1] if found else None
        if before is not None and may_chain(graph, before, group, readers, source):
            nodes = sorted([*before.nodes, *group.nodes])
            found[-1] = Group("chain", nodes, [*before.products, *group.products])
        else:
            found.append(group)
    return found


def readers_of(graph: Graph, groups: list[Group], source: tuple[int, ...]) -> dict[int, set[int]]:
    """Of each value the nodes of groups that read it."""
    found: dict[int, set[int]] = {}
    for group in groups:
        for n in group.nodes:
            for i in graph.nodes[n].inputs:
                found.setdefault(source[i], set()).add(n)
    return found


def may_chain(graph: Graph, one: Group, two: Group, readers: dict[int, set[int]], source: tuple[int, ...]) -> bool:
    """Whether the first group's only result is the first operand of the second's product, both by weights."""
    singles = all(g.kind == "product" and len(g.products) == 1 and not g.core for g in (one, two))
    if not singles or one.cut is not None:
        return False
    first, second = graph.nodes[one.products[0]], graph.nodes[two.products[0]]
    if any(n.attrs.get("B", 0) != 1 or "D" in n.attrs or "N" not in n.attrs for n in (first, second)):
        return False
    weights = [graph.values[source[n.inputs[1]]].kind == "param" for n in (first, second)]
    made = {source[i] for n in one.nodes for i in graph.nodes[n].outputs}
    if not all(weights) or source[second.inputs[0]] not in made:
        return False
    inside = {*one.nodes, two.products[0]}
    reading = set().union(*(readers.get(v, ()) for v in made))
    return reading <= inside and not made & {source[i] for i in graph.outputs}


def core_continues(graph: Graph, inside: tuple[bool, ...], n: int) -> bool:
    """Whether the next product is of the same attention core, and takes what was made of this one."""
    made = set(graph.nodes[n].outputs)
    for m in range(n + 1, len(graph.nodes)):
        node = graph.nodes[m]
        if kind_of(node.op) == "product":
            return inside[m] and not made.isdisjoint(node.inputs[:2])
        if not made.isdisjoint(node.inputs):
            made.update(node.outputs)
    return False


def merge_vectors(
    groups: list[Group], found: list[Group], home: dict[int, Group], mine: list[Group]
) -> Group | None:
    """Vector groups of whose results nobody else reads become one; None if there is none to join.

    Only the last of the groups that are read can be joined: the others run before it.
    """
    if not mine or found[-1].kind != "vector" or found[-1] not in mine:
        return None
    last = found[-1]
    for other in [g for g in mine if g.kind == "vector" and g is not last]:
        last.nodes.extend(other.nodes)
        groups.remove(other)
        for value, group in home.items():
            if group is other:
                home[value] = last
    last.nodes.sort()
    return last


def crossings(graph: Graph, groups: list[Group], source: tuple[int, ...]) -> Plan:
    """The groups with the values that cross between them."""
    free_made = {i for node in graph.nodes if node.op == "index" for i in node.outputs}
    made: dict[int, int] = {}
    for g, group in enumerate(groups):
        for n in group.nodes:
            for i in graph.nodes[n].outputs:
                made.setdefault(source[i], g)
    reads, last = [], {}
    for g, group in enumerate(groups):
        seen: dict[int, None] = {}
        for n in group.nodes:
            for i in graph.nodes[n].inputs:
                value = source[i]
                if made.get(value) != g and value not in free_made:
                    seen[value] = None
                    if value in made:
                        last[value] = g
        reads.append(tuple(seen))
    returned = {source[i] for i in graph.outputs}
    crossing = set(last) | (returned & made.keys())
    writes = tuple(tuple(v for v in sorted(crossing) if made[v] == g) for g in range(len(groups)))
    born = {v: made[v] for v in crossing}
    return Plan(graph, tuple(groups), source, tuple(reads), writes, born, last)


def value_bits(graph: Graph, i: int) -> int:
    """Bits of a value in memory, packed to whole bytes; a broadcast dim counts once."""
    return 8 * graph.values[i].distinct_bytes


def outside_bits(plan: Plan, g: int, operands: tuple[int, ...]) -> dict[int, int]:
    """Bits that a group reads beside the operands of its products, by value.

    Of a table the rows that each lookup picks, of an activation the parts that are read (a half of a
    split), of other weights and inputs all, as compulsory bytes have them; never more than there is.
    """
    graph = plan.graph
    pieces: dict[int, dict[tuple[str, int], int]] = {}
    for n in plan.groups[g].nodes:
        node = graph.nodes[n]
        for place, i in enumerate(node.inputs):
            value = plan.source[i]
            if value not in plan.reads[g] or value in operands:
                continue
            found = pieces.setdefault(value, {})
            if node.op == "gather" and place == 0:
                found["rows", n] = 8 * read_terms(graph, node)[0]
            else:
                found["view", i] = value_bits(graph, i if graph.values[value].kind == "temp" else value)
    return {value: min(sum(found.values()), value_bits(graph, value)) for value, found in pieces.items()}


def kept_values(plan: Plan, kept_bytes: int) -> frozenset[int]:
    """Crossing values that stay in the buffer from the group that makes them to the last that reads them.

    A value stays if at every moment of its life all living values together fit. A larger buffer only
    ever keeps more.
    """
    sizes = {v: plan.graph.values[v].distinct_bytes for v in plan.last}
    live = [0] * len(plan.groups)
    for v, size in sizes.items():
        for g in range(plan.born[v], plan.last[v] + 1):
            live[g] += size
    returned = {plan.source[i] for i in plan.graph.outputs}
    return frozenset(
        v
        for v in sizes
        if v not in returned and all(live[g] <= kept_bytes for g in range(plan.born[v], plan.last[v] + 1))
    )
