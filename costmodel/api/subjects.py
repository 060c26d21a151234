"""What the public functions share: a model as the user named it, counted."""

from __future__ import annotations

from typing import Any

from costmodel.api.graphs import Counted, Request, counted, quiet_imports
from costmodel.api.results import Trace
from costmodel.counting.records import Subject
from costmodel.counting.tally import count
from costmodel.dtypes import DEVICES, MODEL_DTYPES
from costmodel.errors import CostModelError
from costmodel.graph.canonical import canonicalise
from costmodel.graph.lowering import lower
from costmodel.hardware.accelerator import Accelerator
from costmodel.mapping.objectives import objective_of

Model = Any  # a name, a torch module, or a Trace


def check_choice(name: str, value: str, known: tuple[str, ...]) -> None:
    """Refuse a parameter that is not one of the known values.

    Raises:
        CostModelError: it is none of them.
    """
    if value not in known:
        raise CostModelError(f"`{name}={value}` is not one of {', '.join(known)}")


def check_whole(name: str, value: int | None, least: int = 1) -> None:
    """Refuse a parameter that is no whole number of at least `least`; None is one that was not given.

    Raises:
        CostModelError: it is none.
    """
    if value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool):
        raise CostModelError(f"`{name}={value}` is not a whole number")
    if value < least:
        raise CostModelError(f"`{name}={value}` is not at least {least}")


def of_model(model: Model, seq: int | None, batch: int, dtype: str = "float32", device: str = "meta") -> None:
    """Check what every function takes.

    Raises:
        CostModelError: no name, a size below 1, an unknown type or device.
    """
    if not isinstance(model, str):
        raise CostModelError(f"a model is named by text here, not by a {type(model).__name__}")
    check_whole("seq", seq)
    check_whole("batch", batch)
    check_choice("dtype", dtype, MODEL_DTYPES)
    check_choice("device", device, DEVICES)


def counted_of(request: Request, attention: str | None, inputs: Any = None) -> Counted:
    """A model by name, a torch module with inputs, or a trace: its canonical graph and counts.

    Raises:
        CostModelError: something in the request is wrong, or goes not with such a model.
    """
    model = request.model
    if isinstance(model, str):
        of_model(model, request.seq, request.batch, request.dtype, request.device)
        if inputs is not None:
            raise CostModelError(f"`inputs` go with a torch module; {model} has its own")
        return counted(request, attention)
    if attention is not None or request != Request(model) or (isinstance(model, Trace) and inputs is not None):
        what = "a trace" if isinstance(model, Trace) else "a torch module"
        raise CostModelError(f"{what} has its sizes, type and attention: leave them out")
    if isinstance(model, Trace):
        return Counted(model.record.subject, model.graph, count(model.graph))
    quiet_imports()
    import torch

    from costmodel.graph.tracing import trace

    if not isinstance(model, torch.nn.Module):
        raise CostModelError(f"a model is a name, a torch module or a trace, not a {type(model).__name__}")
    if inputs is None:
        raise CostModelError(f"a {type(model).__name__} needs `inputs`: a mapping or a tuple of tensors")
    first = next(iter(model.parameters()), None)
    graph = canonicalise(lower(trace(model, inputs, device="cpu" if first is None else first.device.type)))
    kind = "float32" if first is None else str(first.dtype).removeprefix("torch.")
    return Counted(Subject(type(model).__name__, "native", None, None, kind), graph, count(graph))


def check_goal(objective: str | None, target: Accelerator | None) -> None:
    """Refuse an objective without a target, one that does not exist, and one that the target has no prices for.

    Raises:
        CostModelError: what is wrong.
    """
    if objective is None:
        return
    from costmodel.mapping.schedule import check_objective  # with all that searches: not before it is needed

    objective_of(objective)
    if target is None:
        raise CostModelError(f"`objective={objective}` chooses mappings on a `target`: name one")
    check_objective(objective, target)
