"""Closed forms: the count rules on sympy symbols.

A model is traced at sizes that are distinct primes. Every dim of a node is then a product of them,
and its factors say which symbols it is made of. The rules of `ops.py` run on those products, so a
closed form is made by the same functions as a count. The number of layers comes from two traces.

Operations are exact at all sizes. Bytes are those of sizes above 1: where B, H or G is 1, torch finds
tensors contiguous and skips copies that the form counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import sympy

from costmodel.count import read_terms, write_terms
from costmodel.counts import ARITHMETIC, FIELDS, Counts, total
from costmodel.errors import CostModelError
from costmodel.graph import Graph, Node
from costmodel.ops import KIND_OF, PARAMETERS, count_op
from costmodel.technology import Table

# h is half a head's width d (rotary positions halve it), r the heads of a group: H = G r.
PRIMES = {"B": 17, "S": 19, "h": 23, "G": 29, "r": 37, "F": 31}
B, S, d, H, G, F, L = sympy.symbols("B S d H G F L", positive=True)
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
    if KIND_OF[node.op] == "free":
        return Counts()
    dims = {name: symbol_of(node.attrs[name]) for name in PARAMETERS[node.op]}
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


def energy_pj(counts: Counts, table: Table, dtype: str) -> Any:
    """Nominal energy of the arithmetic, in symbols."""
    terms = ((getattr(counts, op), op) for op in ARITHMETIC)
    return sympy.expand(sum(n * sympy.Float(table.price(op, dtype).nominal_pj) for n, op in terms if n != 0))


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


def break_even(first: Any, second: Any, symbol: str, sizes: Mapping[str, int]) -> tuple[float, ...]:
    """Positive values of a symbol at which two forms are equal, all other symbols given.

    Empty where one of them is always the smaller. Identical forms are an error: they are equal
    everywhere.
    """
    others = {SYMBOLS[name]: value for name, value in sizes.items() if name != symbol}
    difference = sympy.expand((first - second).subs(others))
    if difference == 0:
        raise CostModelError("the two are the same everywhere")
    unknown = SYMBOLS[symbol]
    if difference.free_symbols - {unknown}:
        raise CostModelError(f"no number for {', '.join(map(str, difference.free_symbols - {unknown}))}")
    numerator = sympy.Poly(sympy.numer(sympy.together(difference)), unknown)
    roots = [complex(root) for root in numerator.nroots()] if numerator.degree() > 0 else []
    return tuple(sorted(r.real for r in roots if abs(r.imag) < 1e-9 * max(1, abs(r)) and r.real > 1e-9))
