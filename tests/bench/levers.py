"""What each way to train gave: a row for every finished run of RUNS, written to tests/bench/LEVERS.md.

    python -m tests.bench.levers --runs DIR

The metric is that of training: floats, the whole dev split, sentences cut to 128 tokens.
"""

from __future__ import annotations

import argparse
import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from costmodel.files import write_whole
from models.training.state import RunRecord, read_record
from tests.bench.accuracy import checkpoints_of, training_of

LEVERS = Path(__file__).parent / "LEVERS.md"


def primary(record: RunRecord) -> float:
    """The best weights' first metric, in %."""
    return 100 * next(iter(record.results["best"].values()))


def rows_of(runs: Path) -> list[tuple[str, ...]]:
    """Name, metric, distance from its teacher, steps, CPU minutes and command of each run, by name."""
    known = checkpoints_of(runs)
    records = {path.parent: read_record(path.parent) for path in sorted(runs.glob("*/run.json"))}
    rows = []
    for run, record in records.items():
        if not record.finished:
            continue
        taught_by: Any = record.identity["teacher"]
        metric = next(iter(record.results["best"]))
        teacher = runs / known[taught_by].split("/")[1] if taught_by else None
        gap = "" if teacher is None else f"{primary(record) - primary(records[teacher]):+.1f}"
        training = training_of(run, known)
        rows.append(
            (
                run.name,
                f"{metric} {primary(record):.1f}",
                gap,
                str(record.steps),
                f"{60 * training['cpu_hours'][-1]:.1f}",
                f"`{training['commands'][-1]}`",
            )
        )
    return sorted(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, required=True)
    rows = rows_of(parser.parse_args().runs)
    head = ("run", "dev, %", "from its teacher", "steps", "CPU min", "command")
    lines = [
        "# What each way to train gave",
        "",
        f"`python -m tests.bench.levers --runs RUNS`, torch {version('torch')}, {datetime.date.today()}.",
        "Floats, whole dev split, sentences cut to 128 tokens; best weights by that split. One core.",
        "",
        "TASK-dot-SEED and TASK-inhibitor-SEED are the recipe (`make small`). Of the others",
        "-texts is not aligned with the teacher, -own begins with its teacher and not with texts-inhibitor,",
        "-longer and -gentle are what their commands say, -again is dot product taught once more by dot product.",
        "",
        *("| " + " | ".join(cells) + " |" for cells in (head, ("---",) * len(head), *rows)),
    ]
    write_whole(LEVERS, "\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
