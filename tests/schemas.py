"""The published schemas of records: `python -m tests.schemas` writes docs/schema/*.json.

A record that is published has one line in PUBLISHED: its class, and examples whose JSON must follow the schema.
"""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass
from typing import Any

from costmodel.records import schema_of
from tests.paths import ROOT

FOLDER = ROOT / "docs" / "schema"
TINY = "distilbert-tiny --seq 16"


@dataclass(frozen=True)
class Published:
    """One kind of record."""

    record: str  # module:class
    says: str  # what it is of, for docs/records.md
    examples: tuple[str, ...]  # commands, which are given `--format json`; or expressions in `cm`

    def load(self) -> Any:
        module, _, name = self.record.partition(":")
        return getattr(importlib.import_module(module), name)


PUBLISHED: dict[str, Published] = {
    "count": Published(
        "costmodel.counting.records:CountRecord",
        "operations and bytes of one model: `costmodel count`, `cm.count`",
        (
            f"costmodel count {TINY}",
            f"costmodel count {TINY} --attention inhibitor:per_head=true --by layer",
            f"costmodel count {TINY} --as-run --device cpu --by op",
            "costmodel count tests.user_models:linear",
        ),
    ),
    "trace": Published(
        "costmodel.api.results:TraceRecord",
        "the graph of one forward pass: `cm.trace`",
        ('cm.trace("distilbert-tiny", seq=16)', 'cm.trace("gpt2", "inhibitor", seq=16)'),
    ),
}
# Commands whose records have no class yet. A test allows no other command without a schema.
NOT_YET: tuple[str, ...] = (
    *("report", "diff", "audit", "formula", "simulate", "evaluate", "results"),
    *("sweep", "pareto", "gemm", "targets", "tables"),
)


def schema_text(name: str) -> str:
    made = schema_of(PUBLISHED[name].load(), f"costmodel {name}")
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for old in FOLDER.glob("*.json"):
        if old.stem not in PUBLISHED:
            old.unlink()
    for each in PUBLISHED:
        (FOLDER / f"{each}.json").write_text(schema_text(each), encoding="utf-8")
