"""The front of a product: every mapping that some bandwidth, price, number of lanes or objective may choose.

What a mapping takes on an array with a buffer of some size is seven figures (`front_figures.py`); bandwidth,
ports of the memories, clock, lanes, prices and the objective only say how these are weighed, and more of none is
ever better. So the mappings that no other one beats in all figures hold the best one for every such machine: a
few, out of millions. Which of them it is takes a look at each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from costmodel.errors import DoesNotFit
from costmodel.hardware.timing import ArrayShape, Product
from costmodel.mapping.geometry import (
    EVERYTHING,
    Asked,
    Geometry,
    asked_of,
    constants,
    geometry_of,
    registers_of_all,
    same_for_all,
)
from costmodel.mapping.nest import (
    LACKS,
    ORDERS,
    arrives,
    block_of,
    block_parts,
    ends_of,
    evaluate,
    fold_array,
    held_region,
    in_buffer,
    local_occupied_bytes,
    occupied_bytes,
    parts,
    units_of,
    visits,
)
from costmodel.mapping.nest_records import Machine, Mapped, Mapping, Operands, Problem
from costmodel.mapping.nest_sizes import sizes_along
from costmodel.mapping.objectives import Objective, Weighed, objective_of

Array = np.ndarray[Any, Any]
OPERANDS = ("a", "b", "out")
BITS = {"a": 1, "b": 2, "out": 4}  # of a mask, as `front_figures` has them


@dataclass(frozen=True, eq=False)
class Front:
    """Figures of each mapping, [points, 7] as `front_figures` has them; mappings are named when asked for.

    `beside`: bits of sums that go to DRAM, and bits of room in the buffer. `choices`: of each mapping its
    structure, sizes along M, N, K, operands of a single place, tiles of a block.
    """

    geometry: Geometry
    figures: Array
    beside: Array
    choices: Array

    def __len__(self) -> int:
        return len(self.figures)

    def mapping(self, i: int) -> Mapping:
        g, (form, *sizes, single, tiles) = self.geometry, self.choices[i].tolist()
        problem, machine = reference(g)
        found = named(structures(g.a_moves, g.b_moves and not g.b_bypasses)[form], sizes, single, tiles)
        return simplified(problem, found, machine)

    @cached_property
    def mappings(self) -> tuple[Mapping, ...]:
        return tuple(self.mapping(i) for i in range(len(self)))


@lru_cache(maxsize=64)
def structures(a: bool, b: bool) -> Array:
    """All structures that can differ, (x, y, held, may be single, along); `a`, `b`: whether each takes room.

    Operands of the outermost and innermost loops, and of the two inner ones, may be held; what has the two
    outer dims stays anyway. With nothing held the two outer loops may change places, but for whole rows. A
    result that is held or whose loop of K is the innermost never travels, and a `single` place changes nothing.
    Blocks of the dim of the outermost loop would be that loop again; others are worth while only where something
    that is held has all of their dim, and so takes less room.
    """
    found = []
    for order in ORDERS:
        x, y = "MNK".index(order[0]), "MNK".index(order[1])
        may = [op for op in OPERANDS if LACKS[op] != order[2]]
        for held in ((), (may[0],), (may[1],), tuple(may)):
            if not held and x > y:
                continue
            alone = [op for op, room in (("a", a), ("b", b)) if room]
            if LACKS["out"] != order[2] and "out" not in held:
                alone.append("out")
            masks = sum(BITS[op] for op in held), sum(BITS[op] for op in alone)
            found.append((x, y, *masks, -1))
            alongs = {3 - x - y} if held else set()
            if any(LACKS[op] == order[0] for op in held):
                alongs.add(y)
            found += [(x, y, *masks, along) for along in sorted(alongs) if along < 2]
    return np.array(found, np.int64)


def tables_of(product: Product, array: ArrayShape, dataflow: str) -> tuple[Array, Array, Array, Array]:
    """Candidates along M, N, K as `front_search.front_of` takes them."""
    dims, units = (product.M, product.N, product.K), units_of(array, dataflow)
    stream = {"os": "K", "ws": "M", "is": "N"}[dataflow]
    least, apart, columns = [], [], []
    for name, dim, unit in zip("MNK", dims, units, strict=True):
        wait = 0 if dataflow == "os" or name != stream else 2 * array.R
        whole_folds = dataflow != "os" and name == "K"
        columns.append(sizes_along(dim, 0 if name == stream else unit, wait, whole_folds))
        whole = max(dim, wait) if wait else -(-dim // unit)
        least.append(whole if wait or name != stream else 0)
        apart.append(wait if name == stream else 1)
    counts = np.array([len(c.size) for c in columns], np.int64)
    tables = np.zeros((3, 3, int(counts.max())), np.int64)
    for d, column in enumerate(columns):
        tables[:, d, : counts[d]] = column.size, column.parts, column.work
    return tables, counts, np.array(least, np.int64), np.array(apart, np.int64)


@lru_cache(maxsize=16384)
def front(geometry: Geometry, asked: Asked = EVERYTHING) -> Front:
    """All mappings that can be the best, in a fixed order; none where nothing fits.

    Args:
        asked: then those that can be the best for it, and maybe some more.

    Raises:
        CostModelError: numbers beyond 64 bits.
    """
    from costmodel.mapping import front_search as loops  # numba takes half a second: not before it is needed

    g = geometry
    tables, counts, least, apart = tables_of(g.product, fold_array(g.product, g.array, g.dataflow), g.dataflow)
    forms = structures(g.a_moves, g.b_moves and not g.b_bypasses)
    numbers, prices = np.array(asked.numbers, np.int64), np.array(asked.prices, np.float64)
    rows = loops.front_of(constants(g), forms, tables, counts, least, apart, numbers, prices)
    rows = rows[np.lexsort(rows[:, ::-1].T)]
    figures, beside, choices = np.split(rows, [loops.FIGURES, loops.KEYS], axis=1)
    choices = choices.copy()
    choices[:, 1:4] = np.stack([tables[0, d, choices[:, 1 + d]] for d in range(3)], 1)
    return Front(g, np.ascontiguousarray(figures), beside, choices)


def reference(g: Geometry) -> tuple[Problem, Machine]:
    """A problem and a machine of a geometry, for what does not depend on anything else."""
    operands = Operands(
        *(g.a_bits, g.b_bits, g.accumulator_bits, 8, g.a_moves, g.b_moves), True, g.b_bypasses, g.on_array
    )
    machine = Machine(g.array, g.dataflow, g.convention, g.buffer_bytes, 1000, 1000, local_bytes=g.local_bytes)
    return Problem(g.product, g.B, operands, g.whole_rows), machine


def named(form: Array, sizes: Sequence[int], single: int, tiles: int) -> Mapping:
    """The mapping of a structure, tile sizes along M, N, K, operands of a single place, and tiles of a block."""
    x, y, held = (int(v) for v in form[:3])
    M, N, K = (int(size) for size in sizes)
    order = "MNK"[x] + "MNK"[y] + "MNK"[3 - x - y]
    names = [tuple(op for op in OPERANDS if mask & BITS[op]) for mask in (held, int(single))]
    along = int(form[4])
    whole = Mapping(M, N, K, order, names[0], names[1])
    return whole if along < 0 else replace(whole, along="MN"[along], tiles=int(tiles))


def simplified(problem: Problem, mapping: Mapping, machine: Machine) -> Mapping:
    """The same mapping without words that change nothing."""
    p = parts(problem.product, mapping)
    rows = problem.whole_rows and p["N"] > 1  # then the result is held though it comes but once
    held = tuple(op for op in mapping.held if (op == "out" and rows) or is_held(op, mapping, problem.product, p))
    single = []
    for op in mapping.single:
        if op == "out":
            alone = visits("out", mapping, p) > 1
        else:
            alone = in_buffer(op, problem.operands) and arrives(op, problem, mapping, p)
        if alone:
            single.append(op)
    return replace(mapping, held=held, single=tuple(single))


def is_held(operand: str, mapping: Mapping, product: Product, p: dict[str, int]) -> bool:
    """Whether it matters that an operand is held."""
    without = replace(mapping, held=tuple(op for op in mapping.held if op != operand))
    block, within = block_of(product, mapping), block_parts(mapping, p)
    same = held_region(operand, mapping, block, within) == held_region(operand, without, block, within)
    return not same or visits(operand, mapping, p) != visits(operand, without, p)


def best_mapping(problem: Problem, machine: Machine, objective: str, whole: bool = False) -> Mapped:
    """The best mapping of a product for an objective, see `objectives.py`.

    Args:
        whole: look for it in the whole front, which others ask for as well.

    Raises:
        DoesNotFit: no tile fits the buffer.
        CostModelError: an unknown objective, or numbers beyond 64 bits.
    """
    goal = objective_of(objective)
    asked = asked_of(problem, machine, goal.first) if goal.first and not whole else EVERYTHING
    found = front(geometry_of(problem, machine), asked)
    if not len(found):
        product = problem.product
        sums = f" and {machine.local_bytes} bytes of memory for sums" if machine.local_bytes else ""
        raise DoesNotFit(
            f"no tile of a product {product.M}x{product.N}x{product.K} fits {machine.buffer_bytes} bytes of "
            f"buffer{sums}: the smallest takes {smallest_bytes(problem, machine)}; give the target larger memories"
        )
    places = candidates(found, problem, machine, goal)
    if len(places) > 1:
        best = min((evaluate(problem, found.mapping(i), machine) for i in places), key=goal.key).mapping
    else:
        best = found.mapping(places[0])
    return evaluate(problem, whole_dims(problem.product, best), machine)


def candidates(found: Front, problem: Problem, machine: Machine, goal: Objective) -> Sequence[int]:
    """Places of the mappings among which the best one is: those of the least first figure, if that is known."""
    if goal.first is None or len(found) == 1:
        return range(len(found))
    figure = weigh(found, problem, machine).first(goal.first)
    places: list[int] = np.flatnonzero(figure == figure.min()).tolist()
    return places


def weigh(found: Front, problem: Problem, machine: Machine) -> Weighed:
    """What `evaluate` finds of each mapping of a front, of all at once."""
    o, same = problem.operands, same_for_all(problem)
    moved, cycles, exposed, reads, writes, registers, local = found.figures.T
    moved, reads, writes = moved + same[0], reads + same[1], writes + same[2]
    registers = registers + registers_of_all(problem, machine)
    dma = machine.dma_cycles(moved)
    busy = machine.dma_cycles(exposed) + np.maximum(cycles, int(o.vector_cycles))
    ports: Any = (machine.read_cycles(reads), machine.write_cycles(writes), *machine.local_cycles(local, local))
    total = np.maximum.reduce([busy, dma, *ports, np.ones_like(busy)])
    total = total + int(ends_of(problem, machine).cycles(machine))
    energy: Any = machine.energy_pj(moved, reads, writes, registers, (local, local)) + problem.arithmetic_pj
    return Weighed(total, energy, moved)


def whole_dims(product: Product, mapping: Mapping) -> Mapping:
    """A tile that takes all of a dim is that dim, however that number was made."""
    M = product.M if mapping.M == product.M else mapping.M
    N = product.N if mapping.N == product.N else mapping.N
    K = product.K if mapping.K == product.K else mapping.K
    return replace(mapping, M=M, N=N, K=K)


def smallest_bytes(problem: Problem, machine: Machine) -> str:
    """Bytes of the smallest mapping that does what is asked: of buffer, and of memory for sums if there is any."""
    tiles = [Mapping(1, 1, k, "MNK", (), ("a", "b")) for k in (1, int(problem.product.K))]
    bytes_ = min(occupied_bytes(problem, tile, machine) for tile in tiles)
    sums = min(local_occupied_bytes(problem, tile, machine) for tile in tiles)
    return f"{bytes_} and {sums}" if machine.local_bytes else str(bytes_)
