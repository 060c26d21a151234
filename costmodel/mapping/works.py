"""Scalar work: the cycles that lanes take for it, and its energy."""

from __future__ import annotations

from collections.abc import Iterable

from costmodel.dtypes import Float, Int, IntPair
from costmodel.hardware.accelerator import Accelerator
from costmodel.hardware.pe import PE_KINDS
from costmodel.hardware.timing import Product
from costmodel.ops.counts import is_slow
from costmodel.technology.tables import Energy, Table, add_up
from costmodel.widths.policy import Work


def lane_cycles(works: tuple[Work, ...], target: Accelerator) -> int:
    """Cycles that some work would take on one lane."""
    return sum(w.n * (target.slow_cycles if is_slow(w.op) else 1) for w in works)


def slots(works: tuple[Work, ...], target: Accelerator) -> int:
    """Cycles of the vector unit for some work."""
    return -(-lane_cycles(works, target) // target.lanes)


def term_work(kind: str, product: Product, accumulator_bits: int) -> tuple[Work, ...]:
    """Work of an int8 product on PEs of a kind: the terms, and their sums in accumulators."""
    terms, outputs = product.steps, product.M * product.N
    pe = PE_KINDS[kind]
    works = tuple(Work(op, width, n * terms) for op, width, n in pe.work(*pe.int8))
    return (*works, Work("add", Int(accumulator_bits), terms - outputs))


def price_work(table: Table, works: Iterable[Work]) -> Energy:
    """Energy of scalar operations, each at its width."""
    return add_up(price_one(table, w.op, w.type) * w.n for w in works)


def price_one(table: Table, op: str, kind: Int | Float) -> Energy:
    if isinstance(kind, IntPair):
        return table.interpolate(op, kind.bits, kind.narrow)
    return table.interpolate(op, kind.bits) if isinstance(kind, Int) else table.price(op, str(kind))
