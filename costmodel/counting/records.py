"""Records of a counted model: plain dicts, as `--format json` prints them.

FLOPs and MACs are views of `Counts`, made here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from costmodel.counting.tally import Row, Tally, core_counts, rows_by
from costmodel.graph.ir import Graph
from costmodel.ops.counts import Counts
from costmodel.ops.rules import KIND_OF


@dataclass(frozen=True)
class Subject:
    """What was counted."""

    model: str
    attention: str
    batch: int | None  # None where the user's own function decides the sizes
    seq: int | None
    dtype: str


def flops(counts: Counts) -> int:
    """Every scalar operation, each once. A multiply-accumulate is two."""
    return sum(counts.arithmetic().values())


def macs(graph: Graph, tally: Tally) -> int:
    """Multiplications of products: each comes with the addition that accumulates it."""
    pairs = zip(graph.nodes, tally.per_node, strict=True)
    return sum(c.mul for node, c in pairs if KIND_OF.get(node.op) == "product")


def byte_record(counts: Counts) -> dict[str, int]:
    return {"operand_read": counts.read_bytes, "operand_write": counts.write_bytes}


def row_record(row: Row) -> dict[str, Any]:
    return {
        "key": row.key,
        "nodes": row.nodes,
        "counts": row.counts.arithmetic(),
        "bytes": byte_record(row.counts),
    }


def count_record(subject: Subject, graph: Graph, tally: Tally, by: str) -> dict[str, Any]:
    """The record of one model with one attention, as `costmodel count --format json` prints it."""
    core = core_counts(graph, tally)
    return {
        "model": subject.model,
        "attention": subject.attention,
        "batch": subject.batch,
        "seq": subject.seq,
        "dtype": subject.dtype,
        "params": tally.params,
        "counts": tally.counts.arithmetic(),
        "bytes": byte_record(tally.counts)
        | {"compulsory": tally.compulsory_bytes, "peak_live": tally.peak_live_bytes},
        "macs": macs(graph, tally),
        "flops": flops(tally.counts),
        "attention_core": {"counts": core.arithmetic(), "bytes": byte_record(core), "flops": flops(core)},
        "complete": not tally.unknown,
        "unknown": list(tally.unknown),
        "by": by,
        "rows": [row_record(row) for row in rows_by(graph, tally, by)],
    }
