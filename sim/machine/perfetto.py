"""A schedule's timeline as a Chrome trace, which Perfetto and chrome://tracing open.

Tracks: array, vector unit, DMA, and the bytes that the buffer holds. Times are microseconds.
"""

from __future__ import annotations

import json
from typing import Any

from sim.machine.execution import Executed, Execution

TRACKS = {"array": 1, "vector unit": 2, "DMA": 3}


def chrome_trace(execution: Execution, clock_mhz: int, title: str) -> str:
    """The trace as JSON text."""
    events: list[dict[str, Any]] = [{"ph": "M", "pid": 1, "name": "process_name", "args": {"name": title}}]
    for name, number in TRACKS.items():
        events.append({"ph": "M", "pid": 1, "tid": number, "name": "thread_name", "args": {"name": name}})
    for done in execution.steps:
        for track, start, cycles, what in spans_of(done):
            if cycles:
                events.append(slice_event(done, track, start / clock_mhz, cycles / clock_mhz, what))
        at = done.step.start_cycle / clock_mhz
        held = {"tiles": done.buffer_bytes, "kept": done.step.kept_bytes}
        events.append({"ph": "C", "pid": 1, "name": "buffer bytes", "ts": at, "args": held})
    return json.dumps({"traceEvents": events, "displayTimeUnit": "ns"}, indent=None) + "\n"


def spans_of(done: Executed) -> list[tuple[str, int, int, str]]:
    """Track, first cycle, cycles, and what it does: the ends stand alone, the rest side by side."""
    start = done.step.start_cycle
    work = start + done.load_cycles
    end = start + done.cycles
    return [
        ("DMA", start, done.load_cycles, "first load"),
        ("array", work, done.array_cycles + done.tail_cycles * bool(done.array_cycles), done.step.op),
        ("vector unit", work, done.vector_cycles, done.step.op),
        ("DMA", work, min(done.dma_cycles, end - done.store_cycles - work), "loads and stores"),
        ("DMA", end - done.store_cycles, done.store_cycles, "last store"),
    ]


def slice_event(done: Executed, track: str, start_us: float, duration_us: float, what: str) -> dict[str, Any]:
    events = done.events
    return {
        "ph": "X",
        "pid": 1,
        "tid": TRACKS[track],
        "name": what if track == "DMA" else f"{what} {done.step.module}".strip(),
        "ts": start_us,
        "dur": duration_us,
        "args": {
            "module": done.step.module,
            "tile": done.step.tile,
            "cycles": done.cycles,
            "array_cycles": done.array_cycles,
            "vector_cycles": done.vector_cycles,
            "dma_cycles": done.dma_cycles,
            "dram_bytes": (events.dram_read_bits + events.dram_write_bits) // 8,
            "buffer_bytes": done.buffer_bytes,
        },
    }
