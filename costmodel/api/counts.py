"""`trace` and `count`: the graph of a model, and its operations and bytes.

A model is a preset such as `distilbert` (a wrong name lists them), a directory or hub id with safetensors,
`package.module:function`, a torch module with `inputs`, or what `trace` returned. Sizes left out are B=1 and
S=128, or what the model takes. Traces need no weights, and are kept in the cache of the command line.

What a user can mend raises `costmodel.errors.CostModelError` or `models.errors.ModelError`: one line.
"""

from __future__ import annotations

from typing import Any

from costmodel.api.graphs import Request
from costmodel.api.results import Count, Trace, trace_result
from costmodel.api.subjects import Model, check_choice, counted_of
from costmodel.counting.records import count_record
from costmodel.counting.tally import GROUPINGS
from costmodel.show.count_tables import count_document


def trace(
    model: Model,
    attention: str | None = None,
    seq: int | None = None,
    batch: int = 1,
    dtype: str = "float32",
    inputs: Any = None,
    device: str = "meta",
    as_run: bool = False,
    allow_unknown: bool = False,
) -> Trace:
    """The graph of one forward pass, in our ops.

    Args:
        model: a preset, a directory or hub id, `package.module:function`; or a torch module, with
            `inputs`, which decides its own sizes.
        attention: a mechanism such as `inhibitor`; None takes `dot`, or what the model was saved with.
        seq: positions; None takes 128, or what the model takes.
        device: `meta` needs no weights.
        as_run: the kernels that really ran, not the mathematics.
        allow_unknown: let calls without a rule through; marks the result.

    >>> import costmodel as cm
    >>> core = [row["op"] for row in cm.trace("distilbert").to_rows() if row["op"] == "softmax"]
    >>> core
    ['softmax', 'softmax', 'softmax', 'softmax', 'softmax', 'softmax']
    """
    request = Request(model, batch, seq, dtype, device, as_run, allow_unknown)
    found = counted_of(request, attention, inputs)
    return trace_result(found.subject, found.tally.params, found.graph)


def count(
    model: Model,
    attention: str | None = None,
    seq: int | None = None,
    batch: int = 1,
    dtype: str = "float32",
    by: str = "kind",
    inputs: Any = None,
    device: str = "meta",
    as_run: bool = False,
    allow_unknown: bool = False,
) -> Count:
    """Operations and bytes of one forward pass; `to_rows()` has one row a kind, op, module or layer.

    Other arguments as of `trace`; a `Trace` is a model, too.

    >>> import costmodel as cm
    >>> c = cm.count("distilbert", attention="inhibitor", seq=128)
    >>> c.counts["mul"], c.counts["cmp"], c.counts["exp"]
    (5448511750, 152174592, 0)
    >>> c.core["mul"]
    1778694
    """
    check_choice("by", by, GROUPINGS)
    found = counted_of(Request(model, batch, seq, dtype, device, as_run, allow_unknown), attention, inputs)
    record = count_record(found.subject, found.graph, found.tally, by)
    return Count(record, count_document(record))
