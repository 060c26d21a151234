"""A sweep of 200 points with accuracy in bits on 200 sentences, killed three times. `--write` makes KILL.md.

Each kill is a SIGKILL at a random moment, the first while accuracies are measured; then the same command goes on.
In the end the store must hold exactly what an unkilled sweep's holds.
"""

from __future__ import annotations

import argparse
import datetime
import platform
import random
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from costmodel.explore.store import accuracies, open_store
from tests import killed

SPACE = """\
objectives = ["energy_uj", "latency_ms", "accuracy"]
constraints = ["area_mm2 <= 4", "accuracy >= 0.85"]

[knobs]
model = "minilm-distilbert"
attention = ["dot", "inhibitor:per_head=true,normalise=sqrt"]
seq = {from = 32, to = 128, step = 24}
widths = ["w8a8", "w4a8"]
target = "edge-asic"
array = ["8x8", "16x16", "24x24", "32x32", "48x48"]
lanes = [16, 64]

[accuracy]
task = "sst2"
limit = 200
"""
KILLS = 3


def contents(path: Path) -> tuple[list[tuple[Any, ...]], dict[str, float | str]]:
    store = open_store(path)
    try:
        return store.connection.execute("SELECT * FROM points ORDER BY point").fetchall(), accuracies(store)
    finally:
        store.connection.close()


def measure(seed: int) -> list[str]:
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        space, whole, path = (Path(folder) / name for name in ("space.toml", "whole.db", "killed.db"))
        space.write_text(SPACE)
        start = time.monotonic()
        first = killed.start(str(space), "--store", str(whole), "--workers", "2")
        _, err = first.communicate()
        whole_s = time.monotonic() - start
        assert first.returncode == 0, err
        expected = contents(whole)
        assert len(expected[0]) == 200
        lines = [
            "| moment of SIGKILL | seconds after start | accuracies stored | points stored |",
            "|---|---|---|---|",
        ]
        seen: list[tuple[list[tuple[Any, ...]], dict[str, float | str]]] = []
        for n in range(KILLS):
            done = len(seen[-1][0]) + len(seen[-1][1]) if seen else 0
            # The first while accuracies are measured, the others in the nearer half of what is left.
            size = rng.randint(done + 1, done + (204 - done) // 2) if n else rng.randint(1, 3)
            start = time.monotonic()
            process = killed.start(str(space), "--store", str(path), "--workers", "2", die_at=size)
            assert killed.died(process), "it was done before it could be killed"
            seen.append(contents(path))
            assert len(seen[-1][0]) < 200
            lines.append(f"| {n + 1} | {time.monotonic() - start:.1f} | {len(seen[-1][1])} | {len(seen[-1][0])} |")
        last = killed.start(str(space), "--store", str(path), "--workers", "2")
        _, err = last.communicate()
        assert last.returncode == 0, err
        found = contents(path)
        assert found == expected
        for rows, measured in seen:
            assert set(rows) <= set(found[0])
            assert measured.items() <= found[1].items()
        lines += [
            f"| none: ran to its end | | {len(found[1])} | {len(found[0])} |",
            "",
            f"The unkilled sweep took {whole_s:.0f} s. Both stores hold the same 200 points in every digit and",
            f"the same {len(found[1])} accuracies; all that a killed process had stored is there unchanged.",
        ]
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    lines = measure(given.seed)
    print("\n".join(lines))
    if given.write:
        versions = ", ".join(f"{name} {version(name)}" for name in ("numpy", "torch", "optuna"))
        head = [
            "# A sweep that is killed three times",
            "",
            f"`python -m tests.bench.kill --write --seed {given.seed}`, {datetime.date.today()}, "
            f"Python {platform.python_version()}, {versions}; 2 workers on a shared machine of 2 cores.",
            "200 points; accuracy bit for bit on the first 200 sentences of SST-2's dev split, of the two",
            "students that ship, each in w8a8 and w4a8.",
            "",
        ]
        path = Path(__file__).parent / "KILL.md"
        path.write_text("\n".join([*head, *lines, ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
