"""The best mapping of one product: of all tile sizes, orders of loops, holdings and parts of the array."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from costmodel.errors import CostModelError, DoesNotFit
from costmodel.hardware.timing import DATAFLOWS, ArrayShape, Product, tail_cycles
from costmodel.mapping import nest_search as loops
from costmodel.mapping.nest import (
    LACKS,
    OBJECTIVES,
    ORDERS,
    Machine,
    Mapped,
    Mapping,
    Problem,
    arrives,
    evaluate,
    held_region,
    in_buffer,
    occupied_bytes,
    parts,
    units_of,
    visits,
)
from costmodel.mapping.nest_sizes import sides_of, sizes_along
from costmodel.mapping.tile import Operands

Array = np.ndarray[Any, Any]
OPERANDS = ("a", "b", "out")
BITS = {"a": loops.A, "b": loops.B_, "out": loops.OUT}
MOST = 1 << 62


def structures_of(operands: Operands) -> Array:
    """All structures that can differ: rows of (x, y, held, single).

    Operands of the outermost and innermost loops, and of the two inner ones, may be held; what has the two
    outer dims stays anyway. With nothing held the two outer loops may change places. A result that is held
    or whose loop of K is the innermost never travels, and a `single` place changes nothing.
    """
    found = []
    for order in ORDERS:
        x, y = "MNK".index(order[0]), "MNK".index(order[1])
        may = [op for op in OPERANDS if LACKS[op] != order[2]]
        for held in ((), (may[0],), (may[1],), tuple(may)):
            if not held and x > y:
                continue
            alone = [op for op in ("a", "b") if in_buffer(op, operands)]
            if LACKS["out"] != order[2] and "out" not in held:
                alone.append("out")
            for mask in range(1 << len(alone)):
                single = sum(BITS[op] for i, op in enumerate(alone) if mask >> i & 1)
                found.append((x, y, sum(BITS[op] for op in held), single))
    return np.array(found, np.int64)


@lru_cache(maxsize=64)
def structures(a: bool, b: bool) -> Array:
    return structures_of(Operands(8, 8, 32, 8, a_moves=a, b_moves=b))


WEIGHTED = "weighted"  # energy and so many pJ a cycle: what `hull` asks for
CODES = (*OBJECTIVES, WEIGHTED)


def constants(problem: Problem, machine: Machine, objective: str) -> Array:
    """What does not change during a search, in the order of `nest_search.NAMES`.

    Raises:
        CostModelError: an unknown objective, or numbers beyond 64 bits.
    """
    if objective not in CODES:
        raise CostModelError(f"unknown objective {objective!r}; known: {', '.join(OBJECTIVES)}")
    product, operands = problem.product, problem.operands
    convention = ("array", "ideal", "paper", "scalesim").index(machine.convention)
    numbers = [
        *(problem.B, product.M, product.N, product.K),
        *(operands.a_bits, operands.b_bits, operands.accumulator_bits, operands.out_bits),
        *(operands.a_moves, operands.b_moves, operands.out_moves, operands.b_bypasses, operands.on_array),
        *(operands.extra_bits, operands.vector_cycles, problem.whole_rows),
        *(machine.array.R, machine.array.C, DATAFLOWS.index(machine.dataflow), convention),
        *(8 * machine.buffer_bytes, 8 * machine.bandwidth_mb_s, machine.clock_mhz, 0),
        CODES.index(objective),
    ]
    widths = operands.a_bits + operands.b_bits + 4 * operands.accumulator_bits + operands.out_bits
    most = problem.B * product.steps * widths + operands.extra_bits
    side = 2 * machine.array.R + machine.array.C
    if max(most * machine.clock_mhz, problem.B * product.steps * (side + 1)) >= MOST:
        raise CostModelError(
            f"a product {product.M}x{product.N}x{product.K}, {problem.B} times, has numbers beyond 64 bits"
        )
    return np.array([int(x) for x in numbers], np.int64)


def tables_of(product: Product, array: ArrayShape, dataflow: str) -> tuple[Array, Array, Array, Array]:
    """Candidates along M, N, K as `nest_search.search` takes them."""
    dims, units = (product.M, product.N, product.K), units_of(array, dataflow)
    stream = {"os": "K", "ws": "M", "is": "N"}[dataflow]
    least, apart, columns = [], [], []
    for name, dim, unit in zip("MNK", dims, units, strict=True):
        wait = 0 if dataflow == "os" or name != stream else 2 * array.R
        columns.append(sizes_along(dim, 0 if name == stream else unit, wait))
        whole = max(dim, wait) if wait else -(-dim // unit)
        least.append(whole if wait or name != stream else 0)
        apart.append(wait if name == stream else 1)
    counts = np.array([len(c.size) for c in columns], np.int64)
    tables = np.zeros((3, 3, int(counts.max())), np.int64)
    for d, column in enumerate(columns):
        tables[:, d, : counts[d]] = column.size, column.parts, column.work
    return tables, counts, np.array(least, np.int64), np.array(apart, np.int64)


def smaller_arrays(product: Product, array: ArrayShape, dataflow: str) -> Array:
    """All arrays that a part of this one may run as, rows and columns, the largest first."""
    down, across = {
        "os": (product.M, product.N),
        "ws": (product.K, product.N),
        "is": (product.K, product.M),
    }[dataflow]
    sides = [(r, c) for r in sides_of(down, array.R) for c in sides_of(across, array.C)]
    return np.array(sides, np.int64)


def best_mapping(problem: Problem, machine: Machine, objective: str) -> Mapped:
    """The best mapping of a product for an objective; ties as `nest.key_of` breaks them.

    For `energy` and `bytes` the array runs whole: on a smaller one nothing is less but cycles. For `cycles`
    and `edp` it may run as any of `smaller_arrays`, where the machine allows it.

    Raises:
        DoesNotFit: no tile fits the buffer.
        CostModelError: an unknown objective, or numbers beyond 64 bits.
    """
    return found_mapping(problem, machine, objective)


def hull(problem: Problem, machine: Machine) -> tuple[Mapped, ...]:
    """Mappings of least energy plus a price on cycles, for every price: from fewest cycles to least energy.

    The least energy-delay product of several steps together is not that of each alone. But it lies on the
    lower hull of all sums of (energy, cycles), for on a line between two points the product is least at an
    end; and points of that hull are sums of points of the hulls of the steps. So this is all one needs.
    """
    ends = [found_mapping(problem, machine, "cycles"), found_mapping(problem, machine, "energy")]
    found, waiting = {point_of(end): end for end in ends}, [(ends[0], ends[1])]
    while waiting:
        fast, frugal = waiting.pop()
        (e0, c0), (e1, c1) = point_of(fast), point_of(frugal)
        if c1 <= c0 or e0 <= e1:
            continue
        weight = (e0 - e1) / (c1 - c0)
        between = found_mapping(problem, machine, WEIGHTED, weight)
        e, c = point_of(between)
        if e + weight * c < min(e0 + weight * c0, e1 + weight * c1) * (1 - 1e-12):
            found[e, c] = between
            waiting += [(fast, between), (between, frugal)]
    return lower_hull(list(found.values()))


def lower_hull(points: list[Mapped]) -> tuple[Mapped, ...]:
    """Those that no two others, in some mixture, are as good as; cycles rising, energy falling."""
    kept: list[Mapped] = []
    for point in sorted(points, key=lambda m: (m.cycles, m.energy_pj)):
        if kept and point.energy_pj >= kept[-1].energy_pj:
            continue
        while len(kept) > 1 and above(kept[-2], kept[-1], point):
            kept.pop()
        kept.append(point)
    return tuple(kept)


def above(one: Mapped, two: Mapped, three: Mapped) -> bool:
    """Whether the second lies on or above the line from the first to the third."""
    run, fall = three.cycles - one.cycles, one.energy_pj - three.energy_pj
    return (one.energy_pj - two.energy_pj) * run <= fall * (two.cycles - one.cycles)


def point_of(cost: Mapped) -> tuple[float, int]:
    return cost.energy_pj, cost.cycles


class Search:
    """One problem on one machine: what all searches of it share."""

    def __init__(self, problem: Problem, machine: Machine, objective: str, weight: float = 0.0) -> None:
        self.problem, self.machine, self.objective = problem, machine, objective
        self.c = constants(problem, machine, objective)
        self.weight = weight
        prices = machine.buffer_read_pj, machine.buffer_write_pj, machine.dram_pj, problem.arithmetic_pj, weight
        self.price = np.array(prices, float)
        operands = problem.operands
        self.forms = structures(operands.a_moves, operands.b_moves and not operands.b_bypasses)
        self.best = np.full(loops.FIGURES, np.inf)
        self.answer: Mapping | None = None

    def on(self, array: ArrayShape) -> None:
        """Search on one array; what is better than all before becomes the answer."""
        product, machine, c = self.problem.product, self.machine, self.c.copy()
        c[loops.P_R], c[loops.P_C] = array.R, array.C
        if self.problem.operands.on_array:
            c[loops.P_TAIL] = tail_cycles(product, array, machine.dataflow, machine.convention)
        tables, counts, least, apart = tables_of(product, array, machine.dataflow)
        before, found = tuple(self.best), np.zeros(4, np.int64)
        loops.search(c, self.price, self.forms, tables, counts, least, apart, self.best, found)
        if tuple(self.best) != before:
            M, N, K = (int(tables[0, d, found[d + 1]]) for d in range(3))
            self.answer = named(self.forms[found[0]], M, N, K, array.R, array.C)

    def least(self, objective: str, floor: int) -> float:
        """The least figure on the whole array as if nothing ran on it, but for so many cycles in all."""
        c = self.c.copy()
        c[loops.P_OBJECTIVE], c[loops.P_ON], c[loops.P_TAIL] = CODES.index(objective), 0, 0
        c[loops.P_VECTOR] = max(int(c[loops.P_VECTOR]), floor)
        tables, counts, least, apart = tables_of(self.problem.product, self.machine.array, self.machine.dataflow)
        best = np.full(loops.FIGURES, np.inf)
        loops.search(c, self.price, self.forms, tables, counts, least, apart, best, np.zeros(4, np.int64))
        return float(best[0])


@lru_cache(maxsize=8192)
def found_mapping(problem: Problem, machine: Machine, objective: str, weight: float = 0.0) -> Mapped:
    """As `best_mapping`; also for `weighted`, energy plus `weight` pJ a cycle."""
    search = Search(problem, machine, objective, weight)
    parts_matter = machine.partial and problem.operands.on_array and objective not in ("energy", "bytes")
    if not parts_matter:
        search.on(machine.array)
    else:
        for least, array in arrays_to_try(search):
            if least > search.best[0]:
                break
            search.on(array)
    if search.answer is None:
        product = problem.product
        raise DoesNotFit(
            f"no tile of a product {product.M}x{product.N}x{product.K} fits {machine.buffer_bytes} bytes of "
            f"buffer: the smallest takes {smallest_bytes(problem, machine)}; give the target a larger buffer"
        )
    return evaluate(problem, simplified(problem, search.answer, machine), machine)


def arrays_to_try(search: Search) -> list[tuple[float, ArrayShape]]:
    """Parts of the array with a bound of what mappings on each take, the least bound first.

    No mapping makes the array faster than the uncut product; and without the array it takes what `least` says.
    A mapping on a part of the array moves at least as much as on the whole.
    """
    problem, machine = search.problem, search.machine
    sides = smaller_arrays(problem.product, machine.array, machine.dataflow)
    flow, convention = machine.dataflow, machine.convention
    steady, tail = (
        problem.B * x if i == 0 else x for i, x in enumerate(uncut(problem.product, sides, flow, convention))
    )
    if search.objective == "cycles":
        bounds = tail + np.maximum(search.least("cycles", int(steady.min())), steady)
    else:
        energy = search.least("energy", 0)
        if energy == np.inf:  # nothing fits, whatever part of the array is used
            return []
        floor = int(steady.min())
        if search.objective == "edp":
            bounds = np.maximum(search.least("edp", floor) + energy * tail, energy * (steady + tail))
        else:
            w = search.weight
            bounds = np.maximum(search.least(WEIGHTED, floor) + w * tail, energy + w * (steady + tail))
        bounds *= 1 - 1e-12  # sums of floats, rounded in another order than those they bound
    order = np.argsort(bounds, kind="stable")
    return [(float(bounds[i]), ArrayShape(int(sides[i, 0]), int(sides[i, 1]))) for i in order]


def uncut(product: Product, sides: Array, flow: str, convention: str) -> tuple[Array, Array]:
    """Bounds of `steady_cycles` of all passes, and `tail_cycles`, on many arrays."""
    R, C = sides[:, 0], sides[:, 1]
    M, N, K = product.M, product.N, product.K
    down, across, T = {"os": (M, N, K), "ws": (K, N, M), "is": (K, M, N)}[flow]
    rows, columns = -(-down // R), -(-across // C)
    if convention != "array":
        skew = {"ideal": 0 * R, "paper": 2 * R + C - 2, "scalesim": R + C - 3}[convention]
        return rows * columns * (T + skew), 0 * R
    narrow = across - (columns - 1) * C
    if flow == "os":
        column = rows * T + down - rows
        ends = R - 1
    else:
        step = np.maximum(T, 2 * R)
        column = rows * step
        ends = 2 * R - step + T - 1
    tail = ends + np.where(columns > 1, np.maximum(narrow, C - column), narrow)
    return columns * column, tail


def named(form: Array, M: int, N: int, K: int, R: int, C: int) -> Mapping:
    x, y, held, single = (int(v) for v in form)
    order = "MNK"[x] + "MNK"[y] + "MNK"[3 - x - y]
    return Mapping(
        *(M, N, K, order),
        tuple(op for op in OPERANDS if held & BITS[op]),
        tuple(op for op in OPERANDS if single & BITS[op]),
        *(R, C),
    )


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
    simple = replace(mapping, held=held, single=tuple(single))
    return replace(
        simple,
        rows=0 if mapping.rows == machine.array.R else mapping.rows,
        columns=0 if mapping.columns == machine.array.C else mapping.columns,
    )


def is_held(operand: str, mapping: Mapping, product: Product, p: dict[str, int]) -> bool:
    """Whether it matters that an operand is held."""
    without = replace(mapping, held=tuple(op for op in mapping.held if op != operand))
    same = held_region(operand, mapping, product, p) == held_region(operand, without, product, p)
    return not same or visits(operand, mapping, p) != visits(operand, without, p)


def smallest_bytes(problem: Problem, machine: Machine) -> int:
    """Bytes of the smallest mapping that does what is asked."""
    product = problem.product
    N = product.N if problem.whole_rows else 1
    found = [
        occupied_bytes(problem, Mapping(1, N, k, "MNK", (), ("a", "b"), 0, 0), machine) for k in (1, product.K)
    ]
    return min(found)
