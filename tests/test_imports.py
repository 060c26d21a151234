"""Imports go one way: sim -> costmodel; models and costmodel do not know each other; CLI and API are the roof."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.quick

# Within a package a module imports only modules listed above it.
ORDER = {
    "costmodel": [
        *("errors", "dtypes", "counts", "graph", "shapes", "trace", "ops", "lower", "canonical", "count"),
        *("policy", "width_rules", "widths", "rows", "tables", "scaling", "technology", "memories", "elements"),
        *("timing", "tile", "hardware"),
        *(
            "traffic",
            "schedule",
            "cost",
            "kernels",
            "compiled",
            *(
                "space_knobs",
                "space_targets",
                "space_goals",
                "space",
                "space_programs",
                "points",
                "pareto",
                "search",
            ),
            "report",
            "render",
            "listing",
            "machine_report",
            *("plots", "figures", "figures_machine", "figures_sweep", "page", "diff"),
            "audit",
            "template",
            "cache",
            "traced",
            "symbolic",
            "results",
        ),
        *("store", "export", "claims", "pool", "sweep", "sweeps"),
    ],
    "models": [
        *("errors", "mechanisms", "presets", "loops", "kernels", "attention", "distilbert"),
        *("checkpoint", "load", "text", "tasks", "metrics", "evaluate", "students"),
        *("recipe", "batches", "losses", "training_state", "initial", "distill"),
    ],
    "sim": [
        *("fixed", "kernels", "views", "weights", "floats", "calibrate", "program", "rules", "run"),
        *("array", "walk", "events", "tiles", "machine", "energy", "compare", "perfetto", "report"),
    ],
}
# The public functions are a roof as the command line is: they may import models and sim.
ROOF = ("__init__.py", "api.py", "api_model.py", "api_machine.py", "api_run.py")
ALLOWED = {"costmodel": {"costmodel"}, "models": {"models"}, "sim": {"sim", "costmodel"}}


def imported(path: Path) -> set[str]:
    """Dotted names of our own modules that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {n for n in names if n.split(".")[0] in ALLOWED}


def modules(package: str) -> list[Path]:
    return sorted(p for p in (ROOT / package).glob("*.py") if p.name not in ROOF)


@pytest.mark.parametrize("package", list(ORDER))
def test_every_module_has_its_place(package: str) -> None:
    assert {p.stem for p in modules(package)} == set(ORDER[package])


@pytest.mark.parametrize("package", list(ORDER))
def test_direction(package: str) -> None:
    for path in modules(package):
        above = ORDER[package][: ORDER[package].index(path.stem)]
        for name in imported(path):
            owner, *rest = name.split(".")
            assert owner in ALLOWED[package], f"{path.name} imports {name}"
            if owner == package and rest and rest[0] in ORDER[package]:
                assert rest[0] in above, f"{path.name} imports {name}, which is not above it"


def test_the_fast_path_needs_no_torch() -> None:
    code = (
        "import sys, costmodel.cli.count, costmodel.cli.report;"
        "print('torch' in sys.modules, 'transformers' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["False", "False"]
