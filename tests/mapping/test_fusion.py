"""Fusion groups: every node once, in a legal order; what crosses between them; what a buffer keeps."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from costmodel.counting.tally import compulsory_bytes
from costmodel.graph.canonical import canonicalise
from costmodel.graph.lowering import lower
from costmodel.graph.tracing import trace
from costmodel.hardware.loading import load_target
from costmodel.mapping.fusion import Plan, is_free, kept_values, outside_bits, plan_groups, value_bits
from costmodel.mapping.schedule import schedule
from costmodel.ops.rules import kind_of
from costmodel.widths.assign import Typed, assign_widths
from costmodel.widths.policy import parse_policy
from models.attention.mechanisms import MECHANISMS, Mechanism
from models.zoo.loading import load_model


@cache
def typed(model: str, name: str) -> Typed:
    sizes = {"dim": 32, "n_heads": 2, "hidden_dim": 48, "n_layers": 3} if model == "distilbert" else {}
    loaded = load_model(model, mechanism=Mechanism(name), batch=2, seq=6, sizes=sizes)
    return assign_widths(canonicalise(lower(trace(loaded.module, loaded.inputs))), parse_policy("w8a8"))


@cache
def plan(name: str, fuse: bool = True, fuse_core: bool = True, model: str = "distilbert") -> Plan:
    return plan_groups(typed(model, name), fuse, fuse_core)


def own(module: torch.nn.Module, widths: str, *inputs: torch.Tensor) -> Plan:
    graph = canonicalise(lower(trace(module.to("meta"), tuple(i.to("meta") for i in inputs))))
    return plan_groups(assign_widths(graph, parse_policy(widths)))


CASES = [("distilbert", name) for name in MECHANISMS] + [("gpt2", "dot"), ("bert-base", "inhibitor")]


@pytest.mark.parametrize(("model", "name"), CASES)
@pytest.mark.parametrize(("fuse", "fuse_core"), [(True, True), (True, False), (False, False)])
def test_every_node_once_and_nothing_before_it_is_made(model: str, name: str, fuse: bool, fuse_core: bool) -> None:
    found = plan(name, fuse, fuse_core, model)
    graph = found.graph
    places = [n for group in found.groups for n in group.nodes]
    assert sorted(places) == [n for n, node in enumerate(graph.nodes) if not is_free(node)]
    made = {v.id for v in graph.values if v.kind != "temp"}
    made |= {i for node in graph.nodes if node.op == "index" for i in node.outputs}
    for g, group in enumerate(found.groups):
        inside = set()
        for n in group.nodes:
            for i in graph.nodes[n].inputs:
                assert found.source[i] in made | inside, f"group {g} reads %{i} before it is made"
            inside |= {found.source[i] for i in graph.nodes[n].outputs}
        made |= inside
        assert len(group.products) == {"core": 2, "product": 1, "vector": 0}[group.kind]
        assert group.products == [n for n in group.nodes if kind_of(graph.nodes[n].op) == "product"]
        assert set(found.reads[g]).isdisjoint(inside)
        assert set(found.writes[g]) <= inside
    for value, g in found.born.items():
        readers = [r for r, reads in enumerate(found.reads) if value in reads]
        assert all(r > g for r in readers)
        assert found.last.get(value) == (max(readers) if readers else None)


@pytest.mark.parametrize("name", list(MECHANISMS))
def test_a_layer_of_distilbert_is_seven_groups(name: str) -> None:
    """The lookups with their norm; then q, k, v, core, output with its norm, FFN with GELU, FFN with its norm."""
    found = plan(name)
    kinds = [group.kind for group in found.groups]
    assert kinds == ["vector", *(3 * ["product", "product", "product", "core", *3 * ["product"]])]
    ops = [[found.graph.nodes[n].op for n in group.nodes] for group in found.groups]
    assert ops[0] == ["gather", "gather", "add", "layer_norm", "requantise"]
    assert all("layer_norm" in ops[g] and found.groups[g].cut for g in (5, 7, 12, 14, 19, 21))
    assert all("gelu" in ops[g] for g in (6, 13, 20))
    assert [group.core for group in found.groups] == [kind == "core" for kind in kinds]
    for group in found.groups:
        if group.kind == "core":  # scores never cross
            written = [found.graph.values[v] for v in found.writes[found.groups.index(group)]]
            assert [v.numel for v in written] == [2 * 6 * 32]


@pytest.mark.parametrize("model", ["distilbert", "gpt2", "t5-small", "deberta-v3-base", "whisper-tiny"])
def test_the_second_product_of_a_core_takes_what_the_first_made(model: str) -> None:
    """DeBERTa makes three products of scores: only the last of them is one pass with that of values."""
    loaded = load_model(model, native="eager" if model == "deberta-v3-base" else None, seq=6)
    graph = canonicalise(lower(trace(loaded.module, loaded.inputs)))
    found = plan_groups(assign_widths(graph, parse_policy("bf16")))
    cores = [group for group in found.groups if group.kind == "core"]
    assert cores
    for group in cores:
        first, second = group.products
        made = {found.source[i] for n in group.nodes if first <= n < second for i in graph.nodes[n].outputs}
        assert not made.isdisjoint(found.source[i] for i in graph.nodes[second].inputs[:2])


@pytest.mark.parametrize("name", list(MECHANISMS))
def test_fusion_only_saves(name: str) -> None:
    """What crosses between groups shrinks with fusion, and weights are read once in either."""

    def crossing(found: Plan) -> int:
        return sum(value_bits(found.graph, v) for v in found.born)

    assert crossing(plan(name)) < crossing(plan(name, True, False)) <= crossing(plan(name, False, False))
    for fuse in (True, False):
        found = plan(name, fuse, fuse)
        weights = [v for reads in found.reads for v in reads if found.graph.values[v].kind == "param"]
        assert len(weights) == len(set(weights))


@given(st.sampled_from(list(MECHANISMS)), st.integers(0, 4000), st.integers(0, 4000))
def test_kept_values_fit_at_every_moment(name: str, size: int, more: int) -> None:
    """Moment by moment: what is kept lives from its making to its last reading, and fits with all that lives."""
    found = plan(name)
    kept = kept_values(found, size)
    for g in range(len(found.groups)):
        living = [v for v in found.last if found.born[v] <= g <= found.last[v]]
        total = sum(found.graph.values[v].distinct_bytes for v in living)
        for v in living:
            if total > size:
                assert v not in kept
        assert sum(found.graph.values[v].distinct_bytes for v in kept if v in living) <= size
    assert kept <= kept_values(found, size + more)
    everything = {v for v in found.last if v not in {found.source[i] for i in found.graph.outputs}}
    assert kept_values(found, 1 << 30) == everything
    assert kept_values(found, 0) == frozenset()


def test_of_a_table_only_what_is_looked_up_is_read() -> None:
    found = plan("dot")
    bits = outside_bits(found, 0, ())
    # Of 30 522 words and 512 positions: 2 rows of 6 words, 6 positions for both; ids and 512 positions
    # of 64 bits; the norm.
    assert sorted(bits.values()) == sorted([8 * 2 * 6 * 32, 8 * 6 * 32, 64 * 2 * 6, 64 * 512, 16 * 32, 16 * 32])


class Twice(torch.nn.Module):
    """Two lookups in one table, and a part of a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.table = torch.nn.Embedding(100, 32)
        self.register_buffer("places", torch.zeros(1, 64, dtype=torch.long))

    def forward(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        return self.table(first) + self.table(second) + self.table(self.places[:, :8])


def test_each_lookup_picks_its_own_rows() -> None:
    found = own(Twice(), "w8a8", torch.zeros(1, 8, dtype=torch.long), torch.ones(1, 8, dtype=torch.long))
    assert len(found.groups) == 1
    bits = outside_bits(found, 0, ())
    by_kind: dict[str, int] = {}
    for value, n in bits.items():
        kind = found.graph.values[value].kind
        by_kind[kind] = by_kind.get(kind, 0) + n // 8
    assert by_kind == {"input": 2 * 8 * 8, "param": 3 * 8 * 32, "buffer": 64 * 8}
    written = sum(found.graph.values[i].distinct_bytes for i in found.graph.outputs)
    assert sum(by_kind.values()) + written == compulsory_bytes(found.graph)


class Halves(torch.nn.Module):
    """A product whose halves two others take, and one of them also a sum."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = torch.nn.Linear(16, 32, bias=False), torch.nn.Linear(16, 16, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        left, right = self.first(x).chunk(2, -1)
        return torch.softmax(self.second(torch.nn.functional.gelu(left)) + right, -1)


def test_of_an_activation_only_the_part_that_is_used_is_read() -> None:
    found = own(Halves(), "bf16", torch.zeros(4, 16))
    whole = next(v for v in found.born if found.graph.values[v].shape == (4, 32))
    readers = [g for g, reads in enumerate(found.reads) if whole in reads]
    halves = [outside_bits(found, g, ())[whole] for g in readers]
    assert halves
    assert all(2 * half == value_bits(found.graph, whole) for half in halves)


def test_a_value_stays_as_soon_as_it_fits_to_the_byte() -> None:
    found = plan("inhibitor")
    sizes = {v: found.graph.values[v].distinct_bytes for v in found.last}
    for v in sizes:
        moments = range(found.born[v], found.last[v] + 1)
        need = max(sum(sizes[w] for w in sizes if found.born[w] <= g <= found.last[w]) for g in moments)
        assert v in kept_values(found, need)
        assert v not in kept_values(found, need - 1)


class Returned(torch.nn.Module):
    """A value that is returned and read by another product."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = torch.nn.Linear(16, 16), torch.nn.Linear(16, 16)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y = self.first(x)
        return y, self.second(y)


def test_what_is_returned_leaves_the_chip() -> None:
    found = own(Returned(), "bf16", torch.zeros(4, 16))
    assert [group.kind for group in found.groups] == ["product", "product"]
    assert found.source[found.graph.outputs[0]] in found.reads[1]
    assert kept_values(found, 1 << 30) == frozenset()
    assert all(len(writes) == 1 for writes in found.writes)


def test_lookups_never_read_more_than_the_table() -> None:
    """Three times 80 rows of a table of 100."""
    found = own(Twice(), "w8a8", torch.zeros(10, 8, dtype=torch.long), torch.ones(10, 8, dtype=torch.long))
    (table,) = (v for v in found.reads[0] if found.graph.values[v].kind == "param")
    assert outside_bits(found, 0, ())[table] == 8 * 100 * 32


ROW_WISE = {
    "layer_norm": torch.nn.LayerNorm(512),
    "group_norm": torch.nn.GroupNorm(1, 512),
    "cumsum": lambda x: torch.cumsum(x, -1),
    "topk": lambda x: torch.topk(x, 4, -1).values,
    "norm2": lambda x: torch.linalg.vector_norm(x, dim=-1),
    "product": lambda x: torch.prod(x, -1),
}


class Behind(torch.nn.Module):
    """A product of 512 columns, and an op that reads its rows."""

    def __init__(self, op: Any) -> None:
        super().__init__()
        self.product, self.op = torch.nn.Linear(64, 512), op

    def forward(self, x: torch.Tensor) -> Any:
        return self.op(self.product(x))


@pytest.mark.parametrize("op", list(ROW_WISE))
def test_an_op_that_needs_whole_rows_cuts_its_product(op: str) -> None:
    """It may ride only on tiles of whole rows: else it takes a step of its own."""
    found = own(Behind(ROW_WISE[op]), "bf16", torch.zeros(8, 64))
    (group,) = found.groups
    assert [found.graph.nodes[n].op for n in group.nodes] == ["matmul", op]
    assert group.cut == 1


def test_a_group_norm_over_a_row_costs_what_a_layer_norm_costs() -> None:
    target = load_target("edge-asic")

    def cycles(op: str) -> int:
        graph = canonicalise(lower(trace(Behind(ROW_WISE[op]).to("meta"), (torch.zeros(128, 64, device="meta"),))))
        return schedule(assign_widths(graph, parse_policy("bf16")), target).cycles

    assert cycles("group_norm") == cycles("layer_norm")
