"""Predictions of a model on a task, and how good they are. What predicts is a function: floats or integers."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.errors import ModelError
from models.tasks.batches import Array, batches
from models.tasks.data import Example, Task
from models.tasks.metrics import bootstrap, score, wilson

Forward = Callable[[Array, Array], Array]  # ids [B,S], which exist [B,S] -> logits [B,C]


@dataclass(frozen=True)
class Judgement:
    """What one model, in one arithmetic, makes of N examples."""

    metrics: dict[str, float]  # the primary one first
    low: float  # 95 % interval of the primary metric
    high: float
    predictions: Array  # [N]: class numbers, or scores


def encode_examples(tokenizer: Any, examples: Sequence[Example], longest: int) -> list[list[int]]:
    """Token ids of each example, cut to `longest`; the longer sentence of a pair is cut first."""
    tokenizer.enable_truncation(longest)
    pairs = [e.sentence if e.second is None else (e.sentence, e.second) for e in examples]
    rows = [list(found.ids) for found in tokenizer.encode_batch(pairs)]
    tokenizer.no_truncation()
    return rows


def predict(
    rows: Sequence[Sequence[int]], forward: Forward, tick: Callable[[int], None] = lambda n: None
) -> Array:
    """Logits [N,C] of rows of ids, in their order."""
    found: list[Array | None] = [None] * len(rows)
    for places, ids, keep in batches(rows):
        for place, logits in zip(places, forward(ids, keep), strict=True):
            found[place] = logits
        tick(len(places))
    return np.stack([logits for logits in found if logits is not None])


def judge(task: Task, logits: Array, labels: Sequence[float]) -> Judgement:
    """Metrics of logits [N,C]: of the largest one, or of a regression's only one.

    The interval is Wilson's of an accuracy, the bootstrap's of anything else.

    Raises:
        ModelError: logits of another number of classes.
    """
    classes = max(1, len(task.labels))
    if logits.ndim != 2 or logits.shape[1] != classes:
        raise ModelError(
            f"the model gives {list(logits.shape[1:])} values a row, task {task.name} takes [{classes}]; "
            "give a checkpoint that was trained on this task"
        )
    predictions = logits.argmax(1) if task.labels else logits[:, 0]
    metrics = score(task, predictions, labels)
    if task.metrics[0] == "accuracy":
        low, high = wilson(int((predictions == np.asarray(labels)).sum()), len(labels))
    else:
        low, high = bootstrap(task, predictions, labels)
    return Judgement(metrics, low, high, predictions)


def agreement(task: Task, a: Judgement, b: Judgement) -> float:
    """Share of equal classes, or the correlation of two regressions' scores."""
    if task.labels:
        return float((a.predictions == b.predictions).mean())
    return float(np.corrcoef(a.predictions, b.predictions)[0, 1])


def predictions_tsv(task: Task, examples: Sequence[Example], found: dict[str, Judgement]) -> str:
    """One line an example: its sentences, its label, and what each arithmetic says."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_NONE, quotechar=None)
    pairs = task.sentences == 2
    writer.writerow(["sentence", *(["sentence2"] if pairs else []), "label", *found])
    for i, e in enumerate(examples):
        texts = [clean(e.sentence), *([clean(e.second or "")] if pairs else [])]
        shown = [named(task, x) for x in (e.label, *(judgement.predictions[i] for judgement in found.values()))]
        writer.writerow([*texts, *shown])
    return out.getvalue()


def clean(text: str) -> str:
    """A sentence in one cell: tabs and line ends are blanks."""
    return " ".join(text.split())


def named(task: Task, value: float) -> str:
    return task.labels[int(value)] if task.labels else f"{float(value):.4f}"
