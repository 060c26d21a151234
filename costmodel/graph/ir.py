"""The graph of one forward pass: values and nodes in trace order, frozen.

The same three records hold the traced graph (ops named `aten.*`) and the lowered one (ops of
`ops/rules.py`). A value knows the storage it lives in, so a view is a value that shares a storage and an
in-place update is a new value in an old storage.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod
from typing import Any

from costmodel.dtypes import short_name, stored_bytes
from costmodel.errors import BadGraph
from costmodel.records import Json

Arg = Any  # of a node: None, bool, int, float, str, a `Ref`, or a tuple of these
KINDS = ("param", "buffer", "input", "const", "temp")


@dataclass(frozen=True, slots=True)
class Ref:
    """A value standing as an argument of a node."""

    id: int


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor. `storage` is the id of the value that owns the memory; strides are in elements."""

    id: int
    shape: tuple[int, ...]
    dtype: str
    kind: str
    storage: int
    stride: tuple[int, ...]
    offset: int = 0
    name: str = ""

    @property
    def numel(self) -> int:
        return prod(self.shape)

    @property
    def distinct_numel(self) -> int:
        """Elements that differ in memory: a broadcast (stride 0) dimension counts once."""
        if 0 not in self.stride:
            return prod(self.shape)
        return prod(n if s != 0 else min(n, 1) for n, s in zip(self.shape, self.stride, strict=True))

    @property
    def distinct_bytes(self) -> int:
        return stored_bytes(self.dtype, self.distinct_numel)

    def __str__(self) -> str:
        return f"%{self.id}: {short_name(self.dtype)}[{','.join(map(str, self.shape))}]"


@dataclass(frozen=True, slots=True)
class Node:
    """One call. `attrs` holds its arguments by name; tensors among them are `Ref`s."""

    op: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    attrs: dict[str, Arg]
    module: str = ""

    def __str__(self) -> str:
        shown = ", ".join(f"{k}={show_arg(v)}" for k, v in self.attrs.items())
        if not any(has_ref(v) for v in self.attrs.values()):
            shown = ", ".join([*(f"%{i}" for i in self.inputs), *([shown] if shown else [])])
        return f"{self.op}({shown})"


@dataclass(frozen=True)
class Graph:
    """`values[i].id == i`; nodes stand in the order in which they ran."""

    values: tuple[Value, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[int, ...] = ()
    params: int = 0  # parameters of the whole module, used or not
    unknown: tuple[str, ...] = field(default=())  # ops let through by `allow_unknown`

    def __str__(self) -> str:
        leaves = [v for v in self.values if v.kind != "temp"]
        lines = [f"{v} = {v.kind} {v.name}".rstrip() for v in leaves]
        for node in self.nodes:
            left = ", ".join(str(self.values[i]) for i in node.outputs)
            lines.append(f"{left} = {node}" + (f"  # {node.module}" if node.module else ""))
        lines.append("return " + ", ".join(f"%{i}" for i in self.outputs))
        return "\n".join(lines)

    def verify(self) -> Graph:
        """Check the graph; returns it, so that a pass can end in `return graph.verify()`.

        Raises:
            BadGraph: a value used before it is made or made twice, or a broken alias.
        """
        made = set()
        for i, value in enumerate(self.values):
            if value.id != i:
                raise BadGraph(f"value %{value.id} stands at place {i}")
            if value.kind not in KINDS:
                raise BadGraph(f"value %{i} is of unknown kind {value.kind!r}")
            if len(value.shape) != len(value.stride):
                raise BadGraph(f"value %{i} has {len(value.shape)} dims and {len(value.stride)} strides")
            if not 0 <= value.storage < len(self.values):
                raise BadGraph(f"value %{i} lives in the unknown storage {value.storage}")
            if self.values[value.storage].storage != value.storage:
                raise BadGraph(f"value %{i} lives in %{value.storage}, which owns no storage")
            if value.kind != "temp":
                made.add(i)
        for n, node in enumerate(self.nodes):
            for i in node.inputs:
                if i not in made:
                    raise BadGraph(f"node {n} {node.op} uses %{i} before it is made")
            for i in node.outputs:
                if i in made:
                    raise BadGraph(f"node {n} {node.op} makes %{i} again")
                made.add(i)
        for i in self.outputs:
            if i not in made:
                raise BadGraph(f"the output %{i} is never made")
        return self

    def to_networkx(self) -> Any:
        """A `networkx.DiGraph`: nodes are indices of `self.nodes`, edges carry the value between."""
        import networkx as nx

        view = nx.DiGraph()
        maker: dict[int, int] = {}
        for n, node in enumerate(self.nodes):
            view.add_node(n, op=node.op, module=node.module)
            for i in node.inputs:
                if i in maker:
                    view.add_edge(maker[i], n, value=i, shape=self.values[i].shape)
            for i in node.outputs:
                maker[i] = n
        return view

    def to_json(self) -> str:
        """One JSON document; `from_json` gives the same graph back."""
        return json.dumps(to_record(self), separators=(",", ":"))

    @staticmethod
    def from_json(text: str) -> Graph:
        """Inverse of `to_json`.

        Raises:
            BadGraph: the text is not a graph, or breaks `verify`.
        """
        try:
            record = json.loads(text)
        except ValueError as error:
            raise BadGraph(f"not a saved trace: {error}") from None
        return from_record(record)


def refs(arg: Any) -> Iterator[int]:
    """Ids of the values within an argument, in order."""
    if isinstance(arg, Ref):
        yield arg.id
    elif isinstance(arg, tuple):
        for item in arg:
            yield from refs(item)


def has_ref(arg: Any) -> bool:
    return next(refs(arg), None) is not None


def show_arg(arg: Any) -> str:
    if isinstance(arg, Ref):
        return f"%{arg.id}"
    if isinstance(arg, tuple):
        return "[" + ", ".join(map(show_arg, arg)) + "]"
    return str(arg)


def storage_bytes(graph: Graph) -> dict[int, int]:
    """Bytes of each storage, by the id of the value that owns it."""
    owners = (v for v in graph.values if v.storage == v.id)
    return {v.id: v.distinct_bytes for v in owners}


# A record is plain lists, dicts, numbers and strings. Tuples become {"t": [...]}, refs {"v": id}.


def to_record(graph: Graph) -> dict[str, Json]:
    return {
        "values": [
            [list(v.shape), v.dtype, v.kind, v.storage, list(v.stride), v.offset, v.name] for v in graph.values
        ],
        "nodes": [
            [n.op, list(n.inputs), list(n.outputs), {k: pack(a) for k, a in n.attrs.items()}, n.module]
            for n in graph.nodes
        ],
        "outputs": list(graph.outputs),
        "params": graph.params,
        "unknown": list(graph.unknown),
    }


def from_record(record: Any) -> Graph:
    """Inverse of `to_record`, verified.

    Raises:
        BadGraph: the record is not one of a graph, or breaks `verify`.
    """
    try:
        values = tuple(
            Value(i, tuple(shape), dtype, kind, storage, tuple(stride), offset, name)
            for i, (shape, dtype, kind, storage, stride, offset, name) in enumerate(record["values"])
        )
        nodes = tuple(
            Node(op, tuple(inputs), tuple(outputs), {k: unpack(a) for k, a in attrs.items()}, module)
            for op, inputs, outputs, attrs, module in record["nodes"]
        )
        graph = Graph(values, nodes, tuple(record["outputs"]), record["params"], tuple(record["unknown"]))
        return graph.verify()
    except BadGraph:
        raise
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise BadGraph(f"not a saved trace: {error}") from None


def pack(arg: Any) -> Any:
    if isinstance(arg, Ref):
        return {"v": arg.id}
    if isinstance(arg, tuple):
        return {"t": [pack(item) for item in arg]}
    if arg is None or isinstance(arg, bool | int | str):
        return arg
    if isinstance(arg, float):
        return arg if arg - arg == 0 else {"f": repr(arg)}  # JSON has no inf and nan
    raise BadGraph(f"an argument of type {type(arg).__name__} cannot be saved")


def unpack(arg: Any) -> Any:
    if isinstance(arg, dict):
        ((tag, item),) = arg.items()
        if tag == "v":
            return Ref(item)
        return float(item) if tag == "f" else tuple(unpack(a) for a in item)
    return arg
