"""`trace` and `count`: the graph of a model, and its operations and bytes.

A model is a preset such as `distilbert` (a wrong name lists them), a directory or hub id with safetensors,
`package.module:function`, a torch module with `inputs`, or what `trace` returned. Sizes left out are B=1 and
S=128, or what the model takes. Traces need no weights, and are kept in the cache of the command line.

What a user can mend raises `costmodel.errors.CostModelError` or `models.errors.ModelError`: one line.
"""

from __future__ import annotations

from typing import Any

from costmodel.api.results import Count, Trace, trace_result
from costmodel.api.subjects import Model, counted_of
from costmodel.counting.records import count_record
from costmodel.counting.tally import GROUPINGS
from costmodel.errors import CostModelError
from costmodel.show import count_tables


def trace(
    model: Model,
    attention: str | None = None,
    seq: int | None = None,
    batch: int = 1,
    dtype: str = "float32",
    inputs: Any = None,
) -> Trace:
    """The graph of one forward pass, in our ops: what all other functions start from.

    Args:
        attention: a mechanism such as `inhibitor:normalise=sqrt`; None takes `dot`, or the model's own.
        inputs: a mapping or tuple of tensors, where the model is a torch module; it decides all sizes.

    >>> import costmodel as cm
    >>> graph = cm.trace("distilbert", seq=128)
    >>> graph
    <Trace distilbert, attention dot, B=1, S=128, float32: 191 nodes, 66 362 880 parameters>
    >>> [row["op"] for row in graph.to_rows() if row["op"] == "softmax"]
    ['softmax', 'softmax', 'softmax', 'softmax', 'softmax', 'softmax']
    """
    found = counted_of(model, attention, seq, batch, dtype, inputs)
    subject = found.subject
    record: dict[str, Any] = {
        "model": subject.model,
        "attention": subject.attention,
        "batch": subject.batch,
        "seq": subject.seq,
        "dtype": subject.dtype,
        "params": found.tally.params,
        "nodes": [
            {"op": n.op, "module": n.module, "inputs": list(n.inputs), "outputs": list(n.outputs)}
            for n in found.graph.nodes
        ],
        "values": [{"shape": list(v.shape), "dtype": v.dtype, "kind": v.kind} for v in found.graph.values],
    }
    return trace_result(record, found.graph)


def count(
    model: Model,
    attention: str | None = None,
    seq: int | None = None,
    batch: int = 1,
    dtype: str = "float32",
    by: str = "kind",
    inputs: Any = None,
) -> Count:
    """Scalar operations and bytes of one forward pass; rows by kind, op, module or layer.

    >>> import costmodel as cm
    >>> counts = cm.count("distilbert", seq=128)
    >>> counts.counts["mul"], counts.core["mul"]
    (5598907648, 152174592)
    >>> [row["key"] for row in cm.count("distilbert", by="layer").to_rows()][-2:]
    ['transformer.layer.4', 'transformer.layer.5']

    Raises:
        CostModelError: an op without a rule, a wrong size, an unknown grouping.
    """
    if by not in GROUPINGS:
        raise CostModelError(f"by = {by!r} is not one of {', '.join(GROUPINGS)}")
    found = counted_of(model, attention, seq, batch, dtype, inputs)
    record = count_record(found.subject, found.graph, found.tally, by)
    names = [n for n in record["counts"] if any(row["counts"].get(n) for row in record["rows"])]
    rows = tuple(
        {"key": r["key"], "nodes": r["nodes"], **{n: r["counts"].get(n, 0) for n in names}}
        | {f"{way}_bytes": n for way, n in r["bytes"].items()}
        for r in record["rows"]
    )
    return Count(record, rows, tuple(count_tables.count_grids(record)), tuple(count_tables.count_notes(record)))
