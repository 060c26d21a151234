"""A schedule executed: tiles through buffers and the array, the rest through the vector unit.

Each product runs pass by pass. A pass loads the tiles that are not in the buffer, sums terms on the array
into accumulators, and stores what is finished; every word that moves is counted as it moves. What the
vector unit does between passes is computed for a whole step at once: its bits do not depend on the order.
Three things hold by test: the bits are those of `run.py`, the arithmetic is that of the typed graph, and
cycles and moved bits are those of `costmodel.mapping.cost`, which has them in closed forms.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from math import prod

from costmodel.errors import CostModelError
from costmodel.hardware.accelerator import Accelerator
from costmodel.mapping.core_records import CoreMapped
from costmodel.mapping.nest_records import Mapped
from costmodel.mapping.pieces import shape_of
from costmodel.mapping.steps import Schedule, Step
from costmodel.ops.counts import is_slow
from costmodel.ops.rules import needs_whole_rows, pe_of
from sim.integer.program import Program
from sim.integer.run import start_batch
from sim.integer.views import Array
from sim.machine.events import Arithmetic, Events, vector_events
from sim.machine.products import Ends, run_core_product, run_products
from sim.machine.row_statistics import statistics_of
from sim.machine.state import State


@dataclass(frozen=True)
class Executed:
    """One step as it ran."""

    step: Step
    events: Events
    cycles: int
    array_cycles: int
    vector_cycles: int
    dma_cycles: int
    read_port_cycles: int  # of the buffer
    write_port_cycles: int
    local_read_cycles: int  # of the local memory's ports
    local_write_cycles: int
    local_bytes: int
    buffer_bytes: int
    # What nothing hides: the loads before the first pass, the drain of the array and the store behind the last.
    load_cycles: int
    tail_cycles: int
    store_cycles: int
    each_cycles: tuple[tuple[int, int], ...] = ()  # arrays that worked, and cycles of each


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
        """Share of PE cycles, of all arrays, in which a PE takes a pair of operands in."""
        return sum(step.events.pairs for step in self.steps) / (self.target.pes * self.cycles)

    def utilisation_of(self, place: int) -> float:
        """The same of one array of the target."""
        pairs = sum(step.events.pairs_on[place] for step in self.steps)
        return pairs / (self.target.arrays[place].array.pes * self.cycles)


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
    state = State(program, schedule, start_batch(program, ids, keep), activity, watch)
    done = []
    for step in schedule.steps:
        done.append(run_step(state, step))
        tick(done[-1])
    (output,) = program.typed.graph.outputs
    return Execution(state.value(output), tuple(done), schedule.target)


def run_step(state: State, step: Step) -> Executed:
    state.now += 1
    events, ends = Events(), Ends()
    each: Counter[int] = Counter()  # cycles by array
    products = [n for n in step.nodes if pe_of(state.graph.nodes[n].op)]
    core = isinstance(step.chosen, CoreMapped)
    between = operand_between(state, products) if core else None
    rows_first = statistics_of(state, step, products)
    whole_rows = any(needs_whole_rows(state.graph.nodes[m].op) for m in step.nodes)
    for n in step.nodes:
        state.place = step.on[-1 if n == products[-1] else 0] if n in products else 0
        if n not in products:
            state.run_node(n)
            events.vector += vector_events(state.program.typed, state.graph.nodes[n])
        elif isinstance(step.chosen, CoreMapped):
            assert between is not None, "a core has something between its products"
            first = n == products[0]
            rows = whole_rows and step.kind == "chain"  # a softmax takes whole rows of scores, not of the result
            each[state.place] += run_core_product(
                state, n, step.chosen.mapping, first, step.on[1 if first else 0], between, events, ends, rows,
                *(rows_first.passes, rows_first.kept_bits) if first else (1, ()),
            )  # fmt: skip
        elif n == products[0]:  # those that were joined run with the first
            assert isinstance(step.chosen, Mapped)
            each[state.place] += run_products(state, products, step.chosen.mapping, whole_rows, events, ends)
    operands = tile_operands(state, products)
    beside, kept = move_operands(state, step, operands, events)
    events.buffer_read_bits += beside + kept + read_again(state, step, operands, products)
    last = products[-1:] if core else products
    outputs = sum(prod(state.graph.values[state.graph.nodes[n].outputs[0]].shape) for n in last)
    store_bits = move_results(state, step, events, outputs) * ends.last_words
    first_vector = cycles_of_vector(state, events.vector - ends.again_on_lanes)
    events.vector += rows_first.vector
    vector_cycles = cycles_of_vector(state, events.vector)
    settle_sums(state.target, events, ends)
    return timed(state, step, events, ends, store_bits, each, vector_cycles, first_vector)


def settle_sums(target: Accelerator, events: Events, ends: Ends) -> None:
    """Where a target has no local memory its sums lie in the buffer."""
    if target.local_bytes:
        return
    events.buffer_read_bits += events.local_read_bits
    events.buffer_write_bits += events.local_write_bits
    events.local_read_bits = events.local_write_bits = 0
    ends.buffer_bits += ends.sum_bits
    ends.sum_bits = 0


def timed(
    state: State,
    step: Step,
    events: Events,
    ends: Ends,
    store_bits: int,
    each: Counter[int],
    vector_cycles: int,
    first_vector: int,
) -> Executed:
    """Arrays, vector unit, DMA and the memories' ports work beside each other; the ends do not.

    `first_vector`: cycles of the vector unit without what passes of statistics do again.
    """
    dma = dma_cycles(state, events.dram_read_bits + events.dram_write_bits)
    waits = dma_cycles(state, ends.wait_bits)
    between, units = 0, (*each.values(), vector_cycles)
    busy = sum(units) if ends.turns else max(units)
    if (ends.first_rows or ends.grain) and not ends.turns:  # the first rows of scores, before values can be summed
        shape = shape_of(state.graph, state.graph.nodes[next(n for n in step.nodes if state.is_product(n))])
        waits_for = (sum(units) - busy) * ends.grain if ends.grain else first_vector * ends.first_rows
        between = -(-waits_for // (shape.B * shape.product.M))
    load, store = dma_cycles(state, ends.first_bits), dma_cycles(state, store_bits)
    read_port = port_cycles(events.buffer_read_bits, state.target.buffer_read_bytes)
    write_port = port_cycles(events.buffer_write_bits, state.target.buffer_write_bytes)
    local_read = port_cycles(events.local_read_bits, state.target.local_read_bytes)
    local_write = port_cycles(events.local_write_bits, state.target.local_write_bytes)
    slowest = max(waits + busy, dma, read_port, write_port, local_read, local_write, 1)
    return Executed(
        step=step,
        events=events,
        cycles=slowest + load + between + ends.tail_cycles + store,
        array_cycles=sum(each.values()) if ends.turns else max(each.values(), default=0),
        vector_cycles=vector_cycles,
        dma_cycles=dma,
        read_port_cycles=read_port,
        write_port_cycles=write_port,
        local_read_cycles=local_read,
        local_write_cycles=local_write,
        local_bytes=-(-ends.sum_bits // 8),
        buffer_bytes=-(-ends.buffer_bits // 8),
        load_cycles=load,
        tail_cycles=ends.tail_cycles + between,
        store_cycles=store,
        each_cycles=tuple((place, cycles) for place, cycles in each.items() if cycles),
    )


def dma_cycles(state: State, bits: int) -> int:
    return -(-bits * state.target.clock_mhz // (8 * state.target.bandwidth_mb_s))


def port_cycles(bits: int, width: int) -> int:
    """Cycles in which so many bits pass a port, which takes so many bytes a cycle."""
    if not bits:
        return 0
    passed, last = divmod(bits, 8 * width)
    return passed + (last > 0)


def cycles_of_vector(state: State, arithmetic: Arithmetic) -> int:
    busy = sum(n * (state.target.slow_cycles if is_slow(op) else 1) for (op, _), n in arithmetic.items())
    return -(-busy // state.target.lanes)


def operand_between(state: State, products: list[int]) -> int:
    """The operand of a core's second product that its first one made."""
    first, second = (state.graph.nodes[n] for n in products)
    made = {state.source[i] for i in first.outputs}
    for n, node in enumerate(state.graph.nodes):
        if n > products[0] and any(state.source[i] in made for i in node.inputs) and n < products[1]:
            made.update(state.source[i] for i in node.outputs)
    return next(i for i in second.inputs[:2] if state.source[i] in made)


def tile_operands(state: State, products: list[int]) -> set[int]:
    """What tiles load: not moved again with the rest."""
    return {state.source[i] for n in products for i in state.graph.nodes[n].inputs[:2]}


def move_operands(state: State, step: Step, loaded: set[int], events: Events) -> tuple[int, int]:
    """Everything else that a step reads from outside, once: bits from DRAM, bits kept on chip."""
    pieces: dict[int, dict[object, int]] = {}
    for n in step.nodes:
        node = state.graph.nodes[n]
        for place, i in enumerate(node.inputs):
            value = state.source[i]
            if state.home.get(value) == state.now or value in loaded or state.is_index(value):
                continue
            found = pieces.setdefault(value, {})
            if node.op == "gather" and place == 0:  # the rows that are picked
                rows = prod(state.graph.values[node.outputs[0]].shape[:-1])
                width = state.graph.values[i].shape[-1] * state.bits(i)
                found[n] = 8 * -(-rows * width // 8)
            else:
                found["view", i] = state.packed_bits(i if value in state.maker else value)
    beside = kept = 0
    for value, found in pieces.items():
        bits = min(sum(found.values()), state.packed_bits(value))
        if value in state.kept:
            kept += bits
        else:
            beside += bits
    events.dram_read_bits += beside
    events.buffer_write_bits += beside
    return beside, kept


def read_again(state: State, step: Step, loaded: set[int], products: list[int]) -> int:
    """Bits of what tiles load that the vector unit reads from the buffer as well."""
    others = (state.graph.nodes[n] for n in step.nodes if n not in products)
    values = {state.source[i] for node in others for i in node.inputs}
    return sum(state.packed_bits(v) for v in values & loaded if state.home.get(v) != state.now)


def results(state: State, step: Step) -> tuple[int, int]:
    """Bits of what later steps read, or the model returns: that go to DRAM, that stay."""
    returned = {state.source[i] for i in state.graph.outputs}
    away = stay = 0
    for value in {state.source[i] for n in step.nodes for i in state.graph.nodes[n].outputs}:
        if value in state.kept:
            stay += state.packed_bits(value)
        elif value in returned or state.readers.get(value, set()) - {state.now}:
            away += state.packed_bits(value)
    return away, stay


def move_results(state: State, step: Step, events: Events, outputs: int) -> int:
    """Results leave the lanes. Bits of a word that an output of a product leaves as, whole ones."""
    away, stay = results(state, step)
    word = -(-away // outputs) if outputs else 0
    if not outputs:  # out of the lanes into the buffer, and from there
        events.buffer_write_bits += away
        events.buffer_read_bits += away
    events.dram_write_bits += away
    events.buffer_write_bits += stay
    return word
