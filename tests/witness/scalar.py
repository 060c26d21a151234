"""An interpreter of lowered graphs, scalar by scalar: storages are lists, values are strided views."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import torch

from costmodel.dtypes import is_float
from costmodel.graph.ir import Graph, Ref, Value
from tests.witness.loops import RUN
from tests.witness.tally import Tally, plain


def execute(graph: Graph, leaves: dict[int, torch.Tensor]) -> tuple[list[np.ndarray], Counter[str]]:
    """The outputs of a graph as arrays of floats, and the operations that its loops executed.

    Float weights and inputs tally; integers, booleans and constants are plain numbers.
    """
    ledger: Counter[str] = Counter()
    storages: dict[int, np.ndarray] = {}

    def view(value: Value) -> np.ndarray:
        memory = storages[value.storage]
        strides = tuple(s * memory.itemsize for s in value.stride)
        return np.lib.stride_tricks.as_strided(memory[value.offset :], value.shape, strides)

    def resolve(arg: Any) -> Any:
        if isinstance(arg, Ref):
            return view(graph.values[arg.id])
        return tuple(resolve(a) for a in arg) if isinstance(arg, tuple) else arg

    for value in graph.values:
        if value.kind != "temp":
            flat = leaves[value.id].detach().contiguous().flatten().tolist()
            tallies = is_float(value.dtype) and value.kind != "const"
            memory = np.empty(len(flat), object)
            memory[:] = [Tally(x, ledger) if tallies else x for x in flat]
            storages[value.id] = memory
            assert leaves[value.id].is_contiguous() or value.kind == "buffer"
        elif value.storage == value.id:
            size = 1 + sum((n - 1) * s for n, s in zip(value.shape, value.stride, strict=True))
            storages[value.id] = np.empty(size, object)
    for node in graph.nodes:
        if node.op == "view":
            continue
        (output,) = node.outputs
        out = view(graph.values[output])
        args = [resolve(arg) for arg in node.attrs["args"]]
        if node.op in ("layer_norm", "conv", "batch_norm"):
            args = [None if a is None else a for a in args]
        out[...] = np.asarray(RUN[node.op](args, node.attrs), object).reshape(out.shape)
    results = [np.vectorize(plain, otypes=[float])(view(graph.values[i])) for i in graph.outputs]
    return results, ledger
