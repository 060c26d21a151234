"""Who evaluates the points of a sweep: processes of this machine, or the workers of a Dask cluster."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from costmodel.api.spaces import graph_of
from costmodel.errors import CostModelError
from costmodel.explore.points import accuracy_keys
from costmodel.explore.pool import Pool, local_pool
from costmodel.explore.running import Work
from costmodel.explore.space import Space

# How long a scheduler may take to answer.
ANSWER_S = 10


def work_of(space: Space, trials: int | None = None, seed: int = 0) -> Work:
    """What workers do for this space; its data and checkpoints are read here, before anything runs.

    Raises:
        CostModelError, ModelError: the sentences that accuracy is measured on are not to be had.
    """
    keys = accuracy_keys(space)
    if not keys:
        return Work(graph_of, no_accuracy, {}, trials, seed)
    from costmodel.api.accuracies import measure_accuracy, names_of

    return Work(graph_of, measure_accuracy, names_of(keys), trials, seed)


def no_accuracy(key: Any, name: str) -> float | str:
    return "this space measures no accuracy"


# Workers


@contextmanager
def pool_of(workers: int, scheduler: str | None) -> Iterator[Pool]:
    if scheduler is not None:
        with cluster(scheduler) as pool:
            yield pool
        return
    if workers > 1:
        # Processes side by side: threads within them would only wait for each other.
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ.setdefault(name, str(max(1, (os.cpu_count() or 1) // workers)))
    yield local_pool(workers)


@contextmanager
def cluster(address: str) -> Iterator[Pool]:
    """The workers behind a Dask scheduler."""
    try:
        import distributed
        from distributed.comm.core import CommClosedError
    except ImportError:
        raise CostModelError("`scheduler` needs dask: pip install 'costmodel[cluster]'") from None
    import logging
    from concurrent.futures import CancelledError

    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] == "distributed":
            logging.getLogger(name).setLevel(logging.CRITICAL)  # what matters is told in one line
    try:
        client = distributed.Client(address, timeout=ANSWER_S, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        why = " ".join(str(error).split()) or type(error).__name__
        raise CostModelError(f"`scheduler={address}` does not answer: {why}") from None
    losses = (distributed.KilledWorker, CancelledError, CommClosedError)
    try:
        cores = sum(client.nthreads().values())
        if not cores:
            raise CostModelError(f"`scheduler={address}` has no workers; start one with `dask worker {address}`")

        def check() -> None:
            if client.status in ("closing", "closed"):
                raise CostModelError(
                    f"`scheduler={address}` is gone; what was done is stored, run the command again"
                )

        yield Pool(lambda: client.get_executor(pure=False), cores, losses, check)
    finally:
        client.close()
