"""A sweep on the command line that is killed (SIGKILL) when its store has come to some size."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from costmodel.errors import CostModelError
from costmodel.explore.store import accuracies, counted, open_store

COMMAND = (sys.executable, "-c", "from costmodel.cli import main; main()", "sweep")
PATIENCE_S = 600


def start(*args: str) -> subprocess.Popen[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*COMMAND, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def progress(path: Path) -> int:
    """Accuracies and points that are committed."""
    try:
        store = open_store(path)
    except CostModelError:
        return 0
    try:
        return len(accuracies(store)) + counted(store)[0]
    finally:
        store.connection.close()


def kill_at(
    process: subprocess.Popen[str], path: Path, size: int, delay_s: float = 0.0, victim: int | None = None
) -> bool:
    """Wait until so much is committed and some seconds more, then kill; whether the sweep was still running.

    Args:
        victim: a process to kill in place of the sweep.
    """
    end = time.monotonic() + PATIENCE_S
    while process.poll() is None and progress(path) < size and time.monotonic() < end:
        time.sleep(0.02)
    time.sleep(delay_s)
    running = process.poll() is None
    if running:
        os.kill(victim or process.pid, signal.SIGKILL)
    if victim is None:
        process.communicate()
    return running
