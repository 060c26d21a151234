"""One product on one array and buffer: legal tiles, bytes at each level, the best tile.

a [M,K], b [K,N] -> out [M,N], B times. A *pass* is a tile of it, [mt,kt] x [kt,nt], all of whose
operands lie in the buffer; the array runs passes one behind the other. One of the three operands stays
while the passes go by; it is read (or written) once, the others come as often as they are needed:

    stay  order of passes   DRAM traffic
    out   k innermost       a ceil(N/nt) times, b ceil(M/mt) times, out once
    a     n innermost       a once, b ceil(M/mt) times; partial sums out and back where kt < K
    b     m innermost       b once, a ceil(N/nt) times; partial sums out and back where kt < K

The buffer holds the operands of two passes, one in use and one arriving, or one if there is only one;
the accumulators of one pass (nothing where an output-stationary array sums all of K at once); two where
partial sums travel. Accumulators are requantised as they leave; the next pass overwrites them in place.

Array, DMA and vector unit work through the same passes, each at its own pace; two buffers let them run
beside each other. A step takes as long as the slowest, and what nothing can hide: the loads of one pass
before, the fill and drain of the array, the store of one pass behind. The space that is searched: for each
dim the even splits into p parts, p in `PARTS`, in whole folds of the array; all three orders.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from costmodel.errors import CostModelError, DoesNotFit
from costmodel.hardware.timing import ArrayShape, Product, accesses, steady_cycles, tail_cycles
from costmodel.ops.registry import enter

PARTS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64, 96, 128, 192, 256, 512, 1024)
STAYS = ("out", "a", "b")


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
    extra_bits: int = 0
    vector_cycles: int = 0


@dataclass(frozen=True)
class Site:
    """Where a product runs. Bandwidth and clock as integers, so that cycles are exact."""

    array: ArrayShape
    dataflow: str
    convention: str
    tile_bytes: int  # buffer for tiles
    bandwidth_mb_s: int
    clock_mhz: int

    def dma_cycles(self, bits: int) -> int:
        """Cycles in which DRAM moves so many bits."""
        return -(-bits * self.clock_mhz // (8 * self.bandwidth_mb_s))


@dataclass(frozen=True)
class Tile:
    """A pass, and which operand stays."""

    M: int
    N: int
    K: int
    stay: str


@dataclass(frozen=True)
class TileCost:
    """What B products with one tile take. `bits` count DRAM traffic, `buffer_*` that of the buffer."""

    tile: Tile
    cycles: int
    hidden_cycles: int  # of the slowest of array, DMA and vector unit: all but the ends
    array_cycles: int
    dma_cycles: int
    a_bits: int
    b_bits: int
    out_write_bits: int  # results and partial sums
    out_read_bits: int  # partial sums
    buffer_bytes: int  # occupied
    buffer_read_bits: int
    buffer_write_bits: int

    @property
    def dram_bits(self) -> int:
        return self.a_bits + self.b_bits + self.out_write_bits + self.out_read_bits

    @property
    def buffer_bits(self) -> int:
        return self.buffer_read_bits + self.buffer_write_bits


@dataclass(frozen=True)
class Objective:
    """What the search for a tile makes least."""

    name: str
    key: Callable[[TileCost], tuple[float, ...]]  # what is compared, most important first
    parts_of_folds: bool  # tiles may be parts of the array's folds, by 16: fewer bytes, more cycles
    # Whether a tile cannot win, by the DRAM bits that it moves, the best key so far, the least cycles that any
    # tile takes. None: every tile is costed.
    hopeless: Callable[[Site, int, tuple[float, ...], int], bool] | None


Key = Callable[[TileCost], tuple[float, ...]]
OBJECTIVES: dict[str, Objective] = {}


def objective(
    name: str,
    parts_of_folds: bool = False,
    hopeless: Callable[[Site, int, tuple[float, ...], int], bool] | None = None,
) -> Callable[[Key], Key]:
    """Register a key of a tile's cost as the objective of that name."""

    def register(key: Key) -> Key:
        enter(OBJECTIVES, "objective", name)(Objective(name, key, parts_of_folds, hopeless))
        return key

    return register


@objective(
    "cycles",
    hopeless=lambda site, moved, best, least: (
        site.dma_cycles(moved) > best[0] or (best[0] == least and moved > best[1])
    ),
)
def fewest_cycles(cost: TileCost) -> tuple[float, ...]:
    """Fewest hidden cycles, then DRAM bits, then shortest ends, then buffer bits."""
    return cost.hidden_cycles, cost.dram_bits, cost.cycles, cost.buffer_bits


@objective("bytes", parts_of_folds=True, hopeless=lambda site, moved, best, least: moved > best[0])
def fewest_bytes(cost: TileCost) -> tuple[float, ...]:
    """Fewest DRAM bits, then hidden cycles, then shortest ends, then buffer bits."""
    return cost.dram_bits, cost.hidden_cycles, cost.cycles, cost.buffer_bits


def units(array: ArrayShape, dataflow: str, objective: str) -> tuple[int, int, int]:
    """Steps of tiles in M, N, K: whole folds of the array, or for some objectives parts of folds, by 16."""
    R, C = array.R, array.C
    whole = {"os": (R, C, R), "ws": (R, C, R), "is": (C, R, R)}[dataflow]
    if not OBJECTIVES[objective].parts_of_folds:
        return whole
    m, n, k = (min(16, u) for u in whole)
    return m, n, k


def sizes(dim: int, unit: int) -> tuple[int, ...]:
    """Even splits of a dim in whole units, largest first."""
    whole = -(-dim // unit)
    found = (min(dim, unit * -(-whole // p)) for p in PARTS if p <= whole)
    return tuple(dict.fromkeys(found))


def candidates(product: Product, site: Site, objective: str) -> Iterator[Tile]:
    """The space of tiles, legal or not."""
    um, un, uk = units(site.array, site.dataflow, objective)
    for stay in STAYS:
        for mt in sizes(product.M, um):
            for kt in sizes(product.K, uk):
                for nt in sizes(product.N, un):
                    yield Tile(mt, nt, kt, stay)


def parts(product: Product, tile: Tile) -> tuple[int, int, int]:
    """Passes along M, N, K."""
    return -(-product.M // tile.M), -(-product.N // tile.N), -(-product.K // tile.K)


def occupied_bytes(product: Product, tile: Tile, operands: Operands, site: Site) -> int:
    """Bytes of the buffer that a tile needs, see the module's docstring."""
    m, n, k = parts(product, tile)
    a = (1 if m * k == 1 else 2) * tile.M * tile.K * operands.a_bits
    b = (1 if n * k == 1 else 2) * tile.K * tile.N * operands.b_bits * (not operands.b_bypasses)
    spilled = k > 1 and tile.stay != "out"
    summed_in_array = k == 1 and (site.dataflow == "os" or tile.K <= site.array.R)
    sets = 2 if spilled else 0 if summed_in_array else 1
    return -(-(a + b + sets * tile.M * tile.N * operands.accumulator_bits) // 8)


def traffic_bits(product: Product, B: int, tile: Tile, operands: Operands) -> tuple[int, int, int, int]:
    """DRAM bits of a, of b, written (results and partial sums), and of partial sums read back."""
    m, n, k = parts(product, tile)
    M, N, K = product.M, product.N, product.K
    a = M * K * operands.a_bits * operands.a_moves * (n if tile.stay != "a" else 1) * B
    b = K * N * operands.b_bits * operands.b_moves * (m if tile.stay != "b" else 1) * B
    spills = (k - 1) * M * N * operands.accumulator_bits * B if tile.stay != "out" else 0
    return a, b, M * N * operands.out_bits * operands.out_moves * B + spills, spills


def evaluate(product: Product, B: int, tile: Tile, operands: Operands, site: Site) -> TileCost:
    """Cycles and traffic of B products with one tile."""
    a, b, out, spills = traffic_bits(product, B, tile, operands)
    array = tail = 0
    if operands.on_array:
        array = B * sum(
            times * steady_cycles(shape, site.array, site.dataflow, site.convention)
            for shape, times in pass_shapes(product, tile)
        )
        tail = tail_cycles(product, site.array, site.dataflow, site.convention)
    first_load = tile.M * tile.K * operands.a_bits * operands.a_moves
    first_load += tile.K * tile.N * operands.b_bits * operands.b_moves
    last_store = tile.M * tile.N * operands.out_bits * operands.out_moves
    dma = site.dma_cycles(a + b + out + spills + operands.extra_bits)
    hidden = max(array, dma, operands.vector_cycles)
    reads, writes = buffer_traffic(product, B, tile, operands, site)
    loads = a + spills + (0 if operands.b_bypasses else b)
    kept = product.M * product.N * operands.out_bits * (not operands.out_moves) * B
    return TileCost(
        tile=tile,
        cycles=site.dma_cycles(first_load) + hidden + tail + site.dma_cycles(last_store),
        hidden_cycles=hidden,
        array_cycles=array,
        dma_cycles=dma,
        a_bits=a,
        b_bits=b,
        out_write_bits=out,
        out_read_bits=spills,
        buffer_bytes=occupied_bytes(product, tile, operands, site),
        buffer_read_bits=reads + spills + operands.extra_bits,
        buffer_write_bits=writes + loads + kept + operands.extra_bits,
    )


def last_pass(product: Product, tile: Tile) -> tuple[int, int, int]:
    m, n, k = parts(product, tile)
    return product.M - (m - 1) * tile.M, product.N - (n - 1) * tile.N, product.K - (k - 1) * tile.K


def pass_shapes(product: Product, tile: Tile) -> Iterator[tuple[Product, int]]:
    """The up to eight different passes, and how many there are of each."""
    m, n, k = parts(product, tile)
    M, N, K = last_pass(product, tile)
    for mt, i in ((tile.M, m - 1), (M, 1)):
        for nt, j in ((tile.N, n - 1), (N, 1)):
            for kt, h in ((tile.K, k - 1), (K, 1)):
                if i * j * h:
                    yield Product(mt, nt, kt), i * j * h


def buffer_traffic(product: Product, B: int, tile: Tile, operands: Operands, site: Site) -> tuple[int, int]:
    """Bits that the array reads from the buffer and writes into it: operands and accumulators."""
    reads = writes = 0
    for shape, times in pass_shapes(product, tile):
        words = accesses(shape, site.array, site.dataflow, "array")
        reads += times * words.ifmap_reads * operands.a_bits
        reads += times * words.filter_reads * operands.b_bits * (not operands.b_bypasses)
        reads += times * words.ofmap_reads * operands.accumulator_bits
        writes += times * words.ofmap_writes * operands.accumulator_bits
    # Passes along K add to what the passes before left; the last one's sums are read to be requantised.
    again = (parts(product, tile)[2] - 1) * product.M * product.N * operands.accumulator_bits
    final = product.M * product.N * operands.accumulator_bits
    return B * (reads + again + final), B * writes


@lru_cache(maxsize=4096)
def best_tile(
    product: Product, B: int, operands: Operands, site: Site, objective: str = "cycles", whole_rows: bool = False
) -> TileCost:
    """The tile that is best by an objective: `cycles`, `bytes`, or one that was added.

    `cycles` asks for fewest hidden cycles, then fewest DRAM bytes, shortest ends, fewest buffer bytes;
    `bytes` for fewest DRAM bytes first. A larger buffer never takes more hidden cycles.
    It may choose a tile that moves less and whose ends are longer: all that it can cost is its first load
    and last store. The same holds of more bandwidth.

    `whole_rows` asks for tiles that finish whole rows of the output, for a norm behind the product.

    Raises:
        DoesNotFit: no tile of the space fits the buffer.
        CostModelError: no such objective.
    """
    if objective not in OBJECTIVES:
        raise CostModelError(f"`objective={objective}` is not one of {', '.join(OBJECTIVES)}")
    key_of, hopeless = OBJECTIVES[objective].key, OBJECTIVES[objective].hopeless
    # Numbers may remember how they were made (`traced.py`): the search needs only what they are.
    plain = Product(int(product.M), int(product.N), int(product.K))
    numbers = replace(operands, extra_bits=int(operands.extra_bits), vector_cycles=int(operands.vector_cycles))
    # No cut makes the array faster than the product as a whole; SCALE-Sim drops a cycle a pass.
    least = numbers.vector_cycles
    if operands.on_array and site.convention != "scalesim":
        least = max(least, int(B) * steady_cycles(plain, site.array, site.dataflow, site.convention))
    best: tuple[tuple[float, ...], TileCost] | None = None
    smallest = None
    for tile in candidates(plain, site, objective):
        if whole_rows and (tile.N < plain.N or (tile.stay != "out" and tile.K < plain.K)):
            continue
        size = occupied_bytes(plain, tile, numbers, site)
        smallest = size if smallest is None else min(size, smallest)
        if size > site.tile_bytes:
            continue
        if best is not None and hopeless is not None:
            moved = sum(traffic_bits(plain, int(B), tile, numbers))
            if hopeless(site, moved, best[0], least):
                continue
        cost = evaluate(plain, int(B), tile, numbers, site)
        key = key_of(cost)
        if best is None or key < best[0]:
            best = (key, cost)
    if best is None:
        raise DoesNotFit(
            f"no tile of a product {product.M}x{product.N}x{product.K} fits {site.tile_bytes} bytes of buffer: "
            f"the smallest takes {smallest}; give the target a larger buffer or a smaller array"
        )
    tile = best[1].tile
    # A tile that takes all of a dim is that dim.
    M = product.M if tile.M == product.M else tile.M
    N = product.N if tile.N == product.N else tile.N
    K = product.K if tile.K == product.K else tile.K
    whole = Tile(M, N, K, tile.stay)
    return evaluate(product, B, whole, operands, site)
