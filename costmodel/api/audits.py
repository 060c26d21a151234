"""`audit`: the same model under other counters."""

from __future__ import annotations

from typing import Any

from costmodel.api.results import Audit
from costmodel.api.subjects import of_model
from costmodel.show import audit_tables


def audit(model: str, attention: str = "sdpa", seq: int | None = None, batch: int = 1) -> Audit:
    """What torch's FlopCounterMode and fvcore count of a model on CPU, and what they leave out.

    Args:
        attention: `sdpa` or `eager` of transformers, or a mechanism of ours.

    >>> import costmodel as cm
    >>> cm.audit("distilbert-tiny", seq=16).to_dict()["totals"]["FlopCounterMode"]
    32768
    """
    from costmodel.api.graphs import quiet_imports
    from costmodel.compare.counters import audit_record
    from costmodel.counting.tally import count as tally
    from costmodel.graph.canonical import canonicalise
    from costmodel.graph.lowering import lower
    from costmodel.graph.tracing import trace as traced
    from models.attention.mechanisms import parse_mechanism
    from models.zoo.loading import load_model

    quiet_imports()
    of_model(model, seq, batch)
    native = attention if attention in ("eager", "sdpa") else None
    mechanism = None if native else parse_mechanism(attention)
    loaded = load_model(model, mechanism=mechanism, batch=batch, seq=seq, device="cpu", native=native)
    graph = canonicalise(lower(traced(loaded.module, loaded.inputs, device="cpu")))
    asked = {"batch": batch, "seq": loaded.seq, "device": "cpu"}
    record: dict[str, Any] = {"model": model, "attention": loaded.attention} | asked
    record |= audit_record(graph, tally(graph), loaded.module, loaded.inputs)
    return Audit(
        record,
        tuple(record["rows"]),
        tuple(audit_tables.audit_grids(record)),
        tuple(audit_tables.audit_notes(record)),
    )


def on_device(inputs: Any, device: str) -> Any:
    import torch

    def move(item: Any) -> Any:
        return item.to(device) if isinstance(item, torch.Tensor) else item

    return {k: move(v) for k, v in inputs.items()} if isinstance(inputs, dict) else tuple(map(move, inputs))
