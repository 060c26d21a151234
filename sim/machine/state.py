"""The state of one execution: which values there are, where they live, and who reads them."""

from __future__ import annotations

from collections.abc import Callable

from costmodel.dtypes import parse
from costmodel.graph.ir import Graph
from costmodel.hardware.accelerator import Accelerator, PeArray
from costmodel.mapping.fusion import sources_of
from costmodel.mapping.steps import Schedule
from costmodel.ops.rules import pe_of
from sim.integer.program import Batch, Instruction, Program
from sim.integer.run import store, sum_up
from sim.integer.views import Array


class State:
    """Values and instructions of a program, and where its values live."""

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
        self.places = {instruction.node: p for p, instruction in enumerate(program.instructions)}
        self.maker = {i: n for n, node in enumerate(self.graph.nodes) for i in node.outputs}
        self.place = 0  # of the array on which products run now, among those of the target
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

    @property
    def on(self) -> PeArray:
        """The array on which products run now."""
        return self.target.arrays[self.place]

    @property
    def fold(self) -> int | None:
        """Terms that this array sums before they meet the accumulator in the buffer; None: all."""
        return None if self.on.dataflow == "os" else self.on.array.R

    def value(self, i: int) -> Array:
        """A value; views and folded factors are made when they are asked for."""
        if i not in self.batch.values:
            self.run_node(self.maker[i])
        return self.batch.values[i]

    def fetch(self, n: int) -> Instruction:
        """The instruction of a node, with all that it reads in place; constants are within it."""
        instruction = self.program.instructions[self.places[n]]
        for j in instruction.reads:
            if self.maker.get(j) in self.places:
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
        store(self.program, self.places[n], self.batch, sums, self.watch, forget=False)

    def bits(self, i: int) -> int:
        return parse(self.graph.values[i].dtype).bits

    def moves(self, i: int) -> bool:
        """Whether a value comes from DRAM, or goes there: what is kept does not."""
        return self.source[i] not in self.kept

    def packed_bits(self, i: int) -> int:
        """Bits of a whole value in memory."""
        return 8 * -(-self.graph.values[i].distinct_numel * self.bits(i) // 8)

    def is_product(self, n: int) -> bool:
        return pe_of(self.graph.nodes[n].op) != ""

    def is_index(self, value: int) -> bool:
        return value in self.maker and self.graph.nodes[self.maker[value]].op == "index"
