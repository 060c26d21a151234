"""`costmodel diff`: differences of parts add up to that of the totals, which are those of the reports."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from pathlib import Path

import pytest

import costmodel as cm
from costmodel.compare.breakdown import Breakdown, Section, difference
from costmodel.errors import CostModelError
from costmodel.show.breakdown_tables import difference_grids
from tests.sweep_store import make_store

TINY = ("distilbert-tiny", "--seq", "16", "--on", "edge-asic")
A = "distilbert-tiny --seq 16 --on edge-asic"
B = "distilbert-tiny --seq 16 --attention inhibitor --on edge-asic:array=16x16,lanes=32"


@pytest.fixture(scope="module")
def sweep_store(tmp_path_factory: pytest.TempPathFactory, session_cache: str) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COSTMODEL_CACHE", session_cache)
        return make_store(tmp_path_factory.mktemp("sweep"))


@pytest.fixture
def report(cli, tmp_path: Path) -> Path:
    path = tmp_path / "report.json"
    assert cli("report", *TINY, "--format", "json", "--output", str(path)).code == 0
    return path


def test_parts_add_up_to_the_totals_of_the_reports(cli, report: Path) -> None:
    record = json.loads(cli("diff", f"{report}#dot", f"{report}#inhibitor", "--format", "json").out)
    columns = json.loads(report.read_text())["columns"]
    a, b = (c["machine"] for c in columns)
    totals = {
        "energy by part": [m["energy_pj"]["total"][0] / 1e6 for m in (a, b)],
        "energy by layer": [m["energy_pj"]["total"][0] / 1e6 for m in (a, b)],
        "cycles by part": [a["cycles"], b["cycles"]],
        "cycles by layer": [a["cycles"], b["cycles"]],
        "bytes by level": [sum(m["bytes"].values()) for m in (a, b)],
        "area by part": [m["area_mm2"]["total"] for m in (a, b)],
        "operations": [c["flops"] for c in columns],
    }
    assert {s["title"] for s in record["sections"]} == set(totals)
    for s in record["sections"]:
        before, after = totals[s["title"]]
        assert math.isclose(s["total"]["a"], before, rel_tol=1e-12)
        assert math.isclose(s["total"]["b"], after, rel_tol=1e-12)
        moved = sum(row["difference"] for row in s["rows"])
        assert math.isclose(moved, after - before, rel_tol=1e-9, abs_tol=1e-9)
        sizes = [abs(row["difference"]) for row in s["rows"]]
        assert sizes == sorted(sizes, reverse=True)
        if s["total"]["difference"]:
            assert math.isclose(sum(row["share"] for row in s["rows"]), 1, rel_tol=1e-6)


def test_words_and_files_are_the_same_point(cli, report: Path) -> None:
    ran = cli("diff", A, f"{report}#0", "--format", "json")
    record = json.loads(ran.out)
    assert all(row["difference"] == 0 for s in record["sections"] for row in s["rows"])
    assert all(row["share"] is None for s in record["sections"] for row in s["rows"])


def test_forms_show_the_same_numbers(cli) -> None:
    record = json.loads(cli("diff", A, B, "--format", "json").out)
    rows = list(csv.DictReader(io.StringIO(cli("diff", A, B, "--format", "csv").out)))
    cycles = {row["part"]: row for row in rows if row["section"] == "cycles by part"}
    section = next(s for s in record["sections"] if s["title"] == "cycles by part")
    for row in section["rows"]:
        assert int(cycles[row["part"]]["difference"]) == row["difference"]
    assert int(cycles["total"]["difference"]) == section["total"]["difference"] > 0
    table, markdown = cli("diff", A, B).out, cli("diff", A, B, "--format", "md").out
    text = f"+{section['total']['difference']:,}".replace(",", " ")
    assert text in table
    assert text in markdown
    assert "area by part in mm²" in table


def test_without_a_target_operations_are_left(cli) -> None:
    ran = cli("diff", "distilbert-tiny --seq 8", A, "--format", "json")
    record = json.loads(ran.out)
    assert [s["title"] for s in record["sections"]] == ["operations"]
    assert "cycles by part" in record["only_one_has"]


def test_parts_of_one_side_only() -> None:
    a = Breakdown("a", (Section("cycles", "cycles", {"x": 3, "y": 4}),))
    b = Breakdown("b", (Section("cycles", "cycles", {"y": 1, "z": 5}),))
    (section,) = difference(a, b).sections
    assert [(r.part, r.amounts.difference) for r in section.rows] == [("z", 5), ("x", -3), ("y", -3)]
    assert (section.total.a, section.total.b, section.total.difference) == (7, 6, -1)
    (grid,) = difference_grids(difference(a, b))
    assert grid.rows[-1] == ("total", "7", "6", "-1", "100.0 %")
    with pytest.raises(CostModelError, match="nothing to compare"):
        difference(a, Breakdown("c", ()))


def test_points_of_a_store(cli, sweep_store: Path) -> None:
    import sqlite3

    record = json.loads(cli("diff", f"{sweep_store}#0", f"{sweep_store}#3", "--format", "json").out)
    query = "SELECT energy_uj, cycles, area_mm2 FROM points WHERE point IN (0, 3) ORDER BY point"
    with sqlite3.connect(sweep_store) as connection:
        stored = connection.execute(query).fetchall()
    titles = ("energy by part", "cycles by part", "area by part")
    found = {s["title"]: s["total"] for s in record["sections"]}
    for side, row in zip("ab", stored, strict=True):
        for title, value in zip(titles, row, strict=True):
            assert math.isclose(found[title][side], value, rel_tol=1e-9)


BAD = {
    "nofile.json": "there is no file nofile.json; ",
    "nofile.db#3": "there is no file nofile.db; ",
    "": "an empty point",
    "distilbert-tiny 'x": "No closing quotation",
    "distilbert-tiny --help": "asks for help",
    "distilbert-tiny --on mars": "unknown target 'mars'",
    "distilbert-tiny --html x": "--html is of no use in a point",
    "distilbert-tiny --table jouppi7": "--table is of no use in a point",
    "distilbert-tiny --attention dot --attention relu": "has several attentions; a point has one",
    "distilbert-tiny --seq 0": "--seq 0 is not at least 1",
    "distilbert-tiny --seq": "--seq needs a value",
    "distilbert-tiny --seq many": "--seq many is not a whole number",
    "distilbert-tiny --seq=65": "--seq 65 is beyond the 64 positions",
    "distilbert-tiny --batch 0": "--batch 0 is not at least 1",
    "distilbert-tiny --timing late": "--timing late is not one of",
    "distilbert-tiny --dtype int8": "--dtype int8 is not one of",
    "distilbert-tiny --colour red": "a report has no option --colour",
    "distilbert-tiny bert-base": "names 2 models; a point has one",
    " --seq 8": "names 0 models; a point has one",
    "distilbert-tiny --details": "--details is of no use in a point",
    "{report}": "has several columns; name one of",
    "{report}#relu": "has no single column 'relu'; name one of",
    "{text}": "is no JSON file",
    "{list}": "no report: {list} is no record of schema 1",
    "{old}": "no report: {old} is no record of schema 1",
    "{columns}": "no report: {columns} has no 'summary'",
    "{none}": "{none} has no columns",
    "{spoiled}#dot": "{spoiled}.columns[0].machine.cycles is 'many', no integer",
    "{store}": "name a point",
    "{store}#9999": "name a point",
    "{store}#x": "name a point",
}


@pytest.mark.parametrize("point", BAD)
def test_mistakes_are_one_line(cli, report: Path, sweep_store: Path, tmp_path: Path, point: str) -> None:
    files = {
        "text": "no json",
        "list": "[1]",
        "old": '{"columns": [{"attention": "dot"}]}',
        "columns": '{"schema": 1, "columns": [{"attention": "dot"}]}',
        "none": '{"schema": 1, "columns": [], "summary": "", "verdict": [], "complete": true}',
        "spoiled": re.sub(r'"cycles": \d+', '"cycles": "many"', report.read_text(), count=1),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    places = {name: tmp_path / name for name in files} | {"report": report, "store": sweep_store}
    out = tmp_path / "out.json"
    ran = cli("diff", point.format(**places), A, "--output", str(out))
    assert ran.code == 2
    assert ran.out == ""
    assert len(ran.err.strip().splitlines()) == 1
    assert BAD[point].format(**places) in ran.err
    assert not out.exists()


def test_results_files_and_words_are_the_same_point(cli, report: Path, monkeypatch, session_cache: str) -> None:
    monkeypatch.setenv("COSTMODEL_CACHE", session_cache)
    both = cm.report("distilbert-tiny", seq=16, target="edge-asic")
    alone = cm.report("distilbert-tiny", ["inhibitor"], seq=16, target="edge-asic")
    price = cm.price("distilbert-tiny", "inhibitor", seq=16, target="edge-asic")
    words = "distilbert-tiny --seq=16 --attention=inhibitor --on=edge-asic"
    said = json.loads(cli("diff", A, words, "--format", "json").out)["sections"]
    for b in (both.columns[1], alone, price, words, f"{report}#inhibitor"):
        assert cm.diff(A, b).to_dict()["sections"] == said
    assert cm.diff(report.with_name("report.json").as_posix() + "#dot", A).to_rows()[0]["difference"] == 0
    with pytest.raises(CostModelError, match="`a` is a report of several mechanisms, dot, inhibitor"):
        cm.diff(both, alone)
    with pytest.raises(CostModelError, match="`b` is a int"):
        cm.diff(alone, 3)  # type: ignore[arg-type]


def test_a_model_of_the_user_s_own_is_a_point(cli) -> None:
    ran = cli("diff", "tests.user_models:distilbert --on edge-asic", A, "--format", "json")
    record = json.loads(ran.out)
    assert {s["title"] for s in record["sections"]} >= {"cycles by part", "operations"}
