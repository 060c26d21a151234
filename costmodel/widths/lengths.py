"""Graphs of one model at every length S: made at a few, and at all others from these.

Every integer of a graph (a dim, a stride, a number of operations, the end of a range) is a polynomial in S as long
as types and structure stay the same. So the lengths fall into spans: in each a graph is made the slow way at a few
lengths, the polynomials are fitted to three of these and must give the others, and what holds the integers is made
from them. Sums over more keys only ever need wider types, so two lengths of equal types have the same types
between them. Where there is no such polynomial, or a span is too short for it, the slow way is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from fractions import Fraction
from math import lcm
from operator import itemgetter
from typing import Any, Generic, TypeVar

from costmodel.graph.ir import Graph, Node, Value
from costmodel.graph.template import ONE_ROW, Fitter, NoTemplate
from costmodel.widths.assign import Typed
from costmodel.widths.policy import Range, Work

G = TypeVar("G", Graph, Typed)
Made = list[Any]  # what one length has made so far: integers and what holds them
Step = Callable[[Made], Any]

RECORDS = (Typed, Graph, Value, Node, Range, Work)  # others must be the same at all lengths
SHORTEST = 8  # a span that is worth a fit
CHECKED = 5  # lengths of a fit: two more than a polynomial has coefficients


class Form:
    """One graph as a program that makes it at a length; equal parts are made once."""

    def __init__(self, lengths: Sequence[int], samples: Sequence[Graph | Typed]) -> None:
        self.fitter = Fitter(ONE_ROW, tuple((1, s) for s in lengths))
        self.program: list[Step] = []
        self.places: dict[Any, int] = {}
        self.result = self.merged(samples)

    def at(self, S: int) -> Any:
        """The graph at a length.

        Raises:
            NoTemplate: a polynomial gives no whole number there.
        """
        made: Made = [S]
        for step in self.program:
            made.append(step(made))
        return self.result(made) if callable(self.result) else self.result

    def merged(self, samples: Sequence[Any]) -> Any:
        """What is the same in all samples as it is; else a step that makes it."""
        first = samples[0]
        if any(type(s) is not type(first) for s in samples):
            raise NoTemplate
        if all(s == first for s in samples):
            return first
        try:
            key: Any = tuple(samples)
            if key in self.places:
                return itemgetter(self.places[key])
        except TypeError:  # a dict, or what holds one
            key = None
        step = self.step(first, samples)
        if key is None:
            return step
        self.program.append(step)
        self.places[key] = len(self.program)
        return itemgetter(len(self.program))

    def step(self, first: Any, samples: Sequence[Any]) -> Step:
        """A step that makes what differs between samples."""
        if type(first) is int:
            return polynomial(self.fitter(tuple(samples)))
        if type(first) is tuple and all(len(s) == len(first) for s in samples):
            return filled(tuple, [self.merged(items) for items in zip(*samples, strict=True)])
        if type(first) is dict and all(s.keys() == first.keys() for s in samples):
            names = list(first)
            parts = [self.merged([s[name] for s in samples]) for name in names]
            return filled(lambda found: dict(zip(names, found, strict=True)), parts)
        if isinstance(first, RECORDS):
            kind: Any = type(first)
            parts = [self.merged([getattr(s, f.name) for s in samples]) for f in fields(first)]
            return filled(lambda found: kind(*found), parts)
        raise NoTemplate


def polynomial(coefficients: Sequence[str]) -> Step:
    """A step that evaluates one; the length is the first thing made."""
    fractions = [Fraction(c) for c in coefficients]
    bottom = lcm(*(c.denominator for c in fractions))
    c0, c1, c2 = (int(c * bottom) for c in fractions)

    def step(made: Made) -> int:
        S = made[0]
        whole, rest = divmod(c0 + S * (c1 + S * c2), bottom)
        if rest:
            raise NoTemplate
        return int(whole)

    return step


def filled(make: Callable[[list[Any]], Any], parts: Sequence[Any]) -> Step:
    """A step that makes something of parts, some of which are steps themselves."""
    moving = [(i, part) for i, part in enumerate(parts) if callable(part)]

    def step(made: Made) -> Any:
        found = list(parts)
        for i, part in moving:
            found[i] = part(made)
        return make(found)

    return step


class Family(Generic[G]):
    """The graphs of a model at all lengths from `first` to `last`; `exact` makes one the slow way."""

    def __init__(self, exact: Callable[[int], G], first: int, last: int) -> None:
        self.exact: Callable[[int], G] = exact
        self.known: dict[int, G] = {}
        self.spans: list[tuple[int, int, Form]] = []
        while first <= last:
            end = self.end_of_types(first, last)
            self.fit(first, end)
            first = end + 1
        self.known.clear()

    def at(self, S: int) -> G:
        """The graph at a length, the same that `exact` makes."""
        for first, last, form in self.spans:
            if first <= S <= last:
                try:
                    found: G = form.at(S)
                except NoTemplate:
                    break
                return found
        return self.exact(S)

    def sample(self, S: int) -> G:
        if S not in self.known:
            self.known[S] = self.exact(S)
        return self.known[S]

    def end_of_types(self, first: int, last: int) -> int:
        """The last length with the types and ops of the first."""
        wanted = signature(self.sample(first))
        if signature(self.sample(last)) == wanted:
            return last
        while last - first > 1:
            middle = (first + last) // 2
            first, last = (middle, last) if signature(self.sample(middle)) == wanted else (first, middle)
        return first

    def fit(self, first: int, last: int) -> None:
        """One form for the span, or for each half of it; none where it is short."""
        if last - first + 1 < SHORTEST:
            return
        lengths = (first, first + 1, first + 2, (first + last) // 2, last)
        assert len(lengths) == CHECKED
        try:
            self.spans.append((first, last, Form(lengths, [self.sample(s) for s in lengths])))
        except NoTemplate:
            middle = (first + last) // 2
            self.fit(first, middle)
            self.fit(middle + 1, last)


def signature(made: Graph | Typed) -> tuple[Any, ...]:
    """Ops and types, which change from span to span."""
    graph = made.graph if isinstance(made, Typed) else made
    work = [tuple((w.op, w.type) for w in works) for works in made.work] if isinstance(made, Typed) else []
    overflows = made.overflows if isinstance(made, Typed) else ()
    return [v.dtype for v in graph.values], [n.op for n in graph.nodes], work, overflows
