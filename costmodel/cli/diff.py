"""`costmodel diff`: why one point costs less than another."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import click

from costmodel import render
from costmodel.cli.common import Request, check_output, check_sizes, counted, output_options, show
from costmodel.count import count
from costmodel.diff import Breakdown, breakdown, difference, difference_grids, difference_notes, difference_rows
from costmodel.errors import CostModelError
from costmodel.hardware import load_target
from costmodel.machine_report import machine_record
from costmodel.report import Subject, count_record
from costmodel.schedule import schedule
from costmodel.widths import assign_widths, parse_policy

OPTIONS = {"task_name": "task", "as_run": "as-run", "tables": "table", "operands_in": "operands-in"}
SQLITE = b"SQLite format 3\0"


@click.command("diff")
@click.argument("a")
@click.argument("b")
@output_options
def command(a: str, b: str, format_: str, output: Path | None) -> None:
    """Difference of two cost breakdowns, A to B, part by part: what makes one of them better.

    A and B are each a file of `costmodel report --format json` (FILE, or FILE#ATTENTION where it holds several),
    a point of a sweep (STORE#INDEX), or the words of a report in quotes: a model, --attention, --on and sizes.

    Example: costmodel diff "distilbert --on edge-asic" "distilbert --attention inhibitor --on edge-asic"
    """
    check_output(output)
    record = difference(load(a), load(b))
    csv_text = render.render_records_csv(difference_rows(record))
    show(format_, output, record, csv_text, difference_grids(record), difference_notes(record))


def load(text: str) -> Breakdown:
    """A breakdown from a file, a store, or the words of a report.

    Raises:
        CostModelError: it is none of these.
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
            raise CostModelError(
                f"there is no file {name}; `costmodel report ... --format json --output` writes one"
            )
        return from_words(text)
    try:
        with path.open("rb") as file:
            is_store = file.read(len(SQLITE)) == SQLITE
        return from_store(path, choice) if is_store else from_report(path, choice)
    except OSError as error:
        raise CostModelError(f"cannot read {name}: {error.strerror}") from None


def from_report(path: Path, choice: str) -> Breakdown:
    """A column of a report's file: the only one, or the one with that attention or place."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        raise CostModelError(f"{path} is no JSON file; write it by `costmodel report --format json`") from None
    columns = record.get("columns") if isinstance(record, dict) else None
    if not isinstance(columns, list) or not all(isinstance(c, dict) and "attention" in c for c in columns):
        raise CostModelError(f"{path} is no report; write it by `costmodel report --format json`")
    names = [str(c["attention"]) for c in columns]
    found = [i for i, name in enumerate(names) if choice in (name, name.split(":")[0], str(i))]
    if not choice and len(columns) == 1:
        found = [0]
    if len(found) != 1:
        known = ", ".join(f"{path}#{name}" for name in names)
        problem = f"no single column {choice!r}" if choice else "several columns"
        raise CostModelError(f"{path} has {problem}; name one of {known}" if names else f"{path} has no columns")
    return breakdown(columns[found[0]], f"{path}#{names[found[0]]}")


def from_words(text: str) -> Breakdown:
    """A point by the words of a report: one attention."""
    from costmodel.cli.report import command as report

    try:
        words = shlex.split(text)
    except ValueError as error:
        raise CostModelError(f"{text!r}: {error}") from None
    if not words:
        raise CostModelError("an empty point; give a file, STORE#INDEX, or the words of a report in quotes")
    if "--help" in words:
        raise CostModelError(f"{text!r} asks for help; give a model and its options")
    given = report.make_context("report", words).params
    attentions = given["attentions"] or ("dot",)
    if len(attentions) != 1:
        raise CostModelError(f"{text!r} has {len(attentions)} attentions; a point has one")
    for option in ("html", "store", "task_name", "output", "as_run", "tables", "operands_in"):
        if given[option]:
            raise CostModelError(f"{text!r}: --{OPTIONS.get(option, option)} is of no use in a point")
    check_sizes(given["batch"], given["seq"])
    names = ("model", "batch", "seq", "dtype", "device", "as_run", "allow_unknown")
    request = Request(*(given[n] for n in names))
    column = point_column(request, attentions[0], given["widths"], given["target"], given["timing"])
    return breakdown(column, text)


def point_column(
    request: Request, attention: str, widths: str | None, target: str | None, timing: str
) -> dict[str, Any]:
    """A column of a report, with counts and what the machine takes."""
    machine = load_target(target) if target else None
    result = counted(request, attention)
    column = count_record(result.subject, result.graph, result.tally, "kind")
    if machine is not None:
        typed = assign_widths(result.graph, parse_policy(widths or "w8a8"))
        column["machine"] = machine_record(typed, schedule(typed, machine, timing))
    return column


def from_store(path: Path, choice: str) -> Breakdown:
    """A point of a sweep by its number: its knobs say what to count."""
    from costmodel.cli.graphs import graph_of
    from costmodel.space_knobs import SHAPE
    from costmodel.space_targets import target_of
    from costmodel.store import open_store

    store = open_store(path)
    store.connection.close()
    space = store.space
    if not choice.isdecimal() or int(choice) >= len(space):
        raise CostModelError(f"{path}#{choice}: name a point, {path}#0 to {path}#{len(space) - 1}")
    knobs = space.knobs(int(choice))
    sizes = tuple((name, int(knobs[name])) for name in SHAPE if name in knobs)
    attention = str(knobs.get("attention", "dot"))
    seq = int(knobs["seq"]) if "seq" in knobs else None
    batch = int(knobs.get("batch", 1))
    graph = graph_of(str(knobs["model"]), attention, seq, batch, sizes)
    subject = Subject(str(knobs["model"]), attention, batch, seq, "float32")
    column = count_record(subject, graph, count(graph), "kind")
    typed = assign_widths(graph, parse_policy(str(knobs.get("widths", "w8a8"))))
    column["machine"] = machine_record(typed, schedule(typed, target_of(knobs)))
    varied = ", ".join(f"{k.name}={knobs[k.name]}" for k in space.all_knobs if len(k.values) > 1)
    return breakdown(column, f"{path}#{choice}{': ' if varied else ''}{varied}")
