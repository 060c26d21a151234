"""One HTML page of figures that needs nothing else: plotly, style, data and tables are inside.

The page asks the network for nothing; a policy in its head makes the browser refuse if it did.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

from costmodel.compare.records import ReportRecord
from costmodel.records import Json
from costmodel.show.grid import Grid, shown, sizes_of
from costmodel.show.machine_tables import machines_of
from costmodel.show.plots import Picture, full
from costmodel.show.verdict_lines import lead_lines, short_names

WEB = Path(__file__).parent / "web"
POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
TOOLS = ("costmodel", "plotly", "numpy", "click")
SIGNS = {"circle": "●", "diamond": "◆", "star": "★", "large": "●", "small": "•"}


@dataclass(frozen=True)
class Page:
    """What stands around the figures."""

    title: str
    lead: str
    names: tuple[str, ...]
    glance: Grid
    notes: tuple[str, ...]
    command: str
    date: str
    python: str


def render_page(page: Page, pictures: Sequence[Picture]) -> str:
    """The page as HTML text."""
    figures = {f"{p.key}-{n}": panel.figure for p in pictures for n, panel in enumerate(p.panels)}
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<link rel="icon" href="data:,">',
        f"<title>{escape(page.title)}</title>",
        f"<style>{read('page.css')}</style>",
        "</head>",
        "<body>",
        *head_html(page),
        "<main>",
        *(picture_html(p) for p in pictures),
        "</main>",
        *foot_html(page),
        f'<script type="application/json" id="figures">{embedded(figures)}</script>',
        f"<script>{plotly_js()}</script>",
        f"<script>{read('page.js')}</script>",
        "</body>",
        "</html>",
    ]
    return "\n".join(parts) + "\n"


def escape(text: str, quote: bool = False) -> str:
    """HTML text in which no number is parted from its unit, nor its thousands."""
    kept = re.sub(r"(?<=\d) (?=\d{3}\b|%|µJ|MB|[kMGT]\b)", "\u00a0", text)
    return html.escape(kept, quote)


def embedded(data: Json) -> str:
    """JSON that cannot end its script element."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=as_list)
    return text.replace("<", "\\u003c")


def as_list(array: Json) -> Json:
    """plotly keeps some sequences as arrays or tuples of numpy."""
    return array.tolist()


def read(name: str) -> str:
    return (WEB / name).read_text(encoding="utf-8")


@cache
def plotly_js() -> str:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def head_html(page: Page) -> list[str]:
    names = (
        f'<li><span class="swatch" style="background:var(--m{i})"></span>{escape(name)}</li>'
        for i, name in enumerate(page.names)
    )
    return [
        "<header>",
        f"<h1>{escape(page.title)}</h1>",
        f'<p class="lead">{escape(page.lead)}</p>',
        f'<ul class="names" aria-label="colours of the mechanisms">{"".join(names)}</ul>',
        '<div class="scroll" tabindex="0" role="region" aria-label="at a glance">',
        f"{table_html(page.glance, 'glance')}</div>",
        '<noscript><p class="quiet">The figures need JavaScript; the tables under them do not.</p></noscript>',
        "</header>",
    ]


def picture_html(picture: Picture) -> str:
    """A figure: heading, what it says, panels, the source, and its numbers as a table."""
    panels = []
    for n, panel in enumerate(picture.panels):
        label = escape(f"{picture.title}{', ' + panel.title if panel.title else ''}. {picture.says}", quote=True)
        heading = f"<h3>{escape(panel.title)}</h3>" if panel.title else ""
        panels.append(
            f'<div class="panel">{heading}<div class="plot" id="{picture.key}-{n}" role="img" '
            f'aria-label="{label}" style="min-height:{panel.height_px}px"></div></div>'
        )
    marks = "".join(
        f'<li><span class="mark {key}" aria-hidden="true">{SIGNS.get(key, "")}</span>{escape(text)}</li>'
        for key, text in picture.marks
    )
    wide = "two" if len(picture.panels) > 1 and not picture.zooms else "one"
    tip = " Drag to zoom, double-click to see all." if picture.zooms else ""
    return "\n".join(
        [
            f'<figure class="{wide}" aria-labelledby="{picture.key}-title">',
            f'<h2 id="{picture.key}-title">{escape(picture.title)}</h2>',
            f"<p>{escape(picture.says)}</p>",
            *([f'<ul class="marks">{marks}</ul>'] if marks else []),
            f'<div class="panels">{"".join(panels)}</div>',
            f"<figcaption>Source: {escape(picture.source)}{tip}</figcaption>",
            "<details><summary>The numbers</summary>",
            f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(picture.title)}, numbers">',
            table_html(picture.grid),
            "</div></details>",
            "</figure>",
        ]
    )


def table_html(grid: Grid, kind: str = "") -> str:
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in grid.head)
    rows = []
    for first, *rest in grid.rows:
        cells = "".join(f"<td>{escape(cell)}</td>" for cell in rest)
        rows.append(f'<tr><td scope="row">{escape(first)}</td>{cells}</tr>')
    name = f' class="{kind}"' if kind else ""
    return (
        f"<table{name}><caption>{escape(grid.title)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def foot_html(page: Page) -> list[str]:
    tools = ", ".join(f"{name} {version(name)}" for name in TOOLS)
    return [
        "<footer>",
        "<h2>Made by</h2>",
        f"<pre><code>{html.escape(page.command)}</code></pre>",
        f"<p>{escape(page.date)}; {escape(tools)}, Python {escape(page.python)}.</p>",
        "<h2>Notes</h2>",
        f"<ul>{''.join(f'<li>{escape(note)}</li>' for note in page.notes)}</ul>",
        "</footer>",
    ]


# What the page says first


def title_of(record: ReportRecord) -> str:
    names = short_names(record.columns)
    text = f"{record.columns[0].count.subject.model}: {names[0]}"
    return f"{text} against {', '.join(names[1:])}" if len(names) > 1 else text


def lead_of(record: ReportRecord) -> str:
    """The verdict in words, as a report on a screen begins with it."""
    return " ".join(lead_lines(record, short_names(record.columns)))


def glance_grid(record: ReportRecord) -> Grid:
    """The few figures that a meeting asks for."""
    columns = record.columns
    rows = [("multiplications", *(shown(c.count.counts["mul"]) for c in columns))]
    rows.append(("all operations", *(shown(c.count.flops) for c in columns)))
    machines = machines_of(columns)
    if machines:
        rows.append(("milliseconds", *(f"{1e3 * m.seconds:.3f}" for m in machines)))
        totals = [m.energy_pj.total for m in machines if m.energy_pj.total]
        if totals:
            rows.append(("energy, µJ", *(full(total.nominal_pj / 1e6) for total in totals)))
        rows.append(("DRAM traffic, MB", *(f"{m.bytes.dram / 1e6:.2f}" for m in machines)))
        areas = [m.area_mm2 for m in machines if m.area_mm2]
        if areas:
            rows.append(("area, mm²", *(f"{area.total:.2f}" for area in areas)))
    subject, widths = columns[0].count.subject, columns[0].widths
    kind = widths.policy if widths else subject.dtype
    head = ("", *short_names(columns))
    return Grid(f"One forward pass, {sizes_of(subject.batch, subject.seq)}{kind}", head, tuple(rows))
