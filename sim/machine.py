"""A schedule executed: tiles through buffers and the array, the rest through the vector unit.

Each product runs pass by pass. A pass loads the tiles that are not in the buffer, sums terms on the array
into accumulators, and stores what is finished; every word that moves is counted as it moves. What the
vector unit does between passes is computed for a whole step at once: its bits do not depend on the order.
Three things hold by test: the bits are those of `run.py`, the arithmetic is that of the typed graph, and
cycles and moved bits are those of `costmodel.cost`, which has them in closed forms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

from costmodel.dtypes import Int, parse
from costmodel.errors import CostModelError
from costmodel.graph import Graph, Node
from costmodel.hardware import Accelerator
from costmodel.schedule import PE_KIND, SLOW, Schedule, Step, shape_of
from costmodel.tile import CoreCost, Tile, TileCost
from costmodel.timing import Product
from costmodel.traffic import sources_of
from sim.events import Arithmetic, Events, term_events, vector_events
from sim.program import Batch, Instruction, Program
from sim.run import start_batch, store, sum_up
from sim.tiles import Slots, Tiles, passes, tiles_of
from sim.views import Array
from sim.walk import toggles, walk


@dataclass(frozen=True)
class Executed:
    """One step as it ran."""

    step: Step
    events: Events
    cycles: int
    array_cycles: int
    vector_cycles: int
    dma_cycles: int
    buffer_bytes: int
    # What nothing hides: the loads before the first pass, the drain of the array and the store behind the last.
    load_cycles: int
    tail_cycles: int
    store_cycles: int


@dataclass(frozen=True)
class Execution:
    """A schedule as it ran: the first output as integers, and every step."""

    output: Array
    steps: tuple[Executed, ...]
    target: Accelerator

    @property
    def cycles(self) -> int:
        return sum(step.cycles for step in self.steps)

    @property
    def seconds(self) -> float:
        return self.cycles / (self.target.clock_mhz * 1e6)

    @property
    def utilisation(self) -> float:
        """Share of PE cycles in which a PE takes a pair of operands in."""
        return sum(step.events.pairs for step in self.steps) / (self.target.array.pes * self.cycles)


@dataclass
class Ends:
    """What nothing hides: bits before the first pass, words and array cycles behind the last."""

    first_load_bits: int = 0
    last_store_words: int = 0
    tail_cycles: int = 0


def execute(
    program: Program,
    schedule: Schedule,
    ids: Array,
    keep: Array | None = None,
    activity: bool = False,
    tick: Callable[[Executed], None] = lambda step: None,
    watch: Callable[[int, Array], None] | None = None,
) -> Execution:
    """Run a program as a schedule of the same typed graph says.

    Args:
        activity: count the bits that toggle at the ports of PEs.
        tick: called after each step.
        watch: sees every value by id.

    Raises:
        CostModelError: another timing than `array`, wrong ids, a value beyond its declared range.
    """
    if schedule.convention != "array":
        raise CostModelError(f"the machine steps the array convention, not {schedule.convention}")
    machine = Machine(program, schedule, start_batch(program, ids, keep), activity, watch)
    done = []
    for step in schedule.steps:
        done.append(machine.run_step(step))
        tick(done[-1])
    (output,) = program.typed.graph.outputs
    return Execution(machine.value(output), tuple(done), schedule.target)


class Machine:
    """Buffers, array, vector unit: the state of one execution."""

    def __init__(
        self,
        program: Program,
        schedule: Schedule,
        batch: Batch,
        activity: bool,
        watch: Callable[[int, Array], None] | None,
    ) -> None:
        self.program, self.batch, self.activity, self.watch = program, batch, activity, watch
        self.graph: Graph = program.typed.graph
        self.target: Accelerator = schedule.target
        self.kept = schedule.kept
        self.source = sources_of(self.graph)
        self.place = {instruction.node: p for p, instruction in enumerate(program.instructions)}
        self.maker = {i: n for n, node in enumerate(self.graph.nodes) for i in node.outputs}
        self.fold = None if self.target.dataflow == "os" else self.target.array.R
        self.readers: dict[int, set[int]] = {}
        for place, step in enumerate(schedule.steps):
            for n in step.nodes:
                for i in self.graph.nodes[n].inputs:
                    self.readers.setdefault(self.source[i], set()).add(place)
        self.home = {
            self.source[i]: place
            for place, step in enumerate(schedule.steps)
            for n in step.nodes
            for i in self.graph.nodes[n].outputs
        }
        self.now = -1  # place of the step that runs

    # Values

    def value(self, i: int) -> Array:
        """A value; views and folded factors are made when they are asked for."""
        if i not in self.batch.values:
            self.run_node(self.maker[i])
        return self.batch.values[i]

    def fetch(self, n: int) -> Instruction:
        """The instruction of a node, with all that it reads in place; constants are within it."""
        instruction = self.program.instructions[self.place[n]]
        for j in instruction.reads:
            if self.maker.get(j) in self.place:
                self.value(j)
        return instruction

    def run_node(self, n: int, sums: Array | None = None) -> None:
        """Run one instruction, or take the sums that the array made of it."""
        instruction = self.fetch(n)
        if sums is None and instruction.sums is not None:
            sums = sum_up(instruction.sums, self.batch, self.program.overflow, self.fold)
        if sums is None:
            assert instruction.run is not None
            sums = instruction.run(self.batch)
        store(self.program, self.place[n], self.batch, sums, self.watch, forget=False)

    def bits(self, i: int) -> int:
        return parse(self.graph.values[i].dtype).bits

    def moves(self, i: int) -> bool:
        """Whether a value comes from DRAM, or goes there: what is kept does not."""
        return self.source[i] not in self.kept

    def packed_bits(self, i: int) -> int:
        """Bits of a whole value in memory."""
        return 8 * -(-self.graph.values[i].distinct_numel * self.bits(i) // 8)

    # Steps

    def run_step(self, step: Step) -> Executed:
        self.now += 1
        events, ends = Events(), Ends()
        array_cycles = buffer_bytes = 0
        products = [n for n in step.nodes if self.graph.nodes[n].op in PE_KIND]
        between = None if len(products) == 1 or not products else self.between(products)
        for n in step.nodes:
            if n not in products:
                self.run_node(n)
                events.vector += vector_events(self.program.typed, self.graph.nodes[n])
            elif isinstance(step.chosen, CoreCost):
                first = n == products[0]
                array_cycles += self.run_core_product(n, step.chosen, first, between, events, ends)
                buffer_bytes = step.chosen.buffer_bytes
            else:
                assert isinstance(step.chosen, TileCost)
                used, buffer_bytes = self.run_product(n, step.chosen.tile, events, ends)
                array_cycles += used
        operands = self.operands(products)
        beside, kept = self.move_operands(step, operands, events)
        events.buffer_read_bits += beside + kept
        outputs = prod(self.graph.values[self.graph.nodes[products[-1]].outputs[0]].shape) if products else 0
        store_bits = self.move_results(step, events, outputs) * ends.last_store_words
        vector_cycles = self.vector_cycles(events.vector)
        return self.timed(step, events, ends, store_bits, array_cycles, vector_cycles, buffer_bytes, beside)

    def timed(
        self,
        step: Step,
        events: Events,
        ends: Ends,
        store_bits: int,
        array_cycles: int,
        vector_cycles: int,
        buffer_bytes: int,
        beside: int,
    ) -> Executed:
        """Array, vector unit and DMA work beside each other; the ends do not."""
        if isinstance(step.chosen, CoreCost):  # what a core reads beside its operands comes before it
            moved = events.dram_read_bits + events.dram_write_bits - beside
            dma, extra = self.dma(moved), self.dma(beside)
            shape = shape_of(self.graph, self.graph.nodes[next(n for n in step.nodes if self.is_product(n))])
            blocks = -(-shape.product.M // step.chosen.rows)
            cycles = max(array_cycles, dma, vector_cycles) - (-vector_cycles // (shape.B * blocks)) + extra
            dma += extra
        else:
            dma = self.dma(events.dram_read_bits + events.dram_write_bits)
            cycles = max(array_cycles, dma, vector_cycles, 1)
        load, store = self.dma(ends.first_load_bits), self.dma(store_bits)
        return Executed(
            step=step,
            events=events,
            cycles=cycles + load + ends.tail_cycles + store,
            array_cycles=array_cycles,
            vector_cycles=vector_cycles,
            dma_cycles=dma,
            buffer_bytes=buffer_bytes,
            load_cycles=load,
            tail_cycles=ends.tail_cycles,
            store_cycles=store,
        )

    def is_product(self, n: int) -> bool:
        return self.graph.nodes[n].op in PE_KIND

    def dma(self, bits: int) -> int:
        return -(-bits * self.target.clock_mhz // (8 * self.target.bandwidth_mb_s))

    def vector_cycles(self, arithmetic: Arithmetic) -> int:
        busy = sum(n * (self.target.slow_cycles if op in SLOW else 1) for (op, _), n in arithmetic.items())
        return -(-busy // self.target.lanes)

    def between(self, products: list[int]) -> int:
        """The operand of a core's second product that its first one made."""
        first, second = (self.graph.nodes[n] for n in products)
        made = {self.source[i] for i in first.outputs}
        for n, node in enumerate(self.graph.nodes):
            if n > products[0] and any(self.source[i] in made for i in node.inputs) and n < products[1]:
                made.update(self.source[i] for i in node.outputs)
        return next(i for i in second.inputs[:2] if self.source[i] in made)

    def operands(self, products: list[int]) -> set[int]:
        """What tiles load: not moved again with the rest."""
        return {self.source[i] for n in products for i in self.graph.nodes[n].inputs[:2]}

    # What moves beside tiles

    def move_operands(self, step: Step, loaded: set[int], events: Events) -> tuple[int, int]:
        """Everything else that a step reads from outside, once: bits from DRAM, bits kept on chip."""
        pieces: dict[int, dict[object, int]] = {}
        for n in step.nodes:
            node = self.graph.nodes[n]
            for place, i in enumerate(node.inputs):
                value = self.source[i]
                if self.home.get(value) == self.now or value in loaded or self.is_index(value):
                    continue
                found = pieces.setdefault(value, {})
                if node.op == "gather" and place == 0:  # the rows that are picked
                    rows = prod(self.graph.values[node.outputs[0]].shape[:-1])
                    width = self.graph.values[i].shape[-1] * self.bits(i)
                    found[n] = 8 * -(-rows * width // 8)
                else:
                    found["view", i] = self.packed_bits(i if value in self.maker else value)
        beside = kept = 0
        for value, found in pieces.items():
            bits = min(sum(found.values()), self.packed_bits(value))
            if value in self.kept:
                kept += bits
            else:
                beside += bits
        events.dram_read_bits += beside
        events.buffer_write_bits += beside
        return beside, kept

    def is_index(self, value: int) -> bool:
        return value in self.maker and self.graph.nodes[self.maker[value]].op == "index"

    def results(self, step: Step) -> tuple[int, int]:
        """Bits of what later steps read, or the model returns: that go to DRAM, that stay."""
        returned = {self.source[i] for i in self.graph.outputs}
        away = stay = 0
        for value in {self.source[i] for n in step.nodes for i in self.graph.nodes[n].outputs}:
            if value in self.kept:
                stay += self.packed_bits(value)
            elif value in returned or self.readers.get(value, set()) - {self.now}:
                away += self.packed_bits(value)
        return away, stay

    def move_results(self, step: Step, events: Events, outputs: int) -> int:
        """Results leave the lanes: of a product as one word of whole bits an output. Bits of that word."""
        away, stay = self.results(step)
        word = 0
        if outputs:
            word = -(-away // outputs)
            away, stay = word * outputs, stay if away else outputs * -(-stay // outputs)
        else:  # out of the lanes into the buffer, and from there
            events.buffer_write_bits += away
            events.buffer_read_bits += away
        events.dram_write_bits += away
        events.buffer_write_bits += stay
        return word

    # Products

    def prepared(self, n: int) -> Tiles:
        """A product's operands as [B,M,K] and [B,K,N], and all that its tiles share."""
        node = self.graph.nodes[n]
        sums = self.fetch(n).sums
        assert sums is not None, "an array runs sums of terms"
        shape = shape_of(self.graph, node)
        a, b = sums.operands(self.batch)
        product = shape.product
        a, b = a.reshape(shape.B, product.M, product.K), b.reshape(shape.B, product.K, product.N)
        return tiles_of(
            sums,
            shape.B,
            product,
            a,
            b,
            kinds=(self.kind(shape.a), self.kind(shape.b)),
            exact=(self.exact(shape.a), self.exact(shape.b)),
            term=self.term_range(node) if sums.kind == "l1" else (0, 0),
            overflow=self.program.overflow,
            fold=self.fold,
            moves=(self.moves(shape.a), self.moves(shape.b)),
        )

    def kind(self, i: int) -> Int:
        found = parse(self.graph.values[i].dtype)
        assert isinstance(found, Int)
        return found

    def exact(self, i: int) -> Int:
        held = self.program.typed.ranges[i]
        assert held is not None, "integer values carry ranges"
        return held.type

    def term_range(self, node: Node) -> tuple[int, int]:
        """Between which numbers |a - b| lies."""
        q, k = (self.program.typed.ranges[i] for i in node.inputs)
        assert q is not None and k is not None, "integer values carry ranges"  # noqa: PT018
        return 0, max(q.high - k.low, k.high - q.low)

    def take_terms(self, t: Tiles, part: Product, started: bool, events: Events, a: Array, b: Array) -> int:
        """Arithmetic, registers and array cycles of one pass; on lanes if no PE does this kind of term."""
        terms = term_events(
            t.sums.kind, part.steps, part.M * part.N, *t.exact, *t.term, t.sums.accumulator, started
        )
        way = walk(part, self.target.array, self.target.dataflow)
        acc, (a_bits, b_bits) = t.sums.accumulator.bits, (kind.bits for kind in t.kinds)
        pairs = way.a_reads * a_bits + way.b_reads * b_bits * (not self.target.weights_bypass)
        events.buffer_read_bits += pairs + way.sum_reads * acc
        events.buffer_write_bits += way.sum_writes * acc
        if t.sums.kind not in self.target.kinds:
            events.vector += terms
            return 0
        events.array += terms
        events.pairs += part.steps
        events.register_bits += way.a_writes * a_bits + way.b_writes * b_bits + way.sum_register_writes * acc
        events.port_bits += part.steps * (a_bits + b_bits)
        if self.activity:
            events.toggled_bits = (events.toggled_bits or 0) + toggles(
                a, b, self.target.array, self.target.dataflow, (a_bits, b_bits)
            )
        return way.steady_cycles

    def run_product(self, n: int, tile: Tile, events: Events, ends: Ends) -> tuple[int, int]:
        """All passes of a product; cycles of the array, bytes of the buffer."""
        t = self.prepared(n)
        (a_bits, b_bits), acc = (kind.bits for kind in t.kinds), t.sums.accumulator.bits
        bypass = self.target.weights_bypass
        array_cycles = 0
        in_buffer: dict[str, tuple[int, ...]] = {}
        slots = Slots(t, tile, self.target, a_bits, b_bits, acc)
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
            array_cycles += self.take_terms(
                t, part, started or t.sums.start is not None, events, t.a[s, m, k], t.b[s, k, j]
            )
            t.sum_tile(s, m, j, k)
            if k.stop == t.product.K:  # to be requantised
                events.buffer_read_bits += sums_bits
            elif tile.stay != "out":  # to leave for DRAM
                events.buffer_read_bits += sums_bits
                events.dram_write_bits += sums_bits
        self.run_node(n, t.finished())
        whole = walk(t.product, self.target.array, self.target.dataflow)
        if array_cycles:
            ends.tail_cycles = whole.cycles - whole.steady_cycles
        ends.last_store_words = tile.M * tile.N
        return array_cycles, slots.peak_bytes

    def run_core_product(
        self, n: int, core: CoreCost, first: bool, between: int | None, events: Events, ends: Ends
    ) -> int:
        """One of a core's two products, block of rows by block; cycles of the array."""
        t = self.prepared(n)
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
                array_cycles += self.take_terms(t, part, t.sums.start is not None, events, t.a[s, m], t.b[s])
                t.sum_tile(s, m, slice(0, part.N), slice(0, part.K))
                events.buffer_read_bits += part.M * part.N * acc
                if first:
                    events.buffer_write_bits += part.M * part.N * self.bits(between)
        self.run_node(n, t.finished())
        chunk = (
            t.b.shape[2 if first else 1] if core.held else min(t.b.shape[2 if first else 1], self.target.array.C)
        )
        width = t.product.K if first else t.product.N
        ends.first_load_bits += chunk * width * b_bits * t.moves[1]
        if first:
            ends.first_load_bits += core.rows * t.product.K * a_bits * t.moves[0]
        else:
            if array_cycles:
                whole = walk(Product(core.rows, t.product.N, t.product.K), self.target.array, self.target.dataflow)
                ends.tail_cycles = whole.cycles - whole.steady_cycles
            ends.last_store_words = core.rows * t.product.N
        return array_cycles
