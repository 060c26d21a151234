"""`audit`: the same model under other counters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from costmodel.api.graphs import Request, quiet_imports
from costmodel.api.results import Result, Trace
from costmodel.api.subjects import Model, of_model
from costmodel.compare.audit_records import AuditRecord
from costmodel.errors import CostModelError
from costmodel.show.audit_tables import audit_document

if TYPE_CHECKING:
    from models.zoo.loading import Loaded

NATIVE = ("eager", "sdpa")  # attention as transformers itself runs it


@dataclass(frozen=True, repr=False)
class Audit(Result[AuditRecord]):
    """The same model under other counters; `record` as of `costmodel audit --format json`."""


def audit(
    model: Model,
    attention: str | None = None,
    seq: int | None = None,
    batch: int = 1,
    dtype: str = "float32",
    device: str = "cpu",
    as_run: bool = False,
    allow_unknown: bool = False,
    inputs: Any = None,
) -> Audit:
    """What torch's FlopCounterMode and fvcore count of a model, and what they leave out.

    What they count depends on the device: on the CPU both miss the fused attention.

    Args:
        model: as of `trace`; not a `Trace`, which holds no module that the others could run.
        attention: `sdpa` or `eager` of transformers, or a mechanism of ours; None takes `sdpa`. A model of
            your own decides itself.
        as_run: of ours, the kernels that really ran, not the mathematics.
        allow_unknown: let calls without a rule through; marks the result.

    >>> import costmodel as cm
    >>> cm.audit("distilbert-tiny", seq=16).to_dict()["totals"]["FlopCounterMode"]
    32768

    Raises:
        CostModelError: no such model, mechanism or device.
    """
    loaded, device = loaded_of(Request(model, batch, seq, dtype, device, as_run, allow_unknown), attention, inputs)
    from costmodel.compare.counters import audited
    from costmodel.counting.tally import count as tally
    from costmodel.graph.canonical import canonicalise
    from costmodel.graph.lowering import lower
    from costmodel.graph.tracing import trace as traced

    graph = lower(
        traced(loaded.module, loaded.inputs, device=device, as_run=as_run),
        as_run=as_run,
        allow_unknown=allow_unknown,
    )
    graph = graph if as_run else canonicalise(graph)
    record = AuditRecord(
        model=model if isinstance(model, str) else type(model).__name__,
        attention=loaded.attention,
        batch=None if loaded.seq is None else batch,
        seq=loaded.seq,
        device=device,
        audited=audited(graph, tally(graph), loaded.module, on_device(loaded.inputs, device)),
    )
    return Audit(record, audit_document(record))


def loaded_of(request: Request, attention: str | None, inputs: Any) -> tuple[Loaded, str]:
    """The module to be run, by name or as it was given, and its device."""
    if isinstance(request.model, Trace):
        raise CostModelError("a trace holds no module that other counters could run; give the model itself")
    if not isinstance(request.model, str):
        return given_module(request, attention, inputs)
    of_model(request.model, request.seq, request.batch, request.dtype, request.device)
    if inputs is not None:
        raise CostModelError(f"`inputs` go with a torch module; {request.model} has its own")
    quiet_imports()
    from costmodel.graph.tracing import check_device
    from models.attention.mechanisms import parse_mechanism
    from models.zoo.loading import load_model

    check_device(request.device)
    native = attention if attention in NATIVE else None
    if attention is None and ":" not in request.model:
        native = "sdpa"  # what transformers itself would run; a function of the user's decides itself
    loaded = load_model(
        request.model,
        mechanism=None if attention is None or native is not None else parse_mechanism(attention),
        batch=request.batch,
        seq=request.seq,
        dtype=request.dtype,
        device=request.device,
        native=native,
    )
    return loaded, request.device


def given_module(request: Request, attention: str | None, inputs: Any) -> tuple[Loaded, str]:
    """A torch module as it is: on its own device, in its own mode."""
    quiet_imports()
    import torch

    from models.zoo.loading import Loaded

    kind = type(request.model).__name__
    if not isinstance(request.model, torch.nn.Module):
        raise CostModelError(f"a model is a name or a torch module here, not a {kind}")
    if inputs is None:
        raise CostModelError(f"a {kind} needs `inputs`: a mapping or a tuple of tensors")
    if attention is not None or (request.seq, request.batch, request.dtype) != (None, 1, "float32"):
        raise CostModelError("a torch module has its sizes, type and attention: leave them out")
    first = next(iter(request.model.parameters()), None)
    return Loaded(request.model, inputs, "native", None), "cpu" if first is None else first.device.type


def on_device(inputs: Any, device: str) -> Any:
    """Tensors among the inputs on a device."""
    import torch

    def move(item: Any) -> Any:
        return item.to(device) if isinstance(item, torch.Tensor) else item

    return {k: move(v) for k, v in inputs.items()} if isinstance(inputs, dict) else tuple(map(move, inputs))
