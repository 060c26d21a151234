"""Graphs made at every length against graphs made the slow way."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import pytest

from costmodel.api.graphs import Request, counted
from costmodel.graph.ir import Graph
from costmodel.widths.assign import Typed, assign_widths
from costmodel.widths.lengths import SHORTEST, Family, Form
from costmodel.widths.policy import parse_policy
from models.attention.mechanisms import SHIPPED

TINY = "distilbert-tiny"


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, session_cache: str) -> None:
    monkeypatch.setenv("COSTMODEL_CACHE", session_cache)


def exact_graphs(model: str, attention: str, batch: int = 1):
    return lru_cache(None)(lambda S: counted(Request(model, batch, S), attention).graph)


@pytest.mark.quick
@pytest.mark.parametrize("attention", sorted(SHIPPED))
def test_at_every_length_of_a_small_model(attention: str) -> None:
    """Graphs from 3 to 63, and typed ones at several widths."""
    for batch in (1, 2):
        exact = exact_graphs(TINY, attention, batch)
        graphs = Family(exact, 3, 63)
        assert all(graphs.at(s) == exact(s) for s in range(1, 65))
        for widths in ("w8a8", "w4a8:acc=20", "bf16") if batch == 1 else ("w8a8",):
            policy = parse_policy(widths)
            typed = Family(lambda s, g=graphs, p=policy: assign_widths(g.at(s), p), 3, 63)
            assert all(typed.at(s) == assign_widths(exact(s), policy) for s in range(3, 65))


@pytest.mark.parametrize("attention", ["dot", "inhibitor", "l1-softmax"])
def test_at_every_length_of_distilbert(attention: str) -> None:
    exact, policy = exact_graphs("distilbert", attention), parse_policy("w8a8")
    graphs = Family(exact, 3, 511)
    asked: list[int] = []

    def typed_at(S: int) -> Typed:
        asked.append(S)
        return assign_widths(graphs.at(S), policy)

    typed = Family(typed_at, 16, 512)
    assert len(asked) < 100  # of 497
    assert typed.at(448) is not typed.at(448)  # made, not kept
    for s in range(16, 513):
        assert typed.at(s) == assign_widths(graphs.at(s), policy)
    assert all(graphs.at(s) == exact(s) for s in (3, 16, 100, 447, 511, 512))


@pytest.mark.parametrize(
    ("model", "lengths"), [("gpt2", (900, 930)), ("t5-small", (60, 100)), ("bart-large", (60, 90))]
)
def test_other_models(model: str, lengths: tuple[int, int]) -> None:
    exact, policy = exact_graphs(model, "dot"), parse_policy("w8a8")
    typed = Family(lambda s: assign_widths(exact(s), policy), *lengths)
    for s in (lengths[0] + 5, lengths[0] + 7, lengths[1] - 1):
        assert typed.at(s) == assign_widths(exact(s), policy)


# Graphs that are no polynomials


def changed(graph: Graph, S: int, value: int) -> Graph:
    """A graph with a number of its own in the shape of its first value."""
    first = replace(graph.values[0], shape=(S, value), stride=(value, 1))
    return replace(graph, values=(first, *graph.values[1:]))


@pytest.mark.quick
@pytest.mark.parametrize(
    "value", [lambda s: s // 2, lambda s: min(s, 30), lambda s: s**3, lambda s: s * (s + 1) // 2, lambda s: 7 % s]
)
def test_what_is_no_polynomial_is_made_the_slow_way(value) -> None:
    base = counted(Request(TINY, 1, 16), "dot").graph

    def exact(S: int) -> Graph:
        return changed(base, S, value(S))

    family = Family(exact, 3, 63)
    assert all(family.at(s) == exact(s) for s in range(3, 64))


@pytest.mark.quick
def test_a_form_is_fitted_and_checked() -> None:
    base = counted(Request(TINY, 1, 16), "dot").graph
    lengths = (3, 4, 5, 20, 40)
    form = Form(lengths, [changed(base, s, s * s - s) for s in lengths])
    assert form.at(33) == changed(base, 33, 33 * 32)
    few = Family(lambda s: changed(base, s, s), 3, 3 + SHORTEST - 2)
    assert not few.spans
