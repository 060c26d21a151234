"""Fused cores by blocks of rows and keys: every block walked; the search against all integers; no cliffs in S."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from math import ceil

import numpy as np
import pytest

from costmodel.errors import DoesNotFit
from costmodel.hardware.timing import (
    CONVENTIONS,
    DATAFLOWS,
    ArrayShape,
    Product,
    accesses,
    steady_cycles,
    tail_cycles,
)
from costmodel.mapping.core_beside import Beside
from costmodel.mapping.core_blocks import core_is_legal, evaluate_core, whole_folds
from costmodel.mapping.core_figures import blocks_of, figures
from costmodel.mapping.core_front import best_blocks, core_front
from costmodel.mapping.core_records import FIGURES, STRUCTURES, CoreMapped, CoreMapping, CoreOperands, CoreProblem
from costmodel.mapping.nest_records import WIDE, Machine
from costmodel.mapping.nest_sizes import block_sizes
from costmodel.mapping.objectives import OBJECTIVES
from sim.machine.walk import walk as walk_array
from tests.mapping.test_nest import beats, part_of, with_local

pytestmark = pytest.mark.quick


def spans(dim: int, size: int) -> list[range]:
    return [range(i, min(i + size, dim)) for i in range(0, dim, size)]


def random_core(rng: random.Random, most: int) -> CoreProblem:
    shared = rng.choice([1, 1, 2])
    operands = CoreOperands(
        q_bits=8,
        k_bits=rng.choice([4, 8]),
        v_bits=rng.choice([4, 8]),
        between_bits=8,
        accumulator_bits=rng.choice([16, 32]),
        out_bits=8,
        q_moves=rng.random() < 0.8,
        k_moves=rng.random() < 0.8,
        v_moves=rng.random() < 0.8,
        out_moves=rng.random() < 0.8,
        scores_on_array=rng.random() < 0.8,
        values_on_array=rng.random() < 0.8,
        shared=shared,
        extra_bits=rng.choice([0, 1000]),
        inside_bits=rng.choice([0, 700]),
        also_bits=rng.choice([0, 900]),
        vector_cycles=rng.choice([0, 77, 777]),
    )
    return CoreProblem(
        Product(*(rng.randint(1, most) for _ in range(3))),
        rng.randint(1, most),
        shared * rng.randint(1, 3),
        operands,
        rng.choice([None, 0, 1, 2]),
        rng.randint(1, 2),
        rng.choice([0, 50]),
        rng.choice([0.0, 1e4]),
        rng.choice([0.0, 1e3]),
    )


def random_machine(rng: random.Random, room: int, convention: str = "array") -> Machine:
    machine = Machine(
        ArrayShape(rng.randint(1, 5), rng.randint(1, 5)),
        rng.choice(DATAFLOWS),
        convention,
        room,
        rng.choice([rng.randint(10, 500), rng.randint(10, 10_000)]),
        rng.choice([100, 500]),
        rng.choice([0.0, 0.25]),
        rng.choice([0.0, 0.7]),
        rng.choice([0.0, 7.03]),
        buffer_read_bytes=rng.choice([1, 3, 50, WIDE]),
        buffer_write_bytes=rng.choice([1, 3, 50, WIDE]),
        register_pj=rng.choice([0.0, 0.01, 3.0]),
    )
    return with_local(machine, 600)


def products_of(problem: CoreProblem) -> tuple[Product, Product]:
    return problem.scores, Product(problem.scores.M, problem.D, problem.scores.N)


class Walk:
    """Runs all blocks one by one: heads, passes of statistics and the pass of values, in the order asked."""

    def __init__(self, problem: CoreProblem, mapping: CoreMapping, machine: Machine) -> None:
        self.problem, self.mapping, self.machine = problem, mapping, machine
        scores, sums = products_of(problem)
        self.first, self.second = part_of(scores, machine), part_of(sums, machine)
        self.o = problem.operands
        self.loads = {"q": 0, "k": 0, "v": 0}
        self.reads = self.writes = self.cycles = self.stored = self.registers = 0
        self.sums_read = self.sums_written = 0
        self.last: dict[str, object] = {}
        self.here: dict[str, set[object]] = {"q": set(), "k": set(), "v": set()}
        M, N = problem.scores.M, problem.scores.N
        rows, keys = spans(M, mapping.rows), spans(N, mapping.keys)
        self.passes = 1 + ((problem.statistics or 0) if len(keys) > 1 else 0)
        for head in range(problem.B):
            if mapping.order == "rows":
                for r in rows:
                    for n in range(self.passes):
                        for c in keys:
                            self.block(head, r, c, n)
            else:
                for n in range(self.passes):
                    for c in keys:
                        for r in rows:
                            self.block(head, r, c, n)

    def load(self, name: str, head: int, part: range, bits: int) -> None:
        """A piece comes unless it is held, or is the one that came last."""
        owner = head if name == "q" else head // self.o.shared
        piece = (owner if name in self.mapping.held else head, part.start)
        here = piece in self.here[name] if name in self.mapping.held else self.last.get(name) == piece
        self.here[name].add(piece)
        self.last[name] = piece
        if not here:
            self.loads[name] += bits

    def run(self, shape: Product, array: ArrayShape, a_bits: int, b_bits: int, on: bool) -> None:
        flow, acc = self.machine.dataflow, self.o.accumulator_bits
        words = accesses(shape, array, flow, "array")
        self.reads += words.ifmap_reads * a_bits + words.filter_reads * b_bits
        self.sums_read += words.ofmap_reads * acc
        self.sums_written += words.ofmap_writes * acc
        if on:
            self.cycles += steady_cycles(shape, array, flow, self.machine.convention)
            way = walk_array(shape, array, flow)
            self.registers += way.a_writes * a_bits + way.b_writes * b_bits + way.sum_register_writes * acc

    def block(self, head: int, r: range, c: range, n: int) -> None:
        p, o = self.problem, self.o
        d, D, N, acc = p.scores.K, p.D, p.scores.N, o.accumulator_bits
        self.load("q", head, r, len(r) * d * o.q_bits * o.q_moves)
        if self.mapping.order == "rows" and "k" not in self.mapping.held and c.start == 0:
            self.last.pop("k", None)  # it streams anew for each block of rows and pass
        self.load("k", head, c, len(c) * d * o.k_bits * o.k_moves)
        self.run(Product(len(r), len(c), d), self.first, o.q_bits, o.k_bits, o.scores_on_array)
        self.sums_read += len(r) * len(c) * acc  # by the vector unit
        noted = len(r) * p.row_words * acc
        if n + 1 < self.passes:
            self.sums_read += noted
            self.sums_written += noted
            return
        if self.passes > 1:
            self.sums_read += noted
        if self.mapping.order == "rows" and "v" not in self.mapping.held and c.start == 0:
            self.last.pop("v", None)
        self.load("v", head, c, len(c) * D * o.v_bits * o.v_moves)
        self.writes += len(r) * len(c) * o.between_bits
        self.run(Product(len(r), D, len(c)), self.second, o.between_bits, o.v_bits, o.values_on_array)
        self.sums_read += len(r) * D * acc  # added to what the block before left, or requantised: one of both each
        if c.stop == N:
            self.stored += len(r) * D * o.out_bits


def stays_of(problem: CoreProblem, mapping: CoreMapping) -> bool:
    """Whether a piece of keys is used again before the next one comes: it lies in the buffer as a whole."""
    pieces, blocks = len(spans(problem.scores.N, mapping.keys)), len(spans(problem.scores.M, mapping.rows))
    return pieces > 1 or (mapping.order == "keys" and blocks > 1)


def room_of(problem: CoreProblem, mapping: CoreMapping, machine: Machine, passes: int) -> tuple[int, int]:
    """Bytes of the buffer and of the local memory, said anew: what lies there at once."""
    o, (M, N, d), D = problem.operands, (problem.scores.M, problem.scores.N, problem.scores.K), problem.D
    acc, r, c = o.accumulator_bits, mapping.rows, mapping.keys
    piece = c if stays_of(problem, mapping) else min(N, part_of(problem.scores, machine).C)
    others = problem.B // o.shared > 1
    q = M + r * (problem.B > 1) if "q" in mapping.held else r * (1 if r >= M and problem.B == 1 else 2)
    k = N + piece * others if "k" in mapping.held else 2 * piece
    v = N + piece * others if "v" in mapping.held else 2 * piece
    bits = q * d * o.q_bits * o.q_moves + k * d * o.k_bits * o.k_moves + v * D * o.v_bits * o.v_moves
    bits += (1 if mapping.turns else 2) * r * c * o.between_bits
    lasting = r if mapping.order == "rows" else M
    sums = (1 if mapping.turns else 2) * r * c * acc
    sums += lasting * D * acc + (lasting * problem.row_words * acc if passes > 1 else 0)
    if machine.local_bytes:
        return -(-bits // 8), -(-sums // 8)
    return -(-(bits + sums) // 8), 0


def ends_by_hand(problem: CoreProblem, machine: Machine) -> int:
    """First queries and keys; fill and drain of the sums over keys; the last results."""
    o, (scores, sums), flow = problem.operands, products_of(problem), machine.dataflow
    M, N, d, D = scores.M, scores.N, scores.K, problem.D
    first = last = tail = 0
    if o.scores_on_array:
        one = part_of(scores, machine)
        q, k = {
            "os": (min(M, one.R), min(N, one.C)),
            "ws": (min(d, one.R), min(d, one.R) * min(N, one.C)),
            "is": (min(d, one.R) * min(M, one.C), min(d, one.R)),
        }[flow]
        first = machine.dma_cycles(q * o.q_bits * o.q_moves + k * o.k_bits * o.k_moves)
    if o.values_on_array:
        two = part_of(sums, machine)
        results = {"os": min(M, two.R) * min(D, two.C), "ws": min(D, two.C), "is": min(M, two.C)}[flow]
        last = machine.dma_cycles(results * o.out_bits * o.out_moves)
        tail = tail_cycles(sums, two, flow, machine.convention)
    return first + tail + last


@pytest.mark.parametrize("seed", range(20))
def test_closed_forms_equal_the_walk(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(40):
        problem = random_core(rng, 10)
        machine = random_machine(rng, 1000, rng.choice(CONVENTIONS))
        M, N = problem.scores.M, problem.scores.N
        mapping = CoreMapping(
            rng.randint(1, M),
            N if problem.statistics is None else rng.randint(1, N),
            *rng.choice(STRUCTURES),
        )
        short = problem.B * M * problem.D // 5 * (N % 3 == 0)
        problem = replace(problem, operands=replace(problem.operands, short_bits=short))
        walk, cost = Walk(problem, mapping, machine), evaluate_core(problem, mapping, machine)
        o = problem.operands
        stored = (walk.stored - short) * o.out_moves
        assert cost.passes == walk.passes
        assert (cost.read_bits, cost.write_bits) == (sum(walk.loads.values()) + o.extra_bits, stored)
        assert cost.array_cycles == walk.cycles
        sums = walk.sums_read, walk.sums_written
        here, there = ((0, 0), sums) if machine.local_bytes else (sums, (0, 0))
        assert (cost.local_read_bits, cost.local_write_bits) == there
        assert cost.buffer_read_bits == walk.reads + here[0] + o.extra_bits + o.inside_bits
        kept = (walk.stored - short) * (not o.out_moves)
        assert cost.buffer_write_bits == walk.writes + here[1] + cost.read_bits + kept + o.also_bits
        assert (cost.buffer_bytes, cost.local_bytes) == room_of(problem, mapping, machine, walk.passes)
        assert cost.vector_cycles == o.vector_cycles + (walk.passes > 1) * problem.again_cycles
        assert cost.dma_cycles == machine.dma_cycles(cost.dram_bits)
        energy = machine.energy_pj(cost.dram_bits, cost.buffer_read_bits, cost.buffer_write_bits)
        if mapping.keys >= N or whole_folds(mapping.keys, machine):
            assert cost.register_bits == walk.registers
        energy += cost.register_bits * machine.register_pj
        energy += there[0] * machine.local_read_pj + there[1] * machine.local_write_pj
        arithmetic = problem.arithmetic_pj + (walk.passes > 1) * problem.again_pj
        assert cost.energy_pj == pytest.approx(energy + arithmetic, rel=1e-12)
        # Time: the slowest unit, behind the vector unit on a first fold of rows; or array and lanes in turns.
        busy, wait = max(walk.cycles, cost.vector_cycles), 0
        if mapping.turns:
            busy = walk.cycles + cost.vector_cycles
        elif o.values_on_array:
            one = part_of(problem.scores, machine)
            rows = min(M, one.C if machine.dataflow == "is" else one.R)
            wait = -(-o.vector_cycles * rows // (problem.B * M))
        ports = [ceil(cost.buffer_read_bits / (8 * machine.buffer_read_bytes))]
        ports.append(ceil(cost.buffer_write_bits / (8 * machine.buffer_write_bytes)))
        assert [cost.read_port_cycles, cost.write_port_cycles] == ports
        own = [ceil(there[0] / (8 * machine.local_read_bytes)), ceil(there[1] / (8 * machine.local_write_bytes))]
        assert [cost.local_read_cycles, cost.local_write_cycles] == own
        ports += own
        assert cost.cycles == max(busy, cost.dma_cycles, *ports, 1) + ends_by_hand(problem, machine) + wait


def figures_of(problem: CoreProblem, mapping: CoreMapping, machine: Machine) -> tuple[int, ...]:
    rows, keys = np.array([[mapping.rows]]), np.array([[mapping.keys]])
    blocks = blocks_of(problem, rows, keys, machine)
    (found,) = figures(problem, blocks, [(mapping.order, mapping.held, mapping.turns)])
    return tuple(int(found[name][0, 0]) for name in FIGURES)


def beats_apart(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Neither of turns and no turns beats the other: in turns the first rows of scores are not waited for."""
    turns = FIGURES.index("turns")
    return one[turns] == other[turns] and beats(one, other)


def key_of(cost: CoreMapped, objective: str) -> tuple[float, ...]:
    """What an objective compares, but for room: of mappings that are equal in all else any may be found."""
    return OBJECTIVES[objective].key(cost)[:-1]


def check_search(seed: int, beside: bool = False) -> None:
    """Best blocks for every objective, and the front, against all rows, keys and structures.

    `beside`: the sums run on an array of their own.
    """
    rng = random.Random(500 + seed)
    problem = random_core(rng, rng.choice([4, 5, 7]))
    machine = random_machine(rng, rng.choice([rng.randint(10, 100), rng.randint(50, 600)]))
    machine = replace(machine, array=ArrayShape(rng.randint(1, 3), rng.randint(1, 3)))
    if beside:
        second = Beside(ArrayShape(rng.randint(1, 3), rng.randint(1, 3)), rng.choice(DATAFLOWS))
        both = replace(problem.operands, scores_on_array=True, values_on_array=True)
        problem = replace(problem, operands=both, beside=second)
    M, N = problem.scores.M, problem.scores.N
    best: dict[str, tuple[float, ...]] = {}
    every = set()
    for r, c, structure in itertools.product(range(1, M + 1), range(1, N + 1), STRUCTURES):
        mapping = CoreMapping(r, c, *structure)
        if core_is_legal(problem, mapping, machine):
            cost = evaluate_core(problem, mapping, machine)
            every.add(figures_of(problem, mapping, machine))
            for objective in OBJECTIVES:
                key = key_of(cost, objective)
                best[objective] = min(key, best.get(objective, key))
    for objective in OBJECTIVES:
        if not best:
            with pytest.raises(DoesNotFit, match="no block of an attention core"):
                best_blocks(problem, machine, objective)
        else:
            found = best_blocks(problem, machine, objective)
            assert core_is_legal(problem, found.mapping, machine)
            assert key_of(found, objective) == best[objective]
    points = core_front(problem, machine)
    rows = [tuple(row) for row in points.figures.tolist()]
    for row, mapping in zip(rows, points.mappings, strict=True):
        assert core_is_legal(problem, mapping, machine)
        # A front is of what moves beside extra bits; those are the same for all.
        plain = replace(problem, operands=replace(problem.operands, extra_bits=0, inside_bits=0, also_bits=0))
        assert figures_of(plain, mapping, machine) == row
        assert not any(beats_apart(other, row) for other in rows if other != row)
    assert len(set(rows)) == len(rows)
    assert all(any(beats_apart(row, one) for row in rows) for one in every)


@pytest.mark.parametrize("seed", range(24))
def test_search_and_front_equal_brute_force(seed: int) -> None:
    check_search(seed)


@pytest.mark.parametrize("seed", range(12))
def test_search_and_front_on_two_arrays_equal_brute_force(seed: int) -> None:
    check_search(1000 + seed, beside=True)


@pytest.mark.evidence
@pytest.mark.parametrize("seed", range(24, 324))
def test_search_and_front_equal_brute_force_hundreds_of_times(seed: int) -> None:
    check_search(seed)


def test_what_comes_once_has_room() -> None:
    """A piece of keys that several blocks of rows use, one after the other, lies in the buffer as a whole."""
    rng = random.Random(77)
    for _ in range(300):
        problem, machine = random_core(rng, 9), random_machine(rng, 1000)
        M, N, o = problem.scores.M, problem.scores.N, problem.operands
        mapping = CoreMapping(rng.randint(1, M), N if problem.statistics is None else rng.randint(1, N), "keys")
        cost = evaluate_core(problem, mapping, machine)
        if mapping.rows < M:
            piece = problem.scores.K * o.k_bits * o.k_moves + problem.D * o.v_bits * o.v_moves
            assert 8 * cost.buffer_bytes >= mapping.keys * piece


def test_sizes_are_those_with_less_work_than_all_smaller_ones() -> None:
    for dim, unit, other in itertools.product((1, 7, 30, 50), (2, 5), (3, 4)):
        found = set(block_sizes(dim, ((unit, 0), (other, 0))))
        seen: dict[int, list[tuple[int, int]]] = {}
        for size in range(1, dim + 1):
            parts = [len(s) for s in spans(dim, size)]
            work = tuple(sum(-(-p // u) for p in parts) for u in (unit, other))
            before = seen.setdefault(len(parts), [])
            assert (size in found) == (not any(b[0] <= work[0] and b[1] <= work[1] for b in before))
            before.append(work)


@pytest.mark.parametrize("statistics", [None, 1, 2])
def test_no_cliff_between_385_and_480_keys_on_edge_asic(statistics: int | None) -> None:
    """The energy of a core rises with S by little and without a jump; cycles by the folds of the array.

    At 385 and at 417, 449, 481 the array of 32 x 32 has one fold more along rows and along keys: of 12 x 12
    folds that is one sixth, whatever the mapping.
    """
    machine = Machine(ArrayShape(32, 32), "os", "array", 512 * 1024, 12_800, 500, 1.13, 1.13, 5.66)
    before = None
    for S in range(376, 490):
        operands = CoreOperands(8, 8, 8, 8, 32, 8, vector_cycles=12 * S * S * 6 // 64)
        problem = CoreProblem(Product(S, S, 64), 64, 12, operands, statistics, 1, 12 * S * S * 2 // 64)
        found = {objective: best_blocks(problem, machine, objective) for objective in ("energy", "cycles")}
        energy, cycles = found["energy"].energy_pj, found["cycles"].cycles
        if before is not None:
            assert before[0] <= energy <= 1.03 * before[0]
            fold = S % 32 == 1
            assert before[1] <= cycles <= (1.18 if fold else 1.03) * before[1]
        before = energy, cycles
