"""What the search for mappings of a product depends on, in numbers: a geometry, and what a machine asks of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from costmodel.errors import CostModelError
from costmodel.hardware.registers import register_bits
from costmodel.hardware.timing import CONVENTIONS, DATAFLOWS, ArrayShape, Product
from costmodel.mapping.nest import ends_of, fold_array
from costmodel.mapping.nest_records import Machine, Problem

Array = np.ndarray[Any, Any]
MOST = 1 << 62


@dataclass(frozen=True)
class Geometry:
    """What a front depends on: a product, its operands, the array, the room in the buffer and the local memory."""

    product: Product
    B: int
    a_bits: int
    b_bits: int
    accumulator_bits: int
    a_moves: bool
    b_moves: bool
    b_bypasses: bool
    on_array: bool
    whole_rows: bool
    array: ArrayShape
    dataflow: str
    convention: str
    buffer_bytes: int
    registers: bool = False  # whether registers of PEs are priced
    local_bytes: int = 0  # of the memory of the sums; 0: they lie in the buffer


def geometry_of(problem: Problem, machine: Machine) -> Geometry:
    """The geometry of a problem; numbers that remember how they were made are plain here."""
    p, o = problem.product, problem.operands
    return Geometry(
        product=Product(int(p.M), int(p.N), int(p.K)),
        B=int(problem.B),
        a_bits=o.a_bits,
        b_bits=o.b_bits,
        accumulator_bits=o.accumulator_bits,
        a_moves=o.a_moves,
        b_moves=o.b_moves,
        b_bypasses=o.b_bypasses,
        on_array=o.on_array,
        whole_rows=problem.whole_rows,
        array=machine.array,
        dataflow=machine.dataflow,
        convention=machine.convention,
        buffer_bytes=int(machine.buffer_bytes),
        registers=machine.register_pj > 0,
        local_bytes=int(machine.local_bytes),
    )


def constants(g: Geometry) -> Array:
    """What does not change during a search, in the order of `front_figures.NAMES`.

    Raises:
        CostModelError: numbers beyond 64 bits.
    """
    array, product = fold_array(g.product, g.array, g.dataflow), g.product
    numbers = [
        *(g.B, product.M, product.N, product.K, g.a_bits, g.b_bits, g.accumulator_bits),
        *(g.a_moves, g.b_moves, g.b_bypasses, g.on_array, g.whole_rows),
        *(array.R, array.C, g.array.R, DATAFLOWS.index(g.dataflow), CONVENTIONS.index(g.convention)),
        *(8 * g.buffer_bytes, stationary_bits(g, array), 8 * g.local_bytes or -1),
    ]
    widths = g.a_bits + g.b_bits + 4 * g.accumulator_bits
    side = 2 * g.array.R + g.array.C
    most = stationary_bits(g, array) * max(product.M, product.N)
    if max(most, g.B * product.steps * widths, g.B * product.steps * (side + 1), 8 * g.buffer_bytes) >= MOST >> 12:
        raise CostModelError(
            f"a product {product.M}x{product.N}x{product.K}, {g.B} times, has numbers beyond 64 bits"
        )
    return np.array([int(x) for x in numbers], np.int64)


def stationary_bits(g: Geometry, array: ArrayShape) -> int:
    """Register bits that one more pass along M (ws) or N (is) writes; 0 where none, or none are priced."""
    if not (g.registers and g.on_array):
        return 0
    bits = (g.a_bits, g.b_bits, g.accumulator_bits)
    one, two = (register_bits(g.product, array, g.dataflow, bits, (n, n)) for n in (1, 2))
    return g.B * int(two - one)


@dataclass(frozen=True)
class Asked:
    """What a machine asks of a product beside its geometry, and what its mapping is chosen by.

    `numbers`: the figure (of `front_search`); bits that all mappings move, read, write; cycles of lanes and of the
    ends; register bits; clock, eightfold bandwidth, bits a cycle of both ports of the buffer, and of the narrower
    one of the local memory. `prices`: pJ of a bit of DRAM, read, written, of a register; of arithmetic; of a bit
    of sums that is read and written in the local memory.
    """

    numbers: tuple[int, ...] = (0,) * 12
    prices: tuple[float, ...] = (0.0,) * 6


EVERYTHING = Asked()
FIGURE = {"cycles": 1, "energy": 2, "edp": 3, "bytes": 4}


def asked_of(problem: Problem, machine: Machine, first: str) -> Asked:
    """What is asked of a product for the first figure of an objective."""
    o, same = problem.operands, same_for_all(problem)
    numbers = (
        *(FIGURE[first], *same, int(o.vector_cycles), int(ends_of(problem, machine).cycles(machine))),
        registers_of_all(problem, machine),
        *(machine.clock_mhz, 8 * machine.bandwidth_mb_s),
        *(8 * machine.buffer_read_bytes, 8 * machine.buffer_write_bytes),
        8 * min(machine.local_read_bytes, machine.local_write_bytes),
    )
    prices = (machine.dram_pj, machine.buffer_read_pj, machine.buffer_write_pj, machine.register_pj)
    local = machine.local_read_pj + machine.local_write_pj
    return Asked(tuple(map(int, numbers)), (*prices, problem.arithmetic_pj, local))


def same_for_all(problem: Problem) -> tuple[int, int, int]:
    """Bits that every mapping moves, reads and writes beside those of its figures."""
    o, product = problem.operands, problem.product
    out = int(problem.B) * int(product.M) * int(product.N) * o.out_bits - int(o.short_bits)
    extra = int(o.extra_bits)
    writes = extra + int(o.also_bits) + out * (not o.out_moves)
    return out * o.out_moves + extra, extra + int(o.inside_bits), writes


def registers_of_all(problem: Problem, machine: Machine) -> int:
    """Register bits that every mapping writes beside those of its figure; 0 where nothing prices them."""
    g = geometry_of(problem, machine)
    if not (g.registers and g.on_array):
        return 0
    array, bits = fold_array(g.product, g.array, g.dataflow), (g.a_bits, g.b_bits, g.accumulator_bits)
    once = g.B * int(register_bits(g.product, array, g.dataflow, bits, (1, 1)))
    return once - stationary_bits(g, array)
