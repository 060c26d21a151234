"""Records of a counted model: plain dicts, as `--format json` prints them.

No arithmetic beyond sums, shares and ratios. FLOPs and MACs are views of `Counts`, made here.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

from costmodel.count import Row, Tally, attention_core, core_counts, rows_by
from costmodel.counts import Counts, total
from costmodel.dtypes import is_float
from costmodel.errors import UnknownTable
from costmodel.graph import Graph, Node
from costmodel.ops import KIND_OF
from costmodel.technology import Energy, add_up, load_table, price_arithmetic, price_traffic


@dataclass(frozen=True)
class Subject:
    """What was counted."""

    model: str
    attention: str
    batch: int | None  # None where the user's own function decides the sizes
    seq: int | None
    dtype: str


def flops(counts: Counts) -> int:
    """Every scalar operation, each once. A multiply-accumulate is two."""
    return sum(counts.arithmetic().values())


def macs(graph: Graph, tally: Tally) -> int:
    """Multiplications of products: each comes with the addition that accumulates it."""
    pairs = zip(graph.nodes, tally.per_node, strict=True)
    return sum(c.mul for node, c in pairs if KIND_OF.get(node.op) == "product")


def byte_record(counts: Counts) -> dict[str, int]:
    return {"operand_read": counts.read_bytes, "operand_write": counts.write_bytes}


def row_record(row: Row) -> dict[str, Any]:
    return {
        "key": row.key,
        "nodes": row.nodes,
        "counts": row.counts.arithmetic(),
        "bytes": byte_record(row.counts),
    }


def count_record(subject: Subject, graph: Graph, tally: Tally, by: str) -> dict[str, Any]:
    """The record of one model with one attention, as `costmodel count --format json` prints it."""
    core = core_counts(graph, tally)
    return {
        "model": subject.model,
        "attention": subject.attention,
        "batch": subject.batch,
        "seq": subject.seq,
        "dtype": subject.dtype,
        "params": tally.params,
        "counts": tally.counts.arithmetic(),
        "bytes": byte_record(tally.counts)
        | {"compulsory": tally.compulsory_bytes, "peak_live": tally.peak_live_bytes},
        "macs": macs(graph, tally),
        "flops": flops(tally.counts),
        "attention_core": {"counts": core.arithmetic(), "bytes": byte_record(core), "flops": flops(core)},
        "complete": not tally.unknown,
        "unknown": list(tally.unknown),
        "by": by,
        "rows": [row_record(row) for row in rows_by(graph, tally, by)],
    }


# Energy


def compute_dtype(graph: Graph, node: Node) -> str:
    """The number type in which a node computes: its widest float operand, else its first operand."""
    operands = [graph.values[i].dtype for i in (*node.inputs, *node.outputs)]
    floats = [d for d in operands if is_float(d)]
    widest = ("float64", "float32", "bfloat16", "float16")
    return next((d for d in widest if d in floats), operands[0] if operands else "float32")


PARTS = ("arithmetic", "memory", "total")


def energy_record(graph: Graph, tally: Tally, table_name: str, memory: str | None) -> dict[str, Any]:
    """Energy of the arithmetic and of the operand traffic under one table, and the core's part.

    What a table lacks a row for is `None`, and `missing` says which row.

    Raises:
        UnknownTable: no such table, or no such memory in it.
    """
    table = load_table(table_name)
    name = memory or table.default_memory
    inside = attention_core(graph)
    typed = [(compute_dtype(graph, node), c) for node, c in zip(graph.nodes, tally.per_node, strict=True)]
    core = [pair for pair, is_core in zip(typed, inside, strict=True) if is_core]
    record: dict[str, Any] = {"operands_in": table.memory(name).name if name else "no memory"}
    if not name:
        record["missing"] = f"table {table_name} has no row for a memory"
    for prefix, pairs in (("", typed), ("core_", core)):
        energies: dict[str, Energy | None] = dict.fromkeys(PARTS)
        parts: dict[str, Energy] = {}
        try:
            parts = price_arithmetic(table, pairs)
            energies["arithmetic"] = add_up(parts.values())
        except UnknownTable as error:
            record["missing"] = str(error)
        if name:
            counts = total(c for _, c in pairs)
            energies["memory"] = parts["memory"] = price_traffic(
                table, counts.read_bytes + counts.write_bytes, name
            )
        if energies["arithmetic"] is not None and energies["memory"] is not None:
            energies["total"] = energies["arithmetic"] + energies["memory"]
        for part, energy in energies.items():
            record[prefix + part] = None if energy is None else energy.nominal_pj
            record[f"{prefix}{part}_range"] = None if energy is None else [energy.low_pj, energy.high_pj]
        record[prefix + "parts"] = {key: [e.low_pj, e.nominal_pj, e.high_pj] for key, e in parts.items()}
    return record


def report_record(columns: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "columns": columns,
        "summary": summarise(columns),
        "verdict": verdict(columns),
        "complete": all(c["complete"] for c in columns),
    }


def verdict(columns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Energy of each other column over the first, under every table that prices both.

    Ratios of the attention core and of the whole model, of the arithmetic alone and with operand
    traffic; nominal, and the range that the tables' own ranges leave open.
    """
    first, *others = columns
    records = []
    for other in others:
        for table, before in first.get("energy_pj", {}).items():
            after = other["energy_pj"][table]
            ratios: dict[str, Any] = {"attention": other["attention"], "over": first["attention"], "table": table}
            for key in ("core_arithmetic", "arithmetic", "core_total", "total"):
                ratios[key] = ratio_record(before, after, key)
            records.append(ratios)
    return records


def ratio_record(before: dict[str, Any], after: dict[str, Any], key: str) -> dict[str, float] | None:
    """Nominal ratio of two energies, and its range.

    A price that is only known as a range is the same on both sides. The ratio is monotone in each
    such price, so that its extremes lie where every price is at one of its ends.
    """
    if not before[key] or after[key] is None:
        return None
    prefix = "core_" if key.startswith("core_") else ""
    chosen = [
        {n: e for n, e in record[prefix + "parts"].items() if n != "memory" or key.endswith("total")}
        for record in (before, after)
    ]
    low, high = ratio_range(*chosen)
    return {"nominal": after[key] / before[key], "low": low, "high": high}


def ratio_range(before: dict[str, list[float]], after: dict[str, list[float]]) -> tuple[float, float]:
    """Smallest and largest ratio of two sums of parts [low, nominal, high], each part at the same end in both."""
    names = list(before | after)

    def energy(parts: dict[str, list[float]], ends: dict[str, int]) -> float:
        return sum(parts.get(name, [0, 0, 0])[end] for name, end in ends.items())

    corners = [dict(zip(names, ends, strict=True)) for ends in product((0, 2), repeat=len(names))]
    ratios = [energy(after, ends) / energy(before, ends) for ends in corners]
    return min(ratios), max(ratios)


def share(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "none"


def summarise(columns: list[dict[str, Any]]) -> str:
    """One sentence: what changed from the first column to the others, and what no attention can save."""
    first, *others = columns
    core, whole = first["attention_core"]["counts"], first["counts"]
    part = share(core["mul"], whole["mul"])
    at = f"At S={first['seq']} the" if first["seq"] else "The"
    head = f"{at} attention core of {first['attention']} holds {part} of the multiplications of {first['model']}"
    if not others:
        return head + ", and no other attention can save more than that."
    changes = [change_of(first, other) for other in others]
    return f"{head}; " + "; ".join(changes) + "."


def change_of(first: dict[str, Any], other: dict[str, Any]) -> str:
    def difference(name: str) -> str:
        a, b = first["counts"][name], other["counts"][name]
        if a and b > 2 * a:
            return f"{b / a:.1f} times the {name}"
        return f"{100 * (b - a) / a:+.1f} % {name}" if a else f"{b - a:+,} {name}"

    parts = [difference(name) for name in ("mul", "add", "cmp", "exp")]
    energies = []
    for table, energy in first.get("energy_pj", {}).items():
        a, b = energy["arithmetic"], other["energy_pj"][table]["arithmetic"]
        if a and b is not None:
            before = energy["core_arithmetic"]
            core = other["energy_pj"][table]["core_arithmetic"] / before if before else float("nan")
            energies.append(f"{100 * (b - a) / a:+.1f} % ({core:.2f} times in the core) under {table}")
    text = f"with {other['attention']} the model takes {', '.join(parts)}"
    return text + (f", and its arithmetic {', '.join(energies)}" if energies else "")
