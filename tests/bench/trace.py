"""CPU seconds and memory of tracing and counting, beside fvcore and calflops, in one run.

    python -m tests.bench.trace [--write]

Never fails by time. With `--write` the figures go to tests/bench/TRACE.md, with versions and date.
"""

from __future__ import annotations

import argparse
import datetime
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
RUNS = 7


def cpu_seconds(call: Callable[[], object], runs: int) -> float:
    """Median over runs, after one that is not counted."""
    call()
    times = []
    for _ in range(runs):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return statistics.median(times)


def ours() -> Callable[[], object]:
    """Trace and count a model that is already built, as the peers do."""
    from costmodel.counting.tally import count
    from costmodel.graph.canonical import canonicalise
    from costmodel.graph.lowering import lower
    from costmodel.graph.tracing import trace
    from models.zoo.loading import load_model

    loaded = load_model("distilbert", seq=128)
    return lambda: count(canonicalise(lower(trace(loaded.module, loaded.inputs))))


def peak_mb() -> None:
    """Run in a process of its own: prints its peak memory."""
    ours()()
    # Not `ru_maxrss`, which a child inherits from its parent.
    status = Path("/proc/self/status").read_text()
    print(int(status.split("VmHWM:")[1].split()[0]) / 1024)


def peers() -> dict[str, Callable[[], object]]:
    import torch
    from calflops import calculate_flops
    from fvcore.nn import FlopCountAnalysis
    from transformers import DistilBertConfig, DistilBertModel

    model = DistilBertModel(DistilBertConfig(attn_implementation="eager")).eval()
    ids = torch.zeros(1, 128, dtype=torch.long)

    def fvcore() -> object:
        with torch.no_grad():
            analysis = FlopCountAnalysis(model, (ids,))
            return analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).total()

    def calflops() -> object:
        options = {"print_results": False, "print_detailed": False, "output_as_string": False}
        return calculate_flops(model, kwargs={"input_ids": ids}, **options)

    return {"fvcore": fvcore, "calflops": calflops}


def wall_seconds(command: list[str], env: dict[str, str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def lines() -> list[str]:
    mine = cpu_seconds(ours(), RUNS)
    rows = [f"| costmodel, trace and count on meta | {mine:.3f} | 1 |"]
    for name, call in peers().items():
        theirs = cpu_seconds(call, 3)
        rows.append(f"| {name}, on CPU | {theirs:.3f} | {theirs / mine:.1f} |")
    code = "from tests.bench.trace import peak_mb; peak_mb()"
    peak = float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    command = [str(Path(sys.executable).parent / "costmodel"), "count"]
    with tempfile.TemporaryDirectory() as folder:
        env = os.environ | {"COSTMODEL_CACHE": folder}
        first = wall_seconds([*command, "distilbert", "--seq", "128"], env)
        again = statistics.median(wall_seconds([*command, "distilbert", "--seq", "128"], env) for _ in range(RUNS))
        other = statistics.median(
            wall_seconds([*command, "distilbert", "--seq", str(n)], env) for n in range(90, 97)
        )
        large = wall_seconds([*command, "llama-3-70b", "--seq", "8192"], env)
    return [
        "DistilBERT-base, B=1, S=128, after imports, model already built, medians:",
        "",
        "| counter | CPU-s | times ours |",
        "|---|---:|---:|",
        *rows,
        "",
        f"Peak memory of a process that traces and counts it, imports included: {peak:.0f} MB.",
        "",
        "| whole process | wall s |",
        "|---|---:|",
        f"| `costmodel count distilbert --seq 128`, first time | {first:.2f} |",
        f"| the same again (median of {RUNS}) | {again:.2f} |",
        f"| at other lengths, from the cached template (median of {RUNS}) | {other:.2f} |",
        f"| `costmodel count llama-3-70b --seq 8192`, first time | {large:.2f} |",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true")
    write = parser.parse_args().write
    packages = ", ".join(f"{p} {version(p)}" for p in ("torch", "transformers", "fvcore", "calflops"))
    python = sys.version.split()[0]
    head = f"`make bench`, {datetime.date.today()}, Python {python}, {packages}, {os.cpu_count()} cores."
    text = "\n".join([head, "", *lines()]) + "\n"
    print(text)
    if write:
        (HERE / "TRACE.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
