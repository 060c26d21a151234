"""Models: MiniLM as a DistilBERT, presets, directories."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertModel

from models.attention.mechanisms import Mechanism
from models.errors import ModelError
from models.zoo.distilbert import PACKAGE, distilbert_config, distilbert_state, load_minilm, minilm_directory
from models.zoo.loading import load_model
from models.zoo.presets import PRESETS, resolve_seq


def has_minilm() -> bool:
    try:
        minilm_directory()
    except ModelError:
        return False
    return True


@pytest.mark.skipif(not has_minilm(), reason=f"{PACKAGE} is not installed")
def test_minilm_is_exactly_a_distilbert() -> None:
    bert = BertModel.from_pretrained(minilm_directory(), add_pooling_layer=False, use_safetensors=True).eval()
    ours = load_minilm()
    ids = torch.arange(3 * 20).reshape(3, 20) * 97 % 30000 + 5
    mask = torch.ones_like(ids)
    mask[1, 11:] = 0
    with torch.no_grad():
        expected = bert(ids, attention_mask=mask, output_hidden_states=True).hidden_states
        got = ours(ids, attention_mask=mask, output_hidden_states=True).hidden_states
    assert len(got) == len(expected) == 7
    for a, b in zip(got, expected, strict=True):
        assert (a - b)[mask.bool()].abs().max() < 1e-5
    loaded = load_model("minilm-distilbert", device="cpu", seq=20)
    with torch.no_grad():
        again = loaded.module(ids, attention_mask=mask).last_hidden_state
    assert (again - expected[-1])[mask.bool()].abs().max() < 1e-5


def test_any_bert_becomes_a_distilbert() -> None:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=40, hidden_size=12, num_hidden_layers=2, num_attention_heads=3, intermediate_size=20
    )
    bert = BertModel(config, add_pooling_layer=False).eval()
    from transformers import DistilBertModel

    ours = DistilBertModel(distilbert_config(config)).eval()
    ours.load_state_dict(distilbert_state(bert.state_dict()))
    ids = torch.arange(10).reshape(2, 5)
    with torch.no_grad():
        assert torch.allclose(ours(ids).last_hidden_state, bert(ids).last_hidden_state, rtol=0, atol=1e-6)
    with pytest.raises(ModelError, match="only a BERT with GELU"):
        distilbert_config(BertConfig(hidden_act="relu"))


@pytest.mark.parametrize("name", list(PRESETS))
def test_presets_take_their_default_length(name: str) -> None:
    seq = resolve_seq(name, None)
    longest = PRESETS[name].max_positions
    assert seq >= 1
    assert PRESETS[name].fixed_seq is not None or longest is None or seq <= longest


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
def test_number_types(dtype: str) -> None:
    loaded = load_model("distilbert-tiny", mechanism=Mechanism("inhibitor"), dtype=dtype, device="cpu", seq=4)
    with torch.no_grad():
        out = loaded.module(**loaded.inputs).last_hidden_state
    assert str(out.dtype) == f"torch.{dtype}"
    assert out.isfinite().all()


def test_a_directory_counts_like_its_preset(tmp_path: Path) -> None:
    preset = load_model("distilbert-tiny", device="cpu", seq=6)
    preset.module.save_pretrained(tmp_path)
    directory = load_model(str(tmp_path), device="cpu", seq=6)
    with torch.no_grad():
        a = preset.module(**preset.inputs).last_hidden_state
        b = directory.module(**preset.inputs).last_hidden_state
    assert torch.equal(a, b)
    meta = load_model(str(tmp_path), device="meta", seq=6, mechanism=Mechanism("inhibitor"))
    assert next(meta.module.parameters()).is_meta
    assert meta.attention == "inhibitor"


def test_weights_that_lack_a_part_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    saved = load_model("distilbert-tiny", device="cpu", seq=6, mechanism=Mechanism("inhibitor"))
    saved.module.save_pretrained(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    state.pop("transformer.layer.0.attention.attention_core.gamma")
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match=r"lacks 1 weights, among them transformer\.layer\.0\.attention\..*gamma"):
        load_model(str(tmp_path), device="cpu", seq=6)
