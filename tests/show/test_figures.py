"""Figures draw the numbers of the record, and the numbers that only figures show are those of other commands."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from costmodel.compare.evaluation import Evaluation, Measured, Ranges
from costmodel.compare.records import ReportColumn, ReportRecord
from costmodel.explore.front_records import DrawnPoint, FrontPicture
from costmodel.explore.goals import Objective
from costmodel.records import from_json, to_json
from costmodel.show.figures import figures_of
from costmodel.show.machine_figures import machine_figures
from costmodel.show.page import lead_of
from costmodel.show.plots import Picture, compact, full, log_ticks, panel
from costmodel.show.sweep_figures import front_figure
from costmodel.show.verdict_lines import short_names

ARGS = ("report", "distilbert-tiny", "--seq", "16", "--on", "edge-asic")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory, session_cache: str) -> dict[str, Any]:
    """The record that a page was made of."""
    from click.testing import CliRunner

    from costmodel.cli import group

    folder = tmp_path_factory.mktemp("figures")
    args = [
        *ARGS,
        "--html",
        str(folder / "page.html"),
        "--format",
        "json",
        "--output",
        str(folder / "record.json"),
    ]
    ran = CliRunner().invoke(group, args, env={"COSTMODEL_CACHE": session_cache}, catch_exceptions=False)
    assert ran.exit_code == 0, ran.output
    record: dict[str, Any] = json.loads((folder / "record.json").read_text())
    return record


def typed(record: dict[str, Any]) -> ReportRecord:
    return from_json(ReportRecord, record, "the record")


@pytest.fixture
def pictures(drawn: dict[str, Any]) -> dict[str, Picture]:
    record = typed(drawn)
    return {p.key: p for p in [*figures_of(record), *machine_figures(record)]}


def test_the_record_is_read_as_it_was_written(drawn: dict[str, Any]) -> None:
    assert json.loads(json.dumps(to_json(typed(drawn)))) == drawn


def traces(picture: Picture, n: int = 0, kind: str = "bar") -> list[dict[str, Any]]:
    return [t for t in picture.panels[n].figure["data"] if t["type"] == kind]


def test_bars_are_the_numbers_of_the_plain_report(cli, pictures: dict[str, Picture]) -> None:
    columns = json.loads(cli(*ARGS, "--format", "json").out)["columns"]
    energy, traffic, operations = (traces(pictures[k]) for k in ("energy", "traffic", "operations"))
    for i, c in enumerate(columns):
        m = c["machine"]
        assert math.isclose(1e6 * sum(energy[2 * i]["x"]), m["energy_pj"]["total"][0])
        assert math.isclose(1e6 * sum(energy[2 * i + 1]["x"]), m["core_energy_pj"]["total"][0])
        error = energy[2 * i]["error_x"]
        assert math.isclose(1e6 * (sum(energy[2 * i]["x"]) + sum(error["array"])), m["energy_pj"]["total"][2])
        assert math.isclose(1e6 * (sum(energy[2 * i]["x"]) - sum(error["arrayminus"])), m["energy_pj"]["total"][1])
        assert list(traffic[2 * i]["x"]) == list(m["bytes"].values())
        assert list(traffic[2 * i + 1]["x"]) == list(m["core_bytes"].values())
        assert sum(operations[2 * i]["x"]) == c["flops"]
        assert sum(operations[2 * i + 1]["x"]) == c["attention_core"]["flops"]


def test_timeline_covers_the_cycles(drawn: dict[str, Any], pictures: dict[str, Picture]) -> None:
    lanes = traces(pictures["timeline"])
    for i, c in enumerate(drawn["columns"]):
        m = c["machine"]
        ms = 1e3 * m["seconds"]
        ends = [b + x for t in lanes[5 * i : 5 * i + 5] for b, x in zip(t["base"], t["x"], strict=True)]
        assert 0.9 * ms < max(ends) <= ms * (1 + 1e-9)
        busy = sum(lanes[5 * i]["x"])
        assert math.isclose(busy * 500e3, sum(s["array_cycles"] for s in m["steps"]))


def test_roofline_is_never_beaten_and_holds_all_products(drawn: dict[str, Any]) -> None:
    roof = drawn["pictures"]["roofline"]
    assert roof["pairs_per_cycle"] == 32 * 32
    for c, column in zip(roof["columns"], drawn["columns"], strict=True):
        *steps, model = c["points"]
        assert sum(p["pairs"] * p["times"] for p in steps) == model["pairs"]
        assert model["cycles"] == column["machine"]["cycles"]
        assert math.isclose(model["pairs_per_cycle"] / 1024, column["machine"]["utilisation"])
        for p in c["points"]:
            roofs = [roof["pairs_per_cycle"], (p["pairs_per_byte"] or math.inf) * roof["dram_bytes_per_cycle"]]
            assert p["pairs_per_cycle"] <= min(roofs) * (1 + 1e-9)
    # Every multiply-accumulate of the dot product is one pair.
    assert roof["columns"][0]["points"][-1]["pairs"] == drawn["columns"][0]["macs"]


def test_shares_at_the_lengths_are_those_of_reports(cli, drawn: dict[str, Any]) -> None:
    shares = drawn["pictures"]["shares"]
    seq = shares["seq"][1]
    args = ("report", "distilbert-tiny", "--seq", str(seq), "--on", "edge-asic", "--format", "json")
    for found, c in zip(shares["columns"], json.loads(cli(*args).out)["columns"], strict=True):
        m = c["machine"]
        assert found["mul"][1] == [c["attention_core"]["counts"]["mul"], c["counts"]["mul"]]
        assert found["flops"][1] == [c["attention_core"]["flops"], c["flops"]]
        assert found["cycles"][1] == [m["core_cycles"], m["cycles"]]
        assert found["energy_pj"][1] == [m["core_energy_pj"]["total"][0], m["energy_pj"]["total"][0]]


def test_verdict_marks_are_the_ratios(drawn: dict[str, Any], pictures: dict[str, Picture]) -> None:
    rows = drawn["machine_verdict"]
    for n, keys in enumerate((("core_arithmetic", "core_with_memory"), ("model_arithmetic", "model_with_memory"))):
        for trace, key in zip(traces(pictures["verdict"], n, "scatter"), keys, strict=True):
            found = [row[key] for row in rows if row[key]]
            assert list(trace["x"]) == [r["nominal"] for r in found]
            ends = zip(trace["x"], trace["error_x"]["arrayminus"], found, strict=True)
            assert all(math.isclose(x - d, r["low"]) for x, d, r in ends)


def test_lead_is_honest(drawn: dict[str, Any]) -> None:
    text = lead_of(typed(drawn))
    a, b = (c["machine"] for c in drawn["columns"])
    change = 100 * (b["cycles"] / a["cycles"] - 1)
    assert f"{abs(change):.1f} % {'more' if change > 0 else 'fewer'} cycles" in text
    change = 100 * (b["energy_pj"]["total"][0] / a["energy_pj"]["total"][0] - 1)
    digits = 1 if abs(change) >= 0.05 else 2  # a small share has two
    assert f"{abs(change):.{digits}f} % {'more' if change > 0 else 'less'} energy with inhibitor" in text
    assert f"{100 * a['core_cycles'] / a['cycles']:.1f} % of the cycles" in text
    assert "No other attention can save more than that." in text


def test_accuracy_stands_beside_energy(drawn: dict[str, Any]) -> None:
    def result(value: float) -> Measured:
        return Measured({"accuracy": value}, (value - 0.02, value + 0.02), 1.0)

    accuracy = tuple(
        Evaluation(
            model="m", attention="a", task="sst2", source="some", examples=9, limited=False, note="", stored=True,
            calibration=Ranges("mse", 1), results={"float32": result(v), "w8a8": result(v - 0.01)},
        )
        for v in (0.9, 0.88)
    )  # fmt: skip
    record = replace(typed(drawn), accuracy=accuracy)
    picture = {p.key: p for p in figures_of(record)}["accuracy"]
    marks = traces(picture, 0, "scatter")
    assert [list(t["x"]) for t in marks] == [pytest.approx([90, 89]), pytest.approx([88, 87])]
    total = drawn["columns"][1]["machine"]["energy_pj"]["total"][0]
    assert math.isclose(traces(picture, 1)[2]["x"][0] * 1e6, total)
    assert "89.0 % (87.0 to 91.0) with dot" in lead_of(record)


def test_what_was_not_asked_for_is_not_drawn(cli, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    ran = cli("report", "distilbert-tiny", "--seq", "8", "--html", str(path), "--format", "json")
    record = json.loads(ran.out)
    found = [p.key for p in [*figures_of(typed(record)), *machine_figures(typed(record))]]
    assert found == ["operations", "energy", "verdict", "shares"]
    energy = {p.key: p for p in figures_of(typed(record))}["energy"]
    assert [p.title for p in energy.panels] == ["under horowitz45", "under jouppi7"]
    for panel_, table in zip(energy.panels, ("horowitz45", "jouppi7"), strict=True):
        whole = panel_.figure["data"][0]["x"]
        assert math.isclose(1e6 * sum(whole), record["columns"][0]["energy_pj"][table]["total"][0])


def test_a_target_without_prices(cli, tmp_path: Path) -> None:
    args = ("report", "distilbert-tiny", "--seq", "8", "--on", "xc7z020", "--format", "json")
    ran = cli(*args, "--html", str(tmp_path / "page.html"))
    assert ran.code == 0, ran.err
    record = json.loads(ran.out)
    assert record["columns"][0]["machine"]["energy_pj"]["total"] is None
    assert [p.key for p in figures_of(typed(record))] == ["operations", "traffic", "verdict"]
    assert "of the cycles on" in lead_of(typed(record))


def test_a_front_is_that_of_its_points() -> None:
    points = [(1, 5, True), (2, 3, True), (3, 4, False), (4, 1, True)]
    made = [
        DrawnPoint(i, f, {"energy_uj": x, "latency_ms": y}, {"attention": "dot", "seq": i})
        for i, (x, y, f) in enumerate(points)
    ]
    front = FrontPicture(
        *("s.db", "s.toml", 5, 1, 4, 3, 4),
        objectives=(Objective("energy_uj", "min"), Objective("latency_ms", "min")),
        attentions=("dot",),
        colours=(0,),
        varied=("seq",),
        apart=(),
        points=tuple(made),
    )
    picture = front_figure(front)
    beaten, best = traces(picture, 0, "scatter")
    assert list(best["x"]) == [1, 2, 4]
    assert list(beaten["y"]) == [4]
    assert picture.grid.rows[0] == ("0", "1", "5", "seq=0")


def test_names_and_digits(drawn: dict[str, Any]) -> None:
    (column, *_) = typed(drawn).columns

    def named(name: str) -> ReportColumn:
        subject = replace(column.count.subject, attention=name)
        return replace(column, count=replace(column.count, subject=subject))

    assert short_names([named("a:x=1"), named("b")]) == ["a", "b"]
    assert short_names([named("a:x=1"), named("a")]) == ["a:x=1", "a"]
    assert [compact(x) for x in (0, 12.34, 1480, 999_600, 1.441e9)] == ["0", "12.3", "1.48 k", "1,000 k", "1.44 G"]
    assert [full(x) for x in (1234567, 3042.17, 0.51234)] == ["1 234 567", "3 042.2", "0.5123"]
    assert log_ticks(3, 120) == [5, 10, 20, 50, 100]


def test_a_wrong_property_is_refused() -> None:
    with pytest.raises(ValueError, match="Invalid property"):
        panel("", [{"type": "bar", "colour": "red"}], {}, 100)
