"""Known totals, and the same counts however a model runs."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from costmodel.counting.records import flops, macs
from costmodel.counting.tally import Tally, attention_core, core_counts, count, layer_of, rows_by
from costmodel.errors import CostModelError, TraceError, UnknownOp
from costmodel.graph.canonical import canonicalise
from costmodel.graph.ir import Graph
from costmodel.graph.lowering import lower
from costmodel.graph.tracing import trace
from costmodel.ops.counts import ARITHMETIC, Counts, total
from models.attention.mechanisms import MECHANISMS, Mechanism, parse_mechanism
from models.zoo.loading import load_model
from models.zoo.presets import PRESETS


def canonical(name: str, device: str = "meta", as_run: bool = False, **options) -> tuple[Graph, Tally]:
    loaded = load_model(name, device=device, **options)
    graph = lower(trace(loaded.module, loaded.inputs, device=device, as_run=as_run), as_run=as_run)
    graph = graph if as_run else canonicalise(graph)
    return graph, count(graph)


def distilbert_totals(B: int, S: int, D: int, F: int, H: int, L: int) -> Counts:
    """The totals of a DistilBERT with dot products, written out part by part."""
    T, N = B * S, H * B * S * S
    d = D // H

    def linear(i: int, o: int) -> Counts:
        return Counts(mul=T * i * o, add=T * i * o)

    norm = Counts(mul=T * (3 * D + 2), add=T * (4 * D - 1), sqrt=T, div=T)
    scores = Counts(mul=N * d, add=N * (d - 1)) + Counts(mul=N)
    softmax = Counts(cmp=H * B * S * (S - 1), add=N + H * B * S * (S - 1), exp=N, div=N)
    values = Counts(mul=H * B * S * d * S, add=H * B * S * d * (S - 1))
    gelu = Counts(mul=3, add=1, erf=1) * (T * F)
    residuals = Counts(add=2 * T * D)
    layer = (
        4 * linear(D, D) + linear(D, F) + linear(F, D) + scores + softmax + values + gelu + residuals + 2 * norm
    )
    return L * layer + Counts(add=T * D) + norm


KNOWN = {
    128: Counts(mul=5598907648, add=5596140928, cmp=1170432, exp=1179648, erf=2359296, div=1181312, sqrt=1664),
    512: Counts(
        mul=24221725696, add=24210658816, cmp=18837504, exp=18874368, erf=9437184, div=18881024, sqrt=6656
    ),
}


@pytest.mark.quick
@pytest.mark.parametrize("seq", [128, 512])
def test_distilbert_base(seq: int) -> None:
    graph, tally = canonical("distilbert", seq=seq)
    assert replace(tally.counts, read_bytes=0, write_bytes=0) == KNOWN[seq]
    assert KNOWN[seq] == distilbert_totals(B=1, S=seq, D=768, F=3072, H=12, L=6)
    assert macs(graph, tally) == {128: 5586812928, 512: 24159191040}[seq]


@pytest.mark.parametrize(("batch", "seq"), [(1, 7), (3, 5), (2, 64)])
def test_distilbert_at_other_sizes(batch: int, seq: int) -> None:
    _, tally = canonical("distilbert-tiny", batch=batch, seq=seq)
    expected = distilbert_totals(B=batch, S=seq, D=8, F=16, H=2, L=2)
    assert replace(tally.counts, read_bytes=0, write_bytes=0) == expected


@pytest.mark.quick
def test_core_of_the_unsigned_inhibitor() -> None:
    graph, tally = canonical("distilbert", mechanism=parse_mechanism("inhibitor-2023:shift=0"), seq=128)
    core = core_counts(graph, tally)
    assert core.arithmetic() == Counts(add=300220416, abs=75497472, cmp=75497472, div=1179648).arithmetic()


@pytest.mark.quick
def test_core_share_of_dot() -> None:
    for seq, share in ((128, 2.7), (512, 10.0)):
        graph, tally = canonical("distilbert", seq=seq)
        core = core_counts(graph, tally)
        assert round(100 * core.mul / tally.counts.mul, 1) == share + (seq == 512) * 0.1


@pytest.mark.parametrize("name", list(PRESETS))
def test_products_equal_the_flop_counter(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """torch's own counter, of every call that really runs: exact for products on meta.

    It runs below the tracer, which answers control flow that it could not.
    """
    from costmodel.graph import meta_shapes

    monkeypatch.setattr(meta_shapes, "INFER", {})
    loaded = load_model(name, batch=2, seq=PRESETS[name].fixed_seq or 5)
    with FlopCounterMode(display=False) as counter:
        graph = canonicalise(lower(trace(loaded.module, loaded.inputs)))
    assert counter.get_total_flops() == 2 * macs(graph, count(graph))


@pytest.mark.quick
@pytest.mark.parametrize(
    "name", ["distilbert-tiny", "gpt2", "bert-base", "whisper-tiny", "t5-small", "bart-large", "opt-125m"]
)
def test_eager_and_sdpa_count_the_same(name: str) -> None:
    eager, sdpa = (canonical(name, seq=16, batch=2, native=native)[1] for native in ("eager", "sdpa"))
    assert eager.counts.arithmetic() == sdpa.counts.arithmetic()
    if name != "t5-small":  # its SDPA path really merges mask and position bias into one tensor first
        assert eager.counts == sdpa.counts
        assert eager.peak_live_bytes == sdpa.peak_live_bytes
    assert eager.compulsory_bytes == sdpa.compulsory_bytes


@pytest.mark.parametrize("native", ["eager", "sdpa", None])
@pytest.mark.parametrize("batch", [1, 2])
def test_meta_cpu_and_fake_count_the_same(native: str | None, batch: int) -> None:
    meta, cpu = (
        canonical("distilbert-tiny", device=device, batch=batch, seq=6, native=native)[1]
        for device in ("meta", "cpu")
    )
    loaded = load_model("distilbert-tiny", device="cpu", batch=batch, seq=6, native=native)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        for owner in loaded.module.modules():
            for key, p in list(owner._parameters.items()):
                owner._parameters[key] = None if p is None else torch.nn.Parameter(mode.from_tensor(p.data))
            for key, b in list(owner._buffers.items()):
                owner._buffers[key] = None if b is None else mode.from_tensor(b)
        inputs = {k: mode.from_tensor(v) for k, v in loaded.inputs.items() if isinstance(v, torch.Tensor)}
        fake = count(canonicalise(lower(trace(loaded.module, inputs, device="cpu"))))
    assert meta.counts == cpu.counts == fake.counts
    assert meta.peak_live_bytes == cpu.peak_live_bytes == fake.peak_live_bytes
    assert meta.compulsory_bytes == cpu.compulsory_bytes == fake.compulsory_bytes


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
@pytest.mark.parametrize("name", list(MECHANISMS))
def test_cuda_counts_the_same(name: str) -> None:
    meta, cuda = (
        canonical("distilbert-tiny", device=d, mechanism=Mechanism(name), batch=2, seq=6)[1]
        for d in ("meta", "cuda")
    )
    assert meta.counts == cuda.counts


@pytest.mark.parametrize("padding", [False, True])
@pytest.mark.parametrize("name", [n for n in MECHANISMS if "implementation" in MECHANISMS[n].uses])
def test_every_spelling_of_a_mechanism_counts_the_same(name: str, padding: bool) -> None:
    tallies = {}
    for implementation in ("fast", "broadcast", "cdist"):
        loaded = load_model(
            "distilbert-tiny", mechanism=Mechanism(name, implementation=implementation), batch=2, seq=6
        )
        inputs = dict(loaded.inputs)
        if padding:
            inputs["attention_mask"] = torch.tensor([[1] * 6, [1, 1, 1, 0, 0, 0]])
        tallies[implementation] = count(canonicalise(lower(trace(loaded.module, inputs))))
    assert tallies["fast"].counts == tallies["broadcast"].counts == tallies["cdist"].counts


def test_as_run_reports_what_ran() -> None:
    """Where the arithmetic of the kernels differs, `as_run` says so; where not, it agrees."""

    def core(name: str, implementation: str, as_run: bool) -> Counts:
        mechanism = Mechanism(name, implementation=implementation)
        return core_counts(*canonical("distilbert-tiny", mechanism=mechanism, seq=6, as_run=as_run))

    terms = 2 * 2 * 6 * 6 * 4  # layers, heads, queries, keys, width
    clip_form, as_run = core("inhibitor", "fast", False), core("inhibitor", "fast", True)
    assert as_run.cmp == clip_form.cmp
    # The float kernel subtracts each clipped value; hardware subtracts one sum of them from another.
    sums = 2 * 2 * (6 * 4 + 4 * (6 - 1))  # one subtraction an output, and the sum of the values
    assert as_run.add - clip_form.add == terms - sums
    spelled = core("inhibitor", "broadcast", True)
    assert spelled.add > as_run.add
    assert spelled.read_bytes > 4 * as_run.read_bytes
    assert core("inhibitor-2023", "fast", True).arithmetic() == core("inhibitor-2023", "fast", False).arithmetic()


def test_as_run_sees_the_fused_attention_of_cpu() -> None:
    graph, tally = canonical("distilbert-tiny", device="cpu", seq=6, as_run=True, native="sdpa")
    assert sum(node.op == "fused_attention" for node in graph.nodes) == 2
    _, spelled = canonical("distilbert-tiny", device="cpu", seq=6, native="sdpa")
    assert tally.counts.arithmetic() == spelled.counts.arithmetic()
    assert tally.counts.read_bytes < spelled.counts.read_bytes  # scores stay in the kernel


# Architectures


@pytest.mark.parametrize("name", [n for n in PRESETS if n != "llama-3-70b"])
def test_every_preset_counts(name: str) -> None:
    preset = PRESETS[name]
    graph, tally = canonical(name, seq=preset.fixed_seq or 16)
    assert tally.counts.mul > 0
    assert tally.params > 0
    assert not tally.unknown
    assert 0 < tally.compulsory_bytes <= tally.counts.read_bytes + tally.counts.write_bytes
    for by in ("kind", "op", "module", "layer"):
        rows = rows_by(graph, tally, by)
        assert total(row.counts for row in rows) == tally.counts
        assert sum(row.nodes for row in rows) == len(graph.nodes)
    has_core = any(attention_core(graph))
    assert has_core == (name != "mamba-130m")


@pytest.mark.parametrize("model", ["resnet50", "mobilenet_v3_large", "convnext_tiny"])
def test_torchvision(model: str) -> None:
    models = pytest.importorskip(
        "torchvision.models", reason="torchvision is not installed", exc_type=(ImportError, RuntimeError)
    )
    with torch.device("meta"):
        module = getattr(models, model)().eval()
    tally = count(canonicalise(lower(trace(module, (torch.zeros(1, 3, 224, 224),)))))
    assert tally.counts.mul > 0


class Convolutions(torch.nn.Module):
    """What torchvision's networks are made of, for machines without it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm = torch.nn.BatchNorm2d(8)
        self.depthwise = torch.nn.Conv2d(8, 8, 3, groups=8)
        self.group = torch.nn.GroupNorm(2, 8)
        self.pool, self.average = torch.nn.MaxPool2d(2), torch.nn.AdaptiveAvgPool2d(1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.nn.functional.hardswish(self.norm(self.conv(x)))
        x = torch.nn.functional.hardsigmoid(self.group(self.depthwise(x)))
        x = torch.nn.functional.relu6(self.pool(x))
        return self.average(x).flatten(1)


def test_convolutions() -> None:
    module = Convolutions().eval()
    graph = canonicalise(lower(trace(module, (torch.zeros(2, 3, 10, 10),), device="cpu")))
    by_op = {row.key: row.counts for row in rows_by(graph, count(graph), "op")}
    first, second = 2 * 8 * 10 * 10, 2 * 8 * 8 * 8
    assert by_op["conv"].mul == first * 27 + second * 9
    assert by_op["conv"].add == first * 26 + second * (8 + 1)
    assert by_op["batch_norm"].add == 2 * first + 8
    assert by_op["group_norm"].sqrt == 4
    assert by_op["max_pool"].cmp == 3 * 2 * 8 * 16
    assert by_op["mean"].add == 2 * 8 * 15


# Bytes


def test_bytes_of_a_small_graph() -> None:
    """y = relu(x W^T + b) + x: every operand by hand."""

    class Block(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear, self.unused = torch.nn.Linear(4, 4), torch.nn.Linear(9, 9)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(self.linear(x)) + x

    tally = count(canonicalise(lower(trace(Block(), (torch.zeros(3, 4),), device="cpu"))))
    x, weight, bias = 3 * 4 * 4, 4 * 4 * 4, 4 * 4
    assert tally.counts.read_bytes == (x + weight + bias) + x + (x + x)
    assert tally.counts.write_bytes == 3 * x
    assert tally.compulsory_bytes == x + weight + bias + x  # the unused layer moves nothing
    # Input and weights stay; at the add, relu's result and the sum are alive with them.
    assert tally.peak_live_bytes == x + weight + bias + 2 * x
    assert tally.params == 20 + 90


def test_a_broadcast_operand_counts_its_own_bytes_once() -> None:
    class Add(torch.nn.Module):
        def forward(self, x: torch.Tensor, row: torch.Tensor) -> torch.Tensor:
            return x + row.expand(5, 4)

    tally = count(canonicalise(lower(trace(Add(), (torch.zeros(5, 4), torch.zeros(1, 4)), device="cpu"))))
    assert tally.counts.read_bytes == 4 * (20 + 4)


def test_flops_and_macs_are_views() -> None:
    _graph, tally = canonical("distilbert", seq=128)
    assert flops(tally.counts) == sum(getattr(tally.counts, name) for name in ARITHMETIC) == 11200940928


# Errors


class Odd(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.linalg.svdvals(x)


@pytest.mark.quick
def test_unknown_op_names_shapes_module_and_file() -> None:
    module = torch.nn.Sequential(Odd())
    graph = trace(module, (torch.zeros(3, 3),), device="cpu")
    with pytest.raises(UnknownOp) as caught:
        lower(graph)
    text = str(caught.value)
    assert "aten._linalg_svd" in text
    assert "f32[3,3]" in text
    assert "module 0" in text
    assert "costmodel/graph/names.py" in text
    allowed = count(canonicalise(lower(graph, allow_unknown=True)))
    assert len(allowed.unknown) == 1
    assert "aten._linalg_svd" in allowed.unknown[0]


class DataDependent(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(2, device="meta"))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if bool((self.weight > 0).all()) else -x


class Flagged(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + x if bool((x.cumsum(0)[-1] > 3).all()) else x


@pytest.mark.quick
def test_control_flow_on_meta() -> None:
    """Integers of the inputs decide control flow on meta; weights, which are not there, cannot."""
    with pytest.raises(TraceError, match=r"control flow in module .* depends on param weight"):
        trace(DataDependent(), (torch.zeros(2),))
    assert [n.op for n in trace(Flagged(), (torch.tensor([2, 2]),)).nodes][-1] == "aten.add.Tensor"
    assert [n.op for n in trace(Flagged(), (torch.tensor([1, 1]),)).nodes][-1] != "aten.add.Tensor"


class Weighed(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + x if bool((torch.matmul(x, x.t()) > 3).all()) else x


@pytest.mark.quick
def test_what_control_flow_needs_is_not_counted_twice() -> None:
    """On meta the product is worked out again on real numbers, beside the record."""
    x = torch.full((2, 2), 2.0)
    meta, cpu = (trace(Weighed(), (x,), device=device) for device in ("meta", "cpu"))
    assert [n.op for n in meta.nodes] == [n.op for n in cpu.nodes]


@pytest.mark.quick
def test_the_core_has_one_name() -> None:
    from costmodel.counting.tally import CORE as counted
    from models.attention.cores import CORE as installed

    assert counted == installed


@pytest.mark.quick
def test_a_model_that_fails_is_one_line() -> None:
    with pytest.raises(TraceError) as caught:
        trace(torch.nn.Linear(3, 3), (torch.zeros(2, 4),), device="cpu")
    assert str(caught.value).startswith("Linear does not run on cpu: module (top): RuntimeError:")
    assert "\n" not in str(caught.value)
    with pytest.raises(TraceError, match="unknown device 'tpu'; known: meta, cpu, cuda"):
        trace(torch.nn.Linear(3, 3), (torch.zeros(2, 3),), device="tpu")


@pytest.mark.quick
def test_groupings() -> None:
    assert layer_of("transformer.layer.3.attention.q_lin") == "transformer.layer.3"
    assert layer_of("embeddings.LayerNorm") == "embeddings"
    assert layer_of("") == "(model)"
    with pytest.raises(CostModelError, match="cannot group by 'color'"):
        rows_by(*canonical("distilbert-tiny", seq=4), "color")
