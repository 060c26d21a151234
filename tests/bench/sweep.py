"""A million points of a design space: swept, stored, reduced to a front. `--write` puts figures into SWEEP.md.

Both commands run as a user runs them, start of Python included. Memory is that of all their processes together.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import psutil

from costmodel.explore.dominance import front

WORKERS = 2
SPACE = """\
objectives = ["energy_uj", "latency_ms", "area_mm2"]
constraints = ["area_mm2 <= 8"]

[knobs]
model = "distilbert"
attention = ["dot", "inhibitor"]
seq = 128
widths = ["w8a8", "w4a8"]
target = "edge-asic"
array = [
  "8x8",  "8x16",  "8x32",  "8x48",  "8x64",  "16x8", "16x16", "16x32", "16x48", "16x64", "32x8", "32x16", "32x32",
  "32x48", "32x64", "48x8", "48x16", "48x32", "48x48", "48x64", "64x8", "64x16", "64x32", "64x48", "64x64",
]
dataflow = ["os", "ws"]
buffer_kib = {from = 100, to = 1000, step = 100}
lanes = {from = 16, to = 160, step = 16}
clock_mhz = {from = 200, to = 1000, step = 200}
bandwidth_mb_s = {from = 3200, to = 32000, step = 3200}
"""
MOST_S, MOST_BYTES = 60, 2e9  # what a million points must stay below


@dataclass(frozen=True)
class Used:
    """Of a command and all of its processes."""

    wall_s: float
    cpu_s: float
    peak_bytes: int  # resident at the same time, shared pages counted in each


def timed(*arguments: str, cache: Path) -> Used:
    """Run a subcommand of costmodel.

    Raises:
        RuntimeError: it failed.
    """
    start, peak, cpu = time.perf_counter(), 0, {}
    environment = os.environ | {"COSTMODEL_CACHE": str(cache)}
    command = [sys.executable, "-c", "from costmodel.cli import main; main()", *arguments]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as child:
        process = psutil.Process(child.pid)
        while child.poll() is None:
            resident = 0
            for each in tree(process):
                try:
                    resident += each.memory_info().rss
                    times = each.cpu_times()
                    cpu[each.pid] = times.user + times.system
                except psutil.Error:
                    continue
            peak = max(peak, resident)
            time.sleep(0.05)
        wall = time.perf_counter() - start
        if child.returncode:
            raise RuntimeError((child.stderr.read() if child.stderr else b"").decode())
    return Used(wall, sum(cpu.values()), peak)


def tree(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []


def measure() -> list[str]:
    lines = ["| what | wall s | CPU s | peak MB |", "|---|---|---|---|"]

    def line(what: str, *used: Used) -> None:
        wall, cpu = sum(u.wall_s for u in used), sum(u.cpu_s for u in used)
        lines.append(f"| {what} | {wall:.1f} | {cpu:.1f} | {max(u.peak_bytes for u in used) / 1e6:,.0f} |")

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        space, small, cache = folder / "space.toml", folder / "small.toml", folder / "cache"
        space.write_text(SPACE, encoding="utf-8")
        small.write_text(
            SPACE.replace("{from = 100, to = 1000, step = 100}", "500").replace("step = 16}", "step = 160}")
        )
        sweep = ("--workers", str(WORKERS), "--format", "json")
        first = timed("sweep", str(small), "--store", str(folder / "small.db"), *sweep, cache=cache)
        line("10 000 of the points, no trace in the cache: torch traces", first)
        store = folder / "store.db"
        swept = timed("sweep", str(space), "--store", str(store), *sweep, cache=cache)
        line("1 000 000 points swept and stored", swept)
        reduced = timed("pareto", str(store), "--format", "json", cache=cache)
        line("reduced to the front, from the store", reduced)
        line("**both together**", swept, reduced)
        size = store.stat().st_size
        if swept.wall_s + reduced.wall_s > MOST_S or max(swept.peak_bytes, reduced.peak_bytes) > MOST_BYTES:
            lines.append(f"\nMore than {MOST_S} s or {MOST_BYTES / 1e9:.0f} GB.")
    lines += ["", f"The store has {size / 1e6:.0f} MB.", "", *fronts()]
    return lines


def fronts() -> list[str]:
    """Fronts of a million points in memory: of random ones, and of ones that conflict."""
    lines = ["| front of 1 000 000 points, objectives | members | CPU s |", "|---|---|---|"]
    rng = np.random.default_rng(0)
    for objectives in (2, 3, 4, 5):
        values = rng.random((1_000_000, objectives))
        crossed = values.copy()
        crossed[:, 0] = rng.random(len(values)) - 0.3 * values[:, 1:].sum(axis=1)
        for what, table in (("independent", values), ("in conflict", crossed)):
            senses = ["min"] * objectives
            front(table[:1000], senses)
            start = time.process_time()
            found = front(table, senses)
            seconds = time.process_time() - start
            lines.append(f"| {objectives}, {what} | {len(found):,} | {seconds:.2f} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    lines = measure()
    print("\n".join(lines))
    if parser.parse_args().write:
        versions = ", ".join(f"{name} {version(name)}" for name in ("numba", "numpy"))
        head = [
            "# A million points swept, stored, reduced to a front",
            "",
            f"`python -m tests.bench.sweep --write`, {datetime.date.today()}, Python {platform.python_version()}, "
            f"{versions}, {WORKERS} workers on a shared machine of {os.cpu_count()} cores, load "
            f"{os.getloadavg()[2]:.1f}.",
            "DistilBERT-base at S=128 with two attentions and two widths, each on 250 000 machines: every",
            "point is computed. Memory is the sum over all processes.",
            "",
        ]
        path = Path(__file__).parent / "SWEEP.md"
        path.write_text("\n".join([*head, *lines, ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
