"""The one search over lengths: what mechanisms cost on a target at every whole S, from the cache or now."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice

from costmodel.api import cache
from costmodel.api.graphs import Request, counted
from costmodel.collecting import seldom_collected
from costmodel.compare.lengths import Intervals, LengthCost, against_first, cost_at, op_by_op
from costmodel.compare.machine import all_cores
from costmodel.errors import BadRecord, CostModelError
from costmodel.graph import template
from costmodel.graph.ir import Graph
from costmodel.hardware.accelerator import Accelerator
from costmodel.hardware.occupancy import memory_prices
from costmodel.hardware.pe import PE_KINDS
from costmodel.records import Json, decode, encode
from costmodel.show.progress import progress
from costmodel.technology.loading import load_table
from costmodel.technology.tables import Table
from costmodel.widths.assign import Typed, assign_widths
from costmodel.widths.lengths import Family
from costmodel.widths.policy import Policy
from models.attention.mechanisms import SHIPPED, parse_mechanism
from models.zoo.presets import PRESETS, resolve_seq

FORMAT = 1  # of entries of the cache
SHORTEST = 16  # the first length of a range that nobody gave
LONGEST = 512  # its last, unless the length asked for is beyond
MOST_NODES = 250_000  # of all its graphs together: of a large model fewer lengths around the one asked for
FEWEST = 32
CHUNK = 48  # lengths that a worker takes at a time
WORTH_WORKERS = 4 * CHUNK  # fewer are done before a process has started
ALL = "all"
RANGE = re.compile(r"([0-9]{1,9})\.\.([0-9]{1,9})")


@dataclass(frozen=True)
class Priced:
    """One mechanism on a target, at any length."""

    request: Request  # its `seq` is of no matter
    attention: str
    policy: Policy
    target: Accelerator
    timing: str
    objective: str | None = None


@dataclass(frozen=True)
class OverLengths:
    """Mechanisms over a range of lengths."""

    intervals: dict[str, Intervals]  # of each other mechanism against the first
    op_by_op: dict[str, tuple[tuple[int, int], ...]]  # of each: runs of lengths with a core in several passes


# Ranges


def has_lengths(request: Request) -> bool:
    """Whether the model is made at any length: a preset whose input does not decide it."""
    return isinstance(request.model, str) and request.model in PRESETS and not PRESETS[request.model].fixed_seq


def parse_lengths(text: str) -> tuple[int, int] | str:
    """`16..512` as its first and last length; `all` as itself.

    Raises:
        CostModelError: it is no such range.
    """
    if text == ALL:
        return ALL
    found = RANGE.fullmatch(text) if isinstance(text, str) else None
    first, last = (int(end) for end in found.groups()) if found else (0, 0)
    if not 1 <= first <= last:
        raise CostModelError(f"`lengths={text}` is neither `all` nor a range of lengths such as 16..512")
    return first, last


def range_of(request: Request, given: tuple[int, int] | None, nodes: int) -> tuple[int, int]:
    """The lengths to compare at: those given, or from 16 to 512 and at least to the one asked for.

    Args:
        nodes: of a graph of the model; of a large one the range is a part around the length asked for.

    Raises:
        CostModelError: it goes beyond the positions of the model.
    """
    longest = PRESETS[request.model].max_positions
    if given is not None:
        if longest is not None and given[1] > longest:
            said = "..".join(map(str, given))
            raise CostModelError(f"`lengths={said}` goes beyond the {longest} positions of {request.model}")
        return given
    asked = resolve_seq(request.model, request.seq)
    first, last = min(SHORTEST, asked), max(asked, min(LONGEST, longest or LONGEST))
    most = max(FEWEST, MOST_NODES // nodes)
    if last - first >= most:
        first = max(first, min(asked - most // 2, last - most + 1))
        last = min(last, first + most - 1)
    return first, last


# The search


def search(priced: Sequence[Priced], lengths: tuple[int, int], workers: int | None = 1) -> OverLengths:
    """What each mechanism costs at every whole length of a range, against the first.

    Raises:
        CostModelError: a schedule fits at none of them, or workers die.
    """
    costs = costs_over(priced, lengths, workers)
    first, *others = priced
    return OverLengths(
        {each.attention: against_first(costs[first], costs[each]) for each in others},
        {each.attention: op_by_op(costs[each]) for each in costs},
    )


def costs_over(
    priced: Sequence[Priced], lengths: tuple[int, int], workers: int | None = 1
) -> dict[Priced, dict[int, LengthCost | None]]:
    """Of each mechanism cycles, energy and moved bytes at every whole length; None where no schedule fits.

    What was computed before comes from the cache; what is computed now goes there, even if it is interrupted.
    """
    wanted = range(lengths[0], lengths[1] + 1)
    names = {each: key_of(each) for each in priced}
    known = {each: {} if name is None else load(name) for each, name in names.items()}
    tasks = tasks_of({each: [s for s in wanted if s not in found] for each, found in known.items()})
    if tasks:
        number = sum(map(size_of, tasks))
        width = 1 if None in names.values() or number < WORTH_WORKERS else workers or os.cpu_count() or 1
        what = f"comparing at every S from {lengths[0]} to {lengths[1]}"
        try:
            with progress(what, number) as tick:

                def keep(task: Task, costs: Sequence[Sequence[LengthCost | None]]) -> None:
                    for (each, some), found in zip(task, costs, strict=True):
                        known[each].update(zip(some, found, strict=True))
                    tick(size_of(task))

                compute(tasks, width, keep)
        finally:
            for each, name in names.items():
                if name is not None:
                    cache.save(name, {str(s): encode(cost) for s, cost in known[each].items()})
    return {each: {s: found[s] for s in wanted} for each, found in known.items()}


# Some neighbours among lengths, of each mechanism those that are not known. Mechanisms share most products of a
# model, so a worker that has mapped them for one has them for the others.
Task = tuple[tuple[Priced, tuple[int, ...]], ...]


def tasks_of(missing: Mapping[Priced, Sequence[int]]) -> list[Task]:
    every = sorted({s for some in missing.values() for s in some})
    chunks = [set(every[i : i + CHUNK]) for i in range(0, len(every), CHUNK)]
    each = ([(one, tuple(s for s in some if s in chunk)) for one, some in missing.items()] for chunk in chunks)
    return [tuple((one, some) for one, some in task if some) for task in each]


def size_of(task: Task) -> int:
    return sum(len(some) for _, some in task)


def compute(
    tasks: Sequence[Task], width: int, keep: Callable[[Task, Sequence[Sequence[LengthCost | None]]], None]
) -> None:
    """Costs of all tasks, in this process or in several."""
    if width == 1:
        for task in tasks:
            keep(task, costs_of(task))
        return
    for priced, _ in tasks[0]:
        graphs_of(priced.request, priced.attention)  # what is traced is in the cache for all workers
    from costmodel.api.workers import pool_of  # with all of sweeps: not before it is needed
    from costmodel.explore.pool import hand_out

    waiting = iter(tasks)
    with pool_of(width, None) as pool:
        hand_out(
            pool,
            lambda number: list(islice(waiting, number)),
            lambda executor, task: executor.submit(costs_of, task),
            keep,
            lambda: None,
            lambda: False,
            ahead=2,
        )


def costs_of(task: Task) -> list[list[LengthCost | None]]:
    """Of each mechanism what it costs at each of its lengths; what a worker does."""
    with seldom_collected():
        return [list(costs_of_one(priced, lengths)) for priced, lengths in task]


def costs_of_one(priced: Priced, lengths: Sequence[int]) -> Iterator[LengthCost | None]:
    family = typed_family(priced.request, priced.attention, priced.policy, lengths[0], lengths[-1])
    target, table = priced.target, table_of(priced.target)
    cores = all_cores(family.at(lengths[0]))  # as many at all lengths
    for s in lengths:
        yield cost_at(family.at(s), target, priced.timing, priced.objective, table, cores)


# Graphs


@lru_cache(maxsize=8)
def typed_family(request: Request, attention: str, policy: Policy, first: int, last: int) -> Family[Typed]:
    """The typed graphs of some lengths; targets share them."""
    graph_at = graphs_of(request, attention)
    return Family(lambda S: assign_widths(graph_at(S), policy), first, last)


def graphs_of(request: Request, attention: str) -> Callable[[int], Graph]:
    """The canonical graph at any length."""
    return known_graphs(replace(request, seq=None), attention)


@lru_cache(maxsize=8)
def known_graphs(request: Request, attention: str) -> Callable[[int], Graph]:
    def exact(S: int) -> Graph:
        return counted(replace(request, seq=S), attention).graph

    longest = PRESETS[request.model].max_positions
    family = Family(exact, 3, (longest or template.LARGEST_S) - 1)  # as far as a template covers
    return lambda S: family.at(S)


# The cache


def table_of(target: Accelerator) -> Table | None:
    return load_table(target.table) if target.table else None


def key_of(priced: Priced) -> str | None:
    """The name of an entry; None where code that is not in this package takes part, whose changes nobody sees."""
    mechanism = parse_mechanism(priced.attention)
    kinds = {kind for each in priced.target.arrays for kind in each.kinds}
    own = any(not PE_KINDS[kind].work.__module__.startswith("costmodel.") for kind in kinds)
    if own or mechanism.name not in SHIPPED:
        return None
    asked, target = priced.request, priced.target
    sizes = (asked.model, asked.batch, asked.dtype, asked.device, asked.allow_unknown)
    prices = (repr(table_of(target)), repr(memory_prices(target)))  # their data is no code
    how = (repr(priced.policy), repr(target), priced.timing, priced.objective)
    return cache.key_of("lengths", FORMAT, *sizes, str(mechanism), *how, *prices)


def load(name: str) -> dict[int, LengthCost | None]:
    """An entry of the cache; one of another form is as good as none."""
    entry: Json = cache.load(name)
    try:
        return {int(s): cost and decode(LengthCost, cost, name) for s, cost in (entry or {}).items()}
    except (BadRecord, ValueError, AttributeError):
        return {}
