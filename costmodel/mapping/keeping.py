"""Which activations stay in the buffer between steps.

Tiles and kept values share the buffer, moment by moment: a step's tiles have what the values leave that wait
meanwhile. A value that is kept costs no DRAM traffic where it is made and read. Values are kept or not by kind,
the same in every layer: all that are as large and are read by the same pieces. Every choice of kinds that the
buffer can hold is looked at, so that no better one of them exists; values of which least would be saved, beyond
the first `MOST_KINDS` kinds, are one kind.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from costmodel.mapping.fusion import Plan
from costmodel.mapping.pieces import Placed, Stay

MOST_KINDS = 6
Bits = tuple[int, ...]  # of each value of a piece that of its kind


@dataclass(frozen=True)
class Kinds:
    """Values by kind, and how many bytes of each kind wait while each group runs."""

    values: tuple[frozenset[int], ...]
    waiting: tuple[tuple[int, ...], ...]  # [kinds][groups]


@dataclass(frozen=True, eq=False)
class Kept:
    """A choice among kinds as bits, and the bytes that their values take while each group runs."""

    kinds: int
    among: tuple[frozenset[int], ...] = ()
    waiting: np.ndarray[Any, Any] | None = None  # [groups]; None: nothing waits

    @property
    def values(self) -> frozenset[int]:
        """The values that stay."""
        return frozenset().union(*(own for i, own in enumerate(self.among) if self.kinds >> i & 1))

    def waiting_bytes(self, group: int) -> int:
        """Bytes that wait in the buffer while a group runs."""
        return 0 if self.waiting is None else int(self.waiting[group])


NOTHING = Kept(0)


@dataclass(frozen=True)
class Seat:
    """Pieces that are the same, whatever is kept. Of each of its values the bit of its kind; 0: it never stays."""

    placed: Placed  # the first of them
    places: tuple[int, ...]
    operands: tuple[int, ...]
    reads: tuple[int, ...]
    writes: tuple[int, ...]
    waiting: tuple[int, ...]  # bytes of each kind that lie in the buffer meanwhile
    kinds: int  # of all its values

    def stay(self, kinds: int) -> Stay:
        """Which of its values lie in the buffer where some kinds are kept."""
        return Stay(
            tuple([kind & kinds > 0 for kind in self.operands]),
            tuple([kind & kinds > 0 for kind in self.reads]),
            tuple([kind & kinds > 0 for kind in self.writes]),
        )

    def waiting_bytes(self, kept: Kept) -> int:
        return kept.waiting_bytes(self.placed.group)


def seats_of(placed: tuple[Placed, ...], kinds: Kinds) -> tuple[Seat, ...]:
    """Distinct seats, in the order in which they appear."""
    kind_of = {v: 1 << i for i, values in enumerate(kinds.values) for v in values}
    waiting = list(zip(*kinds.waiting, strict=True)) or [()] * len(placed)
    found: dict[tuple[int, Bits, Bits, Bits, Bits], list[int]] = {}
    for i, p in enumerate(placed):
        o, r, w = (tuple([kind_of.get(v, 0) for v in part]) for part in (p.operands, p.reads, p.writes))
        found.setdefault((p.place, o, r, w, waiting[p.group]), []).append(i)
    seats = []
    for (_, operands, reads, writes, beside), places in found.items():
        every = functools.reduce(operator.or_, (*operands, *reads, *writes), 0)
        seats.append(Seat(placed[places[0]], tuple(places), operands, reads, writes, beside, every))
    return tuple(seats)


def kinds_of(plan: Plan, placed: tuple[Placed, ...]) -> Kinds:
    """The kinds of values that cross between groups, those of which most bytes are saved first."""
    returned = {plan.source[i] for i in plan.graph.outputs}
    readers: dict[int, list[int]] = {}
    for piece in placed:
        for v in dict.fromkeys((*piece.operands, *piece.reads)):
            readers.setdefault(v, []).append(piece.place)
    found: dict[tuple[int, ...], list[int]] = {}
    for v in plan.last:
        if v not in returned:
            size = int(plan.graph.values[v].distinct_bytes)
            found.setdefault((size, *readers.get(v, ())), []).append(v)
    # Each reader and the maker move it once, if it is not kept.
    saved = sorted(found, key=lambda kind: -kind[0] * len(kind) * len(found[kind]))
    values = [frozenset(found[kind]) for kind in saved[:MOST_KINDS]]
    rest = frozenset(v for kind in saved[MOST_KINDS:] for v in found[kind])
    values += [rest] if rest else []
    return Kinds(tuple(values), tuple(waiting_bytes(plan, kind) for kind in values))


def waiting_bytes(plan: Plan, values: frozenset[int]) -> tuple[int, ...]:
    """Bytes of some values that lie in the buffer while each group runs."""
    live = [0] * len(plan.groups)
    for v in values:
        size = int(plan.graph.values[v].distinct_bytes)
        for g in range(plan.born[v], plan.last[v] + 1):
            live[g] += size
    return tuple(live)


def choices_of(kinds: Kinds, buffer_bytes: int) -> tuple[Kept, ...]:
    """All choices of kinds of which the buffer holds the values and at least a byte more."""
    groups = len(kinds.waiting[0]) if kinds.waiting else 0
    if not groups:
        return (NOTHING,)
    found, live = np.zeros(1, np.int64), np.zeros((1, groups), np.int64)
    for i, waiting in enumerate(kinds.waiting):
        more = live + np.array(waiting, np.int64)
        fits = more.max(1) < buffer_bytes
        found = np.concatenate([found, found[fits] | 1 << i])
        live = np.concatenate([live, more[fits]])
    return tuple(Kept(kind, kinds.values, row) for kind, row in zip(found.tolist(), live, strict=True))


def fullest_first(choices: Sequence[Kept]) -> list[int]:
    """Places of choices, those first of which most bytes wait in the buffer at once."""
    most = [0 if kept.waiting is None else int(kept.waiting.max()) for kept in choices]
    return sorted(range(len(choices)), key=lambda i: -most[i])
