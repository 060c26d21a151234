"""A typed graph on an accelerator: steps one after the other, with tiles, transfers and stalls.

Each group of `fusion.py` becomes a step. Within it, array, vector unit and DMA work beside each other
(`tile.py` says how); between steps nothing overlaps. A norm runs behind its product where a tile of whole
rows is cheaper than a step of its own; a core for which no block of rows fits runs op by op.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from costmodel.dtypes import Int, parse
from costmodel.errors import DoesNotFit, UnknownOp
from costmodel.graph.ir import Graph, Node
from costmodel.hardware.accelerator import Accelerator
from costmodel.hardware.pe import PE_KINDS
from costmodel.hardware.timing import Product
from costmodel.mapping.core import CoreCost, CoreOperands, best_core
from costmodel.mapping.fusion import Group, Plan, kept_values, outside_bits, plan_groups, value_bits
from costmodel.mapping.tile import Operands, Site, Tile, TileCost, best_tile
from costmodel.ops.counts import is_slow
from costmodel.ops.rules import pe_of
from costmodel.widths.assign import Typed
from costmodel.widths.policy import Work


@dataclass(frozen=True)
class Step:
    """One step of a schedule. Bits are of DRAM unless they are named otherwise."""

    op: str  # its product or core, else its ops
    module: str
    kind: str  # product, core, vector
    in_core: bool
    nodes: tuple[int, ...]
    start_cycle: int
    cycles: int
    array_cycles: int
    vector_cycles: int
    dma_cycles: int
    read_bits: int
    write_bits: int
    buffer_read_bits: int
    buffer_write_bits: int
    buffer_bytes: int  # that its tiles occupy
    kept_bytes: int  # of activations that wait in the buffer meanwhile
    tile: str
    pairs: int  # pairs of operands of its products
    array_work: tuple[Work, ...]
    vector_work: tuple[Work, ...]
    array_pairs: int = 0  # of these the pairs that PEs take in
    chosen: TileCost | CoreCost | None = None  # the tile, or the block of rows of a core

    @property
    def stall_cycles(self) -> int:
        """Cycles in which neither the array nor the vector unit has work."""
        return self.cycles - max(self.array_cycles, self.vector_cycles)


@dataclass(frozen=True)
class Schedule:
    """All steps, in order."""

    target: Accelerator
    convention: str
    steps: tuple[Step, ...]
    kept: frozenset[int]  # values that never leave the buffer

    @property
    def cycles(self) -> int:
        return sum(step.cycles for step in self.steps)


def site_of(target: Accelerator, convention: str) -> Site:
    return Site(
        target.array, target.dataflow, convention, target.tile_bytes, target.bandwidth_mb_s, target.clock_mhz
    )


def schedule(
    typed: Typed,
    target: Accelerator,
    convention: str = "array",
    fuse: bool = True,
    keep: bool = True,
    objective: str = "cycles",
) -> Schedule:
    """Steps of a typed graph on a target; `keep=False` sends all activations through DRAM.

    Args:
        objective: what tiles of products are chosen by, see `tile.OBJECTIVES`.

    Raises:
        DoesNotFit: a product of which no tile fits the buffer.
    """
    plan = plan_groups(typed, fuse)
    builder = Builder(typed, target, site_of(target, convention), plan, keep, objective)
    try:
        builder.build()
    except CoreDoesNotFit:
        builder = Builder(typed, target, builder.site, plan_groups(typed, fuse, fuse_core=False), keep, objective)
        builder.build()
    return Schedule(target, convention, tuple(builder.steps), builder.kept)


class CoreDoesNotFit(Exception):
    """A fused core is too large for the buffer."""


@dataclass(frozen=True)
class Shape:
    """A product node as a product: B times a [M,K], b [K,N]; the values that are a and b."""

    B: int
    product: Product
    a: int
    b: int


def shape_of(graph: Graph, node: Node) -> Shape:
    """The product that a node runs on an array. For sums over keys a is z [M,N], b is v [N,D].

    Raises:
        UnknownOp: no kind of PE runs its terms, as of a kernel that is several products in one.
    """
    if not pe_of(node.op):
        raise UnknownOp(
            f"no kind of PE runs op {node.op!r}; say which with pe= at its rule in costmodel/ops/rules.py"
        )
    attrs = node.attrs
    first, second = node.inputs[:2]
    if node.op == "conv":
        channels = graph.values[second].shape[0]
        return Shape(1, Product(attrs["P"] // channels, channels, attrs["K"]), first, second)
    if "D" in attrs:
        return Shape(attrs["B"], Product(attrs["M"], attrs["D"], attrs["N"]), second, first)
    B, product = attrs["B"], Product(attrs["M"], attrs["N"], attrs["K"])
    if B > 1 and graph.values[second].distinct_numel == product.N * product.K:
        # One b for all: rows of all B products stream past it.
        return Shape(1, replace(product, M=B * product.M), first, second)
    return Shape(B, product, first, second)


def slots(works: tuple[Work, ...], target: Accelerator) -> int:
    """Cycles of the vector unit for some work."""
    return -(-lane_cycles(works, target) // target.lanes)


def lane_cycles(works: tuple[Work, ...], target: Accelerator) -> int:
    """Cycles that some work would take on one lane."""
    return sum(w.n * (target.slow_cycles if is_slow(w.op) else 1) for w in works)


def term_work(kind: str, product: Product, accumulator_bits: int) -> tuple[Work, ...]:
    """Work of an int8 product on PEs of a kind: the terms, and their sums in accumulators."""
    terms, outputs = product.steps, product.M * product.N
    pe = PE_KINDS[kind]
    works = tuple(Work(op, width, n * terms) for op, width, n in pe.work(*pe.int8))
    return (*works, Work("add", Int(accumulator_bits), terms - outputs))


class Builder:
    """Turns groups into steps."""

    def __init__(
        self,
        typed: Typed,
        target: Accelerator,
        site: Site,
        plan: Plan,
        keep: bool = True,
        objective: str = "cycles",
    ) -> None:
        self.typed, self.target, self.site, self.plan = typed, target, site, plan
        self.graph, self.objective = typed.graph, objective
        self.kept = kept_values(plan, target.kept_bytes if keep else 0)
        self.steps: list[Step] = []

    def build(self) -> None:
        for g, group in enumerate(self.plan.groups):
            if group.kind == "vector":
                self.add(g, self.vector_step(g, tuple(group.nodes)))
            elif group.kind == "core":
                self.add(g, self.core_step(g, group))
            else:
                self.product_steps(g, group)

    def add(self, g: int, step: Step) -> None:
        start = self.steps[-1].start_cycle + self.steps[-1].cycles if self.steps else 0
        waiting = sum(
            self.graph.values[v].distinct_bytes for v in self.kept if self.plan.born[v] <= g <= self.plan.last[v]
        )
        self.steps.append(replace(step, start_cycle=start, kept_bytes=waiting))

    # Pieces

    def bits(self, i: int) -> int:
        return parse(self.graph.values[i].dtype).bits

    def moves(self, i: int) -> bool:
        return self.plan.source[i] not in self.kept

    def work_of(self, nodes: tuple[int, ...]) -> tuple[Work, ...]:
        return tuple(work for n in nodes for work in self.typed.work[n])

    def accumulator_bits(self, node: Node) -> int:
        kind = self.typed.policy.activation
        if not isinstance(kind, Int):
            return max(32, kind.bits)
        exact = self.bits(node.outputs[0])
        return self.typed.policy.of(node.op).accumulator_bits or exact

    def written_bits(self, g: int) -> tuple[int, int]:
        """Bits of a group's results that go to DRAM, and that stay in the buffer."""
        away = sum(value_bits(self.graph, v) for v in self.plan.writes[g] if v not in self.kept)
        return away, sum(value_bits(self.graph, v) for v in self.plan.writes[g] if v in self.kept)

    def step(self, group: Group, nodes: tuple[int, ...], op: str) -> Step:
        """A step with nothing in it yet."""
        module = self.graph.nodes[(group.products or list(nodes))[0]].module
        zeros = (0,) * 11
        return Step(op, module, group.kind, group.core, nodes, *zeros, "", 0, (), ())

    # Steps

    def vector_step(self, g: int, nodes: tuple[int, ...], outside: int | None = None) -> Step:
        """Elements come from memory, pass the lanes, and go back. `outside`: bits read, if not the group's."""
        found = outside_bits(self.plan, g, ())
        kept_in = sum(bits for v, bits in found.items() if v in self.kept)
        reads = sum(found.values()) - kept_in if outside is None else outside
        kept_in = kept_in if outside is None else 0
        writes, kept_out = self.written_bits(g)
        work = self.work_of(nodes)
        vector, dma = slots(work, self.target), self.site.dma_cycles(reads + writes)
        ops = "+".join(dict.fromkeys(self.graph.nodes[n].op for n in nodes))
        return replace(
            self.step(Group("vector", core=self.plan.groups[g].core), nodes, ops),
            cycles=max(vector, dma, 1),
            vector_cycles=vector,
            dma_cycles=dma,
            read_bits=reads,
            write_bits=writes,
            buffer_read_bits=reads + kept_in + writes,
            buffer_write_bits=reads + writes + kept_out,
            vector_work=work,
        )

    def product_steps(self, g: int, group: Group) -> None:
        """One step, or two where a norm behind the product is cheaper on its own."""
        if group.cut is None:
            self.add(g, self.product_step(g, group, tuple(group.nodes), None, False))
            return
        head, rest = tuple(group.nodes[: group.cut]), tuple(group.nodes[group.cut :])
        between = next(
            i for n in rest for i in self.graph.nodes[n].inputs if self.plan.source[i] in self.made_by(head)
        )
        bits = value_bits(self.graph, self.plan.source[between])
        parameters = {
            v: b
            for v, b in outside_bits(self.plan, g, ()).items()
            if any(v == self.plan.source[i] for n in rest for i in self.graph.nodes[n].inputs)
        }
        split = [self.product_step(g, group, head, bits, False, less=frozenset(parameters))]
        split.append(self.vector_step(g, rest, bits + sum(b for v, b in parameters.items() if v not in self.kept)))
        try:
            whole = self.product_step(g, group, tuple(group.nodes), None, True)
        except DoesNotFit:
            whole = None
        cost = sum(s.cycles for s in split), sum(s.read_bits + s.write_bits for s in split)
        if whole is not None and (whole.cycles, whole.read_bits + whole.write_bits) <= cost:
            split = [whole]
        for step in split:
            self.add(g, step)

    def made_by(self, nodes: tuple[int, ...]) -> set[int]:
        return {self.plan.source[i] for n in nodes for i in self.graph.nodes[n].outputs}

    def product_step(
        self,
        g: int,
        group: Group,
        nodes: tuple[int, ...],
        between_bits: int | None,
        whole_rows: bool,
        less: frozenset[int] = frozenset(),
    ) -> Step:
        """A product with what rides on it. `between_bits`: of the result, where the group is cut.

        `less`: values that only the part behind the cut reads.
        """
        (n,) = group.products
        node = self.graph.nodes[n]
        shape = shape_of(self.graph, node)
        a, b = self.plan.source[shape.a], self.plan.source[shape.b]
        others = outside_bits(self.plan, g, (a, b))
        beside = sum(bits for v, bits in others.items() if v not in self.kept and v not in less)
        kept_in = sum(bits for v, bits in others.items() if v in self.kept and v not in less)
        away, stay = (between_bits, 0) if between_bits is not None else self.written_bits(g)
        outputs = shape.B * shape.product.M * shape.product.N
        on_array = pe_of(node.op) in self.target.kinds
        array_work = self.typed.work[n] if on_array else ()
        vector_work = self.work_of(tuple(m for m in nodes if m != n or not on_array))
        operands = Operands(
            a_bits=self.bits(shape.a),
            b_bits=self.bits(shape.b),
            accumulator_bits=self.accumulator_bits(node),
            out_bits=-(-(away if away > 0 else stay) // outputs),
            a_moves=self.moves(shape.a),
            b_moves=self.moves(shape.b),
            out_moves=away > 0,
            b_bypasses=self.target.weights_bypass,
            on_array=on_array,
            extra_bits=beside,
            vector_cycles=slots(vector_work, self.target),
        )
        cost = best_tile(shape.product, shape.B, operands, self.site, self.objective, whole_rows)
        return replace(
            self.step(group, nodes, node.op),
            cycles=cost.cycles,
            array_cycles=cost.array_cycles,
            vector_cycles=operands.vector_cycles,
            dma_cycles=cost.dma_cycles,
            read_bits=cost.a_bits + cost.b_bits + cost.out_read_bits + beside,
            write_bits=cost.out_write_bits,
            buffer_read_bits=cost.buffer_read_bits + kept_in,
            buffer_write_bits=cost.buffer_write_bits + (stay if away > 0 else 0),
            buffer_bytes=cost.buffer_bytes,
            tile=show_tile(cost.tile),
            pairs=shape.B * shape.product.steps,
            array_pairs=shape.B * shape.product.steps * on_array,
            array_work=array_work,
            vector_work=vector_work,
            chosen=cost,
        )

    def core_step(self, g: int, group: Group) -> Step:
        n, m = group.products
        scores, values = (shape_of(self.graph, self.graph.nodes[i]) for i in (n, m))
        on_array = [pe_of(self.graph.nodes[i].op) in self.target.kinds for i in (n, m)]
        pairs = tuple(zip((n, m), on_array, strict=True))
        array_work = self.work_of(tuple(i for i, on in pairs if on))
        vector_work = self.work_of(tuple(i for i in group.nodes if (i, True) not in pairs))
        made = self.made_by(tuple(group.nodes))
        between = next(i for i in (values.a, values.b) if self.plan.source[i] in made)
        held = values.b if between == values.a else values.a
        B, M, N = scores.B, scores.product.M, scores.product.N
        operand_values = tuple(self.plan.source[i] for i in (scores.a, scores.b, held))
        others = outside_bits(self.plan, g, operand_values)
        beside = sum(bits for v, bits in others.items() if v not in self.kept)
        kept_in = sum(others.values()) - beside
        away, stay = self.written_bits(g)
        D = values.product.N
        keys = self.graph.values[scores.b].distinct_numel
        operands = CoreOperands(
            q_bits=self.bits(scores.a),
            k_bits=self.bits(scores.b),
            v_bits=self.bits(held),
            between_bits=self.bits(between),
            accumulator_bits=max(self.accumulator_bits(self.graph.nodes[i]) for i in (n, m)),
            out_bits=-(-(away if away > 0 else stay) // (B * M * D)),
            q_moves=self.moves(scores.a),
            k_moves=self.moves(scores.b),
            v_moves=self.moves(held),
            out_moves=away > 0,
            scores_on_array=on_array[0],
            values_on_array=on_array[1],
            shared=max(1, B * N * scores.product.K // keys),
            vector_cycles=slots(vector_work, self.target),
        )
        try:
            cost = best_core(scores.product, D, B, operands, self.site)
        except DoesNotFit:
            raise CoreDoesNotFit from None
        return replace(
            self.step(group, tuple(group.nodes), "attention core"),
            cycles=cost.cycles + self.site.dma_cycles(beside),
            array_cycles=cost.array_cycles,
            vector_cycles=operands.vector_cycles,
            dma_cycles=cost.dma_cycles + self.site.dma_cycles(beside),
            read_bits=cost.read_bits + beside,
            write_bits=cost.write_bits,
            buffer_read_bits=cost.buffer_read_bits + beside + kept_in,
            buffer_write_bits=cost.buffer_write_bits + beside + (stay if away > 0 else 0),
            buffer_bytes=cost.buffer_bytes,
            tile=f"{cost.rows} rows, keys {'held' if cost.held else 'streamed'}",
            pairs=B * (scores.product.steps + values.product.steps),
            array_pairs=B * (scores.product.steps * on_array[0] + values.product.steps * on_array[1]),
            array_work=array_work,
            vector_work=vector_work,
            chosen=cost,
        )


def show_tile(tile: Tile) -> str:
    return f"{tile.M}x{tile.N}x{tile.K}, {tile.stay} stays"
