"""Sound files that fuzzing spoils: tiny checkpoints of each form, their ranges, a trace, a labelled file."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

WORDS = ("[PAD]", "[UNK]", "a", "good", "bad", "film", "the", "is")
LABELLED = "sentence\tlabel\na good film\t1\nthe film is bad\t0\n"
SPACE = """\
name = "tiny"
objectives = ["energy_uj", "latency_ms"]
constraints = ["area_mm2 <= 4", "seq <= 32"]

[knobs]
model = ["distilbert-tiny"]
attention = ["dot", "inhibitor"]
seq = {from = 8, to = 32, times = 2}
batch = [1, 2]
widths = ["w8a8", "w4a8"]
target = "edge-asic"
kinds = ["mac+l1+clip"]
array = ["4x4", "8x8"]
dataflow = ["os", "ws"]
buffer_kib = [64, 128]
lanes = [8, 16]
"""


@dataclass(frozen=True)
class Stock:
    """Sound files by name, and the entries of a cache that hold the trace of one command."""

    files: dict[str, bytes]
    traces: dict[str, bytes]
    traced: tuple[str, ...]  # the command
    stdout: str  # what it prints

    def under(self, folder: str, name: str, but: str = "") -> dict[str, bytes | None]:
        """The files of a folder, under another name."""
        mine = (n for n in self.files if n.startswith(f"{folder}/") and not (but and n.endswith(but)))
        return {name + n.removeprefix(folder): self.files[n] for n in mine}


def make_stock(root: Path, run: Callable[[tuple[str, ...]], str]) -> Stock:
    """Build everything below an empty directory, which is the current one. `run` runs a command."""
    import torch
    from transformers import DistilBertConfig, DistilBertForSequenceClassification

    from models.attention.cores import install
    from models.attention.mechanisms import parse_mechanism
    from models.zoo.checkpoint import save_checkpoint

    config = {
        "vocab_size": 16,
        "max_position_embeddings": 32,
        "n_layers": 1,
        "n_heads": 2,
        "dim": 8,
        "hidden_dim": 12,
    }
    for name, spelling in (("teacher", "dot"), ("student", "inhibitor:per_head=true"), ("saved", "inhibitor")):
        torch.manual_seed(0)
        model = install(
            DistilBertForSequenceClassification(DistilBertConfig(**config, num_labels=2)),
            parse_mechanism(spelling),
        )
        with torch.no_grad():
            for weight in model.parameters():
                if weight.ndim == 2:
                    torch.nn.init.normal_(weight, std=0.3)
        if name == "saved":
            model.save_pretrained(root / name)
        else:
            save_checkpoint(model, root / name, int8=name == "student")
        save_tokenizer(root / name / "tokenizer.json")
        run(("simulate", name, "--random", "1", "--seq", "4", "--save-calibration", f"{name}/calibration.json"))
    (root / "good.tsv").write_text(LABELLED, encoding="utf-8")
    (root / "small.toml").write_text(SPACE.replace("[64, 128]", "64").replace("[8, 16]", "8"), encoding="utf-8")
    run(("sweep", "small.toml", "--store", "store.db", "--workers", "1"))
    run(
        (
            "report",
            "distilbert-tiny",
            "--seq",
            "4",
            "--on",
            "edge-asic",
            "--format",
            "json",
            "--output",
            "report.json",
        )
    )
    os.environ["COSTMODEL_CACHE"] = str(root / "traces")
    traced = ("count", "distilbert-tiny", "--seq", "3", "--format", "json")
    stdout = run(traced)
    entries = {p.name: p.read_bytes() for p in (root / "traces").iterdir() if p.name.endswith("-1-3")}
    assert entries, "no trace was cached"
    files = {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}
    return Stock({n: c for n, c in files.items() if not n.startswith("traces/")}, entries, traced, stdout)


def save_tokenizer(path: Path) -> None:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()  # type: ignore[assignment]
    tokenizer.save(str(path))


def spoiled_tensors(rng: Random, content: bytes) -> bytes:
    """Weights of which one is missing, of another shape or type, not finite; or one too many."""
    import torch
    from safetensors.torch import load, save

    state = load(content)
    name = rng.choice(sorted(n for n in state if state[n].is_floating_point()))
    tensor = state[name].clone()
    how = rng.choice(("gone", "shape", "more", "dim", "type", "value", "scale", "extra", "empty", "none"))
    if how == "scale" and any(n.endswith(".scale") for n in state):
        name = rng.choice(sorted(n for n in state if n.endswith(".scale")))
        tensor = state[name].clone()
        tensor[0] = rng.choice((0.0, -1.0, float("nan"), float("inf")))
        return save(state | {name: tensor})
    if how == "gone":
        del state[name]
    elif how == "shape":
        state[name] = tensor.reshape(-1)[:-1].clone()
    elif how == "more":
        state[name] = torch.cat((tensor, tensor))
    elif how == "dim":
        state[name] = tensor[None].clone()
    elif how == "type":
        state[name] = tensor.to(rng.choice((torch.bool, torch.int64, torch.complex64)))
    elif how == "empty":
        state[name] = tensor[:0].clone()
    elif how == "none":
        state = {}
    elif how == "extra":
        del state[name]
        state["surprise"] = tensor
    else:
        tensor.view(-1)[rng.randrange(tensor.numel())] = rng.choice((float("nan"), float("inf"), float("-inf")))
        state[name] = tensor
    return save(state, {"format": "pt"})


def spoiled_store(rng: Random, content: bytes) -> bytes:
    """A sweep's store in which one value is another, or one table is gone."""
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.closing(sqlite3.connect(Path(folder, "store.db"))) as db,
    ):
        db.deserialize(content[:18] + b"\x01\x01" + content[20:])  # in memory there is no WAL
        tables = [
            name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
        ]
        table = rng.choice(tables)
        columns = [row[1] for row in db.execute(f'PRAGMA table_info("{table}")')]
        wrong = rng.choice((None, -1, 10**15, 1.5, float("inf"), "x", "", "{}", "[" * 5000, b"\xff", "a\nb"))
        rows = [row for (row,) in db.execute(f'SELECT rowid FROM "{table}"')]
        with contextlib.suppress(sqlite3.Error):
            if rows and rng.random() < 0.9:
                db.execute(
                    f'UPDATE "{table}" SET "{rng.choice(columns)}" = ? WHERE rowid = ?', (wrong, rng.choice(rows))
                )
            else:
                db.execute(f'DROP TABLE "{table}"')
        db.commit()
        return db.serialize()
