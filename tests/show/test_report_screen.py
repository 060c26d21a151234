"""A report fits one screen, whatever is asked for; its notes say what its tables say."""

from __future__ import annotations

import json
import re
import shlex

import pytest

import costmodel as cm
from costmodel.cli import in_options
from costmodel.cli.reports import command
from costmodel.show.report_tables import estimate_lines
from costmodel.show.verdict_lines import changed
from costmodel.technology.loading import load_table, table_names

LINES, COLUMNS = 45, 100
FEW = "--lengths 100..140"  # where all lengths would take long
THREE = "--attention dot --attention inhibitor --attention l1-softmax"
FIVE = f"{THREE} --attention relu --attention inhibitor-2023"
TWICE = "--attention dot --attention inhibitor --attention dot"
LONG = "--attention dot --attention inhibitor:normalise=sqrt,per_head=true --attention inhibitor:normalise=n"
SCREENS = [
    "distilbert",
    "distilbert --on edge-asic",
    f"distilbert {THREE} --on edge-asic",
    f"distilbert {FIVE} --on edge-asic",
    f"distilbert {FIVE}",
    f"distilbert-tiny {LONG} --on edge-asic",
    f"distilbert --on server-asic --widths w4a8:softmax=w8a16,acc=24 {THREE} {FEW}",
    f"distilbert --on tpu-v1-like {THREE} {FEW}",
    f"distilbert --on tpu-v4i-accelforge {THREE} {FEW}",
    f"distilbert --on xc7z020-lut {THREE} {FEW}",
    f"gpt2 --on edge-asic {THREE} --lengths 125..130",
    f"vit-base --on zu9eg {THREE}",
    f"bert-base --widths w8a8:acc=20 {THREE}",
    "t5-small --seq 64 --on edge-asic --lengths 60..70",
    "llama-3-8b --widths bf16",
    f"distilbert --dtype bfloat16 {THREE}",
    "distilbert " + " ".join(f"--table {name}" for name in table_names()),
    f"minilm-distilbert --task sst2 --stored --on edge-asic {FEW}",
    f"minilm-distilbert --task stsb --stored --on xc7z020 {FEW}",
    "minilm-distilbert --task cola --stored --widths w8a8",
    f"minilm-distilbert --task sst2 --stored --on edge-asic {TWICE} {FEW}",
    "tests.user_models:distilbert --on edge-asic",
    "tests.user_models:odd --device cpu --allow-unknown",
]


@pytest.mark.parametrize("words", SCREENS)
def test_a_report_fits_one_screen(cli, words: str) -> None:
    ran = cli("report", *shlex.split(words))
    assert ran.code == 0, ran.err
    lines = ran.out.splitlines()
    assert len(lines) <= LINES
    assert max(map(len, lines)) <= COLUMNS
    assert sum(line.startswith(" ─") for line in lines) == 1  # one table
    assert "More: --details prints" in ran.out


def test_it_is_what_the_function_prints(cli, monkeypatch, session_cache: str) -> None:
    monkeypatch.setenv("COSTMODEL_CACHE", session_cache)
    for details in (False, True):
        found = cm.report("distilbert-tiny", seq=16, target="edge-asic", details=details)
        flags = ["--details"] if details else []
        said = cli("report", "distilbert-tiny", "--seq", "16", "--on", "edge-asic", *flags).out
        assert in_options(str(found), command.params) + "\n" == said
        assert (len(said.splitlines()) > LINES) == details


def test_the_table_has_the_figures_of_the_record(cli) -> None:
    args = ("report", "distilbert", "--seq", "384", "--on", "edge-asic")
    record = json.loads(cli(*args, "--format", "json").out)
    text = cli(*args).out
    first = [" ".join(line.split()) for line in text.splitlines()]
    for column in record["columns"]:
        for value in (column["counts"]["mul"], column["counts"]["add"], column["machine"]["cycles"]):
            assert f"{value:,}".replace(",", " ") in text
        moved = column["machine"]["bytes"]["dram_read"] + column["machine"]["bytes"]["dram_write"]
        assert f"{moved:,}".replace(",", " ") in text
    energies = [c["machine"]["energy_pj"]["total"] for c in record["columns"]]
    assert "energy, mJ " + " ".join(f"{e[0] / 1e9:.4g}" for e in energies) in first
    assert "low to high " + " ".join(f"{e[1] / 1e9:.4g} to {e[2] / 1e9:.4g}" for e in energies) in first
    # What answers another question is not there.
    assert "operand" not in text
    assert "upper bound" not in text


def test_the_upper_bound_has_its_name(cli) -> None:
    text = " ".join(cli("report", "distilbert").out.split())
    assert "with every operand fetched from dram, an upper bound, takes 1.05 to" in text
    assert "energy of arithmetic under horowitz45" in text


def test_the_lead_says_where_and_how_sure(cli) -> None:
    record = json.loads(cli("report", "distilbert", "--on", "edge-asic", "--format", "json").out)
    text = " ".join(cli("report", "distilbert", "--on", "edge-asic").out.split())
    found = [v["core_arithmetic"]["nominal"] for v in record["machine_verdict"] if v["core_arithmetic"]]
    assert f"{min(found):.2f} to {max(found):.2f} times the energy over {len(found)} cost tables" in text
    whole = [v["model_with_memory"] for v in record["machine_verdict"] if v["model_with_memory"]]
    ends = f"{min(v['low'] for v in whole):.2f} to {max(v['high'] for v in whole):.2f} times"
    assert f"the model on the machine takes {ends}" in text
    a, b = (c["machine"]["energy_pj"] for c in record["columns"])
    changes = {part: (b[part][0] - a[part][0]) / 1e6 for part in ("array", "vector", "buffer", "dram")}
    assert f"changes most, by {max(changes.values(), key=abs):+,.1f} µJ" in text


def test_changes_in_words() -> None:
    assert changed(100, 100, "fewer", "cycles") == "as many cycles"
    assert changed(100, 100, "less", "energy") == "the same energy"
    assert changed(100, 97.3, "fewer", "cycles") == "2.7 % fewer cycles"
    assert changed(100, 150, "less", "energy") == "50.0 % more energy"
    assert changed(100, 310, "less", "energy") == "3.1 times the energy"
    assert changed(100_000, 99_999, "fewer", "cycles") == "0.001 % fewer cycles"
    assert changed(0, 5, "fewer", "multiplications") == "more multiplications"


def test_estimates_are_those_of_the_table(cli) -> None:
    """It once said 1 to 20 pJ of every table, whatever the table said."""
    for name in ("accelforge", "horowitz45"):
        text = cli("report", "distilbert-tiny", "--seq", "8", "--table", name, "--details").out
        (line,) = re.findall(f"{name} has no row for some operations and estimates: (.*)", text)
        assert ("1 to 20 pJ" in line) == (name == "horowitz45")
        assert ("exp, erf, div, sqrt 0 pJ" in line) == (name == "accelforge")
        for estimate in load_table(name).estimates:
            if "lookup" not in estimate.ops or "exp" in estimate.ops:
                assert f"{estimate.high:g} " in line


def test_a_table_that_prices_all_has_no_estimate() -> None:
    from dataclasses import replace

    columns = cm.report("distilbert-tiny", seq=8).columns
    table = load_table("horowitz45")
    assert estimate_lines(replace(table, estimates=()), columns) == []
