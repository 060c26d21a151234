"""A counted model as a record, as `costmodel count --format json` prints it.

FLOPs and MACs are views of `Counts`, made here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from costmodel.counting.tally import Tally, core_counts, rows_by
from costmodel.graph.ir import Graph
from costmodel.ops.counts import Counts
from costmodel.ops.rules import kind_of
from costmodel.records import INLINE


@dataclass(frozen=True)
class Subject:
    """What was counted."""

    model: str
    attention: str
    batch: int | None  # None where the user's own function decides the sizes
    seq: int | None
    dtype: str


@dataclass(frozen=True)
class OperandBytes:
    """Each op reads its inputs and writes its outputs once."""

    operand_read: int
    operand_write: int

    @property
    def total(self) -> int:
        return self.operand_read + self.operand_write


@dataclass(frozen=True)
class ModelBytes(OperandBytes):
    """Bytes of a whole model."""

    compulsory: int  # weights, inputs and outputs once
    peak_live: int  # weights, and the temporaries alive at the worst moment


@dataclass(frozen=True)
class CountRow:
    """One kind, op, module or layer."""

    key: str
    nodes: int
    counts: dict[str, int]  # scalar operations by name
    bytes: OperandBytes


@dataclass(frozen=True)
class CoreCounts:
    """The attention core: what lies between the projections of q, k, v and the output projection."""

    counts: dict[str, int]
    bytes: OperandBytes
    flops: int


@dataclass(frozen=True)
class CountRecord:
    """One model with one attention mechanism."""

    subject: Annotated[Subject, INLINE]
    params: int
    counts: dict[str, int]  # scalar operations by name
    bytes: ModelBytes
    macs: int
    flops: int
    attention_core: CoreCounts
    complete: bool
    unknown: tuple[str, ...]  # calls without a rule, which count nothing
    by: str
    rows: tuple[CountRow, ...]


def flops(counts: Counts) -> int:
    """Every scalar operation, each once. A multiply-accumulate is two."""
    return sum(counts.arithmetic().values())


def macs(graph: Graph, tally: Tally) -> int:
    """Multiplications of products: each comes with the addition that accumulates it."""
    pairs = zip(graph.nodes, tally.per_node, strict=True)
    return sum(c.mul for node, c in pairs if kind_of(node.op) == "product")


def operand_bytes(counts: Counts) -> OperandBytes:
    return OperandBytes(counts.read_bytes, counts.write_bytes)


def count_record(subject: Subject, graph: Graph, tally: Tally, by: str) -> CountRecord:
    """The record of one model with one attention; rows by `by`, one of `tally.GROUPINGS`."""
    core = core_counts(graph, tally)
    whole = tally.counts
    return CountRecord(
        subject=subject,
        params=tally.params,
        counts=whole.arithmetic(),
        bytes=ModelBytes(whole.read_bytes, whole.write_bytes, tally.compulsory_bytes, tally.peak_live_bytes),
        macs=macs(graph, tally),
        flops=flops(whole),
        attention_core=CoreCounts(core.arithmetic(), operand_bytes(core), flops(core)),
        complete=not tally.unknown,
        unknown=tally.unknown,
        by=by,
        rows=tuple(
            CountRow(row.key, row.nodes, row.counts.arithmetic(), operand_bytes(row.counts))
            for row in rows_by(graph, tally, by)
        ),
    )
