"""One product on one array: cycles under each convention; on a target its best mapping, bytes and energy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from costmodel.hardware.accelerator import Accelerator
from costmodel.hardware.occupancy import memory_prices
from costmodel.hardware.registers import register_energy
from costmodel.hardware.timing import ArrayShape, Product, accesses, cycles, folds_of, utilisation
from costmodel.mapping.bounds import lower_bound_bits
from costmodel.mapping.front import best_mapping
from costmodel.mapping.nest_records import Operands, Problem
from costmodel.mapping.options import Site
from costmodel.mapping.prices import Prices, prices_of
from costmodel.mapping.schedule import DEFAULT, check_objective
from costmodel.mapping.steps import show_mapping
from costmodel.mapping.works import price_work, slots, term_work
from costmodel.records import INLINE, OPTIONAL
from costmodel.technology.loading import load_table
from costmodel.technology.tables import Energy, add_up
from costmodel.widths.policy import Work
from costmodel.widths.typing import requantise_work


@dataclass(frozen=True)
class MovedBytes:
    """Bytes of one product at each level."""

    dram_read: int
    dram_write: int
    buffer_read: int
    buffer_write: int
    # Of the local memory in which sums lie, where the target has one.
    local_read: Annotated[int | None, OPTIONAL] = None
    local_write: Annotated[int | None, OPTIONAL] = None


@dataclass(frozen=True)
class ProductEnergy:
    """Energy of one product by part."""

    array: Energy
    registers: Energy | None  # None where the table has no row for one
    vector: Energy
    buffer: Energy
    dram: Energy
    total: Energy
    local: Annotated[Energy | None, OPTIONAL] = None  # of the local memory, where the target has one


@dataclass(frozen=True)
class OnTarget:
    """The best mapping of one product on a target, and what moves."""

    target: str
    objective: str  # what the mapping was chosen by
    tile: str
    step_cycles: int  # with loads and stores
    dma_cycles: int
    vector_cycles: int
    read_port_cycles: int  # of the buffer
    write_port_cycles: int
    moved_bytes: MovedBytes
    lower_bound_bytes: int  # no schedule moves fewer from and to DRAM
    energy_pj: ProductEnergy | None  # None where no energy is published
    # Of the ports of the local memory in which sums lie, where the target has one.
    local_read_cycles: Annotated[int | None, OPTIONAL] = None
    local_write_cycles: Annotated[int | None, OPTIONAL] = None


@dataclass(frozen=True)
class ProductCost:
    """One product on one array under one convention of timing."""

    M: int
    N: int
    K: int
    array: str
    dataflow: str
    kind: str
    timing: str
    folds: int
    cycles: int
    sram_ifmap_reads: int
    sram_filter_reads: int
    sram_ofmap_reads: int
    sram_ofmap_writes: int
    utilisation: float


@dataclass(frozen=True)
class PricedProduct:
    """One product under one convention, and on a target what it costs there."""

    cost: Annotated[ProductCost, INLINE]
    on: Annotated[OnTarget, INLINE]


@dataclass(frozen=True)
class AllTimings:
    """One product under every convention."""

    timings: tuple[ProductCost | PricedProduct, ...]


GemmRecord = ProductCost | PricedProduct | AllTimings


def product_cost(product: Product, array: ArrayShape, dataflow: str, kind: str, convention: str) -> ProductCost:
    """Cycles and accesses of a product on an array."""
    count = cycles(product, array, dataflow, convention)
    words = accesses(product, array, dataflow, convention)
    return ProductCost(
        M=product.M,
        N=product.N,
        K=product.K,
        array=f"{array.R}x{array.C}",
        dataflow=dataflow,
        kind=kind,
        timing=convention,
        folds=folds_of(product, array, dataflow).number,
        cycles=count,
        sram_ifmap_reads=words.ifmap_reads,
        sram_filter_reads=words.filter_reads,
        sram_ofmap_reads=words.ofmap_reads,
        sram_ofmap_writes=words.ofmap_writes,
        utilisation=utilisation(product, array, count),
    )


def on_target(
    product: Product, kind: str, target: Accelerator, convention: str, objective: str | None = None
) -> OnTarget:
    """The best mapping of an int8 product with 32-bit sums and int8 results; bytes at each level, energy.

    The vector unit requantises the results; where no PE does this kind of term it does that too. Of several
    arrays the first one that does it takes it.
    """
    places = target.doing(kind)
    on_array = bool(places)
    terms = term_work(kind, product, 32)
    requantise = requantise_work(product.M * product.N, 32)
    work = requantise + (() if on_array else terms)
    operands = Operands(
        8, 8, 32, 8, b_bypasses=target.weights_bypass, on_array=on_array, vector_cycles=slots(work, target)
    )
    prices = prices_of(target)
    goal = objective or ("cycles" if prices is None else DEFAULT)
    check_objective(goal, target)
    prices = prices or Prices()
    site = Site(target, convention, prices, goal)
    problem = Problem(product, 1, operands, arithmetic_pj=prices.arithmetic_pj((*terms, *requantise)))
    cost = best_mapping(problem, site.machine(target.buffer_bytes, places[0] if places else 0), goal)
    moved = MovedBytes(
        dram_read=(cost.a_bits + cost.b_bits + cost.out_read_bits) // 8,
        dram_write=cost.out_write_bits // 8,
        buffer_read=cost.buffer_read_bits // 8,
        buffer_write=cost.buffer_write_bits // 8,
        local_read=cost.local_read_bits // 8 if target.local_bytes else None,
        local_write=cost.local_write_bits // 8 if target.local_bytes else None,
    )
    return OnTarget(
        target=target.name,
        objective=goal,
        tile=show_mapping(cost),
        step_cycles=cost.cycles,
        dma_cycles=cost.dma_cycles,
        read_port_cycles=cost.read_port_cycles,
        write_port_cycles=cost.write_port_cycles,
        vector_cycles=operands.vector_cycles,
        moved_bytes=moved,
        lower_bound_bytes=lower_bound_bits(product, 1, operands, target.buffer_bytes) // 8,
        energy_pj=product_energy(target, moved, cost.register_bits, terms if on_array else (), work),
        local_read_cycles=cost.local_read_cycles if target.local_bytes else None,
        local_write_cycles=cost.local_write_cycles if target.local_bytes else None,
    )


def product_energy(
    target: Accelerator,
    moved: MovedBytes,
    register_bits: int,
    on_array: tuple[Work, ...],
    on_vector: tuple[Work, ...],
) -> ProductEnergy | None:
    """Energy by part; None where the target has no prices."""
    memories = memory_prices(target)
    if memories is None or not target.table:
        return None
    table = load_table(target.table)
    registers = register_energy(table, register_bits)
    parts = (
        price_work(table, on_array),
        registers,
        price_work(table, on_vector),
        memories.buffer_read * moved.buffer_read + memories.buffer_write * moved.buffer_write,
        memories.dram * (moved.dram_read + moved.dram_write),
    )
    local = memories.of_local(moved.local_read or 0, moved.local_write or 0)
    return ProductEnergy(*parts, add_up(part for part in (*parts, local) if part is not None), local)
