"""Attention mechanisms side by side: what changed, and the energy of each over that of the first."""

from __future__ import annotations

from typing import Any

from costmodel.compare.ratios import ratio_range, share


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
