"""The loops of `many.py`: of each mapping of a front what it takes on many machines, by numba."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

Array = np.ndarray[Any, Any]
njit = numba.njit(cache=True, error_model="numpy")

# Columns of a way to run: bits from DRAM, bits to DRAM beside the results, cycles of the array, bits that it waits
# for, whether array and lanes take turns, bits read and written in the buffer, bytes of it; cycles of a second
# array that works at once, and rows of a grain, see `core_beside.py`; whether passes of statistics come before;
# bits written into registers of PEs.
READ, MORE, CYCLES, EXPOSED, TURNS, READS, WRITES, ROOM, BESIDE, GRAIN, AGAIN, REGISTERS = range(12)
# What is the same for all ways: results that leave, what else is read from DRAM, from the buffer, what stays in
# it; lane cycles; first bits, fill and drain, last bits; rows of the first wait, of how many;
# lane cycles of statistics.
(OUT, EXTRA, INSIDE, STAYS, LANES, FIRST, TAIL, LAST, WAIT, ROWS, LANES_AGAIN) = range(11)
# Columns of a machine.
LANE, BANDWIDTH, CLOCK, READ_PORT, WRITE_PORT = range(5)
# Columns of a result, beside its energy.
(R_CYCLES, R_READ, R_WRITE, R_READS, R_WRITES, R_ROOM) = range(6)


@njit
def ceil_div(a: int, b: int) -> Any:
    return np.int64(np.uint64(a + b - 1) // np.uint64(b))


@njit
def best_ways(
    ways: Array, same: Array, arithmetic_pj: Array, machines: Array, prices: Array, register_pj: float,
    objective: int, found: Array, energy_pj: Array,
) -> None:  # fmt: skip
    """For each machine the best way, and what it takes; ties go to the first one.

    `arithmetic_pj`: [2], without passes of statistics and with them. `prices`: [machines, 3], pJ a bit read from
    the buffer, written into it, moved by DRAM; `register_pj`: a bit written into a register of a PE, on all.
    `objective`: cycles, energy, edp, bytes.
    """  # fmt: skip
    key, best = np.empty(5), np.empty(5)
    for m in range(machines.shape[0]):
        clock, speed = machines[m, CLOCK], 8 * machines[m, BANDWIDTH]
        lanes = ceil_div(same[LANES], machines[m, LANE])
        lanes_again = ceil_div(same[LANES] + same[LANES_AGAIN], machines[m, LANE])
        ends = ceil_div(same[FIRST] * clock, speed) + same[TAIL] + ceil_div(same[LAST] * clock, speed)
        first_wait = ceil_div(lanes * same[WAIT], same[ROWS])
        best[:] = np.inf
        for w in range(ways.shape[0]):
            read, write = ways[w, READ] + same[EXTRA], ways[w, MORE] + same[OUT]
            moved = read + write
            reads = ways[w, READS] + same[EXTRA] + same[INSIDE]
            writes = ways[w, WRITES] + same[EXTRA] + same[STAYS]
            dma = ceil_div(moved * clock, speed)
            again = ways[w, AGAIN]
            vector = lanes_again if again else lanes
            units = ways[w, CYCLES] + vector + ways[w, BESIDE]
            if ways[w, TURNS]:
                busy, wait = units, 0
            else:
                slowest = max(ways[w, CYCLES], vector, ways[w, BESIDE])
                busy = ceil_div(ways[w, EXPOSED] * clock, speed) + slowest
                wait = first_wait + ceil_div((units - slowest) * ways[w, GRAIN], same[ROWS])
            dma = max(dma, ceil_div(reads, 8 * machines[m, READ_PORT]))
            dma = max(dma, ceil_div(writes, 8 * machines[m, WRITE_PORT]))
            cycles = max(busy, dma, 1) + (ends + wait)
            energy = moved * prices[m, 2] + reads * prices[m, 0] + writes * prices[m, 1]
            energy = energy + ways[w, REGISTERS] * register_pj + arithmetic_pj[again]
            if objective == 0:
                key[0], key[1], key[2] = cycles, energy, moved
            elif objective == 1:
                key[0], key[1], key[2] = energy, cycles, moved
            elif objective == 2:
                key[0], key[1], key[2] = energy * cycles, cycles, moved
            else:
                key[0], key[1], key[2] = moved, energy, cycles
            key[3], key[4] = reads + writes, ways[w, ROOM]
            better = False
            for i in range(5):
                if key[i] != best[i]:
                    better = key[i] < best[i]
                    break
            if better:
                best[:] = key
                found[m, R_CYCLES], found[m, R_READ], found[m, R_WRITE] = cycles, read, write
                found[m, R_READS], found[m, R_WRITES], found[m, R_ROOM] = reads, writes, ways[w, ROOM]
                energy_pj[m] = energy
