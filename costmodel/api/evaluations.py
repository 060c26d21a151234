"""Accuracy of a session's model on a task: in floats, and in integers of each width."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from costmodel.api.session import Session
from costmodel.files import write_output
from costmodel.show.progress import progress


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
) -> tuple[dict[str, Any], str]:
    """The record of an evaluation, and the predictions as TSV."""
    from models.tasks.data import TASKS, load_file, load_split
    from models.tasks.scoring import agreement, encode_examples, judge, predict, predictions_tsv
    from models.tasks.text import load_tokenizer

    task = TASKS[task_name]
    if file is not None:
        examples, source = load_file(file, task), str(file)
    else:
        split = load_split(task, "dev", data_dir)
        examples, source = split.examples, f"{task_name} dev of {split.source}"
    examples = examples[:limit]
    positions = session.longest or 512
    longest = positions if max_tokens is None else min(positions, max_tokens)
    rows = encode_examples(load_tokenizer(session.model), examples, longest)
    labels = [e.label for e in examples]
    ranges = {name: session.calibration(calibration, calibrate_on, name, method) for name in widths}
    first = ranges[widths[0]]
    if save_calibration is not None:
        write_output(save_calibration, first.to_json(), "save_calibration")
    found: dict[str, Any] = {}
    seconds: dict[str, float] = {}
    for name in ("float32", *widths):
        forward = session.floats() if name == "float32" else session.integers(name, ranges[name])
        with progress(f"{name} on {len(rows)} examples", len(rows)) as tick:
            start = time.process_time()
            logits = predict(rows, forward, tick)
            seconds[name] = time.process_time() - start
        found[name] = judge(task, logits, labels)
    record: dict[str, Any] = {
        "model": session.model,
        "attention": session.attention,
        "task": task_name,
        "source": source,
        "examples": len(examples),
        "limited": limit is not None,
        "max_tokens": longest,
        "cut": sum(len(row) == longest for row in rows),
        "note": task.note,
        "calibration": {"method": first.method, "sentences": first.sentences},
        "results": {
            name: {
                "metrics": e.metrics,
                "interval": [e.low, e.high],
                "agreement": agreement(task, found["float32"], e),
                "cpu_seconds": seconds[name],
            }
            for name, e in found.items()
        },
    }
    return record, predictions_tsv(task, examples, found)
