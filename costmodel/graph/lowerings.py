"""The table from aten calls to our ops, and the builder that its functions write to.

A function under `@lowers` turns one aten call into nodes of the closed op set, with the dims that the count
rule takes and the operands in the order of its reference loop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod
from typing import Any

from costmodel.graph.ir import Graph, Node, Ref, Value, refs
from costmodel.ops.registry import enter

Lowering = Callable[["Lower", Node], None]
LOWERINGS: dict[str, Lowering] = {}


def lowers(*names: str) -> Callable[[Lowering], Lowering]:
    """Register a function as the lowering of some calls, `aten.NAME` without overload."""
    return enter(LOWERINGS, "lowering of", *names)


class Lower:
    """The graph under construction: the traced values, new ones, and the nodes so far."""

    def __init__(self, graph: Graph, as_run: bool) -> None:
        self.values = list(graph.values)
        self.nodes: list[Node] = []
        self.as_run = as_run

    def __getitem__(self, i: int) -> Value:
        return self.values[i]

    def emit(self, source: Node, op: str, args: tuple[Any, ...], outputs: tuple[int, ...], **dims: Any) -> None:
        """Append a node. `args` are its operands in order: `Ref`s and numbers."""
        inputs = tuple(i for arg in args for i in refs(arg))
        self.nodes.append(Node(op, inputs, outputs, {"args": args, **dims}, source.module))

    def temp(self, shape: tuple[int, ...], dtype: str) -> int:
        """A new dense value."""
        i = len(self.values)
        self.values.append(Value(i, shape, dtype, "temp", i, dense_stride(shape)))
        return i

    def share(self, of: int) -> int:
        """A new value in the memory of another, of the same shape."""
        self.values.append(replace(self.values[of], id=len(self.values)))
        return len(self.values) - 1

    def alias(self, source: Node, of: int, shape: tuple[int, ...], stride: tuple[int, ...]) -> int:
        """A new view of a value, made by a free node."""
        if (self.values[of].shape, self.values[of].stride) == (shape, stride):
            return of
        i = len(self.values)
        old = self.values[of]
        self.values.append(replace(old, id=i, shape=shape, stride=stride, kind="temp", name=""))
        self.emit(source, "view", (Ref(of),), (i,))
        return i

    def transpose(self, source: Node, of: int) -> int:
        """A view with the last two dims swapped."""
        s, t = self.values[of].shape, self.values[of].stride
        return self.alias(source, of, (*s[:-2], s[-1], s[-2]), (*t[:-2], t[-1], t[-2]))


def dense_stride(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(prod(shape[i + 1 :]) for i in range(len(shape)))


def base_name(op: str) -> str:
    """`aten.add_.Tensor` -> `aten.add`: without overload and in-place mark."""
    namespace, name = op.split(".")[:2]
    inplace = name.endswith("_") and not name.endswith("__")
    return f"{namespace}.{name[:-1] if inplace else name}"


def operand(node: Node, *names: str) -> Any:
    """The first argument of that name: a `Ref`, a number, or None."""
    for name in names:
        if name in node.attrs:
            return node.attrs[name]
    return None


def emit_map(state: Lower, node: Node, op: str, args: tuple[Any, ...], output: int | None = None) -> int:
    """An elementwise node; without `output`, into a new value of the shape of the node's output."""
    final = state[node.outputs[0]]
    made = state.temp(final.shape, final.dtype) if output is None else output
    state.emit(node, op, args, (made,), n=final.numel)
    return made


# Reductions


def reduced(state: Lower, node: Node) -> tuple[int, int, tuple[int, ...]]:
    """Outputs, terms of each, and the dims summed over."""
    x = state[node.attrs["self"].id]
    dims = operand(node, "dim")
    dims = (dims,) if isinstance(dims, int) else dims
    axes = tuple(d % len(x.shape) for d in dims) if dims else tuple(range(len(x.shape)))
    N = prod(x.shape[d] for d in axes)
    return (x.numel // N if N else 0), N, axes


# Products. Operands are views whose last two dims are those of the rule; leading dims broadcast.


def emit_matmul(state: Lower, node: Node, a: int, b: int, bias: Any = None, **marks: Any) -> None:
    """a [..,M,K] @ b [..,K,N] (+ bias). With one b for all, the rows of every batch are rows of one a."""
    output = state[node.outputs[0]] if "output" not in marks else state[marks.pop("output")]
    *_, K, N = state[b].shape
    M = state[a].numel // K if len(state[b].shape) == 2 else state[a].shape[-2]
    args = (Ref(a), Ref(b)) if bias is None else (Ref(a), Ref(b), bias)
    B = output.numel // (M * N) if M * N else 0
    state.emit(node, "matmul", args, (output.id,), B=B, M=M, N=N, K=K, bias=int(bias is not None), **marks)


def as_matrix(state: Lower, node: Node, i: int, axis: int) -> int:
    """A vector as a matrix, its new dim of one at `axis`; anything else as it is."""
    v = state[i]
    if len(v.shape) != 1:
        return i
    shape, stride = ((1, *v.shape), (0, *v.stride)) if axis == 0 else ((*v.shape, 1), (*v.stride, 0))
    return state.alias(node, i, shape, stride)
