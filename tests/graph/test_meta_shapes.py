"""Short shape inference against torch's own: equal graphs of every preset."""

from __future__ import annotations

import pytest
import torch

from costmodel.graph import meta_shapes
from costmodel.graph.ir import Graph
from costmodel.graph.tracing import trace
from models.attention.mechanisms import MECHANISMS, Mechanism
from models.zoo.loading import load_model
from models.zoo.presets import PRESETS


def both(monkeypatch: pytest.MonkeyPatch, name: str, as_run: bool = False, **options) -> tuple[Graph, Graph]:
    loaded = load_model(name, **options)
    short = trace(loaded.module, loaded.inputs, as_run=as_run)
    with monkeypatch.context() as patch:
        patch.setattr(meta_shapes, "INFER", {})
        return short, trace(loaded.module, loaded.inputs, as_run=as_run)


@pytest.mark.parametrize("name", [n for n in PRESETS if n != "llama-3-70b"])
def test_every_preset(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    short, torchs = both(monkeypatch, name, batch=2, seq=PRESETS[name].fixed_seq or 6)
    assert short == torchs


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
@pytest.mark.parametrize("mechanism", list(MECHANISMS))
def test_every_type_and_mechanism(monkeypatch: pytest.MonkeyPatch, mechanism: str, dtype: str) -> None:
    for as_run in (False, True):
        short, torchs = both(
            monkeypatch, "distilbert-tiny", as_run, mechanism=Mechanism(mechanism), dtype=dtype, batch=2, seq=5
        )
        assert short == torchs


@pytest.mark.parametrize("native", ["eager", "sdpa"])
def test_own_attention(monkeypatch: pytest.MonkeyPatch, native: str) -> None:
    short, torchs = both(monkeypatch, "bert-base", native=native, batch=2, seq=5)
    assert short == torchs


@pytest.mark.quick
def test_wrong_shapes_are_left_to_torch() -> None:
    x, y = torch.zeros(2, 3, device="meta"), torch.zeros(4, device="meta")
    assert meta_shapes.infer("aten::add", (x, y), {}) is None
    assert meta_shapes.infer("aten.linear", (x, torch.zeros(5, 4, device="meta")), {}) is None
    assert meta_shapes.infer("aten.matmul", (x, x), {}) is None
    assert meta_shapes.infer("aten::add", (torch.zeros(2), torch.zeros(2)), {}) is None  # not on meta
    assert meta_shapes.infer("aten::gelu", (x, 1, 2, 3), {}) is None
