"""What a cost table is: rows of energy per operation and per memory access, estimates, interpolation."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from costmodel.errors import UnknownTable
from costmodel.ops.counts import ARITHMETIC
from costmodel.records import flat

# Operations that a table may price and that no model is counted in. `op/variant` is another way to
# build `op`, or another speed of it; it is shown and priced by its whole name, never in place of `op`.
OTHER_OPS = (
    *("lookup", "sub", "max", "relu", "absdiff", "shift", "bitwise", "round", "convert", "square", "arith"),
    *("acc", "mac", "absdiff_acc", "relu_acc", "register", "counter", "instruction", "noc"),
)
OPS = (*ARITHMETIC, *OTHER_OPS)
QUADRATIC = ("mul", "mac", "square")  # what grows with the square of the width


@flat
@dataclass(frozen=True)
class Energy:
    """Picojoules: nominal, and the range that the table's estimates leave open.

    Its JSON is [nominal, low, high].
    """

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


@dataclass(frozen=True, kw_only=True)
class OpCost:
    """Energy of one operation in one number type. Area is 0 where the source gives none.

    `low_pj` and `high_pj` where the source leaves a range open. `row` is the row of the collection
    of published figures that this one copies.
    """

    op: str
    dtype: str
    energy_pj: float
    area_um2: float = 0.0
    kind: str
    source: str
    low_pj: float | None = None
    high_pj: float | None = None
    row: str = ""

    def energy(self) -> Energy:
        low = self.energy_pj if self.low_pj is None else self.low_pj
        return Energy(self.energy_pj, low, self.energy_pj if self.high_pj is None else self.high_pj)


@dataclass(frozen=True)
class Estimate:
    """A range for operations that the source does not price, in pJ or in multiples of another operation."""

    ops: tuple[str, ...]
    low: float
    nominal: float
    high: float
    of: str  # "pj", or an operation that the table has rows of
    source: str
    any_node: bool = False  # a sweep that is tied to no node: scaling leaves it alone


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
    row: str = ""

    def per_byte(self) -> Energy:
        scale = 8 / self.access_bits
        return Energy(self.energy_pj * scale, self.low_pj * scale, self.high_pj * scale)


@dataclass(frozen=True, kw_only=True)
class Header:
    """What holds for every row of a table: one node, one voltage, never mixed with another."""

    name: str
    title: str
    node_nm: int
    vdd: float | None = None  # None where the source gives no voltage
    includes: str
    evidence: str
    source: str
    note: str = ""
    default_memory: str = ""


@dataclass(frozen=True, kw_only=True)
class Table(Header):
    """One published table."""

    ops: tuple[OpCost, ...]
    estimates: tuple[Estimate, ...]
    memories: tuple[MemoryCost, ...]

    @cached_property
    def asked(self) -> dict[tuple[str, int, int | None], Energy]:
        """What `interpolate` found before."""
        return {}

    def price(self, op: str, dtype: str) -> Energy:
        """Energy of one operation.

        Raises:
            UnknownTable: the table has neither a row nor an estimate.
        """
        for row in self.ops:
            if (row.op, row.dtype) == (op, dtype):
                return row.energy()
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

    def interpolate(self, op: str, bits: int, narrow: int | None = None) -> Energy:
        """Energy of an integer operation of a width that the table may lack: an estimate; see `at_width`.

        Args:
            narrow: bits of the other operand of a multiplication, where it has fewer.

        Raises:
            UnknownTable: the table has no integer row for the operation, and no estimate.
        """
        key = (op, bits, narrow)
        if key not in self.asked:
            self.asked[key] = self.from_rows(op, bits, narrow)
        return self.asked[key]

    def from_rows(self, op: str, bits: int, narrow: int | None) -> Energy:
        """As `interpolate`, from the rows."""
        name = f"int{bits}" if narrow is None else f"int{bits}xint{narrow}"
        whole = {r.dtype: r.energy_pj for r in self.ops if r.op == op and r.dtype.startswith("int")}
        rows = {int(dtype[3:]): pj for dtype, pj in whole.items() if "x" not in dtype}
        if name in whole or not rows:
            estimate = next((e for e in self.estimates if op in e.ops), None)
            if rows or estimate is None or estimate.of == "pj":
                return self.price(op, name)
            unit = self.interpolate(estimate.of, bits, narrow)
            return Energy(
                unit.nominal_pj * estimate.nominal, unit.low_pj * estimate.low, unit.high_pj * estimate.high
            )
        energy = at_width(rows, op, bits, narrow)
        return Energy(energy, energy, energy)

    def area(self, op: str, dtype: str) -> float | None:
        """Area of a unit in um2, of a row or for integers by `at_width`; None where the source gives none."""
        rows = {r.dtype: r.area_um2 for r in self.ops if r.op == op and r.area_um2}
        if dtype in rows:
            return rows[dtype]
        integers = {int(d[3:]): um2 for d, um2 in rows.items() if re.fullmatch(r"int\d+", d)}
        found = re.fullmatch(r"u?int(\d+)(?:xint(\d+))?", dtype)
        if found is None or not integers:
            return None
        return at_width(integers, op, int(found[1]), int(found[2]) if found[2] else None)

    def memory(self, name: str) -> MemoryCost:
        for memory in self.memories:
            if memory.name == name:
                return memory
        known = ", ".join(m.name for m in self.memories) or "none"
        raise UnknownTable(f"table {self.name} has no memory {name!r}; known: {known}")


def at_width(rows: dict[int, float], op: str, bits: int, narrow: int | None = None) -> float:
    """Energy or area of an integer operation, by those of the published widths `rows`, in bits.

    Between published widths, and beyond them, adders (and what is priced by an add) are linear in the width,
    multipliers a b^2 + c b without a constant, through the two nearest widths, or in proportion to b or b^2
    from a single one, and below the least where the curve would reach 0. For Horowitz's multiplier that is the
    fit of QKeras. A multiplier of two widths grows with their product: it is taken for a square one of as many
    bit products.
    """
    power = 2 if op.split("/")[0] in QUADRATIC else 1
    width = bits if narrow is None or power == 1 else math.sqrt(bits * narrow)
    if width in rows:
        return rows[int(width)]
    near = sorted(sorted(rows, key=lambda b: (abs(b - width), b))[:2])
    if len(near) == 1 or (power == 1 and width < near[0]):
        return rows[near[0]] * (width / near[0]) ** power
    low, high = near
    if power == 1:
        return rows[low] + (rows[high] - rows[low]) * (width - low) / (high - low)
    square = (rows[high] / high - rows[low] / low) / (high - low)
    linear = rows[low] / low - square * low
    if linear < 0 and width < low:  # the curve would reach 0 before the width does
        return rows[low] * (width / low) ** 2
    return square * width**2 + linear * width
