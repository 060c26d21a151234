"""What two mechanisms cost at every whole length, and the intervals in which the one takes less.

A schedule is no polynomial in S: tiles, folds and fused parts change at single lengths. So nothing is sampled and
nothing is bisected. Every verdict over lengths, in a report and in a formula, is made of the same intervals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from costmodel.compare.machine import all_cores, fused_cores, moved
from costmodel.errors import CostModelError, DoesNotFit
from costmodel.hardware.accelerator import Accelerator
from costmodel.mapping.cost import price
from costmodel.mapping.schedule import Schedule, schedule
from costmodel.records import OPTIONAL
from costmodel.technology.tables import Energy, Table, add_up
from costmodel.widths.assign import Typed

Takes = Literal["less", "equal", "more", "unknown"]  # unknown: one of the two has no schedule there
SAME = 1e-12  # energies that differ by less are sums of the same numbers in another order


@dataclass(frozen=True)
class Interval:
    """A run of whole lengths, as long as it can be, in which a mechanism takes less, as much or more."""

    first: int
    last: int
    takes: Takes

    @property
    def lengths(self) -> int:
        return self.last - self.first + 1


@dataclass(frozen=True)
class Intervals:
    """One mechanism against the first on a target, at every whole length of a range."""

    lengths: tuple[int, int]  # the first and the last
    cycles: tuple[Interval, ...]
    moved_bytes: tuple[Interval, ...]  # from and to DRAM
    energy_pj: Annotated[tuple[Interval, ...] | None, OPTIONAL] = None  # None where no energy is published
    energy_low_pj: Annotated[tuple[Interval, ...] | None, OPTIONAL] = None  # all prices at the low end
    energy_high_pj: Annotated[tuple[Interval, ...] | None, OPTIONAL] = None


@dataclass(frozen=True)
class LengthCost:
    """What a model takes at one length."""

    cycles: int
    moved_bytes: int  # from and to DRAM
    energy_pj: Energy | None  # None where no energy is published
    unfused_cores: int  # attention cores that run op by op: in one pass they do not fit the buffer, or take more


# Of one length


def cost_at(
    typed: Typed,
    target: Accelerator,
    convention: str = "array",
    objective: str | None = None,
    table: Table | None = None,
    cores: int | None = None,
) -> LengthCost | None:
    """The cost of a typed graph on a target; None where no schedule fits.

    Args:
        table: the target's own, and `cores`: those that a schedule could fuse; who knows them saves time.
    """
    try:
        return cost_of(typed, schedule(typed, target, convention, objective=objective), table, cores)
    except DoesNotFit:
        return None


def cost_of(typed: Typed, planned: Schedule, table: Table | None = None, cores: int | None = None) -> LengthCost:
    """The cost of a schedule; steps that are equal but for their place are priced once."""
    places: dict[object, list[int]] = {}
    for i, s in enumerate(planned.steps):
        traffic = (
            *(s.read_bits, s.write_bits, s.buffer_read_bits, s.buffer_write_bits),
            *(s.register_bits, s.local_read_bits, s.local_write_bits),
        )
        places.setdefault((traffic, s.array_work, s.vector_work), []).append(i)
    different = replace(planned, steps=tuple(planned.steps[each[0]] for each in places.values()))
    energies = [energy.total() for energy in price(typed, different, table).energies]
    times = [len(each) for each in places.values()]
    known = [e * n for e, n in zip(energies, times, strict=True) if e is not None]
    return LengthCost(
        cycles=planned.cycles,
        moved_bytes=moved(planned.steps, planned.target).dram,
        energy_pj=add_up(known) if len(known) == len(energies) else None,
        unfused_cores=(all_cores(typed) if cores is None else cores) - fused_cores(planned),
    )


# Over lengths


def takes(first: float | None, other: float | None) -> Takes:
    """What the other of two takes, against the first."""
    if first is None or other is None:
        return "unknown"
    if abs(other - first) <= SAME * max(abs(first), abs(other)):
        return "equal"
    return "less" if other < first else "more"


def intervals(first: Mapping[int, float | None], other: Mapping[int, float | None]) -> tuple[Interval, ...]:
    """Runs of neighbours in which the other takes less, as much or more; both are of the same sizes."""
    found: list[Interval] = []
    for size in sorted(first):
        said = takes(first[size], other[size])
        if found and found[-1].takes == said and found[-1].last == size - 1:
            found[-1] = replace(found[-1], last=size)
        else:
            found.append(Interval(size, size, said))
    return tuple(found)


Costs = Mapping[int, LengthCost | None]  # by length


def against_first(first: Costs, other: Costs) -> Intervals:
    """Intervals of every figure.

    Raises:
        CostModelError: at no length has the first a schedule.
    """
    some = next((c for c in first.values() if c is not None), None)
    if some is None:
        raise CostModelError("at no length of the range does a schedule fit; give the target a larger buffer")
    priced = some.energy_pj is not None

    def of(figure: Callable[[LengthCost], float]) -> tuple[Interval, ...]:
        before, after = ({s: None if c is None else figure(c) for s, c in each.items()} for each in (first, other))
        return intervals(before, after)

    def of_energy(end: str) -> tuple[Interval, ...] | None:
        return of(lambda c: getattr(c.energy_pj, end)) if priced else None

    return Intervals(
        lengths=(min(first), max(first)),
        cycles=of(lambda c: c.cycles),
        moved_bytes=of(lambda c: c.moved_bytes),
        energy_pj=of_energy("nominal_pj"),
        energy_low_pj=of_energy("low_pj"),
        energy_high_pj=of_energy("high_pj"),
    )


def takes_at(found: Sequence[Interval], length: int | None) -> Takes | None:
    """What the intervals say of one length; None where they do not reach it."""
    return next((i.takes for i in found if length is not None and i.first <= length <= i.last), None)


def op_by_op(costs: Costs) -> tuple[tuple[int, int], ...]:
    """Runs of lengths at which an attention core runs op by op."""
    some = {s: None if c is None else float(c.unfused_cores) for s, c in costs.items()}
    none: dict[int, float | None] = dict.fromkeys(some, 0.0)
    return tuple((i.first, i.last) for i in intervals(none, some) if i.takes == "more")
