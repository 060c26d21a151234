"""Energy of a counted graph under one table: its arithmetic, and its operands if each came from one memory."""

from __future__ import annotations

from typing import Any

from costmodel.counting.tally import Tally, attention_core
from costmodel.dtypes import is_float
from costmodel.errors import UnknownTable
from costmodel.graph.ir import Graph, Node
from costmodel.ops.counts import total
from costmodel.technology.loading import load_table, price_arithmetic, price_traffic
from costmodel.technology.tables import Energy, add_up

# Energy


def compute_dtype(graph: Graph, node: Node) -> str:
    """The number type in which a node computes: its widest float operand, else its first operand."""
    operands = [graph.values[i].dtype for i in (*node.inputs, *node.outputs)]
    floats = [d for d in operands if is_float(d)]
    widest = ("float64", "float32", "bfloat16", "float16")
    return next((d for d in widest if d in floats), operands[0] if operands else "float32")


PARTS = ("arithmetic", "memory", "total")


def energy_record(graph: Graph, tally: Tally, table_name: str, memory: str | None) -> dict[str, Any]:
    """Energy of the arithmetic and of the operand traffic under one table, and the core's part.

    What a table lacks a row for is `None`, and `missing` says which row.

    Raises:
        UnknownTable: no such table, or no such memory in it.
    """
    table = load_table(table_name)
    name = memory or table.default_memory
    inside = attention_core(graph)
    typed = [(compute_dtype(graph, node), c) for node, c in zip(graph.nodes, tally.per_node, strict=True)]
    core = [pair for pair, is_core in zip(typed, inside, strict=True) if is_core]
    record: dict[str, Any] = {"operands_in": table.memory(name).name if name else "no memory"}
    if not name:
        record["missing"] = f"table {table_name} has no row for a memory"
    for prefix, pairs in (("", typed), ("core_", core)):
        energies: dict[str, Energy | None] = dict.fromkeys(PARTS)
        parts: dict[str, Energy] = {}
        try:
            parts = price_arithmetic(table, pairs)
            energies["arithmetic"] = add_up(parts.values())
        except UnknownTable as error:
            record["missing"] = str(error)
        if name:
            counts = total(c for _, c in pairs)
            energies["memory"] = parts["memory"] = price_traffic(
                table, counts.read_bytes + counts.write_bytes, name
            )
        if energies["arithmetic"] is not None and energies["memory"] is not None:
            energies["total"] = energies["arithmetic"] + energies["memory"]
        for part, energy in energies.items():
            record[prefix + part] = None if energy is None else energy.nominal_pj
            record[f"{prefix}{part}_range"] = None if energy is None else [energy.low_pj, energy.high_pj]
        record[prefix + "parts"] = {key: [e.low_pj, e.nominal_pj, e.high_pj] for key, e in parts.items()}
    return record
