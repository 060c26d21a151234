"""`costmodel audit`: the same model under other counters."""

from __future__ import annotations

from pathlib import Path

import click

from costmodel.api.audits import on_device
from costmodel.api.graphs import Request, quiet_imports
from costmodel.cli.common import check_output, model_options, show
from costmodel.show import audit_tables


@click.command("audit")
@model_options
@click.option("--attention", help="A mechanism of ours, or eager or sdpa of transformers.  [default: sdpa]")
def command(
    request: Request,
    form: str,
    output: Path | None,
    attention: str | None,
) -> None:
    """Run fvcore and torch's FlopCounterMode on MODEL, and show what each counts and leaves out.

    What they count depends on the device: on CPU both miss the fused attention.

    Example: costmodel audit distilbert-tiny --device cpu
    """
    check_output(output)
    quiet_imports()
    from costmodel.compare.counters import audit_record
    from costmodel.counting.tally import count
    from costmodel.graph.canonical import canonicalise
    from costmodel.graph.lowering import lower
    from costmodel.graph.tracing import check_device, trace
    from models.attention.mechanisms import parse_mechanism
    from models.zoo.loading import load_model

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
        form,
        output,
        record,
        audit_tables.render_audit_csv(record),
        audit_tables.audit_grids(record),
        audit_tables.audit_notes(record),
    )
