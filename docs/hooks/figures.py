"""Notebooks of the site show their figures: a hook of mkdocs that gives every kept figure of plotly as HTML.

The notebooks keep figures as plotly's own JSON, which the converter of notebooks leaves out. Copies with HTML in
its place stand in for them; plotly's script comes with the site, so that nothing is fetched from other hosts.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import nbformat
import plotly
import plotly.io
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files

FIGURE = "application/vnd.plotly.v1+json"
SCRIPT = "assets/plotly.min.js"
COPIES = tempfile.TemporaryDirectory(prefix="notebooks-")


@event_priority(100)  # before the plugin for notebooks looks at the files
def on_files(files: Files, config: Any) -> Files:
    for file in files:
        if file.src_uri.endswith(".ipynb"):
            copy = Path(COPIES.name) / file.src_uri
            copy.parent.mkdir(parents=True, exist_ok=True)
            nbformat.write(with_figures(Path(str(file.abs_src_path))), copy)
            file.src_dir = COPIES.name
    script = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
    files.append(File.generated(config, SCRIPT, abs_src_path=str(script)))
    return files


def with_figures(path: Path) -> Any:
    """The notebook, with HTML where it has a figure."""
    notebook = nbformat.read(path, as_version=4)
    for number, cell in enumerate(notebook.cells):
        for place, output in enumerate(cell.get("outputs", ())):
            figure = output.get("data", {}).pop(FIGURE, None)
            if figure is not None:
                name = f"figure-{number}-{place}"
                output.data["text/html"] = html_of(figure, name)
    return notebook


def html_of(figure: Any, name: str) -> str:
    shown = plotly.io.from_json(json.dumps({key: figure[key] for key in ("data", "layout")}))
    text: str = plotly.io.to_html(shown, full_html=False, include_plotlyjs=f"../../{SCRIPT}", div_id=name)
    return text
