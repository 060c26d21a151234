"""Accuracy in floats and in bits: tables and notes."""

from __future__ import annotations

from typing import Any

from costmodel.show.grid import Grid


def accuracy_grid(columns: list[dict[str, Any]]) -> Grid:
    rows = []
    first = columns[0]["results"]
    for arithmetic in first:
        for metric in first[arithmetic]["metrics"]:
            cells = [c["results"].get(arithmetic, {}).get("metrics", {}).get(metric) for c in columns]
            shown = ("-" if x is None else f"{100 * x:.1f}" for x in cells)
            rows.append((f"{metric} in {arithmetic}", *shown))
        ends = [c["results"].get(arithmetic, {}).get("interval") for c in columns]
        spans = ("-" if e is None else f"{100 * e[0]:.1f} to {100 * e[1]:.1f}" for e in ends)
        rows.append((f"  95 % of {next(iter(first[arithmetic]['metrics']))}", *spans))
    how = "stored results" if columns[0]["stored"] else "measured now"
    title = f"{columns[0]['task']}, {how}: {columns[0]['source']}, {columns[0]['examples']} examples"
    return Grid(title, ("", *(c["attention"] for c in columns)), tuple(rows))


def accuracy_notes(columns: list[dict[str, Any]]) -> list[str]:
    lines = ["Accuracy in integers is of the very bits that are priced: every value within its width."]
    if columns[0].get("limited"):
        lines.append("A part of the examples only: for a quick look.")
    if any(c.get("seeds", 1) > 1 for c in columns):
        lines.append("Means over seeds; an interval is the mean of theirs: of the examples, not of training.")
    return lines + ([columns[0]["note"]] if columns[0].get("note") else [])


def evaluation_rows(record: dict[str, Any]) -> list[dict[str, Any]]:
    """One line an arithmetic and metric."""
    return [
        {"arithmetic": name, "metric": metric, "value": value, "examples": record["examples"]}
        for name, r in record["results"].items()
        for metric, value in r["metrics"].items()
    ]


def evaluation_grid(record: dict[str, Any]) -> Grid:
    metrics = list(next(iter(record["results"].values()))["metrics"])
    base = record["results"]["float32"]["cpu_seconds"]
    rows = []
    for name, r in record["results"].items():
        low, high = r["interval"]
        values = (f"{100 * r['metrics'][m]:.1f}" for m in metrics)
        cells = (f"{100 * low:.1f} to {100 * high:.1f}", f"{100 * r['agreement']:.1f} %")
        rows.append((name, *values, *cells, f"{r['cpu_seconds'] / base:.2f}" if base else "-"))
    title = (
        f"{record['model']}, attention {record['attention']}: {record['source']}, {record['examples']} examples"
    )
    head = ("", *metrics, f"95 % of {metrics[0]}", "as float32", "CPU time")
    return Grid(title, head, tuple(rows))


def evaluation_notes(record: dict[str, Any]) -> list[str]:
    lines = [f"Ranges: {record['calibration']['method']} over {record['calibration']['sentences']} sentences."]
    if record["limited"]:
        lines.append("A part of the examples only: for a quick look.")
    if record["cut"]:
        lines.append(f"{record['cut']} examples fill {record['max_tokens']} tokens; what is longer was cut there.")
    return lines + ([record["note"]] if record["note"] else [])
