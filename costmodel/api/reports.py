"""`report`: attention mechanisms side by side, as counts, on a target, and with measured accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from costmodel.api.graphs import Counted, Request
from costmodel.api.lengths import OverLengths, Priced, has_lengths, parse_lengths, range_of, search
from costmodel.api.prices import TABLES, Pricing
from costmodel.api.results import Result
from costmodel.api.subjects import Model, check_choice, check_goal, check_whole, counted_of
from costmodel.compare.evaluation import Evaluation
from costmodel.compare.machine import machine_record, widths_record
from costmodel.compare.records import ReportColumn, ReportRecord
from costmodel.compare.tables import verdict_over_tables
from costmodel.compare.verdict import report_record
from costmodel.counting.energy import table_energy
from costmodel.counting.records import count_record
from costmodel.errors import CostModelError
from costmodel.hardware.loading import load_target
from costmodel.hardware.timing import CONVENTIONS
from costmodel.mapping.schedule import schedule
from costmodel.show.report_screen import report_document
from costmodel.technology.loading import load_table
from costmodel.widths.assign import assign_widths
from costmodel.widths.policy import parse_policy
from models.zoo.presets import PRESETS

ATTENTIONS = ("dot", "inhibitor")
DEFAULT_WIDTHS = "w8a8"  # on a target, and of accuracy in integers


@dataclass(frozen=True, repr=False)
class Report(Result[ReportRecord]):
    """Mechanisms side by side; `record` as of `costmodel report --format json`."""

    @property
    def columns(self) -> tuple[ReportColumn, ...]:
        """One a mechanism: `cm.diff(*report.columns)` says why they differ."""
        return self.record.columns

    @property
    def summary(self) -> str:
        """One sentence: what changes from the first mechanism to the others."""
        return self.record.summary


def report(
    model: Model,
    attentions: Sequence[str] | None = None,
    seq: int | None = None,
    batch: int = 1,
    tables: Sequence[str] = TABLES,
    operands_in: str | None = None,
    widths: str | None = None,
    target: str | None = None,
    timing: str = "array",
    task: str | None = None,
    data_dir: str | Path | None = None,
    limit: int | None = None,
    stored: bool = False,
    device: str = "meta",
    dtype: str = "float32",
    as_run: bool = False,
    allow_unknown: bool = False,
    html: str | Path | None = None,
    store: str | Path | None = None,
    details: bool = False,
    inputs: Any = None,
    lengths: str | None = None,
    workers: int | None = 1,
    objective: str | None = None,
) -> Report:
    """Mechanisms side by side: operations, bytes, energy under tables, and the share of the attention core.

    Args:
        model: as of `trace`; a torch module comes with `inputs`.
        attentions: mechanisms, `dot` and `inhibitor` by default. A model of your own (`package.module:function`,
            a torch module, a `Trace`) has its own and takes none.
        operands_in: memory of the tables that every operand comes from and goes to.
        widths, target, timing: also cycles, bytes at each level, energy by part, area; and at which lengths S of a
            preset each other mechanism takes less than the first.
        task: accuracy, too, of the checkpoints that ship, measured now on `limit` sentences; or as `stored`.
        html: also a page of figures, one file that works offline; `store` adds the front of a sweep to it.
        details: print every table and note, not the first screen.
        lengths: compare at all lengths from the first to the last, too, as in `16..512`; `all` goes from 16 to 512
            and on to `seq`, of a large model to fewer, around `seq`. It takes about a minute the first time.
        workers: processes of this machine for that; 1 works in this one, None takes one a core.
        objective: what mappings are chosen by: cycles, energy, edp, bytes. None takes edp, the energy-delay
            product, or cycles on a target without prices.

    Rows are one figure a mechanism: attention, figure, unit, value, and the core's part of it.

    >>> import costmodel as cm
    >>> result = cm.report("distilbert", seq=128)
    >>> [column.count.attention_core.counts["exp"] for column in result.columns]
    [1179648, 0]
    >>> result.summary[:72]
    'At S=128 the attention core of dot holds 2.7 % of the multiplications of'
    """
    if store is not None and html is None:
        raise CostModelError("`store` goes with `html`: the page shows its Pareto front")
    if task is None and (data_dir is not None or limit is not None or stored):
        raise CostModelError("`data_dir`, `limit` and `stored` go with `task`")
    check_whole("limit", limit)
    check_whole("workers", workers)
    span = None if lengths is None else parse_lengths(lengths)
    check_tables(tables, operands_in)
    pricing = pricing_of(widths, target, timing, objective)
    if pricing.policy and as_run:
        raise CostModelError("`widths` and `target` price the mathematics; they do not go with `as_run`")
    request = Request(model, batch, seq, dtype, device, as_run, allow_unknown)
    names = mechanisms_of(request, attentions)
    if task is not None:
        names = trained_mechanisms(request, task, names, stored)
    results = [counted_of(request, name, inputs) for name in names]
    if span is not None and not is_compared(request, names, pricing):
        raise CostModelError("`lengths` are those of a preset with several mechanisms on a `target`")
    record = costs_record(request, results, tuple(tables), operands_in, pricing)
    if span is not None:
        over = over_lengths(request, record, results, pricing, span, workers)
        record = replace(record, over_lengths=over.intervals, op_by_op=over.op_by_op)
    if task is not None:
        folder = None if data_dir is None else Path(data_dir)
        kinds = tuple(c.attention for c in record.columns)
        policy = pricing.policy.name if pricing.policy else DEFAULT_WIDTHS
        record = replace(record, accuracy=accuracies(task, kinds, policy, folder, limit, stored))
    if html is not None:
        from costmodel.api.pages import page_command, pictures_record, write_page

        front = None if store is None else Path(store)
        record = replace(record, pictures=pictures_record(request, record, results, pricing, target, front))
        given = {
            **{"attention": attentions, "table": None if tuple(tables) == TABLES else tables},
            **{"operands-in": operands_in, "widths": widths, "on": target, "timing": timing, "task": task},
            **{"data-dir": data_dir, "limit": limit, "stored": stored, "store": store, "html": html},
            **{"lengths": lengths, "objective": objective},
        }
        notes = report_document(record, pricing.target, details=True).notes
        write_page(Path(html), record, notes, page_command(request, given))
    return Report(record, report_document(record, pricing.target, details))


def check_tables(tables: Sequence[str], operands_in: str | None) -> None:
    """Refuse a table that there is not, or one without that memory."""
    for name in tables:
        table = load_table(name)
        if operands_in is not None:
            table.memory(operands_in)


def pricing_of(widths: str | None, target: str | None, timing: str, objective: str | None) -> Pricing:
    """Widths and target by name; on a target there are always widths."""
    check_choice("timing", timing, CONVENTIONS)
    machine = None if target is None else load_target(target)
    check_goal(objective, machine)
    asked = DEFAULT_WIDTHS if widths is None and machine is not None else widths
    return Pricing(None if asked is None else parse_policy(asked), machine, timing, objective)


# Columns


def mechanisms_of(request: Request, attentions: Sequence[str] | None) -> tuple[str | None, ...]:
    """The mechanisms to compare; None is that of the user's own model.

    Raises:
        CostModelError: no list, or a list for a model that has its own.
    """
    if isinstance(attentions, str) or (attentions is not None and not attentions):
        raise CostModelError("`attentions` is a list of mechanisms, such as ['dot', 'inhibitor']")
    if not is_own(request.model):
        return ATTENTIONS if attentions is None else tuple(attentions)
    if attentions is not None:
        what = request.model if isinstance(request.model, str) else f"a {type(request.model).__name__}"
        raise CostModelError(f"{what} has its own attention, which is the only column: leave out `attentions`")
    return (None,)


def is_own(model: Model) -> bool:
    """Whether this is the user's own model, whose attention is in its code."""
    return not isinstance(model, str) or (":" in model and model not in PRESETS)


def costs_record(
    request: Request,
    results: Sequence[Counted],
    tables: tuple[str, ...],
    operands_in: str | None,
    pricing: Pricing,
) -> ReportRecord:
    """Counts and energies of each mechanism, at widths and on a target where that was asked for."""
    typed = [] if pricing.policy is None else [assign_widths(r.graph, pricing.policy) for r in results]
    target, timing, goal = pricing.target, pricing.timing, pricing.objective
    planned = [] if target is None else [schedule(each, target, timing, objective=goal) for each in typed]
    columns = [
        ReportColumn(
            count=count_record(r.subject, r.graph, r.tally, "kind"),
            energy_pj={name: table_energy(r.graph, r.tally, name, operands_in) for name in tables},
            widths=widths_record(typed[i], tables) if typed else None,
            machine=machine_record(typed[i], planned[i]) if planned else None,
        )
        for i, r in enumerate(results)
    ]
    record = report_record(columns)
    if target is None or pricing.policy is None:
        return record
    names = [column.attention for column in columns]
    return replace(record, machine_verdict=verdict_over_tables(names, typed, planned))


def is_compared(request: Request, names: Sequence[str | None], pricing: Pricing) -> bool:
    """Whether a report has a verdict between mechanisms on a target that can be had at other lengths."""
    return pricing.target is not None and len(names) > 1 and has_lengths(request)


def over_lengths(
    request: Request,
    record: ReportRecord,
    results: Sequence[Counted],
    pricing: Pricing,
    given: tuple[int, int] | str,
    workers: int | None,
) -> OverLengths:
    """Each other mechanism against the first at every whole length."""
    target, policy = pricing.target, pricing.policy
    assert target is not None, "lengths are compared on a target"
    assert policy is not None, "on a target there are widths"
    span = range_of(request, None if isinstance(given, str) else given, max(len(r.graph.nodes) for r in results))
    each = [
        Priced(request, c.attention, policy, target, pricing.timing, pricing.objective) for c in record.columns
    ]
    return search(each, span, workers)


# Accuracy


def trained_mechanisms(
    request: Request, task: str, attentions: tuple[str | None, ...], stored: bool
) -> tuple[str, ...]:
    """The mechanisms of the checkpoints that were measured, with their options: they are what is counted, too.

    Raises:
        CostModelError: no such task, or no checkpoint of this model.
    """
    from models.attention.mechanisms import Mechanism
    from models.tasks.data import TASKS
    from models.zoo.students import mechanism_of, stored_result, student

    if task not in TASKS:
        raise CostModelError(f"unknown `task={task}`; known: {', '.join(TASKS)}")
    names = [name for name in attentions if name is not None]
    if request.model != "minilm-distilbert" or not names:
        what = request.model if isinstance(request.model, str) else f"a {type(request.model).__name__}"
        raise CostModelError(f"`task`: the checkpoints that ship are of minilm-distilbert, not of {what}")
    if stored:
        return tuple(stored_result(task, name).attention for name in names)
    return tuple(str(Mechanism(**mechanism_of(student(task, name)))) for name in names)


def accuracies(
    task: str, attentions: tuple[str, ...], widths: str, data_dir: Path | None, limit: int | None, stored: bool
) -> tuple[Evaluation, ...]:
    """Of each mechanism its accuracy in floats and in bits: measured now, or as it was stored."""
    from costmodel.api.stored import stored_evaluation
    from models.zoo.students import student

    if stored:
        return tuple(replace(stored_evaluation(task, name), stored=True) for name in attentions)
    from costmodel.api.evaluations import measure
    from costmodel.api.session import Session

    found = []
    for name in attentions:
        session = Session(str(student(task, name)), None)
        record, _ = measure(session, task, None, data_dir, (widths,), limit)
        found.append(replace(record, stored=False))
    return tuple(found)
