"""Measure the students that ship, on a task's whole dev split: writes models/results.json.

    python -m tests.bench.accuracy --data-dir DIR [--runs DIR]

`--runs DIR` holds the training runs by the students' names: their commands, seeds and CPU hours are taken over.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from costmodel.cache import write_whole
from costmodel.cli.evaluate import measure
from costmodel.cli.session import Session
from models.students import FOLDER, RESULTS

WIDTHS = {"sst2": ("w8a8", "w4a8")}
PACKAGES = ("numpy", "numba", "torch", "transformers", "tokenizers", "safetensors")


def result_of(directory: Path, data_dir: Path | None, runs: Path | None) -> dict[str, Any]:
    """One student: every arithmetic on the whole dev split, and how it was trained."""
    task = directory.name.partition("-")[0]
    record, _ = measure(Session(str(directory), None), task, None, data_dir, WIDTHS.get(task, ("w8a8",)), None)
    record["model"] = f"models/students/{directory.name}"
    record["source"] = f"{task} dev, GLUE" if data_dir is not None else record["source"]
    for found in record["results"].values():
        del found["cpu_seconds"]
    previous = {r["model"]: r for r in json.loads(RESULTS.read_text())["results"]} if RESULTS.is_file() else {}
    training = previous.get(record["model"], {}).get("training")
    if runs is not None and (runs / directory.name / "training.json").is_file():
        training = json.loads((runs / directory.name / "training.json").read_text())
    return record | {
        "training": training,
        "command": "python -m tests.bench.accuracy --data-dir GLUE",
        "versions": {name: version(name) for name in PACKAGES} | {"python": platform.python_version()},
        "date": str(datetime.date.today()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--runs", type=Path)
    args = parser.parse_args()
    students = sorted(p.parent for p in FOLDER.glob("*/config.json"))
    results = [result_of(directory, args.data_dir, args.runs) for directory in students]
    write_whole(RESULTS, json.dumps({"format": 1, "results": results}, indent=1) + "\n")
    for r in results:
        shown = {name: f"{100 * next(iter(e['metrics'].values())):.2f}" for name, e in r["results"].items()}
        print(r["model"], r["attention"], shown)


if __name__ == "__main__":
    main()
