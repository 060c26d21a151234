"""A product, a machine, a mapping and what it takes, as records; `nest.py` says what they mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from costmodel.hardware.timing import ArrayShape, Product

WIDE = 1 << 31  # bytes a cycle of a port for which nothing ever waits


@dataclass(frozen=True)
class Operands:
    """Bits of one element of each operand, and which of them come from or go to DRAM."""

    a_bits: int
    b_bits: int
    accumulator_bits: int
    out_bits: int
    a_moves: bool = True
    b_moves: bool = True
    out_moves: bool = True
    b_bypasses: bool = False  # weights go from DRAM to the array, past the buffer
    on_array: bool = True  # False: no PE does this kind of term, the vector unit does it
    # What else the step does beside the product, in all: a residual or a norm's weights, the epilogue.
    extra_bits: int = 0  # from DRAM
    inside_bits: int = 0  # of what lies in the buffer
    also_bits: int = 0  # of results that stay in the buffer while others leave
    short_bits: int = 0  # by which all results are less than as many words of `out_bits`
    vector_cycles: int = 0


@dataclass(frozen=True)
class Machine:
    """Where a product runs. Bandwidth and clock are integers, so that cycles are exact; prices are pJ a bit."""

    array: ArrayShape
    dataflow: str
    convention: str
    buffer_bytes: int  # for this product: all of the buffer, less what is kept for others
    bandwidth_mb_s: int
    clock_mhz: int
    buffer_read_pj: float = 0.0
    buffer_write_pj: float = 0.0
    dram_pj: float = 0.0
    buffer_read_bytes: int = WIDE  # a cycle, through the port of the buffer
    buffer_write_bytes: int = WIDE
    register_pj: float = 0.0  # 0: nothing prices a bit of a PE's register
    local_bytes: int = 0  # of the local memory in which sums lie; 0: there is none, and they lie in the buffer
    local_read_bytes: int = WIDE  # a cycle, through its port
    local_write_bytes: int = WIDE
    local_read_pj: float = 0.0
    local_write_pj: float = 0.0

    def dma_cycles(self, bits: int) -> int:
        """Cycles in which DRAM moves so many bits."""
        return -(-bits * self.clock_mhz // (8 * self.bandwidth_mb_s))

    def port_cycles(
        self, reads: Any, writes: Any, local_reads: Any, local_writes: Any
    ) -> tuple[int, int, int, int]:
        """Cycles in which so many bits pass each port: of the buffer, and of the local memory."""
        return self.read_cycles(reads), self.write_cycles(writes), *self.local_cycles(local_reads, local_writes)

    def read_cycles(self, bits: int) -> int:
        """Cycles in which so many bits leave the buffer through its port."""
        return -(-bits // (8 * self.buffer_read_bytes))

    def write_cycles(self, bits: int) -> int:
        """Cycles in which so many bits enter the buffer through its port."""
        return -(-bits // (8 * self.buffer_write_bytes))

    def local_cycles(self, read_bits: int, write_bits: int) -> tuple[int, int]:
        """Cycles in which so many bits leave the local memory, and in which so many enter it."""
        return -(-read_bits // (8 * self.local_read_bytes)), -(-write_bits // (8 * self.local_write_bytes))

    def energy_pj(
        self,
        dram_bits: int,
        read_bits: int,
        write_bits: int,
        register_bits: Any = 0,
        local_bits: tuple[Any, Any] = (0, 0),
    ) -> float:
        """Energy of what moves; one expression for all, so that equal traffic has equal energy.

        `local_bits`: read from the local memory, and written into it.
        """
        moved = dram_bits * self.dram_pj + read_bits * self.buffer_read_pj + write_bits * self.buffer_write_pj
        sums = local_bits[0] * self.local_read_pj + local_bits[1] * self.local_write_pj
        return moved + register_bits * self.register_pj + sums


@dataclass(frozen=True)
class Problem:
    """B products, their operands, and what is asked of them."""

    product: Product
    B: int
    operands: Operands
    whole_rows: bool = False  # rows of the result are needed whole, for a norm behind the product
    arithmetic_pj: float = 0.0  # the same for every mapping; it counts in `edp`


@dataclass(frozen=True)
class Mapping:
    """Sizes of a tile, loops from the outermost, operands that are held or have a single place, blocks."""

    M: int
    N: int
    K: int
    order: str
    held: tuple[str, ...] = ()
    single: tuple[str, ...] = ()
    along: str = ""  # M or N: the product runs block by block along that dim; empty: it is one block
    tiles: int = 0  # of a block along that dim


@dataclass(frozen=True)
class Mapped:
    """What a mapping takes. `*_bits` count DRAM traffic, `buffer_*_bits` that of the buffer."""

    mapping: Mapping
    cycles: int
    load_cycles: int  # in which the array waits for operands with a single place
    end_cycles: int  # that nothing hides: first operands, fill and drain, last results
    array_cycles: int
    vector_cycles: int
    dma_cycles: int
    read_port_cycles: int  # of the buffer
    write_port_cycles: int
    a_bits: int
    b_bits: int
    out_write_bits: int  # results and partial sums
    out_read_bits: int  # partial sums
    buffer_bytes: int  # occupied
    buffer_read_bits: int
    buffer_write_bits: int
    register_bits: int  # written into registers of PEs
    local_read_bits: int  # of sums, where they have a memory of their own
    local_write_bits: int
    local_read_cycles: int  # of its ports
    local_write_cycles: int
    local_bytes: int  # occupied
    energy_pj: float  # of what moves, and of arithmetic as the problem states it
    extra_bits: int  # what else the step moves

    @property
    def hidden_cycles(self) -> int:
        """Of the slowest of array, vector unit, DMA and the buffer's ports: all but the ends."""
        return self.cycles - self.end_cycles

    @property
    def read_bits(self) -> int:
        return self.a_bits + self.b_bits + self.out_read_bits

    @property
    def dram_bits(self) -> int:
        """Of the product's operands, without what else the step moves."""
        return self.read_bits + self.out_write_bits

    @property
    def buffer_bits(self) -> int:
        return self.buffer_read_bits + self.buffer_write_bits
