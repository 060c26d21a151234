"""Programs of a design space: what is compiled once for all points that share a model and kinds of PE."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from costmodel.errors import CostModelError, UnknownTable
from costmodel.explore.knobs import SHAPE, Value
from costmodel.explore.machines import loaded_table
from costmodel.graph.ir import Graph
from costmodel.hardware.accelerator import KIB, Accelerator, PeArray
from costmodel.hardware.pe import PeWidths
from costmodel.hardware.timing import ArrayShape
from costmodel.mapping.many import CODES, PRICES, Program, compile_program, evaluate, parameters_of
from costmodel.mapping.objectives import objective_of
from costmodel.mapping.pe_widths import pe_widths
from costmodel.widths.assign import Typed, assign_widths
from costmodel.widths.policy import parse_policy

Array = np.ndarray[Any, Any]
# The canonical graph of (model, attention, seq, batch, sizes): None where the model decides.
GraphOf = Callable[[str, str | None, int | None, int, tuple[tuple[str, int], ...]], Graph]

NEEDS_PRICES = tuple(name for name in CODES if objective_of(name).needs_prices)


def check_objective(name: Any) -> str | None:
    """The name, if schedules can be chosen by it; None takes edp, or cycles where no energy is known.

    Raises:
        CostModelError: they cannot.
    """
    if name is None:
        return None
    if name not in CODES:
        raise CostModelError(f"{name!r} is not one of {', '.join(CODES)}, by which a schedule is chosen")
    return str(name)


@dataclass(frozen=True)
class Compiled:
    """A program, the types that PEs are built for; `priced`: its steps have the energy of their arithmetic."""

    program: Program
    widths: PeWidths
    priced: bool


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
    table: str,
    must_price: bool,
    base: Accelerator,
) -> Compiled:
    """The program of a model on machines like `base`, of which only what `plain` leaves matters."""
    typed = typed_model(graph_of, model, attention, seq, batch, sizes, widths)
    built = pe_widths(typed, base)
    if table:
        try:
            return Compiled(compile_program(typed, base, loaded_table(table)), built, True)
        except UnknownTable:
            if must_price:
                raise
    return Compiled(compile_program(typed, base, None), built, False)


def program_of(
    graph_of: GraphOf, knobs: Mapping[str, Value], target: Accelerator, must_price: bool = True
) -> Compiled:
    """The program of a model on machines like the target.

    Raises:
        UnknownTable: the target's table lacks the price of an operation, and `must_price`.
    """
    # Fields that no program depends on are made equal, so that machines share one.
    plain = replace(
        target, name="", title="", source="", note="", node_nm=45, clock_mhz=1, array=ArrayShape(1, 1), lanes=1,
        buffer_bytes=KIB, buffer_read_bytes=1, buffer_write_bytes=1, bandwidth_mb_s=1, table="", sram="", dram="",
        local_bytes=0, local_read_bytes=0, local_write_bytes=0,
        dataflow="os", prices=None, part=None, built=(), sources=(),
        more=tuple(PeArray(ArrayShape(1, 1), own.kinds, "os") for own in target.more),
    )  # fmt: skip
    sizes = tuple((name, int(knobs[name])) for name in SHAPE if name in knobs)
    return compiled_model(
        graph_of, knobs["model"], knobs.get("attention"), knobs.get("seq"), knobs.get("batch", 1), sizes,
        knobs.get("widths", "w8a8"), target.table, must_price, plain,
    )  # fmt: skip


def without_registers(program: Program) -> Program:
    """The program where registers of PEs cost nothing, as for a target of which a price lacks."""
    return replace(program, prices=replace(program.prices, register_pj=0.0))


def costs(program: Program, machine: Array, prices: Array, objective: str | None) -> dict[str, Array]:
    """Cycles, bytes and energy on machines, of which each has a row of parameters and one of `PRICES`."""
    given = {name: machine[:, j] for j, name in enumerate(parameters_of(program.target))}
    given |= {name: prices[:, j] for j, name in enumerate(PRICES)}
    return evaluate(program, given, objective)
