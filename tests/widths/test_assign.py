"""Widths: exact types of the issue's examples, ranges that extremes attain, counts that rules confirm."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from costmodel.counting.tally import compulsory_bytes, count
from costmodel.dtypes import Int, parse, stored_bytes
from costmodel.errors import CostModelError, UnknownOp
from costmodel.graph.canonical import canonicalise
from costmodel.graph.ir import Graph
from costmodel.graph.lowering import lower
from costmodel.graph.tracing import trace
from costmodel.ops.counts import ARITHMETIC
from costmodel.ops.rules import count_op, kind_of
from costmodel.widths.assign import Typed, assign_widths, width_counts
from costmodel.widths.policy import add_work, parse_policy, range_of, type_of
from models.attention.mechanisms import MECHANISMS, Mechanism
from models.zoo.loading import load_model
from models.zoo.presets import size_names

SIZES = {"dim": 64, "n_heads": 1, "hidden_dim": 32, "n_layers": 1}


@cache
def graph_of(name: str, seq: int = 128) -> Graph:
    loaded = load_model("distilbert", mechanism=Mechanism(name), batch=1, seq=seq, sizes=SIZES)
    return canonicalise(lower(trace(loaded.module, loaded.inputs)))


def typed(name: str, widths: str, seq: int = 128) -> Typed:
    return assign_widths(graph_of(name, seq), parse_policy(widths))


def types_of(typed_graph: Typed, op: str) -> list[str]:
    return [typed_graph.graph.values[n.outputs[0]].dtype for n in typed_graph.graph.nodes if n.op == op]


def test_widths_of_the_design() -> None:
    """|q - k| of int8 has 8 bits without sign, its sum over d=64 has 14, q k has 22 with sign."""
    inhibitor = typed("inhibitor", "w8a8")
    assert types_of(inhibitor, "l1") == ["uint14"]
    terms = next(w for n, w in zip(inhibitor.graph.nodes, inhibitor.work, strict=True) if n.op == "l1")
    assert [(w.op, str(w.type)) for w in terms] == [("add", "uint8"), ("abs", "uint8"), ("add", "int32")]
    scores = [t for n, t in zip_types(typed("dot", "w8a8"), "matmul") if n.endswith("attention_core")]
    assert scores[0] == "int22"


def zip_types(typed_graph: Typed, op: str) -> list[tuple[str, str]]:
    nodes = [n for n in typed_graph.graph.nodes if n.op == op]
    return [(n.module, typed_graph.graph.values[n.outputs[0]].dtype) for n in nodes]


@pytest.mark.parametrize(("seq", "bits"), [(1, 8), (2, 9), (5, 11), (100, 15), (128, 15)])
def test_a_sum_over_n_of_int8(seq: int, bits: int) -> None:
    assert types_of(typed("inhibitor", "w8a8", seq), "sum") == [f"int{bits}"]


def test_extremes_attain_the_ranges() -> None:
    """The type of each product is the narrowest that holds what int8 operands can make."""
    rng = range_of(Int(8), 0)
    ends = np.array([rng.low, rng.high])
    grid = np.array(np.meshgrid(ends, ends)).reshape(2, -1)
    for d in (1, 7, 64):
        dot = (grid[0] * grid[1]) * d
        assert type_of(int(dot.min()), int(dot.max())) == type_of(int(-128 * 127 * d), int(128 * 128 * d))
        distance = np.abs(grid[0] - grid[1]) * d
        assert type_of(0, int(distance.max())).bits == (255 * d).bit_length()
    assert [str(type_of(*r)) for r in ((0, 0), (0, 1), (-1, 0), (-128, 127), (-128, 128), (0, 255))] == [
        "uint1", "uint1", "int1", "int8", "int9", "uint8",
    ]  # fmt: skip


@pytest.mark.parametrize("name", list(MECHANISMS))
@pytest.mark.parametrize("widths", ["w8a8", "w4a8", "w8a16", "w4a8:softmax=w8a16,acc=24"])
def test_products_keep_their_counts(name: str, widths: str) -> None:
    """Whatever the widths, a product takes the operations of its rule."""
    graph = typed(name, widths)
    for node, work in zip(graph.graph.nodes, graph.work, strict=True):
        if kind_of(node.op) == "product" or node.op in ("sum", "relu", "add", "sub", "requantise"):
            sums: dict[str, int] = {}
            for (op, _), n in add_work(work).items():
                sums[op] = sums.get(op, 0) + n
            rule = count_op(node.op, node.attrs).arithmetic()
            assert sums == {op: n for op, n in rule.items() if n}, node


@pytest.mark.parametrize("name", list(MECHANISMS))
@pytest.mark.parametrize("widths", ["fp32", "bf16", "fp16", "fp64"])
def test_floats_keep_every_count(name: str, widths: str) -> None:
    graph = graph_of(name)
    sums: dict[str, int] = dict.fromkeys(ARITHMETIC, 0)
    for (op, _), n in width_counts(assign_widths(graph, parse_policy(widths))).items():
        sums[op] += n
    assert sums == {op: getattr(count(graph).counts, op) for op in ARITHMETIC}


def test_floats_accumulate_in_float32() -> None:
    sums = width_counts(typed("dot", "bf16"))
    matmuls = [n for n in graph_of("dot").nodes if n.op == "matmul"]
    assert sums["add", "float32"] == sum(count_op("matmul", n.attrs).add for n in matmuls)


@pytest.mark.parametrize("name", list(MECHANISMS))
def test_operands_are_narrow(name: str) -> None:
    """No product reads more bits than the policy gives, and every wide value is requantised before."""
    graph = typed(name, "w4a8")
    for node in graph.graph.nodes:
        if kind_of(node.op) == "product":
            operands = [graph.graph.values[i] for i in node.inputs[:2]]
            assert all(parse(v.dtype).bits <= 8 for v in operands)
            if operands[1].kind == "param":
                assert operands[1].dtype == "int4"
    assert any(n.op == "requantise" for n in graph.graph.nodes)
    assert not any(n.op == "requantise" for n in typed(name, "bf16").graph.nodes)


def test_q_and_k_share_a_scale_and_z_that_of_v() -> None:
    graph = typed("inhibitor", "w8a8")
    distance, clip = (next(n for n in graph.graph.nodes if n.op == op) for op in ("l1", "clip_sum"))
    q, k = (graph.ranges[i] for i in distance.inputs)
    v, z = (graph.ranges[i] for i in clip.inputs)
    assert q is not None and k is not None and v is not None and z is not None  # noqa: PT018
    assert q.scale == k.scale
    assert v.scale == z.scale
    assert (z.low, z.high) == (0, 127)


def test_accumulator_overflow_is_reported() -> None:
    assert not typed("dot", "w8a8").overflows
    found = typed("dot", "w8a8:acc=21").overflows
    # Of the projections K=64, of the FFN's second product K=32, of scores K=64, of values K=128.
    by_module = {(o.op, o.module.rpartition(".")[2]): o.exact_bits for o in found}
    assert by_module["matmul", "attention_core"] == 22
    assert by_module["matmul", "q_lin"] == 22
    assert ("matmul", "lin2") not in by_module  # 2^5 terms of 2^14 fit 21 bits
    assert {o.accumulator_bits for o in found} == {21}
    exact = typed("inhibitor", "w8a8:acc=exact")
    assert not exact.overflows
    assert width_counts(exact)["add", "uint14"] > 0


def test_packed_weights_halve_the_compulsory_bytes() -> None:
    eight, four = (compulsory_bytes(typed("dot", w).graph) for w in ("w8a8", "w4a8"))
    weights = 4 * 64 * 64 + 2 * 64 * 32
    assert eight - four == weights // 2  # rows of embeddings keep the bits of activations
    assert stored_bytes("int4", 3) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("w8", "unknown widths 'w8'"),
        ("w1a8", "2 to 16 bits"),
        ("w8a32", "2 to 16 bits"),
        ("w8a8:acc=3", "neither acc=BITS"),
        ("w8a8:sofmax=w8a16", "neither acc=BITS"),
        ("w8a8:softmax=fp32", "mix integers and floats"),
        ("w8a8:softmax=w0a8", "2 to 16 bits"),
        ("", "unknown widths ''"),
    ],
)
def test_wrong_policies(text: str, message: str) -> None:
    with pytest.raises(CostModelError, match=message):
        parse_policy(text)


def test_an_op_without_a_width_rule_is_an_error() -> None:
    import torch

    class Model(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cumsum(x, 0)

    graph = canonicalise(lower(trace(Model(), (torch.zeros(3, 4, device="meta"),))))
    with pytest.raises(UnknownOp, match="'cumsum' has no rule for integer widths"):
        assign_widths(graph, parse_policy("w8a8"))


@pytest.mark.parametrize(
    "model", ["bert-base", "gpt2", "gpt-neox-20b", "llama-3-8b", "mamba-130m", "mixtral-8x7b"]
)
def test_other_architectures_are_typed_or_refused_by_name(model: str) -> None:
    layers = {size_names(model)["L"]: 1} if model not in ("mamba-130m", "mixtral-8x7b", "gpt-neox-20b") else {}
    layers = layers or {"num_hidden_layers": 1}
    loaded = load_model(model, mechanism=None, batch=1, seq=4, sizes=layers)
    graph = canonicalise(lower(trace(loaded.module, loaded.inputs)))
    if model == "mixtral-8x7b":
        with pytest.raises(UnknownOp, match=r"op 'topk' in .*has no rule for integer widths"):
            assign_widths(graph, parse_policy("w8a8"))
        return
    found = assign_widths(graph, parse_policy("w8a8"))
    for node in found.graph.nodes:
        if kind_of(node.op) == "product":
            assert all(found.ranges[i] is not None for i in (*node.inputs[:2], *node.outputs))
