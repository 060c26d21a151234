"""Closed forms: the count rules on sympy symbols.

A model is traced at sizes that are distinct primes. Every dim of a node is then a product of them,
and its factors say which symbols it is made of. The rules of `ops.py` run on those products, so a
closed form is made by the same functions as a count. The number of layers comes from two traces.

Operations are exact at all sizes. Bytes are those of sizes above 1: where B, H or G is 1, torch finds
tensors contiguous and skips copies that the form counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import sympy

from costmodel.cost import price_one
from costmodel.count import read_terms, write_terms
from costmodel.counts import ARITHMETIC, FIELDS, Counts, total
from costmodel.errors import CostModelError
from costmodel.graph import Graph, Node
from costmodel.hardware import Accelerator, memory_prices
from costmodel.ops import KIND_OF, PARAMETERS, count_op
from costmodel.schedule import schedule
from costmodel.technology import Table, load_table
from costmodel.traced import Traced, combine, form_of
from costmodel.widths import Policy, Typed, assign_widths

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
        replace(
            n, attrs=n.attrs | {name: dim(n.attrs[name]) for name in PARAMETERS.get(n.op, ()) if name in n.attrs}
        )
        for n in graph.nodes
    )
    return replace(graph, values=values, nodes=nodes)


def machine_forms(
    graphs: tuple[Graph, Graph],
    grouped: bool,
    sizes: Mapping[str, int],
    policy: Policy,
    target: Accelerator,
    convention: str,
    symbolic_prices: bool = False,
) -> dict[str, Any]:
    """Cycles, moved bytes and energy on a target in B, S, d, H, G, F, L: the piece around some sizes.

    Args:
        graphs: canonical graphs of one and of two layers, traced at `prime_sizes`.

    Returns:
        `cycles`, `moved_bytes` (DRAM, both ways), `buffer_bytes`, and `energy_pj` where the target has prices.
    """
    one, two = (
        quantities(assign_widths(traced_graph(graph, sizes, grouped), policy), target, convention, symbolic_prices)
        for graph in graphs
    )
    return {name: sympy.expand(one[name] + (L - 1) * (two[name] - one[name])) for name in one}


def quantities(typed: Typed, target: Accelerator, convention: str, symbolic_prices: bool) -> dict[str, Any]:
    """Forms of one schedule. With symbolic prices there is an energy for every target."""
    steps = schedule(typed, target, convention).steps
    dram = sum(form_of(s.read_bits) + form_of(s.write_bits) for s in steps) / 8
    reads, writes = (
        sum(form_of(getattr(s, f"buffer_{way}_bits")) for s in steps) / 8 for way in ("read", "write")
    )
    found = {"cycles": sum(form_of(s.cycles) for s in steps), "moved_bytes": dram, "buffer_bytes": reads + writes}
    memories = memory_prices(target)
    table = load_table(target.table) if target.table else None
    levels = {"buffer_read": reads, "buffer_write": writes, "dram": dram}
    works = [(w, form_of(w.n)) for s in steps for w in (*s.array_work, *s.vector_work)]
    if symbolic_prices:
        energy = sum(form * price_symbol(w.op, str(w.type)) for w, form in works)
        found["energy_pj"] = energy + sum(form * price_symbol(name) for name, form in levels.items())
    elif table is not None and memories is not None:
        energy = sum(form * sympy.Float(price_one(table, w.op, w.type).nominal_pj) for w, form in works)
        costs = [form * sympy.Float(getattr(memories, name).nominal_pj) for name, form in levels.items()]
        found["energy_pj"] = energy + sum(costs)
    return found


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
