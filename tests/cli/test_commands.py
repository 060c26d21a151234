"""The command line: records, forms, the cache, and one line for every mistake."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shlex
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from costmodel.api import cache
from costmodel.counting.tally import GROUPINGS
from costmodel.ops.counts import ARITHMETIC
from costmodel.technology.loading import DATA

ALWAYS = [name for name in ARITHMETIC if name not in ("log", "trig")]


def test_count_json(cli) -> None:
    record = json.loads(cli("count", "distilbert", "--seq", "128", "--format", "json").out)
    assert list(record)[:8] == ["schema", "model", "attention", "batch", "seq", "dtype", "params", "counts"]
    assert (record["model"], record["attention"], record["batch"], record["seq"]) == ("distilbert", "dot", 1, 128)
    assert list(record["counts"]) == ALWAYS
    assert record["counts"]["mul"] == 5598907648
    assert record["counts"]["add"] == 5596140928
    assert list(record["bytes"]) == ["operand_read", "operand_write", "compulsory", "peak_live"]
    assert record["params"] == 66362880
    assert record["macs"] == 5586812928
    assert record["flops"] == 11200940928
    assert record["complete"]
    assert not record["unknown"]
    for name in ALWAYS:
        assert sum(row["counts"][name] for row in record["rows"]) == record["counts"][name]


@pytest.mark.parametrize("by", GROUPINGS)
def test_every_grouping_and_form_shows_the_same(cli, by: str) -> None:
    args = ("count", "distilbert-tiny", "--seq", "8", "--by", by)
    record = json.loads(cli(*args, "--format", "json").out)
    lines = list(csv.DictReader(io.StringIO(cli(*args, "--format", "csv").out)))
    assert [line["key"] for line in lines] == [row["key"] for row in record["rows"]]
    for line, row in zip(lines, record["rows"], strict=True):
        assert int(line["mul"]) == row["counts"]["mul"]
        assert line["complete"] == "yes"
        assert int(line["operand_read_bytes"]) == row["bytes"]["operand_read"]
    total = f"{record['counts']['mul']:,}".replace(",", " ")
    for form in ("table", "md"):
        text = cli(*args, "--format", form).out
        assert total in text
        assert all(row["key"] in text for row in record["rows"])


def test_report_json(cli) -> None:
    ran = cli(
        "report",
        "distilbert",
        "--attention",
        "dot",
        "--attention",
        "inhibitor",
        "--seq",
        "128",
        "--format",
        "json",
    )
    dot, inhibitor = (columns := json.loads(ran.out)["columns"])
    assert [c["attention"] for c in columns] == ["dot", "inhibitor"]
    for column in columns:
        for table in ("horowitz45", "jouppi7"):
            energy = column["energy_pj"][table]
            assert energy["total"][0] == pytest.approx(energy["arithmetic"][0] + energy["memory"][0])
            nominal, low, high = energy["arithmetic"]
            assert low <= nominal <= high
    counts, energy = dot["counts"], dot["energy_pj"]["horowitz45"]
    expected = counts["mul"] * 3.7 + (counts["add"] + counts["cmp"]) * 0.9
    expected += (counts["exp"] + counts["erf"] + counts["div"] + counts["sqrt"]) * 4.47
    assert energy["arithmetic"][0] == pytest.approx(expected)
    moved = dot["bytes"]["operand_read"] + dot["bytes"]["operand_write"]
    assert energy["memory"][0] == pytest.approx(moved * 1950 / 8)
    assert inhibitor["attention_core"]["counts"]["abs"] == 75497472


def test_verdict(cli) -> None:
    record = json.loads(cli("report", "distilbert", "--seq", "128", "--format", "json").out)
    dot, inhibitor = (c["energy_pj"]["horowitz45"] for c in record["columns"])
    (row,) = (r for r in record["verdict"] if r["table"] == "horowitz45")
    assert row["core_arithmetic"]["nominal"] == inhibitor["core_arithmetic"][0] / dot["core_arithmetic"][0]
    assert row["model_with_memory"]["nominal"] == inhibitor["total"][0] / dot["total"][0]
    assert (row["attention"], row["over"], row["column"]) == ("inhibitor", "dot", 1)
    for key in ("core_arithmetic", "model_arithmetic", "core_with_memory", "model_with_memory"):
        assert row[key]["low"] <= row[key]["nominal"] <= row[key]["high"]
    assert row["core_arithmetic"]["nominal"] < 1 < row["core_with_memory"]["nominal"]
    # By hand: the core's ratio at its low end has comparisons and abs free and exp, div at 20 pJ.
    c, core = dot["core_parts"], inhibitor["core_parts"]
    costly = "exp, erf, tanh, log, trig, div, sqrt"
    low = core["published"][2] / (c["published"][2] + c["cmp"][1] + c[costly][2])
    assert row["core_arithmetic"]["low"] == pytest.approx(low)
    high = (core["published"][2] + core["cmp"][2] + core["abs"][2]) / (
        c["published"][2] + c["cmp"][2] + c[costly][1]
    )
    assert row["core_arithmetic"]["high"] == pytest.approx(high)


def test_report_says_what_changed(cli) -> None:
    for seq, share in ((128, "2.7 %"), (512, "10.1 %")):
        first = " ".join(cli("report", "distilbert", "--seq", str(seq)).out.split())
        assert f"At S={seq} the attention core of dot holds {share} of the multiplications of distilbert" in first
        text = cli("report", "distilbert", "--seq", str(seq), "--details").out
        assert f"At S={seq} the attention core of dot holds {share} of the multiplications of distilbert" in text
        assert "Horowitz" in text
        assert "Jouppi" in text
        assert "Energy is an estimate" in text


def test_report_forms(cli) -> None:
    args = ("report", "distilbert-tiny", "--seq", "8")
    lines = list(csv.DictReader(io.StringIO(cli(*args, "--format", "csv").out)))
    record = json.loads(cli(*args, "--format", "json").out)
    found = {(line["attention"], line["figure"]): line["value"] for line in lines}
    for column in record["columns"]:
        assert int(found[column["attention"], "mul"]) == column["counts"]["mul"]
        (energy, _, _) = column["energy_pj"]["jouppi7"]["total"]
        assert float(found[column["attention"], "jouppi7 total"]) == pytest.approx(energy)
    assert {line["figure"] for line in lines} >= {"mul", "compulsory", "horowitz45 core_arithmetic over dot"}
    assert "| multiplies |" in cli(*args, "--details", "--format", "md").out
    assert "| multiplications |" in cli(*args, "--format", "md").out
    for form in ("json", "csv"):  # whole in either case
        assert cli(*args, "--details", "--format", form).out == cli(*args, "--format", form).out


def test_a_table_without_the_number_type_says_so(cli) -> None:
    args = ("report", "distilbert-tiny", "--seq", "8", "--dtype", "bfloat16")
    record = json.loads(cli(*args, "--format", "json").out)
    energy = record["columns"][0]["energy_pj"]
    assert energy["horowitz45"]["total"] is None
    assert energy["horowitz45"]["missing"] == "table horowitz45 has no row for mul of bfloat16"
    assert energy["jouppi7"]["total"][0] > 0
    assert "no row for mul of bfloat16" in cli(*args).out


def test_audit(cli) -> None:
    record = json.loads(cli("audit", "distilbert", "--device", "cpu", "--format", "json").out)
    assert record["totals"]["FlopCounterMode"] == 10871635968
    assert record["totals"]["fvcore"] == 5442207744
    rows = {row["op"]: row for row in record["rows"]}
    assert rows["matmul of activations"] == {
        "op": "matmul of activations", "costmodel": 300220416, "FlopCounterMode": None, "fvcore": None
    }  # fmt: skip
    assert "softmax" in record["left_out"]["fvcore"]
    eager = json.loads(cli("audit", "distilbert", "--attention", "eager", "--format", "json").out)
    assert eager["totals"]["FlopCounterMode"] == 11173625856 == 2 * eager["totals"]["costmodel_macs"]
    assert "FlopCounterMode leaves out" in cli("audit", "distilbert-tiny").out


def test_formula(cli) -> None:
    record = json.loads(cli("formula", "distilbert", "--of", "mul", "--format", "json").out)
    numbers = {"B": 1, "S": 128, "d": 64, "H": 12, "F": 3072, "L": 6}
    assert eval(record["formulas"]["mul"], numbers) == 5598907648
    solved = json.loads(
        cli("formula", "distilbert", "--of", "energy_pj", "--break-even", "S", "--format", "json").out
    )
    (root,) = solved["break_even"]
    assert 1 < root < 2
    assert "inhibitor has less energy_pj above 1.23" in solved["verdict"]
    assert "| exp |" in cli("formula", "distilbert", "--format", "md").out
    assert "never" in cli("formula", "distilbert", "--of", "energy_pj", "--break-even", "d").out
    lines = list(csv.DictReader(io.StringIO(cli("formula", "distilbert", "--format", "csv").out)))
    assert {line["quantity"] for line in lines} >= {"mul", "add", "read_bytes", "flops"}


def test_gemm(cli) -> None:
    args = ("gemm", "128", "768", "768", "--array", "32x32", "--dataflow", "os")
    record = json.loads(cli(*args, "--timing", "scalesim", "--format", "json").out)
    assert record["cycles"] == 79679
    assert record["sram_ofmap_writes"] == 104448
    assert record["sram_ifmap_reads"] == record["sram_filter_reads"] == 2359296
    assert record["utilisation"] == pytest.approx(128 * 768 * 768 / (1024 * 79679))
    records = json.loads(cli(*args, "--timing", "all", "--format", "json").out)["timings"]
    assert [r["timing"] for r in records] == ["array", "ideal", "paper", "scalesim"]
    lines = list(csv.DictReader(io.StringIO(cli(*args, "--timing", "all", "--format", "csv").out)))
    assert [int(line["cycles"]) for line in lines] == [r["cycles"] for r in records]
    assert "79 679" in cli(*args, "--timing", "all").out


def test_tables(cli) -> None:
    text = cli("tables").out
    assert "horowitz45: Horowitz, 45 nm, 0.9 V" in text
    assert "jouppi7" in text
    assert "pJ/op" in text
    record = json.loads(cli("tables", "jouppi7", "--format", "json").out)
    assert [t["name"] for t in record["tables"]] == ["jouppi7"]
    lines = list(csv.DictReader(io.StringIO(cli("tables", "--format", "csv").out)))
    assert all(line["source"] for line in lines)
    assert "| mul | int8 | 0.2 | 282 | published |" in cli("tables", "horowitz45", "--format", "md").out


def test_a_function_of_the_user(cli) -> None:
    record = json.loads(cli("count", "tests.user_models:linear", "--device", "cpu", "--format", "json").out)
    assert record["counts"]["mul"] == record["counts"]["add"] == 24
    assert record["batch"] is record["seq"] is None
    assert record["attention"] == "native"


def test_allow_unknown_marks_every_form(cli) -> None:
    for form in ("table", "md", "csv", "json"):
        ran = cli("count", "tests.user_models:odd", "--device", "cpu", "--allow-unknown", "--format", form)
        assert ran.code == 0
        assert "aten._linalg_svd" in ran.out
        if form == "json":
            record = json.loads(ran.out)
            assert record["complete"] is False
            assert len(record["unknown"]) == 1
        else:
            assert "INCOMPLETE" in ran.out


def test_audit_marks_what_is_missing(cli) -> None:
    args = ("audit", "tests.user_models:odd", "--device", "cpu", "--allow-unknown", "--format")
    for form in ("table", "md", "csv"):
        text = cli(*args, form).out
        assert "INCOMPLETE" in text
        assert "aten._linalg_svd" in text
    record = json.loads(cli(*args, "json").out)
    assert record["complete"] is False
    assert len(record["unknown"]) == 1


def test_output_is_written_whole(cli, tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    ran = cli("count", "distilbert-tiny", "--seq", "4", "--format", "json", "--output", str(target))
    assert ran.code == 0
    assert ran.out == ""
    assert json.loads(target.read_text())["seq"] == 4
    before = target.read_text()
    assert cli("count", "tests.user_models:odd", "--device", "cpu", "--output", str(target)).code == 2
    assert target.read_text() == before
    assert os.listdir(tmp_path) == ["out.json"]


CONFIGS = {
    "list": [1],
    "stranger": {"model_type": "abacus"},
    "misfit": {"model_type": "bert", "hidden_size": 10, "num_attention_heads": 3},
    "negative": {"model_type": "distilbert", "dim": -4},
    "thin": {"model_type": "distilbert", "hidden_dim": 0},
    "thinner": {"model_type": "bert", "intermediate_size": 0},
    "altered": {"model_type": "distilbert", "attention_mechanism": {"name": "dot", "color": "red"}},
    "renamed": {"model_type": "distilbert", "attention_mechanism": {"name": "dott"}},
}


# Tables of a user's own that are wrong: what replaces what in a copy of horowitz45.
FIRST_ROW = b'op = "add"\ndtype = "int8"\nenergy_pj = 0.03'
BAD_TABLES = {
    "missing": (b"node_nm = 45\n", b""),
    "unknown": (FIRST_ROW, FIRST_ROW + b'\ncolor = "red"'),
    "words": (b"energy_pj = 0.03", b'energy_pj = "low"'),
    "below": (b"energy_pj = 0.03", b"energy_pj = -0.03"),
    "nan": (b"energy_pj = 0.03", b"energy_pj = nan"),
    "endless": (b"energy_pj = 0.03", b"energy_pj = inf"),
    "unsourced": (b'source = "as the table"', b'source = ""'),
    "twice": (b'dtype = "int16"', b'dtype = "int8"'),
    "op": (b'op = "add"', b'op = "ad"'),
    "dtype": (b'dtype = "int8"', b'dtype = "byte"'),
    "syntax": (b"node_nm = 45", b"node_nm ="),
    "latin": (b"Horowitz", b"Horow\xeftz"),
}


@pytest.fixture
def models(tmp_path: Path) -> Path:
    good = (DATA / "horowitz45.toml").read_bytes()
    for name, (old, new) in BAD_TABLES.items():
        (tmp_path / f"{name}.toml").write_bytes(good.replace(old, new, 1))
    for name in ("pickled", "torn", "empty", "nonsense"):
        (tmp_path / name).mkdir()
    for name in ("pickled", "torn"):
        (tmp_path / name / "config.json").write_text('{"model_type": "bert", "vocab_size": 30}')
    (tmp_path / "pickled" / "pytorch_model.bin").write_bytes(b"pickle")
    (tmp_path / "torn" / "model.safetensors").write_bytes(b"\x00\x01")
    (tmp_path / "nonsense" / "config.json").write_text("{")
    for name, config in CONFIGS.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps(config))
    return tmp_path


@pytest.mark.parametrize("kind", ["mac", "l1", "clip", "relu"])
def test_gemm_on_a_target(cli, kind: str) -> None:
    """Bytes and energy of one product, against the tile search and the table's rows."""
    ran = cli("gemm", "128", "768", "768", "--kind", kind, "--on", "edge-asic", "--format", "json")
    record = json.loads(ran.out)
    assert {"cycles", "sram_ifmap_reads", "sram_filter_reads", "sram_ofmap_writes", "utilisation"} <= record.keys()
    moved = record["moved_bytes"]
    assert moved["dram_read"] + moved["dram_write"] >= record["lower_bound_bytes"]
    terms, outputs = 128 * 768 * 768, 128 * 768
    sums = 0.1 * (terms - outputs)  # int32 adds of Horowitz
    pairs = {"mac": 0.2, "l1": 0.03 + 0.03, "clip": 2 * 0.03, "relu": 2 * (0.03 + (0.05 - 0.03) / 8)}[kind]
    assert record["energy_pj"]["array"][0] == pytest.approx(pairs * terms + sums)
    assert record["energy_pj"]["total"][0] == pytest.approx(
        sum(record["energy_pj"][part][0] for part in ("array", "vector", "buffer", "dram"))
    )
    assert record["step_cycles"] > record["cycles"] * 0.9
    assert "pJ" not in cli("gemm", "8", "8", "8", "--on", "xc7z020").out
    assert "No energy is published for this target." in cli("gemm", "8", "8", "8", "--on", "xc7z020").out


def test_report_on_a_target(cli) -> None:
    args = ("report", "distilbert", "--seq", "64", "--on", "edge-asic", "--widths", "w8a8", "--lengths", "60..68")
    record = json.loads(cli(*args, "--format", "json").out)
    for column in record["columns"]:
        machine = column["machine"]
        assert machine["cycles"] == sum(step["cycles"] for step in machine["steps"])
        for key, total in machine["bytes"].items():
            assert total == pytest.approx(
                sum(step["bytes"][key] for step in machine["steps"]), abs=len(machine["steps"])
            )
        total = machine["energy_pj"]["total"][0]
        assert total == pytest.approx(sum(step["energy_pj"][0] for step in machine["steps"]))
        assert total == pytest.approx(sum(e[0] for e in machine["energy_by_layer_pj"].values()))
        assert machine["energy_delay_js"] == pytest.approx(total * 1e-12 * machine["seconds"])
        assert machine["cycles"] >= machine["roofline_cycles"]
        assert column["widths"]["counts"]["mul"]["int8"] > 0
    tables = {row["table"]: row for row in record["machine_verdict"]}
    assert set(tables) == {"aladdin40", "horowitz45", "jouppi7", "nangate45", "seneca22"}
    assert tables["jouppi7"]["model_with_memory"] is None  # another node than the target's
    assert tables["horowitz45"]["core_arithmetic"]["nominal"] < 1
    assert "seneca22 has no row" in tables["seneca22"]["missing"]
    assert set(record["over_lengths"]) == {"inhibitor"}
    ran = cli(*args, "--details")
    for text in (
        "On edge-asic the attention core of dot takes",
        "no other attention can save more than that",
        "Against dot at every whole length, cycles: inhibitor takes",
        "at which lengths S it takes less than dot",
        "Interpolated widths (horowitz45): ",
        "Clocks, wires, leakage and idle PEs are not modelled.",
        "verdict over tables",
    ):
        assert text in ran.out


def test_report_at_widths_without_a_target(cli) -> None:
    ran = cli("report", "distilbert", "--seq", "8", "--widths", "w8a8:acc=20")
    assert "dot: sums of matmul take 25 bits and may overflow accumulators of 20." in ran.out
    ran = cli("report", "distilbert", "--seq", "8", "--widths", "w8a8:acc=20", "--details")
    assert "operations by width, w8a8:acc=20" in ran.out
    assert "interpolated: " in ran.out
    record = json.loads(
        cli("report", "distilbert", "--seq", "8", "--widths", "w8a8:acc=20", "--format", "json").out
    )
    found = record["columns"][0]["widths"]["may_overflow"]
    assert {"op": "matmul", "exact_bits": 25, "accumulator_bits": 20} in found


def test_an_fpga_prints_resources_and_no_energy(cli) -> None:
    args = ("report", "distilbert", "--seq", "8", "--on", "xc7z020", "--lengths", "8..12")
    ran = cli(*args, "--details")
    assert re.search(r"DSP\s+210\s+220", ran.out)
    assert "No energy of arithmetic or buffers is published for this target: none is given." in ran.out
    record = json.loads(cli(*args, "--format", "json").out)
    assert record["columns"][0]["machine"]["energy_pj"]["total"] is None
    assert record["columns"][0]["machine"]["resources"]["bram36"] == [128, 140]


def test_targets(cli) -> None:
    assert "tpu-v4i-accelforge" in cli("targets").out
    record = json.loads(cli("targets", "xc7z020", "--format", "json").out)["targets"][0]
    arrays = {(row["kinds"], row["dsp"]): row["pes"] for row in record["largest_arrays"]}
    assert arrays["mac", True] == 220
    assert arrays["l1+clip", False] > 3.5 * arrays["mac", False]  # without multipliers; sums of 32 bits
    for form in ("csv", "md"):
        assert "edge-asic" in cli("targets", "--format", form).out


def test_formula_on_a_target(cli) -> None:
    record = json.loads(cli("formula", "distilbert", "--on", "edge-asic", "--format", "json").out)
    assert set(record["formulas"]) == {"cycles", "moved_bytes", "buffer_bytes", "energy_pj"}
    assert "ceiling" in record["formulas"]["cycles"]
    args = ("formula", "distilbert", "--of", "cycles", "--on", "tpu-v1-like", "--break-even", "S")
    ran = cli(*args, "--lengths", "1..40")
    assert re.search(
        r"Of cycles inhibitor takes, against dot, fewer at S=1\.\.(\d+), .*more at \d+\.\.40 ", ran.out
    )
    args = ("formula", "distilbert", "--of", "energy_pj", "--on", "edge-asic", "--break-even", "d")
    ran = cli(*args, "--lengths", "56..72")
    assert re.search(r"Of energy inhibitor takes, against dot, less at (every d from 56 to 72|d=)", ran.out)
    record = json.loads(
        cli("formula", "distilbert", "--prices", "symbols", "--of", "energy_pj", "--format", "json").out
    )
    assert "e_mul_float32" in record["formulas"]["energy_pj"]
    args = (
        "formula",
        "distilbert",
        "--prices",
        "symbols",
        "--of",
        "energy_pj",
        "--on",
        "xc7z020",
        "--format",
        "json",
    )
    form = json.loads(cli(*args).out)["formulas"]["energy_pj"]
    assert all(name in form for name in ("e_mul_int8", "e_add_int32", "e_dram", "e_buffer_read"))


MISTAKES = {
    "count distlbert": "unknown model 'distlbert', neither a preset, a directory nor reachable on the hub; did",
    "count {models}/pickled": "{models}/pickled/pytorch_model.bin is a pickle, which can run code",
    "count {models}/torn": "{models}/torn/model.safetensors cannot be read",
    "count {models}/empty": "{models}/empty holds no config.json",
    "count {models}/nonsense": "{models}/nonsense/config.json cannot be read",
    "count {models}/list": "{models}/list/config.json is no configuration; save a model there",
    "count {models}/stranger": "{models}/stranger/config.json is no configuration of transformers",
    "count {models}/misfit": "cannot load {models}/misfit: ValueError",
    "count {models}/negative": "{models}/negative: hidden_size is not from 1 to",
    "count {models}/thin": "{models}/thin: hidden_dim is not from 1 to",
    "count {models}/thinner": "{models}/thinner: intermediate_size is not from 1 to",
    "count {models}/altered": "{models}/altered: attention_mechanism of its config.json: Mechanism.__init__()",
    "count {models}/renamed": "unknown attention 'dott'; known: dot, ",
    "count ./no/such/model": "no/such/model is not a directory",
    "count distilbert --seq 0": "--seq 0 is not at least 1",
    "count distilbert --seq -3": "--seq -3 is not at least 1",
    "count distilbert --seq 513": "--seq 513 is beyond the 512 positions of distilbert",
    "count distilbert --seq many": "Invalid value for '--seq': 'many' is not a valid integer",
    "count distilbert --batch 0": "--batch 0 is not at least 1",
    "count vit-base --seq 5": "vit-base always runs 197 positions",
    "count distilbert --attention dott": "unknown attention 'dott'; known: dot, ",
    "count distilbert --attention inhibitor:x=1": "attention 'inhibitor' has no option 'x'",
    "count deberta-v3-base --attention relu": "DebertaV2Model does not use transformers' AttentionInterface",
    "count distilbert --by color": "Invalid value for '--by'",
    "count distilbert --format pdf": "Invalid value for '--format'",
    "count distilbert --output {models}/none/x": "Invalid value: --output {models}/none/x: there is no directory",
    "count distilbert --output {models}": "Invalid value: --output {models} is a directory",
    "count tests.user_models:odd --device cpu": "no count rule for aten._linalg_svd(%0: f32[3,3]) in module (top)",
    "count tests.user_models:broken": "Broken does not run on meta: module (top): RuntimeError: first line second",
    "count tests.user_models:nothing": "tests.user_models:nothing returned int, not (module, inputs)",
    "count tests.user_models:linear --seq 3": "tests.user_models:linear decides sizes, type, attention itself",
    "count tests.user_models:linear --dtype float16": "tests.user_models:linear decides sizes, type, attention",
    "count tests.user_models:absent": "cannot call tests.user_models:absent: AttributeError",
    "count no.such:thing": "cannot call no.such:thing: ModuleNotFoundError",
    "report distilbert --seq 0": "--seq 0 is not at least 1",
    "report distilbert --seq 600 --on edge-asic": "--seq 600 is beyond the 512 positions of distilbert",
    "report distilbert --limit 3": "--data-dir, --limit and --stored go with --task",
    "report distilbert --store x.db": "--store goes with --html: the page shows its Pareto front",
    "report distilbert --task sst2": "--task: the checkpoints that ship are of minilm-distilbert, not of distilb",
    "report tests.user_models:linear --attention dot": "tests.user_models:linear has its own attention, which is "
    "the only column: leave out --attention",
    "report tests.user_models:linear --seq 3": "tests.user_models:linear decides sizes, type, attention itself",
    "report distilbert --table gold": "unknown table 'gold'; known: accelforge, aladdin40, horowitz45, jouppi7",
    "report distilbert --operands-in tape": "table horowitz45 has no memory 'tape'",
    "tables gold": "unknown table 'gold'",
    "tables horowitz45@5nm": "Stillmaker and Baas have no 5 nm node; known: 180, 130",
    "tables {models}/none.toml": "{models}/none.toml: there is no such file",
    "tables {models}/missing.toml": "{models}/missing.toml: node_nm is missing",
    "tables {models}/unknown.toml": "{models}/unknown.toml: [[op]] row 1 (add int8): unknown field 'color'",
    "tables {models}/words.toml": "{models}/words.toml: [[op]] row 1 (add int8): energy_pj is text, not a number",
    "tables {models}/below.toml": "{models}/below.toml: [[op]] row 1 (add int8): energy_pj is negative: -0.03",
    "tables {models}/nan.toml": "{models}/nan.toml: [[op]] row 1 (add int8): energy_pj is nan",
    "tables {models}/endless.toml": "{models}/endless.toml: [[op]] row 1 (add int8): energy_pj is inf",
    "tables {models}/unsourced.toml": "{models}/unsourced.toml: [[op]] row 1 (add int8): source is empty",
    "tables {models}/twice.toml": "{models}/twice.toml: [[op]] row 2 (add int8) is there already, as row 1",
    "tables {models}/op.toml": "{models}/op.toml: [[op]] row 1 (ad int8): unknown op 'ad'; known: mul, add",
    "tables {models}/dtype.toml": "{models}/dtype.toml: [[op]] row 1 (add byte): unknown dtype 'byte'",
    "tables {models}/syntax.toml": "{models}/syntax.toml is not TOML: Invalid value",
    "tables {models}/latin.toml": "{models}/latin.toml is not UTF-8: byte ",
    "report distilbert --table {models}/nan.toml": "{models}/nan.toml: [[op]] row 1 (add int8): energy_pj is nan",
    "formula tests.user_models:linear": "a formula is made from traces at sizes of our choice, which only a",
    "formula vit-base": "no formula of 'vit-base': its sizes have no names here; known: distilbert",
    "formula distilbert --of joules": "Invalid value for '--of'",
    "formula distilbert --break-even S --against dot": "the two are the same everywhere",
    "formula distilbert --of energy_pj --table seneca22": "table seneca22 has no row for mul of float32",
    "formula distilbert --seq 0": "--seq 0 is not at least 1",
    "gemm 0 1 1": "M 0 is not at least 1",
    "gemm 8 8 8 --array 4": "array '4' is not of the form ROWSxCOLUMNS, such as 32x32",
    "gemm 8 8 8 --array 0x4": "an array of 0x4 has no PE",
    "gemm 8 8 8 --dataflow rs": "Invalid value for '--dataflow'",
    "gemm 8 8": "Missing argument 'K'",
    "gemm 8 8 8 --on mars": "unknown target 'mars'; known: edge-asic, server-asic",
    "gemm 8 8 8 --on edge-asic:buffer_kib=0": "target 'edge-asic:buffer_kib=0': buffer_kib = 0 is not a",
    "gemm 8 8 8 --on xc7z020 --array 64x64": "target xc7z020 takes 339872 lut of 37240 usable on XC7Z020",
    "gemm 8 8 8 --objective energy": "--objective energy chooses mappings on a --on: name one",
    "gemm 8 8 8 --on zu9eg --objective edp": "--objective edp needs prices, and nothing is published",
    "targets mars": "unknown target 'mars'; known: edge-asic",
    "targets ./none.toml": "cannot read target ./none.toml: No such file or directory",
    "targets edge-asic:wings=2": "target 'edge-asic:wings=2': 'wings=2' is not FIELD=VALUE with a field of array",
    "targets edge-asic:dataflow=up": "target edge-asic:dataflow=up: unknown dataflow 'up'; known: os",
    "targets edge-asic:table=jouppi7": "target edge-asic:table=jouppi7 is of 45 nm, its prices of 7, 45 nm; name",
    "report distilbert --on mars": "unknown target 'mars'",
    "report distilbert --widths w8": "unknown widths 'w8'; known: fp32",
    "report distilbert --widths w8a8:acc=2": "widths 'w8a8:acc=2': 'acc=2' is neither acc=BITS",
    "report distilbert --widths w8a8 --as-run": "--widths and --on price the mathematics; they do not go",
    "report distilbert --on edge-asic --widths bf16": "table horowitz45 has no row for",
    "report distilbert --on ''": "unknown target ''",
    "report distilbert --widths ''": "unknown widths ''",
    "report distilbert --on xc7z020 --objective energy": "--objective energy needs prices, and nothing is",
    "formula distilbert --of cycles": "--of cycles is a figure of a machine: name one with --on",
    "formula distilbert --of mul --on edge-asic": "--of mul does not depend on --on; ask for cycles",
    "formula distilbert --of energy_pj --on xc7z020": "no energy_pj is published for target xc7z020",
    "formula distilbert --of buffer_bytes --on edge-asic --break-even S": "on a target break-even",
    "frobnicate": "No such command 'frobnicate'",
    "count": "Missing argument 'MODEL'",
}


@pytest.mark.parametrize("command", list(MISTAKES))
def test_a_mistake_is_one_line(cli, models: Path, command: str) -> None:
    ran = cli(*shlex.split(command.format(models=models)))
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err.count("\n") == 1
    assert ran.err.startswith("costmodel: error: " + MISTAKES[command].format(models=models))


@pytest.mark.skipif(os.path.exists("/dev/nvidia0"), reason="this machine has a CUDA device")
def test_no_cuda(cli) -> None:
    assert (
        "this machine has no CUDA device; use --device meta" in cli("count", "distilbert", "--device", "cuda").err
    )


# The cache


def timed_count(folder: Path, *args: str) -> dict:
    """`costmodel count` in a process that reports whether it needed torch."""
    code = (
        "import sys, costmodel.cli as c\n"
        f"sys.argv = ['costmodel', 'count', *{args!r}, '--format', 'json']\n"
        "try: c.main()\n"
        "finally: print('torch' in sys.modules, file=sys.stderr)"
    )
    env = os.environ | {"COSTMODEL_CACHE": str(folder)}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True)
    return {"record": json.loads(result.stdout), "torch": result.stderr.split()[-1] == "True"}


def test_the_second_count_needs_no_torch(tmp_path: Path) -> None:
    first = timed_count(tmp_path, "distilbert-tiny", "--seq", "9")
    second = timed_count(tmp_path, "distilbert-tiny", "--seq", "9")
    assert first["torch"]
    assert not second["torch"]
    assert first["record"] == second["record"]
    other = timed_count(tmp_path, "distilbert-tiny", "--seq", "21")
    assert not other["torch"]  # from the template
    assert other["record"] == timed_count(tmp_path / "fresh", "distilbert-tiny", "--seq", "21")["record"]
    for entry in tmp_path.glob("*"):
        if entry.is_file():
            entry.write_text(entry.read_text()[:-9])
    again = timed_count(tmp_path, "distilbert-tiny", "--seq", "9")
    assert again["torch"]
    assert again["record"] == first["record"]
    assert not timed_count(tmp_path, "distilbert-tiny", "--seq", "9")["torch"]  # rebuilt


@pytest.mark.quick
def test_cache_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COSTMODEL_CACHE", str(tmp_path / "made"))
    assert cache.load("none") is None
    cache.save("entry", {"a": [1, 2]})
    assert cache.load("entry") == {"a": [1, 2]}
    for damage in (b"", b"no hash", b"\xff\xfe", (tmp_path / "made" / "entry").read_bytes().replace(b"1", b"7")):
        (tmp_path / "made" / "entry").write_bytes(damage)
        assert cache.load("entry") is None
    monkeypatch.setattr(cache, "version", lambda name: "0.0.0")
    key = cache.key_of("x", 1)
    monkeypatch.setattr(cache, "version", lambda name: "0.0.1")
    assert cache.key_of("x", 1) != key != cache.key_of("x", 2)


@pytest.mark.quick
def test_parallel_writers_do_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COSTMODEL_CACHE", str(tmp_path))
    entry = {"numbers": list(range(20000))}
    seen = []
    threads = [threading.Thread(target=cache.save, args=("entry", entry)) for _ in range(8)]
    for thread in threads:
        thread.start()
        seen.append(cache.load("entry"))
    for thread in threads:
        thread.join()
    assert all(item in (None, entry) for item in seen)
    assert cache.load("entry") == entry
    assert os.listdir(tmp_path) == ["entry"]


@pytest.mark.quick
def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("COSTMODEL_CACHE", str(tmp_path / "file" / "below"))
    cache.save("entry", 1)
    assert cache.load("entry") is None
