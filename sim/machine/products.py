"""Products on the array: pass by pass, block of rows by block of rows; every word that moves is counted."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from costmodel.dtypes import Int, parse
from costmodel.graph.ir import Node
from costmodel.hardware.timing import ArrayShape, Product
from costmodel.mapping.core_records import CoreMapping
from costmodel.mapping.nest_records import Mapping
from costmodel.mapping.pieces import shape_of
from sim.integer.views import Array
from sim.machine.events import Arithmetic, Events, term_events
from sim.machine.state import State
from sim.machine.tiles import Slots, SumSlots, Tiles, passes, tiles_of
from sim.machine.walk import part_in_use, spans, toggles, walk


@dataclass
class Ends:
    """What other units do not hide, and what the memories hold."""

    wait_bits: int = 0  # loads for which the array waits
    first_bits: int = 0  # operands before the first fold
    last_words: int = 0  # results of the last fold
    tail_cycles: int = 0
    first_rows: int = 0  # of scores, on which the lanes work before the array can go on; 0: none
    grain: int = 0  # rows that either of two arrays needs, or leaves, as a whole; 0: there is one
    turns: bool = False  # the array and the lanes take turns
    buffer_bits: int = 0  # without sums
    sum_bits: int = 0  # of sums and statistics, in the local memory or in the buffer
    again_on_lanes: Arithmetic = field(default_factory=Counter)  # scores that passes of statistics make


def prepared(state: State, n: int) -> Tiles:
    """A product's operands as [B,M,K] and [B,K,N], and all that its tiles share."""
    node = state.graph.nodes[n]
    sums = state.fetch(n).sums
    assert sums is not None, "an array runs sums of terms"
    shape = shape_of(state.graph, node)
    a, b = sums.operands(state.batch)
    product = shape.product
    a, b = a.reshape(shape.B, product.M, product.K), b.reshape(shape.B, product.K, product.N)
    return tiles_of(
        sums,
        shape.B,
        product,
        a,
        b,
        kinds=(kind(state, shape.a), kind(state, shape.b)),
        exact=(exact(state, shape.a), exact(state, shape.b)),
        term=term_range(state, node) if sums.kind == "l1" else (0, 0),
        overflow=state.program.overflow,
        fold=state.fold,
        moves=(state.moves(shape.a), state.moves(shape.b)),
    )


def kind(state: State, i: int) -> Int:
    found = parse(state.graph.values[i].dtype)
    assert isinstance(found, Int)
    return found


def exact(state: State, i: int) -> Int:
    held = state.program.typed.ranges[i]
    assert held is not None, "integer values carry ranges"
    return held.type


def term_range(state: State, node: Node) -> tuple[int, int]:
    """Between which numbers |a - b| lies."""
    q, k = (state.program.typed.ranges[i] for i in node.inputs)
    assert q is not None and k is not None, "integer values carry ranges"  # noqa: PT018
    return 0, max(q.high - k.low, k.high - q.low)


def take_terms(state: State, t: Tiles, part: Product, started: bool, events: Events) -> None:
    """Arithmetic of one pass; on lanes if no PE does this kind of term."""
    terms = term_events(t.sums.kind, part.steps, part.M * part.N, *t.exact, *t.term, t.sums.accumulator, started)
    if t.sums.kind not in state.on.kinds:
        events.vector += terms
        return
    events.array += terms
    events.pairs += part.steps
    events.pairs_on[state.place] += part.steps
    events.port_bits += part.steps * sum(kind.bits for kind in t.kinds)


def take_words(state: State, t: Tiles, part: Product, loads_b: bool, events: Events, a: Array, b: Array) -> int:
    """What one way through the array reads, writes and stores in registers; its cycles.

    `loads_b`: b goes past the buffer, and this way needs it anew.
    """
    array = part_in_use(t.product, state.on.array, state.on.dataflow)
    way = walk(part, array, state.on.dataflow)
    acc, (a_bits, b_bits) = t.sums.accumulator.bits, (kind.bits for kind in t.kinds)
    bypass = state.target.weights_bypass
    events.buffer_read_bits += way.a_reads * a_bits + way.b_reads * b_bits * (not bypass)
    events.local_read_bits += way.sum_reads * acc
    events.local_write_bits += way.sum_writes * acc
    if bypass and loads_b:
        events.dram_read_bits += way.b_reads * b_bits * t.moves[1]
    if t.sums.kind not in state.on.kinds:
        return 0
    events.register_bits += way.a_writes * a_bits + way.b_writes * b_bits + way.sum_register_writes * acc
    if state.activity:
        events.toggled_bits = (events.toggled_bits or 0) + toggles(
            a, b, array, state.on.dataflow, (a_bits, b_bits)
        )
    return way.steady_cycles


def run_products(
    state: State, nodes: list[int], mapping: Mapping, whole_rows: bool, events: Events, ends: Ends
) -> int:
    """All passes of a product, or of several of one first operand side by side; cycles of the array."""
    each = [prepared(state, n) for n in nodes]
    t = each[0] if len(each) == 1 else side_by_side(each)
    (a_bits, b_bits), acc = (kind.bits for kind in t.kinds), t.sums.accumulator.bits
    bypass, product = state.target.weights_bypass, t.product
    array = part_in_use(product, state.on.array, state.on.dataflow)
    order = list(passes(t, mapping))
    words = [(len(range(*m.indices(product.M))), j.stop - j.start, k.stop - k.start) for _, _, m, j, k in order]
    a_slots = Slots(
        [((s, b, m.start, k.start), w[0] * w[2]) for (s, b, m, _, k), w in zip(order, words, strict=True)],
        *("a" in mapping.held, "a" in mapping.single),
    )
    b_slots = Slots(
        [((s, b, k.start, j.start), w[2] * w[1]) for (s, b, _, j, k), w in zip(order, words, strict=True)],
        *("b" in mapping.held, "b" in mapping.single),
    )
    sums = SumSlots(
        [((s, b, m.start, j.start), w[0] * w[1]) for (s, b, m, j, _), w in zip(order, words, strict=True)],
        "out" in mapping.held,
    )
    # A tile of one fold of an output-stationary array is summed to the end before it leaves the PEs.
    in_pes = state.on.dataflow == "os" and mapping.order[2] == "K"
    in_pes = in_pes and mapping.M <= array.R and mapping.N <= array.C
    # One fold of b stays in the array while rows pass, where it does not lie in the buffer.
    b_stays = state.on.dataflow == "ws" and mapping.K <= array.R and mapping.N <= array.C
    cycles = 0
    for i, (s, _, m, j, k) in enumerate(order):
        part = Product(*words[i])
        started, finished = k.start > 0, k.stop == product.K
        sum_bits = part.M * part.N * acc
        for slots, size, bits, moves, past in (
            (a_slots, part.M * part.K, a_bits, t.moves[0], False),
            (b_slots, part.K * part.N, b_bits, t.moves[1], bypass),
        ):
            if slots.loads[i] and moves and not past:
                events.dram_read_bits += size * bits
                events.buffer_write_bits += size * bits
                ends.wait_bits += size * bits * slots.waits
        if sums.back[i]:
            events.dram_read_bits += sum_bits
            events.local_write_bits += sum_bits
        for one, columns in shares(each, j):
            width = Product(part.M, columns.stop - columns.start, part.K)
            take_terms(state, one, width, started or one.sums.start is not None, events)
            one.sum_tile(s, m, columns, k)
        loads_b = not b_stays or b_slots.loads[i]
        if not in_pes:
            events.local_read_bits += sum_bits * started  # added to what the pass before left
            cycles += take_words(state, t, part, loads_b, events, t.a[s, m, k], t.b[s, k, j])
        elif finished:
            cycles += take_words(
                state, t, Product(part.M, part.N, product.K), loads_b, events, t.a[s, m], t.b[s, :, j]
            )
        if finished:  # to be requantised
            events.local_read_bits += sum_bits
        elif sums.leaves[i]:
            events.local_read_bits += sum_bits
            events.dram_write_bits += sum_bits
        ends.wait_bits += sum_bits * (sums.leaves[i] + sums.back[i]) * ("out" in mapping.single)
    for n, one in zip(nodes, each, strict=True):
        state.run_node(n, one.finished())
    ends.buffer_bits += a_slots.words * a_bits * t.moves[0] + b_slots.words * b_bits * (t.moves[1] and not bypass)
    ends.sum_bits += accumulators(state, t, mapping, sums, in_pes, whole_rows) * acc
    first_and_last(state, t, ends, whole_rows)
    return cycles


def side_by_side(each: list[Tiles]) -> Tiles:
    """Several products of one first operand as one: their second operands and columns one behind the other."""
    product = each[0].product
    return replace(
        each[0],
        product=Product(product.M, sum(t.product.N for t in each), product.K),
        b=np.concatenate([t.b for t in each], axis=2),
    )


def shares(each: list[Tiles], columns: slice) -> Iterator[tuple[Tiles, slice]]:
    """Which products some columns belong to, and which of their own columns they are."""
    start = 0
    for t in each:
        first, last = max(columns.start, start), min(columns.stop, start + t.product.N)
        if first < last:
            yield t, slice(first - start, last - start)
        start += t.product.N


def accumulators(state: State, t: Tiles, mapping: Mapping, sums: SumSlots, in_pes: bool, whole_rows: bool) -> int:
    """Accumulators that lie in the local memory, or in the buffer, at once."""
    product = t.product
    all_k = mapping.K >= product.K
    if sums.travels:
        return sums.words * (1 if "out" in mapping.single else 2)
    held = "out" in mapping.held and mapping.order[2] != "K"
    if whole_rows and (all_k or not held):
        return mapping.M * product.N
    if in_pes or (all_k and (state.on.dataflow == "os" or product.K <= state.on.array.R)):
        return 0
    return mapping.M * mapping.N if all_k else sums.words


def first_and_last(
    state: State, t: Tiles, ends: Ends, whole_rows: bool, scores: bool = False, drains: bool = True
) -> None:
    """What comes before the first fold of a product, and what is left behind its last one.

    `drains`: no other product follows on its array, so that it fills and drains for this one alone.
    """
    flow, product = state.on.dataflow, t.product
    array = part_in_use(product, state.on.array, flow)
    if scores:
        ends.first_rows = min(product.M, array.C if flow == "is" else array.R)
    if t.sums.kind not in state.on.kinds:
        return
    M, N, K = (next(iter(spans(dim, size))) for dim, size in sizes_in_fold(product, array, flow))
    (a_bits, b_bits) = (kind.bits for kind in t.kinds)
    # One line of what streams, and all of a fold of what stays.
    a, b = {"os": (M, N), "ws": (K, K * N), "is": (K * M, K)}[flow]
    ends.first_bits += a * a_bits * t.moves[0] + b * b_bits * t.moves[1]
    if drains:
        way = walk(product, array, flow)
        ends.tail_cycles += way.cycles - way.steady_cycles
    if scores:
        return
    rows = 1 if flow == "ws" else M
    ends.last_words = rows * (product.N if whole_rows else 1 if flow == "is" else N)


def sizes_in_fold(product: Product, array: ArrayShape, flow: str) -> tuple[tuple[int, int], ...]:
    """Each dim with its part in a fold; the dim that streams has all of it."""
    M, N, K = {
        "os": (array.R, array.C, product.K),
        "ws": (product.M, array.C, array.R),
        "is": (array.C, product.N, array.R),
    }[flow]
    return (product.M, M), (product.N, N), (product.K, K)


def run_core_product(
    state: State,
    n: int,
    block: CoreMapping,
    first: bool,
    other: int,
    between: int,
    events: Events,
    ends: Ends,
    whole_rows: bool,
    passes: int = 1,
    kept_bits: tuple[int, ...] = (),
) -> int:
    """One of a core's or a chain's two products, block of rows by block of keys; cycles of its array.

    Args:
        other: the array of the other one.
        passes: over the keys; in all but the last one scores only serve statistics, and are made anew.
        kept_bits: of each number that the statistics keep of a row, in accumulators.
    """
    t = prepared(state, n)
    acc, product = t.sums.accumulator.bits, t.product
    shared = max(1, t.B * t.b[0].size // distinct(state, n))
    rows = [slice(i, min(i + block.rows, product.M)) for i in range(0, product.M, block.rows)]
    total = product.N if first else product.K
    keys = [slice(j, min(j + block.keys, total)) for j in range(0, total, block.keys)]
    cycles = 0
    noted = sum(-(-bits // acc) for bits in kept_bits) * acc
    lanes_before = Counter(events.vector)
    lasting = block.rows if block.order == "rows" else product.M
    ends.sum_bits += noted * lasting * (2 if other != state.place and not block.turns else 1)
    for now, s in itertools.product(range(passes), range(t.B)):
        if now > 0 and s == 0:
            t = prepared(state, n)  # nothing is left of the scores
        # In which order does not matter for what comes: `core_loads` says where each piece does.
        for (i, m), (j, piece) in itertools.product(enumerate(rows), enumerate(keys)):
            columns, k = (piece, slice(0, product.K)) if first else (slice(0, product.N), piece)
            part = Product(m.stop - m.start, columns.stop - columns.start, k.stop - k.start)
            loads = core_loads(t, part, block, first, (now, s, i, j), len(rows), shared)
            events.dram_read_bits += loads
            events.buffer_write_bits += loads
            take_terms(state, t, part, t.sums.start is not None or k.start > 0, events)
            cycles += take_words(state, t, part, False, events, t.a[s, m, k], t.b[s, k, columns])
            t.sum_tile(s, m, columns, k)
            events.local_read_bits += part.M * part.N * acc
            events.local_read_bits += part.M * noted
            if now < passes - 1:
                events.local_write_bits += part.M * noted
            elif first:
                events.buffer_write_bits += part.M * part.N * state.bits(between)
    made = events.vector - lanes_before  # the same in every pass
    ends.again_on_lanes += Counter({each: count * (passes - 1) // passes for each, count in made.items()})
    state.run_node(n, t.finished())
    core_places(state, t, block, first, other, state.bits(between), ends, shared)
    core_ends(state, t, block, first, other, total, whole_rows, ends)
    return cycles


def core_ends(
    state: State, t: Tiles, block: CoreMapping, first: bool, other: int, total: int, whole_rows: bool, ends: Ends
) -> None:
    """What nothing hides of one of a core's products. `total`: keys."""
    ends.turns = block.turns
    beside = other != state.place
    if beside:
        ends.grain = max(ends.grain, grain_of(state, t, block, total))
    if first:
        first_and_last(state, t, ends, False, scores=True, drains=beside)
    else:
        before = ends.first_bits
        first_and_last(state, t, ends, whole_rows)
        ends.first_bits = before
        ends.first_rows *= t.sums.kind in state.on.kinds


def core_loads(
    t: Tiles, part: Product, block: CoreMapping, first: bool, place: tuple[int, ...], blocks: int, shared: int
) -> int:
    """Bits that come for one block: queries, and keys or values. `place`: pass, head, block of rows, of keys."""
    now, s, i, j = place
    name = "k" if first else "v"
    bits = 0
    comes_back = block.order == "keys" and "q" not in block.held and blocks > 1
    if first and t.moves[0] and (comes_back or now == j == 0):
        bits += part.M * part.K * t.kinds[0].bits
    held = name in block.held
    comes = i == 0 if held or block.order == "keys" else True
    comes = comes and (now == 0 or not held)
    if t.moves[1] and comes and s % (shared if held else 1) == 0:
        bits += part.K * part.N * t.kinds[1].bits
    return bits


def grain_of(state: State, t: Tiles, block: CoreMapping, keys: int) -> int:
    """Rows of a block that a core's product needs, or leaves, as a whole: found fold by fold.

    Where rows stream all of a block pass each fold before the next one comes; else the folds of some rows can
    follow each other. Where keys come in blocks it is all of a block, or of a head where these are outside.
    """
    rows = min(block.rows, t.product.M)
    if block.keys < keys:
        return t.product.M if block.order == "keys" else rows
    array = part_in_use(t.product, state.on.array, state.on.dataflow)
    side = {"os": array.R, "is": array.C, "ws": rows}[state.on.dataflow]
    return max(spans(rows, side))


def distinct(state: State, n: int) -> int:
    """Numbers of the second operand, heads that share it counted once."""
    return state.graph.values[shape_of(state.graph, state.graph.nodes[n]).b].distinct_numel


def core_places(
    state: State, t: Tiles, block: CoreMapping, first: bool, other: int, between_bits: int, ends: Ends, shared: int
) -> None:
    """Places in the buffer for one product's operands; with the first also scores, with the second sums."""
    product, name = t.product, "k" if first else "v"
    keys, width = (product.N, product.K) if first else (product.K, product.N)
    blocks = len(range(0, product.M, block.rows))
    scores_on = state.on if first else state.target.arrays[other]
    taken = part_in_use(Product(product.M, keys, width), scores_on.array, scores_on.dataflow).C
    if not first and other != state.place:
        taken = max(taken, part_in_use(product, state.on.array, state.on.dataflow).R)
    # All keys of a head, and those of the next that arrive; or a block, or what the array takes at a time, twice.
    stays = block.keys < keys or (block.order == "keys" and blocks > 1)
    chunk = block.keys if stays else min(keys, taken)
    lines = keys + chunk * (shared < t.B) if name in block.held else 2 * chunk
    ends.buffer_bits += lines * width * t.kinds[1].bits * t.moves[1]
    acc = t.sums.accumulator.bits
    if first:
        queries = block.rows * (2 if blocks * t.B > 1 else 1)
        if "q" in block.held:
            queries = product.M + block.rows * (t.B > 1)
        ends.buffer_bits += queries * product.K * t.kinds[0].bits * t.moves[0]
        ends.buffer_bits += (1 if block.turns else 2) * block.rows * block.keys * between_bits
    else:
        rows = block.rows if block.order == "rows" else product.M
        ends.sum_bits += rows * product.N * acc
        ends.sum_bits += (1 if block.turns else 2) * block.rows * block.keys * acc
