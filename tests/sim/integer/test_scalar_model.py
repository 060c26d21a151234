"""A whole tiny DistilBERT, scalar by scalar: its values are torch's, its tally is the count."""

from __future__ import annotations

import pytest
import torch

from costmodel.counting.tally import count
from costmodel.graph.canonical import canonicalise
from costmodel.graph.lowering import lower
from costmodel.graph.tracing import trace, trace_leaves
from costmodel.ops.counts import ARITHMETIC
from models.attention.mechanisms import MECHANISMS, Mechanism, parse_mechanism
from models.zoo.loading import load_model
from tests.witness.scalar import execute


def wide(module: torch.nn.Module) -> torch.nn.Module:
    """Weights large enough that values outlast an inhibition, which is checked."""
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if "attention_core" not in name:
                parameter.normal_(std=0.7)
        outputs: list[torch.Tensor] = []
        cores = [m for name, m in module.named_modules() if name.endswith("attention_core")]
        hooks = [core.register_forward_hook(lambda _m, _a, output: outputs.append(output)) for core in cores]
        module(**padded(4))
    for hook in hooks:
        hook.remove()
    assert all((output != 0).float().mean() > 0.01 for output in outputs)
    return module


CASES = [
    *MECHANISMS,
    "inhibitor:per_head=true,normalise=sqrt",
    "inhibitor:center_over=all",
    "inhibitor-2023:shift=0",
]


def padded(seq: int) -> dict[str, torch.Tensor]:
    ids = torch.arange(2 * seq).reshape(2, seq) % 40 + 5
    mask = torch.ones_like(ids)
    mask[1, seq - 2 :] = 0
    return {"input_ids": ids, "attention_mask": mask}


@pytest.mark.parametrize("seq", [3, 4, 5])
@pytest.mark.parametrize("text", CASES)
def test_values_and_counts(text: str, seq: int) -> None:
    mechanism = parse_mechanism(text)
    loaded = load_model("distilbert-tiny", mechanism=mechanism, batch=2, seq=seq, dtype="float64", device="cpu")
    traced = trace_leaves(wide(loaded.module), padded(seq), device="cpu")
    for graph in (lower(traced.graph), canonicalise(lower(traced.graph))):
        (values,), ledger = execute(graph, traced.leaves)
        truth = traced.result.last_hidden_state
        assert torch.allclose(torch.from_numpy(values), truth, rtol=0, atol=1e-9)
        counts = count(canonicalise(graph)).counts
        assert {k: ledger[k] for k in ARITHMETIC} == {k: getattr(counts, k) for k in ARITHMETIC}


@pytest.mark.parametrize("name", ["inhibitor", "inhibitor-2023", "inhibitor-2023-signed", "l1-softmax"])
def test_spelled_out_forms_execute_to_the_same(name: str) -> None:
    """Broadcast and cdist become the same canonical graph: same values, same tally."""
    tallies = []
    for implementation in ("fast", "broadcast", "cdist"):
        mechanism = Mechanism(name, implementation=implementation)
        loaded = load_model("distilbert-tiny", mechanism=mechanism, batch=2, seq=4, dtype="float64", device="cpu")
        traced = trace_leaves(wide(loaded.module), padded(4), device="cpu")
        (values,), ledger = execute(canonicalise(lower(traced.graph)), traced.leaves)
        assert torch.allclose(torch.from_numpy(values), traced.result.last_hidden_state, rtol=0, atol=1e-9)
        tallies.append(dict(ledger))
    assert tallies[0] == tallies[1] == tallies[2]


@pytest.mark.parametrize("native", ["eager", "sdpa"])
def test_transformers_own_attention_executes(native: str) -> None:
    loaded = load_model("distilbert-tiny", batch=2, seq=4, dtype="float64", device="cpu", native=native)
    traced = trace_leaves(wide(loaded.module), padded(4), device="cpu")
    (values,), ledger = execute(canonicalise(lower(traced.graph)), traced.leaves)
    assert torch.allclose(torch.from_numpy(values), traced.result.last_hidden_state, rtol=0, atol=1e-9)
    ours = load_model("distilbert-tiny", batch=2, seq=4)
    counts = count(canonicalise(lower(trace(ours.module, ours.inputs)))).counts
    assert {k: ledger[k] for k in ARITHMETIC} == {k: getattr(counts, k) for k in ARITHMETIC}
