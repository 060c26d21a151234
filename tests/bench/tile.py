"""Milliseconds of a search for the best tile, and of a whole schedule; medians, never a failing test.

python -m tests.bench.tile
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import suppress

from costmodel.errors import DoesNotFit
from costmodel.graph.canonical import canonicalise
from costmodel.graph.lowering import lower
from costmodel.graph.tracing import trace
from costmodel.hardware.loading import load_target
from costmodel.hardware.timing import DATAFLOWS, ArrayShape, Product
from costmodel.mapping.core import best_core
from costmodel.mapping.schedule import schedule
from costmodel.mapping.tile import OBJECTIVES, Operands, Site, best_tile
from costmodel.widths.assign import assign_widths
from costmodel.widths.policy import parse_policy
from models.zoo.loading import load_model

RUNS = 5


def milliseconds(call: Callable[[], object]) -> float:
    """Median over runs, each with empty caches of searches."""
    times = []
    for _ in range(RUNS):
        best_tile.cache_clear()
        best_core.cache_clear()
        start = time.perf_counter()
        with suppress(DoesNotFit):
            call()
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)


def searches(objective: str) -> list[float]:
    found = []
    operands = Operands(8, 8, 32, 8)
    for S in (128, 512):
        for M, N, K in ((S, 768, 768), (S, 3072, 768), (S, 768, 3072), (S, S, 64), (S, 64, S)):
            for kib in (32, 128, 512):
                for dataflow in DATAFLOWS:
                    site = Site(ArrayShape(32, 32), dataflow, "array", kib * 1024, 12_800, 500)
                    product = Product(M, N, K)
                    found.append(milliseconds(lambda p=product, s=site: best_tile(p, 1, operands, s, objective)))
    return found


def main() -> None:
    print("best tile of DistilBERT's products on 32x32, ms: median, longest")
    for objective in OBJECTIVES:
        found = searches(objective)
        print(f"  fewest {objective:6}  {statistics.median(found):6.2f} {max(found):6.2f}")
    loaded = load_model("distilbert", seq=128)
    graph = canonicalise(lower(trace(loaded.module, loaded.inputs)))
    typed, target = assign_widths(graph, parse_policy("w8a8")), load_target("edge-asic")
    print(f"schedule of DistilBERT, S=128, edge-asic: {milliseconds(lambda: schedule(typed, target)):.1f} ms")


if __name__ == "__main__":
    main()
