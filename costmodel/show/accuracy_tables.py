"""Accuracy in floats and in bits: tables, notes, rows."""

from __future__ import annotations

from collections.abc import Sequence

from costmodel.compare.evaluation import Evaluation
from costmodel.show.document import Document, Row, folded
from costmodel.show.grid import Grid

QUICK_LOOK = "A part of the examples only: for a quick look."

# Side by side, in a report


def accuracy_grid(columns: Sequence[Evaluation]) -> Grid:
    """Each metric in each arithmetic, and the interval of the primary one, of several mechanisms."""
    rows = []
    first = columns[0]
    for arithmetic, found in first.results.items():
        each = [c.results.get(arithmetic) for c in columns]
        for metric in found.metrics:
            values = (None if r is None else r.metrics.get(metric) for r in each)
            rows.append((f"{metric} in {arithmetic}", *("-" if x is None else f"{100 * x:.1f}" for x in values)))
        spans = ("-" if r is None else interval_text(r.interval) for r in each)
        rows.append((f"  95 % of {next(iter(found.metrics))}", *spans))
    how = "stored results" if first.stored else "measured now"
    title = f"{first.task}, {how}: {first.source}, {first.examples} examples"
    return Grid(title, ("", *(c.attention for c in columns)), tuple(rows))


def interval_text(interval: tuple[float, float]) -> str:
    return f"{100 * interval[0]:.1f} to {100 * interval[1]:.1f}"


def accuracy_notes(columns: Sequence[Evaluation]) -> list[str]:
    """What the figures are of."""
    lines = ["Accuracy in integers is of the very bits that are priced: every value within its width."]
    if columns[0].limited:
        lines.append(QUICK_LOOK)
    if any((c.seeds or 1) > 1 for c in columns):
        lines.append("Means over seeds; an interval is the mean of theirs: of the examples, not of training.")
    return lines + ([columns[0].note] if columns[0].note else [])


# One checkpoint


def evaluation_document(record: Evaluation) -> Document:
    """What floats and integers make of the task."""
    return Document(
        (evaluation_grid(record),),
        folded(evaluation_notes(record)),
        evaluation_rows(record),
        folded(lead_lines(record)),
    )


def lead_lines(record: Evaluation) -> list[str]:
    """What is lost in integers, beside how sure the figures are."""
    floats, metric = record.results["float32"], next(iter(record.results["float32"].metrics))
    lines = [
        f"{record.model} with attention {record.attention}: {metric} {100 * floats.primary:.1f} % in float32 on "
        f"{record.examples} examples of {record.task}, 95 % interval {interval_text(floats.interval)}."
    ]
    for name, found in record.results.items():
        if name != "float32":
            lines.append(
                f"In {name} it is {100 * (found.primary - floats.primary):+.1f} points; "
                f"{agreement_text(found.agreement)}."
            )
    return lines


def agreement_text(agreement: float) -> str:
    return f"agreement with float32 is {100 * agreement:.1f} %"


def evaluation_rows(record: Evaluation) -> tuple[Row, ...]:
    """One row an arithmetic and metric."""
    return tuple(
        {"arithmetic": name, "metric": metric, "value": value, "examples": record.examples}
        for name, r in record.results.items()
        for metric, value in r.metrics.items()
    )


def evaluation_grid(record: Evaluation) -> Grid:
    """A line an arithmetic."""
    metrics = list(record.results["float32"].metrics)
    base = record.results["float32"].cpu_seconds
    rows = []
    for name, r in record.results.items():
        values = (f"{100 * r.metrics[m]:.1f}" for m in metrics)
        times = f"{r.cpu_seconds / base:.2f}" if base and r.cpu_seconds is not None else "-"
        rows.append((name, *values, interval_text(r.interval), f"{100 * r.agreement:.1f} %", times))
    title = f"{record.task}: {record.source}, {record.examples} examples"
    head = ("", *metrics, f"95 % of {metrics[0]}", "as float32", "CPU time")
    return Grid(title, head, tuple(rows))


def evaluation_notes(record: Evaluation) -> list[str]:
    """How the ranges were measured, and what the figures do not hold for."""
    lines = [f"Ranges: {record.calibration.method} over {record.calibration.sentences} sentences."]
    if record.limited:
        lines.append(QUICK_LOOK)
    if record.cut:
        lines.append(f"{record.cut} examples fill {record.max_tokens} tokens; what is longer was cut there.")
    return lines + ([record.note] if record.note else [])
