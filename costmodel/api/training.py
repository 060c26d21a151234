"""`train`: fine-tune MiniLM on a task, or distil it into another attention."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from costmodel.api.graphs import quiet_imports
from costmodel.api.results import Result
from costmodel.api.subjects import check_choice, check_whole
from costmodel.show.document import Document, Row
from costmodel.show.progress import steps_bar
from models.training.recipe import PRECISIONS, TrainConfig, check_config, preset

T = TypeVar("T")


@dataclass(frozen=True)
class TrainingRecord:
    """A finished run: what it trained, where it is, and how good it is on the task's dev split."""

    task: str
    attention: str
    best: str  # directory of the checkpoint with the best metric
    checkpoints: dict[str, str]  # directory by form: best, integers such as w8a8 on the same weights, int8
    results: dict[str, dict[str, float]]  # metrics by form
    steps: int
    best_step: int
    seconds: float
    cpu_seconds: float | None


@dataclass(frozen=True, repr=False)
class Trained(Result[TrainingRecord]):
    """A finished run; a row a form of its weights and metric."""

    @property
    def title(self) -> str:
        return f"{self.record.task} with attention {self.record.attention}, {self.record.steps} steps"

    @property
    def best(self) -> Path:
        """The checkpoint with the best metric."""
        return Path(self.record.best)


def train(
    task: str,
    out: str | Path,
    attention: str = "dot",
    teacher: str | Path | None = None,
    start: str | Path | Sequence[str | Path] = (),
    data_dir: str | Path | None = None,
    seed: int = 0,
    steps: int | None = None,
    align_steps: int | None = None,
    batch: int | None = None,
    rate: float | None = None,
    average: float | None = None,
    precision: str = "float32",
    qat: str | None = None,
    qat_steps: int | None = None,
    int8: bool = False,
    threads: int = 2,
    max_train: int | None = None,
    progress: bool = True,
) -> Trained:
    """Train a MiniLM on a task; with a teacher, by distillation into the attention asked for.

    `out`/best holds the weights of the best dev metric, `out`/last those of the last step, `out`/log.csv a row a
    step, `out`/run.json the results. A run that was stopped goes on, step for step as if it had not been.

    Args:
        task: sst2, cola, ...; or texts, which aligns another attention with dot product without labels.
        teacher: a checkpoint of any attention to distil from.
        start: a checkpoint to begin with, or several of which the mean. () takes the teacher's, or MiniLM.
        data_dir: where GLUE's directories are.
        steps, align_steps, batch, rate, average: None takes the task's recipe.
        qat: then train on integers, such as w8a8, for `qat_steps` steps.
        int8: write `out`/int8 too, the best weights in a quarter of the bytes.
        threads: of torch.
        progress: show a bar on stderr, where that is a terminal.

    >>> import costmodel as cm
    >>> cm.train("emotions", "runs/emotions")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    models.errors.ModelError: unknown `task=emotions`; known: sst2, cola, mrpc, rte, stsb, qnli, ...
    """
    check_choice("precision", precision, PRECISIONS)
    check_whole("max_train", max_train)
    starts = (start,) if isinstance(start, str | Path) else tuple(start)
    recipe = preset(task, attention, None if teacher is None else str(teacher), tuple(map(str, starts)))
    config = replace(
        recipe,
        seed=seed,
        train_steps=given(steps, recipe.train_steps),
        align_steps=given(align_steps, recipe.align_steps),
        batch=given(batch, recipe.batch),
        rate=given(rate, recipe.rate),
        average=given(average, recipe.average),
        precision=precision,
        qat=given(qat, recipe.qat),
        qat_steps=given(qat_steps, recipe.qat_steps),
        int8=int8,
        threads=threads,
        max_train=given(max_train, recipe.max_train),
    )
    check_config(config)
    record = run_training(config, Path(out), None if data_dir is None else Path(data_dir), progress)
    return Trained(record, training_document(record))


def given(value: T | None, default: T) -> T:
    return default if value is None else value


def run_training(config: TrainConfig, out: Path, data_dir: Path | None, progress: bool) -> TrainingRecord:
    """Train, or go on with what was stopped; then what came out."""
    quiet_imports()
    from models.training import distill
    from models.training.state import read_record

    with steps_bar(f"{config.task} {config.attention}") if progress else nullcontext(distill.silent) as tick:
        best = distill.train(config, out, data_dir, tick)
    found = read_record(out)
    return TrainingRecord(
        task=config.task,
        attention=config.attention,
        best=str(best),
        checkpoints={form: str(out / form if form == "int8" else best) for form in found.results},
        results={form: dict(metrics) for form, metrics in found.results.items()},
        steps=found.steps,
        best_step=found.best_step,
        seconds=found.seconds,
        cpu_seconds=found.cpu_seconds,
    )


def training_document(record: TrainingRecord) -> Document:
    """A line a form of the weights: where it is, and its dev metrics."""
    lines = []
    for form, metrics in record.results.items():
        on_integers = "" if form in ("best", "int8") else f" on {form}"
        lines.append(f"{record.checkpoints[form]}{on_integers}: dev {shown(metrics)}")
    rows: tuple[Row, ...] = tuple(
        {"form": form, "metric": name, "value": value, "checkpoint": record.checkpoints[form]}
        for form, metrics in record.results.items()
        for name, value in metrics.items()
    )
    return Document((), tuple(lines), rows)


def shown(metrics: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in metrics.items())
