"""What the public functions share: a model as the user named it, counted."""

from __future__ import annotations

from typing import Any

from costmodel.api.graphs import Counted, Request, counted, quiet_imports
from costmodel.api.results import Trace
from costmodel.counting.records import Subject
from costmodel.counting.tally import count
from costmodel.dtypes import MODEL_DTYPES
from costmodel.errors import CostModelError
from costmodel.graph.canonical import canonicalise
from costmodel.graph.lowering import lower

Model = Any  # a name, a torch module, or a Trace


def of_model(model: Model, seq: int | None, batch: int, dtype: str = "float32") -> None:
    """Check what every function takes.

    Raises:
        CostModelError: no name, a size below 1, an unknown type.
    """
    if not isinstance(model, str):
        raise CostModelError(f"a model is named by text here, not by a {type(model).__name__}")
    for name, value in (("seq", seq), ("batch", batch)):
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
            raise CostModelError(f"{name} = {value!r} is not a whole number of at least 1")
    if dtype not in MODEL_DTYPES:
        raise CostModelError(f"dtype = {dtype!r} is not one of {', '.join(MODEL_DTYPES)}")


def counted_of(
    model: Model, attention: str | None, seq: int | None, batch: int, dtype: str = "float32", inputs: Any = None
) -> Counted:
    """A model by name, a torch module with inputs, or a trace: its canonical graph and counts."""
    if isinstance(model, Trace):
        check_alone("a trace", attention, seq, batch, dtype, inputs)
        subject = Subject(**{key: model.record[key] for key in ("model", "attention", "batch", "seq", "dtype")})
        return Counted(subject, model.graph, count(model.graph))
    if isinstance(model, str):
        of_model(model, seq, batch, dtype)
        if inputs is not None:
            raise CostModelError(f"inputs go with a torch module; {model} has its own")
        return counted(Request(model, batch, seq, dtype, "meta", False, False), attention)
    quiet_imports()
    import torch

    from costmodel.graph.tracing import trace

    if not isinstance(model, torch.nn.Module):
        raise CostModelError(f"a model is a name, a torch module or a trace, not a {type(model).__name__}")
    if inputs is None:
        raise CostModelError(f"a {type(model).__name__} needs inputs: a mapping or a tuple of tensors")
    check_alone("a torch module", attention, seq, batch, dtype, None)
    first = next(iter(model.parameters()), None)
    device = "cpu" if first is None else first.device.type
    graph = canonicalise(lower(trace(model, inputs, device=device)))
    kind = "float32" if first is None else str(first.dtype).removeprefix("torch.")
    return Counted(Subject(type(model).__name__, "native", None, None, kind), graph, count(graph))


def check_alone(what: str, attention: str | None, seq: int | None, batch: int, dtype: str, inputs: Any) -> None:
    """A model that decides its own sizes takes none."""
    if (attention, seq, batch, dtype) != (None, None, 1, "float32") or inputs is not None:
        raise CostModelError(f"{what} has its sizes, type and attention: leave them out")
