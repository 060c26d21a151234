"""What a piece takes on a machine: the ways in which it may run, each of one or two steps.

Which of its values lie in the buffer (`Stay`), and what room that leaves for tiles, is given.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache

from costmodel.errors import DoesNotFit
from costmodel.hardware.accelerator import Accelerator
from costmodel.hardware.occupancy import memory_prices
from costmodel.hardware.registers import register_price_pj
from costmodel.mapping.core_beside import Beside
from costmodel.mapping.core_blocks import CoreMapped, CoreOperands, CoreProblem
from costmodel.mapping.core_front import best_blocks
from costmodel.mapping.front import best_mapping
from costmodel.mapping.nest_records import Machine, Mapped, Operands, Problem
from costmodel.mapping.pieces import BLOCKED, CHAIN, VECTOR, Piece, Stay, Works
from costmodel.mapping.works import price_one, slots
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
    register_pj: float = 0.0  # a bit written into a register of a PE
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
    table = load_table(target.table)
    return Prices(read, write, dram, register_price_pj(table), table)


@dataclass(frozen=True)
class Part:
    """One step of an option. Bits are of DRAM unless they are named otherwise."""

    name: str  # whole; or head, a product without the norm behind it, and rest, the norm
    cycles: int
    array_cycles: int
    vector_cycles: int
    dma_cycles: int
    read_port_cycles: int
    write_port_cycles: int
    read_bits: int
    write_bits: int
    buffer_read_bits: int
    buffer_write_bits: int
    register_bits: int  # written into registers of PEs
    buffer_bytes: int
    energy_pj: float
    array_work: Works
    vector_work: Works
    chosen: Mapped | CoreMapped | None = None
    on: tuple[int, ...] = ()  # the array of each product, among those of the target
    where: str = ""  # the same in words, where there are several arrays


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

    def machine(self, free_bytes: int, place: int = 0) -> Machine:
        """The machine with so much of the buffer for tiles, as one of its arrays sees it."""
        t, p, own = self.target, self.prices, self.target.arrays[place]
        return Machine(
            *(own.array, own.dataflow, self.convention, free_bytes, t.bandwidth_mb_s, t.clock_mhz),
            *(p.buffer_read_pj, p.buffer_write_pj, p.dram_pj),
            *(t.buffer_read_bytes, t.buffer_write_bytes, p.register_pj),
        )


@dataclass(frozen=True)
class Moved:
    """Bits that a step moves beside the operands of its products."""

    outside: int  # read from DRAM
    inside: int  # read from the buffer
    away: int  # results to DRAM
    left: int  # results that stay

    @property
    def leaves(self) -> bool:
        return self.away > 0

    def word_bits(self, outputs: int) -> int:
        """Bits of an output of a product: results leave, or stay, as words of whole bits."""
        return -(-(self.away if self.leaves else self.left) // outputs)


def moved_by(piece: Piece, stay: Stay) -> dict[str, Moved]:
    """What each step of a piece moves: the whole, and where it is cut the head and the rest.

    What lies between head and rest goes to DRAM and comes back.
    """
    away = sum(bits for bits, kept in zip(piece.writes, stay.writes, strict=True) if not kept)
    left = sum(piece.writes) - away
    reads = {(kept, behind): 0 for kept in (False, True) for behind in (False, True)}
    for (bits, behind), kept in zip(piece.reads, stay.reads, strict=True):
        reads[kept, behind] += bits
    outside, inside = (reads[kept, False] + reads[kept, True] for kept in (False, True))
    again = piece.again_bits
    return {
        WHOLE: Moved(outside, inside + again, away, left),
        HEAD: Moved(reads[False, False], reads[True, False] + again, piece.cut_bits, 0),
        REST: Moved(piece.cut_bits + reads[False, True], reads[True, True], away, left),
    }


def floor_moved(piece: Piece, most: Stay) -> dict[str, Moved]:
    """No more than `moved_by` of any `Stay` that keeps some of what `most` keeps.

    What is kept is not read from DRAM and not written there. But a result of a product that is kept is written
    into the buffer, which one that leaves is not: so here it is not written at all.
    """
    moved = moved_by(piece, most)
    if piece.kind != VECTOR:
        moved[WHOLE] = replace(moved[WHOLE], left=0)
    return moved


def step_names(piece: Piece) -> tuple[tuple[str, ...], ...]:
    """The steps of every way in which a piece may run."""
    return ((WHOLE,), (HEAD, REST)) if piece.cut_bits else ((WHOLE,),)


def may_run(piece: Piece, target: Accelerator) -> bool:
    """A chain holds its weights in the buffer; it is no way to run where they go past it."""
    return piece.kind != CHAIN or not target.weights_bypass


def arrays_of(piece: Piece) -> tuple[tuple[int, ...], ...]:
    """The arrays on which the products of a piece may run, one of each for each way.

    What no array does is mapped as if the array of the other product did it, or the first array.
    """
    first, second = piece.first_on, piece.second_on
    if piece.kind == VECTOR:
        return ((),)
    if piece.kind not in BLOCKED:
        return tuple((i,) for i in first or (0,))
    if first and second:
        return tuple((i, j) for i in first for j in second)
    return tuple((i, i) for i in first or second or (0,))


def words_of(on: tuple[int, ...], cost: Mapped | CoreMapped) -> str:
    """Where products run: `on array 2`; of two `first product on array 1, second on array 2 at once`."""
    if len(set(on)) == 1:
        return f"on array {on[0] + 1}"
    how = "in turns" if isinstance(cost, CoreMapped) and cost.mapping.turns else "at once"
    return f"first product on array {on[0] + 1}, second on array {on[1] + 1} {how}"


def work_of(piece: Piece, name: str) -> Works:
    """What the vector unit does in a step of a piece."""
    return {WHOLE: piece.vector_work, HEAD: piece.head_work, REST: piece.rest_work}[name]


def product_problem(
    piece: Piece, name: str, stay: Stay, moved: Moved, target: Accelerator, prices: Prices
) -> Problem:
    """The product of a piece, whole or without the norm behind it, with what rides on it."""
    works = work_of(piece, name)
    operands = Operands(
        a_bits=piece.a_bits,
        b_bits=piece.b_bits,
        accumulator_bits=piece.accumulator_bits,
        out_bits=moved.word_bits(piece.B * piece.product.M * piece.product.N),
        a_moves=not stay.operands[0],
        b_moves=not stay.operands[1],
        out_moves=moved.leaves,
        b_bypasses=target.weights_bypass,
        on_array=bool(piece.first_on),
        extra_bits=moved.outside,
        inside_bits=moved.inside,
        also_bits=moved.left if moved.leaves else 0,
        vector_cycles=slots(works, target),
    )
    whole_rows = name == WHOLE and piece.cut_bits > 0
    return Problem(piece.product, piece.B, operands, whole_rows, prices.arithmetic_pj((*piece.array_work, *works)))


def core_problem(
    piece: Piece, stay: Stay, moved: Moved, target: Accelerator, prices: Prices, on: tuple[int, ...] = (0, 0)
) -> CoreProblem:
    """The attention core of a piece in one pass, or its chain of two products, on some arrays."""
    operands = CoreOperands(
        q_bits=piece.a_bits,
        k_bits=piece.b_bits,
        v_bits=piece.v_bits,
        between_bits=piece.between_bits,
        accumulator_bits=piece.accumulator_bits,
        out_bits=moved.word_bits(piece.B * piece.product.M * piece.D),
        q_moves=not stay.operands[0],
        k_moves=not stay.operands[1],
        v_moves=not stay.operands[2],
        out_moves=moved.leaves,
        scores_on_array=bool(piece.first_on),
        values_on_array=bool(piece.second_on),
        shared=piece.shared,
        extra_bits=moved.outside,
        inside_bits=moved.inside,
        also_bits=moved.left if moved.leaves else 0,
        vector_cycles=slots(piece.vector_work, target),
    )
    arithmetic = prices.arithmetic_pj((*piece.array_work, *piece.vector_work))
    second = target.arrays[on[1]]
    return CoreProblem(
        *(piece.product, piece.D, piece.B, operands),
        statistics=piece.statistics,
        row_words=piece.row_words,
        whole_rows=piece.whole_rows,
        again_cycles=slots((*piece.vector_work, *piece.again_vector), target) - operands.vector_cycles,
        arithmetic_pj=arithmetic,
        again_pj=prices.arithmetic_pj((*piece.again_array, *piece.again_vector)),
        beside=None if on[0] == on[1] else Beside(second.array, second.dataflow),
    )


def options_of(piece: Piece, stay: Stay, free_bytes: int, site: Site) -> tuple[Option, ...]:
    """All ways in which a piece can run; none where nothing fits."""
    moved, found = moved_by(piece, stay), []
    if not may_run(piece, site.target):
        return ()
    for names in step_names(piece):
        for on in arrays_of(piece):
            try:
                parts = [part_of(piece, name, stay, moved[name], free_bytes, site, on) for name in names]
            except DoesNotFit:
                continue
            found.append(Option(tuple(parts)))
    return tuple(found)


def part_of(
    piece: Piece, name: str, stay: Stay, moved: Moved, free_bytes: int, site: Site, on: tuple[int, ...]
) -> Part:
    """One step of a piece, its products on some arrays.

    Raises:
        DoesNotFit: no tile, or no block of rows, fits.
    """
    machine, target, prices = site.machine(free_bytes, on[0] if on else 0), site.target, site.prices
    if piece.kind == VECTOR or name == REST:
        return vector_part(name, work_of(piece, name), moved, machine, site)
    cost: Mapped | CoreMapped
    if piece.kind in BLOCKED:
        cost = best_blocks(core_problem(piece, stay, moved, target, prices, on), machine, site.objective)
    else:
        whole = free_bytes == target.buffer_bytes  # there `least.py` asks for all
        problem = product_problem(piece, name, stay, moved, target, prices)
        cost = best_mapping(problem, machine, site.objective, whole)
    part = part_with(piece, name, cost)
    several = target.more and (piece.first_on or piece.second_on)
    return replace(part, on=on, where=words_of(on, cost) if several else "")


def part_with(piece: Piece, name: str, cost: Mapped | CoreMapped) -> Part:
    """A step of a piece that runs by a mapping, on the first arrays that do its products."""
    if isinstance(cost, CoreMapped):
        reads, writes = cost.read_bits, cost.write_bits
        again = cost.passes > 1
    else:
        reads, writes = cost.read_bits + cost.extra_bits, cost.out_write_bits
        again = False
    return Part(
        name=name,
        cycles=cost.cycles,
        array_cycles=cost.array_cycles,
        vector_cycles=cost.vector_cycles,
        dma_cycles=cost.dma_cycles,
        read_port_cycles=cost.read_port_cycles,
        write_port_cycles=cost.write_port_cycles,
        read_bits=reads,
        write_bits=writes,
        buffer_read_bits=cost.buffer_read_bits,
        buffer_write_bits=cost.buffer_write_bits,
        register_bits=cost.register_bits,
        buffer_bytes=cost.buffer_bytes,
        energy_pj=cost.energy_pj,
        array_work=(*piece.array_work, *(piece.again_array if again else ())),
        vector_work=(*work_of(piece, name), *(piece.again_vector if again else ())),
        chosen=cost,
        on=arrays_of(piece)[0],
    )


def vector_part(name: str, works: Works, moved: Moved, machine: Machine, site: Site) -> Part:
    """Elements come from memory, pass the lanes, and go back."""
    bits = moved.outside + moved.away
    vector, dma = slots(works, site.target), machine.dma_cycles(bits)
    buffer_reads, buffer_writes = bits + moved.inside, bits + moved.left
    ports = (machine.read_cycles(buffer_reads), machine.write_cycles(buffer_writes))
    return Part(
        name=name,
        cycles=max(vector, dma, *ports, 1),
        array_cycles=0,
        vector_cycles=vector,
        dma_cycles=dma,
        read_port_cycles=ports[0],
        write_port_cycles=ports[1],
        read_bits=moved.outside,
        write_bits=moved.away,
        buffer_read_bits=buffer_reads,
        buffer_write_bits=buffer_writes,
        register_bits=0,
        buffer_bytes=0,
        energy_pj=machine.energy_pj(bits, buffer_reads, buffer_writes) + site.prices.arithmetic_pj(works),
        array_work=(),
        vector_work=works,
    )
