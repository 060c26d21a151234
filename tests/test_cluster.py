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
from tests.test_sweep import SMALL, table

pytest.importorskip("distributed")
LIMIT_S = 120


def start(*args: str) -> subprocess.Popen[bytes]:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", *args], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """The address of a scheduler, and its two workers."""
    from distributed import Client

    file = tmp_path / "scheduler.json"
    quiet = ("--no-dashboard",)
    started = [
        start(
            "distributed.cli.dask_scheduler",
            "--host",
            "127.0.0.1",
            "--port",
            "0",
            "--scheduler-file",
            str(file),
            *quiet,
        )
    ]
    try:
        for n in range(2):
            places = ("--scheduler-file", str(file), "--local-directory", str(tmp_path / f"worker{n}"))
            alone = ("--no-nanny", "--nthreads", "1", "--memory-limit", "0", "--host", "127.0.0.1")
            started.append(start("distributed.cli.dask_worker", *places, *alone, *quiet))
        end = time.monotonic() + LIMIT_S
        while not file.exists() and time.monotonic() < end:
            time.sleep(0.1)
        address = json.loads(file.read_text())["address"]
        with Client(address, set_as_default=False) as client:
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
    sweep = killed.start(str(space), "--store", str(remote), "--scheduler", address, "--format", "json")
    end = time.monotonic() + LIMIT_S
    while killed.progress(remote) < 20 and sweep.poll() is None and time.monotonic() < end:
        time.sleep(0.02)
    middle = killed.progress(remote)
    workers[0].kill()
    out, err = sweep.communicate(timeout=LIMIT_S)
    assert sweep.returncode == 0, err
    assert 0 < middle < 384
    assert json.loads(out)["stored"] == 384
    assert table(remote) == table(local)
    assert workers[1].poll() is None


def test_a_scheduler_without_workers_is_one_line(cli, tmp_path: Path) -> None:
    file, space = tmp_path / "scheduler.json", tmp_path / "space.toml"
    space.write_text(SMALL)
    places = ("--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file), "--no-dashboard")
    scheduler = start("distributed.cli.dask_scheduler", *places)
    try:
        end = time.monotonic() + LIMIT_S
        while not file.exists() and time.monotonic() < end:
            time.sleep(0.1)
        address = json.loads(file.read_text())["address"]
        ran = cli("sweep", str(space), "--store", str(tmp_path / "s.db"), "--scheduler", address)
        assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1), ran.err
        assert f"--scheduler {address} has no workers; start one with `dask worker {address}`" in ran.err
        assert not (tmp_path / "s.db").exists()
    finally:
        scheduler.kill()
        scheduler.wait()
