"""Steps of a schedule: the records, and how options of pieces become steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from costmodel.graph.ir import Graph
from costmodel.hardware.accelerator import Accelerator
from costmodel.mapping.core_records import CoreMapped
from costmodel.mapping.fusion import Plan
from costmodel.mapping.keeping import Kept
from costmodel.mapping.nest_records import Mapped
from costmodel.mapping.options import Option, Part
from costmodel.mapping.pieces import BLOCKED, CHAIN, CORE, VECTOR, Placed
from costmodel.mapping.step_problems import HEAD, REST, WHOLE
from costmodel.widths.assign import Typed
from costmodel.widths.policy import Work


@dataclass(frozen=True)
class Step:
    """One step of a schedule. Bits are of DRAM unless they are named otherwise."""

    op: str  # its product or core, else its ops
    module: str
    kind: str  # product, core, chain, vector
    in_core: bool
    nodes: tuple[int, ...]
    start_cycle: int
    cycles: int
    array_cycles: int
    vector_cycles: int
    dma_cycles: int
    read_port_cycles: int  # of the buffer
    write_port_cycles: int
    read_bits: int
    write_bits: int
    buffer_read_bits: int
    buffer_write_bits: int
    register_bits: int  # written into registers of PEs
    local_read_bits: int  # of the local memory, where sums lie; 0 where the target has none
    local_write_bits: int
    local_read_cycles: int  # of its ports
    local_write_cycles: int
    local_bytes: int  # of it that sums occupy
    buffer_bytes: int  # that its tiles occupy
    kept_bytes: int  # of activations that wait in the buffer meanwhile
    tile: str
    pairs: int  # pairs of operands of its products
    array_work: tuple[Work, ...]
    vector_work: tuple[Work, ...]
    array_pairs: int = 0  # of these the pairs that PEs take in, those of scores once in each pass
    chosen: Mapped | CoreMapped | None = None  # the mapping of its product, or of a core
    on: tuple[int, ...] = ()  # the array of each product, among those of the target
    # Arrays that work, and cycles of each: two of a core at once, unless they take turns; pairs that each takes.
    each_cycles: tuple[tuple[int, int], ...] = ()
    each_pairs: tuple[tuple[int, int], ...] = ()

    @property
    def stall_cycles(self) -> int:
        """Cycles in which neither the array nor the vector unit has work."""
        return self.cycles - max(self.array_cycles, self.vector_cycles)


@dataclass(frozen=True)
class Schedule:
    """All steps, in order."""

    target: Accelerator
    convention: str
    objective: str
    steps: tuple[Step, ...]
    kept: frozenset[int]  # values that never leave the buffer

    @property
    def cycles(self) -> int:
        return sum(step.cycles for step in self.steps)


def steps_of(
    typed: Typed, plan: Plan, placed: tuple[Placed, ...], options: tuple[Option, ...], kept: Kept
) -> tuple[Step, ...]:
    """Options of pieces, one of each, as steps one behind the other."""
    steps: list[Step] = []
    start = 0
    for piece, option in zip(placed, options, strict=True):
        group = plan.groups[piece.group]
        for part in option.parts:
            nodes = tuple(group.nodes)
            if part.name != WHOLE:
                cut = group.cut or 0
                nodes = nodes[:cut] if part.name == HEAD else nodes[cut:]
            waiting = kept.waiting_bytes(piece.group)
            steps.append(step_of(typed, piece, part, nodes, group.products, start, waiting))
            start += part.cycles
    return tuple(steps)


def step_of(
    typed: Typed, placed: Placed, part: Part, nodes: tuple[int, ...], products: list[int], start: int, waiting: int
) -> Step:
    """One part of an option as a step."""
    graph, piece = typed.graph, placed.piece
    vector = part.name == REST or piece.kind == VECTOR
    chain = 2 if piece.kind == CHAIN else 1  # products that are joined are of one op
    if vector:
        op = "+".join(dict.fromkeys(graph.nodes[n].op for n in nodes))
    else:
        op = "attention core" if piece.kind == CORE else "+".join(graph.nodes[n].op for n in products[:chain])
    terms = [] if vector else [(piece.product.steps, piece.first_on)]
    if piece.kind in BLOCKED:
        M, N = piece.product.M, piece.product.N
        terms.append((M * N * piece.D, piece.second_on))
    passes = part.chosen.passes if isinstance(part.chosen, CoreMapped) else 1
    taken = [(n * (1 if i else passes), on) for i, (n, on) in enumerate(terms)]  # scores once in each pass
    return Step(
        op=op,
        module=module_of(graph, products if products and not vector else nodes[:1], piece.kind),
        kind=VECTOR if vector else piece.kind,
        in_core=piece.in_core,
        nodes=nodes,
        start_cycle=start,
        cycles=part.cycles,
        array_cycles=part.array_cycles,
        vector_cycles=part.vector_cycles,
        dma_cycles=part.dma_cycles,
        read_port_cycles=part.read_port_cycles,
        write_port_cycles=part.write_port_cycles,
        read_bits=part.read_bits,
        write_bits=part.write_bits,
        buffer_read_bits=part.buffer_read_bits,
        buffer_write_bits=part.buffer_write_bits,
        register_bits=part.register_bits,
        local_read_bits=part.local_read_bits,
        local_write_bits=part.local_write_bits,
        local_read_cycles=part.local_read_cycles,
        local_write_cycles=part.local_write_cycles,
        local_bytes=part.local_bytes,
        buffer_bytes=part.buffer_bytes,
        kept_bytes=waiting,
        tile="" if part.chosen is None else ", ".join(filter(None, (show_mapping(part.chosen), part.where))),
        pairs=sum(piece.B * n for n, _ in terms),
        array_pairs=sum(piece.B * n * bool(on) for n, on in taken),
        array_work=() if vector else part.array_work,
        vector_work=part.vector_work,
        chosen=part.chosen,
        on=part.on,
        each_cycles=each_cycles(part),
        each_pairs=each_pairs(
            [(place, piece.B * n) for place, (n, on) in zip(part.on, taken, strict=False) if on]
        ),
    )


def each_pairs(found: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Sums by array."""
    places = dict.fromkeys(place for place, _ in found)
    return tuple((place, sum(n for other, n in found if other == place)) for place in places)


def each_cycles(part: Part) -> tuple[tuple[int, int], ...]:
    """The arrays that work in a part, and for how many cycles each."""
    each = part.chosen.each_cycles if isinstance(part.chosen, CoreMapped) else (part.array_cycles,)
    return tuple((place, cycles) for place, cycles in zip(dict.fromkeys(part.on), each, strict=False) if cycles)


def module_of(graph: Graph, nodes: Sequence[int], kind: str) -> str:
    """The module of a step; of several products the names of all, `attention.q_lin+k_lin+v_lin`."""
    first, *others = (graph.nodes[n].module for n in nodes)
    if kind == CORE:
        return first
    return "+".join((first, *(module.rpartition(".")[2] for module in others)))


def show_mapping(cost: Mapped | CoreMapped) -> str:
    """A mapping in words, such as `128x64x768, loops N M K, a held`."""
    if isinstance(cost, CoreMapped):
        block = cost.mapping
        held = f", {' and '.join(block.held)} held" if block.held else ""
        turns = ", array and lanes take turns" if block.turns else ""
        return f"{block.rows} rows by {block.keys} keys, {block.order} outside{held}{turns}"
    tile = cost.mapping
    held = f", {' and '.join(tile.held)} held" if tile.held else ""
    single = f", {' and '.join(tile.single)} in one place" if tile.single else ""
    loops = " ".join(tile.order)
    if tile.along:
        loops = f"{tile.along} by {tile.tiles} tiles, {loops}"
    return f"{tile.M}x{tile.N}x{tile.K}, loops {loops}{held}{single}"
