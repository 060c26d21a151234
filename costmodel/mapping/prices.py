"""Nominal prices by which mappings are chosen."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from costmodel.hardware.accelerator import Accelerator
from costmodel.hardware.occupancy import memory_prices
from costmodel.hardware.registers import register_price_pj
from costmodel.mapping.pieces import Works
from costmodel.mapping.works import price_one
from costmodel.technology.loading import load_table
from costmodel.technology.tables import Table
from costmodel.widths.assign import Typed


@dataclass(frozen=True)
class Prices:
    """Nominal prices by which mappings are chosen: pJ a bit that moves, and a table of arithmetic."""

    buffer_read_pj: float = 0.0
    buffer_write_pj: float = 0.0
    dram_pj: float = 0.0
    register_pj: float = 0.0  # a bit written into a register of a PE
    local_read_pj: float = 0.0  # a bit of sums, where they have a memory of their own
    local_write_pj: float = 0.0
    table: Table | None = None
    units: dict[object, float] = field(default_factory=dict, compare=False, repr=False)  # what was asked before

    def arithmetic_pj(self, works: Works) -> float:
        """Energy of scalar work, as `price_work` adds it up."""
        if self.table is None:
            return 0.0
        total = 0.0
        for work in works:
            name = (work.op, work.type)
            if name not in self.units:
                self.units[name] = price_one(self.table, *name).nominal_pj
            total += self.units[name] * work.n
        return total

    def check(self, typed: Typed) -> None:
        """Look up every kind of work of a model.

        Raises:
            UnknownTable: the table lacks the price of one.
        """
        if self.table is not None:
            # In order, so that it is always the same one that is missed first.
            for op, kind in dict.fromkeys((work.op, work.type) for works in typed.work for work in works):
                price_one(self.table, op, kind)


@lru_cache(maxsize=64)
def prices_of(target: Accelerator) -> Prices | None:
    """The prices of a target's own table and memories; None where it lacks either."""
    memories = memory_prices(target)
    if memories is None or not target.table:
        return None
    found = (memories.buffer_read, memories.buffer_write, memories.dram)
    read, write, dram = (energy.nominal_pj / 8 for energy in found)
    local = (memories.local_read, memories.local_write)
    local_read, local_write = (0.0 if energy is None else energy.nominal_pj / 8 for energy in local)
    table = load_table(target.table)
    return Prices(read, write, dram, register_price_pj(table), local_read, local_write, table)
