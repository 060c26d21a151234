"""Energy of a counted graph under one table: its arithmetic, and its operands if each came from one memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from costmodel.counting.tally import Tally, attention_core
from costmodel.dtypes import is_float
from costmodel.errors import UnknownTable
from costmodel.graph.ir import Graph, Node
from costmodel.ops.counts import Counts, total
from costmodel.records import OPTIONAL
from costmodel.technology.loading import load_table, price_arithmetic, price_traffic
from costmodel.technology.tables import Energy, Table, add_up


def compute_dtype(graph: Graph, node: Node) -> str:
    """The number type in which a node computes: its widest float operand, else its first operand."""
    operands = [graph.values[i].dtype for i in (*node.inputs, *node.outputs)]
    floats = [d for d in operands if is_float(d)]
    widest = ("float64", "float32", "bfloat16", "float16")
    return next((d for d in widest if d in floats), operands[0] if operands else "float32")


@dataclass(frozen=True)
class TableEnergy:
    """Energy under one table, of the whole model and of its attention core; None where the table lacks a row."""

    operands_in: str  # the memory that every operand comes from and goes to
    arithmetic: Energy | None
    memory: Energy | None  # of the operands, one by one, without reuse: the most that memory can take
    total: Energy | None
    parts: dict[str, Energy]  # by where the price is from: rows, each estimate, memory
    core_arithmetic: Energy | None
    core_memory: Energy | None
    core_total: Energy | None
    core_parts: dict[str, Energy]
    missing: Annotated[str | None, OPTIONAL] = None  # what the table lacks


@dataclass(frozen=True)
class Priced:
    """Some nodes under one table, by where the price is from."""

    arithmetic: Energy | None
    memory: Energy | None
    parts: dict[str, Energy]
    missing: str | None

    @property
    def total(self) -> Energy | None:
        return None if self.arithmetic is None or self.memory is None else self.arithmetic + self.memory


def table_energy(graph: Graph, tally: Tally, table_name: str, memory: str | None) -> TableEnergy:
    """Energy of the arithmetic and of the operand traffic under one table, and the core's part.

    Raises:
        UnknownTable: no such table, or no such memory in it.
    """
    table = load_table(table_name)
    name = memory or table.default_memory
    inside = attention_core(graph)
    typed = [(compute_dtype(graph, node), c) for node, c in zip(graph.nodes, tally.per_node, strict=True)]
    whole = priced(table, typed, name)
    core = priced(table, [pair for pair, is_core in zip(typed, inside, strict=True) if is_core], name)
    no_memory = None if name else f"table {table_name} has no row for a memory"
    return TableEnergy(
        operands_in=table.memory(name).name if name else "no memory",
        arithmetic=whole.arithmetic,
        memory=whole.memory,
        total=whole.total,
        parts=whole.parts,
        core_arithmetic=core.arithmetic,
        core_memory=core.memory,
        core_total=core.total,
        core_parts=core.parts,
        missing=core.missing or whole.missing or no_memory,
    )


def priced(table: Table, pairs: list[tuple[str, Counts]], memory: str) -> Priced:
    """Counts, each with the type it computes in, under one table; `memory` is empty where there is none."""
    arithmetic: Energy | None = None
    operands: Energy | None = None
    parts: dict[str, Energy] = {}
    missing = None
    try:
        parts = price_arithmetic(table, pairs)
        arithmetic = add_up(parts.values())
    except UnknownTable as error:
        missing = str(error)
    if memory:
        counts = total(c for _, c in pairs)
        operands = parts["memory"] = price_traffic(table, counts.read_bytes + counts.write_bytes, memory)
    return Priced(arithmetic, operands, parts, missing)
