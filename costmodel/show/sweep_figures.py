"""The Pareto front of a sweep as a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from costmodel.explore.front_records import DrawnPoint, FrontPicture
from costmodel.show.grid import Grid, shown
from costmodel.show.plots import PAPER, Picture, axis, colour, full, panel

OBJECTIVES = {
    "energy_uj": "energy, µJ",
    "latency_ms": "latency, ms",
    "area_mm2": "area, mm²",
    "dram_bytes": "DRAM traffic, bytes",
}


def front_figure(front: FrontPicture) -> Picture:
    """Points of a sweep by pairs of objectives; large those that no other point beats."""
    objectives = front.objectives
    names = front.attentions
    shown_points = front.points
    panels = []
    first, *others = objectives
    for other in others[:3] or [first]:
        data = []
        for on_front in (False, True):
            for i, name in enumerate(names):
                own = [p for p in shown_points if p.front == on_front and p.knobs["attention"] == name]
                if not own:
                    continue
                data.append(
                    {
                        "type": "scatter",
                        "mode": "markers",
                        "x": [p.values[first.name] for p in own],
                        "y": [p.values[other.name] for p in own],
                        "hovertext": [point_text(p, front.varied) for p in own],
                        "hoverinfo": "text",
                        "marker": {
                            "color": colour(front.colours[i], pale=not on_front),
                            "size": 10 if on_front else 6,
                            "line": {"color": PAPER if on_front else colour(front.colours[i]), "width": 1},
                        },
                    }
                )
        labels = [OBJECTIVES.get(o.name, o.name) for o in (first, other)]
        layout = {
            "xaxis": axis(labels[0], showgrid=True, nticks=6),
            "yaxis": axis(labels[1], showgrid=True, nticks=6),
        }
        panels.append(panel(f"{labels[1]} against {labels[0]}", data, layout, 320))
    best = [p for p in shown_points if p.front]
    lines = [
        (
            shown(p.index),
            *(full(p.values[o.name]) for o in objectives),
            knob_text(p.knobs, front.varied),
        )
        for p in best
    ]
    senses = ", ".join(f"{o.name} ({o.sense})" for o in objectives)
    like = f" of the same {' and '.join(front.apart)}" if front.apart else ""
    part = "" if front.drawn == front.feasible else f" Drawn are {front.drawn:,} of them, and the whole front."
    return Picture(
        "front",
        "Pareto front",
        f"{front.front} of {front.feasible:,} feasible designs are beaten by no other{like} in {senses}.{part}",
        tuple(panels),
        f"Sweep store {front.store}: {front.stored:,} points stored, {front.failed:,} failed; "
        f"space {front.space}.",
        Grid("the front", ("point", *(o.name for o in objectives), "knobs"), tuple(lines)),
        (("large", "on the front"), ("small", "beaten by another")),
        zooms=False,
    )


def knob_text(knobs: Mapping[str, str | int], varied: Sequence[str]) -> str:
    return ", ".join(f"{name}={knobs[name]}" for name in varied)


def point_text(p: DrawnPoint, varied: Sequence[str]) -> str:
    knobs = "<br>".join(f"{name} {value}" for name, value in p.knobs.items() if name in varied)
    values = "<br>".join(f"{name} {full(value)}" for name, value in p.values.items())
    return f"<b>point {p.index}</b><br>{values}<br>{knobs}"
