"""A target as a record, with what it occupies and the largest arrays that its part holds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from costmodel.hardware.accelerator import Accelerator, Part, PeArray
from costmodel.hardware.occupancy import (
    area_of,
    available,
    built_pe,
    described,
    largest_array,
    memory_prices,
    resources,
    resources_how,
)
from costmodel.hardware.pe import INT8_WIDTHS
from costmodel.hardware.registers import register_energy, registers_how
from costmodel.records import OPTIONAL
from costmodel.technology.loading import load_table
from costmodel.technology.tables import Energy

# Kinds of PE of which the largest array is shown: what a design for one mechanism would take.
CHOICES = (("mac",), ("mac2",), ("l1",), ("clip",), ("l1", "clip"), ("mac", "l1", "clip"))


@dataclass(frozen=True)
class LargestArray:
    """The largest array of some kind of PE that an FPGA holds beside a target's lanes."""

    kinds: str
    dsp: bool  # one DSP a PE, or none
    array: str
    pes: int


@dataclass(frozen=True)
class ArrayRecord:
    """One array of a target that has several."""

    array: str
    kinds: tuple[str, ...]
    dataflow: str
    use_dsp: bool | None  # on an FPGA, whether a PE's multiplier is a DSP; None where nothing multiplies
    lut: int | None  # of an FPGA, of all its PEs
    dsp: int | None


@dataclass(frozen=True)
class MemoryLevel:
    """One level of a target's memories. Energies are of a byte; None where nothing is published."""

    level: str
    bytes: int | None  # None: as much as is needed
    read_bytes_per_cycle: float | None  # of its port; None: as wide as the PEs take
    write_bytes_per_cycle: float | None  # DRAM has one port for both
    read_pj: Energy | None
    write_pj: Energy | None


@dataclass(frozen=True)
class TargetRecord:
    """One accelerator and what it occupies. The fields of an FPGA are left out of an ASIC's record."""

    name: str
    title: str
    source: str
    note: str
    node_nm: int
    clock_mhz: int
    array: str
    kinds: tuple[str, ...]
    dataflow: str
    lanes: int
    slow_cycles: int
    buffer_bytes: int
    weights_bypass: bool
    buffer_read_bytes: int  # a cycle
    buffer_write_bytes: int
    bandwidth_mb_s: int
    table: str
    sram: str
    dram: str
    prices: None  # those that a target states itself are in `memory_prices`
    part: str | None
    peak_steps_per_s: float
    area_mm2: float | None
    area_how: str | None
    memory_prices: tuple[str, ...]
    levels: tuple[MemoryLevel, ...]  # from the PEs to DRAM
    resources: dict[str, int]
    pe_widths: str  # types that the PEs are taken to be built for: no model is known here
    resources_how: str | None  # of an FPGA
    registers_how: str  # whether the table prices a register
    sources: dict[str, str]  # by field of the target's file: where it is from, or that it is ours
    arrays: Annotated[tuple[ArrayRecord, ...] | None, OPTIONAL] = None  # each, where there are several
    # Of a memory beside the array in which sums lie, where there is one; bytes a cycle of its ports.
    local_bytes: Annotated[int | None, OPTIONAL] = None
    local_read_bytes: Annotated[int | None, OPTIONAL] = None
    local_write_bytes: Annotated[int | None, OPTIONAL] = None
    usable: Annotated[dict[str, int] | None, OPTIONAL] = None
    largest_arrays: Annotated[tuple[LargestArray, ...] | None, OPTIONAL] = None


@dataclass(frozen=True)
class TargetsRecord:
    """Several accelerators."""

    targets: tuple[TargetRecord, ...]


def target_record(target: Accelerator) -> TargetRecord:
    """The record of one accelerator."""
    area, memories, part = area_of(target), memory_prices(target), target.part
    return TargetRecord(
        name=target.name,
        title=target.title,
        source=target.source,
        note=target.note,
        node_nm=target.node_nm,
        clock_mhz=target.clock_mhz,
        array=target.array_names,
        kinds=tuple(dict.fromkeys(kind for each in target.arrays for kind in each.pe_kinds)),
        dataflow=target.dataflow_names,
        lanes=target.lanes,
        slow_cycles=target.slow_cycles,
        buffer_bytes=target.buffer_bytes,
        weights_bypass=target.weights_bypass,
        buffer_read_bytes=target.buffer_read_bytes,
        buffer_write_bytes=target.buffer_write_bytes,
        bandwidth_mb_s=target.bandwidth_mb_s,
        table=target.table,
        sram=target.sram,
        dram=target.dram,
        prices=None,
        part=part.name if part else None,
        peak_steps_per_s=target.peak_steps_per_s,
        area_mm2=area.total_mm2 if area else None,
        area_how=area.how if area else None,
        memory_prices=tuple(memories.how) if memories else (),
        levels=levels_of(target),
        resources=resources(target),
        pe_widths=described(target, INT8_WIDTHS),
        resources_how=resources_how(target) if part else None,
        registers_how=registers_how(target),
        sources=dict(target.sources),
        local_bytes=target.local_bytes or None,
        local_read_bytes=target.local_read_bytes or None,
        local_write_bytes=target.local_write_bytes or None,
        arrays=tuple(array_record(target, each) for each in target.arrays) if target.more else None,
        usable=available(part) if part else None,
        largest_arrays=largest_arrays(part, target.lanes) if part else None,
    )


def array_record(target: Accelerator, own: PeArray) -> ArrayRecord:
    """One array, and what it takes of an FPGA."""
    shape = f"{own.array.R}x{own.array.C}"
    if target.part is None:
        return ArrayRecord(shape, own.pe_kinds, own.dataflow, None, None, None)
    pe = built_pe(own)
    lut, dsp = own.array.pes * pe.lut, math.ceil(own.array.pes * pe.dsp)
    return ArrayRecord(shape, own.pe_kinds, own.dataflow, own.use_dsp, lut, dsp)


def levels_of(target: Accelerator) -> tuple[MemoryLevel, ...]:
    """Registers of the PEs, the local memory if there is one, the buffer, DRAM: sizes, ports, prices of a byte."""
    memories = memory_prices(target)
    register = register_energy(load_table(target.table), 8) if target.table else None
    dram = target.bandwidth_mb_s / target.clock_mhz
    read, write, moved = (memories.buffer_read, memories.buffer_write, memories.dram) if memories else [None] * 3
    own = (memories.local_read, memories.local_write) if memories else (None, None)
    sizes = (target.local_bytes, target.local_read_bytes, target.local_write_bytes)
    return (
        MemoryLevel("registers of the PEs", None, None, None, None, register),
        *((MemoryLevel("local memory of sums", *sizes, *own),) if target.local_bytes else ()),
        MemoryLevel(
            "buffer", target.buffer_bytes, target.buffer_read_bytes, target.buffer_write_bytes, read, write
        ),
        MemoryLevel("DRAM", None, dram, dram, moved, moved),
    )


def dsp_choices(kinds: tuple[str, ...]) -> tuple[bool, ...]:
    """With DSPs or without: what multiplies can do both, but two products in one DSP need it."""
    if "mac2" in kinds:
        return (True,)
    return (True, False) if "mac" in kinds else (False,)


def largest_arrays(part: Part, lanes: int) -> tuple[LargestArray, ...]:
    rows = []
    for kinds in CHOICES:
        for dsp in dsp_choices(kinds):
            array = largest_array(part, kinds, dsp, lanes)
            rows.append(LargestArray("+".join(kinds), dsp, f"{array.R}x{array.C}", array.pes))
    return tuple(rows)
