"""Every extension point, proven by something that is added from outside the packages."""

from __future__ import annotations

import importlib
import itertools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import costmodel as cm
from costmodel.counting.tally import count
from costmodel.dtypes import Int
from costmodel.errors import CostModelError, UnknownOp
from costmodel.graph.canonical import canonicalise
from costmodel.graph.ir import Graph
from costmodel.graph.lowering import lower
from costmodel.graph.tracing import trace
from costmodel.hardware.fpga import pe_resources
from costmodel.hardware.loading import load_target
from costmodel.hardware.occupancy import area_of
from costmodel.hardware.timing import ArrayShape, Product
from costmodel.mapping.cost import price
from costmodel.mapping.front import best_mapping
from costmodel.mapping.nest import evaluate, is_legal
from costmodel.mapping.nest_records import Machine, Operands, Problem
from costmodel.mapping.objectives import OBJECTIVES
from costmodel.mapping.one_product import on_target
from costmodel.mapping.schedule import schedule
from costmodel.ops.counts import ARITHMETIC, Counts
from costmodel.ops.rules import OPS, count_op
from costmodel.technology.loading import load_table, price_arithmetic, price_traffic
from costmodel.technology.tables import Energy
from costmodel.widths.assign import assign_widths
from costmodel.widths.policy import parse_policy
from sim.integer import products
from sim.integer.fixed import sum_terms
from sim.machine import array
from tests.extension.points import EXTENSION, MOST_FILES, Point
from tests.mapping.test_nest import all_mappings
from tests.paths import ROOT
from tests.witness.scalar import execute

HERE = Path(__file__).parent / "outside"
Add = Callable[..., None]


class Cosh(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cosh(x)


def graph_of(module: torch.nn.Module, *shape: int) -> Graph:
    return canonicalise(lower(trace(module, (torch.zeros(*shape, device="meta"),))))


def test_the_table_names_files_that_are_there() -> None:
    assert {point.what: len(point.files) for point in EXTENSION} == MOST_FILES
    for point in EXTENSION:
        assert (HERE / point.example).is_file()
        for name in point.files:
            path = ROOT / name
            assert path.parent.is_dir() if path.stem == "NAME" else path.is_file(), name


def test_an_aten_op(outside: Add) -> None:
    with pytest.raises(UnknownOp, match=r"no count rule for aten\.cosh"):
        graph_of(Cosh(), 3, 4)
    outside("own_op")
    graph = graph_of(Cosh(), 3, 4)
    assert {name: n for name, n in count(graph).counts.arithmetic().items() if n} == {
        "exp": 12,
        "div": 12,
        "add": 12,
        "mul": 12,
    }
    x = torch.linspace(-1, 1, 12).reshape(3, 4)
    (result,), ledger = execute(graph, {next(v.id for v in graph.values if v.kind == "input"): x})
    assert np.allclose(result, torch.cosh(x))
    assert {name: ledger[name] for name in ARITHMETIC if ledger[name]} == {
        "exp": 12,
        "div": 12,
        "add": 12,
        "mul": 12,
    }
    with pytest.raises(UnknownOp, match="'cosh' has no rule for integer widths"):
        assign_widths(graph, parse_policy("w8a8"))


def test_an_attention_mechanism(outside: Add) -> None:
    from models.attention.formulas import attend
    from models.attention.mechanisms import Mechanism
    from tests.witness.naive import attend_row

    outside("own_op", "own_mechanism")
    torch.manual_seed(0)
    q, k, v = (torch.randn(1, 2, 5, 4, dtype=torch.float64) for _ in range(3))
    keep = torch.tensor([True, True, False, True, True]).expand(1, 1, 5, 5)
    got = attend(Mechanism("cosh"), q, k, v, keep)
    for h, i in itertools.product(range(2), range(5)):
        row = attend_row(Mechanism("cosh"), q[0, h, i], k[0, h], v[0, h], keep[0, 0, i].tolist())
        assert got[0, h, i].tolist() == pytest.approx(row)
    relu, own = (cm.count("distilbert-tiny", attention=name, seq=8) for name in ("relu", "cosh"))
    weights = 2 * 2 * 8 * 8  # layers, heads, queries, keys
    assert own.counts["exp"] == weights
    assert own.counts["cmp"] == relu.counts["cmp"] - weights
    with pytest.raises(CostModelError, match="attention 'cosh' has no option 'shift'; known: none"):
        cm.count("distilbert-tiny", attention="cosh:shift=1", seq=8)


def test_a_trace_of_an_own_mechanism_is_not_cached(
    outside: Add, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The cache could not see that its code has changed."""
    monkeypatch.setenv("COSTMODEL_CACHE", str(tmp_path))
    outside("own_op", "own_mechanism")
    cm.count("distilbert-tiny", attention="cosh", seq=8)
    assert not list(tmp_path.iterdir())


def test_an_integer_kernel_runs_on_the_machine(outside: Add, cli: Callable[..., Any]) -> None:
    """Bits, events and cycles: the machine compares them with the graph's and with the analytic cost."""
    words = (
        "simulate",
        "distilbert-tiny",
        "--attention",
        "cosh",
        "--random",
        "1",
        "--seq",
        "8",
        "--format",
        "json",
    )
    outside("own_op", "own_mechanism")
    refused = cli(*words)
    assert "op 'cosh' in" in refused.err
    assert "has no rule in sim/integer/floats.py" in refused.err
    outside("own_kernel")
    record = json.loads(cli(*words, "--compare").out)
    graph = cm.trace("distilbert-tiny", attention="cosh", seq=8).graph
    typed = assign_widths(graph, parse_policy("w8a8"))
    assert record["cycles"] == schedule(typed, load_target("edge-asic")).cycles
    looked_up = sum(w.n for work in typed.work for w in work if w.op == "lookup" and str(w.type) == "int16")
    assert record["events"]["vector"]["lookup int16"] == looked_up >= 2 * 2 * 8 * 8


@pytest.mark.parametrize("dataflow", ["os", "ws", "is"])
def test_a_pe_kind_on_the_array(outside: Add, dataflow: str) -> None:
    """The stepped array, the compiled loops and the specification agree; sums wrap and saturate alike."""
    outside("own_pe")
    rng = np.random.default_rng(0)
    a, b = rng.integers(-128, 128, (5, 7)), rng.integers(-128, 128, (7, 4))
    expected = ((a[:, :, None] - b[None]) ** 2).sum(1)
    stepped = array.run(a.tolist(), b.tolist(), ArrayShape(3, 2), dataflow, "l2")
    assert np.array_equal(stepped.result, expected)
    assert np.array_equal(products.product(a, b, "l2", Int(32), "exact"), expected)
    assert np.allclose(products.float_sums(a, b, "l2"), expected)
    for mode, fold in itertools.product(("wrap", "saturate"), (None, 3)):
        got = products.product(a, b, "l2", Int(16), mode, fold=fold)
        for i, j in np.ndindex(*got.shape):
            one = sum_terms("l2", a[i].tolist(), b[:, j].tolist(), Int(16), mode, fold=fold)
            assert got[i, j] == one


def test_a_pe_kind_on_a_target(outside: Add) -> None:
    outside("own_pe")
    mac, own, both = (load_target(f"edge-asic:kinds={kinds}") for kinds in ("mac", "l2", "mac+l2"))
    areas = [area_of(target) for target in (mac, own, both)]
    assert areas[0] is not None and areas[1] is not None and areas[2] is not None  # noqa: PT018
    assert areas[0].pe_mm2 < areas[1].pe_mm2 == areas[2].pe_mm2
    assert pe_resources(("l2",), True) == pe_resources(("mac",), True)
    product = Product(64, 64, 64)
    on_pes, on_lanes = (on_target(product, "l2", target, "array") for target in (own, mac))
    assert on_pes.vector_cycles < on_lanes.vector_cycles
    assert on_pes.energy_pj is not None and on_lanes.energy_pj is not None  # noqa: PT018
    assert on_pes.energy_pj.array.nominal_pj > 0 == on_lanes.energy_pj.array.nominal_pj
    assert OPS["l2"].pe == "l2"
    assert count_op("l2", {"B": 1, "M": 2, "N": 3, "K": 4}) == Counts(add=42, mul=24)


def test_a_cost_table() -> None:
    table = load_table(str(HERE / "own_table.toml"))
    counts = Counts(mul=3, add=4)
    assert price_arithmetic(table, [("int8", counts)])["published"] == Energy(7.0, 7.0, 7.0)
    assert price_traffic(table, 5) == Energy(5.0, 5.0, 5.0)


def test_a_target(cli: Callable[..., Any]) -> None:
    path = str(HERE / "own_target.toml")
    assert (load_target(path).array, load_target(f"{path}:array=4x4").array) == (
        ArrayShape(8, 8),
        ArrayShape(4, 4),
    )
    typed = assign_widths(cm.trace("distilbert-tiny", seq=8).graph, parse_policy("w8a8"))
    small, large = (schedule(typed, load_target(name)) for name in (path, "edge-asic"))
    assert small.cycles > large.cycles
    assert price(typed, small).energy is None  # it names no prices
    assert "A small machine for tests" in cli("targets", path).out


def test_an_objective(outside: Add) -> None:
    """The mapping that is found is the best of all that fit, and a whole model takes the objective by its name."""
    outside("own_objective")
    problem = Problem(Product(7, 6, 5), 1, Operands(8, 8, 32, 8))
    machine = Machine(ArrayShape(2, 2), "os", "array", 90, 400, 100)
    key = OBJECTIVES["moves_delay"].key
    found = best_mapping(problem, machine, "moves_delay")
    every = (mapping for mapping in all_mappings(problem.product) if is_legal(problem, mapping, machine))
    assert key(found) == min(key(evaluate(problem, mapping, machine)) for mapping in every)
    assert key(found) <= key(best_mapping(problem, machine, "cycles"))
    with pytest.raises(CostModelError, match=r"`objective=beauty` is not one of .*, moves_delay"):
        best_mapping(problem, machine, "beauty")
    typed = assign_widths(cm.trace("distilbert-tiny", seq=8).graph, parse_policy("w8a8"))
    assert schedule(typed, load_target("edge-asic"), objective="moves_delay").objective == "moves_delay"


def test_an_output_format(outside: Add) -> None:
    outside("own_format")
    found = cm.count("distilbert-tiny", seq=8)
    head, first, *_ = found.to_text("tsv").splitlines()
    assert head.split("\t") == list(found.to_rows()[0])
    assert first.split("\t") == [str(cell) for cell in found.to_rows()[0].values()]


@pytest.mark.parametrize("point", [p for p in EXTENSION if p.example.endswith(".py")], ids=lambda p: p.what)
def test_what_is_there_is_not_replaced(outside: Add, point: Point) -> None:
    """The same module twice is refused by its first registry."""
    name = point.example.removesuffix(".py")
    outside(*(["own_op"] if name == "own_kernel" else []), name)
    module = sys.modules[f"tests.extension.outside.{name}"]
    with pytest.raises(ValueError, match=r"already|has two rules|has a formula"):
        importlib.reload(module)
