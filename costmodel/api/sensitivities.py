"""`sensitivity`: which changes of a design save most, one by one, in pairs, and which reach a wish."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from costmodel.api.graphs import Request, counted
from costmodel.api.results import Result
from costmodel.api.spaces import check_length, graph_of
from costmodel.api.subjects import check_choice, of_model
from costmodel.errors import CostModelError
from costmodel.explore.effects import Change, Effect, Refused, SensitivityRecord, Wish
from costmodel.explore.knobs import Value, is_function
from costmodel.explore.machines import lacking_figures
from costmodel.explore.neighbours import (
    MACHINE,
    OF,
    Neighbourhood,
    Reached,
    base_figures,
    effects,
    machine_knobs,
    near_machines,
    near_widths,
    neighbourhood,
    pairs_of,
    search,
)
from costmodel.explore.programs import check_objective
from costmodel.hardware.loading import load_target
from costmodel.show.sensitivity_tables import sensitivity_document
from costmodel.widths.policy import parse_policy
from models.attention.mechanisms import MECHANISMS, parse_mechanism
from models.errors import ModelError
from models.zoo.presets import PRESETS, resolve_seq
from models.zoo.students import stored_result, stored_results

TRAINED = "minilm-distilbert"  # the model of all stored accuracies
FLOAT = "fp32"  # the widths of the stored arithmetic "float32"
SHARE = re.compile(r"\s*([0-9]{1,9}(?:\.[0-9]{0,9})?)\s*%\s*")


@dataclass(frozen=True, repr=False)
class Sensitivity(Result[SensitivityRecord]):
    """Changes by what they save; `record` as of `costmodel sensitivity --format json`."""


def sensitivity(
    model: str,
    target: str,
    attention: str | None = None,
    seq: int | None = None,
    batch: int = 1,
    widths: str = "w8a8",
    of: str | None = None,
    save: str | float | None = None,
    pairs: bool = True,
    task: str | None = None,
    objective: str | None = None,
    details: bool = False,
) -> Sensitivity:
    """Changes of a design by what they save, one by one and in pairs.

    They are the next widths, buffers, bandwidths, lanes and arrays, and other dataflows, attention mechanisms and
    kinds of PE.

    Args:
        model: by name. A model of your own (`package.module:function`) has its own sizes and attention.
        of: the figure that is saved: energy, cycles, edp (energy times delay), or bytes from and to DRAM. None
            takes edp, or cycles where no energy is published for the target.
        save: a wish such as "30%": the smallest combination of changes that saves so much, or what comes closest.
        pairs: two changes at once, too.
        task: accuracies that are stored for it, of minilm-distilbert; a mechanism then has the options that it was
            trained with.
        objective: what the schedule of every step makes least: cycles, energy, edp or bytes. None takes edp, or
            cycles on a target without prices.
        details: show all changes and pairs, and what was refused.

    Rows are the base, then one combination of changes each: what they save, all figures, the accuracy.

    >>> import costmodel as cm
    >>> found = cm.sensitivity("distilbert-tiny", "edge-asic", seq=16, of="bytes", pairs=False)
    >>> found.to_rows()[1]["changes"]
    'widths w4a4'

    Raises:
        CostModelError: an unknown name, a wish that is no share, a figure that the target has not.
    """
    share = None if save is None else share_of(save)
    near = near_of(model, target, attention, seq, batch, widths, of, task, objective)
    record = found_record(near, share, pairs, task)
    return Sensitivity(record, sensitivity_document(record, details))


def near_of(
    model: str,
    target: str,
    attention: str | None = None,
    seq: int | None = None,
    batch: int = 1,
    widths: str = "w8a8",
    of: str | None = None,
    task: str | None = None,
    objective: str | None = None,
) -> Neighbourhood:
    """A design and all that may change of it; parameters as of `sensitivity`."""
    machine = load_target(target)
    known = "cycles" if OF["edp"] in lacking_figures(machine) else "edp"
    chosen = known if of is None else of
    check_choice("of", chosen, tuple(OF))
    try:
        check_objective(objective)
    except CostModelError as error:
        raise CostModelError(f"`objective={objective}`: {error}") from None
    parse_policy(widths)
    base = model_knobs(model, attention, seq, batch, task)
    stored = {} if task is None else stored_accuracies(task)
    base |= {"widths": widths, "target": target, **machine_knobs(machine)}
    others: dict[str, Sequence[Value]] = {**near_machines(machine), "widths": near_widths(widths)}
    if "attention" in base:
        others["attention"] = other_mechanisms(str(base["attention"]), task)
    return neighbourhood(base, others, stored, graph_of, chosen, objective)


def share_of(save: str | float) -> float:
    """A wish as a share of the whole.

    Raises:
        CostModelError: it is none.
    """
    if isinstance(save, str):
        match = SHARE.fullmatch(save)
        if match is None:
            raise CostModelError(f"`save={save}` is not a share such as 30%")
        share = float(match[1]) / 100
    elif isinstance(save, int | float) and not isinstance(save, bool):
        share = float(save)
    else:
        raise CostModelError(f"`save={save}` is not a share such as 30%")
    if not 0 < share < 1:
        raise CostModelError(f"`save={save}` is not above 0% and below 100%")
    return share


# The base


def model_knobs(
    model: str, attention: str | None, seq: int | None, batch: int, task: str | None
) -> dict[str, Value]:
    """The knobs of what is run.

    Raises:
        CostModelError: no such model or mechanism, sizes that it does not take, or no accuracies of it.
    """
    of_model(model, seq, batch)
    if task is not None:
        if model != TRAINED:
            raise CostModelError(f"`task`: accuracies are stored of {TRAINED}, not of {model}")
        tasks = tuple(dict.fromkeys(result.task for result in stored_results()))
        check_choice("task", task, tasks)
    if is_function(model) and model not in PRESETS:
        for name, given in (("seq", seq is not None), ("batch", batch != 1), ("attention", attention is not None)):
            if given:
                raise CostModelError(f"{model} decides its own sizes and attention; leave out `{name}`")
        return {"model": model}
    knobs: dict[str, Value] = {"model": model, "batch": batch}
    if model in PRESETS:
        knobs["seq"] = resolve_seq(model, seq)
    elif seq is not None:
        check_length(model, seq)
        knobs["seq"] = seq
    own = attention if attention is None else trained(attention, task)
    kind = counted(Request(model, batch, seq), own).subject.attention
    try:
        knobs["attention"] = str(parse_mechanism(kind))
    except ModelError:  # the model's own, which is none of ours
        if attention is not None:
            raise
    return knobs


def trained(attention: str, task: str | None) -> str:
    """A mechanism with the options that its stored accuracies are of, where it is given by its bare name."""
    if task is not None and ":" not in attention:
        stored = [r.attention for r in stored_results() if r.task == task]
        return next((name for name in stored if name.partition(":")[0] == attention), attention)
    return str(parse_mechanism(attention))


def other_mechanisms(own: str, task: str | None) -> tuple[str, ...]:
    """All installed mechanisms but that of the base."""
    return tuple(trained(name, task) for name in MECHANISMS if name != own.partition(":")[0])


def stored_accuracies(task: str) -> dict[tuple[str, str], float]:
    """What is stored of a task: the primary metric by attention and widths, means over seeds."""
    found = {}
    for attention in dict.fromkeys(r.attention for r in stored_results() if r.task == task):
        for arithmetic, measure in stored_result(task, attention).results.items():
            widths = FLOAT if arithmetic == "float32" else arithmetic
            found[attention, widths] = next(iter(measure.metrics.values()))
    return found


# The record


def found_record(near: Neighbourhood, share: float | None, pairs: bool, task: str | None) -> SensitivityRecord:
    """What changes save, and what reaches the wish."""
    before, base = base_figures(near), near.base
    singles, wrong = effects(near, before, [(change,) for change in near.changes])
    known: list[Effect] = []

    def both() -> list[Effect]:
        if not known:
            known.extend(effects(near, before, pairs_of(near.changes))[0])
        return known

    shown = both() if pairs else []
    wish = None if share is None else wish_of(near, share, search(near, before, share, singles, both))
    metric = None
    if task is not None:
        first = next(result for result in stored_results() if result.task == task)
        metric = next(iter(next(iter(first.results.values())).metrics))
    return SensitivityRecord(
        model=str(base["model"]),
        attention=str(base["attention"]) if "attention" in base else None,
        batch=int(base["batch"]) if "batch" in base else None,
        seq=int(base["seq"]) if "seq" in base else None,
        widths=str(base["widths"]),
        target=str(base["target"]),
        of=near.of,
        objective=near.space.objective,
        task=task,
        metric=metric,
        machine={name: base[name] for name in MACHINE if name in base},
        base=before,
        singles=tuple(singles),
        pairs=tuple(shown),
        refused=(*near.refused, *(Refused(next(iter(some)), why) for some, why in wrong)),
        wish=wish,
    )


def wish_of(near: Neighbourhood, share: float, found: Reached | None) -> Wish:
    """The answer to a wish, with the command that reports it.

    Raises:
        CostModelError: not one change runs.
    """
    if found is None:
        where = near.base["target"]
        raise CostModelError(f"none of the changes of {where} runs; give a target that is not at its limits")
    return Wish(
        asked=share,
        reached=found.reached,
        short=0.0 if found.reached else share - found.effect.saves,
        effect=found.effect,
        same_bits=found.same_bits,
        others=found.others,
        tried=found.tried,
        beyond_pairs=found.beyond_pairs,
        command=command_of(near.base, found.effect.changes, near.space.objective),
    )


def command_of(base: Mapping[str, Value], changes: Collection[Change], objective: str | None) -> str:
    """The report of a changed design."""
    knobs = {**base, **{change.knob: change.now for change in changes}}
    name, _, rest = str(base["target"]).partition(":")
    fields = dict(item.split("=", 1) for item in rest.split(",") if item)
    fields |= {c.knob: str(c.now) for c in changes if c.knob not in ("widths", "attention")}
    varied = ",".join(f"{key}={value}" for key, value in fields.items())
    words = ["costmodel", "report", str(knobs["model"])]
    for knob in ("attention", "seq", "batch", "widths"):
        if knob in knobs and (knob, knobs[knob]) != ("batch", 1):
            words += [f"--{knob}", str(knobs[knob])]
    words += ["--on", f"{name}:{varied}" if varied else name]
    return shlex.join(words if objective is None else [*words, "--objective", objective])
