"""Measure checkpoints on a task's whole dev split, in floats and in bits: writes models/results.json.

    python -m tests.bench.accuracy --data-dir DIR [--runs DIR]

First the students that ship, then every finished run of RUNS that is named TASK-FORM-SEED, such as cola-dot-1: all
of a task and form are one result of several seeds. What was measured of an unchanged checkpoint is kept.
How a checkpoint was trained is taken from the records of its run and of those that it began with or learned from.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import re
from dataclasses import MISSING, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

from costmodel.api.evaluations import measure
from costmodel.api.session import Session
from costmodel.files import write_whole
from models.tasks.data import TASKS
from models.training.recipe import TrainConfig
from models.training.state import digest_of
from models.zoo.students import FOLDER, RESULTS

WIDTHS = {"sst2": ("w8a8", "w4a8")}
MOST_TOKENS = {"imdb": 256}  # as in training; of the others 128, which is usual with GLUE
PACKAGES = ("numpy", "numba", "torch", "transformers", "tokenizers", "safetensors")
# Options of `costmodel train` by the fields of its record; the others are the task's.
OPTIONS = {
    "attention": "--attention",
    "seed": "--seed",
    "train_steps": "--steps",
    "align_steps": "--align-steps",
    "batch": "--batch",
    "rate": "--rate",
    "average": "--average",
    "precision": "--precision",
    "threads": "--threads",
}
DEFAULTS = {f.name: f.default for f in fields(TrainConfig) if f.default is not MISSING}


def checkpoints_of(runs: Path) -> dict[str, str]:
    """Names such as RUNS/cola-dot-1/best by the digest of the weights."""
    found = {}
    for path in sorted(runs.glob("*/*/model.safetensors")):
        if path.parent.name in ("best", "last", "int8"):
            found.setdefault(digest_of(str(path.parent)) or "", f"RUNS/{path.parts[-3]}/{path.parts[-2]}")
    return found


def training_of(run: Path, known: dict[str, str]) -> dict[str, Any]:
    """Commands, steps, seeds and CPU hours of a run and of those that it needed, oldest first."""
    record = json.loads((run / "run.json").read_text())
    identity = record["identity"]
    parents = [identity["teacher"], *(identity["start"] or [])]
    strange = [digest for digest in parents if digest is not None and digest not in known]
    if strange:
        raise SystemExit(f"{run}: the checkpoints {', '.join(strange)} that it began with are not in {run.parent}")
    names = {digest: known[digest] for digest in parents if digest is not None}
    training: dict[str, Any] = {"commands": [], "steps": [], "cpu_hours": [], "wall_hours": []}
    for name in sorted(set(names.values())):
        older = training_of(run.parent / name.split("/")[1], known)
        new = [i for i, command in enumerate(older["commands"]) if command not in training["commands"]]
        for key, values in training.items():
            values += [older[key][i] for i in new]
    qat = identity["qat_steps"] if identity["qat"] else 0
    identity["train_steps"] = record["steps"] - identity["align_steps"] - qat  # recipes change
    options = [
        f"{flag} {identity[key]}"
        for key, flag in OPTIONS.items()
        if identity.get(key, DEFAULTS.get(key)) != DEFAULTS.get(key)
    ]
    options += [f"--teacher {names[identity['teacher']]}"] if identity["teacher"] else []
    options += [f"--start {names[digest]}" for digest in identity["start"] or []]
    training["commands"].append(
        f"costmodel train {identity['task']} --data-dir GLUE {' '.join(options)} --out RUNS/{run.name}".replace(
            "  ", " "
        )
    )
    training["steps"].append(record["steps"])
    training["wall_hours"].append(round(record["seconds"] / 3600, 3))
    cpu = record.get("cpu_seconds")
    training["cpu_hours"].append(None if cpu is None else round(cpu / 3600, 3))
    return training


def measured(directory: Path, task: str, data_dir: Path | None) -> dict[str, Any]:
    """Every arithmetic on the whole dev split."""
    if not TASKS[task].folder:
        data_dir = None
    widths = WIDTHS.get(task, ("w8a8",))
    record, _ = measure(
        Session(str(directory), None), task, None, data_dir, widths, None, max_tokens=MOST_TOKENS.get(task, 128)
    )
    record["source"] = f"{task} dev, GLUE" if data_dir is not None else record["source"]
    for found in record["results"].values():
        del found["cpu_seconds"]
    record["weights"] = digest_of(str(directory))
    return record | {
        "command": "python -m tests.bench.accuracy --data-dir GLUE --runs RUNS",
        "versions": {name: version(name) for name in PACKAGES} | {"python": platform.python_version()},
        "date": str(datetime.date.today()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--runs", type=Path)
    args = parser.parse_args()
    stored = json.loads(RESULTS.read_text())["results"] if RESULTS.is_file() else []
    before = {(r["model"], r["weights"], r["max_tokens"]): r for r in stored}
    known = checkpoints_of(args.runs) if args.runs else {}
    places = [(f"models/students/{p.parent.name}", p.parent, None) for p in sorted(FOLDER.glob("*/config.json"))]
    for path in sorted(args.runs.glob("*/run.json")) if args.runs else ():
        if (
            re.fullmatch(r"[a-z0-9]+-(dot|inhibitor)-\d+", path.parent.name)
            and json.loads(path.read_text())["finished"]
        ):
            places.append((f"RUNS/{path.parent.name}", path.parent / "best", path.parent))
    results = []
    for name, directory, run in places:
        task = name.split("/")[-1].partition("-")[0]
        weights = digest_of(str(directory))
        result = before.get((name, weights, MOST_TOKENS.get(task, 128))) or measured(
            directory, task, args.data_dir
        ) | {"model": name}
        made_by = run or (args.runs / known[weights].split("/")[1] if weights in known else None)
        if made_by is not None:
            result["training"] = training_of(made_by, known)
            result["seed"] = json.loads((made_by / "run.json").read_text())["identity"]["seed"]
        results.append(result)
        shown = {name: f"{100 * next(iter(e['metrics'].values())):.2f}" for name, e in result["results"].items()}
        print(result["model"], result["attention"], shown, flush=True)
    taken = {r["model"] for r in results}
    results += [r for r in stored if r["model"].startswith("RUNS/") and r["model"] not in taken]
    write_whole(RESULTS, json.dumps({"format": 1, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
