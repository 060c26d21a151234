"""Graphs: JSON, text, verification, networkx, templates."""

from __future__ import annotations

import json
from dataclasses import replace

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from costmodel.errors import BadGraph
from costmodel.graph import template
from costmodel.graph.canonical import canonicalise
from costmodel.graph.ir import Graph, Node, Ref, Value
from costmodel.graph.lowering import lower
from costmodel.graph.tracing import trace
from costmodel.records import decode, encode
from models.attention.mechanisms import MECHANISMS, Mechanism
from models.zoo.loading import load_model

pytestmark = pytest.mark.quick


def traced(name: str = "distilbert-tiny", **options) -> Graph:
    loaded = load_model(name, **options)
    return trace(loaded.module, loaded.inputs)


@pytest.mark.parametrize("mechanism", list(MECHANISMS))
def test_json_round_trip(mechanism: str) -> None:
    graph = traced(mechanism=Mechanism(mechanism), batch=2, seq=5)
    assert Graph.from_json(graph.to_json()) == graph
    lowered = canonicalise(lower(graph))
    assert Graph.from_json(lowered.to_json()) == lowered


def test_infinities_survive_json() -> None:
    graph = traced(mechanism=Mechanism("inhibitor"), batch=2, seq=5)
    node = Node("aten.full", (), (1,), {"value": float("inf"), "size": (2,)})
    values = (replace(graph.values[0], id=0, storage=0), Value(1, (2,), "float32", "temp", 1, (1,)))
    small = Graph(values, (node,), (1,)).verify()
    assert Graph.from_json(small.to_json()) == small


@pytest.mark.parametrize("text", ["", "{}", "[]", "{'a': 1}", '{"values": 3}', "null"])
def test_broken_json(text: str) -> None:
    with pytest.raises(BadGraph):
        Graph.from_json(text)


@pytest.mark.parametrize("wrong", [True, 0.5, None, [], {}, "x", [[]]])
def test_a_record_with_a_wrong_part_is_no_graph(wrong: object) -> None:
    """Any value in place of any part, at every depth, is a graph again or a BadGraph; nothing else gets out."""
    record = json.loads(traced().to_json())
    places = [(record, key) for key in record]
    places += [(record["values"], 0), (record["nodes"], 1)]
    places += [(record["values"][0], i) for i in range(7)] + [(record["nodes"][1], i) for i in range(5)]
    refused = 0
    for holder, key in places:
        kept, holder[key] = holder[key], wrong
        try:
            Graph.from_json(json.dumps(record))
        except BadGraph:
            refused += 1
        holder[key] = kept
    assert refused > 5


def test_text_form() -> None:
    class Small(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = torch.nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(self.linear(x)).sum(-1)

    graph = trace(Small(), (torch.zeros(3, 4),), device="cpu")
    assert str(graph) == (
        "%0: f32[3,4] = input args.0\n"
        "%1: f32[2,4] = param linear.weight\n"
        "%2: f32[2] = param linear.bias\n"
        "%3: f32[3,2] = aten.linear(input=%0, weight=%1, bias=%2)  # linear\n"
        "%4: f32[3,2] = aten.relu(self=%3)\n"
        "%5: f32[3] = aten.sum.dim_IntList(self=%4, dim=[-1])\n"
        "return %5"
    )


def test_aliases_and_updates_in_place() -> None:
    class Update(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = x * 2
            y[0].add_(1)
            return y.t()

    graph = trace(Update(), (torch.zeros(2, 2),), device="cpu")
    made = graph.values[graph.nodes[0].outputs[0]]
    for node in graph.nodes[1:]:
        assert all(graph.values[i].storage == made.id for i in node.outputs)


def test_networkx_view() -> None:
    graph = traced(seq=4)
    view = graph.to_networkx()
    assert len(view) == len(graph.nodes)
    assert nx.is_directed_acyclic_graph(view)
    products = [n for n, data in view.nodes(data=True) if data["op"] == "aten.linear"]
    assert len(products) == 12
    assert nx.has_path(view, products[0], products[-1])


def leaf(i: int, kind: str = "input") -> Value:
    return Value(i, (2,), "float32", kind, i, (1,))


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (Graph((leaf(1),), ()), "value %1 stands at place 0"),
        (Graph((leaf(0, "wish"),), ()), "value %0 is of unknown kind 'wish'"),
        (Graph((replace(leaf(0), storage=4),), ()), "value %0 lives in the unknown storage 4"),
        (Graph((replace(leaf(0), stride=()),), ()), "value %0 has 1 dims and 0 strides"),
        (
            Graph((leaf(0), leaf(1, "temp")), (Node("relu", (1,), (1,), {}),)),
            "node 0 relu uses %1 before it is made",
        ),
        (Graph((leaf(0),), (Node("relu", (0,), (0,), {}),)), "node 0 relu makes %0 again"),
        (Graph((leaf(0, "temp"),), (), (0,)), "the output %0 is never made"),
    ],
)
def test_verify(graph: Graph, message: str) -> None:
    with pytest.raises(BadGraph) as caught:
        graph.verify()
    assert str(caught.value) == message


# Templates


def fitted(name: str, mechanism: str, batch: int, longest: int) -> template.Template | None:
    def trace_at(size: template.Size) -> Graph:
        return traced(name, mechanism=Mechanism(mechanism), batch=size[0], seq=size[1])

    return template.fit(trace_at, batch, longest)


TEMPLATES = {
    (name, mechanism, rows): fitted(name, mechanism, rows, 64)
    for name, mechanism, rows in (("distilbert-tiny", "dot", 1), ("distilbert-tiny", "inhibitor", 2))
}


@settings(max_examples=25, deadline=None)
@given(seq=st.integers(3, 63), batch=st.integers(2, 40))
def test_template_equals_a_new_trace(seq: int, batch: int) -> None:
    for (name, mechanism, rows), made in TEMPLATES.items():
        assert made is not None
        b = 1 if rows == 1 else batch
        fresh = traced(name, mechanism=Mechanism(mechanism), batch=b, seq=seq)
        assert template.instantiate(made, b, seq) == fresh


def test_a_model_that_branches_on_its_length_has_no_template() -> None:
    class Branch(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + 1 if x.shape[1] > 20 else x * 2

    def trace_at(size: template.Size) -> Graph:
        return trace(Branch(), (torch.zeros(*size),))

    assert template.fit(trace_at, 1, 64) is None
    assert template.fit(trace_at, 1, 16) is not None


def test_a_length_that_is_no_polynomial_has_no_template() -> None:
    class Halves(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x[:, : x.shape[1] // 2] * 2

    for longest in (16, 65, 512, 1024, 2048):
        for batch in (1, 2):
            assert template.fit(lambda size: trace(Halves(), (torch.zeros(*size),)), batch, longest) is None


def test_templates_interpolate_only() -> None:
    assert template.covers(3, 512)
    assert template.covers(511, 512)
    assert not template.covers(2, 512)
    assert not template.covers(512, 512)
    made = TEMPLATES["distilbert-tiny", "dot", 1]
    assert decode(template.Template, json.loads(json.dumps(encode(made))), "it") == made


def test_refs_show_in_text() -> None:
    assert str(Node("mul", (3,), (4,), {"args": (Ref(3), 0.5), "n": 2})) == "mul(args=[%3, 0.5], n=2)"
