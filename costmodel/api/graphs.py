"""The graph of a model that the user named: from the cache, from a template, or by tracing it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from costmodel.api import cache
from costmodel.counting.records import Subject
from costmodel.counting.tally import Tally, count
from costmodel.errors import BadGraph, BadRecord, CostModelError
from costmodel.graph import template
from costmodel.graph.canonical import canonicalise
from costmodel.graph.ir import Graph, from_record, to_record
from costmodel.graph.lowering import lower
from costmodel.records import decode, encode
from models.attention.mechanisms import Mechanism, parse_mechanism
from models.zoo.presets import PRESETS, resolve_seq


@dataclass(frozen=True)
class Request:
    """What the user asked to be counted."""

    model: Any  # a name; in the public functions also a torch module or a trace
    batch: int = 1
    seq: int | None = None
    dtype: str = "float32"
    device: str = "meta"
    as_run: bool = False  # count the kernels that really ran, not the mathematics
    allow_unknown: bool = False  # let calls without a rule through; marks the result
    head: bool = False  # a directory's classification head too


@dataclass(frozen=True)
class Counted:
    """A lowered graph, its counts, and what they are of."""

    subject: Subject
    graph: Graph
    tally: Tally


def counted(request: Request, attention: str | None) -> Counted:
    """Count one model with one attention mechanism; None takes `dot`, or the model's own."""
    mechanism = None if attention is None else parse_mechanism(attention)
    if request.model in PRESETS:
        seq: int | None = resolve_seq(request.model, request.seq)
        graph, kind = preset_graph(request, mechanism, seq or 0)
    else:
        graph, kind, seq = traced(request, mechanism, request.seq)
    graph = lower(graph, as_run=request.as_run, allow_unknown=request.allow_unknown)
    if not request.as_run:
        graph = canonicalise(graph)
    # A function of the user's own decides all sizes; a graph tells the type of its weights.
    own = seq is None
    weights = [v.dtype for v in graph.values if v.kind == "param"]
    dtype = weights[0] if own and weights else request.dtype
    subject = Subject(request.model, kind, None if own else request.batch, seq, dtype)
    return Counted(subject, graph, count(graph))


def preset_graph(request: Request, mechanism: Mechanism | None, seq: int) -> tuple[Graph, str]:
    """A preset's trace: the cached one of these sizes, else the cached template's, else a new one."""
    preset = PRESETS[request.model]
    base = cache.key_of("trace", request.model, str(mechanism), request.dtype, request.device, request.as_run)
    exact = f"{base}-{request.batch}-{seq}"
    form = f"{base}-{'one' if request.batch == 1 else 'many'}"
    longest = preset.max_positions
    templated = request.device == "meta" and preset.fixed_seq is None
    cached = cached_graph(exact)
    if cached is not None:
        return cached
    if templated and template.covers(seq, longest):
        cached = cached_template(form, request.batch, seq)
        if cached is not None:
            return cached
    graph, kind, _ = traced(request, mechanism, seq)
    cache.save(exact, {"attention": kind, "graph": to_record(graph)})
    if templated and cache.load(form) is None:
        made = new_template(request, mechanism, seq, graph, longest)
        cache.save(form, {"attention": kind, "template": None if made is None else encode(made)})
    return graph, kind


def cached_graph(name: str) -> tuple[Graph, str] | None:
    entry = cache.load(name)
    if entry is None:
        return None
    try:
        return from_record(entry["graph"]), entry["attention"]
    except (BadGraph, KeyError, TypeError):
        return None


def cached_template(name: str, batch: int, seq: int) -> tuple[Graph, str] | None:
    entry = cache.load(name)
    if entry is None or entry["template"] is None:
        return None
    try:
        form = decode(template.Template, entry["template"], name)
        return template.instantiate(form, batch, seq), entry["attention"]
    except (BadGraph, BadRecord, template.NoTemplate):
        return None


# A template costs up to nine traces; a graph beyond this many nodes is traced anew at new sizes.
LARGEST_TEMPLATE_NODES = 5000


def new_template(
    request: Request, mechanism: Mechanism | None, seq: int, graph: Graph, longest: int | None
) -> template.Template | None:
    """The template behind a trace, checked against that trace; None where there is none."""
    if len(graph.nodes) > LARGEST_TEMPLATE_NODES:
        return None

    def trace_at(size: template.Size) -> Graph:
        batch, length = size
        return traced(replace(request, batch=batch), mechanism, length)[0]

    try:
        made = template.fit(trace_at, request.batch, longest)
        if made is not None and template.covers(seq, longest):
            return made if template.instantiate(made, request.batch, seq) == graph else None
    except (CostModelError, template.NoTemplate):
        return None  # sizes between which the model changes: no template, and no harm
    return made


def graph_source(request: Request, attention: str | None, longest: int | None) -> Callable[[int, int], Graph]:
    """The canonical graph of a model at any B, S. What is no preset is traced a few times, then instantiated."""
    if request.model in PRESETS:
        return lambda B, S: counted(replace(request, batch=B, seq=S), attention).graph
    mechanism = None if attention is None else parse_mechanism(attention)
    forms: dict[bool, template.Template | None] = {}

    def graph_at(B: int, S: int) -> Graph:
        if (B == 1) not in forms:
            exact = traced(replace(request, batch=B), mechanism, S)[0]
            forms[B == 1] = new_template(replace(request, batch=B), mechanism, S, exact, longest)
        form = forms[B == 1]
        if form is not None and template.covers(S, longest):
            with contextlib.suppress(template.NoTemplate, BadGraph):
                return canonicalise(lower(template.instantiate(form, B, S)))
        return canonicalise(lower(traced(replace(request, batch=B), mechanism, S)[0]))

    return graph_at


def traced(request: Request, mechanism: Mechanism | None, seq: int | None) -> tuple[Graph, str, int | None]:
    """Load the model and trace it: the slow way, with torch."""
    quiet_imports()
    from costmodel.graph.tracing import check_device, trace
    from models.zoo.loading import load_model

    check_device(request.device)
    loaded = load_model(
        request.model,
        mechanism=mechanism,
        batch=request.batch,
        seq=seq,
        dtype=request.dtype,
        device=request.device,
        head=request.head,
    )
    graph = trace(loaded.module, loaded.inputs, device=request.device, as_run=request.as_run)
    return graph, loaded.attention, loaded.seq


def quiet_imports() -> None:
    """No advice of torch and transformers on the user's screen."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
