"""`formula`: closed forms of a preset, and where two mechanisms break even."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from costmodel.api.closed_forms import forms, own_sizes, prime_graph, quantity
from costmodel.api.graphs import Request, counted
from costmodel.api.lengths import Priced, costs_over, parse_lengths, range_of, table_of
from costmodel.api.results import Result
from costmodel.api.subjects import check_choice, check_goal, check_whole, of_model
from costmodel.compare.formula_records import FormulaRecord
from costmodel.compare.lengths import Costs, Interval, LengthCost, against_first, cost_at
from costmodel.counting.symbols import SYMBOLS, Form
from costmodel.errors import CostModelError
from costmodel.graph.ir import Graph
from costmodel.hardware.accelerator import Accelerator
from costmodel.hardware.loading import load_target
from costmodel.hardware.timing import CONVENTIONS
from costmodel.ops.counts import FIELDS
from costmodel.show.formula_tables import formula_document
from costmodel.technology.loading import load_table
from costmodel.widths.assign import Typed, assign_widths
from costmodel.widths.lengths import Family
from costmodel.widths.policy import Policy, parse_policy
from models.attention.mechanisms import parse_mechanism
from models.zoo.presets import PRESETS, size_names

ON_TARGET = ("cycles", "moved_bytes", "buffer_bytes", "local_bytes", "energy_pj")
QUANTITIES = (*FIELDS, "flops", "operand_bytes", "energy_pj", *ON_TARGET[:-1])
BREAK_EVEN = ("B", "S", "d", "H", "F")
PRICES = ("numbers", "symbols")
COMPARED = ("cycles", "moved_bytes", "energy_pj")  # on a target, at every number of a range
RANGE = (1, 128)  # of B, d, H, F, unless another is given


@dataclass(frozen=True, repr=False)
class Formula(Result[FormulaRecord]):
    """Closed forms by quantity, or where two mechanisms cost the same.

    `sizes` are the model's own numbers for the symbols B, S, d, H, G, F, L; `expressions` the forms as sympy's.
    """

    sizes: Mapping[str, int]
    expressions: Mapping[str, Form]

    @property
    def formulas(self) -> dict[str, str]:
        """Forms as text; empty where a break-even point was asked for."""
        return dict(self.record.formulas or {})

    @property
    def break_even(self) -> tuple[float, ...]:
        """Values of the symbol at which the two are equal; on a target where another verdict begins."""
        if self.record.intervals is not None:
            return tuple(i.first for i in self.record.intervals[1:])
        return self.record.break_even or ()

    @property
    def intervals(self) -> tuple[Interval, ...]:
        """On a target: at which values `against` takes less, as much or more."""
        return self.record.intervals or ()

    def expression(self, quantity: str | None = None) -> Form:
        """A form as a sympy expression; the first one where no quantity is named.

        Raises:
            CostModelError: there is no such form.
        """
        if not self.expressions:
            raise CostModelError("break-even points were asked for, which have no form; leave `break_even` out")
        name = quantity or next(iter(self.expressions))
        check_choice("quantity", name, tuple(self.expressions))
        return self.expressions[name]

    def at(self, quantity: str | None = None, **sizes: int) -> int | float:
        """The form in numbers: the model's own sizes, or those given by symbol, such as `S=512`.

        Raises:
            CostModelError: a symbol that no form has.
        """
        for name in sizes:
            if name not in SYMBOLS:
                raise CostModelError(f"there is no symbol {name}; known: {', '.join(SYMBOLS)}")
        numbers = {SYMBOLS[name]: value for name, value in {**self.sizes, **sizes}.items()}
        value = self.expression(quantity).subs(numbers)
        return int(value) if value.is_integer else float(value)


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
    lengths: str | None = None,
    workers: int | None = 1,
    objective: str | None = None,
) -> Formula:
    """Closed forms of a preset in B, S, d, H, G, F, L; or where two mechanisms cost the same.

    Args:
        of: mul, add, ..., flops, operand_bytes, energy_pj; with a target cycles, moved_bytes, buffer_bytes,
            local_bytes, energy_pj. None gives all counts and bytes.
        break_even: a symbol to solve for, `against` another mechanism.
        target: forms on a target are piecewise: given is the piece around `seq`. With `break_even` the two are
            compared at every whole number.
        lengths: these numbers, all from the first to the last, as in `16..512`. By default lengths S are those of
            `report`, others go from 1 to 128.
        workers: as of `report`.
        objective: what mappings on the target are chosen by, as of `report`.
        prices: `symbols` leaves prices as symbols.

    >>> import costmodel as cm
    >>> mul = cm.formula("distilbert", of="mul")
    >>> mul.at(), mul.at(S=512)
    (5598907648, 24221725696)
    >>> cm.formula("distilbert", of="energy_pj", break_even="S").to_rows()
    [{'quantity': 'energy_pj', 'against': 'inhibitor', 'S': '1.23368'}]

    Raises:
        CostModelError: no preset, an unknown choice, or a quantity that is not to be had so.
    """
    check_preset(model)
    of_model(model, seq, batch)
    for name, value, known in (
        ("of", of, QUANTITIES),
        ("break_even", break_even, BREAK_EVEN),
        ("timing", timing, CONVENTIONS),
        ("prices", prices, PRICES),
    ):
        if value is not None:
            check_choice(name, value, known)
    if target is None and of in ON_TARGET[:-1]:
        raise CostModelError(
            f"`of={of}` is a figure of a machine: name one with `target`, see `costmodel targets`"
        )
    check_whole("workers", workers)
    if target is None:
        check_goal(objective, None)
    if lengths is not None and (target is None or break_even is None):
        raise CostModelError("`lengths` are those of `break_even` on a `target`; forms hold at all of them")
    policy = parse_policy(widths)
    load_table(table)
    for name in (attention, against):
        parse_mechanism(name)
    sizes = own_sizes(model, batch, seq)
    record, found = FormulaRecord(model, attention), {}
    if target is not None:
        machine = Machine(load_target(target), policy, timing, prices == "symbols", objective)
        check_goal(objective, machine.target)
        if of is not None and of not in ON_TARGET:
            raise CostModelError(f"`of={of}` does not depend on `target`; ask for {', '.join(ON_TARGET)}")
        if break_even is not None:
            asked = Asked(model, attention, against, of or "cycles", break_even, range_given(lengths), workers)
            record = on_target(asked, machine, sizes)
        else:
            found = forms_on_target(model, attention, of, machine, sizes)
            record = replace(record, target=machine.target.name, widths=policy.name, sizes=sizes)
            record = replace(record, verdict=piece(machine, sizes))
    elif break_even is not None:
        record = solve(model, attention, against, of or "flops", break_even, table, sizes)
    else:
        counts, priced_by = forms(model, attention), None if prices == "symbols" else table
        found = {n: quantity(n, counts, priced_by) for n in ((of,) if of else (*FIELDS, "flops"))}
    if found:
        record = replace(record, formulas={n: str(form) for n, form in found.items()})
    return Formula(record, formula_document(record), sizes, found)


def range_given(lengths: str | None) -> tuple[int, int] | None:
    """The range that was asked for; None is the one of `report`."""
    found = None if lengths is None else parse_lengths(lengths)
    return None if isinstance(found, str) else found


def check_preset(model: object) -> None:
    """Refuse what is no preset, and say why.

    Raises:
        CostModelError: it is none.
    """
    if isinstance(model, str) and model in PRESETS:
        return
    what = repr(model) if isinstance(model, str) else f"a {type(model).__name__}"
    raise CostModelError(
        f"a formula is made from traces at sizes of our choice, which only a preset takes, not {what}; "
        f"presets: {', '.join(PRESETS)}"
    )


@dataclass(frozen=True)
class Machine:
    """Where a form holds."""

    target: Accelerator
    policy: Policy
    timing: str
    symbolic_prices: bool
    objective: str | None


def forms_on_target(
    model: str, attention: str, of: str | None, machine: Machine, sizes: Mapping[str, int]
) -> dict[str, Form]:
    """The piece of the forms around the model's own sizes: one quantity, or all."""
    from costmodel.mapping.forms import machine_forms

    names = size_names(model)
    mechanism = parse_mechanism(attention)
    graphs = (prime_graph(model, names, mechanism, 1), prime_graph(model, names, mechanism, 2))
    found = machine_forms(
        graphs,
        "G" in names,
        sizes,
        machine.policy,
        machine.target,
        machine.timing,
        machine.symbolic_prices,
        machine.objective,
    )
    if of == "local_bytes" and of not in found:
        raise CostModelError(f"target {machine.target.name} has no local memory; ask for buffer_bytes")
    if of is not None and of not in found:
        raise CostModelError(f"no {of} is published for target {machine.target.name}")
    return {name: form for name, form in found.items() if of in (None, name)}


def piece(machine: Machine, sizes: Mapping[str, int]) -> str:
    given = ", ".join(f"{n}={v}" for n, v in sizes.items() if n != "L")
    return f"On {machine.target.name}, {machine.policy.name}: the piece that holds around {given}."


@dataclass(frozen=True)
class Asked:
    """Two mechanisms to compare on a target, at every whole number of a range of a symbol."""

    model: str
    attention: str
    against: str
    of: str
    symbol: str
    given: tuple[int, int] | None
    workers: int | None


def on_target(asked: Asked, machine: Machine, sizes: Mapping[str, int]) -> FormulaRecord:
    """Values of a symbol at which the other mechanism takes less, as much or more, all others given.

    Raises:
        CostModelError: no figure that is compared, or none that is published.
    """
    from costmodel.show.length_lines import formula_words

    of, symbol, name = asked.of, asked.symbol, machine.target.name
    if of not in COMPARED:
        raise CostModelError(f"on a target break-even points are those of {', '.join(COMPARED)}")
    before, after = costs_at_lengths(asked, machine, sizes) if symbol == "S" else costs_at(asked, machine, sizes)
    found = getattr(against_first(before, after), of)
    if found is None:
        raise CostModelError(f"no {of} is published for target {name}")
    grouped = "G" in size_names(asked.model)
    others = {n: v for n, v in sizes.items() if n != symbol and (n != "G" or grouped)}
    given = ", ".join(f"{n}={v}" for n, v in others.items())
    said = formula_words(found, asked.attention, asked.against, of, symbol)
    return FormulaRecord(
        model=asked.model,
        attention=asked.attention,
        against=asked.against,
        of=of,
        symbol=symbol,
        target=name,
        widths=machine.policy.name,
        sizes=others,
        intervals=found,
        verdict=f"{said} (on {name}, {given}).",
    )


def costs_at_lengths(asked: Asked, machine: Machine, sizes: Mapping[str, int]) -> tuple[Costs, Costs]:
    """What each of the two takes at every length: the search of a report."""
    request, both = Request(asked.model, sizes["B"], sizes["S"]), (asked.attention, asked.against)
    span = range_of(request, asked.given, max(len(counted(request, name).graph.nodes) for name in both))
    first, other = (
        Priced(request, name, machine.policy, machine.target, machine.timing, machine.objective) for name in both
    )
    found = costs_over((first, other), span, asked.workers)
    return found[first], found[other]


def costs_at(asked: Asked, machine: Machine, sizes: Mapping[str, int]) -> tuple[Costs, Costs]:
    """What each of the two takes at every number of the range of another symbol, from one trace."""
    from costmodel.counting.symbols import graph_at
    from costmodel.show.progress import progress

    names = size_names(asked.model)
    first, last = asked.given or RANGE
    table, both = table_of(machine.target), (asked.attention, asked.against)
    found: list[dict[int, LengthCost | None]] = []
    with progress(f"comparing at every {asked.symbol} from {first} to {last}", 2 * (last - first + 1)) as tick:
        for name in both:
            prime = prime_graph(asked.model, names, parse_mechanism(name), sizes["L"])

            def typed_at(value: int, prime: Graph = prime) -> Typed:
                changed = dict(sizes) | {asked.symbol: value}
                if asked.symbol == "H" and "G" not in names:
                    changed["G"] = value
                return assign_widths(graph_at(prime, changed, "G" in names), machine.policy)

            family, costs = Family(typed_at, first, last), {}
            for value in range(first, last + 1):
                costs[value] = cost_at(family.at(value), machine.target, machine.timing, machine.objective, table)
                tick(1)
            found.append(costs)
    return found[0], found[1]


def solve(
    model: str, attention: str, against: str, of: str, symbol: str, table: str, sizes: Mapping[str, int]
) -> FormulaRecord:
    """Where two mechanisms cost the same, and which is cheaper on either side."""
    from costmodel.compare.roots import break_even

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
    given = {n: v for n, v in sizes.items() if n != symbol}
    return FormulaRecord(
        model=model,
        attention=attention,
        against=against,
        of=of,
        symbol=symbol,
        sizes=given,
        break_even=tuple(roots),
        verdict="; ".join(parts) + f" ({', '.join(f'{n}={v}' for n, v in given.items())}).",
    )
