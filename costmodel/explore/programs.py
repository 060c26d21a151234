"""Programs of a design space: what is compiled once for all points that share a model and kinds of PE."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from costmodel.dtypes import parse
from costmodel.explore.knobs import SHAPE, Value
from costmodel.explore.machines import loaded_table
from costmodel.graph.ir import Graph
from costmodel.hardware.accelerator import KIB, Accelerator
from costmodel.hardware.pe import PeWidths
from costmodel.hardware.timing import ArrayShape
from costmodel.mapping.cost import price_work
from costmodel.mapping.many import Program, compile_program, run
from costmodel.mapping.pe_widths import pe_widths
from costmodel.widths.assign import Typed, assign_widths, width_counts
from costmodel.widths.policy import Work, parse_policy

Array = np.ndarray[Any, Any]
# The canonical graph of (model, attention, seq, batch, sizes): None where the model decides.
GraphOf = Callable[[str, str | None, int | None, int, tuple[tuple[str, int], ...]], Graph]


@dataclass(frozen=True)
class Compiled:
    """A program, the scalar operations of the model by operation and width, the types that PEs are built for."""

    program: Program
    works: tuple[Work, ...]
    widths: PeWidths


@lru_cache(8)
def typed_model(
    graph_of: GraphOf,
    model: str,
    attention: str | None,
    seq: int | None,
    batch: int,
    sizes: tuple[tuple[str, int], ...],
    widths: str,
) -> Typed:
    return assign_widths(graph_of(model, attention, seq, batch, sizes), parse_policy(widths))


@lru_cache(256)
def compiled_model(
    graph_of: GraphOf,
    model: str,
    attention: str | None,
    seq: int | None,
    batch: int,
    sizes: tuple[tuple[str, int], ...],
    widths: str,
    kinds: tuple[str, ...],
    slow_cycles: int,
    weights_bypass: bool,
    base: Accelerator,
) -> Compiled:
    """The program of a model on machines like `base`, of which only the named fields matter."""
    typed = typed_model(graph_of, model, attention, seq, batch, sizes, widths)
    target = replace(base, kinds=kinds, slow_cycles=slow_cycles, weights_bypass=weights_bypass)
    works = tuple(Work(op, parse(kind), n) for (op, kind), n in width_counts(typed).items())
    return Compiled(compile_program(typed, target, None), works, pe_widths(typed, target))


def program_of(graph_of: GraphOf, knobs: Mapping[str, Value], target: Accelerator) -> Compiled:
    # Fields that no program depends on are made equal, so that machines share one.
    plain = replace(
        target, name="", title="", source="", note="", node_nm=45, clock_mhz=1, array=ArrayShape(1, 1), lanes=1,
        buffer_bytes=KIB, bandwidth_mb_s=1, table="", sram="", dram="", dataflow="os", prices=None, part=None,
        built=(), sources=(),
    )  # fmt: skip
    sizes = tuple((name, int(knobs[name])) for name in SHAPE if name in knobs)
    return compiled_model(
        graph_of, knobs["model"], knobs.get("attention"), knobs.get("seq"), knobs.get("batch", 1), sizes,
        knobs.get("widths", "w8a8"), target.kinds, target.slow_cycles, target.weights_bypass, plain,
    )  # fmt: skip


def moved_bits(program: Program, machine: Array) -> Array:
    """[n, 6]: cycles, bits read, written, read and written in the buffer, cycles of the core; 0: none fits."""
    nothing = np.zeros((len(machine), 3))
    out, _ = run(program, machine, nothing)
    missed = np.flatnonzero(out[:, 0] == 0)
    if program.unfused is not None and len(missed):
        out[missed] = run(program.unfused, machine[missed], nothing[missed])[0]
    return out


@lru_cache(4096)
def arithmetic_pj(works: tuple[Work, ...], table: str) -> float:
    """Energy of the scalar operations.

    Raises:
        UnknownTable: the table lacks the price of one.
    """
    return price_work(loaded_table(table), works).nominal_pj
