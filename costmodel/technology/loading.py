"""Cost tables: published energy of one operation or one memory access, with units and sources.

Data lives in `technology/NAME.toml`. A published row is a number; what a source does not give is an
explicit range in an `[[estimate]]`, and a total priced with it carries the range. A user's own table
is a file of the same form. What a table is, is in `tables.py`; another node, in `scaling.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from costmodel.dtypes import TYPES
from costmodel.errors import UnknownTable
from costmodel.ops.counts import ARITHMETIC, Counts
from costmodel.technology.rows import Toml, check_once, check_order, made, made_all, place, read_toml
from costmodel.technology.scaling import scale_table
from costmodel.technology.tables import OPS, Energy, Estimate, Header, MemoryCost, OpCost, Table

DATA = Path(__file__).parent
SECTIONS = ("op", "estimate", "memory")
SCALED = re.compile(r"(?P<table>.+)@(?P<node>\d{1,4})nm(,(?P<vdd>\d(\.\d+)?)V)?", re.ASCII)
INTEGER = re.compile(r"u?int[1-9][0-9]{0,2}|int[1-9][0-9]{0,2}xint[1-9][0-9]{0,2}")


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
    priced = {(row.op, row.dtype) for row in table.ops}
    if {"mul", "add"} <= {op for op, dtype in priced if dtype.startswith("int")}:
        mul, narrow, wide = table.interpolate("mul", 8), table.interpolate("add", 8), table.interpolate("add", 32)
        exact = {("mul", "int8"), ("add", "int8"), ("add", "int32")} <= priced
        manhattan = narrow + table.interpolate("abs", 8) + wide
        terms.append(ScoreTerm("int8", "int32", mul + wide, manhattan, not exact))
    for dtype in dict.fromkeys(row.dtype for row in table.ops if "float" in row.dtype):
        if not {("mul", dtype), ("add", dtype)} <= priced:
            continue
        add = table.price("add", dtype)
        dot, manhattan = table.price("mul", dtype) + add, add + table.price("abs", dtype) + add
        terms.append(ScoreTerm(dtype, dtype, dot, manhattan, False))
    return tuple(terms)


def table_names() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in DATA.glob("*.toml")))


def load_table(name: str) -> Table:
    """A table by name, a user's own by a path that ends in `.toml`, or either at another node.

    Args:
        name: `horowitz45`, `mine.toml`, `horowitz45@7nm` or `horowitz45@7nm,0.65V` (Stillmaker and Baas).

    Raises:
        UnknownTable: no such table; or a bad one, with the row and the reason.
    """
    return read_table(name) if ".toml" in name else shipped_table(name)  # a file of the user's may change


@lru_cache(maxsize=128)
def shipped_table(name: str) -> Table:
    """As `load_table`, of the tables of this package: a report asks for each of them many times."""
    return read_table(name)


def read_table(name: str) -> Table:
    scaled = SCALED.fullmatch(name)
    if scaled:
        vdd = scaled["vdd"]
        return scale_table(load_table(scaled["table"]), int(scaled["node"]), None if vdd is None else float(vdd))
    if name.endswith(".toml"):
        # Called by its path: a user's table never passes for one of ours.
        return replace(parse_table(read_toml(Path(name)), name), name=name)
    if name not in table_names():
        known = ", ".join(table_names())
        raise UnknownTable(f"unknown table {name!r}; known: {known}, or a FILE.toml, or TABLE@NODEnm")
    return parse_table(read_toml(DATA / f"{name}.toml"), name)


def parse_table(record: Toml, where: str) -> Table:
    """A table from its TOML record.

    Raises:
        UnknownTable: a field is missing, unknown, of the wrong type, negative, not finite or without a
            source; an operation or number type that is not known, or that two rows price.
    """
    header = made(Header, {"name": where} | {k: v for k, v in record.items() if k not in SECTIONS}, where)
    table = Table(
        name=header.name,
        title=header.title,
        node_nm=header.node_nm,
        vdd=header.vdd,
        includes=header.includes,
        evidence=header.evidence,
        source=header.source,
        note=header.note,
        default_memory=header.default_memory,
        ops=made_all(OpCost, record, "op", where),
        estimates=made_all(Estimate, record, "estimate", where),
        memories=made_all(MemoryCost, record, "memory", where),
    )
    check_ops(table, record, where)
    check_estimates(table, record, where)
    check_memories(table, record, where)
    return table


def check_ops(table: Table, record: Toml, where: str) -> None:
    if not table.ops:
        raise UnknownTable(f"{where}: there is no [[op]] row")
    for i, row in enumerate(table.ops, start=1):
        spot = place(where, "op", i, record["op"][i - 1])
        check_op(row.op, spot)
        if not INTEGER.fullmatch(row.dtype) and row.dtype not in TYPES and row.dtype != "any":
            raise UnknownTable(f"{spot}: unknown dtype {row.dtype!r}; known: intN, uintN, {', '.join(TYPES)}")
        energy = row.energy()
        check_order(energy.low_pj, energy.nominal_pj, energy.high_pj, spot)
    check_once((f"{row.op} {row.dtype}" for row in table.ops), "op", where)


def check_op(op: str, where: str) -> None:
    base, slash, variant = op.partition("/")
    if base not in OPS or (slash and not variant):
        raise UnknownTable(f"{where}: unknown op {op!r}; known: {', '.join(OPS)}, each also as OP/VARIANT")


def check_estimates(table: Table, record: Toml, where: str) -> None:
    rows = {row.op for row in table.ops}
    seen: set[str] = set()
    for i, estimate in enumerate(table.estimates, start=1):
        spot = place(where, "estimate", i, record["estimate"][i - 1])
        for op in estimate.ops:
            check_op(op, spot)
            if op in seen:
                raise UnknownTable(f"{spot}: a second estimate of {op}")
            seen.add(op)
        if estimate.of != "pj" and estimate.of not in rows:
            raise UnknownTable(f"{spot}: of is {estimate.of!r}, neither 'pj' nor an operation with a row")
        check_order(estimate.low, estimate.nominal, estimate.high, spot)


def check_memories(table: Table, record: Toml, where: str) -> None:
    for i, row in enumerate(table.memories, start=1):
        check_order(row.low_pj, row.energy_pj, row.high_pj, place(where, "memory", i, record["memory"][i - 1]))
    check_once((row.name for row in table.memories), "memory", where)
    if table.default_memory and table.default_memory not in {row.name for row in table.memories}:
        raise UnknownTable(f"{where}: default_memory {table.default_memory!r} is no [[memory]] row")


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
