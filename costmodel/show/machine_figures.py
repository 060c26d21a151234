"""Figures of schedules: roofline, timeline, share of attention against S.

They draw `record["pictures"]`, which `report --html` adds to the record; sums and shares, nothing else.
"""

from __future__ import annotations

from typing import Any

from costmodel.counting.tally import layer_of
from costmodel.show.figures import COUNTED
from costmodel.show.grid import Grid, shown
from costmodel.show.plots import INK, Panel, Picture, axis, colour, full, log_ticks, panel, row_axis, short_names

LANES = (("array", "array_cycles"), ("vector", "vector_cycles"), ("DMA", "dma_cycles"))
SHARES = {
    "mul": "of the multiplications",
    "flops": "of all operations",
    "cycles": "of the cycles",
    "energy_pj": "of the energy",
}


def machine_figures(record: dict[str, Any]) -> list[Picture]:
    columns, pictures = record["columns"], record["pictures"]
    found = []
    if pictures.get("roofline"):
        found.append(roofline_figure(columns, pictures["roofline"]))
    if pictures.get("shares"):
        found.append(share_figure(columns, pictures["shares"]))
    if "machine" in columns[0]:
        found.append(timeline_figure(columns, pictures["clock_mhz"]))
    return found


# Roofline


def roofline_figure(columns: list[dict[str, Any]], roof: dict[str, Any]) -> Picture:
    """Pairs of operands a cycle against pairs a DRAM byte: the roof, and each step with a product."""
    names = short_names(columns)
    points = [p for c in roof["columns"] for p in c["points"]]
    xs = [p["pairs_per_byte"] for p in points if p["pairs_per_byte"]] or [1.0]
    peak, width = roof["pairs_per_cycle"], roof["dram_bytes_per_cycle"]
    ridge = peak / width
    low = min([p["pairs_per_cycle"] for p in points], default=1.0) / 2
    left, right = min(*xs, ridge) / 2, max(*xs, ridge) * 2
    data: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "lines",
            "x": [left, ridge, right],
            "y": [left * width, peak, peak],
            "line": {"color": INK, "width": 1.5},
            "hovertext": [
                f"{full(width)} bytes a cycle",
                f"{full(peak)} pairs a cycle",
                f"{full(peak)} pairs a cycle",
            ],
            "hoverinfo": "text",
        }
    ]
    lines = []
    for i, (c, name) in enumerate(zip(roof["columns"], names, strict=True)):
        drawn = [p for p in c["points"] if p["pairs_per_byte"]]
        hover = []
        for p in drawn:
            what = f"{p['times']} times {p['op']}" if p["times"] > 1 else p["op"]
            hover.append(
                f"<b>{name}</b>: {what}<br>{p['modules'][0]}{' ...' if len(p['modules']) > 1 else ''}"
                f"<br>{full(p['pairs_per_byte'])} pairs a byte<br>{full(p['pairs_per_cycle'])} pairs a cycle"
            )
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": name,
                "x": [p["pairs_per_byte"] for p in drawn],
                "y": [p["pairs_per_cycle"] for p in drawn],
                "hovertext": hover,
                "hoverinfo": "text",
                "marker": {
                    # The first is larger and pale: what stands behind the others stays visible.
                    "size": 9 if i else 15,
                    "symbol": [
                        "diamond" if p["core"] else "star" if p["op"] == "model" else "circle" for p in drawn
                    ],
                    "color": colour(i, pale=not i),
                    "line": {"color": colour(i), "width": 1.5},
                },
            }
        )
        for p in c["points"]:
            at = "-" if p["pairs_per_byte"] is None else full(p["pairs_per_byte"])
            lines.append((name, p["op"], shown(p["times"]), shown(p["pairs"]), at, full(p["pairs_per_cycle"])))
    layout = {
        "xaxis": axis(
            "pairs of operands a byte of DRAM", type="log", showgrid=True, tickvals=log_ticks(left, right)
        ),
        "yaxis": axis("pairs a cycle", type="log", showgrid=True, tickvals=log_ticks(low, 2 * peak)),
    }
    head = ("mechanism", "step", "times", "pairs each", "pairs a byte", "pairs a cycle")
    kept = sum(p["pairs_per_byte"] is None for p in points)
    note = f" {kept} kinds of step move no byte of DRAM and are in the table only." if kept else ""
    return Picture(
        "roofline",
        "Roofline",
        f"A pair of operands is one multiply-accumulate, or one term of a distance. At most "
        f"{full(peak)} pairs a cycle; below {full(ridge)} pairs a byte, DRAM is the limit.{note}",
        (panel("", data, layout, 380),),
        f"Target {roof['target']}: array, clock and bandwidth from {roof['file']}; equal steps share a point.",
        Grid("steps with products", head, tuple(lines)),
        (("circle", "product with weights"), ("diamond", "attention core"), ("star", "whole model")),
    )


# Share against S


def share_figure(columns: list[dict[str, Any]], shares: dict[str, Any]) -> Picture:
    names = short_names(columns)
    lengths = shares["seq"]
    panels, lines = [], []
    for key, title in SHARES.items():
        data = []
        for i, (name, c) in enumerate(zip(names, shares["columns"], strict=True)):
            if key not in c:
                continue
            ys = [100 * part / whole if whole else 0 for part, whole in c[key]]
            data.append(
                {
                    "type": "scatter",
                    "mode": "lines+markers",
                    "name": name,
                    "x": lengths,
                    "y": ys,
                    "hovertext": [
                        f"<b>{name}</b>, S={s}<br>{y:.1f} % {title}" for s, y in zip(lengths, ys, strict=True)
                    ],
                    "hoverinfo": "text",
                    "line": {"color": colour(i), "width": 2},
                    "marker": {"color": colour(i), "size": 7},
                }
            )
            lines.append((name, title, *(f"{y:.1f} %" for y in ys)))
        if data:
            ticks = {"tickvals": lengths[::-2], "ticktext": [str(s) for s in lengths[::-2]]}
            layout = {
                "xaxis": axis("S", type="log", **ticks),
                "yaxis": axis("%", rangemode="tozero", showgrid=True, nticks=5),
            }
            panels.append(panel(title, data, layout, 220))
    first = next(c for c in shares["columns"])["mul"]
    ends = [f"{100 * part / whole:.1f} % at S={s}" for s, (part, whole) in zip(lengths, first, strict=True)]
    return Picture(
        "shares",
        "Share of attention against length",
        f"The attention core of {names[0]} holds {ends[0]} and {ends[-1]} of the multiplications: "
        "no other attention saves more than its share.",
        tuple(panels),
        COUNTED + (" Cycles and energy: the schedule at each length." if "cycles" in shares["columns"][0] else ""),
        Grid("share of the attention core", ("mechanism", "", *(f"S={s}" for s in lengths)), tuple(lines)),
    )


# Timeline


def timeline_figure(columns: list[dict[str, Any]], clock_mhz: int) -> Picture:
    """Gantt of steps: array, vector unit, DMA of each mechanism; the whole pass, and one layer."""
    core = next((s for s in columns[0]["machine"]["steps"] if s["op"] == "attention core"), None)
    layer = layer_of(core["module"]) if core else ""
    panels = [gantt("the whole pass", columns, clock_mhz, "")]
    if layer:
        panels.append(gantt(layer, columns, clock_mhz, layer))
    lines = []
    for name, c in zip(short_names(columns), columns, strict=True):
        for s in c["machine"]["steps"]:
            busy = (shown(s[key]) for _, key in LANES)
            lines.append((name, s["op"], s["module"], shown(s["start_cycle"]), shown(s["cycles"]), *busy))
    machine = columns[0]["machine"]
    stalls = [f"{100 * c['machine']['stall_cycles'] / c['machine']['cycles']:.1f} %" for c in columns]
    head = ("mechanism", "step", "module", "starts", "cycles", "array", "vector unit", "DMA")
    return Picture(
        "timeline",
        "Schedule",
        f"Neither array nor vector unit has work in {' and '.join(stalls)} of the cycles. A unit's bar starts "
        "with its step: within a step the units work side by side.",
        tuple(panels),
        f"Schedule on {machine['target']} ({machine['array']} PEs, {machine['dataflow']}, timing "
        f"{machine['timing']}) at {clock_mhz} MHz (costmodel/mapping/schedule.py).",
        Grid("steps in cycles", head, tuple(lines)),
        (("whole", "busy"), ("core", "busy with the attention core")),
        zooms=True,
    )


def gantt(title: str, columns: list[dict[str, Any]], clock_mhz: int, layer: str) -> Panel:
    data: list[dict[str, Any]] = []
    labels: list[str] = []
    for i, (name, c) in enumerate(zip(short_names(columns), columns, strict=True)):
        steps = [s for s in c["machine"]["steps"] if not layer or layer_of(s["module"]) == layer]
        origin = steps[0]["start_cycle"] if steps and layer else 0
        for lane, key in LANES:
            busy = [s for s in steps if s[key]]
            inside = [s["op"] == "attention core" for s in busy]
            data.append(
                {
                    "type": "bar",
                    "orientation": "h",
                    "width": 0.72,
                    "base": [(s["start_cycle"] - origin) / (1e3 * clock_mhz) for s in busy],
                    "x": [s[key] / (1e3 * clock_mhz) for s in busy],
                    "y": [len(labels)] * len(busy),
                    "hovertext": [
                        f"<b>{name}</b>, {lane}: {s['op']}<br>{s['module']}<br>{shown(s[key])} of the step's "
                        f"{shown(s['cycles'])} cycles{'<br>tile ' + s['tile'] if s['tile'] else ''}"
                        for s in busy
                    ],
                    "hoverinfo": "text",
                    "marker": {
                        "color": [colour(i, pale=not core) for core in inside],
                        "line": {"color": colour(i), "width": 0.5},
                    },
                }
            )
            labels.append(f"{name}, {lane}")
    end = 1.01 * max((b + x for d in data for b, x in zip(d["base"], d["x"], strict=True)), default=1)
    layout = {
        "barmode": "overlay",
        "dragmode": "zoom",
        "xaxis": axis(
            "ms" if not layer else "ms from its first step",
            showgrid=True,
            fixedrange=False,
            nticks=6,
            range=[0, end],
        ),
        "yaxis": row_axis(labels),
    }
    return panel(title, data, layout, 60 + 24 * len(labels))
