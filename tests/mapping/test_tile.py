"""Tiles: an explicit loop over all passes is the witness of the closed forms; bounds; the best of all."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costmodel.errors import DoesNotFit
from costmodel.hardware.timing import (
    CONVENTIONS,
    DATAFLOWS,
    ArrayShape,
    Product,
    accesses,
    cycles,
    folds_of,
    steady_cycles,
    tail_cycles,
)
from costmodel.mapping.bounds import hong_kung_bits, lower_bound_bits
from costmodel.mapping.core import CoreOperands, best_core, core_bytes, core_cost
from costmodel.mapping.tile import (
    PARTS,
    STAYS,
    Operands,
    Site,
    Tile,
    best_tile,
    candidates,
    evaluate,
    occupied_bytes,
    traffic_bits,
)

pytestmark = pytest.mark.quick
KIB = 1024
SMALL = st.integers(1, 40)
PRODUCTS = st.builds(Product, SMALL, SMALL, SMALL)
ARRAYS = st.builds(ArrayShape, st.integers(1, 8), st.integers(1, 8))
OPERANDS = st.builds(
    Operands,
    a_bits=st.sampled_from([4, 8, 16]),
    b_bits=st.sampled_from([4, 8]),
    accumulator_bits=st.sampled_from([16, 32]),
    out_bits=st.sampled_from([8, 17]),
    a_moves=st.booleans(),
    b_moves=st.booleans(),
    out_moves=st.booleans(),
    b_bypasses=st.booleans(),
    extra_bits=st.sampled_from([0, 1000]),
    vector_cycles=st.sampled_from([0, 500]),
)
SITES = st.builds(
    Site,
    array=ARRAYS,
    dataflow=st.sampled_from(DATAFLOWS),
    convention=st.just("array"),
    tile_bytes=st.integers(200, 20_000),
    bandwidth_mb_s=st.integers(10, 5000),
    clock_mhz=st.sampled_from([100, 500]),
)


def spans(dim: int, size: int) -> list[range]:
    return [range(i, min(i + size, dim)) for i in range(0, dim, size)]


# What passes that follow each other take


@settings(max_examples=300, deadline=None)
@given(PRODUCTS, ARRAYS, st.sampled_from(DATAFLOWS), st.sampled_from(CONVENTIONS))
def test_steady_and_tail_are_the_whole(product, array, dataflow, convention) -> None:
    steady = steady_cycles(product, array, dataflow, convention)
    tail = tail_cycles(product, array, dataflow, convention)
    assert steady + tail == cycles(product, array, dataflow, convention)
    if convention != "array":
        assert tail == 0


@settings(max_examples=300, deadline=None)
@given(PRODUCTS, ARRAYS, st.sampled_from(["os", "ws"]), st.integers(1, 3))
def test_passes_along_whole_columns_of_folds_are_one_product(product, array, dataflow, folds) -> None:
    """Cut along N in whole folds, steady cycles add up to those of the uncut product."""
    parts = [Product(product.M, len(s), product.K) for s in spans(product.N, folds * array.C)]
    assert sum(steady_cycles(p, array, dataflow, "array") for p in parts) == steady_cycles(
        product, array, dataflow, "array"
    )


@settings(max_examples=300, deadline=None)
@given(PRODUCTS, ARRAYS, st.sampled_from(DATAFLOWS), st.booleans(), st.integers(1, 4))
def test_steady_parts_and_the_last_tail_are_the_whole(product, array, dataflow, across, folds) -> None:
    """Cut across the columns of folds (os, ws: along N; is: along M) or down them (os: along M; ws, is: along
    K) in whole folds, the parts behind each other take what the uncut product takes.

    Steady cycles always add up. The tail of the last part is that of the whole unless a narrow last fold can
    be done before a wide one in front of it: the wide one may be in another part, or come sooner in a shorter
    column. Then the two differ by less than a row of PEs.
    """
    down_dim, across_dim = {"os": ("M", "N"), "ws": ("K", "N"), "is": ("K", "M")}[dataflow]
    dim, unit = (across_dim, array.C) if across else (down_dim, array.R)
    parts = [replace(product, **{dim: len(s)}) for s in spans(getattr(product, dim), folds * unit)]
    steady = [steady_cycles(p, array, dataflow, "array") for p in parts]
    assert sum(steady) == steady_cycles(product, array, dataflow, "array")
    chained = sum(steady) + tail_cycles(parts[-1], array, dataflow, "array")
    whole, last = folds_of(product, array, dataflow), folds_of(parts[-1], array, dataflow)
    column = steady[-1] // last.columns
    if whole.columns == 1 or column >= array.C - whole.last_columns:
        assert chained == cycles(product, array, dataflow, "array")
    else:
        assert abs(chained - cycles(product, array, dataflow, "array")) < array.C


@settings(max_examples=200, deadline=None)
@given(PRODUCTS, ARRAYS, st.sampled_from(DATAFLOWS), SMALL)
def test_a_cut_stream_costs_more(product, array, dataflow, size) -> None:
    """Cut along what streams through (os: K, ws: M, is: N), each part pays its folds anew."""
    dim = {"os": "K", "ws": "M", "is": "N"}[dataflow]
    parts = [replace(product, **{dim: len(s)}) for s in spans(getattr(product, dim), size)]
    steady = sum(steady_cycles(p, array, dataflow, "array") for p in parts)
    whole = folds_of(product, array, dataflow)
    if dataflow == "os":  # each part skews all its folds once more
        down = product.M - whole.rows
        assert steady == steady_cycles(product, array, dataflow, "array") + (len(parts) - 1) * down * whole.columns
    else:
        waits = sum(max(0, 2 * array.R - getattr(p, dim)) for p in parts) - max(0, 2 * array.R - whole.T)
        assert steady == steady_cycles(product, array, dataflow, "array") + waits * whole.number


# Every pass, one after the other


class Walk:
    """Runs the passes of a tile in their order and moves operands as the docstring says, load by load."""

    def __init__(self, product: Product, tile: Tile, operands: Operands, site: Site) -> None:
        self.product, self.operands, self.site = product, operands, site
        self.a = self.b = self.written = self.read_back = self.array = 0
        self.reads = self.writes = 0
        self.covered: dict[tuple[int, int, int], int] = {}
        m, n, k = spans(product.M, tile.M), spans(product.N, tile.N), spans(product.K, tile.K)
        order = {
            "out": [(i, j, h) for i in m for j in n for h in k],
            "a": [(i, j, h) for h in k for i in m for j in n],
            "b": [(i, j, h) for h in k for j in n for i in m],
        }[tile.stay]
        held_a = held_b = None
        for i, j, h in order:
            if tile.stay == "a":
                held_a = self.load_a(i, h, held_a)
                self.load_b(h, j, None)
            elif tile.stay == "b":
                held_b = self.load_b(h, j, held_b)
                self.load_a(i, h, None)
            else:
                self.load_a(i, h, None)
                self.load_b(h, j, None)
            self.compute(i, j, h, spilled=tile.stay != "out")

    def load_a(self, i: range, h: range, held):
        """Bring a tile of a, if it is not the one that stays."""
        if held != (i, h):
            self.a += len(i) * len(h) * self.operands.a_bits * self.operands.a_moves
        return i, h

    def load_b(self, h: range, j: range, held):
        if held != (h, j):
            self.b += len(h) * len(j) * self.operands.b_bits * self.operands.b_moves
        return h, j

    def compute(self, i: range, j: range, h: range, spilled: bool) -> None:
        bits, outputs = self.operands, len(i) * len(j)
        shape = Product(len(i), len(j), len(h))
        first, last = h.start == 0, h.stop == self.product.K
        if spilled and not first:
            self.read_back += outputs * bits.accumulator_bits
        if last:
            self.written += outputs * bits.out_bits * bits.out_moves
        elif spilled:
            self.written += outputs * bits.accumulator_bits
        for x in i:
            for y in j:
                for z in h:
                    self.covered[x, y, z] = self.covered.get((x, y, z), 0) + 1
        self.array += steady_cycles(shape, self.site.array, self.site.dataflow, self.site.convention)
        # Between array and buffer: operands of each fold, partial sums of folds and of passes before.
        words = accesses(shape, self.site.array, self.site.dataflow, "array")
        self.reads += words.ifmap_reads * bits.a_bits + words.filter_reads * bits.b_bits * (not bits.b_bypasses)
        self.reads += (words.ofmap_reads + (0 if first else outputs)) * bits.accumulator_bits
        self.writes += words.ofmap_writes * bits.accumulator_bits
        if last:
            self.reads += outputs * bits.accumulator_bits  # to be requantised


@settings(max_examples=400, deadline=None)
@given(PRODUCTS, st.integers(1, 3), SMALL, SMALL, SMALL, st.sampled_from(STAYS), OPERANDS, SITES)
def test_closed_forms_equal_the_walk(product, B, mt, nt, kt, stay, operands, site) -> None:
    """Traffic that depends on what stays: a tile that stays is loaded once, whatever the order says.

    In the walk the third dim runs outside, so that a (or b) that stays is loaded once a pass of K.
    """
    tile = Tile(min(mt, product.M), min(nt, product.N), min(kt, product.K), stay)
    walk = Walk(product, tile, operands, site)
    assert all(times == 1 for times in walk.covered.values())
    assert len(walk.covered) == product.steps
    cost = evaluate(product, B, tile, operands, site)
    moved = (B * walk.a, B * walk.b, B * walk.written, B * walk.read_back)
    assert traffic_bits(product, B, tile, operands) == moved
    assert (cost.a_bits, cost.b_bits, cost.out_write_bits, cost.out_read_bits) == moved
    assert cost.array_cycles == B * walk.array
    loads = cost.a_bits + cost.out_read_bits + (0 if operands.b_bypasses else cost.b_bits)
    kept = 0 if operands.out_moves else B * product.M * product.N * operands.out_bits
    assert cost.buffer_read_bits == B * walk.reads + cost.out_read_bits + operands.extra_bits
    assert cost.buffer_write_bits == B * walk.writes + loads + kept + operands.extra_bits
    assert cost.cycles >= max(cost.array_cycles, cost.dma_cycles, operands.vector_cycles)
    assert cost.dma_cycles == site.dma_cycles(sum(moved) + operands.extra_bits)


@settings(max_examples=300, deadline=None)
@given(PRODUCTS, st.integers(1, 3), SMALL, SMALL, SMALL, st.sampled_from(STAYS), OPERANDS, SITES)
def test_room_and_ends_of_a_tile(product, B, mt, nt, kt, stay, operands, site) -> None:
    """From the passes themselves: what lies in the buffer at once, and what nothing hides."""
    tile = Tile(min(mt, product.M), min(nt, product.N), min(kt, product.K), stay)
    m, n, k = spans(product.M, tile.M), spans(product.N, tile.N), spans(product.K, tile.K)
    a_tiles = [len(i) * len(h) * operands.a_bits for i in m for h in k]
    b_tiles = [len(h) * len(j) * operands.b_bits for h in k for j in n]
    outputs = max(len(i) * len(j) for i in m for j in n)
    folds = folds_of(Product(tile.M, tile.N, tile.K), site.array, site.dataflow)
    alone = len(k) == 1 and (site.dataflow == "os" or folds.rows == 1)  # PEs sum all of K before they let go
    sets = 2 if stay != "out" and len(k) > 1 else 0 if alone else 1
    bits = max(a_tiles) * min(2, len(a_tiles)) + sets * outputs * operands.accumulator_bits
    if not operands.b_bypasses:
        bits += max(b_tiles) * min(2, len(b_tiles))
    assert occupied_bytes(product, tile, operands, site) == (bits + 7) // 8
    cost = evaluate(product, B, tile, operands, site)
    assert cost.buffer_bytes == (bits + 7) // 8
    assert cost.hidden_cycles == max(cost.array_cycles, cost.dma_cycles, operands.vector_cycles)
    ends = tail_cycles(product, site.array, site.dataflow, "array")
    ends += site.dma_cycles(a_tiles[0] * operands.a_moves + b_tiles[0] * operands.b_moves)
    ends += site.dma_cycles(outputs * operands.out_bits * operands.out_moves)
    assert cost.cycles == cost.hidden_cycles + ends
    vector = evaluate(product, B, tile, replace(operands, on_array=False), site)
    assert (vector.array_cycles, vector.dram_bits) == (0, cost.dram_bits)
    assert vector.cycles - vector.hidden_cycles == ends - tail_cycles(product, site.array, site.dataflow, "array")


@given(st.integers(0, 10**9), st.integers(1, 10**5), st.integers(1, 2000))
def test_dma_moves_all_bits_and_waits_no_cycle_longer(bits, bandwidth, clock) -> None:
    site = Site(ArrayShape(1, 1), "os", "array", 1, bandwidth, clock)
    taken = site.dma_cycles(bits)
    # In taken cycles of 1/clock microseconds go bandwidth bytes a microsecond.
    assert (taken - 1) * 8 * bandwidth < bits * clock <= taken * 8 * bandwidth


def remembered_bits(product: Product, tile: Tile, operands: Operands) -> int:
    """DRAM bits if the buffer also remembers the tile of each operand that the pass before used."""
    m, n, k = spans(product.M, tile.M), spans(product.N, tile.N), spans(product.K, tile.K)
    order = {
        "out": [(i, j, h) for i in m for j in n for h in k],
        "a": [(i, j, h) for i in m for h in k for j in n],
        "b": [(i, j, h) for j in n for h in k for i in m],
    }[tile.stay]
    bits, held_a, held_b, held_out = 0, None, None, None
    terms = {}  # of K that each tile of sums has
    for i, j, h in [*order, (None, None, None)]:
        if held_out is not None and held_out != (i, j):
            outputs = len(held_out[0]) * len(held_out[1])
            done = terms[held_out] == product.K
            bits += outputs * (operands.out_bits * operands.out_moves if done else operands.accumulator_bits)
        if i is None:
            return bits
        bits += len(i) * len(h) * operands.a_bits * operands.a_moves * (held_a != (i, h))
        bits += len(h) * len(j) * operands.b_bits * operands.b_moves * (held_b != (h, j))
        if held_out != (i, j):
            bits += len(i) * len(j) * operands.accumulator_bits * ((i, j) in terms)
        terms[i, j] = terms.get((i, j), 0) + len(h)
        held_a, held_b, held_out = (i, h), (h, j), (i, j)
    raise AssertionError


@settings(max_examples=300, deadline=None)
@given(PRODUCTS, SMALL, SMALL, SMALL, OPERANDS)
def test_the_three_orders_leave_no_reuse_between_passes(product, mt, nt, kt, operands) -> None:
    """What one order does not reuse between one pass and the next, another of the three does."""
    closed, remembered = [], []
    for stay in STAYS:
        tile = Tile(min(mt, product.M), min(nt, product.N), min(kt, product.K), stay)
        closed.append(sum(traffic_bits(product, 1, tile, operands)))
        remembered.append(remembered_bits(product, tile, operands))
        assert remembered[-1] <= closed[-1]
    assert min(remembered) == min(closed)


@settings(max_examples=200, deadline=None)
@given(PRODUCTS, SMALL, SMALL, SMALL, st.sampled_from(STAYS), OPERANDS, SITES, st.integers(1, 5000))
def test_more_bandwidth_never_slows_a_tile(product, mt, nt, kt, stay, operands, site, more) -> None:
    tile = Tile(min(mt, product.M), min(nt, product.N), min(kt, product.K), stay)
    faster = replace(site, bandwidth_mb_s=site.bandwidth_mb_s + more)
    before, after = (evaluate(product, 1, tile, operands, s) for s in (site, faster))
    assert after.cycles <= before.cycles
    assert (after.array_cycles, after.dram_bits) == (before.array_cycles, before.dram_bits)


def test_more_bandwidth_can_choose_longer_ends() -> None:
    """Hidden cycles come first: with DMA out of the way all of K in one pass has fewer, and a longer load."""
    product, operands = Product(3, 4, 190), Operands(8, 8, 32, 8)
    site = Site(ArrayShape(2, 6), "os", "array", 2048, 1600, 500)
    slow, fast = (best_tile(product, 1, operands, replace(site, bandwidth_mb_s=w)) for w in (1600, 1920))
    assert (slow.tile.K, fast.tile.K) == (6, 190)
    assert (slow.hidden_cycles, fast.hidden_cycles) == (420, 381)
    assert fast.cycles > slow.cycles


@settings(max_examples=200, deadline=None)
@given(
    PRODUCTS,
    st.integers(1, 3),
    OPERANDS,
    SITES,
    st.sampled_from(CONVENTIONS),
    st.sampled_from(["cycles", "bytes"]),
    st.booleans(),
)
def test_best_tile_is_the_best_of_all(product, B, operands, site, convention, objective, whole_rows) -> None:
    site = replace(site, convention=convention)
    costs = []
    for tile in candidates(product, site, objective):
        rows = tile.N == product.N and (tile.stay == "out" or tile.K == product.K)
        if occupied_bytes(product, tile, operands, site) <= site.tile_bytes and (rows or not whole_rows):
            cost = evaluate(product, B, tile, operands, site)
            first, second = cost.hidden_cycles, cost.dram_bits
            key = (first, second) if objective == "cycles" else (second, first)
            costs.append((*key, cost.cycles, cost.buffer_bits))
    if not costs:
        with pytest.raises(DoesNotFit, match="bytes of buffer") as caught:
            best_tile(product, B, operands, site, objective, whole_rows)
        assert "\n" not in str(caught.value)
        return
    best = best_tile(product, B, operands, site, objective, whole_rows)
    key = (best.hidden_cycles, best.dram_bits) if objective == "cycles" else (best.dram_bits, best.hidden_cycles)
    assert (*key, best.cycles, best.buffer_bits) == min(costs)
    assert best.buffer_bytes <= site.tile_bytes
    assert best.dram_bits >= lower_bound_bits(product, B, operands, site.tile_bytes)


@settings(max_examples=200, deadline=None)
@given(PRODUCTS, OPERANDS, SITES, st.integers(1, 20_000), st.integers(1, 5000))
def test_more_buffer_and_bandwidth_never_cost_hidden_cycles(product, operands, site, room, speed) -> None:
    larger = replace(site, tile_bytes=site.tile_bytes + room)
    faster = replace(site, bandwidth_mb_s=site.bandwidth_mb_s + speed)
    try:
        base = best_tile(product, 1, operands, site)
    except DoesNotFit:
        return
    more = best_tile(product, 1, operands, larger)
    assert more.hidden_cycles <= base.hidden_cycles
    first_load = more.tile.M * more.tile.K * operands.a_bits + more.tile.K * more.tile.N * operands.b_bits
    stored = more.tile.M * more.tile.N * operands.out_bits
    assert more.cycles <= base.cycles + larger.dma_cycles(first_load) + larger.dma_cycles(stored)
    assert best_tile(product, 1, operands, faster).hidden_cycles <= base.hidden_cycles


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 4), st.integers(1, 4), st.integers(1, 60), ARRAYS, st.sampled_from(DATAFLOWS), st.integers(0, 1)
)
def test_twice_the_pes_never_cost_more_where_folds_divide(rows, columns, stream, array, dataflow, which) -> None:
    """Doubling a side that the product fills twice over halves the folds along it.

    Under os and with columns always; twice the rows only if a fold's stream is not shorter than the array
    is high: under ws and is it then waits for stationary operands that shift in through all rows (fold
    quantisation, see `timing.cycles`).
    """
    down, across = 2 * rows * array.R, 2 * columns * array.C
    M, N, K = {"os": (down, across, stream), "ws": (stream, across, down), "is": (across, stream, down)}[dataflow]
    larger = ArrayShape(array.R * (2 - which), array.C * (1 + which))
    before = steady_cycles(Product(M, N, K), array, dataflow, "array")
    after = steady_cycles(Product(M, N, K), larger, dataflow, "array")
    assert after <= before


def test_more_pes_can_cost_more_where_folds_do_not_fall() -> None:
    product = Product(8, 8, 4)
    assert steady_cycles(product, ArrayShape(16, 8), "ws", "array") > steady_cycles(
        product, ArrayShape(8, 8), "ws", "array"
    )


# The bounds on DistilBERT

# (S, M, N, K), KiB: measured ratio to the Hong-Kung bound where it exceeds 1.3. Cause: M (and N) is cut into
# whole parts, so that b is read ceil(M/mt) times; where the bound lies between one and two reads, or where
# 32-bit sums of all rows just do not fit, the next larger whole number is far.
EXCEPTIONS = {
    ((128, 768, 768), 64): 1.406,
    ((128, 768, 3072), 128): 1.311,
    ((512, 768, 768), 128): 1.343,
    ((512, 768, 768), 256): 1.714,
    ((512, 768, 3072), 512): 1.468,
    ((512, 768, 3072), 1024): 1.364,
    ((512, 64, 512), 32): 1.500,
}


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_distilbert_moves_near_the_bound(dataflow: str) -> None:
    found = {}
    for S in (128, 512):
        for M, N, K in ((S, 768, 768), (S, 3072, 768), (S, 768, 3072), (S, S, 64), (S, 64, S)):
            for kib in (32, 64, 128, 256, 512, 1024):
                product, operands = Product(M, N, K), Operands(8, 8, 32, 8)
                site = Site(ArrayShape(32, 32), dataflow, "array", kib * KIB, 12_800, 500)
                best = best_tile(product, 1, operands, site, "bytes")
                assert best.dram_bits >= lower_bound_bits(product, 1, operands, kib * KIB)
                ratio = best.dram_bits / hong_kung_bits(product, 1, operands, kib * KIB)
                if ratio > 1.3:
                    found[(M, N, K), kib] = round(ratio, 3)
    assert found == pytest.approx(EXCEPTIONS, abs=1e-3)


def test_the_bound_by_hand() -> None:
    """Where everything fits, all operands once; in between 2 M N K sqrt(wa wb wc / S) - 2 S."""
    product, operands = Product(512, 768, 3072), Operands(8, 8, 32, 8)
    once = 8 * (512 * 3072 + 3072 * 768 + 512 * 768)
    assert lower_bound_bits(product, 1, operands, 1 << 30) == hong_kung_bits(product, 1, operands, 1 << 30) == once
    size = 64 * KIB * 8
    usual = 2 * 512 * 768 * 3072 * (8 * 8 * 32 / size) ** 0.5 - 2 * size
    assert hong_kung_bits(product, 3, operands, 64 * KIB) == pytest.approx(3 * usual, rel=1e-6)
    assert lower_bound_bits(product, 1, operands, 64 * KIB) <= usual
    assert lower_bound_bits(product, 1, replace(operands, a_moves=False), 1 << 10) == once - 8 * 512 * 3072


def test_weights_that_bypass_the_buffer_bound_nothing_but_themselves() -> None:
    """They take no room in the buffer, so that a small one does not make them come again."""
    product, operands = Product(24, 36, 180), Operands(4, 2, 16, 4, b_bypasses=True)
    site = Site(ArrayShape(1, 12), "os", "array", 256, 10, 500)
    once = 24 * 180 * 4 + 180 * 36 * 2 + 24 * 36 * 4
    assert (
        lower_bound_bits(product, 1, operands, 256)
        == once
        <= best_tile(product, 1, operands, site, "bytes").dram_bits
    )
    through = replace(operands, b_bypasses=False)
    assert lower_bound_bits(product, 1, through, 256) > best_tile(product, 1, operands, site, "bytes").dram_bits


# The fused core

CORES = st.builds(
    CoreOperands,
    q_bits=st.just(8),
    k_bits=st.just(8),
    v_bits=st.sampled_from([4, 8]),
    between_bits=st.just(8),
    accumulator_bits=st.just(32),
    out_bits=st.just(8),
    q_moves=st.booleans(),
    k_moves=st.booleans(),
    v_moves=st.booleans(),
    out_moves=st.booleans(),
    vector_cycles=st.sampled_from([0, 777]),
)


@settings(max_examples=300, deadline=None)
@given(
    PRODUCTS, st.integers(1, 20), st.integers(1, 4), SMALL, st.booleans(), st.sampled_from([1, 2]), CORES, SITES
)
def test_core_equals_a_walk_over_heads_and_blocks(scores, D, groups, rows, held, shared, operands, site) -> None:
    operands, B = replace(operands, shared=shared), groups * shared
    M, N, d = scores.M, scores.N, scores.K
    rows = min(rows, M)
    reads = writes = array = buffer_reads = buffer_writes = 0
    for head in range(B):
        for block in spans(M, rows):
            m = len(block)
            reads += m * d * operands.q_bits * operands.q_moves
            if not held or (block.start == 0 and head % shared == 0):
                reads += N * d * operands.k_bits * operands.k_moves + N * D * operands.v_bits * operands.v_moves
            writes += m * D * operands.out_bits * operands.out_moves
            for shape, a_bits, b_bits in (
                (Product(m, N, d), operands.q_bits, operands.k_bits),
                (Product(m, D, N), operands.between_bits, operands.v_bits),
            ):
                array += steady_cycles(shape, site.array, site.dataflow, "array")
                words = accesses(shape, site.array, site.dataflow, "array")
                buffer_reads += words.ifmap_reads * a_bits + words.filter_reads * b_bits
                buffer_reads += (words.ofmap_reads + shape.M * shape.N) * operands.accumulator_bits
                buffer_writes += words.ofmap_writes * operands.accumulator_bits
            buffer_writes += m * N * operands.between_bits
            buffer_writes += m * D * operands.out_bits * (not operands.out_moves)
    off = replace(operands, scores_on_array=False)
    values_only = core_cost(scores, D, B, rows, held, off, site)
    cost = core_cost(scores, D, B, rows, held, operands, site)
    blocks = spans(M, rows)
    firsts = sum(steady_cycles(Product(len(block), N, d), site.array, site.dataflow, "array") for block in blocks)
    assert values_only.array_cycles == array - B * firsts
    # At once in the buffer: k and v of two heads (of one, if it is the only one; or two columns of the array),
    # two blocks of queries, of sums and of what lies between, and the sums of one block of results.
    keys = N if held else min(N, site.array.C)
    bits = keys * (d * operands.k_bits + D * operands.v_bits) * (1 if held and groups == 1 else 2)
    bits += 2 * rows * (d * operands.q_bits + N * (operands.accumulator_bits + operands.between_bits))
    bits += rows * D * operands.accumulator_bits
    assert cost.buffer_bytes == core_bytes(scores, D, B, rows, held, operands, site) == (bits + 7) // 8
    # Nothing hides the first queries and keys, the first block's vector work, the array's ends, the last store.
    load = rows * d * operands.q_bits * operands.q_moves
    load += keys * (d * operands.k_bits * operands.k_moves + D * operands.v_bits * operands.v_moves)
    ends = site.dma_cycles(load) + site.dma_cycles(rows * D * operands.out_bits * operands.out_moves)
    ends += tail_cycles(Product(rows, D, N), site.array, site.dataflow, "array")
    ends += (operands.vector_cycles + B * len(blocks) - 1) // (B * len(blocks))
    assert cost.cycles == cost.hidden_cycles + ends
    assert cost.hidden_cycles == max(array, site.dma_cycles(reads + writes), operands.vector_cycles)
    assert (cost.read_bits, cost.write_bits, cost.array_cycles) == (reads, writes, array)
    assert (cost.buffer_read_bits, cost.buffer_write_bits) == (buffer_reads, buffer_writes + reads)
    assert cost.cycles >= max(array, cost.dma_cycles, operands.vector_cycles)


@settings(max_examples=150, deadline=None)
@given(PRODUCTS, st.integers(1, 20), st.integers(1, 4), CORES, SITES)
def test_best_core_is_the_best_of_all(scores, D, B, operands, site) -> None:
    unit = site.array.C if site.dataflow == "is" else site.array.R
    whole = -(-scores.M // unit)
    blocks = {min(scores.M, unit * -(-whole // p)) for p in PARTS if p <= whole}
    costs = [
        core_cost(scores, D, B, rows, held, operands, site)
        for rows in blocks
        for held in (True, False)
        if core_bytes(scores, D, B, rows, held, operands, site) <= site.tile_bytes
    ]
    if not costs:
        with pytest.raises(DoesNotFit, match="no block of rows"):
            best_core(scores, D, B, operands, site)
        return
    best = best_core(scores, D, B, operands, site)
    assert best.buffer_bytes <= site.tile_bytes
    keys = [(c.hidden_cycles, c.dram_bits, c.cycles, c.buffer_bits) for c in costs]
    assert (best.hidden_cycles, best.dram_bits, best.cycles, best.buffer_bits) == min(keys)
