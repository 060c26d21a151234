"""What an attention core must know of its rows beforehand where it runs by blocks of keys.

A closed set of ops needs whole rows of scores, and takes so many passes over the keys before the one that sums
values: a mean or a sum gathers its sum in one; a softmax gathers the maximum in one and the sum of exponentials
in another. In every pass scores are made anew, with what is done to them before that op; a softmax subtracts and
exponentiates once more than it would by whole rows. A core with any other op between, with two of these, or with
operands of its own before one, is run by whole rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from costmodel.dtypes import Int
from costmodel.graph.ir import Node
from costmodel.mapping.fusion import ALWAYS, Plan
from costmodel.ops.rules import kind_of
from costmodel.widths.assign import Typed
from costmodel.widths.policy import Work

PASSES = {"mean": 1, "sum": 1, "softmax": 2}


@dataclass(frozen=True)
class Statistics:
    """Passes before that of values, accumulators a row that they keep, and nodes of which they do all again."""

    passes: int = 0
    row_words: int = 1
    nodes: tuple[int, ...] = ()  # done once more in every pass, the product of scores among them
    row_op: int | None = None


def statistics_of(typed: Typed, plan: Plan, g: int, accumulator_bits: int) -> Statistics | None:
    """The statistics of an attention core by blocks of keys; None where it runs by whole rows only."""
    graph, source, group = typed.graph, plan.source, plan.groups[g]
    first, second = group.products
    before = {source[i]: {first} for i in graph.nodes[first].outputs}  # of what is made of scores: the nodes
    row_op = None
    for n in group.nodes:
        node = graph.nodes[n]
        made = [source[i] for i in node.inputs if source[i] in before]
        if not first < n < second or not made:
            continue
        if node.op in PASSES and row_op is None and along_rows(typed, node):
            row_op = n
        elif kind_of(node.op) != "elementwise" and node.op not in ALWAYS:
            return None
        behind = {n}.union(*(before[i] for i in made))
        before |= {source[i]: behind for i in node.outputs}
    if row_op is None:
        return Statistics()
    again = before[source[graph.nodes[row_op].outputs[0]]] - {row_op}
    if {source[i] for n in again - {first} for i in graph.nodes[n].inputs} & set(plan.reads[g]):
        return None
    words = sum(-(-bits // accumulator_bits) for bits in kept_bits(typed, row_op))
    return Statistics(PASSES[graph.nodes[row_op].op], words, tuple(sorted(again)), row_op)


def along_rows(typed: Typed, node: Node) -> bool:
    """Whether an op takes rows of scores, which are the last dim of its operand."""
    axes = node.attrs.get("axes", (node.attrs.get("axis"),))
    return tuple(axes) == (len(typed.graph.values[node.inputs[0]].shape) - 1,)


def kept_bits(typed: Typed, n: int) -> tuple[int, ...]:
    """Bits of each word that is kept of a row: of a sum, or of a maximum and a sum."""
    adds = [work.type.bits for work in typed.work[n] if work.op == "add"] or [1]  # rows of one are not added
    if typed.graph.nodes[n].op != "softmax":
        return (adds[0],)
    return next((work.type.bits for work in typed.work[n] if work.op == "cmp"), max(adds)), max(adds)


def works_again(typed: Typed, found: Statistics, placed: set[int]) -> tuple[tuple[Work, ...], tuple[Work, ...]]:
    """Work of all passes of statistics that whole rows do without: on the array, and on lanes."""
    array: list[Work] = []
    vector: list[Work] = []
    for n in found.nodes:
        (array if n in placed else vector).extend(replace(w, n=found.passes * w.n) for w in typed.work[n])
    if found.row_op is not None and typed.graph.nodes[found.row_op].op == "softmax":
        vector.extend(exponentials(typed, found.row_op))
    return tuple(array), tuple(vector)


def exponentials(typed: Typed, n: int) -> list[Work]:
    """A softmax's subtractions and exponentials, which both its last passes make."""
    works, attrs = typed.work[n], typed.graph.nodes[n].attrs
    if isinstance(typed.policy.of("softmax").activation, Int):
        i = [work.op for work in works].index("lookup")
        return [*works[i - 1 : i + 1]]  # differences, look-ups: see its width rule
    return [replace(w, n=attrs["P"] * attrs["N"]) for w in works if w.op in ("add", "exp")]
