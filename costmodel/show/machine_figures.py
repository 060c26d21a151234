"""Figures of schedules: roofline, timeline, share of attention against S.

They draw the `pictures` of a record, which a page adds to it; sums and shares, nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence

from costmodel.compare.machine import StepRecord
from costmodel.compare.pictures import Roofline, RooflineColumn, RooflinePoint, Shares
from costmodel.compare.records import ReportColumn, ReportRecord
from costmodel.counting.tally import layer_of
from costmodel.show.figures import COUNTED
from costmodel.show.grid import Grid, shown
from costmodel.show.machine_tables import machines_of
from costmodel.show.plots import INK, Drawing, Panel, Picture, axis, colour, full, log_ticks, panel, row_axis
from costmodel.show.verdict_lines import short_names

CORE = "attention core"  # the step of a fused core
LANES = (
    *(("vector", "vector_cycles"), ("DMA", "dma_cycles")),
    *(("read port", "read_port_cycles"), ("write port", "write_port_cycles")),
)
SHARES = {
    "mul": "of the multiplications",
    "flops": "of all operations",
    "cycles": "of the cycles",
    "energy_pj": "of the energy",
}


def machine_figures(record: ReportRecord) -> list[Picture]:
    """Those that the record has numbers for."""
    columns, pictures = record.columns, record.pictures
    if pictures is None:
        return []
    found = []
    if pictures.roofline:
        found.append(roofline_figure(columns, pictures.roofline))
    if pictures.shares:
        found.append(share_figure(columns, pictures.shares))
    if pictures.clock_mhz is not None and machines_of(columns):
        found.append(timeline_figure(columns, pictures.clock_mhz))
    return found


# Roofline


def roofline_figure(columns: Sequence[ReportColumn], roof: Roofline) -> Picture:
    """Pairs of operands a cycle against pairs a DRAM byte: the roof, and each step with a product."""
    names = short_names(columns)
    points = [p for c in roof.columns for p in c.points]
    xs = [p.pairs_per_byte for p in points if p.pairs_per_byte] or [1.0]
    peak, width = roof.pairs_per_cycle, roof.dram_bytes_per_cycle
    ridge = peak / width
    low = min([p.pairs_per_cycle for p in points], default=1.0) / 2
    left, right = min(*xs, ridge) / 2, max(*xs, ridge) * 2
    data: list[Drawing] = [
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
    for i, (c, name) in enumerate(zip(roof.columns, names, strict=True)):
        data.append(roofline_marks(c, i, name))
        for p in c.points:
            at = "-" if p.pairs_per_byte is None else full(p.pairs_per_byte)
            lines.append((name, p.op, shown(p.times), shown(p.pairs), at, full(p.pairs_per_cycle)))
    layout = {
        "xaxis": axis(
            "pairs of operands a byte of DRAM", type="log", showgrid=True, tickvals=log_ticks(left, right)
        ),
        "yaxis": axis("pairs a cycle", type="log", showgrid=True, tickvals=log_ticks(low, 2 * peak)),
    }
    head = ("mechanism", "step", "times", "pairs each", "pairs a byte", "pairs a cycle")
    kept = sum(p.pairs_per_byte is None for p in points)
    some = (
        "1 kind of step moves no byte of DRAM and is"
        if kept == 1
        else f"{kept} kinds of step move no byte of DRAM and are"
    )
    note = f" {some} in the table only." if kept else ""
    return Picture(
        "roofline",
        "Roofline",
        f"A pair of operands is one multiply-accumulate, or one term of a distance. At most "
        f"{full(peak)} pairs a cycle; below {full(ridge)} pairs a byte, DRAM is the limit.{note}",
        (panel("", data, layout, 380),),
        f"Target {roof.target}: array, clock and bandwidth from {roof.file}; equal steps share a point.",
        Grid("steps with products", head, tuple(lines)),
        (("circle", "product with weights"), ("diamond", "attention core"), ("star", "whole model")),
    )


def roofline_marks(column: RooflineColumn, i: int, name: str) -> Drawing:
    """One mechanism; steps that move no byte of DRAM have no place on the axis."""
    drawn = [(p, p.pairs_per_byte) for p in column.points if p.pairs_per_byte]

    def hover(p: RooflinePoint, per_byte: float) -> str:
        what = f"{p.times} times {p.op}" if p.times > 1 else p.op
        return (
            f"<b>{name}</b>: {what}<br>{p.modules[0]}{' ...' if len(p.modules) > 1 else ''}"
            f"<br>{full(per_byte)} pairs a byte<br>{full(p.pairs_per_cycle)} pairs a cycle"
        )

    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [per_byte for _, per_byte in drawn],
        "y": [p.pairs_per_cycle for p, _ in drawn],
        "hovertext": [hover(p, per_byte) for p, per_byte in drawn],
        "hoverinfo": "text",
        "marker": {
            # The first is larger and pale: what stands behind the others stays visible.
            "size": 9 if i else 15,
            "symbol": ["diamond" if p.core else "star" if p.op == "model" else "circle" for p, _ in drawn],
            "color": colour(i, pale=not i),
            "line": {"color": colour(i), "width": 1.5},
        },
    }


# Share against S


def share_figure(columns: Sequence[ReportColumn], shares: Shares) -> Picture:
    """Share of the attention core at each length."""
    names = short_names(columns)
    lengths = shares.seq
    panels, lines = [], []
    for key, title in SHARES.items():
        data = []
        for i, (name, c) in enumerate(zip(names, shares.columns, strict=True)):
            pairs = getattr(c, key)
            if pairs is None:
                continue
            ys = [100 * p.core / p.whole if p.whole else 0 for p in pairs]
            data.append(
                {
                    "type": "scatter",
                    "mode": "lines+markers",
                    "name": name,
                    "x": list(lengths),
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
            ticks = {"tickvals": list(lengths[::-2]), "ticktext": [str(s) for s in lengths[::-2]]}
            layout = {
                "xaxis": axis("S", type="log", **ticks),
                "yaxis": axis("%", rangemode="tozero", showgrid=True, nticks=5),
            }
            panels.append(panel(title, data, layout, 220))
    first = shares.columns[0]
    ends = [f"{100 * p.core / p.whole:.1f} % at S={s}" for s, p in zip(lengths, first.mul, strict=True)]
    return Picture(
        "shares",
        "Share of attention against length",
        f"The attention core of {names[0]} holds {ends[0]} and {ends[-1]} of the multiplications: "
        "no other attention saves more than its share.",
        tuple(panels),
        COUNTED + (" Cycles and energy: the schedule at each length." if first.cycles else ""),
        Grid("share of the attention core", ("mechanism", "", *(f"S={s}" for s in lengths)), tuple(lines)),
    )


# Timeline


def timeline_figure(columns: Sequence[ReportColumn], clock_mhz: int) -> Picture:
    """Gantt of steps: the units and ports of each mechanism; the whole pass, and one layer."""
    machines = machines_of(columns)
    core = next((s for s in machines[0].steps if s.op == CORE), None)
    layer = layer_of(core.module) if core else ""
    panels = [gantt("the whole pass", columns, clock_mhz, "")]
    if layer:
        panels.append(gantt(layer, columns, clock_mhz, layer))
    lines = []
    for name, m in zip(short_names(columns), machines, strict=True):
        for s in m.steps:
            busy = (shown(n) for n in lanes_of(s).values())
            lines.append((name, s.op, s.module, shown(s.start_cycle), shown(s.cycles), *busy))
    machine = machines[0]
    stalls = [f"{100 * m.stall_cycles / m.cycles:.1f} %" for m in machines]
    arrays = [name for name in lanes_of(machine.steps[0]) if name.startswith("array")]
    units = (*arrays, "vector unit", "DMA", "read port", "write port")
    head = ("mechanism", "step", "module", "starts", "cycles", *units)
    return Picture(
        "timeline",
        "Schedule",
        f"Neither array nor vector unit has work in {' and '.join(stalls)} of the cycles. A unit's bar starts "
        "with its step: within a step the units work side by side.",
        tuple(panels),
        f"Schedule on {machine.target} ({machine.array} PEs, {machine.dataflow}, timing "
        f"{machine.timing}) at {clock_mhz} MHz (costmodel/mapping/schedule.py).",
        Grid("steps in cycles", head, tuple(lines)),
        (("whole", "busy"), ("core", "busy with the attention core")),
        zooms=True,
    )


def lanes_of(step: StepRecord) -> dict[str, int]:
    """Cycles of each unit in a step: of each array, where there are several."""
    arrays = {f"array {n}": cycles for n, cycles in enumerate(step.each_array_cycles or (), 1)}
    return (arrays or {"array": step.array_cycles}) | {lane: getattr(step, key) for lane, key in LANES}


def gantt(title: str, columns: Sequence[ReportColumn], clock_mhz: int, layer: str) -> Panel:
    """Bars of each unit of each mechanism; of one layer, or of all where it is empty."""
    data: list[Drawing] = []
    labels: list[str] = []
    for i, (name, m) in enumerate(zip(short_names(columns), machines_of(columns), strict=True)):
        steps = [s for s in m.steps if not layer or layer_of(s.module) == layer]
        origin = steps[0].start_cycle if steps and layer else 0
        for lane in lanes_of(m.steps[0]):
            busy = [(s, lanes_of(s)[lane]) for s in steps if lanes_of(s)[lane]]
            data.append(
                {
                    "type": "bar",
                    "orientation": "h",
                    "width": 0.72,
                    "base": [(s.start_cycle - origin) / (1e3 * clock_mhz) for s, _ in busy],
                    "x": [cycles / (1e3 * clock_mhz) for _, cycles in busy],
                    "y": [len(labels)] * len(busy),
                    "hovertext": [
                        f"<b>{name}</b>, {lane}: {s.op}<br>{s.module}<br>{shown(cycles)} of the step's "
                        f"{shown(s.cycles)} cycles{'<br>tile ' + s.tile if s.tile else ''}"
                        for s, cycles in busy
                    ],
                    "hoverinfo": "text",
                    "marker": {
                        "color": [colour(i, pale=s.op != CORE) for s, _ in busy],
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
