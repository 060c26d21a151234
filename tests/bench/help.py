"""CPU time of `costmodel --help` as a process of its own: the best of ten, start of Python included.

python -m tests.bench.help
"""

from __future__ import annotations

import resource
import subprocess
import sys

TARGET_S = 0.3


def measure(runs: int = 10) -> float:
    """CPU seconds of the fastest run, user and system."""
    found = []
    for _ in range(runs):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        code = "import sys; sys.argv = ['costmodel', '--help']; from costmodel.cli import main; main()"
        subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        found.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(found)


if __name__ == "__main__":
    print(f"costmodel --help: {measure():.3f} s of CPU time; the target is {TARGET_S} s")
