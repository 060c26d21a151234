"""Grids and notes as small tables of a notebook."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from costmodel.show.document import Document
from costmodel.show.grid import Grid

MOST_ROWS = 40  # of one table in a notebook; `to_rows` has them all

# No colours of its own, so that light and dark notebooks both do.
STYLE = "border-collapse:collapse;margin:0.3em 0 0.8em 0"
CELL = "padding:0.1em 0.7em;border:0;border-bottom:1px solid rgba(128,128,128,0.35);white-space:nowrap"


def html_grid(grid: Grid) -> str:
    """A grid as a small table; long ones are cut, and say so."""

    def cell(tag: str, text: str, place: int) -> str:
        side = "right" if place and grid.numbers else "left"
        return f'<{tag} style="{CELL};text-align:{side}">{escape(text)}</{tag}>'

    def line(tag: str, cells: Iterable[str]) -> str:
        return "<tr>" + "".join(cell(tag, text, n) for n, text in enumerate(cells)) + "</tr>"

    body = [line("td", row) for row in grid.rows[:MOST_ROWS]]
    if len(grid.rows) > MOST_ROWS:
        body.append(line("td", [f"and {len(grid.rows) - MOST_ROWS} more rows"]))
    head = f"<thead>{line('th', grid.head)}</thead>"
    title = f"<div><b>{escape(grid.title)}</b></div>" if grid.title else ""
    return f'{title}<table style="{STYLE}">{head}<tbody>{"".join(body)}</tbody></table>'


def html_notes(notes: Iterable[str]) -> str:
    lines = "<br>".join(escape(note) for note in notes)
    return f'<div style="font-size:85%">{lines}</div>' if lines else ""


def document_html(document: Document) -> str:
    """All grids and notes."""
    lead = html_notes(document.lead)
    return lead + "\n".join(html_grid(grid) for grid in document.grids) + html_notes(document.notes)
