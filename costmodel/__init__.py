"""What a transformer costs in hardware, and what changes with its attention.

    import costmodel as cm
    print(cm.count("distilbert"))

The public functions live in `costmodel.api`. They are imported when they are first used, so that
`import costmodel` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"
# Each public function and the module of `costmodel.api` that holds it.
HOMES = {
    "audit": "audits",
    "count": "counts",
    "diff": "differences",
    "evaluate": "evaluations",
    "formula": "formulas",
    "gemm": "products",
    "pareto": "fronts",
    "price": "prices",
    "price_tables": "tables",
    "report": "reports",
    "sensitivity": "sensitivities",
    "simulate": "simulations",
    "stored_results": "stored",
    "sweep": "sweeps",
    "table": "tables",
    "target": "targets",
    "trace": "counts",
    "train": "training",
}
__all__ = [*HOMES]


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(f"module 'costmodel' has no attribute {name!r}")
    return getattr(importlib.import_module(f"costmodel.api.{HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *HOMES])
