"""A trace as a function of batch B and sequence S, from a few traces at concrete sizes.

Every integer of a trace (a dim, a stride, an argument of a view) is a polynomial in B and S, or the
trace has no template. The polynomial is fitted exactly, in rationals, and must also give the traces
at two or three more points than it has coefficients. Structure, names and all else must be equal at every
point; a model that branches on its sizes has no template and is traced anew each time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from costmodel.graph.ir import Graph, from_record, to_record
from costmodel.records import Json

Size = tuple[int, int]  # (B, S)
Basis = tuple[tuple[int, int], ...]  # exponents of B and S

ONE_ROW: Basis = ((0, 0), (0, 1), (0, 2))  # at B = 1, where torch skips some copies
MANY_ROWS: Basis = ((0, 0), (1, 0), (0, 1), (1, 1), (0, 2), (1, 2))
LARGEST_S = 4096  # of a model without a longest sequence


@dataclass(frozen=True)
class Template:
    """A saved graph whose integers may be polynomials: {"p": coefficients of the terms of `basis`}."""

    basis: Basis
    record: Json


def basis_of(batch: int) -> Basis:
    return ONE_ROW if batch == 1 else MANY_ROWS


def sample_sizes(batch: int, longest: int | None) -> tuple[Size, ...]:
    """Sizes to trace at: as many as there are coefficients, and then some that must agree.

    3, 4 and 5 leave different rests when divided by any number, so that a length such as S // 2 does
    not pass for a polynomial.
    """
    top = (longest or LARGEST_S) - 1
    middle = max(6, top // 2)
    if batch == 1:
        return tuple((1, s) for s in sorted({3, 4, 5, middle, top}))
    fitted = ((2, 3), (3, 3), (2, 4), (3, 4), (2, top), (5, top))
    return (*fitted, (7, top - 1), (3, 5), (4, middle))


def covers(seq: int, longest: int | None) -> bool:
    """Whether S lies among the sampled ones: a template interpolates, it never extrapolates in S.

    The longest sequence is not among them: there a slice of all positions is no slice.
    """
    return 3 <= seq < (longest or LARGEST_S)


def fit(trace_at: Callable[[Size], Graph], batch: int, longest: int | None) -> Template | None:
    """The template of a model, or None where it has none."""
    basis, sizes = basis_of(batch), sample_sizes(batch, longest)
    if len(sizes) <= len(basis):
        return None
    records: list[Json] = []
    for size in sizes:
        records.append(to_record(trace_at(size)))
        if not same_structure(records[0], records[-1]):
            return None
    try:
        return Template(basis, merge(records, Fitter(basis, sizes)))
    except NoTemplate:
        return None


class NoTemplate(Exception):
    """The traces are not one polynomial trace."""


def same_structure(a: Json, b: Json) -> bool:
    return len(a["nodes"]) == len(b["nodes"]) and len(a["values"]) == len(b["values"])


class Fitter:
    """Fits one integer at a time; equal rows of samples are fitted once."""

    def __init__(self, basis: Basis, sizes: tuple[Size, ...]) -> None:
        self.terms = [[Fraction(b**i * s**j) for i, j in basis] for b, s in sizes]
        self.known: dict[tuple[int, ...], list[str]] = {}

    def __call__(self, samples: tuple[int, ...]) -> list[str]:
        if samples not in self.known:
            n = len(self.terms[0])
            rows = [[*terms, Fraction(y)] for terms, y in zip(self.terms, samples, strict=True)]
            coefficients = solve(rows[:n])
            for row in rows[n:]:
                if sum(c * t for c, t in zip(coefficients, row[:-1], strict=True)) != row[-1]:
                    raise NoTemplate
            self.known[samples] = [str(c) for c in coefficients]
        return self.known[samples]


def solve(rows: list[list[Fraction]]) -> list[Fraction]:
    """Gauss and Jordan on an augmented square system, exactly."""
    rows = [list(row) for row in rows]
    n = len(rows)
    for i in range(n):
        pivot = next((r for r in range(i, n) if rows[r][i] != 0), None)
        if pivot is None:
            raise NoTemplate
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [x / rows[i][i] for x in rows[i]]
        for r in range(n):
            if r != i and rows[r][i] != 0:
                rows[r] = [x - rows[r][i] * y for x, y in zip(rows[r], rows[i], strict=True)]
    return [row[-1] for row in rows]


def merge(samples: list[Json], fitter: Fitter) -> Json:
    """One record of several: equal leaves stay, integers that differ become {"p": coefficients}."""
    first = samples[0]
    if all(type(s) is type(first) for s in samples):
        if isinstance(first, dict):
            if any(s.keys() != first.keys() for s in samples):
                raise NoTemplate
            return {key: merge([s[key] for s in samples], fitter) for key in first}
        if isinstance(first, list):
            if any(len(s) != len(first) for s in samples):
                raise NoTemplate
            return [merge(list(items), fitter) for items in zip(*samples, strict=True)]
        if all(s == first for s in samples):
            return first
        if type(first) is int:
            return {"p": fitter(tuple(samples))}
    raise NoTemplate


def instantiate(template: Template, batch: int, seq: int) -> Graph:
    """The graph at a size.

    Raises:
        NoTemplate: a polynomial gives no whole number there.
    """
    terms = [batch**i * seq**j for i, j in template.basis]
    known: dict[tuple[str, ...], int] = {}

    def evaluate(item: Json) -> Json:
        if isinstance(item, list):
            return [evaluate(i) for i in item]
        if isinstance(item, dict):
            if item.keys() == {"p"}:
                key = tuple(item["p"])
                if key not in known:
                    number = sum(Fraction(c) * t for c, t in zip(key, terms, strict=True))
                    if number.denominator != 1:
                        raise NoTemplate
                    known[key] = int(number)
                return known[key]
            return {k: evaluate(v) for k, v in item.items()}
        return item

    return from_record(evaluate(template.record))
