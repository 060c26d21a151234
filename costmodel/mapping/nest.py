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

A fourth loop may run around the three: the product is cut along M or N into blocks of so many tiles, two at
least, and each block runs as a product of its own, one behind the other, like the B products. What is held is
held for a block; the operand that lacks the dim comes once more for each block.

Room in the buffer:

    a, b    the tile in use, and the one that arrives for the next pass, unless nothing arrives. Of what is
            held, all of it; new tiles take the places of those that are done. A single tile may also be
            loaded where the last one lay, when that is done (`single`): half the room, and nothing hides
            these loads. What does not move lies in the buffer already: whoever keeps it counts it.
            b takes no room where it goes past the buffer, and comes as often as the array reads it.
    out     accumulators: none where the array itself sums all of K, else those of a tile, or of all that is
            held; two tiles where partial sums travel (one, if `single`). For whole rows those of the rows.
            They are requantised as they leave; the next pass overwrites them in place. Where the target has
            a local memory for sums they lie there, and take no room in the buffer.

Time: array, DMA, vector unit and the two ports of the buffer, and of the local memory, go through the same passes,
each at its own pace, averaged over the step. A port is so many bytes a cycle wide, for all that is read or all
that is written.
While loads of `single` operands come, the array waits. What nothing hides does not depend on the tiles, for
the array works fold by fold: it begins when the operands of its first fold are there (what is stationary, and
the first line of what streams), and the step ends when the results of its last fold have left.

    cycles = max(single loads + max(array, vector), DMA, reads, writes, local reads, local writes)
             + first operands + fill and drain + last results

Each term is the less, the more bandwidth, ports, lanes or buffer there is; so is the least of all mappings.

Under an output-stationary array a tile of a single fold may be summed over several passes of K, one behind the
other, without its sums leaving the PEs: it is drained once.

The array runs as the smallest part on which the product has as few folds as on all of it (`fold_array`):
operands then enter at the first row and column in use, and what idles is neither filled nor drained.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from costmodel.hardware.registers import register_bits
from costmodel.hardware.timing import ArrayShape, Product, tail_cycles
from costmodel.mapping.nest_records import Machine, Mapped, Mapping, Operands, Problem

ORDERS = ("MNK", "MKN", "NMK", "NKM", "KMN", "KNM")
LACKS = {"a": "N", "b": "M", "out": "K"}  # the dim that an operand does not have


def parts(product: Product, mapping: Mapping) -> dict[str, int]:
    """Passes along each dim."""
    return {dim: -(-getattr(product, dim) // getattr(mapping, dim)) for dim in "MNK"}


def block_parts(mapping: Mapping, p: dict[str, int]) -> dict[str, int]:
    """Passes along each dim within a block."""
    return {dim: mapping.tiles if dim == mapping.along else n for dim, n in p.items()}


def block_of(product: Product, mapping: Mapping) -> Product:
    """The product that a block is, but for the last block, which may be smaller."""
    if not mapping.along:
        return product
    if mapping.along == "M":
        return replace(product, M=min(mapping.tiles * mapping.M, product.M))
    return replace(product, N=min(mapping.tiles * mapping.N, product.N))


def blocks_of(mapping: Mapping, p: dict[str, int]) -> int:
    """How many blocks there are."""
    return -(-p[mapping.along] // mapping.tiles) if mapping.along else 1


def visits(operand: str, mapping: Mapping, p: dict[str, int]) -> int:
    """How often each element of an operand comes."""
    lacks = LACKS[operand]
    inner = mapping.order[mapping.order.index(lacks) + 1 :]
    within = block_parts(mapping, p)
    if operand in mapping.held or all(within[dim] == 1 for dim in inner):
        return blocks_of(mapping, p) if lacks == mapping.along else 1
    return p[lacks]


def held_region(operand: str, mapping: Mapping, product: Product, p: dict[str, int]) -> tuple[int, int]:
    """Elements of an operand that lie in the buffer, and how many tiles those are.

    What comes only once is not held: there is no second pass to hold it for. `product` and `p` are of a block.
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
    product = block_of(problem.product, mapping)
    elements, tiles = held_region(operand, mapping, product, block_parts(mapping, p))
    whole = {"a": product.M * product.K, "b": product.K * product.N}[operand]
    return tiles == 1 and (elements < whole or problem.B > 1 or bool(mapping.along))


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
            elements, _ = held_region(operand, mapping, block_of(product, mapping), block_parts(mapping, p))
            twice = operand not in mapping.single and arrives(operand, problem, mapping, p)
            bits += (2 if twice else 1) * elements * width
    if not machine.local_bytes:
        bits += sum_places(problem, mapping, machine, p) * operands.accumulator_bits
    return -(-bits // 8)


def local_occupied_bytes(problem: Problem, mapping: Mapping, machine: Machine) -> int:
    """Bytes of the local memory that the sums of a mapping need; 0 where there is none."""
    if not machine.local_bytes:
        return 0
    places = sum_places(problem, mapping, machine, parts(problem.product, mapping))
    return -(-places * problem.operands.accumulator_bits // 8)


def sum_places(problem: Problem, mapping: Mapping, machine: Machine, p: dict[str, int]) -> int:
    """Accumulators that lie in the local memory, or in the buffer."""
    product = problem.product
    tile = min(mapping.M, product.M) * min(mapping.N, product.N)
    if visits("out", mapping, p) > 1:
        return tile if "out" in mapping.single else 2 * tile
    held = "out" in mapping.held and mapping.order[2] != "K"
    if problem.whole_rows and (p["K"] == 1 or not held):
        return min(mapping.M, product.M) * product.N
    if p["K"] == 1:
        in_array = machine.dataflow == "os" or product.K <= machine.array.R
        return 0 if in_array else tile
    if sums_stay(mapping, fold_array(product, machine.array, machine.dataflow), machine.dataflow):
        return 0
    return held_region("out", mapping, block_of(product, mapping), block_parts(mapping, p))[0]


def sums_stay(mapping: Mapping, array: ArrayShape, dataflow: str) -> bool:
    """Whether sums stay in the PEs from one pass of K to the next: a single fold, where outputs are stationary."""
    return dataflow == "os" and mapping.order[2] == "K" and mapping.M <= array.R and mapping.N <= array.C


def finishes_rows(problem: Problem, mapping: Mapping) -> bool:
    """Whether whole rows of the result are in the buffer at once."""
    p = parts(problem.product, mapping)
    if visits("out", mapping, p) > 1 or mapping.along == "N":
        return False
    held = "out" in mapping.held and mapping.order[2] != "K" and mapping.order[0] != "N"
    in_turn = mapping.order == "MNK" or (p["K"] == 1 and mapping.order.index("M") < mapping.order.index("N"))
    return p["N"] == 1 or held or in_turn


def is_legal(problem: Problem, mapping: Mapping, machine: Machine) -> bool:
    """Whether it fits the buffer, cuts K between folds where these are summed in order, and does what is asked.

    No block has a single tile, and there is more than one: else it is no block, or the last one moves less.
    """
    if mapping.along:
        p = parts(problem.product, mapping)[mapping.along]
        if mapping.tiles < 2 or p <= mapping.tiles or p % mapping.tiles == 1:
            return False
    if machine.dataflow != "os" and mapping.K < problem.product.K and mapping.K % machine.array.R:
        return False
    if problem.whole_rows and not finishes_rows(problem, mapping):
        return False
    if local_occupied_bytes(problem, mapping, machine) > machine.local_bytes:
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


@lru_cache(maxsize=4096)
def fold_array(product: Product, array: ArrayShape, dataflow: str) -> ArrayShape:
    """The smallest part of an array on which a product has as few folds as on all of it.

    Where sums pass the rows from one to the next, folds of K are as deep as the array: a saturating sum is one
    of the terms in some order, and no mapping may change its bits.
    """
    M, N, K = int(product.M), int(product.N), int(product.K)
    down, across = {"os": (M, N), "ws": (K, N), "is": (K, M)}[dataflow]
    rows, columns = -(-down // array.R), -(-across // array.C)
    deep = -(-down // rows) if dataflow == "os" else min(down, array.R)
    return ArrayShape(deep, -(-across // columns))


@dataclass(frozen=True)
class Ends:
    """What nothing hides: operands before the first fold, fill and drain, results of the last fold."""

    first_bits: int
    tail_cycles: int
    last_bits: int

    def cycles(self, machine: Machine) -> int:
        return machine.dma_cycles(self.first_bits) + self.tail_cycles + machine.dma_cycles(self.last_bits)


def ends_of(problem: Problem, machine: Machine) -> Ends:
    """Ends of a product on an array: the same for every mapping. None where no array does it."""
    product, o, flow = problem.product, problem.operands, machine.dataflow
    if not o.on_array:
        return Ends(0, 0, 0)
    array = fold_array(product, machine.array, flow)
    M, N, K = product.M, product.N, product.K
    R, C = array.R, array.C
    a, b, rows, columns = {
        "os": (min(M, R), min(N, C), min(M, R), min(N, C)),
        "ws": (min(K, R), min(K, R) * min(N, C), 1, min(N, C)),
        "is": (min(K, R) * min(M, C), min(K, R), min(M, C), 1),
    }[flow]
    if problem.whole_rows:
        columns = N
    first = a * o.a_bits * o.a_moves + b * o.b_bits * o.b_moves
    tail = tail_cycles(product, array, flow, machine.convention)
    return Ends(first, tail, rows * columns * o.out_bits * o.out_moves)


def evaluate(problem: Problem, mapping: Mapping, machine: Machine) -> Mapped:
    """Cycles, traffic and energy of a mapping, legal or not."""
    product, operands, B = problem.product, problem.operands, problem.B
    M, N, K = product.M, product.N, product.K
    array, p = fold_array(product, machine.array, machine.dataflow), parts(product, mapping)
    units = units_of(array, machine.dataflow)
    m, n, k = (cut(d, s, u, array.R) for d, s, u in zip((M, N, K), sizes_of(mapping), units, strict=True))
    if sums_stay(mapping, array, machine.dataflow):
        k = cut(K, K, units[2], array.R)
    read_a, read_b, sums = array_traffic((m, n, k), product, machine.dataflow)
    a = B * M * K * operands.a_bits * operands.a_moves * visits("a", mapping, p)
    b = B * K * N * operands.b_bits * operands.b_moves * visits("b", mapping, p)
    if operands.b_bypasses and not stays_in_array(mapping, array, machine.dataflow, p):
        b = B * read_b * operands.b_bits * operands.b_moves
    spills = B * M * N * operands.accumulator_bits * (visits("out", mapping, p) - 1)
    results = B * M * N * operands.out_bits - operands.short_bits
    out = results * operands.out_moves + spills
    cycles = 0
    if operands.on_array:
        cycles = B * array_cycles((m, n, k), product, array, machine.dataflow, machine.convention)
    exposed = exposed_bits(problem, mapping, p, (a, b, spills))
    moved = a + b + out + spills + operands.extra_bits
    dma, load = machine.dma_cycles(moved), machine.dma_cycles(exposed)
    pairs = read_a * operands.a_bits + read_b * operands.b_bits * (not operands.b_bypasses)
    kept = results * (not operands.out_moves)
    sum_bits = B * sums * operands.accumulator_bits + spills  # read as often as they are written
    local = sum_bits if machine.local_bytes else 0
    reads = B * pairs + sum_bits - local + operands.extra_bits + operands.inside_bits
    writes = sum_bits - local + a + (0 if operands.b_bypasses else b) + kept
    writes += operands.extra_bits + operands.also_bits
    ends = ends_of(problem, machine).cycles(machine)
    registers = registers_of(problem, mapping, machine)
    ports = machine.port_cycles(reads, writes, local, local)
    energy = machine.energy_pj(moved, reads, writes, registers, (local, local))
    return Mapped(
        mapping=mapping,
        cycles=max(load + max(cycles, operands.vector_cycles), dma, *ports, 1) + ends,
        load_cycles=load,
        end_cycles=ends,
        array_cycles=cycles,
        vector_cycles=operands.vector_cycles,
        dma_cycles=dma,
        read_port_cycles=ports[0],
        write_port_cycles=ports[1],
        a_bits=a,
        b_bits=b,
        out_write_bits=out,
        out_read_bits=spills,
        buffer_bytes=occupied_bytes(problem, mapping, machine),
        buffer_read_bits=reads,
        buffer_write_bits=writes,
        register_bits=registers,
        local_read_bits=local,
        local_write_bits=local,
        local_read_cycles=ports[2],
        local_write_cycles=ports[3],
        local_bytes=local_occupied_bytes(problem, mapping, machine),
        energy_pj=energy + problem.arithmetic_pj,
        extra_bits=operands.extra_bits,
    )


def exposed_bits(problem: Problem, mapping: Mapping, p: dict[str, int], bits: tuple[int, int, int]) -> int:
    """Bits for which the array waits: of a, b and spilled sums those that have a single place."""
    a, b, spills = bits
    exposed = spills * 2 if spills > 0 and "out" in mapping.single else 0
    for operand, total in (("a", a), ("b", b)):
        if operand in mapping.single and in_buffer(operand, problem.operands):
            exposed += total * arrives(operand, problem, mapping, p)
    return exposed


def registers_of(problem: Problem, mapping: Mapping, machine: Machine) -> int:
    """Bits written into registers of PEs, pass by pass."""
    o, product = problem.operands, problem.product
    array, p = fold_array(product, machine.array, machine.dataflow), parts(product, mapping)
    bits = (o.a_bits, o.b_bits, o.accumulator_bits)
    found: int = register_bits(product, array, machine.dataflow, bits, (p["M"], p["N"]))
    return problem.B * found * o.on_array


def sizes_of(mapping: Mapping) -> tuple[int, int, int]:
    return mapping.M, mapping.N, mapping.K


def stays_in_array(mapping: Mapping, array: ArrayShape, dataflow: str, p: dict[str, int]) -> bool:
    """Whether b, past the buffer, comes once: under ws, where one fold of it stays while all of M passes."""
    fold = mapping.K <= array.R and mapping.N <= array.C and mapping.order[2] == "M"
    return dataflow == "ws" and (block_parts(mapping, p)["M"] == 1 or fold)
