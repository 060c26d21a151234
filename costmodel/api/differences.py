"""Cost breakdowns to compare: from a file of a report, from a store, or from a model named now."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from costmodel.api.graphs import Request, counted
from costmodel.compare.breakdown import Breakdown, breakdown
from costmodel.compare.machine import machine_record
from costmodel.counting.records import Subject, count_record
from costmodel.counting.tally import count
from costmodel.errors import CostModelError
from costmodel.hardware.loading import load_target
from costmodel.mapping.schedule import schedule
from costmodel.records import encode
from costmodel.widths.assign import assign_widths
from costmodel.widths.policy import parse_policy

SQLITE = b"SQLite format 3\0"


def load(text: str) -> Breakdown | None:
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
            raise CostModelError(
                f"there is no file {name}; `costmodel report ... --format json --output` writes one"
            )
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


def point_column(
    request: Request, attention: str, widths: str | None, target: str | None, timing: str
) -> dict[str, Any]:
    """A column of a report, with counts and what the machine takes."""
    machine = load_target(target) if target else None
    result = counted(request, attention)
    column = encode(count_record(result.subject, result.graph, result.tally, "kind"))
    if machine is not None:
        typed = assign_widths(result.graph, parse_policy(widths or "w8a8"))
        column["machine"] = machine_record(typed, schedule(typed, machine, timing))
    return column


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
    seq = int(knobs["seq"]) if "seq" in knobs else None
    batch = int(knobs.get("batch", 1))
    graph = graph_of(str(knobs["model"]), attention, seq, batch, sizes)
    subject = Subject(str(knobs["model"]), attention, batch, seq, "float32")
    column = encode(count_record(subject, graph, count(graph), "kind"))
    typed = assign_widths(graph, parse_policy(str(knobs.get("widths", "w8a8"))))
    column["machine"] = machine_record(typed, schedule(typed, target_of(knobs)))
    varied = ", ".join(f"{k.name}={knobs[k.name]}" for k in space.all_knobs if len(k.values) > 1)
    return breakdown(column, f"{path}#{choice}{': ' if varied else ''}{varied}")
