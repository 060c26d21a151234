"""A sweep on a Dask cluster: a scheduler and two workers on loopback, one of them killed in the middle."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import killed
from tests.explore.test_running import SMALL, table

distributed = pytest.importorskip("distributed")
LIMIT_S = 400


def start(*args: str) -> subprocess.Popen[bytes]:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", *args], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def start_worker(scheduler_file: Path, folder: Path) -> subprocess.Popen[bytes]:
    """One thread, and nothing that would restart it."""
    places = ("--scheduler-file", str(scheduler_file), "--local-directory", str(folder), "--host", "127.0.0.1")
    alone = ("--no-nanny", "--nthreads", "1", "--memory-limit", "0", "--no-dashboard")
    return start("distributed.cli.dask_worker", *places, *alone)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """The address of a scheduler, and its two workers."""
    file = tmp_path / "scheduler.json"
    places = ("--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file), "--no-dashboard")
    started = [start("distributed.cli.dask_scheduler", *places)]
    try:
        started += [start_worker(file, tmp_path / f"worker{n}") for n in range(2)]
        end = time.monotonic() + LIMIT_S
        while not file.exists() and time.monotonic() < end:
            time.sleep(0.1)
        address = json.loads(file.read_text())["address"]
        with distributed.Client(address, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=LIMIT_S)
        yield address, started[1:]
    finally:
        for process in reversed(started):
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait()


def test_a_cluster_that_loses_a_worker_gives_what_one_process_gives(cluster, cli, tmp_path: Path) -> None:
    address, workers = cluster
    space, local, remote = tmp_path / "space.toml", tmp_path / "local.db", tmp_path / "remote.db"
    space.write_text(SMALL.replace("[8, 16, 24, 32]", "{from = 2, to = 32, step = 2}"))
    assert cli("sweep", str(space), "--store", str(local), "--workers", "1").code == 0
    args = (str(space), "--store", str(remote), "--scheduler", address, "--format", "json")
    sweep = killed.start(*args, hold_at=20, go=tmp_path / "go")
    killed.wait_for(sweep, remote, 20)
    workers[0].kill()
    middle = killed.progress(remote)
    (tmp_path / "go").touch()
    out, err = sweep.communicate(timeout=LIMIT_S)
    assert sweep.returncode == 0, err
    assert 20 <= middle < 384
    assert json.loads(out)["stored"] == 384
    assert table(remote) == table(local)
    assert workers[1].poll() is None


def test_a_scheduler_without_workers_or_that_goes_away_is_one_line(cli, tmp_path: Path) -> None:
    file, space, store = tmp_path / "scheduler.json", tmp_path / "space.toml", tmp_path / "s.db"
    space.write_text(SMALL.replace("[8, 16, 24, 32]", "{from = 2, to = 32, step = 2}"))
    places = ("--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file), "--no-dashboard")
    scheduler, worker = start("distributed.cli.dask_scheduler", *places), None
    try:
        end = time.monotonic() + LIMIT_S
        while not file.exists() and time.monotonic() < end:
            time.sleep(0.1)
        address = json.loads(file.read_text())["address"]
        ran = cli("sweep", str(space), "--store", str(store), "--scheduler", address)
        assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1), ran.err
        assert f"--scheduler {address} has no workers; start one with `dask worker {address}`" in ran.err
        assert not store.exists()
        worker = start_worker(file, tmp_path / "worker")
        with distributed.Client(address, set_as_default=False) as client:
            client.wait_for_workers(1, timeout=LIMIT_S)
        args = (str(space), "--store", str(store), "--scheduler", address)
        sweep = killed.start(*args, hold_at=20, go=tmp_path / "go")
        killed.wait_for(sweep, store, 20)
        scheduler.kill()
        (tmp_path / "go").touch()
        out, err = sweep.communicate(timeout=LIMIT_S)
        assert (sweep.returncode, out) == (2, "")
        assert err == (
            f"costmodel: error: --scheduler {address} is gone; what was done is stored, run the command again\n"
        )
        assert 20 <= killed.progress(store) < 384
    finally:
        for process in (scheduler, worker):
            if process is not None:
                process.kill()
                process.wait()
