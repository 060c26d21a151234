"""`formula`: closed forms of a preset, and where two mechanisms break even."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from costmodel.api import cache
from costmodel.api.graphs import quiet_imports
from costmodel.api.results import Formula
from costmodel.api.subjects import of_model
from costmodel.errors import CostModelError
from costmodel.hardware.accelerator import Accelerator
from costmodel.ops.counts import ARITHMETIC, FIELDS, Counts
from costmodel.show.grid import Grid
from costmodel.technology.loading import load_table
from costmodel.widths.policy import Policy
from models.attention.mechanisms import parse_mechanism
from models.zoo.presets import PRESETS, resolve_seq, size_names


def formula(
    model: str,
    attention: str = "dot",
    of: str | None = None,
    break_even: str | None = None,
    against: str = "inhibitor",
    seq: int | None = None,
    batch: int = 1,
    table: str = "horowitz45",
    target: str | None = None,
    widths: str = "w8a8",
    timing: str = "array",
    prices: str = "numbers",
) -> Formula:
    """Closed forms of a preset in B, S, d, H, G, F, L; or where two mechanisms cost the same.

    Args:
        of: mul, add, ..., flops, operand_bytes, energy_pj; with a target cycles, moved_bytes, buffer_bytes,
            energy_pj. None gives all counts and bytes.
        break_even: a symbol to solve for, `against` another mechanism.
        target: forms on a target are piecewise: given is the piece around `seq`.
        prices: `symbols` leaves prices as symbols.

    >>> import costmodel as cm
    >>> mul = cm.formula("distilbert", of="mul")
    >>> mul.at(), mul.at(S=512)
    (5598907648, 24221725696)
    >>> cm.formula("distilbert", of="energy_pj", break_even="S").to_rows()
    [{'quantity': 'energy_pj', 'against': 'inhibitor', 'S': '1.23368'}]
    """
    from costmodel.hardware.loading import load_target
    from costmodel.show import formula_tables
    from costmodel.widths.policy import parse_policy

    of_model(model, seq, batch)
    if of is not None and of not in QUANTITIES:
        raise CostModelError(f"of = {of!r} is not one of {', '.join(QUANTITIES)}")
    if break_even is not None and break_even not in BREAK_EVEN:
        raise CostModelError(f"break_even = {break_even!r} is not one of {', '.join(BREAK_EVEN)}")
    if target is None and of in ON_TARGET[:-1]:
        raise CostModelError(f"{of} are those of a machine: name a target, see `costmodel targets`")
    sizes = own_sizes(model, batch, seq)
    record: dict[str, Any] = {"model": model, "attention": attention}
    if target is not None:
        machine = Machine(load_target(target), parse_policy(widths), timing, prices == "symbols")
        record |= on_target(model, attention, against, of, break_even, machine, batch, seq)
    elif break_even is not None:
        record |= solve(model, attention, against, of or "flops", break_even, table, sizes)
    else:
        names = (of,) if of else (*FIELDS, "flops")
        priced_by = None if prices == "symbols" else table
        found = forms(model, attention)
        record["formulas"] = {name: str(quantity(name, found, priced_by)) for name in names}
    rows = tuple(formula_tables.rows_of(record))
    cells = tuple(tuple(map(str, row.values())) for row in rows)
    grid = Grid(f"{model}, attention {attention}", tuple(rows[0]), cells, numbers=False)
    return Formula(record, rows, (grid,), tuple(formula_tables.notes_of(record)), sizes)


ON_TARGET = ("cycles", "moved_bytes", "buffer_bytes", "energy_pj")
QUANTITIES = (*FIELDS, "flops", "operand_bytes", "energy_pj", *ON_TARGET[:-1])
BREAK_EVEN = ("B", "S", "d", "H", "F")
RANGE = tuple(2**n for n in range(1, 13))  # within which break-even points on a target are looked for


@dataclass(frozen=True)
class Machine:
    """Where a form holds."""

    target: Accelerator
    policy: Policy
    timing: str
    symbolic_prices: bool


def on_target(
    model: str,
    attention: str,
    against: str,
    of: str | None,
    symbol: str | None,
    machine: Machine,
    batch: int,
    seq: int | None,
) -> dict[str, Any]:
    """The piece of the forms around the model's own sizes, or where two mechanisms cost the same."""
    if of is not None and of not in ON_TARGET:
        raise CostModelError(f"{of} does not depend on a target; with --on ask for {', '.join(ON_TARGET)}")
    sizes = own_sizes(model, batch, seq)
    if symbol is not None:
        return target_break_even(model, attention, against, of or "cycles", symbol, machine, sizes)
    names = size_names(model)
    mechanism = parse_mechanism(attention)
    from costmodel.mapping.forms import machine_forms

    graphs = (prime_graph(model, names, mechanism, 1), prime_graph(model, names, mechanism, 2))
    found = machine_forms(
        graphs, "G" in names, sizes, machine.policy, machine.target, machine.timing, machine.symbolic_prices
    )
    if of is not None and of not in found:
        raise CostModelError(f"no {of} is published for target {machine.target.name}")
    given = ", ".join(f"{n}={v}" for n, v in sizes.items() if n != "L")
    return {
        "target": machine.target.name,
        "widths": machine.policy.name,
        "sizes": sizes,
        "formulas": {n: str(f) for n, f in found.items() if of in (None, n)},
        "verdict": f"On {machine.target.name}, {machine.policy.name}: the piece that holds around {given}.",
    }


def target_break_even(
    model: str,
    attention: str,
    against: str,
    of: str,
    symbol: str,
    machine: Machine,
    sizes: Mapping[str, int],
) -> dict[str, Any]:
    """Values of a symbol at which the cheaper of two mechanisms changes, all others given.

    A schedule is no polynomial: whole numbers are tried, powers of two first, then between two of them
    where the cheaper one changes.
    """
    from costmodel.compare.break_even import search_break_even
    from costmodel.compare.machine import cycles_and_energy
    from costmodel.counting.symbols import graph_at
    from costmodel.mapping.schedule import schedule
    from costmodel.widths.assign import assign_widths

    if of not in ("cycles", "energy_pj"):
        raise CostModelError("on a target break-even points are those of cycles or energy_pj")
    names, longest = size_names(model), PRESETS[model].max_positions if symbol == "S" else None
    values = [v for v in RANGE if longest is None or v <= longest]
    graphs = {a: prime_graph(model, names, parse_mechanism(a), sizes["L"]) for a in (attention, against)}

    def cost(name: str, value: int) -> float:
        changed = dict(sizes) | {symbol: value}
        if symbol == "H" and "G" not in names:
            changed["G"] = value
        typed = assign_widths(graph_at(graphs[name], changed, "G" in names), machine.policy)
        found = cycles_and_energy(typed, schedule(typed, machine.target, machine.timing))[of == "energy_pj"]
        if found is None:
            raise CostModelError(f"no {of} is published for target {machine.target.name}")
        return found

    found = search_break_even(functools.partial(cost, attention), functools.partial(cost, against), values)
    assert found is not None, "a cost that is not known is an error here"
    (_, less), *turns = found.cheaper(attention, against)
    verdict = f"{less} has less {of} at {symbol}={values[0]}"
    verdict += "".join(f", {name} from {symbol}={at} on" for at, name in turns) or f" and up to {values[-1]}"
    others = {n: v for n, v in sizes.items() if n != symbol and (n != "G" or "G" in names)}
    given = ", ".join(f"{n}={v}" for n, v in others.items())
    return {
        "against": against,
        "of": of,
        "symbol": symbol,
        "target": machine.target.name,
        "widths": machine.policy.name,
        "sizes": others,
        "break_even": list(found.at),
        "verdict": f"{verdict} (on {machine.target.name}, {given}).",
    }


def prime_graph(model: str, names: Mapping[str, str], mechanism: Any, layers: int) -> Any:
    """The canonical graph of a preset of some layers at prime sizes."""
    quiet_imports()
    from costmodel.counting.symbols import prime_sizes
    from costmodel.graph.canonical import canonicalise
    from costmodel.graph.lowering import lower
    from costmodel.graph.tracing import trace
    from models.zoo.loading import load_model

    at = prime_sizes("G" in names)
    values = {"D": at.width, "H": at.heads, "F": at.ffn, "G": at.groups, "L": layers}
    sizes = {key: values[name] for name, key in names.items()}
    loaded = load_model(model, mechanism=mechanism, batch=at.batch, seq=at.seq, sizes=sizes)
    return canonicalise(lower(trace(loaded.module, loaded.inputs)))


def solve(
    model: str, attention: str, against: str, of: str, symbol: str, table: str, sizes: Mapping[str, int]
) -> dict[str, Any]:
    """Where two mechanisms cost the same, and which is cheaper on either side."""
    from costmodel.compare.roots import break_even
    from costmodel.counting.symbols import SYMBOLS

    first = quantity(of, forms(model, attention), table)
    second = quantity(of, forms(model, against), table)
    roots = [root for root in break_even(first, second, symbol, sizes) if root > 1]  # sizes are at least 1
    edges = [1.0, *roots]
    others = {SYMBOLS[n]: v for n, v in sizes.items() if n != symbol}
    parts = []
    for i, low in enumerate(edges):
        high = roots[i] if i < len(roots) else None
        middle = (low + high) / 2 if high is not None else 2 * low
        difference = float((first - second).subs(others).subs(SYMBOLS[symbol], middle))
        cheaper = against if difference > 0 else attention
        where = f"below {high:.6g}" if i == 0 and high is not None else f"above {low:.6g}"
        parts.append(f"{cheaper} has less {of} {where if roots else f'at every {symbol}'}")
    given = ", ".join(f"{n}={v}" for n, v in sizes.items() if n != symbol)
    return {
        "against": against,
        "of": of,
        "symbol": symbol,
        "sizes": {n: v for n, v in sizes.items() if n != symbol},
        "break_even": list(roots),
        "verdict": "; ".join(parts) + f" ({given}).",
    }


def quantity(name: str, counts: Counts, table: str | None) -> Any:
    """One quantity of a form; without a table prices are symbols."""
    from costmodel.counting.symbols import energy_pj

    if name == "flops":
        return sum(getattr(counts, op) for op in ARITHMETIC)
    if name == "operand_bytes":
        return counts.read_bytes + counts.write_bytes
    if name == "energy_pj":
        return energy_pj(counts, None if table is None else load_table(table), "float32")
    return getattr(counts, name)


def forms(model: str, attention: str) -> Counts:
    """Closed forms of a preset with a mechanism, from the cache or from two traces at prime sizes."""
    import sympy

    from costmodel.counting.symbols import SYMBOLS

    names = size_names(model)
    mechanism = parse_mechanism(attention)
    key = cache.key_of("formula", model, str(mechanism))
    entry = cache.load(key)
    if entry is not None:
        return Counts(*(sympy.sympify(text, locals=SYMBOLS) for text in entry))
    made = traced_forms(model, names, mechanism)
    cache.save(key, [str(getattr(made, name)) for name in FIELDS])
    return made


def traced_forms(model: str, names: Mapping[str, str], mechanism: Any) -> Counts:
    from costmodel.counting.symbols import symbolic_counts, with_layers

    one, two = (symbolic_counts(prime_graph(model, names, mechanism, n), "G" in names) for n in (1, 2))
    return with_layers(one, two)


def own_sizes(model: str, batch: int, seq: int | None) -> dict[str, int]:
    """The preset's own numbers for the symbols."""
    quiet_imports()
    import transformers

    names = size_names(model)
    config = getattr(transformers, PRESETS[model].config)(**PRESETS[model].sizes)
    found = {name: getattr(config, key) for name, key in names.items()}
    if found["F"] is None:  # GPT-2's own default
        found["F"] = 4 * found["D"]
    if found["D"] % found["H"]:
        raise CostModelError(f"{model}: {found['H']} heads do not divide the width {found['D']}")
    sizes = {"B": batch, "S": resolve_seq(model, seq), "d": found["D"] // found["H"], "H": found["H"]}
    return sizes | {"G": found.get("G", found["H"]), "F": found["F"], "L": found["L"]}
