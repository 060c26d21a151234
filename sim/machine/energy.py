"""Energy of what happened, under any table: PEs, their registers, buffer, DRAM, vector unit, layer.

Registers are priced, and part of the total, where a table has a row for a bit of one. With
`activity`, the energy of PEs is scaled by the bits that really toggled at their ports: published figures are
taken to stand for random operands, of which half the bits toggle. That is an estimate, and is called one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from costmodel.counting.tally import layer_of
from costmodel.hardware.accelerator import Accelerator
from costmodel.hardware.occupancy import memory_prices
from costmodel.hardware.registers import register_energy
from costmodel.mapping.works import price_work
from costmodel.records import OPTIONAL
from costmodel.technology.tables import Energy, Table, add_up
from sim.machine.events import Events, sum_events, works_of
from sim.machine.execution import Execution

RANDOM_ACTIVITY = 0.5


@dataclass(frozen=True)
class Split:
    """Energy by part; None where no price is published."""

    array: Energy
    registers: Energy | None
    vector: Energy
    buffer: Energy | None
    dram: Energy | None
    total: Energy | None  # of all parts that are known, as in the analytic cost; None without prices of memories
    local: Annotated[Energy | None, OPTIONAL] = None  # of the local memory, where the target has one and a price


def energy_of(events: Events, target: Accelerator, table: Table, scale_by_activity: bool = False) -> Split:
    """Energy of some events: arithmetic under a table, memories at the target's prices.

    Raises:
        UnknownTable: an operation that occurs has no price in the table.
    """
    array, vector = price_work(table, works_of(events.array)), price_work(table, works_of(events.vector))
    activity = events.activity
    if scale_by_activity and activity is not None:
        array = array * (activity / RANDOM_ACTIVITY)
    registers = register_energy(table, events.register_bits)
    local = buffer = dram = total = None
    memories = memory_prices(target)
    # Prices of memories are of the target's node: under a table of another one they say nothing.
    if memories is not None and table.node_nm == target.node_nm:
        buffer = memories.buffer_read * (events.buffer_read_bits / 8)
        buffer += memories.buffer_write * (events.buffer_write_bits / 8)
        dram = memories.dram * ((events.dram_read_bits + events.dram_write_bits) / 8)
        local = memories.of_local(events.local_read_bits / 8, events.local_write_bits / 8)
        some = (part for part in (registers, local) if part is not None)
        total = add_up((array, *some, vector, buffer, dram))
    return Split(array, registers, vector, buffer, dram, total, local)


def by_layer(execution: Execution, target: Accelerator, table: Table, scale_by_activity: bool) -> dict[str, Split]:
    """The split of each layer, in order."""
    layers: dict[str, list[Events]] = {}
    for done in execution.steps:
        layers.setdefault(layer_of(done.step.module), []).append(done.events)
    return {name: energy_of(sum_events(all_), target, table, scale_by_activity) for name, all_ in layers.items()}
