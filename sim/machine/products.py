"""Products on the array: pass by pass, block of rows by block of rows; every word that moves is counted."""

from __future__ import annotations

from dataclasses import dataclass

from costmodel.dtypes import Int, parse
from costmodel.graph.ir import Node
from costmodel.hardware.timing import Product
from costmodel.mapping.core import CoreCost
from costmodel.mapping.schedule import shape_of
from costmodel.mapping.tile import Tile
from sim.integer.views import Array
from sim.machine.events import Events, term_events
from sim.machine.state import State
from sim.machine.tiles import Slots, Tiles, passes, tiles_of
from sim.machine.walk import toggles, walk


@dataclass
class Ends:
    """What nothing hides: bits before the first pass, words and array cycles behind the last."""

    first_load_bits: int = 0
    last_store_words: int = 0
    tail_cycles: int = 0


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


def take_terms(state: State, t: Tiles, part: Product, started: bool, events: Events, a: Array, b: Array) -> int:
    """Arithmetic, registers and array cycles of one pass; on lanes if no PE does this kind of term."""
    terms = term_events(t.sums.kind, part.steps, part.M * part.N, *t.exact, *t.term, t.sums.accumulator, started)
    way = walk(part, state.target.array, state.target.dataflow)
    acc, (a_bits, b_bits) = t.sums.accumulator.bits, (kind.bits for kind in t.kinds)
    pairs = way.a_reads * a_bits + way.b_reads * b_bits * (not state.target.weights_bypass)
    events.buffer_read_bits += pairs + way.sum_reads * acc
    events.buffer_write_bits += way.sum_writes * acc
    if t.sums.kind not in state.target.kinds:
        events.vector += terms
        return 0
    events.array += terms
    events.pairs += part.steps
    events.register_bits += way.a_writes * a_bits + way.b_writes * b_bits + way.sum_register_writes * acc
    events.port_bits += part.steps * (a_bits + b_bits)
    if state.activity:
        events.toggled_bits = (events.toggled_bits or 0) + toggles(
            a, b, state.target.array, state.target.dataflow, (a_bits, b_bits)
        )
    return way.steady_cycles


def run_product(state: State, n: int, tile: Tile, events: Events, ends: Ends) -> tuple[int, int]:
    """All passes of a product; cycles of the array, bytes of the buffer."""
    t = prepared(state, n)
    (a_bits, b_bits), acc = (kind.bits for kind in t.kinds), t.sums.accumulator.bits
    bypass = state.target.weights_bypass
    array_cycles = 0
    in_buffer: dict[str, tuple[int, ...]] = {}
    slots = Slots(t, tile, state.target, a_bits, b_bits, acc)
    for s, m, j, k in passes(t, tile):
        part = Product(m.stop - m.start, j.stop - j.start, k.stop - k.start)
        loads = 0
        for name, place, words, bits, moves in (
            ("a", (s, m.start, k.start), part.M * part.K, a_bits, t.moves[0]),
            ("b", (s, k.start, j.start), part.K * part.N, b_bits, t.moves[1]),
        ):
            if tile.stay == name and in_buffer.get(name) == place:
                continue
            in_buffer[name] = place
            if moves:
                loads += words * bits
                events.buffer_write_bits += 0 if name == "b" and bypass else words * bits
        slots.hold((s, m.start, k.start), (s, k.start, j.start))
        ends.first_load_bits = ends.first_load_bits or loads
        events.dram_read_bits += loads
        sums_bits = part.M * part.N * acc
        started = k.start > 0
        if started:
            events.buffer_read_bits += sums_bits  # added to what the pass before left
            if tile.stay != "out":  # which has been to DRAM meanwhile
                events.dram_read_bits += sums_bits
                events.buffer_write_bits += sums_bits
        array_cycles += take_terms(
            state, t, part, started or t.sums.start is not None, events, t.a[s, m, k], t.b[s, k, j]
        )
        t.sum_tile(s, m, j, k)
        if k.stop == t.product.K:  # to be requantised
            events.buffer_read_bits += sums_bits
        elif tile.stay != "out":  # to leave for DRAM
            events.buffer_read_bits += sums_bits
            events.dram_write_bits += sums_bits
    state.run_node(n, t.finished())
    whole = walk(t.product, state.target.array, state.target.dataflow)
    if array_cycles:
        ends.tail_cycles = whole.cycles - whole.steady_cycles
    ends.last_store_words = tile.M * tile.N
    return array_cycles, slots.peak_bytes


def run_core_product(
    state: State, n: int, core: CoreCost, first: bool, between: int | None, events: Events, ends: Ends
) -> int:
    """One of a core's two products, block of rows by block; cycles of the array."""
    t = prepared(state, n)
    assert between is not None, "a core has something between its products"
    (a_bits, b_bits), acc = (kind.bits for kind in t.kinds), t.sums.accumulator.bits
    array_cycles = 0
    for s in range(t.B):
        for start in range(0, t.product.M, core.rows):
            m = slice(start, min(start + core.rows, t.product.M))
            part = Product(m.stop - m.start, t.product.N, t.product.K)
            loads = 0
            if first and t.moves[0]:
                loads += part.M * part.K * a_bits
            if t.moves[1] and (start == 0 or not core.held):
                loads += part.K * part.N * b_bits
            events.dram_read_bits += loads
            events.buffer_write_bits += loads
            array_cycles += take_terms(state, t, part, t.sums.start is not None, events, t.a[s, m], t.b[s])
            t.sum_tile(s, m, slice(0, part.N), slice(0, part.K))
            events.buffer_read_bits += part.M * part.N * acc
            if first:
                events.buffer_write_bits += part.M * part.N * state.bits(between)
    state.run_node(n, t.finished())
    chunk = t.b.shape[2 if first else 1] if core.held else min(t.b.shape[2 if first else 1], state.target.array.C)
    width = t.product.K if first else t.product.N
    ends.first_load_bits += chunk * width * b_bits * t.moves[1]
    if first:
        ends.first_load_bits += core.rows * t.product.K * a_bits * t.moves[0]
    else:
        if array_cycles:
            whole = walk(Product(core.rows, t.product.N, t.product.K), state.target.array, state.target.dataflow)
            ends.tail_cycles = whole.cycles - whole.steady_cycles
        ends.last_store_words = core.rows * t.product.N
    return array_cycles
