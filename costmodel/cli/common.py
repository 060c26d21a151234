"""What the subcommands share: options, getting a graph (from the cache or by tracing), output."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import click

from costmodel import cache, template
from costmodel.canonical import canonicalise
from costmodel.count import Tally, count
from costmodel.dtypes import DEVICES, MODEL_DTYPES
from costmodel.errors import BadGraph, CostModelError
from costmodel.graph import Graph, from_record, to_record
from costmodel.lower import lower
from costmodel.render import FORMATS, Grid, render_json, render_md, render_table
from costmodel.report import Subject
from models.mechanisms import Mechanism, parse_mechanism
from models.presets import PRESETS, resolve_seq

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Request:
    """What the user asked to be counted."""

    model: str
    batch: int
    seq: int | None
    dtype: str
    device: str
    as_run: bool
    allow_unknown: bool
    head: bool = False  # a directory's classification head too


@dataclass(frozen=True)
class Counted:
    """A lowered graph, its counts, and what they are of."""

    subject: Subject
    graph: Graph
    tally: Tally


def model_options(command: Callable[..., None]) -> Callable[..., None]:
    """MODEL, sizes and device as one `Request`, the first argument; and the output options."""

    @functools.wraps(command)
    def with_request(
        model: str,
        batch: int,
        seq: int | None,
        dtype: str,
        device: str,
        as_run: bool,
        allow_unknown: bool,
        **others: Any,  # the command's own options, named in its signature
    ) -> None:
        check_sizes(batch, seq)
        command(Request(model, batch, seq, dtype, device, as_run, allow_unknown), **others)

    options = (
        click.argument("model"),
        click.option("--batch", type=int, default=1, show_default=True, help="Rows, B."),
        click.option("--seq", type=int, help="Positions a row, S.  [default: 128, or what the model takes]"),
        click.option("--dtype", type=click.Choice(MODEL_DTYPES), default="float32", show_default=True),
        click.option(
            "--device",
            type=click.Choice(DEVICES),
            default="meta",
            show_default=True,
            help="meta needs no weights.",
        ),
        click.option("--as-run", is_flag=True, help="Count the kernels that really ran, not the mathematics."),
        click.option("--allow-unknown", is_flag=True, help="Let calls without a rule through; marks the result."),
    )
    decorated = output_options(with_request)
    for option in reversed(options):
        decorated = option(decorated)
    return decorated


def output_options(command: F) -> F:
    """Format and output: the options of every command."""
    options = (
        click.option("--format", "format_", type=click.Choice(FORMATS), default="table", show_default=True),
        click.option("--output", type=click.Path(path_type=Path), help="A file, written whole or not at all."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def check_sizes(batch: int, seq: int | None) -> None:
    if batch < 1:
        raise click.BadParameter(f"--batch {batch} is not at least 1")
    if seq is not None and seq < 1:
        raise click.BadParameter(f"--seq {seq} is not at least 1")


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
        cache.save(form, {"attention": kind, "template": new_template(request, mechanism, seq, graph, longest)})
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
        return template.instantiate(entry["template"], batch, seq), entry["attention"]
    except (BadGraph, template.NoTemplate):
        return None


# A template costs up to nine traces; a graph beyond this many nodes is traced anew at new sizes.
LARGEST_TEMPLATE_NODES = 5000


def new_template(
    request: Request, mechanism: Mechanism | None, seq: int, graph: Graph, longest: int | None
) -> dict[str, Any] | None:
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
    forms: dict[bool, dict[str, Any] | None] = {}

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
    from costmodel.trace import check_device, trace
    from models.load import load_model

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


def check_output(path: Path | None, option: str = "--output") -> None:
    """Refuse an output that cannot be written, before the work is done."""
    if path is None:
        return
    folder = path.parent if str(path.parent) else Path()
    if path.is_dir():
        raise click.BadParameter(f"{option} {path} is a directory; give a file")
    if not folder.is_dir():
        raise click.BadParameter(f"{option} {path}: there is no directory {folder}")
    if not os.access(folder, os.W_OK):
        raise click.BadParameter(f"{option} {path}: {folder} cannot be written")


def show(
    form: str, path: Path | None, record: dict[str, Any], csv_text: str, grids: list[Grid], notes: list[str]
) -> None:
    """Print a record in the form asked for, or write the file whole."""
    texts = {
        "json": lambda: render_json(record),
        "csv": lambda: csv_text,
        "md": lambda: render_md(grids, notes),
        "table": lambda: render_table(grids, notes),
    }
    put(texts[form](), path)


def put(text: str, path: Path | None) -> None:
    """Print, or write the file whole."""
    if path is None:
        sys.stdout.write(text)
        return
    try:
        cache.write_whole(path, text)
    except OSError as error:
        raise click.ClickException(f"--output {path} cannot be written: {error.strerror}") from None
