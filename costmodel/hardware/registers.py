"""Registers of the PE array: how often they are written, and what that costs where a table prices them.

A PE has a register for the operand that moves right, one for what moves down, and the accumulator, as
`timing.py` says of the convention `array`. A row `register` of type `int1` is the energy of one bit; of the tables
that ship only `aladdin40` has it. Under such a table registers are a part of all energies, and of what mappings
are chosen by: what is stationary shifts into the array anew in each pass, so fewer passes write less.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from costmodel.errors import UnknownTable
from costmodel.hardware.accelerator import Accelerator
from costmodel.hardware.timing import ArrayShape, Product, folds_of
from costmodel.technology.loading import load_table
from costmodel.technology.tables import Energy, Table


@dataclass(frozen=True)
class RegisterWork:
    """Words written into registers of PEs by one product; each accumulator is read as often as it is written."""

    a: int
    b: int
    sums: int

    def bits(self, a_bits: int, b_bits: int, sum_bits: int) -> int:
        return self.a * a_bits + self.b * b_bits + self.sums * sum_bits


def register_work(product: Product, array: ArrayShape, dataflow: str) -> RegisterWork:
    """Register writes of one product on an array.

    Each pair shifts its moving operands one register on: both in `os`, one in `ws` and `is`. In `os` a term
    writes its accumulator; in the others a sum passes the registers of all R rows of its column, once a fold. A
    stationary operand of row r passes r + 1 registers down to its PE, and one more as it is taken over.

    Raises:
        CostModelError: unknown dataflow.
    """
    folds = folds_of(product, array, dataflow)
    steps = product.steps
    if dataflow == "os":
        return RegisterWork(steps, steps, steps)
    depths = [(array.R, folds.rows - 1), (folds.last_rows, 1)]
    across = product.N if dataflow == "ws" else product.M
    held = across * sum(n * (deep * (deep + 1) // 2 + deep) for deep, n in depths)
    sums = array.R * folds.rows * across * folds.T
    return RegisterWork(steps, held, sums) if dataflow == "ws" else RegisterWork(held, steps, sums)


def register_bits(
    product: Product, array: ArrayShape, dataflow: str, bits: tuple[int, int, int], passes: tuple[Any, Any]
) -> Any:
    """Register bits of one product that runs by so many passes along M and N; K is cut between folds, if at all.

    Bits of an element of a, of b, of a sum. What moves, and the sums, are the same by any passes; b that is
    stationary comes once for each pass along M, a for each along N. `passes` may be arrays.

    Raises:
        CostModelError: unknown dataflow.
    """
    work = register_work(product, array, dataflow)
    again_a = passes[1] if dataflow == "is" else 1
    again_b = passes[0] if dataflow == "ws" else 1
    return work.a * bits[0] * again_a + work.b * bits[1] * again_b + work.sums * bits[2]


def register_price_pj(table: Table | None) -> float:
    """Nominal pJ of writing one bit; 0 where no table prices it."""
    energy = None if table is None else register_energy(table, 1)
    return 0.0 if energy is None else energy.nominal_pj


def register_energy(table: Table, bits: int) -> Energy | None:
    """Energy of writing register bits; None where the table has no row for one."""
    try:
        return table.price("register", "int1") * bits
    except UnknownTable:
        return None


def registers_how(target: Accelerator) -> str:
    """Whether the table of a target prices a register."""
    if not target.table:
        return "not priced: the target names no table"
    energy = register_energy(load_table(target.table), 1)
    if energy is None:
        return f"not priced: {target.table} has no row for one, as of the tables that ship only aladdin40 has"
    return f"{energy.nominal_pj:g} pJ a bit by {target.table}"
