"""aten calls to our ops: the same graph in the closed op set."""

from __future__ import annotations

from dataclasses import replace

from costmodel.errors import UnknownOp
from costmodel.graph import attention_forms, elementwise, layers
from costmodel.graph.ir import Graph, Ref
from costmodel.graph.lowerings import LOWERINGS, Lower, base_name
from costmodel.ops.rules import UNKNOWN

# To import these fills LOWERINGS.
FILLED_BY = (attention_forms, elementwise, layers)


def lower(graph: Graph, *, as_run: bool = False, allow_unknown: bool = False) -> Graph:
    """The same computation in our ops.

    Args:
        as_run: keep what the kernels execute, where that differs from the mathematics.
        allow_unknown: let an unknown call through as op `unknown` and list it in `Graph.unknown`.

    Raises:
        UnknownOp: a call without a lowering, with its shapes, module and the file to edit.
    """
    state = Lower(graph, as_run)
    unknown: dict[str, None] = {}
    for node in graph.nodes:
        function = LOWERINGS.get(base_name(node.op))
        if function is not None:
            function(state, node)
            continue
        shapes = ", ".join(str(graph.values[i]) for i in node.inputs)
        where = f"{node.op}({shapes}) in module {node.module or '(top)'}"
        if not allow_unknown:
            raise UnknownOp(
                f"no count rule for {where}; add one in costmodel/graph/names.py, or pass `allow_unknown`"
            )
        unknown[where] = None
        state.emit(node, UNKNOWN, tuple(Ref(i) for i in node.inputs), node.outputs, name=node.op)
    lowered = replace(graph, values=tuple(state.values), nodes=tuple(state.nodes), unknown=tuple(unknown))
    return lowered.verify()
