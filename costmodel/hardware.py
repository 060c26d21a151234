"""Accelerators: an array of PEs, a vector unit, a buffer, DRAM; and what they occupy.

Data lives in `targets/NAME.toml`, one file a target; a user's own is a path that ends in `.toml`. A
target can be varied in place: `edge-asic:array=16x16,buffer_kib=128,dataflow=os`. No quantity has a
default. Idle PEs, registers, clocks and wires are not priced: no table gives them.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from costmodel.errors import BadTarget, DoesNotFit, UnknownTable
from costmodel.memories import dram_price, pe_resources, sram_area_um2, sram_price
from costmodel.scaling import area_factor
from costmodel.technology import Energy, Table, load_table
from costmodel.timing import DATAFLOWS, ArrayShape, parse_array

DATA = Path(__file__).parent / "targets"
# What a PE does with a pair of operands: a b, |a - b|, clip(b, -a, a), relu(b - a); all accumulate.
KINDS = ("mac", "l1", "clip", "relu")
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
    bandwidth_mb_s: int
    table: str
    sram: str
    dram: str
    prices: Prices | None = None
    part: Part | None = None

    @property
    def tile_bytes(self) -> int:
        """Half of the buffer holds tiles; the other half keeps activations between steps."""
        return self.buffer_bytes - self.kept_bytes

    @property
    def kept_bytes(self) -> int:
        return self.buffer_bytes // 2

    @property
    def peak_steps_per_s(self) -> float:
        return self.array.pes * self.clock_mhz * 1e6


VARIED = (
    "array",
    "kinds",
    "dataflow",
    "lanes",
    "buffer_kib",
    "bandwidth_mb_s",
    "clock_mhz",
    "table",
    "sram",
    "dram",
)


def target_names() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in DATA.glob("*.toml")))


def load_target(text: str) -> Accelerator:
    """A target by name, or from a TOML file, varied by what stands behind a colon.

    Raises:
        BadTarget: no such target or file, or a description that is wrong; the message says where.
        DoesNotFit: the array, buffer or lanes exceed the part.
    """
    name, _, rest = text.partition(":")
    if name.endswith(".toml"):
        path = Path(name)
    elif name in target_names():
        path = DATA / f"{name}.toml"
    else:
        raise BadTarget(f"unknown target {name!r}; known: {', '.join(target_names())}, or a file FILE.toml")
    try:
        record = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadTarget(f"cannot read target {name}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # no TOML, no UTF-8, an integer beyond Python's digits
        raise BadTarget(f"{name} is no TOML file: {error}") from None
    target = parse_target(record, name)
    return check(vary(target, rest, text) if rest else target)


def parse_target(record: dict[str, Any], where: str) -> Accelerator:
    """A target from its TOML record, see the shipped files for the fields.

    Raises:
        BadTarget: a field is missing, unknown, of the wrong type or out of range.
    """
    flat = dict(record)
    for name, kind in (("part", Part), ("prices", Prices)):
        if name in flat:
            flat[name] = build(kind, flat[name], f"{where}: [{name}]")
    if isinstance(flat.get("array"), str):
        flat["array"] = parse_array(flat["array"])
    if isinstance(flat.get("kinds"), list):
        flat["kinds"] = tuple(flat["kinds"])
    if "buffer_kib" in flat:
        flat["buffer_bytes"] = whole(flat.pop("buffer_kib"), where, "buffer_kib") * KIB
    target: Accelerator = build(Accelerator, flat, where)
    return target


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
    required = {f.name for f in fields(kind) if f.name not in ("part", "prices")}
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
    elif hint is float:
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


def vary(target: Accelerator, rest: str, text: str) -> Accelerator:
    """A target with some fields exchanged: `array=16x16,buffer_kib=128`."""
    changes: dict[str, Any] = {}
    seen: set[str] = set()
    for item in rest.split(","):
        key, equals, value = item.partition("=")
        if not equals or key not in VARIED:
            raise BadTarget(f"target {text!r}: {item!r} is not FIELD=VALUE with a field of {', '.join(VARIED)}")
        if key in seen:
            raise BadTarget(f"target {text!r}: {key} stands there twice; leave one out")
        seen.add(key)
        if key == "array":
            changes[key] = parse_array(value)
        elif key == "kinds":
            changes[key] = tuple(value.split("+"))
        elif key in ("dataflow", "table", "sram", "dram"):
            changes[key] = value
        else:
            # Digits are those of ASCII: int() takes more, and isdigit() yet more.
            number = whole(int(value) if re.fullmatch("[0-9]{1,10}", value) else value, f"target {text!r}", key)
            changes["buffer_bytes" if key == "buffer_kib" else key] = number * (KIB if key == "buffer_kib" else 1)
    return replace(target, name=text, **changes)


def check(target: Accelerator) -> Accelerator:
    """The target, if its names are known and its part holds it."""
    if target.dataflow not in DATAFLOWS:
        raise BadTarget(
            f"target {target.name}: unknown dataflow {target.dataflow!r}; known: {', '.join(DATAFLOWS)}"
        )
    unknown = [k for k in target.kinds if k not in KINDS]
    if unknown or not target.kinds:
        raise BadTarget(f"target {target.name}: kinds of PE are of {', '.join(KINDS)}, not {unknown or 'none'}")
    if len(set(target.kinds)) < len(target.kinds):
        raise BadTarget(f"target {target.name}: kinds of PE stand there twice: {', '.join(target.kinds)}")
    try:
        nodes = {load_table(target.table).node_nm} if target.table else set()
        if target.sram:
            nodes.add(sram_price(target.sram, target.buffer_bytes).node_nm)
        if target.dram:
            dram_price(target.dram)
    except UnknownTable as error:
        raise BadTarget(f"target {target.name}: {error}") from None
    if nodes - {target.node_nm}:
        raise BadTarget(
            f"target {target.name} is of {target.node_nm} nm, its prices of "
            f"{', '.join(map(str, sorted(nodes)))} nm; name tables of one node"
        )
    if target.part:
        for name, used in resources(target).items():
            limit = available(target.part)[name]
            if used > limit:
                raise DoesNotFit(
                    f"target {target.name} takes {used} {name} of {limit} usable on {target.part.name}; "
                    "make the array, the buffer or the lanes smaller"
                )
    return target


# What it occupies


def available(part: Part) -> dict[str, int]:
    return {"lut": int(part.luts * part.usable), "dsp": part.dsps, "bram36": part.bram36}


def resources(target: Accelerator) -> dict[str, int]:
    """LUTs, DSPs and BRAMs of the array, the lanes and the buffer; none for an ASIC."""
    part = target.part
    if part is None:
        return {}
    pe = pe_resources(target.kinds, part.use_dsp)
    return {
        "lut": target.array.pes * pe.lut + target.lanes * part.lane_luts,
        "dsp": target.array.pes * pe.dsp,
        "bram36": -(-target.buffer_bytes // BRAM36_BYTES),
    }


def largest_array(part: Part, kinds: tuple[str, ...], use_dsp: bool, lanes: int) -> ArrayShape:
    """The largest array, as square as can be, that a part holds beside the lanes of a vector unit."""
    pe = pe_resources(kinds, use_dsp)
    limit = (available(part)["lut"] - lanes * part.lane_luts) // pe.lut
    pes = min(limit, part.dsps // pe.dsp) if pe.dsp else limit
    rows = max(1, int(pes**0.5))
    best = max(range(1, rows + 1), key=lambda r: (r * (pes // r) if 2 * r >= pes // r else 0, r))
    return ArrayShape(best, pes // best)


@dataclass(frozen=True)
class Area:
    """Square millimetres of an ASIC: functional units and SRAM; `how` says what was estimated."""

    pe_mm2: float
    vector_mm2: float
    buffer_mm2: float
    how: str

    @property
    def total_mm2(self) -> float:
        return self.pe_mm2 + self.vector_mm2 + self.buffer_mm2


def area_of(target: Accelerator) -> Area | None:
    """Area of an ASIC from published areas of functional units and a CACTI fit; None for an FPGA.

    Tables of other nodes than 45 nm give no areas: Horowitz's are scaled there by Stillmaker and Baas.
    """
    if target.part:
        return None
    table = load_table("horowitz45")
    factor = area_factor(45, target.node_nm)
    how = "units by Horowitz 45 nm" if target.node_nm == 45 else f"units scaled from 45 to {target.node_nm} nm"
    # A PE: one wide accumulator for all kinds, a multiplier, a subtractor that also compares.
    pe = unit_area(table, "add", "int32")
    pe += unit_area(table, "mul", "int8") if "mac" in target.kinds else 0.0
    pe += 2 * unit_area(table, "add", "int8") if set(target.kinds) - {"mac"} else 0.0
    lane = unit_area(table, "mul", "int32") + unit_area(table, "add", "int32")
    fit = "cacti-45hp" if target.node_nm >= 45 else "cacti-32hp"
    fit_nm = 45 if target.node_nm >= 45 else 32
    found = sram_area_um2(fit, target.buffer_bytes)
    if found is None:
        return None
    buffer = found[0] * area_factor(fit_nm, target.node_nm)
    how += f"; SRAM by {fit}" + ("" if fit_nm == target.node_nm else f", scaled to {target.node_nm} nm")
    scale = factor * 1e-6
    return Area(target.array.pes * pe * scale, target.lanes * lane * scale, buffer * 1e-6, how)


def unit_area(table: Table, op: str, dtype: str) -> float:
    return next(row.area_um2 for row in table.ops if (row.op, row.dtype) == (op, dtype))


# What memory costs


@dataclass(frozen=True)
class MemoryPrices:
    """Energy of a byte at each level, and how it is known."""

    buffer_read: Energy
    buffer_write: Energy
    dram: Energy
    how: tuple[str, ...]


def memory_prices(target: Accelerator) -> MemoryPrices | None:
    """Prices of the target's memories; None where it names none."""
    own = target.prices
    if own:
        read, write, dram = (
            Energy(pj, pj, pj) * 8 for pj in (own.buffer_read_pj, own.buffer_write_pj, own.dram_pj)
        )
        return MemoryPrices(read, write, dram, (own.source,))
    if not (target.sram and target.dram):
        return None
    sram, kind = sram_price(target.sram, target.buffer_bytes), dram_price(target.dram)
    how = (f"buffer: {target.sram}, {sram.how}", f"DRAM: {target.dram}, {kind.includes}")
    return MemoryPrices(sram.per_byte, sram.per_byte, kind.per_byte, how)
