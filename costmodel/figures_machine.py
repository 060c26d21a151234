"""Figures of schedules and sweeps: roofline, timeline, share of attention against S, Pareto front.

They draw `record["pictures"]`, which `report --html` adds to the record; sums and shares, nothing else.
"""

from __future__ import annotations

from typing import Any

from costmodel.count import layer_of
from costmodel.figures import COUNTED
from costmodel.plots import FAINT, INK, PAPER, Panel, Picture, axis, colour, full, panel, short_names
from costmodel.render import Grid, shown

LANES = (("array", "array_cycles"), ("vector", "vector_cycles"), ("DMA", "dma_cycles"))
SHARES = {
    "mul": "of the multiplications",
    "flops": "of all operations",
    "cycles": "of the cycles",
    "energy_pj": "of the energy",
}
OBJECTIVES = {
    "energy_uj": "energy, µJ",
    "latency_ms": "latency, ms",
    "area_mm2": "area, mm²",
    "dram_bytes": "DRAM traffic, bytes",
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
    if pictures.get("front"):
        found.append(front_figure(pictures["front"]))
    return found


# Roofline


def roofline_figure(columns: list[dict[str, Any]], roof: dict[str, Any]) -> Picture:
    """Pairs of operands a cycle against pairs a DRAM byte: the roof, and each step with a product."""
    names = short_names(columns)
    points = [p for c in roof["columns"] for p in c["points"]]
    xs = [p["pairs_per_byte"] for p in points if p["pairs_per_byte"]] or [1.0]
    peak, width = roof["pairs_per_cycle"], roof["dram_bytes_per_cycle"]
    ridge = peak / width
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
            what = f"{p['times']} × {p['op']}" if p["times"] > 1 else p["op"]
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
        "xaxis": axis("pairs of operands a byte of DRAM", type="log", showgrid=True, dtick=1),
        "yaxis": axis("pairs a cycle", type="log", showgrid=True, dtick=1),
    }
    head = ("mechanism", "step", "times", "pairs each", "pairs a byte", "pairs a cycle")
    kept = sum(p["pairs_per_byte"] is None for p in points)
    note = f" {kept} kinds of step move no byte of DRAM and are in the table only." if kept else ""
    return Picture(
        "roofline",
        "Roofline",
        f"At most {full(peak)} pairs a cycle; below {full(ridge)} pairs a byte, DRAM is the limit.{note}",
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
        f"Neither array nor vector unit has work in {' and '.join(stalls)} of the cycles. A unit's bar starts with "
        "its step: within a step the units work side by side.",
        tuple(panels),
        f"Schedule on {machine['target']} ({machine['array']} PEs, {machine['dataflow']}, timing "
        f"{machine['timing']}) at {clock_mhz} MHz (costmodel/schedule.py).",
        Grid("steps in cycles", head, tuple(lines)),
        (("whole", "busy"), ("core", "busy with the attention core")),
        zooms=True,
    )


def gantt(title: str, columns: list[dict[str, Any]], clock_mhz: int, layer: str) -> Panel:
    data: list[dict[str, Any]] = []
    labels = []
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
    layout = {
        "barmode": "overlay",
        "dragmode": "zoom",
        "xaxis": axis("ms" if not layer else "ms from its first step", showgrid=True, fixedrange=False, nticks=6),
        "yaxis": axis(
            tickvals=list(range(len(labels))), ticktext=labels, range=[len(labels) - 0.5, -0.5], zeroline=False
        ),
    }
    return panel(title, data, layout, 60 + 24 * len(labels))


# Pareto front


def front_figure(front: dict[str, Any]) -> Picture:
    """Points of a sweep by pairs of objectives; large those that no other point beats."""
    objectives = front["objectives"]
    names = front["attentions"]
    shown_points = front["points"]
    panels = []
    first, *others = objectives
    for other in others[:3] or [first]:
        data = []
        for on_front in (False, True):
            for i, name in enumerate(names):
                own = [p for p in shown_points if p["front"] == on_front and p["knobs"]["attention"] == name]
                if not own:
                    continue
                data.append(
                    {
                        "type": "scatter",
                        "mode": "markers",
                        "x": [p["values"][first["name"]] for p in own],
                        "y": [p["values"][other["name"]] for p in own],
                        "hovertext": [point_text(p, front["varied"]) for p in own],
                        "hoverinfo": "text",
                        "marker": {
                            "color": colour(front["colours"][i], pale=not on_front),
                            "size": 10 if on_front else 5,
                            "line": {"color": PAPER if on_front else FAINT, "width": 1 if on_front else 0},
                        },
                    }
                )
        labels = [OBJECTIVES.get(o["name"], o["name"]) for o in (first, other)]
        layout = {
            "xaxis": axis(labels[0], showgrid=True, nticks=6),
            "yaxis": axis(labels[1], showgrid=True, nticks=6),
        }
        panels.append(panel(f"{labels[1]} against {labels[0]}", data, layout, 320))
    best = [p for p in shown_points if p["front"]]
    lines = [
        (
            shown(p["index"]),
            *(full(p["values"][o["name"]]) for o in objectives),
            knob_text(p["knobs"], front["varied"]),
        )
        for p in best
    ]
    senses = ", ".join(f"{o['name']} ({o['sense']})" for o in objectives)
    part = (
        ""
        if front["drawn"] == front["feasible"]
        else f" Drawn are {front['drawn']:,} of them, and the whole front."
    )
    return Picture(
        "front",
        "Pareto front",
        f"{front['front']} of {front['feasible']:,} feasible designs are beaten by no other in {senses}.{part}",
        tuple(panels),
        f"Sweep store {front['store']}: {front['stored']:,} points stored, {front['failed']:,} failed; "
        f"space {front['space']}.",
        Grid("the front", ("point", *(o["name"] for o in objectives), "knobs"), tuple(lines)),
        (("large", "on the front"), ("small", "beaten by another")),
        zooms=False,
    )


def knob_text(knobs: dict[str, Any], varied: list[str]) -> str:
    return ", ".join(f"{name}={knobs[name]}" for name in varied)


def point_text(p: dict[str, Any], varied: list[str]) -> str:
    knobs = "<br>".join(f"{name} {value}" for name, value in p["knobs"].items() if name in varied)
    values = "<br>".join(f"{name} {full(value)}" for name, value in p["values"].items())
    return f"<b>point {p['index']}</b><br>{values}<br>{knobs}"
