"""Accelerators: arrays of PEs, a vector unit, a buffer, maybe a local memory for sums, DRAM.

Data lives in `targets/NAME.toml`, one file a target; a user's own is a path that ends in `.toml`. A
target can be varied in place: `edge-asic:array=16x16,buffer_kib=128,dataflow=os`. No quantity has a
default. Idle PEs, registers, clocks and wires are not priced: no table gives them.
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields, replace
from functools import cached_property
from typing import Any, get_args, get_origin, get_type_hints

from costmodel.errors import BadTarget
from costmodel.hardware.timing import ArrayShape

BRAM36_BYTES = 4096  # 36 Kbit, of which 32 Kbit are data without parity
KIB = 1024
LARGEST = 1 << 31  # of a count that a target states: products of two stay below 2^63


@dataclass(frozen=True)
class Part:
    """An FPGA, and how much of it an accelerator may take."""

    name: str
    luts: int
    dsps: int
    bram36: int
    use_dsp: bool  # one DSP for the multiplier of each PE, or LUTs only
    usable: float  # share of the LUTs that routing leaves
    lane_luts: int  # of a lane of the vector unit


@dataclass(frozen=True)
class Prices:
    """Energies of memories that a target states itself, in pJ a bit."""

    buffer_read_pj: float
    buffer_write_pj: float
    dram_pj: float
    source: str
    local_read_pj: float | None = None  # of a target with a local memory
    local_write_pj: float | None = None


@dataclass(frozen=True)
class PeArray:
    """One array of PEs; `kinds` are the terms that they do, `built` the kinds of PE where those differ."""

    array: ArrayShape
    kinds: tuple[str, ...]
    dataflow: str
    use_dsp: bool | None = None  # on an FPGA a DSP for a PE's multiplier; None: an ASIC, or nothing multiplies
    built: tuple[str, ...] = ()

    @property
    def pe_kinds(self) -> tuple[str, ...]:
        """Kinds of PE as they are built."""
        return self.built or self.kinds


@dataclass(frozen=True)
class Accelerator:
    """One target. `table`, `sram`, `dram` name prices; an empty name says that none is published."""

    name: str
    title: str
    source: str
    note: str
    node_nm: int
    clock_mhz: int
    array: ArrayShape
    kinds: tuple[str, ...]
    dataflow: str
    lanes: int  # of the vector unit: one operation a cycle each
    slow_cycles: int  # cycles of a lane for exp, erf, tanh, log, div, sqrt in floats, div and sqrt in integers
    buffer_bytes: int
    weights_bypass: bool  # the second operand of a product goes from DRAM to the array, past the buffer
    buffer_read_bytes: int  # a cycle, through the port of the buffer: a step waits for the slowest
    buffer_write_bytes: int
    bandwidth_mb_s: int
    table: str
    sram: str
    dram: str
    prices: Prices | None = None
    part: Part | None = None
    built: tuple[str, ...] = ()  # the kinds of PE by which `kinds` are done, where some stand in for others
    sources: tuple[tuple[str, str], ...] = ()  # by field of the file: where it is from, or that it is ours
    # A memory beside the array in which sums and statistics of rows lie: its size, and bytes a cycle through its
    # ports. 0: there is none, and they lie in the buffer.
    local_bytes: int = 0
    local_read_bytes: int = 0
    local_write_bytes: int = 0
    more: tuple[PeArray, ...] = ()  # arrays beside the first one, which `array`, `kinds`, `dataflow` describe

    @property
    def pe_kinds(self) -> tuple[str, ...]:
        """Kinds of PE of the first array as they are built; `kinds` are the terms that they do."""
        return self.built or self.kinds

    @cached_property
    def arrays(self) -> tuple[PeArray, ...]:
        """All arrays, the first one first."""
        dsp = self.part.use_dsp if self.part else None
        return (PeArray(self.array, self.kinds, self.dataflow, dsp, self.built), *self.more)

    @property
    def pes(self) -> int:
        """PEs of all arrays."""
        return self.array.pes + sum(each.array.pes for each in self.more)

    @property
    def peak_steps_per_s(self) -> float:
        return self.pes * self.clock_mhz * 1e6

    def doing(self, kind: str) -> tuple[int, ...]:
        """Places of the arrays whose PEs do a kind of term; none: the vector unit does it."""
        return tuple(i for i, each in enumerate(self.arrays) if kind in each.kinds)

    @property
    def array_names(self) -> str:
        """Rows and columns of each array: `14x15`, or `14x15 + 16x16`."""
        return " + ".join(f"{each.array.R}x{each.array.C}" for each in self.arrays)

    @property
    def dataflow_names(self) -> str:
        """The dataflow of each array: `ws`, or `ws + is`."""
        return " + ".join(each.dataflow for each in self.arrays)


def with_array(target: Accelerator, place: int, shape: ArrayShape, dataflow: str) -> Accelerator:
    """A target with another size and dataflow of one of its arrays."""
    if place == 0:
        return replace(target, array=shape, dataflow=dataflow)
    more = list(target.more)
    more[place - 1] = replace(more[place - 1], array=shape, dataflow=dataflow)
    return replace(target, more=tuple(more))


def whole(value: Any, where: str, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= LARGEST:
        raise BadTarget(f"{where}: {name} = {shortened(value)} is not a whole number from 1 to {LARGEST}")
    return value


def shortened(value: Any) -> str:
    """A wrong value in a message; an integer of TOML has no limit."""
    if isinstance(value, int) and abs(value) > 1 << 64:
        return "a number beyond all bounds"
    return repr(value)


def build(kind: Any, record: Any, where: str) -> Any:
    """A dataclass from a record, each field checked."""
    if not isinstance(record, dict):
        raise BadTarget(f"{where} is not a table of fields")
    hints = get_type_hints(kind)
    required = {f.name for f in fields(kind) if f.default is MISSING}
    lacking, extra = sorted(required - record.keys()), sorted(record.keys() - hints.keys())
    if lacking:
        raise BadTarget(f"{where} lacks {', '.join(lacking)}")
    if extra:
        raise BadTarget(f"{where} has the unknown field {extra[0]}; known: {', '.join(hints)}")
    for name, value in record.items():
        check_field(hints[name], value, where, name)
    return kind(**record)


def check_field(hint: Any, value: Any, where: str, name: str) -> None:
    if hint is int:
        whole(value, where, name)
    elif hint in (float, float | None):
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < 1e12:
            raise BadTarget(f"{where}: {name} = {shortened(value)} is not a number of at least 0")
        if name == "usable" and not 0 < value <= 1:
            raise BadTarget(f"{where}: usable = {value!r} is no share of the LUTs, above 0 and at most 1")
    elif hint in (str, bool) or hint is ArrayShape:
        if not isinstance(value, hint):
            raise BadTarget(f"{where}: {name} = {value!r} is not a {hint.__name__}")
    elif get_origin(hint) is tuple and not (
        isinstance(value, tuple) and all(isinstance(v, get_args(hint)[0]) for v in value)
    ):
        raise BadTarget(f"{where}: {name} = {value!r} is not a list of names")
    if name in ("title", "source") and not str(value).strip():
        raise BadTarget(f"{where}: {name} is empty; say where the figures are from")
