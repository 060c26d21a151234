"""A schedule's timeline as a Chrome trace, which Perfetto and chrome://tracing open.

Tracks: array (each, where there are several), vector unit, DMA, and the bytes that the buffer holds. Times are
microseconds.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated

from costmodel.hardware.accelerator import Accelerator
from costmodel.records import OPTIONAL, encode
from sim.machine.execution import Executed, Execution

TRACKS = {"array": 1, "vector unit": 2, "DMA": 3}


def tracks_of(target: Accelerator) -> dict[str, int]:
    """Numbers of the tracks by unit."""
    if not target.more:
        return TRACKS
    units = (*(f"array {n}" for n in range(1, 2 + len(target.more))), "vector unit", "DMA")
    return {unit: n for n, unit in enumerate(units, 1)}


@dataclass(frozen=True)
class TraceEvent:
    """One entry of a Chrome trace, under the names of that format."""

    ph: str  # phase: M names a track, X is a slice, C a counter
    pid: int
    tid: Annotated[int | None, OPTIONAL]
    name: str
    ts: Annotated[float | None, OPTIONAL]  # µs
    dur: Annotated[float | None, OPTIONAL]
    args: dict[str, str | int]


@dataclass(frozen=True)
class Span:
    """What one unit does in one go."""

    unit: str
    start_cycle: int
    cycles: int
    what: str
    module: str


def chrome_trace(execution: Execution, clock_mhz: int, title: str) -> str:
    """The trace as JSON text."""
    events = [TraceEvent("M", 1, None, "process_name", None, None, {"name": title})]
    tracks = tracks_of(execution.target)
    events += [TraceEvent("M", 1, n, "thread_name", None, None, {"name": name}) for name, n in tracks.items()]
    for done in execution.steps:
        events += [
            slice_event(done, span, clock_mhz, tracks) for span in spans_of(done, len(tracks) > len(TRACKS))
        ]
        held = {"tiles": done.buffer_bytes, "kept": done.step.kept_bytes}
        held |= {"sums in the local memory": done.local_bytes} if done.local_bytes else {}
        at = done.step.start_cycle / clock_mhz
        events.append(TraceEvent("C", 1, None, "buffer bytes", at, None, {**held}))
    return json.dumps({"traceEvents": encode(events), "displayTimeUnit": "ns"}) + "\n"


def spans_of(done: Executed, several: bool = False) -> list[Span]:
    """What arrays, vector unit and DMA do in a step: the ends one after the other, the others side by side.

    `several`: the target has more than one array. Of two that work in a step the second one ends with it.
    """
    start, op, module = done.step.start_cycle, done.step.op, done.step.module
    work = start + done.load_cycles
    end = start + done.cycles
    busy = done.array_cycles + done.tail_cycles * bool(done.array_cycles)
    last = end - done.store_cycles
    arrays = [
        Span("array" if not several else f"array {p + 1}", work, busy, op, module) for p, _ in done.each_cycles
    ]
    if len(arrays) > 1:
        arrays = [
            Span(f"array {place + 1}", last - cycles if n else work, cycles, op, module)
            for n, (place, cycles) in enumerate(done.each_cycles)
        ]
    spans = (
        Span("DMA", start, done.load_cycles, "first load", module),
        *arrays,
        Span("vector unit", work, done.vector_cycles, op, module),
        Span("DMA", work, min(done.dma_cycles, end - done.store_cycles - work), "loads and stores", module),
        Span("DMA", end - done.store_cycles, done.store_cycles, "last store", module),
    )
    return [span for span in spans if span.cycles]


def slice_event(done: Executed, span: Span, clock_mhz: int, tracks: dict[str, int]) -> TraceEvent:
    events = done.events
    args: dict[str, str | int] = {
        "module": done.step.module,
        "tile": done.step.tile,
        "cycles": done.cycles,
        "array_cycles": done.array_cycles,
        "vector_cycles": done.vector_cycles,
        "dma_cycles": done.dma_cycles,
        "read_port_cycles": done.read_port_cycles,
        "write_port_cycles": done.write_port_cycles,
        "dram_bytes": (events.dram_read_bits + events.dram_write_bits) // 8,
        "buffer_bytes": done.buffer_bytes,
    }
    if done.local_bytes:
        args |= {
            "local_read_cycles": done.local_read_cycles,
            "local_write_cycles": done.local_write_cycles,
            "local_bytes": done.local_bytes,
        }
    name = span.what if span.unit == "DMA" else f"{span.what} {span.module}".strip()
    start, long = span.start_cycle / clock_mhz, span.cycles / clock_mhz
    return TraceEvent("X", 1, tracks[span.unit], name, start, long, args)
