"""What the figures of a page share: panels, bars, points with ranges, colours by name.

Colours are CSS variables (`var(--m0)`: the first mechanism), which the page resolves for light, dark and print.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from costmodel.records import Json
from costmodel.show.grid import Grid, shown

Drawing = dict[str, Json]  # what plotly calls data, layout, axis, ...
ROW_PX = 26  # height of a bar and its gap
INK, FAINT, PAPER = "var(--ink)", "var(--faint)", "var(--paper)"
SYMBOLS = ("circle", "diamond", "square", "cross", "triangle-up", "x")
COLOURS = 6


@dataclass(frozen=True)
class Panel:
    """One drawing: plotly's data and layout."""

    title: str
    figure: Drawing
    height_px: int


@dataclass(frozen=True)
class Picture:
    """Panels with what they say in words, where the numbers are from, and the numbers themselves."""

    key: str
    title: str
    says: str
    panels: tuple[Panel, ...]
    source: str
    grid: Grid
    marks: tuple[tuple[str, str], ...] = ()  # what shades and symbols mean
    zooms: bool = False


def colour(i: int, pale: bool = False) -> str:
    return f"var(--m{i % COLOURS}{'-pale' if pale else ''})"


def compact(value: float) -> str:
    """Three digits and a prefix: 1.44 G."""
    for limit, prefix in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= limit:
            return (
                f"{value / limit:.3g}{prefix}" if abs(value) < 999.5 * limit else f"{value / limit:,.0f}{prefix}"
            )
    return f"{value:.3g}"


def full(value: float) -> str:
    """All digits that matter, thousands separated by blanks."""
    if isinstance(value, int):
        return shown(value)
    return f"{value:,.1f}".replace(",", " ") if abs(value) >= 100 else f"{value:.4g}"


def axis(title: str = "", **settings: Json) -> Drawing:
    """An axis without lines and ticks, but for the settings of plotly given."""
    plain = {"zeroline": False, "showgrid": False, "ticks": "", "automargin": True, "color": INK}
    return plain | {"title": {"text": title, "standoff": 8}, "gridcolor": FAINT, "fixedrange": True} | settings


def panel(title: str, data: list[Drawing], layout: Drawing, height_px: int) -> Panel:
    """Checked by plotly: a wrong name of a property raises.

    Raises:
        ValueError: plotly does not know a property or its value.
    """
    import plotly.graph_objects as go

    base = {
        "template": {},
        "height": height_px,
        "margin": {"l": 8, "r": 12, "t": 6, "b": 8},
        "showlegend": False,
        "dragmode": False,
        "hovermode": "closest",
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "system-ui, sans-serif", "size": 12, "color": INK},
        "hoverlabel": {"bgcolor": PAPER, "bordercolor": INK, "font": {"color": INK, "size": 12}, "align": "left"},
    }
    made = go.Figure(data=data, layout=base | layout).to_plotly_json()
    made["layout"].pop("template", None)
    return Panel(title, made, height_px)


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2, 5, 10 ... between two positive numbers."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [x for e in decades for x in (10.0**e, 2 * 10.0**e, 5 * 10.0**e) if low <= x <= high]


@dataclass(frozen=True)
class Bar:
    """The whole, the part of the attention core, and the range of the whole."""

    whole: float
    core: float
    low: float | None = None
    high: float | None = None


def bars(title: str, unit: str, names: list[str], rows: list[tuple[str, list[Bar | None]]]) -> Panel:
    """Side by side, one row a quantity, one bar a mechanism: pale the whole, solid the attention core."""
    many = len(names)
    thick = 0.8 / many
    top = max((b.high or b.whole for _, each in rows for b in each if b), default=1) or 1
    data: list[Drawing] = []
    for i, name in enumerate(names):
        found = [(r, label, each[i]) for r, (label, each) in enumerate(rows)]
        known = [(r, label, b) for r, label, b in found if b is not None]
        places = [r + thick * (i - (many - 1) / 2) for r, _, _ in known]
        ends = [b.high or b.whole for _, _, b in known]
        hover = [
            f"<b>{label}</b>, {name}<br>{full(b.whole)} {unit}{ranged(b)}<br>attention core {full(b.core)} {unit}"
            for _, label, b in known
        ]
        common = {"orientation": "h", "width": thick * 0.86, "hovertext": hover, "hoverinfo": "text"}
        whole = [b.whole for _, _, b in known]
        core = [b.core for _, _, b in known]
        shade = {"color": colour(i, pale=True), "line": {"color": colour(i), "width": 1}}
        data.append({"type": "bar", "name": name, "x": whole, "y": places, "marker": shade, **common})
        data.append(
            {"type": "bar", "name": f"{name} core", "x": core, "y": places, "marker": {"color": colour(i)}}
            | common
        )
        if any(b.high is not None and b.high != b.low for _, _, b in known):
            data[-2]["error_x"] = error_of([(b.whole, b.low, b.high) for _, _, b in known])
        data.append(
            {"type": "scatter", "mode": "text", "x": ends, "y": places, "text": [f" {compact(x)}" for x in whole]}
            | {"textposition": "middle right", "hoverinfo": "skip", "textfont": {"size": 11, "color": INK}}
            | {"cliponaxis": False}
        )
    layout = {
        "barmode": "overlay",
        "xaxis": axis(unit, range=[0, 1.22 * top], showgrid=True, nticks=5, exponentformat="SI"),
        "yaxis": row_axis([label for label, _ in rows]),
    }
    return panel(title, data, layout, 62 + max(2, many) * ROW_PX * len(rows) * 3 // 4)


def ranged(b: Bar) -> str:
    return "" if b.low is None or b.low == b.high else f" ({full(b.low)} to {full(b.high or 0)})"


def row_axis(labels: list[str]) -> Drawing:
    """Rows from the top, by number, so that marks can stand beside each other within one."""
    places = list(range(len(labels)))
    return axis(tickvals=places, ticktext=labels, range=[len(labels) - 0.5, -0.5], ticklabelstandoff=6)


def error_of(spans: list[tuple[float, float | None, float | None]]) -> Drawing:
    """plotly's error bars of (nominal, low, high)."""
    return {
        "type": "data",
        "symmetric": False,
        "array": [0 if high is None else high - x for x, _, high in spans],
        "arrayminus": [0 if low is None else x - low for x, low, _ in spans],
        "color": INK,
        "thickness": 1,
        "width": 3,
    }


@dataclass(frozen=True)
class Mark:
    """A point in a row, with its range."""

    row: int
    series: int  # colour
    symbol: int
    shift: float  # within the row, -0.5 to 0.5
    value: float
    low: float
    high: float
    hover: str


def ranges(title: str, unit: str, labels: list[str], marks: list[Mark], line: float | None) -> Panel:
    """Points with ranges in rows; `line`: a value to compare with."""
    data = []
    for key in dict.fromkeys((m.series, m.symbol) for m in marks):
        own = [m for m in marks if (m.series, m.symbol) == key]
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": [m.value for m in own],
                "y": [m.row + m.shift for m in own],
                "hovertext": [m.hover for m in own],
                "hoverinfo": "text",
                "error_x": error_of([(m.value, m.low, m.high) for m in own]) | {"color": colour(key[0])},
                "marker": {"color": colour(key[0]), "symbol": SYMBOLS[key[1]], "size": 9},
            }
        )
    layout: Drawing = {
        "xaxis": axis(unit, showgrid=True, nticks=6),
        "yaxis": row_axis(labels),
    }
    if line is not None:
        at = {"x0": line, "x1": line, "y0": 0, "y1": 1, "yref": "paper"}
        layout["shapes"] = [{"type": "line", "line": {"color": INK, "width": 1, "dash": "dot"}, **at}]
    return panel(title, data, layout, 70 + 34 * len(labels))
