"""Measure checkpoints on a task's whole dev split, in floats and in bits: writes models/results.json.

    python -m tests.bench.accuracy --data-dir DIR [--runs DIR]

First the students that ship, then every finished run of RUNS that is named TASK-FORM-SEED, such as cola-dot-1: all
of a task and form are one result of several seeds. What was measured of an unchanged checkpoint is kept.
How a checkpoint was trained is taken from the records of its run and of those that it began with or learned from.
"""

from __future__ import annotations

import argparse
import datetime
import platform
import re
from dataclasses import MISSING, fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from costmodel.api.evaluations import measure
from costmodel.api.session import Session
from models.tasks.data import TASKS
from models.training.recipe import TrainConfig
from models.training.state import digest_of, read_record
from models.zoo.students import (
    FOLDER,
    RESULTS,
    StoredMeasure,
    StoredResult,
    StoredRun,
    StoredTraining,
    stored_results,
    write_results,
)

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


Lists = dict[str, list[Any]]  # of the commands, steps and hours of runs, one entry of each list a run


def training_of(run: Path, known: dict[str, str]) -> Lists:
    """Commands, steps, seeds and CPU hours of a run and of those that it needed, oldest first."""
    record = read_record(run)
    identity: Any = dict(record.identity)
    parents = [identity["teacher"], *(identity["start"] or [])]
    strange = [digest for digest in parents if digest is not None and digest not in known]
    if strange:
        raise SystemExit(f"{run}: the checkpoints {', '.join(strange)} that it began with are not in {run.parent}")
    names = {digest: known[digest] for digest in parents if digest is not None}
    training: Lists = {"commands": [], "steps": [], "cpu_hours": [], "wall_hours": []}
    for name in sorted(set(names.values())):
        older = training_of(run.parent / name.split("/")[1], known)
        new = [i for i, command in enumerate(older["commands"]) if command not in training["commands"]]
        for key, values in training.items():
            values += [older[key][i] for i in new]
    qat = identity["qat_steps"] if identity["qat"] else 0
    identity["train_steps"] = record.steps - identity["align_steps"] - qat  # recipes change
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
    training["steps"].append(record.steps)
    training["wall_hours"].append(round(record.seconds / 3600, 3))
    cpu = record.cpu_seconds
    training["cpu_hours"].append(None if cpu is None else round(cpu / 3600, 3))
    return training


def measured(name: str, directory: Path, task: str, data_dir: Path | None) -> StoredResult:
    """Every arithmetic on the whole dev split."""
    if not TASKS[task].folder:
        data_dir = None
    widths, longest = WIDTHS.get(task, ("w8a8",)), MOST_TOKENS.get(task, 128)
    found, _ = measure(Session(str(directory), None), task, None, data_dir, widths, None, max_tokens=longest)
    run = StoredRun(
        max_tokens=found.max_tokens or longest,
        cut=found.cut or 0,
        weights=digest_of(str(directory)) or "",
        command="python -m tests.bench.accuracy --data-dir GLUE --runs RUNS",
        versions={package: version(package) for package in PACKAGES} | {"python": platform.python_version()},
        date=str(datetime.date.today()),
        training=StoredTraining((), (), (), ()),
        seed=0,
    )
    return StoredResult(
        model=name,
        attention=found.attention,
        task=task,
        source=f"{task} dev, GLUE" if data_dir is not None else found.source,
        examples=found.examples,
        limited=found.limited,
        note=found.note,
        calibration_method=found.calibration.method,
        calibration_sentences=found.calibration.sentences,
        results={n: StoredMeasure(m.metrics, m.interval, m.agreement) for n, m in found.results.items()},
        runs=(run,),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--runs", type=Path)
    args = parser.parse_args()
    stored = stored_results()
    before = {(r.model, r.runs[0].weights, r.runs[0].max_tokens): r for r in stored}
    known = checkpoints_of(args.runs) if args.runs else {}
    places = [(f"models/students/{p.parent.name}", p.parent, None) for p in sorted(FOLDER.glob("*/config.json"))]
    for path in sorted(args.runs.glob("*/run.json")) if args.runs else ():
        if re.fullmatch(r"[a-z0-9]+-(dot|inhibitor)-\d+", path.parent.name) and read_record(path.parent).finished:
            places.append((f"RUNS/{path.parent.name}", path.parent / "best", path.parent))
    results: list[StoredResult] = []
    for name, directory, run in places:
        task = name.split("/")[-1].partition("-")[0]
        weights = digest_of(str(directory)) or ""
        result = before.get((name, weights, MOST_TOKENS.get(task, 128)))
        if result is None:
            result = measured(name, directory, task, args.data_dir)
        made_by = run or (args.runs / known[weights].split("/")[1] if weights in known else None)
        if made_by is not None:
            lists = {key: tuple(values) for key, values in training_of(made_by, known).items()}
            seed: Any = read_record(made_by).identity["seed"]
            made = replace(result.runs[0], training=StoredTraining(**lists), seed=seed)
            result = replace(result, runs=(made,))
        results.append(result)
        shown = {n: f"{100 * next(iter(m.metrics.values())):.2f}" for n, m in result.results.items()}
        print(result.model, result.attention, shown, flush=True)
    taken = {r.model for r in results}
    results += [r for r in stored if r.model.startswith("RUNS/") and r.model not in taken]
    write_results(RESULTS, results)


if __name__ == "__main__":
    main()
