"""Steps of a schedule, as records."""

from __future__ import annotations

from dataclasses import dataclass

from costmodel.hardware.accelerator import Accelerator
from costmodel.mapping.core_blocks import CoreMapped
from costmodel.mapping.nest_records import Mapped
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
    chosen: Mapped | CoreMapped | None = None  # the mapping of its product, or of a core

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
    notes: tuple[str, ...] = ()  # what a reader should know

    @property
    def cycles(self) -> int:
        return sum(step.cycles for step in self.steps)
