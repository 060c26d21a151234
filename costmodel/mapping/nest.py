"""One product on one array and buffer as a nest of loops: what a mapping costs, whether it is legal.

a [M,K], b [K,N] -> out [M,N], B times. A *pass* is a tile of it, [m,k] x [k,n], all of whose operands lie in
the buffer. Three loops run over the passes, in any order. Call their dims x, y, z from the outermost loop to
the innermost. Each operand has two of the three dims:

    {x, y}  stays while z runs: every element moves once
    {x, z}  comes y times; or it is *held*, and a block of x by all of Z stays while y runs: once
    {y, z}  comes x times; or it is held, and all of it stays: once

"Comes" of the result means: its partial sums go to DRAM and back. A loop of one pass is no loop, and the
rule holds for the others. So with nothing held the two outer loops may change places: three of the six orders
differ. With something held all six do.

Room in the buffer:

    a, b    the tile in use, and the one that arrives for the next pass, unless nothing arrives. Of what is
            held, all of it; new tiles take the places of those that are done. A single tile may also be
            loaded where the last one lay, when that is done (`single`): half the room, and nothing hides
            these loads. What does not move lies in the buffer already: whoever keeps it counts it.
            b takes no room where it goes past the buffer, and comes as often as the array reads it.
    out     accumulators: none where the array itself sums all of K, else those of a tile, or of all that is
            held; two tiles where partial sums travel (one, if `single`). For whole rows those of the rows.
            They are requantised as they leave; the next pass overwrites them in place.

Time: array, DMA and vector unit go through the same passes, each at its own pace, averaged over the step.
Where the array or the vector unit is the slowest, the first tiles come before it and the last tile leaves
behind it. Where DMA is the slowest it moves these as it moves all others, and what it waits for is the array's
last pass. While loads of `single` operands come, the array waits. Fill and drain of the array nothing hides:

    cycles = max(first and single loads + max(array, vector) + last store, DMA + one pass) + fill and drain

Each term is the less, the more bandwidth, lanes or buffer there is; so is the least of all mappings.

The array may run as a smaller one, `rows` x `columns`: operands then enter at the first row and column in
use, and what idles is neither filled nor drained. Without that, more PEs could cost cycles.
"""

from __future__ import annotations

from dataclasses import dataclass

from costmodel.errors import CostModelError
from costmodel.hardware.timing import ArrayShape, Product, steady_cycles, tail_cycles
from costmodel.mapping.tile import Operands

OBJECTIVES = ("cycles", "energy", "edp", "bytes")
ORDERS = ("MNK", "MKN", "NMK", "NKM", "KMN", "KNM")
LACKS = {"a": "N", "b": "M", "out": "K"}  # the dim that an operand does not have


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
    partial: bool = True  # the array may run as a smaller one

    def dma_cycles(self, bits: int) -> int:
        """Cycles in which DRAM moves so many bits."""
        return -(-bits * self.clock_mhz // (8 * self.bandwidth_mb_s))

    def energy_pj(self, dram_bits: int, read_bits: int, write_bits: int) -> float:
        """Energy of what moves; one expression for all, so that equal traffic has equal energy."""
        return dram_bits * self.dram_pj + read_bits * self.buffer_read_pj + write_bits * self.buffer_write_pj


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
    """Sizes of a tile, loops from the outermost, operands that are held or have a single place."""

    M: int
    N: int
    K: int
    order: str
    held: tuple[str, ...] = ()
    single: tuple[str, ...] = ()
    rows: int = 0  # of the array that is used; 0: all
    columns: int = 0

    def array(self, machine: Machine) -> ArrayShape:
        return ArrayShape(self.rows or machine.array.R, self.columns or machine.array.C)


@dataclass(frozen=True)
class Mapped:
    """What a mapping takes. `*_bits` count DRAM traffic, `buffer_*_bits` that of the buffer."""

    mapping: Mapping
    cycles: int
    hidden_cycles: int  # of the slowest of array, DMA and vector unit
    load_cycles: int  # in which the array waits: first tiles, loads of operands with a single place
    array_cycles: int
    dma_cycles: int
    a_bits: int
    b_bits: int
    out_write_bits: int  # results and partial sums
    out_read_bits: int  # partial sums
    buffer_bytes: int  # occupied
    buffer_read_bits: int
    buffer_write_bits: int
    energy_pj: float  # of what moves, and of arithmetic as the problem states it
    extra_bits: int  # what else the step moves

    @property
    def dram_bits(self) -> int:
        """Of the product's operands, as `TileCost` has it."""
        return self.a_bits + self.b_bits + self.out_write_bits + self.out_read_bits

    @property
    def buffer_bits(self) -> int:
        return self.buffer_read_bits + self.buffer_write_bits


def key_of(cost: Mapped, objective: str) -> tuple[float, ...]:
    """What is the least first, and what breaks ties, in this order."""
    rest = (cost.dram_bits, cost.buffer_bits, cost.buffer_bytes)
    if objective == "cycles":
        return cost.cycles, cost.energy_pj, *rest
    if objective == "energy":
        return cost.energy_pj, cost.cycles, *rest
    if objective == "edp":
        return cost.energy_pj * cost.cycles, cost.cycles, *rest
    if objective == "bytes":
        return cost.dram_bits, cost.energy_pj, cost.cycles, *rest[1:]
    raise CostModelError(f"unknown objective {objective!r}; known: {', '.join(OBJECTIVES)}")


def parts(product: Product, mapping: Mapping) -> dict[str, int]:
    """Passes along each dim."""
    return {dim: -(-getattr(product, dim) // getattr(mapping, dim)) for dim in "MNK"}


def visits(operand: str, mapping: Mapping, p: dict[str, int]) -> int:
    """How often each element of an operand comes."""
    lacks = LACKS[operand]
    inner = mapping.order[mapping.order.index(lacks) + 1 :]
    if operand in mapping.held or all(p[dim] == 1 for dim in inner):
        return 1
    return p[lacks]


def held_region(operand: str, mapping: Mapping, product: Product, p: dict[str, int]) -> tuple[int, int]:
    """Elements of an operand that lie in the buffer, and how many tiles those are.

    What comes only once is not held: there is no second pass to hold it for.
    """
    held = operand in mapping.held and p[LACKS[operand]] > 1
    dims = [dim for dim in "MNK" if dim != LACKS[operand]]
    elements = tiles = 1
    place = mapping.order.index(LACKS[operand])
    for dim in dims:
        if held and mapping.order.index(dim) > place:
            elements, tiles = elements * getattr(product, dim), tiles * p[dim]
        else:
            elements *= min(getattr(mapping, dim), getattr(product, dim))
    return elements, tiles


def arrives(operand: str, problem: Problem, mapping: Mapping, p: dict[str, int]) -> bool:
    """Whether a tile comes while the only one there is in use."""
    product = problem.product
    elements, tiles = held_region(operand, mapping, product, p)
    whole = {"a": product.M * product.K, "b": product.K * product.N}[operand]
    return tiles == 1 and (elements < whole or problem.B > 1)


def in_buffer(operand: str, operands: Operands) -> bool:
    """Whether a or b takes room of its own."""
    return operands.a_moves if operand == "a" else operands.b_moves and not operands.b_bypasses


def occupied_bytes(problem: Problem, mapping: Mapping, machine: Machine) -> int:
    """Bytes of the buffer that a mapping needs, see the module's docstring."""
    product, operands = problem.product, problem.operands
    p = parts(product, mapping)
    bits = 0
    for operand, width in (("a", operands.a_bits), ("b", operands.b_bits)):
        if in_buffer(operand, operands):
            elements, _ = held_region(operand, mapping, product, p)
            twice = operand not in mapping.single and arrives(operand, problem, mapping, p)
            bits += (2 if twice else 1) * elements * width
    return -(-(bits + sum_places(problem, mapping, machine, p) * operands.accumulator_bits) // 8)


def sum_places(problem: Problem, mapping: Mapping, machine: Machine, p: dict[str, int]) -> int:
    """Accumulators that lie in the buffer."""
    product = problem.product
    tile = min(mapping.M, product.M) * min(mapping.N, product.N)
    if visits("out", mapping, p) > 1:
        return tile if "out" in mapping.single else 2 * tile
    if p["K"] == 1:
        if problem.whole_rows:
            return min(mapping.M, product.M) * product.N
        in_array = machine.dataflow == "os" or product.K <= mapping.array(machine).R
        return 0 if in_array else tile
    return held_region("out", mapping, product, p)[0]


def finishes_rows(problem: Problem, mapping: Mapping) -> bool:
    """Whether whole rows of the result are in the buffer at once."""
    p = parts(problem.product, mapping)
    if visits("out", mapping, p) > 1:
        return False
    held = "out" in mapping.held and mapping.order[2] != "K" and mapping.order[0] != "N"
    return p["N"] == 1 or held


def is_legal(problem: Problem, mapping: Mapping, machine: Machine) -> bool:
    """Whether it fits the buffer and the array, and does what is asked."""
    array = mapping.array(machine)
    if array.R > machine.array.R or array.C > machine.array.C:
        return False
    if problem.whole_rows and not finishes_rows(problem, mapping):
        return False
    return occupied_bytes(problem, mapping, machine) <= machine.buffer_bytes


@dataclass(frozen=True)
class Cut:
    """A dim that is cut into tiles: passes, folds of them all, and cycles as what streams through."""

    parts: int
    folds: int
    stream: int  # sum of max(part, 2 R)


def cut(dim: int, size: int, unit: int, R: int) -> Cut:
    number = -(-dim // size)
    last = dim - (number - 1) * size
    folds = (number - 1) * -(-size // unit) + -(-last // unit)
    return Cut(number, folds, (number - 1) * max(size, 2 * R) + max(last, 2 * R))


def units_of(array: ArrayShape, dataflow: str) -> tuple[int, int, int]:
    """Elements of M, N, K in a fold; 1 for the dim that streams through."""
    R, C = array.R, array.C
    return {"os": (R, C, 1), "ws": (1, C, R), "is": (C, 1, R)}[dataflow]


def array_cycles(cuts: tuple[Cut, Cut, Cut], product: Product, array: ArrayShape, flow: str, how: str) -> int:
    """Steady cycles of all passes of a product: `timing.steady_cycles` summed in closed form."""
    m, n, k = cuts
    streamed, folds, T = {
        "os": (k, m.folds * n.folds, product.K),
        "ws": (m, k.folds * n.folds, product.M),
        "is": (n, k.folds * m.folds, product.N),
    }[flow]
    R, C = array.R, array.C
    if how == "ideal":
        return folds * T
    if how == "paper":
        return folds * (streamed.parts * (2 * R + C - 2) + T)
    if how == "scalesim":
        skew = (R if flow == "os" else 2 * R) + C - 2
        return folds * (streamed.parts * skew + T) - m.parts * n.parts * k.parts
    if flow == "os":
        return n.folds * (m.folds * T + streamed.parts * (product.M - m.folds))
    return folds * streamed.stream


def array_traffic(cuts: tuple[Cut, Cut, Cut], product: Product, flow: str) -> tuple[int, int, int]:
    """Elements of a and of b that the array reads, and of sums that it writes and that are read again."""
    m, n, k = cuts
    M, N, K = product.M, product.N, product.K
    a, b, sums = {
        "os": (n.folds, m.folds, k.parts),
        "ws": (n.folds, m.parts, k.folds),
        "is": (n.parts, m.folds, k.folds),
    }[flow]
    return a * M * K, b * K * N, sums * M * N


def evaluate(problem: Problem, mapping: Mapping, machine: Machine) -> Mapped:
    """Cycles, traffic and energy of a mapping, legal or not."""
    product, operands, B = problem.product, problem.operands, problem.B
    M, N, K = product.M, product.N, product.K
    array, p = mapping.array(machine), parts(product, mapping)
    units = units_of(array, machine.dataflow)
    m, n, k = (cut(d, s, u, array.R) for d, s, u in zip((M, N, K), sizes_of(mapping), units, strict=True))
    read_a, read_b, sums = array_traffic((m, n, k), product, machine.dataflow)
    a = B * M * K * operands.a_bits * operands.a_moves * visits("a", mapping, p)
    b = B * K * N * operands.b_bits * operands.b_moves * visits("b", mapping, p)
    if operands.b_bypasses and not stays_in_array(mapping, array, machine.dataflow, p):
        b = B * read_b * operands.b_bits * operands.b_moves
    spills = B * M * N * operands.accumulator_bits * (visits("out", mapping, p) - 1)
    out = B * M * N * operands.out_bits * operands.out_moves + spills
    cycles = 0
    if operands.on_array:
        cycles = B * array_cycles((m, n, k), product, array, machine.dataflow, machine.convention)
    exposed, first = spills * (spills > 0 and "out" in mapping.single) * 2, 0
    for operand, tile, total in (
        ("a", mapping.M * mapping.K * operands.a_bits * operands.a_moves, a),
        ("b", mapping.K * mapping.N * operands.b_bits * operands.b_moves, b),
    ):
        alone = in_buffer(operand, operands) and arrives(operand, problem, mapping, p)
        if operand in mapping.single and alone:
            exposed += total
        else:
            first += tile
    stored = mapping.M * (N if problem.whole_rows else mapping.N) * operands.out_bits * operands.out_moves
    moved = a + b + out + spills + operands.extra_bits
    dma = machine.dma_cycles(moved)
    one_pass = tail = 0
    if operands.on_array:
        shape = Product(mapping.M, mapping.N, mapping.K)
        one_pass = steady_cycles(shape, array, machine.dataflow, machine.convention)
        tail = tail_cycles(product, array, machine.dataflow, machine.convention)
    computed = (
        machine.dma_cycles(first + exposed) + max(cycles, operands.vector_cycles) + machine.dma_cycles(stored)
    )
    pairs = read_a * operands.a_bits + read_b * operands.b_bits * (not operands.b_bypasses)
    kept = M * N * operands.out_bits * (not operands.out_moves)
    sum_bits = B * sums * operands.accumulator_bits
    reads = B * pairs + sum_bits + spills + operands.extra_bits
    writes = sum_bits + a + spills + (0 if operands.b_bypasses else b) + B * kept + operands.extra_bits
    return Mapped(
        mapping=mapping,
        cycles=max(computed, dma + one_pass) + tail,
        hidden_cycles=max(cycles, dma, operands.vector_cycles),
        load_cycles=machine.dma_cycles(first + exposed),
        array_cycles=cycles,
        dma_cycles=dma,
        a_bits=a,
        b_bits=b,
        out_write_bits=out,
        out_read_bits=spills,
        buffer_bytes=occupied_bytes(problem, mapping, machine),
        buffer_read_bits=reads,
        buffer_write_bits=writes,
        energy_pj=machine.energy_pj(moved, reads, writes) + problem.arithmetic_pj,
        extra_bits=operands.extra_bits,
    )


def sizes_of(mapping: Mapping) -> tuple[int, int, int]:
    return mapping.M, mapping.N, mapping.K


def stays_in_array(mapping: Mapping, array: ArrayShape, dataflow: str, p: dict[str, int]) -> bool:
    """Whether b, past the buffer, comes once: under ws, where one fold of it stays while all of M passes."""
    fold = mapping.K <= array.R and mapping.N <= array.C and mapping.order[2] == "M"
    return dataflow == "ws" and (p["M"] == 1 or fold)
