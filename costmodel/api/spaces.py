"""What a design space needs of models: checks before anything runs, and the graph of each model."""

from __future__ import annotations

import hashlib
import itertools
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import ParamSpec, TypeVar

from costmodel.api import cache
from costmodel.api.graphs import Request, cached_graph, counted, quiet_imports
from costmodel.errors import CostModelError
from costmodel.explore.goals import Accuracy, Checkpoint
from costmodel.explore.knobs import SHAPE, is_function
from costmodel.explore.space import Space, load_space, with_checkpoints, with_values
from costmodel.graph.canonical import canonicalise
from costmodel.graph.ir import Graph, to_record
from costmodel.graph.lowering import lower
from costmodel.records import Json
from models.attention.mechanisms import MECHANISMS, Mechanism, parse_mechanism
from models.tasks.data import TASKS
from models.zoo.presets import PRESETS, resolve_seq, size_names
from models.zoo.students import mechanism_of, student

P = ParamSpec("P")
R = TypeVar("R")
SYMBOLS = dict(zip(SHAPE, ("L", "D", "H", "F"), strict=True))
# DistilBERT's own sizes, which a preset's are in place of.
DISTILBERT = {"n_layers": 6, "dim": 768, "n_heads": 12, "hidden_dim": 3072}


def read_space(path: str | Path) -> Space:
    """A space from its file, checked as a whole.

    Raises:
        CostModelError: see `parse_space` and `checked`.
    """
    return checked(load_space(path))


def checked(space: Space) -> Space:
    """The space, if its models take its knobs; with the checkpoints that its accuracy is measured with.

    Raises:
        CostModelError: an unknown model, attention, task; a length beyond the positions of a model; sizes that
            do not go together; a checkpoint that is not there, or of another shape or attention.
    """
    where = space.where
    models = list(space.models)
    for model in models:
        told(spot_of(space, "model", model), check_model, model)
    space = check_own_models(space, [model for model in models if is_function(model)])
    attentions = [str(a) for a in space.values("attention")]
    spellings = [str(told(f"{where}: [knobs] attention", parse_mechanism, a)) for a in attentions]
    for text, spelling in zip(attentions, spellings, strict=True):
        if spellings.count(spelling) > 1:
            raise CostModelError(f"{where}: [knobs] attention: {text!r} is given twice; leave one out")
    for run in space.runs:
        seqs = space.values("seq") if run.seq is None else (run.seq,)
        own = space.values("model") if run.model is None else (run.model,)
        for model, seq in itertools.product(map(str, own), map(int, seqs)):
            check = resolve_seq if model in PRESETS else check_length
            told(spot_of(space, "seq", run.seq), check, model, seq)
    check_shapes(space, models)
    if space.accuracy is None:
        return space
    found = checkpoints(space, space.accuracy, models)
    # A bare name takes the options that its checkpoint was trained with: cost and accuracy are of one model.
    space = with_values(space, "attention", tuple(c.attention for c in found))
    return with_checkpoints(space, found)


def spot_of(space: Space, name: str, value: str | int | None) -> str:
    """Where a value stands in the space: with the knobs, or with a workload."""
    numbers = [n for n, run in enumerate(space.workloads, 1) if value is not None and getattr(run, name) == value]
    return f"{space.where}: [[workload]] {numbers[0]} {name}" if numbers else f"{space.where}: [knobs] {name}"


def told(spot: str, check: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
    """What a check returns; its complaint says where in the space."""
    try:
        return check(*arguments, **named)
    except CostModelError as error:
        raise CostModelError(f"{spot}: {error}") from None


def check_own_models(space: Space, functions: list[str]) -> Space:
    """A user's own function decides sizes and attention itself: no knob turns them, and its source is data.

    Raises:
        CostModelError: a knob or accuracy that goes not with such a model, or the function cannot be called.
    """
    if not functions:
        return space
    spot, model = f"{space.where}: [knobs]", functions[0]
    for name in ("seq", "batch", "attention", *SHAPE):
        if space.values(name):
            raise CostModelError(f"{spot} {name}: {model} decides its own sizes and attention; leave {name} out")
    for number, run in enumerate(space.workloads, 1):
        if run.model in functions and (run.seq is not None or run.batch is not None):
            raise CostModelError(
                f"{space.where}: [[workload]] {number}: {run.model} decides its own sizes; leave seq and batch out"
            )
    if space.accuracy is not None:
        raise CostModelError(f"{space.where}: [accuracy]: it is measured with checkpoints, which {model} has not")
    quiet_imports()
    from models.zoo.loading import load_function

    digest = hashlib.sha256(space.data.encode())
    for model in functions:
        told(spot_of(space, "model", model), load_function, model, "meta")
        source = getattr(sys.modules[model.partition(":")[0]], "__file__", None)
        digest.update(Path(source).read_bytes() if source else b"")
    # A store holds what was computed from one source: after a change it is another space's.
    return replace(space, data=digest.hexdigest()[:32])


def check_model(model: str) -> None:
    if model in PRESETS or is_function(model):
        return
    if not (Path(model) / "config.json").is_file():
        raise CostModelError(
            f"unknown model {model!r}; known: {', '.join(PRESETS)}, a directory with config.json, or "
            "package.module:function"
        )


def config_of(directory: str | Path) -> Mapping[str, Json]:
    path = Path(directory) / "config.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CostModelError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise CostModelError(f"{path} is no JSON: {error}") from None
    if not isinstance(record, dict):
        raise CostModelError(f"{path} is no configuration")
    return record


def check_length(model: str, seq: int) -> None:
    longest = config_of(model).get("max_position_embeddings")
    if isinstance(longest, int) and seq > longest:
        raise CostModelError(f"{seq} is beyond the {longest} positions of {model}")


def check_shapes(space: Space, models: Iterable[str]) -> None:
    """Knobs of a model's shape: only of presets whose sizes have names, and heads divide the width."""
    turned = [name for name in SHAPE if space.values(name)]
    if not turned:
        return
    spot = f"{space.where}: [knobs] {turned[0]}"
    if space.accuracy is not None:
        raise CostModelError(f"{spot}: accuracy is measured with checkpoints, whose shape is given; leave it out")
    for model in models:
        told(spot, size_names, model)
        own = {"width": 0, "heads": 1}
        if len({"width", "heads"} & set(turned)) == 1:
            from costmodel.api.closed_forms import own_sizes

            sizes = own_sizes(model, 1, None)
            own = {"width": sizes["d"] * sizes["H"], "heads": sizes["H"]}
        if not {"width", "heads"} & set(turned):
            continue
        for width, heads in itertools.product(
            space.values("width") or (own["width"],), space.values("heads") or (own["heads"],)
        ):
            if int(width) % int(heads):
                raise CostModelError(
                    f"{space.where}: [knobs] heads: {heads} heads do not divide the width {width} of {model}; "
                    "leave one of both values out"
                )


def checkpoints(space: Space, accuracy: Accuracy, models: list[str]) -> list[Checkpoint]:
    """One checkpoint of each attention of the space, checked against the models that are priced."""
    spot = f"{space.where}: [accuracy]"
    if accuracy.task not in TASKS:
        raise CostModelError(f"{spot} task: unknown task {accuracy.task!r}; known: {', '.join(TASKS)}")
    if accuracy.data_dir is not None and not Path(accuracy.data_dir).is_dir():
        raise CostModelError(f"{spot} data_dir: there is no directory {accuracy.data_dir}")
    attentions = [str(a) for a in space.values("attention")] or ["dot"]
    given = {c.attention: c.path for c in accuracy.checkpoints}
    for name in given:
        if name not in attentions:
            raise CostModelError(f"{spot} checkpoints: {name!r} is no attention of this space; leave it out")
    found: list[Checkpoint] = []
    for attention in attentions:
        path = given.get(attention) or str(told(f"{spot} checkpoints", student, accuracy.task, attention))
        trained = str(told(f"{spot} checkpoints", attention_of, path, attention))
        if trained in {c.attention for c in found}:
            raise CostModelError(f"{spot}: {attention!r} and another attention are both {trained}; leave one out")
        for model in models:
            told(f"{spot} checkpoints", check_same_shape, path, model)
        found.append(Checkpoint(trained, path, digest_of(Path(path))))
    return found


def attention_of(path: str, attention: str) -> Mechanism:
    """The attention of a checkpoint, but for what is learned; the one asked for, where options were given."""
    config_of(path)
    try:
        saved = Mechanism(**mechanism_of(Path(path)))
    except (KeyError, TypeError, AttributeError):
        raise CostModelError(f"{path} names no attention_mechanism; train one with `costmodel train`") from None
    asked = parse_mechanism(attention)
    known = MECHANISMS[saved.name]
    options = [o for o in known.uses if o not in (*known.learned, "implementation")]
    trained = Mechanism(saved.name, **{option: getattr(saved, option) for option in options})
    given = Mechanism(asked.name, **{o: getattr(asked, o) for o in options if o in MECHANISMS[asked.name].uses})
    if saved.name != asked.name or (":" in attention and given != trained):
        raise CostModelError(f"{path} was trained with attention {trained}, not {given}; name another checkpoint")
    return trained


def check_same_shape(path: str, model: str) -> None:
    """The model that is priced has the shape of the checkpoint whose accuracy is shown beside it."""
    config = config_of(path)
    theirs = {name: config.get(name) for name in DISTILBERT}
    if model in PRESETS:
        preset = PRESETS[model]
        ours = DISTILBERT | {k: v for k, v in preset.sizes.items() if k in DISTILBERT}
        same = preset.config == "DistilBertConfig" and ours == theirs
    else:
        other = config_of(model)
        same = {name: other.get(name) for name in DISTILBERT} == theirs
    if not same:
        fitting = [
            name
            for name, p in PRESETS.items()
            if p.config == "DistilBertConfig" and DISTILBERT | p.sizes == DISTILBERT | p.sizes | theirs
        ]
        hint = f"give model = {json.dumps((fitting or [path])[0])}"
        raise CostModelError(
            f"{path} is not of the shape of model {model}, so that its accuracy is not that model's; {hint}"
        )


def digest_of(directory: Path) -> str:
    digest = hashlib.sha256()
    try:
        for path in sorted(directory.iterdir()):
            if path.suffix in (".json", ".safetensors", ".txt"):
                digest.update(path.name.encode() + b"\0" + path.read_bytes())
    except OSError as error:
        raise CostModelError(f"cannot read checkpoint {directory}: {error.strerror}") from None
    return digest.hexdigest()[:32]


def graph_of(
    model: str, attention: str | None, seq: int | None, batch: int, sizes: tuple[tuple[str, int], ...]
) -> Graph:
    """The canonical graph of a model, from the cache where it is known; None takes what the model takes."""
    request = Request(model, batch, seq, "float32", "meta", False, False)
    if not sizes:
        return counted(request, attention).graph
    mechanism = None if attention is None else parse_mechanism(attention)
    seq = resolve_seq(model, seq)
    key = cache.key_of("trace", model, str(mechanism), "float32", batch, seq, sorted(sizes))
    cached = cached_graph(key)
    if cached is None:
        quiet_imports()
        from costmodel.graph.tracing import trace
        from models.zoo.loading import load_model

        names = size_names(model)
        own = {names[SYMBOLS[name]]: value for name, value in sizes}
        loaded = load_model(model, mechanism=mechanism, batch=batch, seq=seq, sizes=own)
        cached = trace(loaded.module, loaded.inputs), loaded.attention
        cache.save(key, {"attention": cached[1], "graph": to_record(cached[0])})
    return canonicalise(lower(cached[0]))
