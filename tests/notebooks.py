"""The notebooks: `python -m tests.notebooks [NAME ...]` runs them and keeps their outputs; a test runs them anew.

What is kept says nothing of when and where it ran: ids of cells count from 0, no times, no state of widgets.
"""

from __future__ import annotations

import copy
import os
import sys
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

from tests.paths import ROOT

FOLDER = ROOT / "notebooks"
CPU_SECONDS = 120  # of one notebook at most
CELL_SECONDS = 600  # of one cell, on a machine with other things to do
WIDGETS = ("application/vnd.jupyter.widget-view+json",)  # ids of live objects: nothing to keep
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def paths() -> list[Path]:
    return sorted(FOLDER.glob("*.ipynb"))


def run(path: Path) -> Any:
    """The notebook with the outputs of a fresh kernel.

    Raises:
        CellExecutionError: a cell fails.
    """
    notebook = copy.deepcopy(nbformat.read(path, as_version=4))
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    client = NotebookClient(
        notebook,
        timeout=CELL_SECONDS,
        kernel_name="python3",
        record_timing=False,
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
    )
    client.execute(cwd=str(FOLDER))
    return normalised(notebook)


def normalised(notebook: Any) -> Any:
    """The same notebook without what changes from run to run."""
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL, "language_info": {"name": "python"}})
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "code":
            cell.outputs = joined(cell.outputs)
        cell.id = f"cell-{number}"
        cell.metadata = nbformat.from_dict({})
        for output in cell.get("outputs", ()):
            if "metadata" in output:
                output.metadata = nbformat.from_dict({})
            for kind in WIDGETS:
                output.get("data", {}).pop(kind, None)
    return notebook


def joined(outputs: list[Any]) -> list[Any]:
    """What is printed comes in as many pieces as time happens to cut it into: they become one."""
    found: list[Any] = []
    for output in outputs:
        before = found[-1] if found else None
        if output.output_type == "stream" and before is not None and before.get("name") == output.name:
            before.text += output.text
        else:
            found.append(output)
    return found


def texts(notebook: Any) -> list[list[str]]:
    """Of every code cell what it shows as text: printed, as text, as HTML; figures count as their numbers."""
    return [
        [text for output in cell.outputs for text in texts_of(output)]
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


def texts_of(output: Any) -> list[str]:
    if output.output_type == "stream":
        return [f"{output.name}: {output.text}"]
    data = output.get("data", {})
    return [data[kind] for kind in ("text/plain", "text/html") if kind in data]


def save(notebook: Any, path: Path) -> None:
    nbformat.validate(notebook)
    path.write_text(nbformat.writes(notebook), encoding="utf-8")


if __name__ == "__main__":
    for chosen in paths():
        if len(sys.argv) == 1 or any(name in chosen.stem for name in sys.argv[1:]):
            save(run(chosen), chosen)
            print(chosen.name, f"{chosen.stat().st_size / 1024:.0f} KiB")
