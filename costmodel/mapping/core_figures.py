"""Figures of blocks of an attention core, of many at once or of one; `core_blocks.py` says what they mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from costmodel.hardware.registers import register_bits
from costmodel.hardware.timing import Product
from costmodel.mapping.core_beside import grain_of, sums_machine
from costmodel.mapping.core_records import CoreProblem, Structure, dims_of
from costmodel.mapping.nest import Cut, array_cycles, array_traffic, cut, fold_array, units_of
from costmodel.mapping.nest_records import Machine

Array = np.ndarray[Any, Any]
ROOM = ("buffer_bytes", "local_bytes")


def ceil_of(a: Any, b: Any) -> Any:
    return -(-a // b)


def cuts_of(dim: int, size: Array, unit: int, R: int) -> Cut:
    """`nest.cut` of many sizes at once."""
    number = ceil_of(dim, size)
    last = dim - (number - 1) * size
    folds = (number - 1) * ceil_of(size, unit) + ceil_of(last, unit)
    return Cut(number, folds, (number - 1) * np.maximum(size, 2 * R) + np.maximum(last, 2 * R))


@dataclass(frozen=True, eq=False)
class Blocks:
    """What blocks of rows [r,1] x keys [1,c] take in whatever structure, in all heads."""

    rows: Array
    keys: Array
    number: Any  # of blocks of rows
    pieces: Any  # of keys
    again: Array  # passes of statistics
    cycles: Any  # of the array of the scores, or of both products where it makes both
    beside: Any  # of the array of the sums, if it is another one
    grain: Any  # of two arrays, with rows outside
    grain_outside: Any  # and with keys outside
    reads: Any  # bits that array and vector unit read in the buffer, without sums
    writes: Any  # and write there
    sum_reads: Any  # bits of sums and statistics, wherever they lie
    sum_writes: Any
    local: bool  # whether they have a memory of their own
    registers: Any
    wide: tuple[int, int]  # keys that the arrays take at a time: of scores, of sums


def blocks_of(problem: CoreProblem, rows: Array, keys: Array, machine: Machine) -> Blocks:
    """What is the same for all structures of blocks `rows` [r,1] x `keys` [1,c]."""
    o, B, D, (M, N, d) = problem.operands, problem.B, problem.D, dims_of(problem)
    flow, how, acc = machine.dataflow, machine.convention, o.accumulator_bits
    first, second = Product(M, N, d), Product(M, D, N)
    other = sums_machine(problem.beside, machine)
    one, two = fold_array(first, machine.array, flow), fold_array(second, other.array, other.dataflow)
    number, pieces = ceil_of(M, rows), ceil_of(N, keys)
    again = ((pieces > 1) * (problem.statistics or 0)).astype(rows.dtype)
    u1, u2 = units_of(one, flow), units_of(two, other.dataflow)
    cuts1 = (cuts_of(M, rows, u1[0], one.R), cuts_of(N, keys, u1[1], one.R), cut(d, d, u1[2], one.R))
    cuts2 = (cuts_of(M, rows, u2[0], two.R), cut(D, D, u2[1], two.R), cuts_of(N, keys, u2[2], two.R))
    cycles: Any = 0 * again
    beside, grain, outside = cycles, cycles, cycles
    if o.scores_on_array:
        cycles = cycles + B * (1 + again) * array_cycles(cuts1, first, one, flow, how)
    if o.values_on_array:
        beside = beside + B * array_cycles(cuts2, second, two, other.dataflow, how)
    if problem.beside is None:
        cycles, beside = cycles + beside, 0 * again
    else:
        arrays = (one, flow), (two, other.dataflow)
        grain, outside = (grain_of(rows, M, pieces > 1, keys_outside, *arrays) for keys_outside in (False, True))
    a1, b1, s1 = array_traffic(cuts1, first, flow)
    a2, b2, s2 = array_traffic(cuts2, second, other.dataflow)
    noted = problem.row_words * acc * M * pieces  # of statistics, a head and pass
    reads = B * ((1 + again) * (a1 * o.q_bits + b1 * o.k_bits) + a2 * o.between_bits + b2 * o.v_bits)
    writes = B * M * N * o.between_bits
    sums = B * ((1 + again) * s1 * acc + s2 * acc)
    noting, using = B * noted * again, B * noted * (again > 0)
    registers = core_registers(problem, rows, keys, machine) if machine.register_pj else 0
    wide = one.C, one.C if problem.beside is None else max(one.C, two.R)
    moves = reads, writes, sums + noting + using, sums + noting, machine.local_bytes > 0, registers, wide
    return Blocks(rows, keys, number, pieces, again, cycles, beside, grain, outside, *moves)


def figures(problem: CoreProblem, blocks: Blocks, structures: Sequence[Structure]) -> list[dict[str, Array]]:
    """`FIGURES` of blocks and their room, in the buffer and in the local memory, of each structure."""
    orders = {order for order, _, _ in structures}
    lying = {order: lying_bits(problem, blocks, order) for order in orders}
    reads = {how: reads_of(problem, blocks, *how) for how in {(order, held) for order, held, _ in structures}}
    lasting = {
        how: lasting_bits(problem, blocks, *how) for how in {(order, turns) for order, _, turns in structures}
    }
    here, there = (0, 1) if blocks.local else (1, 0)
    shape = np.broadcast_shapes(blocks.rows.shape, blocks.keys.shape)
    same = {  # of all structures
        "again": blocks.again,
        "array_cycles": blocks.cycles,
        "buffer_read_bits": blocks.reads + here * blocks.sum_reads,
        "beside_cycles": blocks.beside,
        "register_bits": blocks.registers,
        "local_read_bits": there * blocks.sum_reads,
        "local_write_bits": there * blocks.sum_writes,
    }
    same = {name: stretched(value, shape) for name, value in same.items()}
    writes, found = blocks.writes + here * blocks.sum_writes, []
    for order, held, turns in structures:
        sums, between = lasting[order, turns]
        bits = sum((lying[order][name, name in held] for name in "qkv"), between + here * sums)
        own = {
            "read_bits": reads[order, held],
            "turns": int(turns),
            "buffer_write_bits": writes + reads[order, held],
            "grain": 0 if turns else blocks.grain_outside if order == "keys" else blocks.grain,
            "buffer_bytes": ceil_of(bits, 8),
            "local_bytes": ceil_of(there * sums, 8),
        }
        found.append(same | {name: stretched(value, shape) for name, value in own.items()})
    return found


def stretched(value: Any, shape: tuple[int, ...]) -> Array:
    """Of each block; what is of many blocks the same stands there once."""
    if isinstance(value, np.ndarray) and value.shape == shape:
        return value
    return np.broadcast_to(value, shape)


def lying_bits(problem: CoreProblem, blocks: Blocks, order: str) -> dict[tuple[str, bool], Any]:
    """Bits of buffer for q, k and v, each where it streams and where it is held."""
    o, B, D, (M, N, d), rows = problem.operands, problem.B, problem.D, dims_of(problem), blocks.rows
    # What streams takes as much room as the array takes at a time, unless it stays while blocks of rows pass.
    stays = (blocks.pieces > 1) | ((blocks.number > 1) & (order == "keys"))
    chunk, piece = (np.where(stays, blocks.keys, min(N, wide)) for wide in blocks.wide)
    more = o.shared < B
    q, k, v = d * o.q_bits * o.q_moves, d * o.k_bits * o.k_moves, D * o.v_bits * o.v_moves
    return {
        ("q", False): rows * np.where(blocks.number * B > 1, 2, 1) * q,
        ("q", True): (M + rows * (B > 1)) * q,
        ("k", False): 2 * chunk * k,
        ("k", True): (N + chunk * more) * k,
        ("v", False): 2 * piece * v,
        ("v", True): (N + piece * more) * v,
    }


def lasting_bits(problem: CoreProblem, blocks: Blocks, order: str, turns: bool) -> tuple[Any, Any]:
    """Bits of scores in accumulators, sums and statistics; and of what lies between the products."""
    o, rows = problem.operands, blocks.rows
    scores = (1 if turns else 2) * rows * blocks.keys
    lasting: Any = rows if order == "rows" else problem.scores.M
    noting = problem.row_words * (1 if problem.beside is None or turns else 2)
    sums = scores + lasting * (problem.D + noting * (blocks.again > 0))
    return sums * o.accumulator_bits, scores * o.between_bits


def reads_of(problem: CoreProblem, blocks: Blocks, order: str, held: tuple[str, ...]) -> Any:
    """Bits of q, k and v that come from DRAM."""
    number, again = blocks.number, blocks.again
    o, B, D, (M, N, d) = problem.operands, problem.B, problem.D, dims_of(problem)
    q: Any = B * M * d * o.q_bits * o.q_moves
    k: Any = B * N * d * o.k_bits * o.k_moves
    v: Any = B * N * D * o.v_bits * o.v_moves
    if order == "rows":
        k = k // o.shared if "k" in held else k * number * (1 + again)
        v = v // o.shared if "v" in held else v * number
        q = q + 0 * again  # as many as there are blocks
    else:
        k = k // o.shared if "k" in held else k * (1 + again)
        q = q + 0 * again if "q" in held else q * np.where(number > 1, blocks.pieces * (1 + again), 1)
    return q + k + v


def core_registers(problem: CoreProblem, rows: Array, keys: Array, machine: Machine) -> Any:
    """Bits that blocks write into registers of PEs, one block of rows and of keys behind the other."""
    o, D, (M, N, d) = problem.operands, problem.D, dims_of(problem)
    blocks, pieces = ceil_of(M, rows), ceil_of(N, keys)
    again = (pieces > 1) * (problem.statistics or 0)
    first, second = Product(M, N, d), Product(M, D, N)
    other = sums_machine(problem.beside, machine)
    one, two = (fold_array(p, on.array, on.dataflow) for p, on in ((first, machine), (second, other)))
    bits = (o.q_bits, o.k_bits, o.accumulator_bits), (o.between_bits, o.v_bits, o.accumulator_bits)
    scores = (1 + again) * register_bits(first, one, machine.dataflow, bits[0], (blocks, pieces))
    sums = register_bits(second, two, other.dataflow, bits[1], (blocks, 1))
    return problem.B * (scores * o.scores_on_array + sums * o.values_on_array)
