"""What the functions of `import costmodel as cm` return: a record, and the ways to look at it.

A result prints as the command line does, shows as small tables in a notebook, and gives its numbers as plain
dicts: `pandas.DataFrame(result.to_rows())` takes them as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

from costmodel.counting.records import CountRecord, Subject
from costmodel.errors import CostModelError
from costmodel.graph.ir import Graph
from costmodel.records import INLINE, encode, to_json
from costmodel.show.document import Document, Row
from costmodel.show.formats import FORMATS, table_text
from costmodel.show.grid import Grid, shown, sizes_of
from costmodel.show.notebook import document_html

R = TypeVar("R")


@dataclass(frozen=True, repr=False)
class Result(Generic[R]):
    """A record, and the document that shows it."""

    record: R
    document: Document

    def to_dict(self) -> dict[str, Any]:
        """The whole record as the command line prints it as JSON: plain dicts, lists, numbers and text."""
        return to_json(self.record)

    def to_rows(self) -> list[Row]:
        """One flat dict a row, all with the same keys: `pandas.DataFrame(result.to_rows())`."""
        return [dict(row) for row in self.document.rows]

    def to_text(self, form: str) -> str:
        """The result in one of the output formats: table, json, csv, md, or one that was added.

        Raises:
            CostModelError: no such format.
        """
        if form not in FORMATS:
            raise CostModelError(f"`form={form}` is not one of {', '.join(FORMATS)}")
        return FORMATS[form](self.document, self.record)

    @property
    def notes(self) -> tuple[str, ...]:
        """The lines below the tables."""
        return self.document.notes

    @property
    def title(self) -> str:
        """What this is of."""
        return self.document.grids[0].title

    def __str__(self) -> str:
        return table_text(self.document).rstrip("\n")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.title}>"

    def __rich__(self) -> Any:
        from rich.text import Text

        return Text(str(self), no_wrap=True)

    def _repr_html_(self) -> str:
        return document_html(self.document)


@dataclass(frozen=True)
class TracedNode:
    """One node: places of the values that it reads and makes."""

    op: str
    module: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class TracedValue:
    """One value of a graph."""

    shape: tuple[int, ...]
    dtype: str
    kind: str


@dataclass(frozen=True)
class TraceRecord:
    """The graph of one forward pass, in our ops."""

    subject: Annotated[Subject, INLINE]
    params: int
    nodes: tuple[TracedNode, ...]
    values: tuple[TracedValue, ...]


@dataclass(frozen=True, repr=False)
class Trace(Result[TraceRecord]):
    """The graph of one forward pass; see `costmodel.graph.ir`."""

    graph: Graph


@dataclass(frozen=True, repr=False)
class Count(Result[CountRecord]):
    """Operations and bytes; `record` as of `costmodel count --format json`."""

    @property
    def counts(self) -> dict[str, int]:
        """Scalar operations of the whole model by name: mul, add, cmp, abs, exp, ..."""
        return dict(self.record.counts)

    @property
    def core(self) -> dict[str, int]:
        """Of these the attention core's: between the projections of q, k, v and the output projection."""
        return dict(self.record.attention_core.counts)

    @property
    def bytes(self) -> dict[str, int]:
        """operand_read, operand_write, compulsory, peak_live."""
        return dict(encode(self.record.bytes))


def trace_result(subject: Subject, params: int, graph: Graph) -> Trace:
    """A row a node: op, module, shapes and types of what it reads and makes."""
    record = TraceRecord(
        subject=subject,
        params=params,
        nodes=tuple(TracedNode(n.op, n.module, tuple(n.inputs), tuple(n.outputs)) for n in graph.nodes),
        values=tuple(TracedValue(tuple(v.shape), v.dtype, v.kind) for v in graph.values),
    )
    rows: tuple[Row, ...] = tuple(
        {
            "op": node.op,
            "module": node.module,
            "inputs": ", ".join(str(graph.values[i]) for i in node.inputs),
            "outputs": ", ".join(str(graph.values[i]) for i in node.outputs),
        }
        for node in graph.nodes
    )
    title = (
        f"{subject.model}, attention {subject.attention}, {sizes_of(subject.batch, subject.seq)}{subject.dtype}: "
    )
    title += f"{len(graph.nodes)} nodes, {shown(params)} parameters"
    cells = tuple(tuple(map(str, row.values())) for row in rows)
    grid = Grid(title, ("op", "module", "inputs", "outputs"), cells, numbers=False)
    return Trace(record, Document((grid,), (), rows), graph)
