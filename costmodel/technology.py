"""Cost tables: published energy of one operation or one memory access, with units and sources.

Data lives in `technology/NAME.toml`. A published row is a number; what a source does not give is an
explicit range in an `[[estimate]]`, and a total priced with it carries the range.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from costmodel.counts import ARITHMETIC, Counts
from costmodel.errors import UnknownTable

DATA = Path(__file__).parent / "technology"


@dataclass(frozen=True)
class Energy:
    """Picojoules: nominal, and the range that the table's estimates leave open."""

    nominal_pj: float = 0.0
    low_pj: float = 0.0
    high_pj: float = 0.0

    def __add__(self, other: Energy) -> Energy:
        return Energy(self.nominal_pj + other.nominal_pj, self.low_pj + other.low_pj, self.high_pj + other.high_pj)

    def __mul__(self, times: float) -> Energy:
        return Energy(self.nominal_pj * times, self.low_pj * times, self.high_pj * times)


def add_up(energies: Iterable[Energy]) -> Energy:
    result = Energy()
    for energy in energies:
        result += energy
    return result


@dataclass(frozen=True)
class OpCost:
    """Energy of one operation in one number type. Area is 0 where the source gives none."""

    op: str
    dtype: str
    energy_pj: float
    area_um2: float
    kind: str
    source: str


@dataclass(frozen=True)
class Estimate:
    """A range for operations that the source does not price, in pJ or in multiples of an add."""

    ops: tuple[str, ...]
    low: float
    nominal: float
    high: float
    of: str  # "pj" or "add"
    source: str


@dataclass(frozen=True)
class MemoryCost:
    """Energy of one access of `access_bits` bits."""

    name: str
    access_bits: int
    energy_pj: float
    low_pj: float
    high_pj: float
    includes: str
    source: str

    def per_byte(self) -> Energy:
        scale = 8 / self.access_bits
        return Energy(self.energy_pj * scale, self.low_pj * scale, self.high_pj * scale)


@dataclass(frozen=True)
class Table:
    """One published table: one node, one voltage, never mixed with another."""

    name: str
    title: str
    node_nm: int
    vdd: float | None  # None where the source gives no voltage
    includes: str
    evidence: str
    source: str
    note: str
    default_memory: str
    ops: tuple[OpCost, ...]
    estimates: tuple[Estimate, ...]
    memories: tuple[MemoryCost, ...]

    def price(self, op: str, dtype: str) -> Energy:
        """Energy of one operation.

        Raises:
            UnknownTable: the table has neither a row nor an estimate.
        """
        for row in self.ops:
            if (row.op, row.dtype) == (op, dtype):
                return Energy(row.energy_pj, row.energy_pj, row.energy_pj)
        for estimate in self.estimates:
            if op in estimate.ops:
                unit = Energy(1.0, 1.0, 1.0) if estimate.of == "pj" else self.price(estimate.of, dtype)
                return Energy(
                    unit.nominal_pj * estimate.nominal, unit.low_pj * estimate.low, unit.high_pj * estimate.high
                )
        raise UnknownTable(f"table {self.name} has no row for {op} of {dtype}")

    def priced_by(self, op: str, dtype: str) -> str:
        """`published`, or the operations of the estimate that prices this one."""
        if any((row.op, row.dtype) == (op, dtype) for row in self.ops):
            return "published"
        return next((", ".join(e.ops) for e in self.estimates if op in e.ops), "published")

    def interpolate(self, op: str, bits: int) -> Energy:
        """Energy of an integer operation of a width that the table may lack: an estimate.

        Between published widths, and beyond them, adders (and what is priced by an add) are linear
        in the width, multipliers a b^2 + b b without a constant, through the two nearest widths, or
        in proportion to b or b^2 from a single one. For Horowitz's multiplier that is the fit of QKeras.

        Raises:
            UnknownTable: the table has no integer row for the operation, and no estimate.
        """
        rows = {int(r.dtype[3:]): r.energy_pj for r in self.ops if r.op == op and r.dtype.startswith("int")}
        if bits in rows or not rows:
            estimate = next((e for e in self.estimates if op in e.ops), None)
            if rows or estimate is None or estimate.of == "pj":
                return self.price(op, f"int{bits}")
            unit = self.interpolate(estimate.of, bits)
            return Energy(
                unit.nominal_pj * estimate.nominal, unit.low_pj * estimate.low, unit.high_pj * estimate.high
            )
        power = 2 if op == "mul" else 1
        near = sorted(sorted(rows, key=lambda b: (abs(b - bits), b))[:2])
        if len(near) == 1 or (power == 1 and bits < near[0]):
            energy = rows[near[0]] * (bits / near[0]) ** power
        elif power == 1:
            low, high = near
            energy = rows[low] + (rows[high] - rows[low]) * (bits - low) / (high - low)
        else:
            low, high = near
            square = (rows[high] / high - rows[low] / low) / (high - low)
            energy = square * bits**2 + (rows[low] / low - square * low) * bits
        return Energy(energy, energy, energy)

    def memory(self, name: str) -> MemoryCost:
        for memory in self.memories:
            if memory.name == name:
                return memory
        known = ", ".join(m.name for m in self.memories) or "none"
        raise UnknownTable(f"table {self.name} has no memory {name!r}; known: {known}")


@dataclass(frozen=True)
class ScoreTerm:
    """One term of an attention score: a multiply-accumulate against |q - k| and its accumulation."""

    operands: str
    accumulator: str
    dot: Energy
    manhattan: Energy
    interpolated: bool  # a width was not in the table


def score_terms(table: Table) -> tuple[ScoreTerm, ...]:
    """int8 with a 32-bit accumulator, and each float type of the table with its own."""
    terms = []
    if any(row.dtype.startswith("int") for row in table.ops):
        mul, narrow, wide = table.interpolate("mul", 8), table.interpolate("add", 8), table.interpolate("add", 32)
        published = {(row.op, row.dtype) for row in table.ops}
        exact = {("mul", "int8"), ("add", "int8"), ("add", "int32")} <= published
        manhattan = narrow + table.interpolate("abs", 8) + wide
        terms.append(ScoreTerm("int8", "int32", mul + wide, manhattan, not exact))
    for dtype in dict.fromkeys(row.dtype for row in table.ops if not row.dtype.startswith("int")):
        add = table.price("add", dtype)
        dot, manhattan = table.price("mul", dtype) + add, add + table.price("abs", dtype) + add
        terms.append(ScoreTerm(dtype, dtype, dot, manhattan, False))
    return tuple(terms)


def table_names() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in DATA.glob("*.toml")))


def load_table(name: str) -> Table:
    """A table by name.

    Raises:
        UnknownTable: no such table.
    """
    if name not in table_names():
        raise UnknownTable(f"unknown table {name!r}; known: {', '.join(table_names())}")
    return parse_table(tomllib.loads((DATA / f"{name}.toml").read_text(encoding="utf-8")), name)


def parse_table(record: dict[str, Any], where: str) -> Table:
    """A table from its TOML record.

    Raises:
        UnknownTable: a field is missing, of the wrong type, negative, or without a source.
    """
    try:
        sourced: list[dict[str, Any]] = [record, *record["op"], *record["estimate"], *record["memory"]]
        for i, row in enumerate(sourced):
            if not row["source"].strip():
                raise UnknownTable(f"{where}: row {i} has an empty source")
            negative = [k for k, v in row.items() if isinstance(v, int | float) and v < 0]
            if negative:
                raise UnknownTable(f"{where}: row {i} has a negative {negative[0]}")
        return Table(
            name=record["name"],
            title=record["title"],
            node_nm=record["node_nm"],
            vdd=record.get("vdd"),
            includes=record["includes"],
            evidence=record["evidence"],
            source=record["source"],
            note=record["note"],
            default_memory=record["default_memory"],
            ops=tuple(OpCost(**({"area_um2": 0.0} | row)) for row in record["op"]),
            estimates=tuple(Estimate(**(row | {"ops": tuple(row["ops"])})) for row in record["estimate"]),
            memories=tuple(MemoryCost(**row) for row in record["memory"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise UnknownTable(f"{where} is no cost table: {type(error).__name__}: {error}") from None


def price_arithmetic(table: Table, counts: Iterable[tuple[str, Counts]]) -> dict[str, Energy]:
    """Energy of counts, each with the number type in which it was computed, by where its price is from.

    Keys: `published`, and for each estimate of the table the operations that it prices.

    Raises:
        UnknownTable: an operation that occurs has no price in the table.
    """
    sums: dict[tuple[str, str], int] = {}
    for dtype, record in counts:
        for op in ARITHMETIC:
            n = getattr(record, op)
            if n:
                sums[op, dtype] = sums.get((op, dtype), 0) + n
    parts: dict[str, Energy] = {"published": Energy()}
    for (op, dtype), n in sums.items():
        part = table.priced_by(op, dtype)
        parts[part] = parts.get(part, Energy()) + table.price(op, dtype) * n
    return parts


def price_traffic(table: Table, bytes_moved: int, memory: str | None = None) -> Energy:
    """Energy of moving bytes from or to one memory of the table, its default one if not named."""
    return table.memory(memory or table.default_memory).per_byte() * bytes_moved
