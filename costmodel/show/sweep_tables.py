"""A sweep, its front and its points: tables, notes, rows.

What is shown first fits one screen; with details it is all there.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from costmodel.explore.front_records import FrontRecord, PointsRecord
from costmodel.explore.space import Space
from costmodel.explore.summary import SweepRecord
from costmodel.explore.workloads import Workload
from costmodel.records import Cell, Row
from costmodel.show.document import Document
from costmodel.show.grid import Grid, cell_text, shown

WIDTH = 100  # columns of a screen
GAP = 3  # columns between two cells
MOST_ROWS = 20  # of a front
MOST_FAILURES = 3  # kinds
MOST_CELL = 30  # letters
MOST_WORKLOADS = 4  # that a note names

# A sweep


def sweep_document(record: SweepRecord, space: Space, details: bool = False) -> Document:
    """How far it is, and the best point by each objective."""
    same = {k.name: k.values[0] for k in space.all_knobs if len(k.values) == 1}
    varied = [k.name for k in space.all_knobs if k.name not in same]
    found = [row for row in record.best if row["objective"] is not None]
    columns = [Column("best", [str(row["objective"]) for row in found])]
    columns.append(Column("value", [f"{row['value']:.6g}" for row in found]))
    columns.append(Column("point", [cell_text(row["point"]) for row in found]))
    columns += [Column(name, [cell_text(row[name]) for row in found]) for name in varied]
    kept = columns if details else fitting(columns)
    title = f"{record.space}: {shown(record.stored)} points, {shown(record.feasible)} feasible, "
    shown_rows = len(found) if details else min(len(found), MOST_ROWS)
    notes = [*workload_note(record.workloads), *fixed_note(same)]
    notes += [*constraint_note([str(c) for c in space.constraints]), *apart_note(record.apart)]
    notes += left_out(columns, kept)
    if shown_rows < len(found):
        notes.append(f"{len(found) - shown_rows} more lines: `details=True` shows all.")
    if record.stored_before:
        notes.append(f"{shown(record.stored_before)} of the points were stored before.")
    notes += failure_notes(
        [f"Failed, {shown(times)} points: {text}" for text, times in record.errors.items()], details
    )
    if record.store is not None:
        notes.append(f"The front: costmodel pareto {record.store}")
    grid = grid_of(f"{title}{shown(record.failed)} failed", kept, shown_rows)
    return Document((grid,), tuple(map(wrapped, notes)), record.best)


# A front


def front_document(record: FrontRecord, details: bool = False) -> Document:
    """The points of a front: those that are best by the first objective, or with details all."""
    rows = record.front if details else first_rows(record)
    objectives = [o.name for o in record.objectives]
    figures = [name for name in (rows[0] if rows else {}) if name not in (*record.knobs, *NO_FIGURES)]
    same = {n: rows[0][n] for n in record.knobs if all(row[n] == rows[0][n] for row in record.front)}
    varied = [name for name in record.knobs if name not in same]
    varied = [*record.apart, *(name for name in varied if name not in record.apart)]
    names = ["point", *varied, *figures] if details else [*record.apart, "point", *objectives]
    names += [] if details else [name for name in varied if name not in record.apart]
    columns = [Column(name, [cell_text(row[name]) for row in rows]) for name in names]
    kept = columns if details else fitting(columns)
    title = f"{record.points} points, {record.feasible} feasible, {record.failed} failed; "
    title += f"{len(record.front)} on the front of {', '.join(objectives)}"
    notes = []
    if len(rows) < len(record.front):
        notes.append(f"{len(record.front) - len(rows)} more points are on the front: `details=True` shows all, so")
        notes[-1] += " does `form=csv`."
    notes += [*workload_note(record.workloads), *fixed_note(same), *constraint_note(record.constraints)]
    notes += [*apart_note(record.apart), *left_out(columns, kept)]
    notes += failure_notes([f"Failed: {text}" for text in record.errors], details)
    if record.front:
        first = record.front[0]["point"]
        notes.append(f"Why a point is better: costmodel diff {record.store}#{first} {record.store}#NUMBER")
    grid = grid_of(title, kept, len(rows), numbers=True)
    return Document((grid,), tuple(map(wrapped, notes)), record.front)


def first_rows(record: FrontRecord) -> tuple[Row, ...]:
    """The rows of the first screen: of each front the best, as many of each as there is room for."""
    groups: dict[tuple[Cell, ...], list[Row]] = {}
    for row in record.front:
        groups.setdefault(tuple(row[name] for name in record.apart), []).append(row)
    kept: dict[tuple[Cell, ...], int] = dict.fromkeys(groups, 0)
    room = MOST_ROWS
    while room and any(kept[key] < len(rows) for key, rows in groups.items()):
        for key, rows in groups.items():
            if room and kept[key] < len(rows):
                kept[key] += 1
                room -= 1
    return tuple(row for key, rows in groups.items() for row in rows[: kept[key]])


NO_FIGURES = ("point", "feasible", "error")  # of a row of a front, beside its knobs


# Points


def points_document(record: PointsRecord) -> Document:
    """A table a point."""
    return Document(tuple(map(point_grid, record.points)), (), record.points)


def point_grid(row: Row) -> Grid:
    cells = tuple((name, "-" if value is None else str(value)) for name, value in row.items())
    return Grid(f"point {row['point']}", ("", "value"), cells, numbers=False)


# What fits a screen


@dataclass(frozen=True)
class Column:
    """A heading and its cells."""

    name: str
    cells: Sequence[str]

    @property
    def width(self) -> int:
        """As it is shown: long cells are cut."""
        return max(len(self.name), *(min(len(cell), MOST_CELL) for cell in self.cells), 1)


def fitting(columns: Sequence[Column]) -> list[Column]:
    """The first columns that fit a screen, at least one, their long cells cut."""
    kept: list[Column] = []
    width = 2
    for column in columns:
        width += column.width + GAP
        if width > WIDTH and kept:
            break
        kept.append(
            Column(column.name, [textwrap.shorten(cell, MOST_CELL, placeholder=" ...") for cell in column.cells])
        )
    return kept


def grid_of(title: str, columns: Sequence[Column], rows: int, numbers: bool = False) -> Grid:
    cells = tuple(tuple(column.cells[i] for column in columns) for i in range(rows))
    return Grid(title, tuple(column.name for column in columns), cells, numbers)


def fixed_note(same: Mapping[str, Cell]) -> list[str]:
    fixed = [f"{name} {value}" for name, value in same.items()]
    return [f"All have {', '.join(fixed)}."] if fixed else []


def constraint_note(constraints: Sequence[str]) -> list[str]:
    return [f"Constraint{'s' if len(constraints) > 1 else ''}: {', '.join(constraints)}"] if constraints else []


def apart_note(apart: Sequence[str]) -> list[str]:
    names = " and ".join(apart)
    return [f"Points of other {names} are not compared; `across` and a name compares them."] if apart else []


def workload_note(workloads: Sequence[Workload]) -> list[str]:
    """What the figures are sums of: the first workloads."""
    if not workloads:
        return []
    named = [f"{w.weight:g} x ({w})" for w in workloads[:MOST_WORKLOADS]]
    more = f" and {len(workloads) - MOST_WORKLOADS} more" if len(workloads) > MOST_WORKLOADS else ""
    return [f"Figures are sums over {' + '.join(named)}{more}."]


def left_out(columns: Sequence[Column], kept: Sequence[Column]) -> list[str]:
    names = [column.name for column in columns[len(kept) :]]
    return [f"Left out of the table: {', '.join(names)}; `details=True` shows all."] if names else []


def failure_notes(lines: Sequence[str], details: bool) -> list[str]:
    """What went wrong: the first kinds of failure, or all."""
    if details or len(lines) <= MOST_FAILURES:
        return list(lines)
    more = len(lines) - MOST_FAILURES
    kept = [textwrap.shorten(line, 3 * WIDTH, placeholder=" ...") for line in lines[:MOST_FAILURES]]
    return [*kept, f"{more} more kinds of failure: `details=True` shows all."]


def wrapped(note: str) -> str:
    """A note in lines of a screen; a long word, such as a path, stays whole."""
    return textwrap.fill(note, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
