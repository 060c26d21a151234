"""Rows of token ids as batches: rows of like length together, so that little is padded.

The one place that makes them: for accuracy, in floats and in integers, and for training.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
BATCH = 32
CHUNK = 50  # batches of training within which rows are sorted by length


def pad(rows: Sequence[Sequence[int]], padding: int = 0) -> tuple[Array, Array]:
    """Rows as one array [B,S], and which of its places exist."""
    longest = max(len(row) for row in rows)
    ids = np.full((len(rows), longest), padding, np.int64)
    for row, target in zip(rows, ids, strict=True):
        target[: len(row)] = row
    return ids, np.arange(longest) < np.array([len(row) for row in rows])[:, None]


def by_length(places: Iterable[int], lengths: Sequence[int], batch: int) -> list[list[int]]:
    """Places in batches, from the shortest row to the longest; of equal lengths in the order given."""
    ordered = sorted(places, key=lambda i: lengths[i])
    return [ordered[i : i + batch] for i in range(0, len(ordered), batch)]


def batches(rows: Sequence[Sequence[int]], batch: int = BATCH) -> Iterator[tuple[list[int], Array, Array]]:
    """Of every row once: places, ids [B,S] and masks [B,S]."""
    for places in by_length(range(len(rows)), [len(row) for row in rows], batch):
        yield places, *pad([rows[i] for i in places])


def shuffled_batches(lengths: Sequence[int], batch: int, seed: int, epoch: int) -> list[list[int]]:
    """An epoch's batches of places: rows shuffled, sorted by length within chunks, batches shuffled."""
    rng = np.random.default_rng([seed, epoch])
    shuffled = rng.permutation(len(lengths)).tolist()
    found: list[list[int]] = []
    for start in range(0, len(shuffled), CHUNK * batch):
        found += by_length(shuffled[start : start + CHUNK * batch], lengths, batch)
    return [found[i] for i in rng.permutation(len(found))]
