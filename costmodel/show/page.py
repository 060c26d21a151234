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
from typing import Any

from costmodel.compare.ratios import share
from costmodel.show.grid import Grid, shown
from costmodel.show.plots import Picture, full, short_names

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


def embedded(data: Any) -> str:
    """JSON that cannot end its script element."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=as_list)
    return text.replace("<", "\\u003c")


def as_list(array: Any) -> Any:
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


def title_of(record: dict[str, Any]) -> str:
    first, *others = record["columns"]
    names = short_names(record["columns"])
    text = f"{first['model']}: {names[0]}"
    return f"{text} against {', '.join(names[1:])}" if others else text


def lead_of(record: dict[str, Any]) -> str:
    """The honest paragraph: what attention is at most worth here, then what each mechanism makes of it."""
    columns = record["columns"]
    first, *others = columns
    names = short_names(columns)
    mul = share(first["attention_core"]["counts"]["mul"], first["counts"]["mul"])
    at = f"At S={first['seq']} the" if first["seq"] else "The"
    text = f"{at} attention core of {names[0]} holds {mul} of the multiplications of {first['model']}"
    machine = first.get("machine")
    if machine:
        whole, core = machine["energy_pj"]["total"], machine["core_energy_pj"]["total"]
        text += f", {share(machine['core_cycles'], machine['cycles'])} of the cycles"
        text += f" and {share(core[0], whole[0])} of the energy" if whole else ""
        text += f" on {machine['target']}"
    text += ". No other attention can save more than that."
    for name, c in zip(names[1:], others, strict=True):
        text += f" With {name} the model takes {times(c, first, names[0])}."
        text += core_range(record, columns.index(c), name, names[0])
    return text + accuracy_sentence(record, names)


def times(c: dict[str, Any], first: dict[str, Any], name: str) -> str:
    """Ratios of a column to the first."""
    if "machine" not in c:
        return f"{c['flops'] / first['flops']:.3f} times the operations of {name}"
    a, b = first["machine"], c["machine"]
    text = f"{b['cycles'] / a['cycles']:.3f} times the cycles"
    if a["energy_pj"]["total"]:
        text += f" and {b['energy_pj']['total'][0] / a['energy_pj']['total'][0]:.3f} times the energy"
    return f"{text} of {name}"


def core_range(record: dict[str, Any], i: int, name: str, over: str) -> str:
    """The arithmetic of the core over all tables that price it."""
    rows = [r["core_arithmetic"] for r in record.get("machine_verdict", []) if r["column"] == i]
    if not record.get("machine_verdict"):
        attention = record["columns"][i]["attention"]
        rows = [r["core_arithmetic"] for r in record["verdict"] if r["attention"] == attention]
    found = [r["nominal"] for r in rows if r]
    if not found:
        return ""
    span = f"{min(found):.2f} to {max(found):.2f}"
    text = f" The arithmetic of its core alone takes {span} times the energy, over {len(found)} cost tables"
    if "machine" not in record["columns"][i]:
        attention = record["columns"][i]["attention"]
        whole = [r["total"]["nominal"] for r in record["verdict"] if r["attention"] == attention and r["total"]]
        if whole:
            text += f"; with every operand from memory the model takes {min(whole):.2f} to {max(whole):.2f} times"
    return text + "."


def accuracy_sentence(record: dict[str, Any], names: list[str]) -> str:
    found = record.get("accuracy")
    if not found:
        return ""
    policy = record["columns"][0].get("widths", {}).get("policy")
    kind = policy if policy in found[0]["results"] else next(iter(found[0]["results"]))
    metric = next(iter(found[0]["results"][kind]["metrics"]))
    parts = []
    for name, each in zip(names, found, strict=True):
        got = each["results"].get(kind)
        if got is None:
            continue
        span = got.get("interval")
        text = f"{100 * got['metrics'][metric]:.1f} %"
        text += f" ({100 * span[0]:.1f} to {100 * span[1]:.1f})" if span else ""
        parts.append(f"{text} with {name}")
    return f" {metric.capitalize()} on {found[0]['task']} in {kind}: {', '.join(parts)}."


def glance_grid(record: dict[str, Any]) -> Grid:
    """The few figures that a meeting asks for."""
    columns = record["columns"]
    rows = [("multiplications", *(shown(c["counts"]["mul"]) for c in columns))]
    rows.append(("all operations", *(shown(c["flops"]) for c in columns)))
    if "machine" in columns[0]:
        machines = [c["machine"] for c in columns]
        rows.append(("milliseconds", *(f"{1e3 * m['seconds']:.3f}" for m in machines)))
        if machines[0]["energy_pj"]["total"]:
            rows.append(("energy, µJ", *(full(m["energy_pj"]["total"][0] / 1e6) for m in machines)))
        moved = [m["bytes"]["dram_read"] + m["bytes"]["dram_write"] for m in machines]
        rows.append(("DRAM traffic, MB", *(f"{b / 1e6:.2f}" for b in moved)))
        if machines[0]["area_mm2"]:
            rows.append(("area, mm²", *(f"{m['area_mm2']['total']:.2f}" for m in machines)))
    first = columns[0]
    size = f"B={first['batch']}, S={first['seq']}, " if first["seq"] else ""
    kind = first["widths"]["policy"] if "widths" in first else first["dtype"]
    return Grid(f"One forward pass, {size}{kind}", ("", *short_names(columns)), tuple(rows))
