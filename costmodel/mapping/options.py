"""What a piece takes on a machine: the ways in which it may run, each of one or two steps.

Which of its values lie in the buffer (`Stay`), and what room that leaves for tiles, is given.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from costmodel.errors import DoesNotFit
from costmodel.hardware.accelerator import Accelerator
from costmodel.hardware.occupancy import memory_prices
from costmodel.mapping.core_blocks import CoreMapped, CoreOperands, CoreProblem, best_blocks
from costmodel.mapping.front import best_mapping
from costmodel.mapping.nest_records import Machine, Mapped, Operands, Problem
from costmodel.mapping.pieces import CORE, VECTOR, Piece, Stay, Works
from costmodel.mapping.works import price_one, price_work, slots
from costmodel.technology.loading import load_table
from costmodel.technology.tables import Table
from costmodel.widths.assign import Typed

WHOLE, HEAD, REST = "whole", "head", "rest"


@dataclass(frozen=True)
class Prices:
    """Nominal prices by which mappings are chosen: pJ a bit that moves, and a table of arithmetic."""

    buffer_read_pj: float = 0.0
    buffer_write_pj: float = 0.0
    dram_pj: float = 0.0
    table: Table | None = None
    known: dict[Works, float] = field(default_factory=dict, compare=False, repr=False)

    def arithmetic_pj(self, works: Works) -> float:
        """Energy of scalar work; what was asked before is remembered."""
        if self.table is None:
            return 0.0
        if works not in self.known:
            self.known[works] = price_work(self.table, works).nominal_pj
        return self.known[works]

    def check(self, typed: Typed) -> None:
        """Look up every kind of work of a model.

        Raises:
            UnknownTable: the table lacks the price of one.
        """
        if self.table is not None:
            for op, kind in {(work.op, work.type) for works in typed.work for work in works}:
                price_one(self.table, op, kind)


@lru_cache(maxsize=64)
def prices_of(target: Accelerator) -> Prices | None:
    """The prices of a target's own table and memories; None where it lacks either."""
    memories = memory_prices(target)
    if memories is None or not target.table:
        return None
    found = (memories.buffer_read, memories.buffer_write, memories.dram)
    read, write, dram = (energy.nominal_pj / 8 for energy in found)
    return Prices(read, write, dram, load_table(target.table))


@dataclass(frozen=True)
class Part:
    """One step of an option. Bits are of DRAM unless they are named otherwise."""

    name: str  # whole; or head, a product without the norm behind it, and rest, the norm
    cycles: int
    array_cycles: int
    vector_cycles: int
    dma_cycles: int
    read_bits: int
    write_bits: int
    buffer_read_bits: int
    buffer_write_bits: int
    buffer_bytes: int
    energy_pj: float
    array_work: Works
    vector_work: Works
    chosen: Mapped | CoreMapped | None = None


@dataclass(frozen=True)
class Option:
    """A way to run a piece, with its sums."""

    parts: tuple[Part, ...]
    cycles: int = field(init=False)
    energy_pj: float = field(init=False)
    dram_bits: int = field(init=False)
    buffer_bits: int = field(init=False)
    buffer_bytes: int = field(init=False)

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "cycles", sum(part.cycles for part in self.parts))
        put(self, "energy_pj", sum(part.energy_pj for part in self.parts))
        put(self, "dram_bits", sum(part.read_bits + part.write_bits for part in self.parts))
        put(self, "buffer_bits", sum(part.buffer_read_bits + part.buffer_write_bits for part in self.parts))
        put(self, "buffer_bytes", max(part.buffer_bytes for part in self.parts))


@dataclass(frozen=True)
class Site:
    """Where pieces run: a target, its timing, prices, and what tiles are chosen by."""

    target: Accelerator
    convention: str
    prices: Prices
    objective: str

    def machine(self, free_bytes: int) -> Machine:
        """The machine with so much of the buffer for tiles."""
        t, p = self.target, self.prices
        return Machine(
            *(t.array, t.dataflow, self.convention, free_bytes, t.bandwidth_mb_s, t.clock_mhz),
            *(p.buffer_read_pj, p.buffer_write_pj, p.dram_pj),
        )


def options_of(piece: Piece, stay: Stay, free_bytes: int, site: Site) -> tuple[Option, ...]:
    """All ways in which a piece can run; none where nothing fits."""
    machine = site.machine(free_bytes)
    away = sum(bits for bits, kept in zip(piece.writes, stay.writes, strict=True) if not kept)
    left = sum(bits for bits, kept in zip(piece.writes, stay.writes, strict=True) if kept)
    beside = dict.fromkeys(((False, False), (False, True), (True, False), (True, True)), 0)
    for (bits, behind), kept in zip(piece.reads, stay.reads, strict=True):
        beside[kept, behind] += bits
    found = []
    if piece.kind == VECTOR:
        reads, inside = beside[False, False], beside[True, False]
        return (Option((vector_part(WHOLE, piece.vector_work, reads, inside, away, left, machine, site),)),)
    if piece.kind == CORE:
        part = core_part(piece, stay, beside[False, False], beside[True, False], away, left, machine, site)
        return () if part is None else (Option((part,)),)
    outside, inside = (beside[kept, False] + beside[kept, True] for kept in (False, True))
    whole = product_part(piece, WHOLE, stay, outside, inside, away, left, machine, site)
    if whole is not None:
        found.append(Option((whole,)))
    if piece.cut_bits:
        head = product_part(
            piece, HEAD, stay, beside[False, False], beside[True, False], piece.cut_bits, 0, machine, site
        )
        # What the norm alone reads and lies in the buffer was never counted as read there: it is now.
        rest = vector_part(
            *(REST, piece.rest_work, piece.cut_bits + beside[False, True], beside[True, True]),
            *(away, left, machine, site),
        )
        if head is not None:
            found.append(Option((head, rest)))
    return tuple(found)


def vector_part(
    name: str, works: Works, reads: int, inside: int, away: int, left: int, machine: Machine, site: Site
) -> Part:
    """Elements come from memory, pass the lanes, and go back."""
    vector, dma = slots(works, site.target), machine.dma_cycles(reads + away)
    buffer_reads, buffer_writes = reads + inside + away, reads + away + left
    energy = machine.energy_pj(reads + away, buffer_reads, buffer_writes) + site.prices.arithmetic_pj(works)
    return Part(
        *(name, max(vector, dma, 1), 0, vector, dma, reads, away, buffer_reads, buffer_writes, 0, energy),
        *((), works),
    )


def product_part(
    piece: Piece,
    name: str,
    stay: Stay,
    outside: int,
    inside: int,
    away: int,
    left: int,
    machine: Machine,
    site: Site,
) -> Part | None:
    """A product with what rides on it; None where no tile fits."""
    target, works = site.target, piece.vector_work if name == WHOLE else piece.head_work
    outputs = piece.B * piece.product.M * piece.product.N
    arithmetic = site.prices.arithmetic_pj((*piece.array_work, *works))
    operands = Operands(
        a_bits=piece.a_bits,
        b_bits=piece.b_bits,
        accumulator_bits=piece.accumulator_bits,
        out_bits=-(-(away if away > 0 else left) // outputs),
        a_moves=not stay.operands[0],
        b_moves=not stay.operands[1],
        out_moves=away > 0,
        b_bypasses=target.weights_bypass,
        on_array=piece.first_on,
        extra_bits=outside,
        inside_bits=inside,
        also_bits=left if away > 0 else 0,
        vector_cycles=slots(works, target),
    )
    whole_rows = name == WHOLE and piece.cut_bits > 0
    try:
        cost = best_mapping(
            Problem(piece.product, piece.B, operands, whole_rows, arithmetic), machine, site.objective
        )
    except DoesNotFit:
        return None
    return Part(
        name=name,
        cycles=cost.cycles,
        array_cycles=cost.array_cycles,
        vector_cycles=cost.vector_cycles,
        dma_cycles=cost.dma_cycles,
        read_bits=cost.read_bits + outside,
        write_bits=cost.out_write_bits,
        buffer_read_bits=cost.buffer_read_bits,
        buffer_write_bits=cost.buffer_write_bits,
        buffer_bytes=cost.buffer_bytes,
        energy_pj=cost.energy_pj,
        array_work=piece.array_work,
        vector_work=works,
        chosen=cost,
    )


def core_part(
    piece: Piece, stay: Stay, outside: int, inside: int, away: int, left: int, machine: Machine, site: Site
) -> Part | None:
    """An attention core in one pass; None where no block fits."""
    M, works = piece.product.M, piece.vector_work
    arithmetic = site.prices.arithmetic_pj((*piece.array_work, *works))
    operands = CoreOperands(
        q_bits=piece.a_bits,
        k_bits=piece.b_bits,
        v_bits=piece.v_bits,
        between_bits=piece.between_bits,
        accumulator_bits=piece.accumulator_bits,
        out_bits=-(-(away if away > 0 else left) // (piece.B * M * piece.D)),
        q_moves=not stay.operands[0],
        k_moves=not stay.operands[1],
        v_moves=not stay.operands[2],
        out_moves=away > 0,
        scores_on_array=piece.first_on,
        values_on_array=piece.second_on,
        shared=piece.shared,
        extra_bits=outside,
        inside_bits=inside,
        also_bits=left if away > 0 else 0,
        vector_cycles=slots(works, site.target),
    )
    problem = CoreProblem(piece.product, piece.D, piece.B, operands, arithmetic_pj=arithmetic)
    try:
        cost = best_blocks(problem, machine, site.objective)
    except DoesNotFit:
        return None
    return Part(
        name=WHOLE,
        cycles=cost.cycles,
        array_cycles=cost.array_cycles,
        vector_cycles=cost.vector_cycles,
        dma_cycles=cost.dma_cycles,
        read_bits=cost.read_bits,
        write_bits=cost.write_bits,
        buffer_read_bits=cost.buffer_read_bits,
        buffer_write_bits=cost.buffer_write_bits,
        buffer_bytes=cost.buffer_bytes,
        energy_pj=cost.energy_pj,
        array_work=piece.array_work,
        vector_work=works,
        chosen=cost,
    )


def must_fit(piece: Piece, stay: Stay, site: Site) -> None:
    """Look for the mapping of a piece with the whole buffer.

    Raises:
        DoesNotFit: there is none, and why.
    """
    machine = site.machine(site.target.buffer_bytes)
    operands = Operands(
        *(piece.a_bits, piece.b_bits, piece.accumulator_bits, 8, not stay.operands[0], not stay.operands[1]),
        b_bypasses=site.target.weights_bypass,
        on_array=piece.first_on,
    )
    best_mapping(Problem(piece.product, piece.B, operands), machine, "bytes")
