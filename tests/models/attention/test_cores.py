"""The mechanisms: formula, masks, padding, groups, gradients, types, memory, export."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModel,
    DistilBertConfig,
    DistilBertModel,
    GPT2Config,
    GPT2Model,
    LlamaConfig,
    LlamaModel,
    MambaConfig,
    MambaModel,
    T5Config,
    T5EncoderModel,
)

from models.attention.cores import CORE, AttentionCore, attention_modules, install
from models.attention.formulas import attend
from models.attention.mechanisms import MECHANISMS, Mechanism, parse_mechanism
from models.errors import ModelError
from models.zoo.loading import load_model
from tests.witness import naive

IMPLEMENTATIONS = [
    Mechanism(name, implementation=implementation)
    for name in MECHANISMS
    for implementation in ("fast", "broadcast", "cdist")
    if implementation == "fast" or "implementation" in MECHANISMS[name].uses
]
VARIANTS = [
    *IMPLEMENTATIONS,
    Mechanism("inhibitor-2023", shift=0.0),
    Mechanism("inhibitor-2023-signed", normalise="n"),
    Mechanism("inhibitor", gamma=1.3, delta=-0.2, eta=0.7, normalise="sqrt"),
    Mechanism("inhibitor", center_over="all"),
]


def operands(dtype: torch.dtype = torch.float64, groups: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(3)
    q = torch.randn(2, 4, 5, 6, dtype=torch.float64)
    k, v = torch.randn(2, groups, 7, 6, dtype=torch.float64), torch.randn(2, groups, 7, 3, dtype=torch.float64)
    return q.to(dtype), k.to(dtype), v.to(dtype)


def masks() -> dict[str, Tensor]:
    some = torch.rand(2, 1, 5, 7, generator=torch.Generator().manual_seed(1)) > 0.3
    some[0, 0, 2] = False  # a query without any key
    causal = torch.ones(5, 7, dtype=torch.bool).tril(2)[None, None]
    return {"full": torch.ones(1, 1, 5, 7, dtype=torch.bool), "some": some, "causal": causal}


@pytest.mark.quick
@pytest.mark.parametrize("groups", [4, 2, 1])
@pytest.mark.parametrize("mask", ["full", "some", "causal"])
@pytest.mark.parametrize("mechanism", VARIANTS, ids=str)
def test_equals_the_formula(mechanism: Mechanism, mask: str, groups: int) -> None:
    q, k, v = operands(groups=groups)
    keep = masks()[mask]
    expected = naive.attend(mechanism, q, k, v, keep.expand(2, 4, 5, 7))
    got = attend(mechanism, q, k, v, keep)
    assert torch.allclose(got, expected, rtol=0, atol=1e-12)
    if mask == "full":
        assert torch.allclose(attend(mechanism, q, k, v), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("mechanism", VARIANTS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_number_types(mechanism: Mechanism, dtype: torch.dtype) -> None:
    if dtype != torch.float32 and mechanism.implementation == "cdist":
        pytest.skip("torch.cdist has no half kernel")
    q, k, v = operands(dtype)
    keep = masks()["some"]
    expected = naive.attend(mechanism, q, k, v, keep.expand(2, 4, 5, 7))
    got = attend(mechanism, q, k, v, keep)
    assert got.dtype == dtype
    tolerance = {torch.float32: 1e-5, torch.bfloat16: 0.2, torch.float16: 0.03}[dtype]
    assert (got.double() - expected).abs().max() <= tolerance * max(1, expected.abs().max())


@pytest.mark.parametrize("mechanism", VARIANTS, ids=str)
@pytest.mark.parametrize("mask", ["none", "some"])
def test_gradients(mechanism: Mechanism, mask: str) -> None:
    q, k, v = (x.requires_grad_() for x in operands(groups=2))
    keep = None if mask == "none" else masks()["some"]
    learned = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in (1.1, -0.4, 0.9)]

    def run(q: Tensor, k: Tensor, v: Tensor, *learned: Tensor) -> Tensor:
        named = dict(zip(("gamma", "delta", "eta"), learned, strict=False))
        return attend(mechanism, q, k, v, keep, learned=named)

    args = (q, k, v, *learned) if mechanism.name == "inhibitor" else (q, k, v)
    assert torch.autograd.gradcheck(run, args)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("mechanism", [m for m in VARIANTS if m.implementation == "fast"], ids=str)
def test_backward_is_finite_in_every_type(mechanism: Mechanism, dtype: torch.dtype) -> None:
    q, k, v = (x.requires_grad_() for x in operands(dtype))
    attend(mechanism, q, k, v, masks()["some"]).float().square().sum().backward()
    for x in (q, k, v):
        assert x.grad is not None
        assert x.grad.isfinite().all()
        assert x.grad.dtype == dtype


@pytest.mark.parametrize("mechanism", [m for m in VARIANTS if m.implementation != "cdist"], ids=str)
def test_device_independent_kernels_agree_with_cpu(mechanism: Mechanism) -> None:
    """The torch loops that other devices run give what the numba loops give, gradients included."""
    from models.attention import kernels

    torch.manual_seed(0)
    v, z, q, k = (torch.randn(2, 3, 4, 5, dtype=torch.float64) for _ in range(4))
    z = torch.cat([z.abs(), torch.full((2, 3, 4, 1), float("inf"), dtype=torch.float64)], -1)[..., :4]
    for op, args in (
        (kernels.l1_distance, (q, k)),
        (kernels.relu_sum, (v, z)),
        (kernels.soft_threshold_sum, (v, z)),
    ):
        assert torch.allclose(op(*args), op._init_fn(*args), rtol=0, atol=1e-12)
    grads = ((kernels.l1_distance_backward, (q, k), (4, 4)), (kernels.relu_sum_backward, (v, z), (4, 5)),
             (kernels.soft_threshold_sum_backward, (v, z), (4, 5)))  # fmt: skip
    for op, args, shape in grads:
        grad = torch.randn(2, 3, *shape, dtype=torch.float64)
        for a, b in zip(op(grad, *args), op._init_fn(grad, *args), strict=True):
            assert torch.allclose(a, b, rtol=0, atol=1e-12)


# Padding and masks in whole models

# Weights large enough that values outlast the inhibition; with the usual 0.02 all outputs would be 0.
WIDE = {"initializer_range": 0.5}
SMALL = WIDE | {
    "vocab_size": 50,
    "n_layers": 2,
    "n_heads": 4,
    "dim": 16,
    "hidden_dim": 32,
    "max_position_embeddings": 32,
}


def distilbert(mechanism: Mechanism) -> DistilBertModel:
    torch.manual_seed(0)
    model = install(DistilBertModel(DistilBertConfig(**SMALL)).eval(), mechanism)
    refuse_dead_outputs(model)
    return model


def refuse_dead_outputs(model: torch.nn.Module) -> None:
    """A test of outputs that are all 0 shows nothing."""

    def check(_module: torch.nn.Module, _args: object, output: Tensor) -> None:
        assert torch.compiler.is_compiling() or (output != 0).float().mean() > 0.01

    for module in attention_modules(model).values():
        getattr(module, CORE).register_forward_hook(check)


@pytest.mark.parametrize("mechanism", [m for m in VARIANTS if m.center_over == "valid"], ids=str)
def test_padding_changes_nothing(mechanism: Mechanism) -> None:
    model = distilbert(mechanism)
    ids = torch.arange(12).reshape(2, 6) + 5
    lengths = (6, 3)
    with torch.no_grad():
        alone = [model(ids[b : b + 1, :n]).last_hidden_state for b, n in enumerate(lengths)]
        for width in (6, 9, 20):
            padded = torch.zeros(2, width, dtype=torch.long)
            mask = torch.zeros(2, width, dtype=torch.long)
            for b, n in enumerate(lengths):
                padded[b, :n], mask[b, :n] = ids[b, :n], 1
            together = model(padded, attention_mask=mask).last_hidden_state
            for b, n in enumerate(lengths):
                assert torch.allclose(together[b, :n], alone[b][0], rtol=0, atol=1e-5)
            assert together.isfinite().all()


def test_centring_over_all_lets_padding_leak_in() -> None:
    """The authors' published behaviour, which the default does not repeat."""
    model = distilbert(Mechanism("inhibitor", center_over="all"))
    ids = torch.arange(4)[None] + 5
    mask = torch.tensor([[1, 1, 1, 1, 0, 0, 0, 0]])
    with torch.no_grad():
        alone = model(ids).last_hidden_state
        padded = model(torch.cat([ids, torch.zeros_like(ids)], 1), attention_mask=mask).last_hidden_state[:, :4]
    assert (alone - padded).abs().max() > 1e-4  # the other tests allow 1e-5


@pytest.mark.parametrize("mechanism", VARIANTS, ids=str)
def test_a_fully_masked_row_gives_zero(mechanism: Mechanism) -> None:
    q, k, v = operands()
    keep = torch.zeros(2, 1, 5, 7, dtype=torch.bool)
    keep[1] = True
    q.requires_grad_()
    got = attend(mechanism, q, k, v, keep)
    assert (got[0] == 0).all()
    assert got.isfinite().all()
    got.sum().backward()
    assert q.grad is not None
    assert q.grad.isfinite().all()


@pytest.mark.parametrize("name", list(MECHANISMS))
@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_causal_models_do_not_look_ahead(name: str, kind: str) -> None:
    torch.manual_seed(0)
    if kind == "gpt2":
        model = GPT2Model(GPT2Config(vocab_size=50, n_positions=32, n_embd=16, n_layer=2, n_head=4, **WIDE))
    else:
        sizes = {"vocab_size": 50, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
        model = LlamaModel(LlamaConfig(**sizes, num_attention_heads=4, num_key_value_heads=2, **WIDE))
    install(model.eval(), Mechanism(name))
    refuse_dead_outputs(model)
    ids = torch.arange(8)[None] + 5
    with torch.no_grad():
        whole = model(ids).last_hidden_state
        assert torch.allclose(whole[:, :5], model(ids[:, :5]).last_hidden_state, rtol=0, atol=1e-5)
        changed = ids.clone()
        changed[0, 7] = 40
        assert torch.allclose(model(changed).last_hidden_state[:, :7], whole[:, :7], rtol=0, atol=1e-6)


TINY = WIDE | {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 32}
TEXT = TINY | {"vocab_size": 60, "pad_token_id": 0}
FAMILIES = {
    "bert": TEXT,
    "roberta": TEXT | {"max_position_embeddings": 40},
    "electra": TEXT | {"embedding_size": 16},
    "albert": TEXT | {"embedding_size": 16},
    "qwen2": TEXT | {"num_key_value_heads": 2},
    "mistral": TEXT | {"num_key_value_heads": 2},
    "opt": {"init_std": 0.5, "vocab_size": 60, "hidden_size": 16, "num_hidden_layers": 2,
            "num_attention_heads": 4, "ffn_dim": 32, "word_embed_proj_dim": 16, "pad_token_id": 0},
    "vit": TINY | {"image_size": 32, "patch_size": 8},
}  # fmt: skip


@pytest.mark.parametrize("name", list(MECHANISMS))
@pytest.mark.parametrize("family", list(FAMILIES))
def test_any_model_of_the_interface(family: str, name: str) -> None:
    torch.manual_seed(0)
    model = AutoModel.from_config(AutoConfig.for_model(family, **FAMILIES[family])).eval()
    inputs = (
        {"pixel_values": torch.randn(2, 3, 32, 32)}
        if family == "vit"
        else {"input_ids": torch.arange(12).reshape(2, 6) + 5}
    )
    with torch.no_grad():
        own = model(**inputs).last_hidden_state
        install(model, Mechanism(name))
        refuse_dead_outputs(model)
        ours = model(**inputs).last_hidden_state
    assert ours.isfinite().all()
    assert torch.allclose(own, ours, rtol=0, atol=1e-5) == (name == "dot")


def test_position_bias_of_t5_with_dot() -> None:
    torch.manual_seed(0)
    config = T5Config(vocab_size=50, d_model=16, d_kv=4, d_ff=32, num_layers=2, num_heads=4)
    model = T5EncoderModel(config).eval()
    ids = torch.arange(12).reshape(2, 6) + 5
    mask = torch.ones_like(ids)
    mask[1, 4:] = 0
    with torch.no_grad():
        own = model(ids, attention_mask=mask).last_hidden_state
        install(model, Mechanism("dot"))
        assert torch.allclose(own[0], model(ids, attention_mask=mask).last_hidden_state[0], rtol=0, atol=1e-5)
        assert torch.allclose(
            own[1, :4], model(ids, attention_mask=mask).last_hidden_state[1, :4], rtol=0, atol=1e-5
        )


# Parameters, saving, export


@pytest.mark.parametrize("per_head", [False, True])
def test_learnable_parameters_are_saved_and_loaded(per_head: bool, tmp_path) -> None:
    mechanism = Mechanism("inhibitor", per_head=per_head, normalise="sqrt")
    model = distilbert(mechanism)
    core = getattr(model.transformer.layer[1].attention, CORE)
    assert isinstance(core, AttentionCore)
    assert core.gamma.shape == ((4, 1, 1) if per_head else (1, 1, 1))
    with torch.no_grad():
        core.gamma.mul_(1.5)
        core.delta.sub_(0.25)
        core.eta.fill_(0.5)
    model.save_pretrained(tmp_path)
    again = load_model(str(tmp_path), device="cpu", seq=6)
    assert again.attention == str(mechanism)
    state = again.module.state_dict()
    assert state.keys() == model.state_dict().keys()
    assert all(torch.equal(t, state[key]) for key, t in model.state_dict().items())
    ids = torch.arange(6)[None] + 5
    with torch.no_grad():
        assert torch.equal(model(ids).last_hidden_state, again.module(ids).last_hidden_state)


@pytest.mark.parametrize("name", list(MECHANISMS))
def test_export(name: str) -> None:
    model = distilbert(Mechanism(name))
    ids, mask = torch.arange(12).reshape(2, 6) + 5, torch.tensor([[1] * 6, [1, 1, 1, 0, 0, 0]])
    exported = torch.export.export(model, (), {"input_ids": ids, "attention_mask": mask})
    with torch.no_grad():
        got = exported.module()(input_ids=ids, attention_mask=mask)["last_hidden_state"]
        assert torch.allclose(got, model(ids, attention_mask=mask).last_hidden_state, rtol=0, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(MECHANISMS))
def test_compile(name: str) -> None:
    torch.compiler.reset()
    mechanism = Mechanism(name)
    q, k, v = (x.requires_grad_() for x in operands(torch.float32))
    keep = masks()["some"]

    def run(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return attend(mechanism, q, k, v, keep)

    compiled = torch.compile(run, backend="aot_eager", fullgraph=True)
    expected = torch.autograd.grad(run(q, k, v).sum(), (q, k, v))
    got = compiled(q, k, v)
    assert torch.allclose(got, run(q, k, v), rtol=0, atol=1e-6)
    for a, b in zip(torch.autograd.grad(got.sum(), (q, k, v)), expected, strict=True):
        assert torch.allclose(a, b, rtol=0, atol=1e-5)


MEMORY_SCRIPT = """
import torch
from models.attention.formulas import attend
from models.attention.mechanisms import Mechanism
# Not `ru_maxrss`, which a child inherits from its parent.
peak = lambda: int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) / 1024
q, k, v = (torch.randn(1, 12, 512, 64) for _ in range(3))
keep = torch.ones(1, 1, 512, 512, dtype=torch.bool)
with torch.no_grad():
    attend(Mechanism({name!r}), *(x[:, :, :8] for x in (q, k, v)), keep[..., :8, :8])  # compiles the loops
    before = peak()
    attend(Mechanism({name!r}), q, k, v, keep)
print(peak() - before)
"""


@pytest.mark.parametrize("name", list(MECHANISMS))
def test_forward_memory_is_quadratic_in_n_only(name: str) -> None:
    """At S=512 the scores of 12 heads take 12.6 MB, a tensor of n^2 d elements 805 MB."""
    result = subprocess.run(
        [sys.executable, "-c", MEMORY_SCRIPT.format(name=name)], capture_output=True, text=True, check=True
    )
    assert float(result.stdout) < 120


# Errors


def test_a_model_without_the_interface() -> None:
    model = MambaModel(MambaConfig(vocab_size=10, hidden_size=8, num_hidden_layers=1))
    assert not attention_modules(model)
    with pytest.raises(ModelError, match="MambaModel does not use transformers' AttentionInterface"):
        install(model, Mechanism("inhibitor"))


@pytest.mark.quick
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dott", "unknown attention 'dott'; known: dot, inhibitor-2023"),
        ("dot:gamma=1", "attention 'dot' has no option 'gamma'; known: none"),
        ("inhibitor:gamma=x", "attention option gamma='x' is not a float"),
        ("inhibitor:gamma=nan", "attention option gamma='nan' is not finite"),
        ("inhibitor:per_head=maybe", "attention option per_head='maybe' is not a bool"),
        ("inhibitor:normalise=n2", "attention option normalise='n2'; known: none, sqrt, n"),
        ("inhibitor-2023:shift=-1", "attention option shift=-1.0 is negative"),
    ],
)
def test_wrong_mechanisms(text: str, message: str) -> None:
    with pytest.raises(ModelError) as caught:
        parse_mechanism(text)
    assert str(caught.value).startswith(message)


@pytest.mark.quick
def test_mechanisms_print_as_they_parse() -> None:
    for mechanism in VARIANTS:
        assert parse_mechanism(str(mechanism)) == mechanism
    assert replace(Mechanism("inhibitor"), per_head=True) == parse_mechanism("inhibitor:per_head=true")
