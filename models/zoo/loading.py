"""MODEL as the command line has it: a preset, a directory, a hub id, or `package.module:function`."""

from __future__ import annotations

import copy
import importlib
import json
import os
import socket
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import huggingface_hub
import torch
import transformers
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import nn
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, PretrainedConfig

from models.attention.cores import attention_modules, install
from models.attention.mechanisms import Mechanism
from models.errors import ModelError
from models.zoo.checkpoint import check_sizes, load_checkpoint
from models.zoo.distilbert import load_minilm
from models.zoo.presets import DEFAULT_SEQ, PRESETS, Preset, resolve_seq

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
# Lengths that a configuration may state, under their names.
POSITIONS = ("max_position_embeddings", "n_positions", "max_target_positions")


@dataclass(frozen=True)
class Loaded:
    """A module in eval mode, inputs of the sizes asked for, and what was decided about them."""

    module: nn.Module
    inputs: Any
    attention: str  # the mechanism, or "native" where the model's own attention cannot be changed
    seq: int | None  # None where the user's own function decides


def load_model(
    name: str,
    *,
    mechanism: Mechanism | None = None,
    batch: int = 1,
    seq: int | None = None,
    dtype: str = "float32",
    device: str = "meta",
    native: str | None = None,
    sizes: Mapping[str, int] | None = None,
    head: bool = False,
) -> Loaded:
    """A model by name, with inputs.

    Args:
        mechanism: installed in every attention module. None takes `dot` where attention can be
            changed and the model's own where it cannot.
        seq: tokens a row; None takes the model's default.
        native: run the model's own attention in this implementation of transformers ("eager",
            "sdpa") instead of a mechanism of ours.
        sizes: of a preset's configuration, in place of its own.
        head: a directory's classification head too, where it has one; and no weight may be missing.

    Raises:
        ModelError: no such model, unreadable or pickled weights, sizes beyond the model.
    """
    if batch < 1 or (seq is not None and seq < 1):
        raise ModelError(f"`batch` and `seq` are at least 1, not {batch} and {seq}")
    transformers.logging.set_verbosity_error()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if ":" in name and name not in PRESETS:
            if (mechanism, seq, batch, dtype, native) != (None, None, 1, "float32", None):
                raise ModelError(
                    f"{name} decides sizes, type, attention itself; leave out `batch`, `seq`, `dtype` and "
                    "`attention`"
                )
            return load_function(name, device)
        if name in PRESETS:
            preset = PRESETS[name]
            seq = resolve_seq(name, seq)
            module = build_preset(name, dtype, device, sizes or {})
            takes = preset.takes
        else:
            module = load_directory_or_hub(name, dtype, device, head)
            takes = takes_of(module)
            seq = seq or min(DEFAULT_SEQ, max_positions(module.config) or DEFAULT_SEQ)
            check_positions(name, module.config, seq)
        module.eval()
        if native is not None:
            module.set_attn_implementation(native)
            return Loaded(module, make_inputs(module, takes, batch, seq, dtype), native, seq)
        kind = "native"
        if mechanism is not None or attention_modules(module):
            saved = saved_mechanism(name, module.config)
            mechanism = mechanism or saved or Mechanism("dot")
            if mechanism != saved:
                install(module, mechanism)
            kind = str(mechanism)
        return Loaded(module, make_inputs(module, takes, batch, seq, dtype), kind, seq)


def build_preset(name: str, dtype: str, device: str, sizes: Mapping[str, int]) -> Any:
    """The preset's model: without weights on meta, with random ones (MiniLM: its own) elsewhere."""
    if name == "minilm-distilbert" and device != "meta":
        minilm: Any = load_minilm()
        return minilm.to(device=device, dtype=getattr(torch, dtype))
    preset: Preset = PRESETS[name]
    config = getattr(transformers, preset.config)(**{**preset.sizes, **sizes})
    with torch.device("meta" if device == "meta" else device):
        torch.manual_seed(0)
        model: Any = getattr(transformers, preset.model)(config)
    return model.to(getattr(torch, dtype))


def class_of(config: PretrainedConfig, head: bool) -> Any:
    """The automatic class for a configuration: with its classification head, if that is asked for and there."""
    names = getattr(config, "architectures", None) or ()
    wanted = head and any(str(n).endswith("ForSequenceClassification") for n in names)
    return AutoModelForSequenceClassification if wanted else AutoModel


def load_directory_or_hub(name: str, dtype: str, device: str, head: bool = False) -> Any:
    path = Path(name)
    if path.exists() or name.startswith((".", "/")):
        check_directory(path)
        if is_checkpoint(path):
            return load_trained(path, dtype, device, head)
    # Without a network the hub's client tries for a minute; what it has on disk it still gives.
    offline = {"local_files_only": True} if not path.exists() and not hub_answers() else {}
    try:
        config = AutoConfig.from_pretrained(name, trust_remote_code=False, **offline)
    except Exception as error:  # transformers raises many kinds for a name it cannot resolve
        if path.exists():
            raise ModelError(
                f"{name}/config.json is no configuration of transformers: {one_line(error)}"
            ) from None
        close = get_close_matches(name, PRESETS, n=3)
        hint = f"; did you mean {' or '.join(close)}?" if close else f"; presets: {', '.join(PRESETS)}"
        raise ModelError(
            f"unknown model {name!r}, neither a preset, a directory nor reachable on the hub{hint}"
        ) from None
    check_sizes(config, name)
    mechanism = saved_mechanism(name, config)
    try:
        if mechanism is not None:
            return load_converted(path, config, mechanism, dtype, device, head)
        kind = class_of(config, head)
        if device == "meta":
            with torch.device("meta"):
                return kind.from_config(config, trust_remote_code=False).to(getattr(torch, dtype))
        model, found = kind.from_pretrained(
            name, use_safetensors=True, dtype=getattr(torch, dtype), output_loading_info=True, **offline
        )
        missing = sorted(found["missing_keys"])
        if head and missing:
            raise ModelError(f"{name} lacks {len(missing)} weights, among them {missing[0]}")
    except ModelError:
        raise
    except Exception as error:  # sizes that do not fit each other, weights that cannot be read
        raise ModelError(f"cannot load {name}: {type(error).__name__}: {one_line(error)}") from None
    return model.to(device)


def saved_mechanism(name: str, config: PretrainedConfig) -> Mechanism | None:
    """The mechanism that `install` left in a configuration, if it did."""
    saved = getattr(config, "attention_mechanism", None)
    if saved is None:
        return None
    try:
        return Mechanism(**(saved | {"name": saved["name"]}))  # a name is never left out
    except (TypeError, KeyError) as error:
        raise ModelError(f"{name}: attention_mechanism of its config.json: {one_line(error)}") from None


def hub_answers() -> bool:
    """Whether the hub can be reached; taken for granted behind a proxy."""
    if any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY")):
        return True
    host = urlsplit(huggingface_hub.constants.ENDPOINT)
    try:
        with socket.create_connection((host.hostname or "", host.port or 443), timeout=3):
            return True
    except OSError:
        return False


def load_converted(
    path: Path, config: PretrainedConfig, mechanism: Mechanism, dtype: str, device: str, head: bool
) -> Any:
    """A model saved by `save_pretrained` after `install`: the mechanism is built before weights load."""
    with torch.device("meta" if device == "meta" else "cpu"):
        config._attn_implementation = "eager"
        model = class_of(config, head).from_config(config)
    install(model, mechanism)
    if device != "meta":
        weights = sorted(path.glob("*.safetensors"))
        if not weights:
            raise ModelError(f"{path} is no directory with safetensors, which a saved mechanism needs")
        state = {key: tensor for file in weights for key, tensor in load_file(file).items()}
        prefix = f"{model.base_model_prefix}."
        if not any(key.startswith(prefix) for key in model.state_dict()):
            state = {key.removeprefix(prefix): t for key, t in state.items()}
        missing = model.state_dict().keys() - state.keys()
        if missing:
            raise ModelError(f"{path} lacks {len(missing)} weights, among them {min(missing)}")
        for key in model.state_dict():
            if not state[key].is_floating_point():
                raise ModelError(f"{path}: {key} is of {state[key].dtype}; save it in float32 anew")
        model.load_state_dict(state, strict=False)
    return model.to(device=device, dtype=getattr(torch, dtype))


def is_checkpoint(path: Path) -> bool:
    """Whether a directory is one that `models.checkpoint` wrote."""
    return "embeddings" in json.loads((path / "config.json").read_text(encoding="utf-8"))


def load_trained(path: Path, dtype: str, device: str, head: bool) -> Any:
    """A checkpoint of ours: with its head, or the model within."""
    model = load_checkpoint(path)
    kept = model if head else model.base_model
    kept.config.attention_mechanism = model.config.attention_mechanism
    return kept.to(device=device, dtype=getattr(torch, dtype))


def check_directory(path: Path) -> None:
    """Refuse what is no model directory, pickled weights, and safetensors that cannot be read."""
    if not path.is_dir():
        raise ModelError(f"{path} is not a directory; MODEL is a preset, a directory, a hub id or module:function")
    if not (path / "config.json").exists():
        raise ModelError(f"{path} holds no config.json; save a model there with save_pretrained")
    try:
        record = json.loads((path / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}/config.json cannot be read: {one_line(error)}") from None
    if not isinstance(record, dict):
        raise ModelError(f"{path}/config.json is no configuration; save a model there with save_pretrained")
    tensors = sorted(path.glob("*.safetensors"))
    pickles = sorted(p for p in path.iterdir() if p.suffix in PICKLES)
    if pickles and not tensors:
        raise ModelError(f"{pickles[0]} is a pickle, which can run code; convert it to safetensors")
    for file in tensors:
        try:
            with safe_open(file, "pt") as opened:
                opened.keys()
        except (SafetensorError, OSError) as error:
            raise ModelError(f"{file} cannot be read: {one_line(error)}") from None


def load_function(name: str, device: str) -> Loaded:
    """`package.module:function` returning `(module, inputs)`; the module runs as it comes."""
    where, _, function_name = name.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        function = getattr(importlib.import_module(where), function_name)
        made = function()
    except Exception as error:  # the user's code
        raise ModelError(f"cannot call {name}: {type(error).__name__}: {one_line(error)}") from error
    if not (isinstance(made, tuple) and len(made) == 2 and isinstance(made[0], nn.Module)):
        raise ModelError(f"{name} returned {type(made).__name__}, not (module, inputs)")
    module, inputs = made
    inputs = inputs if isinstance(inputs, dict | tuple) else (inputs,)
    return Loaded(module.to(device).eval(), inputs, "native", None)


def with_mechanism(module: nn.Module, name: str, mechanism: Mechanism | None) -> Loaded:
    """A float32 copy of a module of transformers with an attention: the given one, its own of ours, or `dot`."""
    copied: Any = copy.deepcopy(module).to(device="cpu", dtype=torch.float32).eval()
    saved = saved_mechanism(name, copied.config)
    chosen = mechanism or saved or Mechanism("dot")
    if chosen != saved:
        install(copied, chosen)
    return Loaded(copied, {}, str(chosen), None)


def takes_of(module: Any) -> str:
    if module.config.is_encoder_decoder:
        return "pairs" if module.main_input_name == "input_ids" else "audio"
    if module.main_input_name == "pixel_values":
        return "image"
    return "tokens"


def max_positions(config: PretrainedConfig) -> int | None:
    lengths = [getattr(config, name, None) for name in POSITIONS]
    return min((n for n in lengths if isinstance(n, int) and n > 0), default=None)


def check_positions(name: str, config: PretrainedConfig, seq: int) -> None:
    longest = max_positions(config)
    if longest is not None and seq > longest:
        raise ModelError(f"`seq={seq}` is beyond the {longest} positions of {name}")


def make_inputs(module: Any, takes: str, batch: int, seq: int, dtype: str) -> dict[str, torch.Tensor | bool]:
    """Full rows without padding: ids 5, 6, 7, ... (no special token), images and sound of zeros."""
    config, floats = module.config, getattr(torch, dtype)
    text = getattr(config, "text_config", config)
    vocabulary = getattr(text, "vocab_size", 1000)
    ids = (torch.arange(batch * seq) % max(1, min(vocabulary, 1000) - 5) + 5).reshape(batch, seq)
    vision = getattr(config, "vision_config", config)
    size = getattr(vision, "image_size", 224)
    image = torch.zeros(batch, getattr(vision, "num_channels", 3), size, size, dtype=floats)
    if takes == "image":
        return {"pixel_values": image}
    if takes == "image+text":
        return {"input_ids": ids, "pixel_values": image}
    if takes == "audio":
        frames = 2 * config.max_source_positions
        sound = torch.zeros(batch, config.num_mel_bins, frames, dtype=floats)
        return {"input_features": sound, "decoder_input_ids": ids, "use_cache": False}
    if takes == "pairs":
        return {"input_ids": ids, "decoder_input_ids": ids, "use_cache": False}
    return {"input_ids": ids} | ({"use_cache": False} if getattr(config, "use_cache", False) else {})


def one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
