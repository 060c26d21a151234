"""`diff`: two cost breakdowns, part by part; each from a result, a file, a store, or a model named now."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path

from costmodel.api.graphs import Request
from costmodel.api.prices import Price
from costmodel.api.reports import Report, is_own, report
from costmodel.api.results import Result
from costmodel.compare.breakdown import Breakdown, Difference, breakdown, difference
from costmodel.compare.machine import MachineRecord, machine_record
from costmodel.compare.records import ReportColumn, ReportRecord
from costmodel.counting.records import Subject, count_record
from costmodel.counting.tally import count
from costmodel.errors import BadRecord, CostModelError, in_words
from costmodel.mapping.schedule import schedule
from costmodel.records import from_json
from costmodel.show.breakdown_tables import difference_document
from costmodel.widths.assign import assign_widths
from costmodel.widths.policy import parse_policy

SQLITE = b"SQLite format 3\0"


@dataclass(frozen=True, repr=False)
class Compared(Result[Difference]):
    """Two cost breakdowns, part by part; `record` as of `costmodel diff --format json`."""


Point = Report | ReportColumn | Price | str | Path


def diff(a: Point, b: Point) -> Compared:
    """Why B costs less than A, or more: energy, cycles, bytes, area and operations, part by part.

    Args:
        a, b: each a `Report` of one mechanism, a column of a report, a `Price`; a file of a report as JSON (FILE,
            or FILE#ATTENTION where it holds several); a point of a sweep (STORE#INDEX); or the words of a report.

    Rows are one part of a section each, with what A and B take, and the totals.

    >>> import costmodel as cm
    >>> both = cm.report("distilbert-tiny", seq=16, target="edge-asic")
    >>> cm.diff(*both.columns).record.sections[0].title
    'energy by part'
    >>> words = "distilbert-tiny --seq 16 --on edge-asic"
    >>> cm.diff(words, both.columns[0]).record.sections[0].total.difference
    0.0
    """
    record = difference(breakdown_of(a, "`a`"), breakdown_of(b, "`b`"))
    return Compared(record, difference_document(record))


def breakdown_of(point: Point, parameter: str) -> Breakdown:
    """The breakdown of whatever names a point.

    Raises:
        CostModelError: it names none.
    """
    if isinstance(point, Report):
        if len(point.columns) != 1:
            names = ", ".join(c.attention for c in point.columns)
            raise CostModelError(
                f"{parameter} is a report of several mechanisms, {names}: give one of its `columns`"
            )
        return breakdown_of(point.columns[0], parameter)
    if isinstance(point, ReportColumn):
        return breakdown(name_of(point.count.subject, point.machine), point.count, point.machine)
    if isinstance(point, Price):
        machine = point.record.machine
        return breakdown(name_of(point.count.subject, machine), point.count, machine)
    if isinstance(point, str | Path):
        text = str(point)
        return from_file(text) or from_words(text)
    raise CostModelError(f"{parameter} is a {type(point).__name__}: give a report, a price, a file or words")


def name_of(subject: Subject, machine: MachineRecord | None) -> str:
    size = f", B={subject.batch}, S={subject.seq}" if subject.seq else ""
    return f"{subject.model}, attention {subject.attention}{size}" + (f", on {machine.target}" if machine else "")


# From a file


def from_file(text: str) -> Breakdown | None:
    """A breakdown from a file of a report or a store; None where the text names no file.

    Raises:
        CostModelError: it names a file that is not there, or that is neither.
    """
    name, mark, choice = text.rpartition("#") if "#" in text else (text, "", "")
    path = Path(name)
    try:
        is_file = path.is_file()
    except (OSError, ValueError):
        is_file = False
    if not is_file:
        looks_like_path = mark or name.endswith((".json", ".db", ".sqlite"))
        if looks_like_path and " " not in name:
            raise CostModelError(f"there is no file {name}; `costmodel report` as JSON writes one")
        return None
    try:
        with path.open("rb") as file:
            is_store = file.read(len(SQLITE)) == SQLITE
        return from_store(path, choice) if is_store else from_report(path, choice)
    except OSError as error:
        raise CostModelError(f"cannot read {name}: {error.strerror}") from None


def from_report(path: Path, choice: str) -> Breakdown:
    """A column of a report's file: the only one, or the one with that attention or place."""
    try:
        record = from_json(ReportRecord, json.loads(path.read_text(encoding="utf-8")), str(path))
    except BadRecord as error:
        raise CostModelError(f"no report: {error}") from None
    except (ValueError, RecursionError):
        raise CostModelError(f"{path} is no JSON file; `costmodel report` as JSON writes one") from None
    names = [column.attention for column in record.columns]
    found = [i for i, name in enumerate(names) if choice in (name, name.split(":")[0], str(i))]
    if not choice and len(names) == 1:
        found = [0]
    if len(found) != 1:
        known = ", ".join(f"{path}#{name}" for name in names)
        problem = f"no single column {choice!r}" if choice else "several columns"
        raise CostModelError(f"{path} has {problem}; name one of {known}" if names else f"{path} has no columns")
    column = record.columns[found[0]]
    return breakdown(f"{path}#{names[found[0]]}", column.count, column.machine)


def from_store(path: Path, choice: str) -> Breakdown:
    """A point of a sweep by its number: its knobs say what to count."""
    from costmodel.api.spaces import graph_of
    from costmodel.explore.knobs import SHAPE
    from costmodel.explore.machines import target_of
    from costmodel.explore.store import open_store

    store = open_store(path)
    store.connection.close()
    space = store.space
    if not choice.isdecimal() or int(choice) >= len(space):
        raise CostModelError(f"{path}#{choice}: name a point, {path}#0 to {path}#{len(space) - 1}")
    knobs = space.knobs(int(choice))
    sizes = tuple((name, int(knobs[name])) for name in SHAPE if name in knobs)
    attention = str(knobs.get("attention", "dot"))
    if len(space.runs) > 1:
        raise CostModelError(
            f"{path} has {len(space.runs)} workloads: a breakdown is of one: give the words of a report"
        )
    knobs = space.runs[0].over(knobs)
    seq = int(knobs["seq"]) if "seq" in knobs else None
    batch = int(knobs.get("batch", 1))
    graph = graph_of(str(knobs["model"]), attention, seq, batch, sizes)
    subject = Subject(str(knobs["model"]), attention, batch, seq, "float32")
    typed = assign_widths(graph, parse_policy(str(knobs.get("widths", "w8a8"))))
    target, goal = target_of(knobs), space.objective
    planned = schedule(typed, target) if goal is None else schedule(typed, target, objective=goal)
    machine = machine_record(typed, planned)
    varied = ", ".join(f"{k.name}={knobs[k.name]}" for k in space.all_knobs if len(k.values) > 1)
    name = f"{path}#{choice}{': ' if varied else ''}{varied}"
    return breakdown(name, count_record(subject, graph, count(graph), "kind"), machine)


# From words


@dataclass(frozen=True)
class Words:
    """A point as the words of a report name it."""

    request: Request
    attention: str | None
    widths: str | None
    target: str | None
    timing: str
    objective: str | None


VALUES = {
    **{"--attention": "attention", "--widths": "widths", "--on": "target", "--timing": "timing"},
    **{"--objective": "objective"},
    **{"--seq": "seq", "--batch": "batch", "--dtype": "dtype", "--device": "device"},
}
WHOLE = ("seq", "batch")
FLAGS = ("--allow-unknown",)
# Options of a report that say nothing of a single point.
USELESS = (
    *("--table", "--operands-in", "--task", "--data-dir", "--limit", "--stored", "--html", "--store"),
    *("--details", "--as-run", "--format", "--output", "--lengths", "--workers"),
)


def from_words(text: str) -> Breakdown:
    """A point by the words of a report: one attention.

    Raises:
        CostModelError: the words name no point.
    """
    words = read_words(text)
    asked, attention = words.request, words.attention
    try:
        found = report(
            asked.model, None if attention is None else [attention], asked.seq, asked.batch, (), None,
            words.widths, words.target, words.timing, objective=words.objective,
            device=asked.device, dtype=asked.dtype, allow_unknown=asked.allow_unknown,
        )  # fmt: skip
    except CostModelError as error:
        # The words are options, and so is what is said of them.
        said = in_words(str(error), {parameter: option for option, parameter in VALUES.items()})
        raise CostModelError(f"{text!r}: {said}") from None
    (column,) = found.columns
    return breakdown(text, column.count, column.machine)


def read_words(text: str) -> Words:
    """A model and its options, as `costmodel report` takes them."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise CostModelError(f"{text!r}: {error}") from None
    if not words:
        raise CostModelError("an empty point; give a file, STORE#INDEX, or the words of a report in quotes")
    found: dict[str, str] = {}
    models: list[str] = []
    allow_unknown = False
    while words:
        word = words.pop(0)
        name, mark, value = word.partition("=")
        if name == "--help":
            raise CostModelError(f"{text!r} asks for help; give a model and its options")
        if name in USELESS:
            raise CostModelError(f"{text!r}: {name} is of no use in a point")
        if name in FLAGS and not mark:
            allow_unknown = True
        elif name in VALUES:
            if not mark and not words:
                raise CostModelError(f"{text!r}: {name} needs a value")
            if VALUES[name] == "attention" and "attention" in found:
                raise CostModelError(f"{text!r} has several attentions; a point has one")
            found[VALUES[name]] = value if mark else words.pop(0)
        elif name.startswith("-"):
            raise CostModelError(f"{text!r}: a report has no option {name}")
        else:
            models.append(word)
    if len(models) != 1:
        raise CostModelError(f"{text!r} names {len(models)} models; a point has one")
    return words_of(text, models[0], found, allow_unknown)


def words_of(text: str, model: str, found: dict[str, str], allow_unknown: bool) -> Words:
    """The options of a point, each of its type."""
    numbers: dict[str, int | None] = {}
    for name in WHOLE:
        given = found.get(name)
        try:
            numbers[name] = None if given is None else int(given)
        except ValueError:
            raise CostModelError(f"{text!r}: --{name} {given} is not a whole number") from None
    request = Request(
        model,
        1 if numbers["batch"] is None else numbers["batch"],
        numbers["seq"],
        found.get("dtype", "float32"),
        found.get("device", "meta"),
        allow_unknown=allow_unknown,
    )
    attention = found.get("attention", None if is_own(model) else "dot")
    timing, objective = found.get("timing", "array"), found.get("objective")
    return Words(request, attention, found.get("widths"), found.get("target"), timing, objective)
