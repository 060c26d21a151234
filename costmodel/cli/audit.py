"""`costmodel audit`: the same model under other counters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from costmodel import render
from costmodel.cli.common import Request, check_output, model_options, quiet_imports, show


@click.command("audit")
@model_options
@click.option("--attention", help="A mechanism of ours, or eager or sdpa of transformers.  [default: sdpa]")
def command(
    request: Request,
    format_: str,
    output: Path | None,
    attention: str | None,
) -> None:
    """Run fvcore and torch's FlopCounterMode on MODEL, and show what each counts and leaves out.

    What they count depends on the device: on CPU both miss the fused attention.

    Example: costmodel audit distilbert-tiny --device cpu
    """
    check_output(output)
    quiet_imports()
    from costmodel.audit import audit_record
    from costmodel.canonical import canonicalise
    from costmodel.count import count
    from costmodel.lower import lower
    from costmodel.trace import check_device, trace
    from models.load import load_model
    from models.mechanisms import parse_mechanism

    check_device(request.device)
    native = attention if attention in ("eager", "sdpa") else None
    if attention is None and ":" not in request.model:
        native = "sdpa"  # what transformers itself would run; a function of the user's decides itself
    mechanism = parse_mechanism(attention) if attention is not None and native is None else None
    loaded = load_model(
        request.model,
        mechanism=mechanism,
        batch=request.batch,
        seq=request.seq,
        dtype=request.dtype,
        device=request.device,
        native=native,
    )
    graph = lower(
        trace(loaded.module, loaded.inputs, device=request.device, as_run=request.as_run),
        as_run=request.as_run,
        allow_unknown=request.allow_unknown,
    )
    graph = graph if request.as_run else canonicalise(graph)
    inputs = on_device(loaded.inputs, request.device)
    asked = {"batch": request.batch, "seq": loaded.seq, "device": request.device}
    record = {"model": request.model, "attention": loaded.attention} | asked
    record |= audit_record(graph, count(graph), loaded.module, inputs)
    show(
        format_,
        output,
        record,
        render.render_audit_csv(record),
        render.audit_grids(record),
        render.audit_notes(record),
    )


def on_device(inputs: Any, device: str) -> Any:
    import torch

    def move(item: Any) -> Any:
        return item.to(device) if isinstance(item, torch.Tensor) else item

    return {k: move(v) for k, v in inputs.items()} if isinstance(inputs, dict) else tuple(map(move, inputs))
