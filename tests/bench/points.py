"""Speed of the compiled form. `--write` puts the figures into POINTS.md.

Ratios are those of one run: the compiled form beside the scheduled cost of the same points, medians.
"""

from __future__ import annotations

import argparse
import datetime
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from costmodel.graph.canonical import canonicalise
from costmodel.graph.lowering import lower
from costmodel.graph.tracing import trace
from costmodel.hardware.loading import load_target
from costmodel.mapping.cost import price
from costmodel.mapping.many import CODES, compile_program, evaluate
from costmodel.mapping.schedule import schedule
from costmodel.technology.loading import load_table
from costmodel.widths.assign import assign_widths
from costmodel.widths.policy import parse_policy
from models.attention.mechanisms import Mechanism
from models.zoo.loading import load_model
from tests.bench.mapping import forget

POINTS, RUNS = 100_000, 3


def cpu_seconds(work: Callable[[], Any]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def random_machines(number: int) -> dict[str, Any]:
    """Parameters of random machines around edge and server designs; arrays and buffers of a grid."""
    rng = np.random.default_rng(0)
    side = rng.choice([16, 32, 64, 128], number)
    return {
        "rows": side,
        "columns": side,
        "dataflow": rng.integers(0, 3, number),
        "lanes": rng.choice([16, 64, 256], number),
        "buffer_bytes": rng.choice([256, 512, 2048, 8192], number) * 1024,
        "bandwidth_mb_s": rng.integers(1000, 600_000, number),
        "clock_mhz": rng.choice([150, 500, 1000], number),
        "buffer_read_bytes": rng.integers(64, 4096, number),
        "buffer_write_bytes": rng.integers(64, 4096, number),
        "buffer_read_pj": rng.uniform(1, 10, number),
        "buffer_write_pj": rng.uniform(1, 10, number),
        "dram_pj": rng.uniform(30, 300, number),
    }


def measure() -> list[str]:
    lines = ["| what | median of 3 |", "|---|---|"]
    target, table = load_target("edge-asic"), load_table("horowitz45")
    grid = random_machines(POINTS)
    one = grid | {"rows": 32, "columns": 32, "dataflow": 1, "buffer_bytes": 512 * 1024}
    for name in ("dot", "inhibitor"):
        loaded = load_model("distilbert", mechanism=Mechanism(name), batch=1, seq=128, sizes={})
        typed = assign_widths(canonicalise(lower(trace(loaded.module, loaded.inputs))), parse_policy("w8a8"))
        ten = {key: column[:10] for key, column in grid.items()}
        evaluate(compile_program(typed, target, table), ten)  # numba compiles
        edp = 0.0
        for objective in CODES:
            forget()
            program = compile_program(typed, target, table)
            first = cpu_seconds(lambda p=program, o=objective: evaluate(p, grid, o))
            for where, machines in (("48 arrays with a buffer", grid), ("one array with a buffer", one)):
                evaluate(program, machines, objective)
                seconds = statistics.median(
                    cpu_seconds(lambda p=program, m=machines, o=objective: evaluate(p, m, o)) for _ in range(RUNS)
                )
                what = f"distilbert, {name}, least {objective}, {where}: points a CPU-second"
                lines.append(f"| {what} | {POINTS / seconds:,.0f} |")
                if objective == "edp" and machines is grid:
                    edp = seconds / POINTS
                    lines.append(f"| its fronts on them, once: CPU seconds | {max(0.0, first - seconds):.1f} |")
        times = []
        for _ in range(RUNS):
            forget()
            times.append(cpu_seconds(lambda t=typed: price(t, schedule(t, target))))
        ratio = statistics.median(times) / edp
        lines.append(f"| the scheduled cost of one point beside it, least edp: times as long | {ratio:,.0f} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    lines = measure()
    print("\n".join(lines))
    if parser.parse_args().write:
        versions = ", ".join(f"{name} {version(name)}" for name in ("numba", "numpy"))
        head = [
            "# Speed of the compiled form",
            "",
            f"`python -m tests.bench.points --write`, {datetime.date.today()}, "
            f"Python {platform.python_version()}, {versions}; a shared machine, one core, CPU seconds.",
            "4 arrays, 3 dataflows, 4 buffers; random lanes, bandwidths, clocks and prices. Every point is the",
            "whole of DistilBERT-base at S=128, w8a8. An array with a buffer needs its fronts once; beside them a",
            "point takes a look at each of their mappings.",
            "",
        ]
        path = Path(__file__).parent / "POINTS.md"
        path.write_text("\n".join([*head, *lines, ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
