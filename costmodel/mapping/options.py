"""What a piece takes on a machine: the ways in which it may run, each of one or two steps.

Which of its values lie in the buffer (`Stay`), and what room that leaves for tiles, is given.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from costmodel.errors import DoesNotFit
from costmodel.hardware.accelerator import Accelerator
from costmodel.mapping.core_front import best_blocks
from costmodel.mapping.core_records import CoreMapped, CoreProblem
from costmodel.mapping.front import best_mapping
from costmodel.mapping.nest_records import WIDE, Machine, Mapped
from costmodel.mapping.pieces import Piece, Stay, Works
from costmodel.mapping.prices import Prices
from costmodel.mapping.step_problems import (
    Moved,
    arrays_of,
    may_run,
    moved_by,
    problem_of,
    step_names,
    words_of,
    work_of,
)
from costmodel.mapping.works import slots


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
    local_read_bits: int  # of the local memory, where sums lie
    local_write_bits: int
    local_read_cycles: int  # of its ports
    local_write_cycles: int
    local_bytes: int  # of it that sums occupy
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
            *(t.local_bytes, t.local_read_bytes or WIDE, t.local_write_bytes or WIDE),
            *(p.local_read_pj, p.local_write_pj),
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
    machine, target = site.machine(free_bytes, on[0] if on else 0), site.target
    problem = problem_of(piece, name, stay, moved, target, site.prices, on)
    if problem is None:
        return vector_part(name, work_of(piece, name), moved, machine, site)
    cost: Mapped | CoreMapped
    if isinstance(problem, CoreProblem):
        cost = best_blocks(problem, machine, site.objective)
    else:  # in the whole buffer `least.py` asks for all mappings, too
        cost = best_mapping(problem, machine, site.objective, whole=free_bytes == target.buffer_bytes)
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
        local_read_bits=cost.local_read_bits,
        local_write_bits=cost.local_write_bits,
        local_read_cycles=cost.local_read_cycles,
        local_write_cycles=cost.local_write_cycles,
        local_bytes=cost.local_bytes,
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
        local_read_bits=0,
        local_write_bits=0,
        local_read_cycles=0,
        local_write_cycles=0,
        local_bytes=0,
        buffer_bytes=0,
        energy_pj=machine.energy_pj(bits, buffer_reads, buffer_writes) + site.prices.arithmetic_pj(works),
        array_work=(),
        vector_work=works,
    )
