"""CPU time of the integer run and of the machine beside torch's float32 forward. `--write` fills SIMULATE.md.

DistilBERT, w8a8, S=128, B=1, MiniLM's width and full width. Each round times all three one after the other;
ratios are medians over rounds of one process each, peak memory is that process's own.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROUNDS, SEQ = 15, 128
CASES = [(model, attention) for model in ("minilm-distilbert", "distilbert") for attention in ("dot", "inhibitor")]


def cpu_seconds(work: Callable[[], Any]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def measure(model: str, attention: str) -> dict[str, float]:
    """Medians of CPU seconds, ratios to torch, peak memory of this process in MB."""
    import numpy as np
    import torch

    from costmodel.api.session import Session
    from costmodel.hardware.loading import load_target
    from costmodel.mapping.schedule import schedule
    from costmodel.widths.assign import assign_widths
    from costmodel.widths.policy import parse_policy
    from models.attention.mechanisms import parse_mechanism
    from models.zoo.loading import load_model
    from sim.integer.run import compile_program, run_program
    from sim.integer.weights import Weights
    from sim.machine.execution import execute

    session = Session(model, attention)
    module = load_model(model, mechanism=parse_mechanism(attention), seq=SEQ, device="cpu").module
    ranges = session.calibration(None, None, "w8a8", "max")
    typed = assign_widths(session.graph_at(1, SEQ), parse_policy("w8a8"))
    program = compile_program(typed, Weights(session.weights), ranges)
    plan = schedule(typed, load_target("edge-asic"))
    ids = np.random.default_rng(0).integers(1000, 30000, (1, SEQ))
    tokens = torch.from_numpy(ids)
    works: dict[str, Callable[[], Any]] = {
        "torch": lambda: module(input_ids=tokens),
        "run": lambda: run_program(program, ids),
        "machine": lambda: execute(program, plan, ids),
    }
    times: dict[str, list[float]] = {name: [] for name in works}
    with torch.no_grad():
        for work in works.values():
            work()
        for _ in range(ROUNDS):
            for name, work in works.items():
                times[name].append(cpu_seconds(work))
    found = {f"{name}_ms": 1e3 * statistics.median(times[name]) for name in works}
    for name in ("run", "machine"):
        ratios = [a / b for a, b in zip(times[name], times["torch"], strict=True)]
        found[f"{name}_ratio"] = statistics.median(ratios)
    found["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return found


def table() -> str:
    """All cases, each in a process of its own."""
    lines = [
        "| model | attention | torch ms | run ms | ratio | machine ms | ratio | peak MB |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for model, attention in CASES:
        command = [sys.executable, "-m", "tests.bench.simulate", "--case", model, attention]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
        m = json.loads(result.stdout.splitlines()[-1])
        lines.append(
            f"| {model} | {attention} | {m['torch_ms']:.0f} | {m['run_ms']:.0f} | {m['run_ratio']:.2f} | "
            f"{m['machine_ms']:.0f} | {m['machine_ratio']:.2f} | {m['peak_mb']:.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--case", nargs=2)
    args = parser.parse_args()
    if args.case:
        print(json.dumps(measure(*args.case)))
        return
    made = table()
    print(made)
    if args.write:
        versions = ", ".join(f"{name} {version(name)}" for name in ("numpy", "numba", "torch", "transformers"))
        head = (
            f"# Simulator beside torch's eager float32\n\n`python -m tests.bench.simulate --write`, "
            f"{datetime.date.today()}, Python {platform.python_version()}, {versions}. CPU time, medians of "
            f"{ROUNDS} rounds; w8a8, S={SEQ}, B=1, edge-asic. Absolute times are of a shared machine.\n\n"
        )
        (Path(__file__).parent / "SIMULATE.md").write_text(head + made + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
