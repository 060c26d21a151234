"""`evaluate`: accuracy of a model on a task, in floats and in the very bits that the simulator prices."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from costmodel.api.results import Result
from costmodel.api.session import METHODS, Session
from costmodel.api.subjects import Model, check_choice, check_whole
from costmodel.compare.evaluation import Evaluation, Measured, Ranges
from costmodel.errors import CostModelError
from costmodel.files import write_output
from costmodel.show.accuracy_tables import evaluation_document
from costmodel.show.progress import progress
from costmodel.widths.policy import parse_policy
from models.attention.mechanisms import parse_mechanism

if TYPE_CHECKING:  # numba and tokenizers take a while to import
    from models.tasks.data import Example, Task
    from models.tasks.scoring import Judgement
    from sim.integer.calibrate import Calibration

SHORTEST = 5  # tokens: of a pair, one of each sentence and three marks
MOST_POSITIONS = 512  # tokens of an example where the model itself has no limit


@dataclass(frozen=True, repr=False)
class Evaluated(Result[Evaluation]):
    """Accuracy by arithmetic; `record` as of `costmodel evaluate --format json`."""

    predictions: str  # what each arithmetic says of each example, as TSV

    def accuracy(self, arithmetic: str = "float32") -> float:
        """The task's primary metric in float32 or in integers of some widths."""
        return self.record.results[arithmetic].primary


def evaluate(
    model: Model,
    task: str | None = None,
    file: str | Path | None = None,
    data_dir: str | Path | None = None,
    attention: str | None = None,
    widths: str | Sequence[str] = ("w8a8",),
    limit: int | None = None,
    max_tokens: int | None = None,
    calibration: str | Path | None = None,
    calibrate_on: str | Path | None = None,
    method: str = "mse",
    save_calibration: str | Path | None = None,
    predictions: str | Path | None = None,
) -> Evaluated:
    """Accuracy of a checkpoint on a task's dev split, or on a file of your own; rows have one metric each.

    Args:
        model: a checkpoint of `costmodel train`, or another DistilBERT with a tokenizer.
        task: sst2, cola, mrpc, rte, stsb, ...
        file: labelled examples in place of the task's own: sentence[, sentence2], label.
        data_dir: GLUE's TSV files.
        attention: a mechanism, in place of the checkpoint's.
        widths: integers such as w8a8, or several of them; float32 is always measured.
        limit: only the first so many examples, for a quick look.
        max_tokens: cut examples to so many tokens. None takes the model's positions.
        calibration, calibrate_on, method, save_calibration: as of `simulate`.
        predictions: write there what is said of each example, as TSV.

    >>> import costmodel as cm
    >>> cm.evaluate("models/students/sst2-dot", "emotions")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    models.errors.CostModelError: unknown `task=emotions`; known: sst2, cola, mrpc, rte, stsb, qnli, ...
    """
    from models.tasks.data import TASKS

    chosen = (widths,) if isinstance(widths, str) else tuple(widths)
    for text in chosen:
        if parse_policy(text).is_float:
            raise CostModelError(
                f"`widths={text}` are floats: float32 is measured anyway; give integers such as w8a8"
            )
    if not chosen:
        raise CostModelError("`widths` names no integers, such as w8a8")
    if attention is not None:
        parse_mechanism(attention)
    if file is not None and data_dir is not None:
        raise CostModelError("give `file` or `data_dir`, not both")
    if calibration is not None and calibrate_on is not None:
        raise CostModelError("give `calibration` or `calibrate_on`, not both")
    check_whole("limit", limit)
    check_whole("max_tokens", max_tokens, SHORTEST)
    check_choice("method", method, METHODS)
    if task is None or task not in TASKS:
        given = "which task? give `task`:" if task is None else f"unknown `task={task}`; known:"
        raise CostModelError(f"{given} {', '.join(TASKS)}")
    names = (file, data_dir, calibration, calibrate_on, save_calibration)
    labelled, folder, saved, sentences, kept = (None if p is None else Path(p) for p in names)
    record, said = measure(
        Session(model, attention),
        task,
        labelled,
        folder,
        chosen,
        limit,
        saved,
        sentences,
        method,
        kept,
        max_tokens,
    )
    if predictions is not None:
        write_output(Path(predictions), said, "predictions")
    return Evaluated(record, evaluation_document(record), said)


def measure(
    session: Session,
    task_name: str,
    file: Path | None,
    data_dir: Path | None,
    widths: tuple[str, ...],
    limit: int | None,
    calibration: Path | None = None,
    calibrate_on: Path | None = None,
    method: str = "mse",
    save_calibration: Path | None = None,
    max_tokens: int | None = None,
) -> tuple[Evaluation, str]:
    """The record of an evaluation, and the predictions as TSV."""
    from models.tasks.data import TASKS, load_file, load_split
    from models.tasks.scoring import agreement, predictions_tsv

    task = TASKS[task_name]
    if file is not None:
        examples, source = load_file(file, task), str(file)
    else:
        split = load_split(task, "dev", data_dir)
        examples, source = split.examples, f"{task_name} dev of {split.source}"
    examples = examples[:limit]
    longest = longest_of(session, max_tokens)
    rows = rows_of(session, examples, longest)
    ranges = {name: session.calibration(calibration, calibrate_on, name, method) for name in widths}
    first = ranges[widths[0]]
    if save_calibration is not None:
        write_output(save_calibration, first.to_json(), "save_calibration")
    found: dict[str, Judgement] = {}
    seconds: dict[str, float] = {}
    for name in ("float32", *widths):
        with progress(f"{name} on {len(rows)} examples", len(rows)) as tick:
            found[name], seconds[name] = judged(session, task, examples, rows, name, ranges.get(name), tick)
    record = Evaluation(
        model=session.model,
        attention=session.attention,
        task=task_name,
        source=source,
        examples=len(examples),
        limited=limit is not None,
        max_tokens=longest,
        cut=sum(len(row) == longest for row in rows),
        note=task.note,
        calibration=Ranges(first.method, first.sentences),
        results={
            name: Measured(e.metrics, (e.low, e.high), agreement(task, found["float32"], e), seconds[name])
            for name, e in found.items()
        },
    )
    return record, predictions_tsv(task, examples, found)


def longest_of(session: Session, max_tokens: int | None = None) -> int:
    """To how many tokens examples are cut: the model's positions, or fewer."""
    positions = session.longest or MOST_POSITIONS
    return positions if max_tokens is None else min(positions, max_tokens)


def rows_of(session: Session, examples: Sequence[Example], longest: int) -> list[list[int]]:
    """Examples as token ids."""
    from models.tasks.scoring import encode_examples

    return encode_examples(session.tokenizer(), examples, longest)


def judged(
    session: Session,
    task: Task,
    examples: Sequence[Example],
    rows: Sequence[Sequence[int]],
    arithmetic: str,
    ranges: Calibration | None,
    tick: Callable[[int], Any] = lambda n: None,
) -> tuple[Judgement, float]:
    """What a session's model makes of examples in one arithmetic, and in how many CPU seconds.

    This is the one place where accuracy is measured: for `evaluate`, for a report, for points of a sweep.

    Args:
        arithmetic: float32, or widths of integers, which need `ranges`.
    """
    from models.tasks.scoring import judge, predict

    forward = session.floats() if ranges is None else session.integers(arithmetic, ranges)
    start = time.process_time()
    logits = predict(rows, forward, tick)
    seconds = time.process_time() - start
    return judge(task, logits, [e.label for e in examples]), seconds
