"""Closed forms: the count rules on sympy symbols.

A model is traced at sizes that are distinct primes. Every dim of a node is then a product of them,
and its factors say which symbols it is made of. The rules of `ops/rules.py` run on those products, so a
closed form is made by the same functions as a count. The number of layers comes from two traces.

Operations are exact at all sizes. Bytes are those of sizes above 1: where B, H or G is 1, torch finds
tensors contiguous and skips copies that the form counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import sympy

from costmodel.counting.tally import read_terms, write_terms
from costmodel.counting.traced import Traced, combine
from costmodel.errors import CostModelError
from costmodel.graph.ir import Graph, Node
from costmodel.ops.counts import ARITHMETIC, FIELDS, Counts, total
from costmodel.ops.rules import OPS, count_op, dims_of, kind_of
from costmodel.technology.tables import Table

# h is half a head's width d (rotary positions halve it), r the heads of a group: H = G r.
PRIMES = {"B": 17, "S": 19, "h": 23, "G": 29, "r": 37, "F": 31}
B, S, d, H, G, F, L = sympy.symbols("B S d H G F L", positive=True, integer=True)
SYMBOLS = {"B": B, "S": S, "d": d, "H": H, "G": G, "F": F, "L": L}
_FACTORS = {"B": B, "S": S, "h": d / 2, "G": G, "r": H / G, "F": F}


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


def symbol_of(number: int) -> Any:
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
    if kind_of(node.op) == "free":
        return Counts()
    dims = {name: symbol_of(node.attrs[name]) for name in OPS[node.op].dims}
    moved = Counts(
        read_bytes=sum(map(symbol_of, read_terms(graph, node))),
        write_bytes=sum(map(symbol_of, write_terms(graph, node))),
    )
    return count_op(node.op, dims) + moved


def as_tuple(counts: Counts) -> tuple[Any, ...]:
    return tuple(sympy.sympify(getattr(counts, name)) for name in FIELDS)


def with_layers(one: Counts, two: Counts) -> Counts:
    """The form in L, from those of one and of two layers."""
    pairs = zip(as_tuple(one), as_tuple(two), strict=True)
    return Counts(*(sympy.expand(a + (L - 1) * (b - a)) for a, b in pairs))


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


def energy_pj(counts: Counts, table: Table | None, dtype: str) -> Any:
    """Nominal energy of the arithmetic in symbols; without a table prices are symbols too, `e_mul_float32`."""
    energy = 0
    for op in ARITHMETIC:
        n = getattr(counts, op)
        if n != 0:
            price = price_symbol(op, dtype) if table is None else sympy.Float(table.price(op, dtype).nominal_pj)
            energy += n * price
    return sympy.expand(energy)


def price_symbol(*names: str) -> Any:
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
        replace(n, attrs=n.attrs | {name: dim(n.attrs[name]) for name in dims_of(n.op) if name in n.attrs})
        for n in graph.nodes
    )
    return replace(graph, values=values, nodes=nodes)


def compiled(expression: Any, symbols: tuple[str, ...]) -> Callable[..., Any]:
    """A form as a function of numpy arrays, one for each symbol in order, which broadcast.

    Counts beyond 2^53 are exact only in integers: pass arrays of int64 (or of Python ints).

    Raises:
        CostModelError: the form has a symbol that is not among `symbols`.
    """
    known = [SYMBOLS[name] for name in symbols]
    left = sympy.sympify(expression).free_symbols - set(known)
    if left:
        raise CostModelError(f"no number for {', '.join(sorted(map(str, left)))}")
    function: Callable[..., Any] = sympy.lambdify(known, expression, modules="numpy", cse=True)
    return function
