"""An attention core in one pass: blocks of rows of scores that never leave the chip."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from costmodel.errors import DoesNotFit
from costmodel.hardware.timing import Product, accesses, steady_cycles, tail_cycles
from costmodel.mapping.tile import Site, sizes, units

# The attention core, fused


@dataclass(frozen=True)
class CoreOperands:
    """Bits of an element: of q, k, v, of the probabilities or shifts between, of sums and the result."""

    q_bits: int
    k_bits: int
    v_bits: int
    between_bits: int
    accumulator_bits: int
    out_bits: int
    q_moves: bool = True
    k_moves: bool = True
    v_moves: bool = True
    out_moves: bool = True
    scores_on_array: bool = True
    values_on_array: bool = True
    shared: int = 1  # rows of heads that share one k and v
    vector_cycles: int = 0


@dataclass(frozen=True)
class CoreCost:
    """What B heads take: scores [M,N] of q [M,d] and k [N,d], then out [M,D] of v [N,D], in one pass."""

    rows: int  # queries at a time
    held: bool  # k and v of a head stay in the buffer; else they stream once for each block of rows
    cycles: int
    hidden_cycles: int
    array_cycles: int
    dma_cycles: int
    read_bits: int
    write_bits: int
    buffer_bytes: int
    buffer_read_bits: int
    buffer_write_bits: int

    @property
    def dram_bits(self) -> int:
        return self.read_bits + self.write_bits

    @property
    def buffer_bits(self) -> int:
        return self.buffer_read_bits + self.buffer_write_bits


def core_cost(
    scores: Product, D: int, B: int, rows: int, held: bool, operands: CoreOperands, site: Site
) -> CoreCost:
    """One block of rows after the other: scores, what lies between, values; scores never leave the chip.

    Two blocks of scores lie in the buffer, one that the array makes or uses and one on which the vector
    unit works; the first block's vector work is all that the array cannot hide.
    """
    M, N, d = scores.M, scores.N, scores.K
    blocks = -(-M // rows)
    last_rows = M - (blocks - 1) * rows
    key_bits = N * d * operands.k_bits * operands.k_moves + N * D * operands.v_bits * operands.v_moves
    reads = B * M * d * operands.q_bits * operands.q_moves
    reads += key_bits * (B // operands.shared if held else B * blocks)
    writes = B * M * D * operands.out_bits * operands.out_moves
    array = tail = buffer_reads = buffer_writes = 0
    for m, times in ((rows, blocks - 1), (last_rows, 1)):
        first, second = Product(m, N, d), Product(m, D, N)
        for shape, on_array in ((first, operands.scores_on_array), (second, operands.values_on_array)):
            if on_array:
                array += times * B * steady_cycles(shape, site.array, site.dataflow, site.convention)
        words, more = (accesses(p, site.array, site.dataflow, "array") for p in (first, second))
        sums = (words.ofmap_reads + more.ofmap_reads + m * N + m * D) * operands.accumulator_bits
        pairs = words.ifmap_reads * operands.q_bits + words.filter_reads * operands.k_bits
        pairs += more.ifmap_reads * operands.between_bits + more.filter_reads * operands.v_bits
        buffer_reads += times * B * (sums + pairs)
        written = (words.ofmap_writes + more.ofmap_writes) * operands.accumulator_bits
        buffer_writes += times * B * (written + m * N * operands.between_bits)
    if operands.values_on_array:
        tail = tail_cycles(Product(rows, D, N), site.array, site.dataflow, site.convention)
    chunk = N if held else min(N, site.array.C)
    first_load = rows * d * operands.q_bits * operands.q_moves + chunk * key_bits // N
    dma = site.dma_cycles(reads + writes)
    between = -(-operands.vector_cycles // (B * blocks))
    hidden = max(array, dma, operands.vector_cycles)
    ends = tail + site.dma_cycles(first_load) + site.dma_cycles(rows * D * operands.out_bits * operands.out_moves)
    return CoreCost(
        rows=rows,
        held=held,
        cycles=ends + hidden + between,
        hidden_cycles=hidden,
        array_cycles=array,
        dma_cycles=dma,
        read_bits=reads,
        write_bits=writes,
        buffer_bytes=core_bytes(scores, D, B, rows, held, operands, site),
        buffer_read_bits=buffer_reads,
        buffer_write_bits=buffer_writes + reads + B * M * D * operands.out_bits * (not operands.out_moves),
    )


def core_bytes(scores: Product, D: int, B: int, rows: int, held: bool, operands: CoreOperands, site: Site) -> int:
    """Bytes of the buffer that a block of rows needs: see `core_cost`."""
    N, d = scores.N, scores.K
    keys = N if held else min(N, site.array.C)
    copies = 1 if held and operands.shared == B else 2
    key_bits = copies * keys * (d * operands.k_bits + D * operands.v_bits)
    query_bits = 2 * rows * d * operands.q_bits
    score_bits = 2 * rows * N * (operands.accumulator_bits + operands.between_bits)
    return -(-(key_bits + query_bits + score_bits + rows * D * operands.accumulator_bits) // 8)


def core_key(cost: CoreCost) -> tuple[int, ...]:
    return cost.hidden_cycles, cost.dram_bits, cost.cycles, cost.buffer_bits


@lru_cache(maxsize=4096)
def best_core(scores: Product, D: int, B: int, operands: CoreOperands, site: Site) -> CoreCost:
    """The block of rows of fewest hidden cycles, then DRAM bits, then ends; k and v held or streamed.

    Raises:
        DoesNotFit: not even one array's height of rows fits the buffer.
    """
    um = units(site.array, site.dataflow, "cycles")[0]
    best: CoreCost | None = None
    for rows in sizes(scores.M, um):
        for held in (True, False):
            block = scores.M if rows == scores.M else rows
            if core_bytes(scores, D, B, block, held, operands, site) <= site.tile_bytes:
                cost = core_cost(scores, D, B, block, held, operands, site)
                if best is None or core_key(cost) < core_key(best):
                    best = cost
    if best is None:
        raise DoesNotFit(
            f"no block of rows of an attention core with {scores.N} keys fits {site.tile_bytes} bytes"
        )
    return best
