"""Closed forms equal traced counts at random sizes."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from costmodel.api.closed_forms import prime_graph, traced_forms
from costmodel.compare.roots import break_even
from costmodel.counting import symbols
from costmodel.counting.symbols import (
    PRIMES,
    B,
    F,
    G,
    H,
    L,
    S,
    d,
    energy_pj,
    evaluate,
    form_of_terms,
    symbol_of,
    terms_of,
)
from costmodel.counting.tally import count
from costmodel.counting.traced import Traced, form_of
from costmodel.errors import CostModelError
from costmodel.graph.canonical import canonicalise
from costmodel.graph.lowering import lower
from costmodel.graph.tracing import trace
from costmodel.hardware.loading import load_target
from costmodel.mapping.cost import moved_bytes, price
from costmodel.mapping.forms import machine_forms
from costmodel.mapping.schedule import schedule
from costmodel.ops.counts import Counts
from costmodel.technology.loading import load_table
from costmodel.widths.assign import assign_widths
from costmodel.widths.policy import parse_policy
from models.attention.mechanisms import MECHANISMS, Mechanism
from models.zoo.loading import load_model
from models.zoo.presets import size_names

MODELS = ("distilbert", "bert-base", "gpt2", "llama-3-8b")


@cache
def form(model: str, name: str) -> Counts:
    return traced_forms(model, size_names(model), Mechanism(name))


def traced_counts(model: str, name: str, sizes: dict[str, int]) -> Counts:
    values: dict[str, Any] = sizes | {"D": sizes["H"] * sizes["d"]}
    config = {key: values[symbol] for symbol, key in size_names(model).items()}
    loaded = load_model(model, mechanism=Mechanism(name), batch=sizes["B"], seq=sizes["S"], sizes=config)
    return count(canonicalise(lower(trace(loaded.module, loaded.inputs)))).counts


@settings(max_examples=200, deadline=None)
@given(
    model=st.sampled_from(MODELS),
    name=st.sampled_from(list(MECHANISMS)),
    batch=st.integers(2, 9),
    seq=st.integers(2, 60),
    half=st.integers(1, 20),
    groups=st.integers(1, 5),
    share=st.integers(1, 4),
    ffn=st.integers(1, 90),
    layers=st.integers(1, 4),
)
def test_closed_form_equals_traced_count(model, name, batch, seq, half, groups, share, ffn, layers) -> None:
    grouped = model.startswith("llama")
    heads = groups * share if grouped else groups
    sizes = {"B": batch, "S": seq, "d": 2 * half, "H": heads, "G": groups, "F": ffn, "L": layers}
    got, expected = evaluate(form(model, name), sizes), traced_counts(model, name, sizes)
    assert got.arithmetic() == expected.arithmetic()
    # Where a dim is 1, torch finds a tensor contiguous and skips a copy that the form counts.
    if groups > 1 and (share > 1 or not grouped):
        assert got == expected


@pytest.mark.parametrize("seq", [128, 512])
def test_arithmetic_of_distilbert_base(seq: int) -> None:
    """At one row copies differ (torch skips some), operations do not."""
    sizes = {"B": 1, "S": seq, "d": 64, "H": 12, "G": 12, "F": 3072, "L": 6}
    expected = traced_counts("distilbert", "dot", sizes)
    assert evaluate(form("distilbert", "dot"), sizes).arithmetic() == expected.arithmetic()


def test_core_of_dot_is_in_the_form() -> None:
    """What is quadratic in S is the attention core: scores, scale, values."""
    mul = sympy.Poly(form("distilbert", "dot").mul, S)
    assert sympy.expand(mul.coeff_monomial(S**2) - B * H * L * (2 * d + 1)) == 0
    inhibitor = sympy.Poly(form("distilbert", "inhibitor").mul, S)
    assert sympy.expand(inhibitor.coeff_monomial(S**2) - B * H * L) == 0  # gamma / sqrt d


def test_primes_name_their_factors() -> None:
    assert symbol_of(PRIMES["B"] * PRIMES["S"] * 3) == 3 * B * S
    assert symbol_of(2 * PRIMES["h"] * PRIMES["G"] * PRIMES["r"]) == d * H
    assert symbol_of(PRIMES["F"] ** 2) == F**2
    assert symbol_of(0) == 0
    assert symbol_of(1) == 1


def test_break_even_by_hand() -> None:
    sizes = {"B": 1, "S": 8}
    assert break_even(S**2, 10 * S, "S", sizes) == (10.0,)
    assert break_even(S**2 + 1, S, "S", sizes) == ()
    assert break_even(B * S**2, B * 10 * S + 24 * B, "S", sizes) == (12.0,)
    with pytest.raises(CostModelError, match="the two are the same everywhere"):
        break_even(B * S, S * B, "S", sizes)
    with pytest.raises(CostModelError, match="no number for G"):
        break_even(S * G, S**2, "S", sizes)


def test_a_form_is_the_same_from_its_terms() -> None:
    """As the cache keeps it: through JSON, and no text of it is run."""
    for model in ("distilbert", "llama-3-8b"):
        for name in ("mul", "cmp", "read_bytes", "exp"):
            made = getattr(form(model, "inhibitor"), name)
            assert form_of_terms(json.loads(json.dumps(terms_of(made)))) == made
    halves = S**2 * H / G / 2 - 3
    assert form_of_terms(terms_of(halves)) == sympy.expand(halves)
    with pytest.raises(ValueError, match="is no term"):
        terms_of(sympy.ceiling(S / 32))
    for bad in ([["1", ["Q", 1]]], [["__import__('os')"]], [["1", ["S", "2+2"]]], [3], 7):
        with pytest.raises((KeyError, TypeError, ValueError)):
            form_of_terms(bad)


def test_errors() -> None:
    with pytest.raises(CostModelError, match="no number for F, H, L, d"):
        evaluate(form("distilbert", "dot"), {"B": 1, "S": 4})


def test_energy_is_the_priced_form() -> None:
    table = load_table("horowitz45")
    energy = energy_pj(Counts(mul=2 * S, add=B), table, "float32")
    assert energy.subs({S: 3, B: 5}) == pytest.approx(2 * 3 * 3.7 + 5 * 0.9)


# On a target

MACHINES = ("edge-asic", "server-asic", "xc7z020", "edge-asic:dataflow=ws,buffer_kib=96", "tpu-v1-like")


@cache
def prime_graphs(name: str):
    mechanism, names = Mechanism(name), size_names("distilbert")
    return tuple(prime_graph("distilbert", names, mechanism, layers) for layers in (1, 2))


@pytest.mark.parametrize("target", MACHINES)
@pytest.mark.parametrize("name", ["dot", "inhibitor"])
def test_machine_forms_equal_the_scheduled_cost(name: str, target: str) -> None:
    """Where the form was taken, and for any number of layers; cycles and bytes exactly."""
    sizes = {"B": 2, "S": 48, "d": 16, "H": 4, "G": 4, "F": 200}
    machine, policy = load_target(target), parse_policy("w8a8")
    forms = machine_forms(prime_graphs(name), False, sizes, policy, machine, "array")
    for layers in (1, 2, 5):
        config = {"dim": 64, "n_heads": 4, "hidden_dim": 200, "n_layers": layers}
        loaded = load_model("distilbert", mechanism=Mechanism(name), batch=2, seq=48, sizes=config)
        graph = canonicalise(lower(trace(loaded.module, loaded.inputs)))
        typed = assign_widths(graph, policy)
        planned = schedule(typed, machine)
        numbers = {symbols.SYMBOLS[key]: value for key, value in (sizes | {"L": layers}).items()}
        at = {key: form.subs(numbers) for key, form in forms.items()}
        moved = moved_bytes(planned.steps)
        assert at["cycles"] == planned.cycles
        assert at["moved_bytes"] == moved["dram_read"] + moved["dram_write"]
        assert at["buffer_bytes"] == moved["buffer_read"] + moved["buffer_write"]
        energy = price(typed, planned).energy
        assert (energy is None) == ("energy_pj" not in at)
        if energy is not None:
            assert float(at["energy_pj"]) == pytest.approx(energy.nominal_pj, rel=1e-9)


@given(
    st.integers(-50, 50),
    st.integers(1, 50),
    st.lists(
        st.tuples(st.sampled_from(["+", "-", "*", "//", "r-", "r//"]), st.integers(1, 9), st.booleans()),
        max_size=6,
    ),
)
def test_traced_numbers_are_their_forms(x: int, y: int, steps: list[tuple[str, int, bool]]) -> None:
    """Whatever is done to them, the form at the numbers is the number."""
    a, b = sympy.symbols("a b", integer=True)
    value: Any = Traced(x, a)
    for op, constant, with_b in steps:
        other: Any = Traced(y, b) if with_b else constant
        if op == "r//" and int(value) == 0:
            continue
        value = {
            "+": lambda v=value, o=other: v + o,
            "-": lambda v=value, o=other: v - o,
            "*": lambda v=value, o=other: v * o,
            "//": lambda v=value, o=other: v // o,
            "r-": lambda v=value, o=other: o - v,
            "r//": lambda v=value, o=other: o // v,
        }[op]()
    assert int(form_of(value).subs({a: x, b: y})) == int(value)
