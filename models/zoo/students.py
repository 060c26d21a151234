"""Students that ship: small trained models, and what was measured with them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from models.errors import ModelError
from models.files import write_output

FOLDER = Path(__file__).parent.parent / "students"
RESULTS = Path(__file__).parent.parent / "results.json"
FORMAT = 1  # of that file


@dataclass(frozen=True)
class PublishedResults:
    """Accuracies of a larger model in %, with dot products and with the inhibitor."""

    source: str
    values: Mapping[str, tuple[float, float]]  # by task


# DistilBERT-base with dot products, and with the inhibitor after distillation; Matthews of CoLA.
PUBLISHED = PublishedResults(
    source="Zhang and Brännvall, InhibiDistilbert, arXiv 2503.15983, table of GLUE, and IMDb",
    values={
        "sst2": (91.3, 90.2),
        "cola": (51.3, 40.0),
        "mrpc": (87.5, 86.8),
        "rte": (59.9, 59.2),
        "stsb": (86.9, 83.5),
        "imdb": (92.82, 92.81),
    },
)


@dataclass(frozen=True)
class StoredMeasure:
    """One arithmetic: float32, or the integers of some widths."""

    metrics: dict[str, float]  # the primary one first
    interval: tuple[float, float]  # 95 % of the primary metric
    agreement: float  # with what float32 says


@dataclass(frozen=True)
class StoredTraining:
    """The runs that made a checkpoint, oldest first: one entry of each list a run."""

    commands: tuple[str, ...]
    steps: tuple[int, ...]
    cpu_hours: tuple[float | None, ...]  # None where a run did not measure them
    wall_hours: tuple[float, ...]


@dataclass(frozen=True)
class StoredRun:
    """Where one result comes from."""

    max_tokens: int  # to which examples were cut
    cut: int  # examples that fill max_tokens
    weights: str  # digest of the checkpoint
    command: str
    versions: dict[str, str]  # of the packages that it was measured with
    date: str
    training: StoredTraining
    seed: int


@dataclass(frozen=True)
class StoredResult:
    """One checkpoint on one task, or the mean of several that differ in the seed of their training."""

    model: str
    attention: str
    task: str
    source: str
    examples: int
    limited: bool
    note: str
    calibration_method: str
    calibration_sentences: int
    results: dict[str, StoredMeasure]  # by arithmetic
    runs: tuple[StoredRun, ...]  # one, or those of the mean

    @property
    def run(self) -> StoredRun | None:
        """Where it comes from, if it is of one checkpoint."""
        return self.runs[0] if len(self.runs) == 1 else None


def student(task: str, attention: str) -> Path:
    """The directory of the checkpoint that ships for a task and a mechanism, given with or without its options.

    Raises:
        ModelError: none ships.
    """
    path = FOLDER / f"{task}-{attention.partition(':')[0]}"
    if not (path / "config.json").is_file():
        shipped = sorted(p.name for p in FOLDER.glob("*") if (p / "config.json").is_file())
        raise ModelError(
            f"no checkpoint of {attention} ships for task {task}; there are {', '.join(shipped) or 'none'}; "
            "train one with `costmodel train` and measure it with `costmodel evaluate`, or see `stored`"
        )
    return path


def mechanism_of(directory: Path) -> dict[str, Any]:
    """The mechanism of a checkpoint, as its configuration has it."""
    found: dict[str, Any] = json.loads((directory / "config.json").read_text(encoding="utf-8"))[
        "attention_mechanism"
    ]
    return found


def stored_results(path: Path = RESULTS) -> tuple[StoredResult, ...]:
    """What was measured, with command, versions, date and seed; nothing where there is no file.

    Raises:
        ModelError: the file is damaged.
    """
    if not path.is_file():
        return ()
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["format"] != FORMAT:
            raise ValueError(f"its format is {record['format']!r}, not {FORMAT}")
        return tuple(result_of(each) for each in record["results"])
    except KeyError as error:
        raise ModelError(f"{path} is damaged: something in it has no {error}") from None
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(f"{path} is damaged: {' '.join(str(error).split())[:120]}") from None


def result_of(record: Mapping[str, Any]) -> StoredResult:
    """One result of the file.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: it is none.
    """
    training = record["training"]
    run = StoredRun(
        max_tokens=whole(record["max_tokens"]),
        cut=whole(record["cut"]),
        weights=text(record["weights"]),
        command=text(record["command"]),
        versions={name: text(version) for name, version in record["versions"].items()},
        date=text(record["date"]),
        training=StoredTraining(
            commands=tuple(text(command) for command in training["commands"]),
            steps=tuple(whole(n) for n in training["steps"]),
            cpu_hours=tuple(None if n is None else number(n) for n in training["cpu_hours"]),
            wall_hours=tuple(number(n) for n in training["wall_hours"]),
        ),
        seed=whole(record["seed"]),
    )
    return StoredResult(
        model=text(record["model"]),
        attention=text(record["attention"]),
        task=text(record["task"]),
        source=text(record["source"]),
        examples=whole(record["examples"]),
        limited=bool(record["limited"]),
        note=text(record["note"]),
        calibration_method=text(record["calibration"]["method"]),
        calibration_sentences=whole(record["calibration"]["sentences"]),
        results={name: measure_of(found) for name, found in record["results"].items()},
        runs=(run,),
    )


def write_results(path: Path, results: Sequence[StoredResult]) -> None:
    """The file that `stored_results` reads.

    Raises:
        CostModelError: it cannot be written.
    """
    record = {"format": FORMAT, "results": [record_of(result) for result in results]}
    write_output(path, json.dumps(record, indent=1) + "\n")


def record_of(result: StoredResult) -> dict[str, object]:
    """One result of one checkpoint as the file has it; the inverse of `result_of`."""
    (run,) = result.runs
    origin = asdict(run)
    return {
        "model": result.model,
        "attention": result.attention,
        "task": result.task,
        "source": result.source,
        "examples": result.examples,
        "limited": result.limited,
        "max_tokens": origin.pop("max_tokens"),
        "cut": origin.pop("cut"),
        "note": result.note,
        "calibration": {"method": result.calibration_method, "sentences": result.calibration_sentences},
        "results": {name: asdict(found) for name, found in result.results.items()},
        **origin,
    }


def measure_of(record: Mapping[str, Any]) -> StoredMeasure:
    low, high = record["interval"]
    metrics = {name: number(value) for name, value in record["metrics"].items()}
    if not metrics:
        raise ValueError("there is no metric")
    return StoredMeasure(metrics, (number(low), number(high)), number(record["agreement"]))


def text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text")
    return value


def whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{value!r} is no whole number")
    return value


def number(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError(f"{value!r} is no number")
    return value


def stored_result(task: str, attention: str) -> StoredResult:
    """What is stored of a task and a mechanism: of one checkpoint, or the mean over seeds of each figure.

    Raises:
        ModelError: none is stored, or the file is damaged.
    """
    name, stored = attention.partition(":")[0], stored_results()
    members = [r for r in stored if (r.task, r.attention.partition(":")[0]) == (task, name)]
    if not members:
        tasks = ", ".join(dict.fromkeys(r.task for r in stored)) or "none"
        raise ModelError(f"no result of {attention} on {task} is stored, only on {tasks}; leave out `stored`")
    return members[0] if len(members) == 1 else mean_result(members)


def mean_result(members: list[StoredResult]) -> StoredResult:
    """The mean of each figure over checkpoints of one task and mechanism; an interval is the mean of theirs."""
    first = members[0]
    results = {}
    for arithmetic, found in first.results.items():
        each = [m.results[arithmetic] for m in members]
        results[arithmetic] = StoredMeasure(
            metrics={metric: fmean(m.metrics[metric] for m in each) for metric in found.metrics},
            interval=(fmean(m.interval[0] for m in each), fmean(m.interval[1] for m in each)),
            agreement=fmean(m.agreement for m in each),
        )
    return replace(
        first,
        model=", ".join(m.model for m in members),
        source=f"{first.source}, mean over {len(members)} seeds",
        results=results,
        runs=tuple(run for m in members for run in m.runs),
    )
