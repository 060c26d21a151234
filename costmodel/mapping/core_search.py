"""The best blocks of a fused core: all sizes of rows and of keys that can be the best, in grids of numpy."""

from __future__ import annotations

from functools import lru_cache
from itertools import product as cross
from typing import Any

import numpy as np

from costmodel.errors import CostModelError, DoesNotFit
from costmodel.hardware.timing import ArrayShape, Product
from costmodel.mapping.core_blocks import (
    STRUCTURES,
    CoreMapped,
    CoreMapping,
    CoreProblem,
    ceil_of,
    dims_of,
    evaluate_core,
    figures,
)
from costmodel.mapping.mapper import MOST, uncut
from costmodel.mapping.nest import OBJECTIVES, Machine
from costmodel.mapping.nest_sizes import sides_of

Array = np.ndarray[Any, Any]


@lru_cache(maxsize=4096)
def block_sizes(dim: int, works: tuple[tuple[int, int], ...]) -> tuple[int, ...]:
    """Sizes that can be the best: none smaller has as many parts, and no more work of any kind.

    `works`: for each kind the elements in a fold (0: none) and the least cycles of a part that streams.
    """
    sizes = np.arange(1, dim + 1, dtype=np.int64)
    parts = ceil_of(dim, sizes)
    last = dim - (parts - 1) * sizes
    columns = []
    for unit, stream in works:
        if unit:
            columns.append((parts - 1) * ceil_of(sizes, unit) + ceil_of(last, unit))
        if stream:
            columns.append((parts - 1) * np.maximum(sizes, stream) + np.maximum(last, stream))
    work = np.stack([*columns, 0 * sizes], 1).tolist()
    found: list[int] = []
    front: list[list[int]] = []
    level = 0
    for size, p, now in zip(sizes.tolist(), parts.tolist(), work, strict=True):
        if p != level:
            front, level = [], p
        if not any(all(a <= b for a, b in zip(old, now, strict=True)) for old in front):
            front.append(now)
            found.append(size)
    return tuple(found)


class CoreSearch:
    """One core on one machine: what the searches on parts of the array share."""

    def __init__(self, problem: CoreProblem, machine: Machine, objective: str) -> None:
        self.problem, self.machine, self.objective = problem, machine, objective
        self.best: tuple[float, ...] | None = None
        self.answer: CoreMapping | None = None
        self.smallest: int | None = None

    def on(self, array: ArrayShape, on: bool = True) -> None:
        """Search one array; or bounds for all parts of it, as if nothing ran on it."""
        problem, machine, flow = self.problem, self.machine, self.machine.dataflow
        M, N, _ = dims_of(problem)
        R, C = array.R, array.C
        rows_work = {"os": ((R, 0),), "ws": ((0, 2 * R),), "is": ((C, 0),)}[flow]
        keys_work = {"os": ((C, 0),), "ws": ((C, 0), (R, 0)), "is": ((0, 2 * R), (R, 0))}[flow]
        rows = np.array(block_sizes(M, rows_work), np.int64)[:, None]
        keys = np.array([N] if problem.statistics is None else block_sizes(N, keys_work), np.int64)[None]
        for structure in STRUCTURES:
            found = figures(problem, rows, keys, structure, array, machine, on)
            room = found["buffer_bytes"]
            low = int(room.min())
            self.smallest = low if self.smallest is None else min(low, self.smallest)
            key = least_key(found, room <= machine.buffer_bytes, self.objective)
            if key is not None and (self.best is None or key[0] < self.best):
                i, j = key[1]
                self.best = key[0]
                self.answer = CoreMapping(int(rows[i, 0]), int(keys[0, j]), *structure, R, C)


def least_key(
    found: dict[str, Array], fits: Array, objective: str
) -> tuple[tuple[float, ...], tuple[int, int]] | None:
    """The least key of a grid of blocks, and where it is."""
    if not fits.any():
        return None
    dram, buffer = found["read_bits"] + found["write_bits"], found["buffer_read_bits"] + found["buffer_write_bits"]
    energy, cycles = found["energy_pj"], found["cycles"]
    columns = {
        "cycles": (cycles, energy, dram),
        "energy": (energy, cycles, dram),
        "edp": (energy * cycles, cycles, dram),
        "bytes": (dram, energy, cycles),
    }[objective]
    mask, key = fits, []
    for column in (*columns, buffer, found["buffer_bytes"]):
        least = column[mask].min()
        key.append(least.item())
        mask = mask & (column == least)
    i, j = np.argwhere(mask)[0]
    return tuple(key), (int(i), int(j))


@lru_cache(maxsize=8192)
def best_blocks(problem: CoreProblem, machine: Machine, objective: str) -> CoreMapped:
    """The best mapping of a core for an objective, over all blocks of rows and of keys.

    Raises:
        DoesNotFit: no block fits the buffer.
        CostModelError: an unknown objective, or numbers beyond 64 bits.
    """
    if objective not in OBJECTIVES:
        raise CostModelError(f"unknown objective {objective!r}; known: {', '.join(OBJECTIVES)}")
    M, N, d = dims_of(problem)
    if 64 * problem.B * M * N * (d + problem.D) * (1 + (problem.statistics or 0)) * machine.clock_mhz >= MOST:
        raise CostModelError(f"an attention core {M}x{N}x{d}, {problem.B} times, has numbers beyond 64 bits")
    search = CoreSearch(problem, machine, objective)
    for least, array in core_arrays(problem, machine, objective):
        if search.best is not None and least > search.best[0]:
            break
        search.on(array)
    if search.answer is None:
        raise DoesNotFit(
            f"no block of an attention core with {N} keys fits {machine.buffer_bytes} bytes: "
            f"the smallest takes {search.smallest}"
        )
    return evaluate_core(problem, search.answer, machine)


def core_arrays(problem: CoreProblem, machine: Machine, objective: str) -> list[tuple[float, ArrayShape]]:
    """Parts of the array with a bound of what mappings on each take, the least first; see `mapper.py`."""
    o, flow = problem.operands, machine.dataflow
    whole = [(-1.0, machine.array)]
    on = o.scores_on_array or o.values_on_array
    if not machine.partial or not on or objective in ("energy", "bytes"):
        return whole
    M, N, d = dims_of(problem)
    across = {"os": (N, problem.D), "ws": (N, problem.D), "is": (M,)}[flow]
    down = {"os": (M,), "ws": (d, N), "is": (d, N)}[flow]
    rows = {r for dim in down for r in sides_of(dim, machine.array.R)}
    columns = {c for dim in across for c in sides_of(dim, machine.array.C)}
    sides = np.array(sorted(cross(rows, columns), reverse=True), np.int64)
    first = uncut(problem.scores, sides, flow, machine.convention)
    second = uncut(Product(M, problem.D, N), sides, flow, machine.convention)
    steady = problem.B * (first[0] * o.scores_on_array + second[0] * o.values_on_array)
    tail = second[1] * o.values_on_array
    free = CoreSearch(problem, machine, objective)
    free.on(machine.array, on=False)
    if free.best is None:
        return whole
    if objective == "cycles":
        bounds = tail + np.maximum(free.best[0], steady)
    else:
        energy = CoreSearch(problem, machine, "energy")
        energy.on(machine.array, on=False)
        assert energy.best is not None
        bounds = np.maximum(free.best[0] + energy.best[0] * tail, energy.best[0] * (steady + tail)) * (1 - 1e-12)
    order = np.argsort(bounds, kind="stable")
    return [(float(bounds[i]), ArrayShape(int(sides[i, 0]), int(sides[i, 1]))) for i in order]
