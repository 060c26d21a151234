"""The public functions: their docstrings run, they say what the command line prints, they refuse in one line."""

from __future__ import annotations

import doctest
import importlib
import json
import subprocess
import sys
from html.parser import HTMLParser

import pytest
import torch
from rich.console import Console

import costmodel as cm
from costmodel.cli import in_options
from costmodel.cli.reports import command
from costmodel.errors import CostModelError
from models.errors import ModelError

TINY = "distilbert-tiny"


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, session_cache: str) -> None:
    monkeypatch.setenv("COSTMODEL_CACHE", session_cache)


@pytest.mark.parametrize("module", sorted(set(cm.HOMES.values())))
def test_docstrings_run(module: str) -> None:
    found = doctest.testmod(importlib.import_module(f"costmodel.api.{module}"))
    assert found.attempted >= 2
    assert found.failed == 0


def test_every_public_function_has_an_example() -> None:
    for name in cm.__all__:
        assert ">>> " in (getattr(cm, name).__doc__ or ""), name


def test_names_are_functions_whatever_was_imported_before() -> None:
    code = (
        "import sys, costmodel as cm\n"
        "assert not {'torch', 'numpy', 'click'} & set(sys.modules), 'import costmodel is slow'\n"
        "from costmodel.counting.tally import rows_by\n"
        "import costmodel.graph.tracing, costmodel.compare.ratios\n"
        "from costmodel.compare.ratios import share\n"
        "from costmodel.show import formats\n"
        "print(all(callable(getattr(cm, n)) for n in cm.__all__), cm.count.__module__, callable(rows_by))\n"
        "print(set(cm.__all__) <= set(dir(cm)), hasattr(cm, 'nothing'))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["True", "costmodel.api.counts", "True", "True", "False"]


# The same numbers as the command line prints


def test_count_is_what_the_command_line_says(cli) -> None:
    for by in ("kind", "op", "module", "layer"):
        said = json.loads(cli("count", TINY, "--seq", "12", "--by", by, "--format", "json").out)
        result = cm.count(TINY, seq=12, by=by)
        assert result.to_dict() == said
        for name, n in result.counts.items():
            assert sum(row.get(name, 0) for row in result.to_rows()) == n


def test_report_is_what_the_command_line_says(cli) -> None:
    args = ("--attention", "dot", "--attention", "relu", "--seq", "16", "--on", "edge-asic", "--table", "jouppi7")
    said = json.loads(cli("report", TINY, *args, "--format", "json").out)
    result = cm.report(TINY, ["dot", "relu"], seq=16, tables=["jouppi7"], target="edge-asic")
    assert json.loads(json.dumps(result.to_dict())) == said
    assert in_options(str(result), command.params) + "\n" == cli("report", TINY, *args).out
    cycles = {r["attention"]: r["value"] for r in result.to_rows() if r["figure"] == "cycles"}
    assert cycles == {c["attention"]: c["machine"]["cycles"] for c in said["columns"]}


def test_price_is_what_the_report_says() -> None:
    report = cm.report(TINY, ["inhibitor"], seq=16, widths="w4a8", target="edge-asic:array=8x8").to_dict()
    cost = cm.price(TINY, "inhibitor", seq=16, widths="w4a8", target="edge-asic:array=8x8")
    assert cost.machine == report["columns"][0]["machine"]
    assert cost.record.machine is not None
    assert cost.count.counts == report["columns"][0]["counts"]
    assert cost.cycles == sum(row["cycles"] for row in cost.to_rows())
    assert cost.energy_uj == pytest.approx(sum(row["energy_pj"] for row in cost.to_rows()) / 1e6)
    assert cost.latency_ms == pytest.approx(1e3 * cost.cycles / 500e6)
    assert cost.resources == {}
    assert cm.price(TINY, target="xc7z020").resources["dsp"] == 210
    assert cm.price(TINY, target="xc7z020").energy_uj is None


def test_price_under_another_table() -> None:
    own, other = (cm.price(TINY, target="edge-asic", table=t) for t in (None, "nangate45"))
    assert own.cycles == other.cycles
    assert own.energy_uj != other.energy_uj
    arithmetic = cm.price(TINY, table=["horowitz45", "nangate45"])
    energies = arithmetic.to_dict()["widths"]["energy_pj"]
    for cost, table in ((own, "horowitz45"), (other, "nangate45")):
        parts = cost.machine["energy_pj"]
        assert parts["array"][0] + parts["vector"][0] == pytest.approx(energies[table]["energy_pj"][0])
    assert arithmetic.cycles is arithmetic.latency_ms is arithmetic.energy_uj is arithmetic.area_mm2 is None
    rows = cm.price(TINY, widths="fp32").to_rows()
    assert {r["op"]: r["operations"] for r in rows}["exp"] == cm.count(TINY).counts["exp"]


def test_formulas_give_the_counts(cli) -> None:
    forms = cm.formula("distilbert", "inhibitor")
    for seq in (64, 128, 500):
        counts = cm.count("distilbert", "inhibitor", seq=seq).counts
        for name in ("mul", "add", "cmp", "abs"):
            assert forms.at(name, S=seq) == counts[name]
    said = json.loads(cli("formula", "distilbert", "--attention", "inhibitor", "--format", "json").out)
    assert forms.to_dict() == said
    assert cm.formula("distilbert", of="energy_pj", break_even="S").break_even[0] > 1
    on_target = cm.formula(TINY, of="cycles", target="edge-asic", seq=16)
    assert on_target.at(S=16) == cm.price(TINY, seq=16, target="edge-asic").cycles
    assert "e_mul_float32" in cm.formula(TINY, of="energy_pj", prices="symbols").formulas["energy_pj"]


def test_audit_is_what_the_command_line_says(cli) -> None:
    said = json.loads(cli("audit", TINY, "--device", "cpu", "--seq", "16", "--format", "json").out)
    assert cm.audit(TINY, seq=16).to_dict() == said
    said = json.loads(
        cli("audit", TINY, "--attention", "eager", "--device", "meta", "--seq", "8", "--format", "json").out
    )
    assert cm.audit(TINY, "eager", seq=8, device="meta").to_dict() == said
    layer, inputs = torch.nn.Linear(8, 4), (torch.zeros(3, 8),)
    totals = cm.audit(layer, inputs=inputs).record.audited.totals
    assert (totals.costmodel, totals.FlopCounterMode, totals.fvcore) == (192, 192, 96)
    own = cm.audit("tests.user_models:linear").record
    assert (own.batch, own.seq, own.audited.totals.costmodel_macs) == (None, None, 24)


def test_target_is_what_the_command_line_says(cli) -> None:
    said = json.loads(cli("targets", "zu9eg", "--format", "json").out)["targets"][0]
    assert cm.target("zu9eg").to_dict() == {"schema": 1} | said
    assert cm.target().to_dict() == json.loads(cli("targets", "--format", "json").out)
    assert str(cm.target()) + "\n" == cli("targets").out
    assert cm.target("edge-asic").to_rows()[0]["clock_mhz"] == 500


def test_gemm_is_what_the_command_line_says(cli) -> None:
    args = ("128", "96", "64", "--array", "8x16", "--dataflow", "ws", "--kind", "l1")
    for more in (("--timing", "all"), ("--on", "edge-asic"), ("--on", "xc7z020", "--timing", "all")):
        options = dict(zip(more[::2], more[1::2], strict=True))
        found = cm.gemm(*(128, 96, 64, "8x16", "ws", "l1"), options.get("--timing", "array"), options.get("--on"))
        assert found.to_dict() == json.loads(cli("gemm", *args, *more, "--format", "json").out)
        assert found.to_text("csv") == cli("gemm", *args, *more, "--format", "csv").out
        assert found.to_text("table") == cli("gemm", *args, *more).out


@pytest.mark.parametrize("name", [None, "horowitz45", "horowitz45@7nm", "memories", "wires", "fpga"])
def test_price_tables_are_what_the_command_line_says(cli, name: str | None) -> None:
    args = () if name is None else (name,)
    assert cm.price_tables(name).to_dict() == json.loads(cli("tables", *args, "--format", "json").out)
    assert cm.price_tables(name).to_text("csv") == cli("tables", *args, "--format", "csv").out


def test_simulate_is_what_the_command_line_says(cli) -> None:
    args = ("--attention", "inhibitor", "--random", "3", "--seq", "9", "--batch", "2")
    said = json.loads(cli("simulate", TINY, *args, "--format", "json").out)
    result = cm.simulate(TINY, "inhibitor", random=3, seq=9, batch=2)
    assert json.loads(json.dumps(result.to_dict())) == said
    busy = sum(span["cycles"] for span in result.timeline if span["unit"] == "vector unit")
    assert busy == sum(row["vector_cycles"] for row in result.to_rows())
    assert max(span["start_cycle"] + span["cycles"] for span in result.timeline) == result.cycles


SPACE = {
    "objectives": ["energy_uj", "latency_ms", "area_mm2"],
    "constraints": ["area_mm2 <= 1.8"],
    "knobs": {
        "model": TINY,
        "attention": ["dot", "inhibitor"],
        "seq": 24,
        "target": "edge-asic",
        "array": ["4x4", "8x8", "16x16"],
        "buffer_kib": [1, 64, 512],
    },
}


def test_points_of_a_sweep_are_prices(tmp_path) -> None:
    found = cm.sweep(SPACE, tmp_path / "points.db")
    rows = found.to_rows()
    assert len(rows) == 18
    for row in rows:
        if row["error"]:
            continue
        target = f"edge-asic:array={row['array']},buffer_kib={row['buffer_kib']}"
        cost = cm.price(TINY, row["attention"], seq=24, target=target)
        assert (row["cycles"], row["feasible"]) == (cost.cycles, cost.area_mm2 <= 1.8)
        assert row["energy_uj"] == pytest.approx(cost.energy_uj)
        assert row["area_mm2"] == pytest.approx(cost.area_mm2)
    front, names = found.front(), SPACE["objectives"]
    for row in rows:
        better = [r for r in front if all(r[n] <= row[n] for n in names)] if row["feasible"] else []
        assert not row["feasible"] or better, "every point is on the front, or no better than one of it"
    for name in names:
        assert found.best(name)[name] == min(r[name] for r in rows if r["feasible"])
    again = cm.sweep(SPACE, tmp_path / "points.db")
    assert again.record.stored_before == 18
    assert again.to_dict() | {"stored_before": 0} == found.to_dict()
    assert again.to_rows() == rows
    (tmp_path / "space.py").write_text(f"SPACE = {SPACE!r}")
    assert cm.sweep(tmp_path / "space.py").front() == front
    assert len(cm.sweep(SPACE, trials=5).to_rows()) == 5


# Models other than by name


def test_a_torch_module_and_a_trace() -> None:
    layer = torch.nn.Linear(8, 4)
    graph = cm.trace(layer, inputs=(torch.zeros(3, 8),))
    assert "matmul" in [row["op"] for row in graph.to_rows()]
    for counts in (cm.count(graph), cm.count(layer, inputs=(torch.zeros(3, 8),))):
        assert counts.counts["mul"] == 3 * 8 * 4
        assert counts.counts["add"] == 3 * 8 * 4
    assert cm.price(graph, target="edge-asic").cycles > 0
    inputs = (torch.zeros(3, 8),)
    assert cm.price(layer, target="edge-asic", inputs=inputs).cycles == cm.price(graph, target="edge-asic").cycles
    named = cm.trace(TINY, seq=16)
    assert cm.count(named).to_dict() == cm.count(TINY, seq=16).to_dict()


def test_a_model_of_the_user_s_own_works_everywhere(cli, tmp_path) -> None:
    """It was refused with a hint about options that nobody gave."""
    from tests.user_models import distilbert

    module, inputs = distilbert()
    name = "tests.user_models:distilbert"
    found = [
        cm.report(name, target="edge-asic"),
        cm.report(module.eval(), target="edge-asic", inputs=inputs),
        cm.report(cm.trace(module, inputs=inputs), target="edge-asic"),
    ]
    for report in found:
        (column,) = report.columns
        assert column.attention == "native"
        assert column.machine is not None
        assert column.machine.cycles == cm.price(name, target="edge-asic").cycles
    assert cm.diff(found[1], found[2]).to_rows()[-1]["difference"] == 0
    page = tmp_path / "page.html"
    cm.report(module, target="edge-asic", inputs=inputs, html=page)
    assert "costmodel.report(&lt;" in page.read_text()
    said = json.loads(cli("report", name, "--on", "edge-asic", "--format", "json").out)
    assert json.loads(json.dumps(found[0].to_dict())) == said


def test_a_report_can_do_what_the_command_can(cli, tmp_path) -> None:
    args = (
        "report",
        TINY,
        "--seq",
        "8",
        "--dtype",
        "float16",
        "--device",
        "cpu",
        "--as-run",
        "--attention",
        "dot",
    )
    said = json.loads(cli(*args, "--format", "json").out)
    made = cm.report(TINY, ["dot"], seq=8, dtype="float16", device="cpu", as_run=True)
    assert json.loads(made.to_text("json")) == said
    page = tmp_path / "page.html"
    with_page = cm.report(TINY, seq=8, html=page)
    assert with_page.record.pictures is not None
    assert f"costmodel report {TINY} --seq 8 --html {page}" in page.read_text()
    odd = cm.report("tests.user_models:odd", device="cpu", allow_unknown=True)
    assert "INCOMPLETE" in str(odd)


# Ways to look at a result

RESULTS = {
    "trace": lambda: cm.trace(TINY, seq=8),
    "count": lambda: cm.count(TINY, seq=8),
    "price": lambda: cm.price(TINY, seq=8, target="edge-asic"),
    "widths": lambda: cm.price(TINY, seq=8),
    "formula": lambda: cm.formula(TINY),
    "report": lambda: cm.report(TINY, seq=8, target="xc7z020"),
    "details": lambda: cm.report(TINY, seq=8, target="edge-asic", details=True),
    "diff": lambda: cm.diff(*cm.report(TINY, seq=8, target="edge-asic").columns),
    "simulate": lambda: cm.simulate(TINY, random=1, seq=8),
    "every table": lambda: cm.simulate(TINY, random=1, seq=8, compare=True, details=True),
    "stored_results": lambda: cm.stored_results(),
    "sweep": lambda: cm.sweep(SPACE),
    "table": lambda: cm.table([{"a": 1, "b": 2.5}], "two numbers"),
    "audit": lambda: cm.audit(TINY, seq=8),
    "target": lambda: cm.target("xc7z020"),
    "targets": lambda: cm.target(),
    "gemm": lambda: cm.gemm(8, 8, 8, timing="all", target="xc7z020"),
    "price_tables": lambda: cm.price_tables(),
    "wires": lambda: cm.price_tables("wires"),
}


class Cells(HTMLParser):
    """Text of all cells; fails on tags that do not close."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.cells: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th"):
            self.cells.append(data)


@pytest.mark.parametrize("name", list(RESULTS))
def test_every_result_can_be_looked_at(name: str) -> None:
    result = RESULTS[name]()
    rows = result.to_rows()
    assert rows
    assert all(row.keys() == rows[0].keys() for row in rows)
    assert all(not isinstance(value, dict | list) for row in rows for value in row.values())
    json.dumps(result.to_dict())
    assert "\n" not in repr(result)
    assert result.title in repr(result)
    parser = Cells()
    parser.feed(result._repr_html_())
    assert not parser.open
    shown = [cell for grid in result.document.grids for row in grid.rows[:40] for cell in row if cell]
    assert set(shown) <= set(parser.cells)
    console = Console(width=300, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(result)
    assert console.export_text().split() == str(result).split()


def test_a_result_is_a_copy() -> None:
    result = cm.count(TINY)
    result.to_dict()["counts"]["mul"] = 0
    result.to_rows()[0]["mul"] = -1
    assert result.counts["mul"] > 0
    assert result.to_rows()[0].get("mul") != -1


# Mistakes

MISTAKES = {
    "`seq=0`": lambda: cm.count(TINY, seq=0),
    "`batch=True`": lambda: cm.count(TINY, batch=True),
    "dtype": lambda: cm.count(TINY, dtype="int8"),
    "`by=colour`": lambda: cm.count(TINY, by="colour"),
    "unknown attention": lambda: cm.count(TINY, "nothing"),
    "not a list": lambda: cm.count([1]),
    "needs `inputs`": lambda: cm.count(torch.nn.Linear(2, 2)),
    "`inputs` go with": lambda: cm.count(TINY, inputs=(1,)),
    "leave them out": lambda: cm.count(cm.trace(TINY), seq=3),
    "which only a preset takes, not a Linear": lambda: cm.formula(torch.nn.Linear(2, 2)),
    "`of=colour`": lambda: cm.formula(TINY, of="colour"),
    "`break_even=Q`": lambda: cm.formula(TINY, break_even="Q"),
    "name one with `target`": lambda: cm.formula(TINY, of="cycles"),
    "no symbol Q": lambda: cm.formula(TINY, of="mul").at(Q=3),
    "unknown target": lambda: cm.price(TINY, target="moon"),
    "`timing=late` is not one of": lambda: cm.price(TINY, timing="late"),
    "there is one table": lambda: cm.price(TINY, target="edge-asic", table=["horowitz45"]),
    "`attentions` is a list": lambda: cm.report(TINY, "dot"),
    "go with `task`": lambda: cm.report(TINY, limit=3),
    "`store` goes with `html`": lambda: cm.report(TINY, store="x.db"),
    "do not go with `as_run`": lambda: cm.report(TINY, widths="w8a8", as_run=True),
    "Linear has its own attention": lambda: cm.report(torch.nn.Linear(2, 2), ["dot"], inputs=(torch.zeros(1, 2),)),
    "Trace has its own attention": lambda: cm.report(cm.trace(TINY), ["dot"]),
    "`seq=0` is not at least 1": lambda: cm.report(TINY, seq=0),
    "`dtype=int8` is not one of": lambda: cm.report(TINY, dtype="int8"),
    "checkpoints that ship": lambda: cm.report(TINY, task="sst2"),
    "one of `text`, `file`, `random`": lambda: cm.simulate(TINY),
    "`overflow=never` is not one of": lambda: cm.simulate(TINY, random=1, overflow="never"),
    "are floats": lambda: cm.simulate(TINY, random=1, widths="bf16"),
    "unknown 'beauty'": lambda: cm.sweep(SPACE | {"objectives": ["beauty"]}),
    "space is not a table": lambda: cm.sweep([1]),
    "`workers=0`": lambda: cm.sweep(SPACE, workers=0),
    "cannot read": lambda: cm.sweep("nothing.toml"),
    "all with the same keys": lambda: cm.table([{"a": 1}, {"b": 1}]),
    "unknown target 'moon'": lambda: cm.target("moon"),
    "only a preset takes, not 'tests.user_models:linear'": lambda: cm.formula("tests.user_models:linear"),
    "have no form": lambda: cm.formula(TINY, break_even="S").expression(),
    "`quantity=mul`": lambda: cm.formula(TINY, of="add").expression("mul"),
    "`m=0` is not at least 1": lambda: cm.gemm(0, 1, 1),
    "`timing=never`": lambda: cm.gemm(1, 1, 1, timing="never"),
    "`kind=fft`": lambda: cm.gemm(1, 1, 1, kind="fft"),
    "`seed` goes with `trials`": lambda: cm.sweep(SPACE, seed=3),
    "leave them out with `scheduler`": lambda: cm.sweep(SPACE, workers=2, scheduler="tcp://127.0.0.1:1"),
    "there is no store": lambda: cm.pareto("nothing.db"),
    "`export=a.txt` does not end in": lambda: cm.pareto("nothing.db", export="a.txt"),
    "unknown table 'gold'": lambda: cm.price_tables("gold"),
    "a trace holds no module": lambda: cm.audit(cm.trace(TINY, seq=8)),
}


@pytest.mark.parametrize("says", list(MISTAKES))
def test_a_mistake_is_one_line(says: str) -> None:
    with pytest.raises((CostModelError, ModelError)) as caught:
        MISTAKES[says]()
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
