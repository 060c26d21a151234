"""Shared fixtures: the command line in this process, with a cache of the tests; and the order of all tests."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from tests.paths import ROOT

# Before anything loads OpenMP or a BLAS. Workers of xdist side by side, and all that they start, share the cores:
# threads of their own, two for each core, would spin while they wait for each other. Only in a worker: what the
# process that starts the workers sets, they would inherit.
if "PYTEST_XDIST_WORKER" in os.environ:
    THREADS = max(1, (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"]))
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, str(THREADS))
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of this run of the tests, the same in all workers."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def session_cache(shared: Path) -> str:
    """Empty as the tests begin; workers share it, as processes of a user do."""
    folder = shared / "cache"
    folder.mkdir(exist_ok=True)
    return str(folder)


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


@pytest.fixture
def once(
    cli: Callable[..., Ran], shared: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[Ran, Path]]:
    """Run a whole command line that several tests speak of, and return what it said and the folder it ran in.

    The folder holds `examples/` and `models/`. A second test, here or in another worker, gets what the first got.
    `after` is a command whose files it begins with.
    """

    def run(command: str, after: str | None = None) -> tuple[Ran, Path]:
        before = None if after is None else run(after)
        name = hashlib.sha256(f"{after}\n{command}".encode()).hexdigest()[:16]
        folder, said = shared / f"once-{name}", shared / f"once-{name}.json"
        with (shared / f"once-{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not said.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                if before is not None:
                    assert before[0].code == 0, before[0].err
                    shutil.copytree(before[1], folder, symlinks=True, dirs_exist_ok=True)
                for link in ("examples", "models"):
                    if not (folder / link).exists():
                        (folder / link).symlink_to(ROOT / link)
                monkeypatch.chdir(folder)
                ran = cli(*shlex.split(command)[1:])
                said.write_text(json.dumps(asdict(ran)), encoding="utf-8")
        return Ran(**json.loads(said.read_text(encoding="utf-8"))), folder

    return run


# The order

# Whole files of which a test takes half a minute or more: first, so that no worker is left with one at the end.
LONG = ("test_notebooks.py", "test_docs.py", "cli/test_help.py", "api/test_workers.py", "explore/test_running.py")
# Needs few of the loops that numba compiles: one worker begins here while the other compiles them for both.
APART = "models/"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, and those apart in the middle: of two workers the second begins with that half."""
    places = {item: item.path.relative_to(ROOT / "tests").as_posix() for item in items}
    first = sorted((i for i in items if places[i] in LONG), key=lambda i: LONG.index(places[i]))
    apart = [i for i in items if places[i].startswith(APART)]
    rest = [i for i in items if places[i] not in LONG and not places[i].startswith(APART)]
    cut = max(0, len(items) // 2 - len(first))
    items[:] = [*first, *rest[:cut], *apart, *rest[cut:]]
