"""What a schedule costs: cycles, seconds, energy by part, op, memory level and layer; never below the roofline.

Energy is that of scalar operations by (op, width) under the target's table, and of the bytes that move at
each level; with registers of PEs where the table has a row for a bit of one. Widths that a table lacks are
interpolated, see `Table.interpolate`, and `interpolated` says so. Clocks, wires, leakage and idle PEs are not
modelled: no table gives them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from costmodel.counting.tally import compulsory_bytes, layer_of
from costmodel.hardware.accelerator import Accelerator
from costmodel.hardware.occupancy import memory_prices
from costmodel.hardware.registers import register_energy
from costmodel.mapping.pieces import shape_of
from costmodel.mapping.steps import Schedule, Step
from costmodel.mapping.works import price_work
from costmodel.ops.rules import pe_of
from costmodel.technology.loading import load_table
from costmodel.technology.tables import Energy, Table, add_up
from costmodel.widths.assign import Typed
from costmodel.widths.policy import Work, add_work

PARTS = ("array", "registers", "vector", "local", "buffer", "dram")
LEFT_OUT = ("registers", "local")  # parts without which there is a sum: no row prices them, or the target has none


@dataclass(frozen=True)
class StepEnergy:
    """Energy of one step by part; None where nothing is published for the target.

    Registers that no row of the table prices are None, and left out of sums; `registers_how` says so. So is the
    local memory of a target that has none.
    """

    array: Energy | None
    registers: Energy | None
    vector: Energy | None
    local: Energy | None
    buffer: Energy | None
    dram: Energy | None

    def total(self) -> Energy | None:
        return sum_parts((self,), PARTS)


def sum_parts(energies: Iterable[StepEnergy], parts: Iterable[str]) -> Energy | None:
    """Sum of some parts of some steps; None where one is not known, or `LEFT_OUT` alone and they are not."""
    parts, energies = tuple(parts), tuple(energies)
    counted = [
        part for part in parts if part not in LEFT_OUT or all(getattr(e, part) is not None for e in energies)
    ]
    found = [getattr(energy, part) for energy in energies for part in counted]
    return None if any(e is None for e in found) or (energies and not counted) else add_up(found)


@dataclass(frozen=True)
class Cost:
    """A schedule, priced."""

    schedule: Schedule
    energies: tuple[StepEnergy, ...]
    interpolated: tuple[str, ...]  # (op, width) pairs that the table does not list
    roofline_cycles: int

    @property
    def cycles(self) -> int:
        return self.schedule.cycles

    @property
    def seconds(self) -> float:
        return self.cycles / (self.schedule.target.clock_mhz * 1e6)

    @property
    def energy(self) -> Energy | None:
        return self.sum_of(PARTS)

    @property
    def energy_delay_js(self) -> float | None:
        """Energy-delay product in joule seconds."""
        return None if self.energy is None else self.energy.nominal_pj * 1e-12 * self.seconds

    @property
    def utilisation(self) -> float:
        """Share of PE cycles, of all arrays, in which a PE takes a pair of operands in."""
        pairs = sum(step.array_pairs for step in self.schedule.steps)
        return pairs / (self.schedule.target.pes * self.cycles)

    def utilisation_of(self, place: int) -> float:
        """The same of one array of the target."""
        pairs = sum(n for step in self.schedule.steps for own, n in step.each_pairs if own == place)
        return pairs / (self.schedule.target.arrays[place].array.pes * self.cycles)

    def sum_of(self, parts: Iterable[str], only: Iterable[int] | None = None) -> Energy | None:
        """Energy of some parts, of all steps or of those at some places."""
        places = range(len(self.energies)) if only is None else only
        return sum_parts([self.energies[i] for i in places], parts)

    def by_layer(self) -> dict[str, Energy | None]:
        return self.grouped(lambda step: layer_of(step.module))

    def by_op(self) -> dict[str, Energy | None]:
        return self.grouped(lambda step: step.op)

    def grouped(self, key: object) -> dict[str, Energy | None]:
        assert callable(key)
        groups: dict[str, list[int]] = {}
        for i, step in enumerate(self.schedule.steps):
            groups.setdefault(key(step), []).append(i)
        return {name: self.sum_of(PARTS, places) for name, places in groups.items()}

    @property
    def core_places(self) -> tuple[int, ...]:
        return tuple(i for i, step in enumerate(self.schedule.steps) if step.in_core)


def price(typed: Typed, schedule: Schedule, table: Table | None = None) -> Cost:
    """Energies of a schedule under the target's own table, or another one.

    Raises:
        UnknownTable: an operation that occurs has no price in the table.
    """
    target = schedule.target
    if table is None and target.table:
        table = load_table(target.table)
    memories = memory_prices(target)
    energies = []
    for step in schedule.steps:
        array = None if table is None else price_work(table, step.array_work)
        vector = None if table is None else price_work(table, step.vector_work)
        registers = None if table is None else register_energy(table, step.register_bits)
        local = buffer = dram = None
        if memories is not None:
            local = memories.of_local(step.local_read_bits / 8, step.local_write_bits / 8)
            buffer = memories.buffer_read * (step.buffer_read_bits / 8)
            buffer += memories.buffer_write * (step.buffer_write_bits / 8)
            dram = memories.dram * ((step.read_bits + step.write_bits) / 8)
        energies.append(StepEnergy(array, registers, vector, local, buffer, dram))
    used = [w for step in schedule.steps for w in (*step.array_work, *step.vector_work)]
    flags = () if table is None else interpolated(table, used)
    return Cost(schedule, tuple(energies), flags, roofline_cycles(typed, schedule))


def interpolated(table: Table, works: Iterable[Work]) -> tuple[str, ...]:
    """Pairs of operation and width whose price is no row of the table and no explicit range."""
    rows = {(row.op, row.dtype) for row in table.ops}
    found = []
    for op, kind in add_work(works):
        base = op
        estimate = next((e for e in table.estimates if op in e.ops), None)
        if estimate is not None and not any(row.op == op for row in table.ops):
            if estimate.of == "pj":
                continue
            base = estimate.of
        if kind.lstrip("u").startswith("int") and (base, kind.lstrip("u")) not in rows:
            found.append(f"{op} {kind}")
    return tuple(sorted(set(found)))


def roofline_cycles(typed: Typed, schedule: Schedule) -> int:
    """No schedule is faster: all PEs busy in every cycle, or the compulsory bytes at full bandwidth.

    Of several arrays each does some kinds of term: what only some of them do keeps no other one busy.
    """
    target = schedule.target
    work = max((-(-n // pes) for n, pes in rooms(typed, target)), default=0)
    return max(work, -(-compulsory_bytes(typed.graph) * target.clock_mhz // target.bandwidth_mb_s))


def rooms(typed: Typed, target: Accelerator) -> list[tuple[int, int]]:
    """Pairs that only some arrays take in, and the PEs of these: for all arrays together, and for some."""
    pairs: dict[frozenset[int], int] = {}
    for node in typed.graph.nodes:
        kind = pe_of(node.op)
        on = frozenset(target.doing(kind)) if kind else frozenset()
        if on:
            shape = shape_of(typed.graph, node)
            pairs[on] = pairs.get(on, 0) + shape.B * shape.product.steps
    some = set(pairs)
    for on in pairs:
        some |= {on | other for other in some}
    pes = [each.array.pes for each in target.arrays]
    return [(sum(n for on, n in pairs.items() if on <= group), sum(pes[i] for i in group)) for group in some]


def critical_path_cycles(schedule: Schedule, typed: Typed) -> int:
    """Cycles of the longest chain of steps that wait for each other: the time with one machine a step."""
    import networkx as nx

    from costmodel.mapping.fusion import sources_of

    source = sources_of(typed.graph)
    maker: dict[int, int] = {}
    graph = nx.DiGraph()
    for i, step in enumerate(schedule.steps):
        graph.add_node(i)
        for n in step.nodes:
            for v in typed.graph.nodes[n].inputs:
                j = maker.get(source[v])
                if j is not None and j != i:
                    graph.add_edge(j, i)
            for v in typed.graph.nodes[n].outputs:
                maker[source[v]] = i
    ends: dict[int, int] = {}
    for i in nx.topological_sort(graph):
        before = max((ends[j] for j in graph.predecessors(i)), default=0)
        ends[i] = before + schedule.steps[i].cycles
    return max(ends.values(), default=0)


def moved_bytes(steps: Iterable[Step]) -> dict[str, int]:
    """Bytes read and written in DRAM and in the buffer."""
    steps = tuple(steps)
    return {
        "dram_read": sum(s.read_bits for s in steps) // 8,
        "dram_write": sum(s.write_bits for s in steps) // 8,
        "buffer_read": sum(s.buffer_read_bits for s in steps) // 8,
        "buffer_write": sum(s.buffer_write_bits for s in steps) // 8,
    }


def local_bytes(steps: Iterable[Step]) -> dict[str, int]:
    """Bytes of sums that are read and written in a memory of their own."""
    steps = tuple(steps)
    return {
        "local_read": sum(s.local_read_bits for s in steps) // 8,
        "local_write": sum(s.local_write_bits for s in steps) // 8,
    }
