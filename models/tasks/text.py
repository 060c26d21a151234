"""Sentences as token ids: the tokenizer of a model, and sentences to calibrate on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from models.errors import ModelError
from models.zoo.presets import PRESETS

SENTENCES = Path(__file__).parent / "sentences.txt"
# Presets whose vocabulary is that of BERT, uncased: the tokenizer that comes with MiniLM.
UNCASED = ("distilbert", "minilm-distilbert", "bert-base")


def calibration_sentences() -> list[str]:
    """English sentences of several kinds and lengths, written for this project."""
    return SENTENCES.read_text(encoding="utf-8").splitlines()


def load_tokenizer(model: str) -> Any:
    """A `tokenizers.Tokenizer` without padding or truncation.

    Raises:
        ModelError: the model brings none, or it cannot be read.
    """
    from tokenizers import Tokenizer

    from models.zoo.distilbert import minilm_directory  # imports torch

    if model in UNCASED:
        path = minilm_directory() / "tokenizer.json"
    elif model in PRESETS:
        raise ModelError(f"{model} has no tokenizer")
    else:
        path = Path(model) / "tokenizer.json"
        if not path.is_file() and has_minilm_embeddings(Path(model)):
            path = minilm_directory() / "tokenizer.json"
    if not path.is_file():
        raise ModelError(f"{model} has no tokenizer.json")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises plain Exception
        raise ModelError(f"{path} cannot be read: {' '.join(str(error).split())[:120]}") from None
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def has_minilm_embeddings(directory: Path) -> bool:
    """Whether a checkpoint of ours says that its embeddings are MiniLM's: then its words are, too."""
    try:
        record = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(record, dict) and record.get("embeddings") == "minilm"


def encode(tokenizer: Any, sentences: Sequence[str], longest: int | None) -> list[list[int]]:
    """Token ids of each sentence.

    Raises:
        ModelError: a sentence is empty, or longer than the model's positions.
    """
    rows = [list(e.ids) for e in tokenizer.encode_batch(list(sentences))]
    for sentence, row in zip(sentences, rows, strict=True):
        if not sentence.strip() or not row:
            raise ModelError("an empty sentence has nothing to run")
        if longest is not None and len(row) > longest:
            raise ModelError(f"a sentence of {len(row)} tokens is beyond the {longest} positions of the model")
    return rows
