"""Closed forms and break-even points as rows and notes."""

from __future__ import annotations

from typing import Any


def rows_of(record: dict[str, Any]) -> list[dict[str, Any]]:
    if "formulas" in record:
        shown = {n: f for n, f in record["formulas"].items() if f != "0"} or record["formulas"]
        return [{"quantity": name, "formula": formula} for name, formula in shown.items()]
    roots = ", ".join(f"{root:.6g}" for root in record["break_even"]) or "never"
    return [{"quantity": record["of"], "against": record["against"], record["symbol"]: roots}]


def notes_of(record: dict[str, Any]) -> list[str]:
    return [record["verdict"]] if "verdict" in record else []
