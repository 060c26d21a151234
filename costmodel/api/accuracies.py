"""Accuracy of points of a design space: measured in the bits that are priced, named by what it depends on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from costmodel.api.evaluations import judged, longest_of, rows_of
from costmodel.api.session import Session
from costmodel.api.spaces import digest_of
from costmodel.errors import CostModelError
from costmodel.explore.points import AccuracyKey
from costmodel.widths.policy import parse_policy

METHOD = "mse"  # of ranges, as `costmodel evaluate` has it
OTHER_FILES = "the worker's copy of the checkpoint or of the data is not the one that was asked for"


def names_of(keys: Iterable[AccuracyKey]) -> dict[AccuracyKey, str]:
    """Of each key a text that tells its accuracy from any other: digests of files in place of their paths.

    Raises:
        CostModelError, ModelError: a checkpoint or the data cannot be read.
    """
    return {key: name_of(key) for key in keys}


def name_of(key: AccuracyKey) -> str:
    task, _, path, widths, limit, data_dir, _ = key
    return json.dumps(
        {
            "task": task,
            "checkpoint": digest_of(Path(path)),
            "widths": widths,
            "examples": examples_digest(task, data_dir, limit),
            "calibration": [METHOD, calibration_digest()],
        },
        sort_keys=True,
    )


@lru_cache(4)
def examples(task: str, data_dir: str | None, limit: int | None) -> list[Any]:
    """The first sentences of the task's dev split, with labels."""
    from models.tasks.data import TASKS, load_split

    found = load_split(TASKS[task], "dev", None if data_dir is None else Path(data_dir)).examples
    return found[:limit]


def examples_digest(task: str, data_dir: str | None, limit: int | None) -> str:
    rows = [(e.sentence, e.second, e.label) for e in examples(task, data_dir, limit)]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:32]


def calibration_digest() -> str:
    from models.tasks.text import calibration_sentences

    return hashlib.sha256("\n".join(calibration_sentences()).encode()).hexdigest()[:32]


@lru_cache(2)
def session_of(path: str, checkpoint: str) -> Session:
    return Session(path, None)


def measure_accuracy(key: AccuracyKey, name: str) -> float | str:
    """The task's primary metric, or as a text why there is none. For a worker, on whatever machine."""
    try:
        if name_of(key) != name:
            return OTHER_FILES
        return accuracy_of(key)
    except CostModelError as error:
        return " ".join(str(error).split())
    except Exception as error:
        # A damaged checkpoint makes torch, transformers, safetensors, tokenizers or numba raise errors of kinds
        # that have no common base, some of which cannot be sent between processes. None of them stops the other
        # points of a sweep: the text stays with this one.
        return f"{type(error).__name__}: {' '.join(str(error).split())}"


def accuracy_of(key: AccuracyKey) -> float:
    """Every sentence through the checkpoint in integers of the given widths; in float32 where these are fp32."""
    from models.tasks.data import TASKS

    task, _, path, widths, limit, data_dir, checkpoint = key
    session = session_of(path, checkpoint)
    chosen = examples(task, data_dir, limit)
    rows = rows_of(session, chosen, longest_of(session))
    ranges = None if parse_policy(widths).is_float else session.calibration(None, None, widths, METHOD)
    found, _ = judged(session, TASKS[task], chosen, rows, widths, ranges)
    return float(next(iter(found.metrics.values())))
