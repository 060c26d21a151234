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
STUDENT = "models/students/sst2-inhibitor"


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
    "report": Published(
        "costmodel.compare.records:ReportRecord",
        "attention mechanisms side by side: `costmodel report`, `cm.report`",
        (
            f"costmodel report {TINY}",
            f"costmodel report {TINY} --widths w8a8:acc=20",
            f"costmodel report {TINY} --on edge-asic",
            f"costmodel report {TINY} --on xc7z020 --attention dot",
            "costmodel report minilm-distilbert --seq 16 --task cola --stored",
        ),
    ),
    "price": Published(
        "costmodel.compare.records:PriceRecord",
        "one model at some widths, on a target: `cm.price`",
        ('cm.price("distilbert-tiny", seq=16)', 'cm.price("distilbert-tiny", seq=16, target="edge-asic")'),
    ),
    "diff": Published(
        "costmodel.compare.breakdown:Difference",
        "why one point costs less than another: `costmodel diff`, `cm.diff`",
        (
            f"costmodel diff '{TINY} --on edge-asic' '{TINY} --on edge-asic --attention inhibitor'",
            f"costmodel diff '{TINY}' '{TINY} --attention inhibitor'",
        ),
    ),
    "audit": Published(
        "costmodel.compare.audit_records:AuditRecord",
        "the same model under other counters: `costmodel audit`, `cm.audit`",
        (f"costmodel audit {TINY} --device cpu",),
    ),
    "formula": Published(
        "costmodel.compare.formula_records:FormulaRecord",
        "closed forms, or where two mechanisms cost the same: `costmodel formula`, `cm.formula`",
        (
            "costmodel formula distilbert-tiny --of mul",
            "costmodel formula distilbert-tiny --of energy_pj --break-even S",
            "costmodel formula distilbert-tiny --of cycles --on edge-asic --seq 16",
            "costmodel formula distilbert-tiny --of cycles --on edge-asic --break-even S --lengths 16..40",
        ),
    ),
    "simulate": Published(
        "sim.machine.records:SimulationRecord",
        "a run in integers on a simulated accelerator: `costmodel simulate`, `cm.simulate`",
        (f"costmodel simulate {TINY} --random 1 --compare", f"costmodel simulate {TINY} --random 1 --activity"),
    ),
    "evaluate": Published(
        "costmodel.compare.evaluation:Evaluation",
        "accuracy of a checkpoint in floats and in bits: `costmodel evaluate`, `cm.evaluate`",
        (f"costmodel evaluate {STUDENT} --task sst2 --limit 4",),
    ),
    "results": Published(
        "costmodel.compare.accuracies:StoredRecord",
        "stored accuracies beside published ones: `costmodel results`, `cm.stored_results`",
        ("costmodel results",),
    ),
    "train": Published(
        "costmodel.api.training:TrainingRecord",
        "what a training run reached: `costmodel train`, `cm.train`",
        (),
    ),
    "sweep": Published(
        "costmodel.explore.summary:SweepRecord",
        "a store in a few numbers: `costmodel sweep`",
        ("costmodel sweep {folder}/space.toml --store {folder}/points.db --workers 1",),
    ),
    "pareto": Published(
        "costmodel.explore.front_records:FrontRecord",
        "the front of a store: `costmodel pareto`, `cm.pareto`, `cm.sweep`",
        ("costmodel pareto {folder}/points.db",),
    ),
    "points": Published(
        "costmodel.explore.front_records:PointsRecord",
        "single points of a store: `costmodel pareto --point`",
        ("costmodel pareto {folder}/points.db --point 0 --point 1",),
    ),
    "sensitivity": Published(
        "costmodel.explore.effects:SensitivityRecord",
        "changes of a design by what they save: `costmodel sensitivity`, `cm.sensitivity`",
        (
            f"costmodel sensitivity {TINY} --on edge-asic --save 30%",
            f"costmodel sensitivity {TINY} --on xc7z020 --no-pairs",
        ),
    ),
    "gemm": Published(
        "costmodel.mapping.one_product:ProductCost",
        "one product on one array: `costmodel gemm`, `cm.gemm`",
        ("costmodel gemm 12 8 30",),
    ),
    "gemm-on": Published(
        "costmodel.mapping.one_product:PricedProduct",
        "one product on a target: `costmodel gemm --on TARGET`",
        ("costmodel gemm 12 8 30 --on edge-asic",),
    ),
    "gemm-all": Published(
        "costmodel.mapping.one_product:AllTimings",
        "the same under every convention of cycles: `costmodel gemm --timing all`",
        ("costmodel gemm 12 8 30 --timing all",),
    ),
    "targets": Published(
        "costmodel.hardware.records:TargetsRecord",
        "accelerators, and what they occupy: `costmodel targets`, `cm.target`",
        ("costmodel targets", "costmodel targets xc7z020"),
    ),
    "tables": Published(
        "costmodel.api.tables:PricesRecord",
        "cost tables with units and sources: `costmodel tables`, `cm.price_tables`",
        ("costmodel tables", "costmodel tables memories"),
    ),
}
# Commands whose records have no class yet. A test allows no other command without a schema.
NOT_YET: tuple[str, ...] = ()


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
