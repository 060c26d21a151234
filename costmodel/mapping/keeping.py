"""Which activations stay in the buffer between steps.

Tiles and kept values share the buffer, moment by moment: a step's tiles have what the values leave that wait
meanwhile. A value that is kept costs no DRAM traffic where it is made and read. Values are kept or not by kind,
the same in every layer: all that are as large, and have the same place in pieces of one shape that make and read
them. Of all choices of kinds those that take least room are looked at; of those that keep together what the same
pieces make and read, such as q, k and v, more; and all where the kinds of which least would be saved are kept
together, too. How far single values, and some rows of them, would be better says `tests/bench/MAPPING.md`.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from costmodel.mapping.fusion import Plan
from costmodel.mapping.pieces import Placed, Stay

MOST_KINDS = 12
MOST_FREE = 6  # groups of kinds of which every choice is looked at
FINEST = 128  # finer choices
Role = tuple[tuple[object, ...], str, int]  # of a value in a piece: its shape, what it is there, which of them
Array = np.ndarray[Any, Any]
Bits = tuple[int, ...]  # of each value of a piece that of its kind


@dataclass(frozen=True)
class Kinds:
    """Values by kind, and how many bytes of each kind wait while each group runs."""

    values: tuple[frozenset[int], ...]
    waiting: tuple[tuple[int, ...], ...]  # [kinds][groups]
    together: tuple[int, ...]  # of each kind the first one that the same pieces make and read

    @cached_property
    def choices(self) -> tuple[tuple[Kept, int], ...]:
        """The choices that are looked at, and the most bytes that wait at once.

        They do not depend on the buffer, so that a larger one has all that a smaller one has: of all choices the
        `FINEST` that take least room, twice as many of those that keep alike values together, and all that keep
        the last kinds together, too.
        """
        if not self.waiting or not self.waiting[0]:
            return ((NOTHING, 0),)
        masks, waiting = np.arange(1 << len(self.values)), np.array(self.waiting, np.int64)
        peaks = waiting_of(masks, np.unique(waiting, axis=1)).max(1)  # layers are alike
        looked_at = np.zeros(len(masks), np.bool_)
        for joined, most in joins(self):
            own = np.flatnonzero(keeps_whole(masks, joined))
            looked_at[own[np.argsort(peaks[own], kind="stable")[:most]]] = True
        left = np.flatnonzero(looked_at)
        rows = zip(left.tolist(), waiting_of(left, waiting), peaks[left].tolist(), strict=True)
        return tuple((Kept(mask, self.values, row), peak) for mask, row, peak in rows)


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
    ends: dict[int, list[Role]] = {}  # of each value the roles of its maker and of its readers
    for piece in placed:
        for how, some in (("written", piece.writes), ("operand", piece.operands), ("read", piece.reads)):
            for at, v in enumerate(dict.fromkeys(some)):
                ends.setdefault(v, []).append((shape_of_piece(piece), how, at))
    found: dict[tuple[int, tuple[Role, ...]], list[int]] = {}
    for v in plan.last:
        if v not in returned:
            size = int(plan.graph.values[v].distinct_bytes)
            found.setdefault((size, tuple(ends.get(v, ()))), []).append(v)
    # Each reader and the maker move it once, if it is not kept.
    saved = sorted(found, key=lambda kind: -kind[0] * len(kind[1]) * len(found[kind]))
    values = [frozenset(found[kind]) for kind in saved[:MOST_KINDS]]
    rest = frozenset(v for kind in saved[MOST_KINDS:] for v in found[kind])
    values += [rest] if rest else []
    firsts: dict[object, int] = {}
    alike = [(size, tuple(role[:2] for role in roles)) for size, roles in saved[:MOST_KINDS]]
    together = [firsts.setdefault(name, i) for i, name in enumerate(alike)]
    together += [len(together)] if rest else []
    return Kinds(tuple(values), tuple(waiting_bytes(plan, kind) for kind in values), tuple(together))


def shape_of_piece(placed: Placed) -> tuple[object, ...]:
    """What pieces of one kind of step have in common, whatever rides on them."""
    piece = placed.piece
    return piece.kind, piece.product, piece.B, piece.D


def waiting_bytes(plan: Plan, values: frozenset[int]) -> tuple[int, ...]:
    """Bytes of some values that lie in the buffer while each group runs."""
    live = [0] * len(plan.groups)
    for v in values:
        size = int(plan.graph.values[v].distinct_bytes)
        for g in range(plan.born[v], plan.last[v] + 1):
            live[g] += size
    return tuple(live)


def choices_of(kinds: Kinds, buffer_bytes: int) -> tuple[Kept, ...]:
    """The choices of kinds that are looked at of which the buffer holds the values and at least a byte more."""
    return tuple([kept for kept, peak in kinds.choices if peak < buffer_bytes])


def waiting_of(masks: Array, waiting: Array) -> Array:
    """Bytes [masks, groups] that wait where some kinds are kept, from those of each kind [kinds, groups]."""
    found: Array = (masks[:, None] >> np.arange(len(waiting)) & 1) @ waiting
    return found


def joins(kinds: Kinds) -> tuple[tuple[list[int], int], ...]:
    """Kinds that are kept together, as bits, and how many of such choices are looked at."""
    alike = [sum(1 << i for i, one in enumerate(kinds.together) if one == first) for first in set(kinds.together)]
    alike.sort()
    last = [*alike[: MOST_FREE - 1], sum(alike[MOST_FREE - 1 :])]
    return (([], FINEST), (alike, 2 * FINEST), (last, 1 << MOST_FREE))


def keeps_whole(masks: Array, joined: Sequence[int]) -> Array:
    """Of which choices it is true that they keep all or nothing of what is kept together."""
    found = np.ones(len(masks), np.bool_)
    for bits in joined:
        own = masks & bits
        found &= (own == 0) | (own == bits)
    return found


def fullest_first(choices: Sequence[Kept]) -> list[int]:
    """Places of choices, those first of which most bytes wait in the buffer at once."""
    most = [0 if kept.waiting is None else int(kept.waiting.max()) for kept in choices]
    return sorted(range(len(choices)), key=lambda i: -most[i])
