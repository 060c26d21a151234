"""Shared fixtures: the command line in this process, with a cache of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

# Before anything loads OpenMP. Workers of xdist side by side, and all that they start, share the cores: threads of
# their own, two for each core, would spin while they wait for each other.
WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, str(max(1, (os.cpu_count() or 1) // WORKERS)))
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def session_cache(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def cli(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], session_cache: str
) -> Iterator[Callable[..., Ran]]:
    """Run `costmodel ARGS` and return exit code, stdout, stderr."""
    from costmodel.cli import main

    monkeypatch.setenv("COSTMODEL_CACHE", session_cache)

    def run(*args: str) -> Ran:
        monkeypatch.setattr(sys, "argv", ["costmodel", *args])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main()
        captured = capsys.readouterr()
        return Ran(int(stopped.value.code or 0), captured.out, captured.err)

    return run
