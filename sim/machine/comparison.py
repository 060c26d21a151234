"""Two comparisons: integers against the float model, node by node; the machine against the analytic cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, log10

import numpy as np

from costmodel.graph.ir import Graph
from costmodel.mapping.steps import Schedule
from costmodel.widths.policy import add_work
from sim.integer.floats import run_floats
from sim.integer.program import Program
from sim.integer.run import real_of
from sim.integer.views import Array, value_names
from sim.machine.execution import Execution


@dataclass(frozen=True)
class NodeError:
    """One value in integers against the same one in float64."""

    name: str
    type: str
    sqnr_db: float  # 10 log10 of signal power over error power
    max_error: float
    largest: float  # magnitude in floats


def sqnr_db(signal: Array, error: Array) -> float:
    power, noise = float((signal * signal).sum()), float((error * error).sum())
    return inf if noise == 0 else -inf if power == 0 else 10 * log10(power / noise)


class FloatWitness:
    """The float64 graph's values, against which integers are held as they are made: `see` is a watch."""

    def __init__(
        self,
        program: Program,
        graph: Graph,
        weights: Mapping[str, Array],
        ids: Array,
        keep: Array | None,
        all_keys: bool,
    ) -> None:
        self.program, self.graph = program, graph
        self.names = value_names(program.typed.graph)
        self.keys = np.full(ids.shape[0], ids.shape[1]) if keep is None else keep.sum(1)
        self.floats: dict[int, Array] = {}
        run_floats(graph, weights, ids, keep, self.floats.__setitem__, all_keys)
        self.origin = origins(program)
        self.found: dict[int, NodeError] = {}

    def see(self, i: int, integers: Array) -> None:
        origin = self.origin.get(i)
        if origin is None or origin not in self.floats:
            return
        signal = self.floats[origin].reshape(integers.shape)
        error = real_of(self.program, i, integers, self.keys) - signal
        value = self.program.typed.graph.values[i]
        largest = float(np.abs(signal).max())
        self.found[i] = NodeError(
            self.names[i], value.dtype, sqnr_db(signal, error), float(np.abs(error).max()), largest
        )

    @property
    def errors(self) -> tuple[NodeError, ...]:
        """In the order of the graph."""
        order = [i for node in self.program.typed.graph.nodes for i in node.outputs]
        return tuple(self.found[i] for i in order if i in self.found)


def origins(program: Program) -> dict[int, int]:
    """Of each value that arithmetic makes the value of the float graph that it stands for."""
    graph = program.typed.graph
    found: dict[int, int] = {}
    for node in graph.nodes:
        if node.op in ("view", "scale", "copy", "index"):
            continue
        o = node.outputs[0]
        if node.op != "requantise":
            found[o] = o
        elif node.inputs[0] in found:
            found[o] = found[node.inputs[0]]
    return found


@dataclass(frozen=True)
class Difference:
    """A figure of a step on which the machine and the schedule do not agree."""

    step: str
    what: str
    machine: str
    analytic: str


def differences(execution: Execution, schedule: Schedule) -> tuple[Difference, ...]:
    """Cycles, bits at each level, arithmetic by kind and width of every step: none should differ."""
    found = []
    for done, step in zip(execution.steps, schedule.steps, strict=True):
        events = done.events
        pairs: list[tuple[str, object, object]] = [
            ("cycles", done.cycles, step.cycles),
            ("array cycles", done.array_cycles, step.array_cycles),
            ("cycles of each array", done.each_cycles, step.each_cycles),
            ("vector cycles", done.vector_cycles, step.vector_cycles),
            ("DMA cycles", done.dma_cycles, step.dma_cycles),
            ("read port cycles", done.read_port_cycles, step.read_port_cycles),
            ("write port cycles", done.write_port_cycles, step.write_port_cycles),
            ("local read port cycles", done.local_read_cycles, step.local_read_cycles),
            ("local write port cycles", done.local_write_cycles, step.local_write_cycles),
            ("DRAM bits read", events.dram_read_bits, step.read_bits),
            ("DRAM bits written", events.dram_write_bits, step.write_bits),
            ("buffer bits read", events.buffer_read_bits, step.buffer_read_bits),
            ("buffer bits written", events.buffer_write_bits, step.buffer_write_bits),
            ("local bits read", events.local_read_bits, step.local_read_bits),
            ("local bits written", events.local_write_bits, step.local_write_bits),
            ("register bits", events.register_bits, step.register_bits),
            ("bytes of tiles", done.buffer_bytes, step.buffer_bytes),
            ("bytes of sums", done.local_bytes, step.local_bytes),
            ("pairs", events.pairs, step.array_pairs),
            ("pairs on each array", dict(+events.pairs_on), dict(step.each_pairs)),
            ("arithmetic on PEs", dict(+events.array), dict(+Counter(add_work(step.array_work)))),
            ("arithmetic on lanes", dict(+events.vector), dict(+Counter(add_work(step.vector_work)))),
        ]
        for what, machine, analytic in pairs:
            if machine != analytic:
                found.append(Difference(f"{step.op} {step.module}", what, str(machine), str(analytic)))
    return tuple(found)
