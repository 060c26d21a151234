"""Imports go down only: floors of `costmodel`, of `sim` and of `models`, held for every module."""

from __future__ import annotations

import ast
import subprocess
import sys

import networkx as nx
import pytest

import costmodel
from tests.paths import ROOT

pytestmark = pytest.mark.quick

# A package imports from itself and from floors below its own; packages of one floor do not know each other.
FLOORS = (
    ("models.errors",),
    ("models.files", "models.attention"),
    ("models.zoo",),
    ("models.tasks",),
    ("models.training",),
    ("costmodel.errors",),
    ("costmodel.collecting", "costmodel.dtypes", "costmodel.files", "costmodel.ops", "costmodel.records"),
    ("costmodel.graph", "costmodel.technology"),
    ("costmodel.counting", "costmodel.widths", "costmodel.hardware"),
    ("costmodel.mapping",),
    ("costmodel.explore", "costmodel.compare"),
    ("costmodel.show",),
    ("sim.integer",),
    ("sim.machine",),
    ("costmodel.api",),
    ("costmodel.cli",),
)
FLOOR_OF = {package: floor for floor, packages in enumerate(FLOORS) for package in packages}
MEET_MODELS = ("costmodel.api", "costmodel.cli")
SHARED = ("models.errors", "models.files")  # the base of all errors; whole files
MOST_LEVELS = 12
MOST_LINES = 400
ROOTS = ("costmodel", "models", "sim")


def modules() -> dict[str, str]:
    """Source of every module by its dotted name; a package's own is that of its `__init__`."""
    found = {}
    for root in ROOTS:
        for path in sorted((ROOT / root).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path.read_text(encoding="utf-8")
    return found


SOURCES = modules()


def imported(source: str) -> set[str]:
    """Our modules that a source imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            for alias in node.names:
                deep = f"{node.module}.{alias.name}"
                names.add(deep if deep in SOURCES else node.module)
    return {name for name in names if name.split(".")[0] in ROOTS}


def package_of(module: str) -> str:
    """The room of a module: a package of `FLOORS`, a module that stands alone, or a root."""
    head = ".".join(module.split(".")[:2])
    return head if head in FLOOR_OF else module


ARROWS = {module: imported(source) for module, source in SOURCES.items()}


def test_every_module_stands_on_a_floor() -> None:
    assert {package_of(module) for module in SOURCES} == {*FLOOR_OF, *ROOTS}


@pytest.mark.parametrize("module", list(SOURCES))
def test_imports_go_down(module: str) -> None:
    own = package_of(module)
    for name in ARROWS[module]:
        other = package_of(name)
        if other == own or name == "costmodel":
            continue
        assert other in FLOOR_OF, f"{module} imports {name}, which is no module"
        assert own in FLOOR_OF, f"{module} imports {name}: a root imports nothing of ours"
        assert FLOOR_OF[other] < FLOOR_OF[own], f"{module} imports {name}, which is not below it"
        if other.startswith("models.") and own.startswith("costmodel.") and other not in SHARED:
            assert own in MEET_MODELS, f"{module} imports {name}: models are met in costmodel.api"


def test_no_circle_and_few_levels() -> None:
    graph = nx.DiGraph((module, name) for module, names in ARROWS.items() for name in names)
    assert nx.is_directed_acyclic_graph(graph), nx.find_cycle(graph)
    rooms = nx.DiGraph((package_of(a), package_of(b)) for a, b in graph.edges if package_of(a) != package_of(b))
    assert nx.is_directed_acyclic_graph(rooms)
    chain = nx.dag_longest_path(rooms)
    assert len(chain) <= MOST_LEVELS, " -> ".join(chain)


def test_no_module_has_the_name_of_a_public_function() -> None:
    names = {part for module in SOURCES for part in module.split(".")[1:]}
    assert not names & set(costmodel.__all__)


def test_packages_only_say_what_lives_there() -> None:
    for module, source in SOURCES.items():
        if (ROOT.joinpath(*module.split(".")) / "__init__.py").is_file() and module not in (
            "costmodel",
            "costmodel.cli",
        ):
            body = ast.parse(source).body
            assert ast.get_docstring(ast.parse(source)), f"{module} says nothing"
            assert len(body) == 1, f"{module} says more than a docstring"


@pytest.mark.parametrize("module", list(SOURCES))
def test_sizes(module: str) -> None:
    assert SOURCES[module].count("\n") <= MOST_LINES


# Functions of more than MOST_FUNCTION_LINES, each with the reason why it is one piece.
LONG = {
    "sim.machine.products.run_products": "one walk over all passes, whose words it counts as they move",
}
MOST_FUNCTION_LINES = 60


def test_long_functions_have_a_reason() -> None:
    """Lines of code: what a command declares and a docstring says is not counted."""
    found = set()
    for module, source in SOURCES.items():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                if body and (node.end_lineno or 0) - body[0].lineno + 1 > MOST_FUNCTION_LINES:
                    found.add(f"{module}.{node.name}")
    assert found == set(LONG)


def test_the_fast_path_needs_no_torch() -> None:
    code = (
        "import sys, costmodel.cli.counts, costmodel.cli.reports;"
        "print('torch' in sys.modules, 'transformers' in sys.modules, 'sympy' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["False", "False", "False"]


MOST_LOOSE_DICTS = 30


def test_loose_dicts_stay_at_the_edge() -> None:
    """What passes between layers is a record; a dict of anything is what JSON or TOML has just been read as."""
    loose = [m for m, source in SOURCES.items() for line in source.splitlines() if "dict[str, Any]" in line]
    assert len(loose) <= MOST_LOOSE_DICTS, loose
