"""What passes of statistics take in an attention core by blocks of keys: found from the nodes at hand.

`costmodel.mapping.row_statistics` says the same of a group; tests hold both equal.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from costmodel.mapping.core_records import CoreMapped
from costmodel.mapping.steps import Step
from costmodel.ops.rules import needs_whole_rows
from sim.integer.fixed import EXP_BITS, TABLE_BITS
from sim.machine.events import Arithmetic, Site, vector_events
from sim.machine.state import State


@dataclass(frozen=True)
class RowStatistics:
    """Passes over the keys, bits of each word that is kept of a row, what lanes do more than by whole rows."""

    passes: int = 1
    kept_bits: tuple[int, ...] = ()
    vector: Arithmetic = field(default_factory=Counter)  # without scores, which count themselves


def statistics_of(state: State, step: Step, products: list[int]) -> RowStatistics:
    """Of a step; of one by whole rows, or of which no term needs its row, a single pass."""
    chosen = step.chosen
    if not isinstance(chosen, CoreMapped) or step.kind == "chain":
        return RowStatistics()
    first, last = products
    shape = state.graph.values[state.graph.nodes[first].outputs[0]].shape
    made = {state.source[i] for i in state.graph.nodes[first].outputs}
    path: list[int] = []  # from the scores to what needs their rows
    for n in step.nodes:
        node = state.graph.nodes[n]
        if not first < n < last or not made & {state.source[i] for i in node.inputs}:
            continue
        if needs_whole_rows(node.op):
            return gathered(state, n, path, chosen.mapping.keys < shape[-1])
        path.append(n)
        made |= {state.source[i] for i in node.outputs}
    return RowStatistics()


def gathered(state: State, row_op: int, path: list[int], by_blocks: bool) -> RowStatistics:
    """A sum is gathered in one pass; a maximum in one and the sum of exponentials in the next."""
    if not by_blocks:
        return RowStatistics()
    site = Site(state.program.typed, state.graph.nodes[row_op])
    operand = site.node.inputs[0]
    keys, elements = site.shape(operand)[-1], state.graph.values[operand].distinct_numel
    before = 2 if site.node.op == "softmax" else 1
    again: Arithmetic = Counter()
    if site.node.op == "softmax":
        wide = site.kind(site.node.outputs[0]).bits > TABLE_BITS
        kept: tuple[int, ...] = (site.exact(operand).bits, EXP_BITS + (keys - 1).bit_length())
        again["add", f"int{site.exact(operand).bits + 1}"] += elements
        again["lookup", f"uint{EXP_BITS}"] += elements * (2 if wide else 1)
    else:
        kept = (site.summed(keys).bits,)
    for n in path * before:
        again += vector_events(site.typed, state.graph.nodes[n])
    return RowStatistics(1 + before, kept, again)
