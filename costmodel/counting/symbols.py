"""Closed forms: the count rules on sympy symbols.

A model is traced at sizes that are distinct primes. Every dim of a node is then a product of them,
and its factors say which symbols it is made of. The rules of `ops/rules.py` run on those products, so a
closed form is made by the same functions as a count. The number of layers comes from two traces.

Operations are exact at all sizes. Bytes are those of sizes above 1: where B, H or G is 1, torch finds
tensors contiguous and skips copies that the form counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import sympy

from costmodel.counting.tally import read_terms, write_terms
from costmodel.counting.traced import Traced, combine
from costmodel.errors import CostModelError
from costmodel.graph.ir import Graph, Node
from costmodel.ops.counts import ARITHMETIC, FIELDS, Counts, total
from costmodel.ops.rules import KIND_OF, PARAMETERS, count_op
from costmodel.records import Json
from costmodel.technology.tables import Table

# h is half a head's width d (rotary positions halve it), r the heads of a group: H = G r.
PRIMES = {"B": 17, "S": 19, "h": 23, "G": 29, "r": 37, "F": 31}
B, S, d, H, G, F, L = sympy.symbols("B S d H G F L", positive=True, integer=True)
SYMBOLS = {"B": B, "S": S, "d": d, "H": H, "G": G, "F": F, "L": L}
_FACTORS = {"B": B, "S": S, "h": d / 2, "G": G, "r": H / G, "F": F}


Form = Any  # a sympy expression in these symbols, which has no types


@dataclass(frozen=True)
class Sizes:
    """Concrete sizes at which a model is traced to become symbols."""

    batch: int
    seq: int
    heads: int
    groups: int
    head_width: int
    ffn: int

    @property
    def width(self) -> int:
        return self.heads * self.head_width


def prime_sizes(grouped: bool) -> Sizes:
    """Sizes whose factors name them. Without groups of heads, H = G."""
    p = PRIMES
    heads = p["G"] * p["r"] if grouped else p["G"]
    return Sizes(p["B"], p["S"], heads, p["G"], 2 * p["h"], p["F"])


def symbol_of(number: int) -> Form:
    """A product of the primes of `PRIMES` and a constant, as a product of symbols."""
    product: Any = sympy.Integer(1)
    for name, prime in PRIMES.items():
        while number and number % prime == 0:
            number //= prime
            product *= _FACTORS[name]
    return product * number


def symbolic_counts(graph: Graph, grouped: bool) -> Counts:
    """The sums of a lowered graph traced at `prime_sizes`, in symbols."""
    counts = total(symbolic_node(graph, node) for node in graph.nodes)
    # Without groups every head has its own keys.
    return Counts(*(sympy.expand(value if grouped else value.subs(G, H)) for value in as_tuple(counts)))


def symbolic_node(graph: Graph, node: Node) -> Counts:
    if KIND_OF[node.op] == "free":
        return Counts()
    dims = {name: symbol_of(node.attrs[name]) for name in PARAMETERS[node.op]}
    moved = Counts(
        read_bytes=sum(map(symbol_of, read_terms(graph, node))),
        write_bytes=sum(map(symbol_of, write_terms(graph, node))),
    )
    return count_op(node.op, dims) + moved


def as_tuple(counts: Counts) -> tuple[Form, ...]:
    return tuple(sympy.sympify(getattr(counts, name)) for name in FIELDS)


def with_layers(one: Counts, two: Counts) -> Counts:
    """The form in L, from those of one and of two layers."""
    pairs = zip(as_tuple(one), as_tuple(two), strict=True)
    return Counts(*(sympy.expand(a + (L - 1) * (b - a)) for a, b in pairs))


def terms_of(form: Form) -> list[Json]:
    """A polynomial in the symbols (negative exponents included) as data.

    A term is its rational coefficient as text, then [symbol, exponent] of each factor.

    Raises:
        ValueError: the form is none.
    """
    terms: list[Json] = []
    for part in sympy.Add.make_args(sympy.expand(form)):
        coefficient, product = part.as_coeff_Mul(rational=True)
        term: list[Json] = [str(coefficient)]
        for base, exponent in product.as_powers_dict().items():
            if base == 1:
                continue
            if base not in SYMBOLS.values() or not exponent.is_Integer:
                raise ValueError(f"{part} is no term of a polynomial")
            term.append([base.name, int(exponent)])
        terms.append(term)
    return terms


def form_of_terms(terms: list[Json]) -> Form:
    """The inverse of `terms_of`. Nothing in it is taken for an expression.

    Raises:
        KeyError, TypeError, ValueError: the terms are not of that form.
    """
    parts = []
    for coefficient, *factors in terms:
        share = Fraction(coefficient)
        powers = [SYMBOLS[name] ** int(exponent) for name, exponent in factors]
        parts.append(sympy.Mul(sympy.Rational(share.numerator, share.denominator), *powers))
    return sympy.Add(*parts)


def evaluate(counts: Counts, sizes: Mapping[str, int]) -> Counts:
    """The form at numbers, by symbol name.

    Raises:
        CostModelError: a symbol is left without a number, or the count is not whole.
    """
    numbers = {SYMBOLS[name]: value for name, value in sizes.items()}
    values = [value.subs(numbers) for value in as_tuple(counts)]
    for value in values:
        if value.free_symbols:
            raise CostModelError(f"no number for {', '.join(sorted(map(str, value.free_symbols)))}")
        if not value.is_integer:
            raise CostModelError(f"{value} is no whole count: sizes {dict(sizes)} are not those of a model")
    return Counts(*(int(value) for value in values))


def energy_pj(counts: Counts, table: Table | None, dtype: str) -> Form:
    """Nominal energy of the arithmetic in symbols; without a table prices are symbols too, `e_mul_float32`."""
    energy = 0
    for op in ARITHMETIC:
        n = getattr(counts, op)
        if n != 0:
            price = price_symbol(op, dtype) if table is None else sympy.Float(table.price(op, dtype).nominal_pj)
            energy += n * price
    return sympy.expand(energy)


def price_symbol(*names: str) -> Form:
    """The symbol of a price: pJ an operation of some type, or pJ a byte at a level."""
    return sympy.Symbol("_".join(("e", *names)), positive=True)


def graph_at(graph: Graph, sizes: Mapping[str, int], grouped: bool) -> Graph:
    """A graph traced at `prime_sizes`, at other sizes, without a trace."""
    traced = traced_graph(graph, sizes, grouped)
    values = tuple(replace(v, shape=tuple(int(n) for n in v.shape)) for v in traced.values)
    nodes = tuple(
        replace(n, attrs={name: int(a) if isinstance(a, Traced) else a for name, a in n.attrs.items()})
        for n in traced.nodes
    )
    return replace(traced, values=values, nodes=nodes)


def traced_graph(graph: Graph, sizes: Mapping[str, int], grouped: bool) -> Graph:
    """A graph traced at `prime_sizes`, at other sizes, its dims numbers that know their form.

    What runs on it gives numbers at those sizes, and forms that hold as long as what was decided there by
    comparing (types, tiles, the slowest of three units) stays the same.
    """
    numbers = {SYMBOLS[name]: value for name, value in sizes.items()}
    known: dict[int, Any] = {}

    def dim(number: int) -> Any:
        if number not in known:
            form = symbol_of(number)
            form = form if grouped else form.subs(G, H)
            known[number] = combine(int(form.subs(numbers)), form)
        return known[number]

    values = tuple(replace(v, shape=tuple(dim(n) for n in v.shape)) for v in graph.values)
    nodes = tuple(
        replace(
            n, attrs=n.attrs | {name: dim(n.attrs[name]) for name in PARAMETERS.get(n.op, ()) if name in n.attrs}
        )
        for n in graph.nodes
    )
    return replace(graph, values=values, nodes=nodes)
