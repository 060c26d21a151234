"""`stored_results`: the accuracies that were measured before, beside published ones of a larger model."""

from __future__ import annotations

from dataclasses import dataclass, replace

from costmodel.api.results import Result
from costmodel.compare.accuracies import Published, StoredRecord, summarise
from costmodel.compare.evaluation import Evaluation, Measured, Ranges, Training
from costmodel.show.stored_tables import stored_document
from models.zoo import students


@dataclass(frozen=True, repr=False)
class Stored(Result[StoredRecord]):
    """Means over seeds; `record` as of `costmodel results --format json`."""


def stored_results() -> Stored:
    """Accuracies of MiniLM by task and attention, as means over seeds; rows have one task and mechanism each.

    >>> import costmodel as cm
    >>> stored = cm.stored_results()
    >>> [row["attention"] for row in stored.to_rows() if row["task"] == "sst2"]
    ['dot', 'inhibitor']
    """
    published = Published(students.PUBLISHED.source, dict(students.PUBLISHED.values))
    results = summarise(evaluation_of(found) for found in students.stored_results())
    record = StoredRecord(results, published)
    return Stored(record, stored_document(record))


def evaluation_of(found: students.StoredResult) -> Evaluation:
    """A stored result as the record of an evaluation, with where it comes from if it is of one checkpoint."""
    run = found.run
    results = {name: Measured(m.metrics, m.interval, m.agreement) for name, m in found.results.items()}
    made = Evaluation(
        model=found.model,
        attention=found.attention,
        task=found.task,
        source=found.source,
        examples=found.examples,
        limited=found.limited,
        note=found.note,
        calibration=Ranges(found.calibration_method, found.calibration_sentences),
        results=results,
        seeds=None if run else len(found.runs),
    )
    if run is None:
        return made
    t = run.training
    return replace(
        made,
        max_tokens=run.max_tokens,
        cut=run.cut,
        weights=run.weights,
        command=run.command,
        versions=run.versions,
        date=run.date,
        training=Training(t.commands, t.steps, t.cpu_hours, t.wall_hours),
        seed=run.seed,
    )


def stored_evaluation(task: str, attention: str) -> Evaluation:
    """What is stored of a task and a mechanism: of one checkpoint, or the mean over seeds of each figure.

    Raises:
        ModelError: none is stored.
    """
    return evaluation_of(students.stored_result(task, attention))
