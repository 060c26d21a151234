"""Checkpoints of trained models: whole, int8, spoiled."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from models.errors import ModelError
from models.training.initial import build
from models.training.losses import forward
from models.training.recipe import TrainConfig
from models.zoo.checkpoint import from_int8, load_checkpoint, row_scales, save_checkpoint, to_int8
from tests.training_models import QUERY, STUDENT, batch_of, tiny, weights


@pytest.mark.parametrize("attention", ["dot", STUDENT])
def test_a_checkpoint_is_the_model(attention: str, tmp_path: Path) -> None:
    model, batch = tiny(attention), batch_of()
    save_checkpoint(model, tmp_path / "a")
    loaded = load_checkpoint(tmp_path / "a")
    assert not loaded.training
    assert all(torch.equal(t, loaded.state_dict()[name]) for name, t in weights(model).items())
    assert torch.equal(forward(model, batch)[1], forward(loaded, batch)[1])
    save_checkpoint(loaded, tmp_path / "b")
    for name in ("config.json", "model.safetensors"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_int8_saved_again_is_the_same(tmp_path: Path) -> None:
    model = tiny(STUDENT)
    save_checkpoint(model, tmp_path / "a", int8=True)
    loaded = load_checkpoint(tmp_path / "a")
    save_checkpoint(loaded, tmp_path / "b", int8=True)
    assert (tmp_path / "a/model.safetensors").read_bytes() == (tmp_path / "b/model.safetensors").read_bytes()
    stored = load_file(tmp_path / "a/model.safetensors")
    for name, tensor in weights(model).items():
        kind = torch.int8 if tensor.dim() == 2 else torch.float32
        assert stored[name].dtype == kind
        if kind == torch.int8:
            half = stored[f"{name}.scale"][:, None] * 0.5001
            assert ((loaded.state_dict()[name] - tensor).abs() <= half).all()


def test_int8_of_any_scale() -> None:
    rng = np.random.default_rng(0)
    w = torch.tensor(rng.normal(size=(4000, 9)) * 10.0 ** rng.uniform(-20, 20, (4000, 1)), dtype=torch.float32)
    w[7] = 0
    torch.testing.assert_close(row_scales(w)[:7], w.abs().amax(1)[:7] / 127, rtol=2.0**-16, atol=0)
    once = to_int8({"w": w})
    again = to_int8(from_int8(once, Path("w")))
    assert all(torch.equal(once[name], again[name]) for name in once)
    assert once["w"].abs().amax(1).eq(127).sum() == 3999


def test_minilms_embeddings_are_not_written_again(tmp_path: Path) -> None:
    model, _ = build(TrainConfig("sst2", STUDENT))
    save_checkpoint(model, tmp_path, int8=True)
    assert json.loads((tmp_path / "config.json").read_text())["embeddings"] == "minilm"
    assert not any(".embeddings." in name for name in load_file(tmp_path / "model.safetensors"))
    assert 10.5e6 < (tmp_path / "model.safetensors").stat().st_size < 11.5e6
    loaded, own = load_checkpoint(tmp_path), weights(model)
    for name, tensor in loaded.state_dict().items():
        if tensor.dim() != 2 or ".embeddings." in name:
            assert torch.equal(tensor, own[name])


def edit(directory: Path, change: Callable[[dict[str, Any]], None]) -> None:
    state = load_file(directory / "model.safetensors")
    change(state)
    save_file(state, directory / "model.safetensors")


def configure(directory: Path, **changes: Any) -> None:
    path = directory / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def pickled(directory: Path) -> None:
    (directory / "model.safetensors").unlink()
    (directory / "pytorch_model.bin").write_bytes(pickle.dumps({}))


SPOILED: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda d: edit(d, lambda s: s.pop(QUERY)), "lacks 1 weights"),
    "unexpected": (
        lambda d: edit(d, lambda s: s.update(more=torch.ones(2))),
        "unexpected 1 weights, among them more",
    ),
    "nan": (lambda d: edit(d, lambda s: s[QUERY].fill_(float("nan"))), "NaN"),
    "shape": (lambda d: edit(d, lambda s: s.update({QUERY: torch.ones(3, 3)})), r"shape \[3, 3\], not \[16, 16\]"),
    "type": (lambda d: edit(d, lambda s: s.update({QUERY: s[QUERY].half()})), "float16"),
    "no scale": (lambda d: edit(d, lambda s: s.update({QUERY: s[QUERY].to(torch.int8)})), "needs 16 scales"),
    "bad scale": (
        lambda d: edit(d, lambda s: s.update({QUERY: s[QUERY].to(torch.int8), f"{QUERY}.scale": torch.zeros(16)})),
        "not positive",
    ),
    "stray scale": (
        lambda d: edit(d, lambda s: s.update({f"{QUERY}.scale": torch.ones(16)})),
        "unexpected 1 weights",
    ),
    "pickle": (pickled, "pickle"),
    "cut": (lambda d: os.truncate(d / "model.safetensors", 1000), "cannot be read"),
    "no weights": (lambda d: (d / "model.safetensors").unlink(), "holds no model.safetensors"),
    "no config": (lambda d: (d / "config.json").unlink(), "no checkpoint"),
    "no JSON": (lambda d: (d / "config.json").write_text("{"), "no JSON"),
    "a list": (lambda d: (d / "config.json").write_text("[]"), "architectures"),
    "architecture": (lambda d: configure(d, architectures=["BertModel"]), "not one of"),
    "embeddings": (lambda d: configure(d, embeddings=None), "embeddings is None"),
    "not MiniLM's": (lambda d: configure(d, embeddings="minilm"), "holds embeddings"),
    "mechanism": (lambda d: configure(d, attention_mechanism={"nane": "dot"}), "attention_mechanism"),
    "sizes": (lambda d: configure(d, n_heads=3), "describes no model|no configuration"),
    "width": (lambda d: configure(d, hidden_dim=48), r"shape \[32\], not \[48\]"),
}


@pytest.mark.parametrize("kind", SPOILED)
def test_a_spoiled_checkpoint_is_refused(kind: str, tmp_path: Path) -> None:
    save_checkpoint(tiny(), tmp_path)
    spoil, said = SPOILED[kind]
    spoil(tmp_path)
    with pytest.raises(ModelError, match=said) as error:
        load_checkpoint(tmp_path)
    assert "\n" not in str(error.value)


def test_weights_that_are_not_finite_are_not_saved(tmp_path: Path) -> None:
    save_checkpoint(tiny(), tmp_path)
    before = (tmp_path / "model.safetensors").read_bytes()
    model = tiny()
    model.classifier.weight.data[0, 0] = float("inf")
    with pytest.raises(ModelError, match=r"classifier\.weight"):
        save_checkpoint(model, tmp_path)
    assert (tmp_path / "model.safetensors").read_bytes() == before
