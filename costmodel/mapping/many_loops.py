"""The loops of `many.py` by numba: of each mapping of a front, and each choice of kept values, what it takes."""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

from costmodel.mapping.objectives import KEPT_BITS

Array = np.ndarray[Any, Any]
njit = numba.njit(cache=True, error_model="numpy")

# Columns of a way to run: bits from DRAM, bits to DRAM beside the results, cycles of the array, bits that it waits
# for, whether array and lanes take turns, bits read and written in the buffer, bytes of it; cycles of a second
# array that works at once, and rows of a grain, see `core_beside.py`; whether passes of statistics come before;
# bits written into registers of PEs; bits of sums read and written in a memory of their own.
(
    READ, MORE, CYCLES, EXPOSED, TURNS, READS, WRITES, ROOM, BESIDE, GRAIN, AGAIN, REGISTERS, SUMS_READ,
    SUMS_WRITTEN,
) = range(14)  # fmt: skip
# What is the same for all ways: results that leave, what else is read from DRAM, from the buffer, what stays in
# it; lane cycles; first bits, fill and drain, last bits; rows of the first wait, of how many;
# lane cycles of statistics.
(OUT, EXTRA, INSIDE, STAYS, LANES, FIRST, TAIL, LAST, WAIT, ROWS, LANES_AGAIN) = range(11)
STRIDE = 256  # machines that are summed at a time
# Columns of a machine.
LANE, BANDWIDTH, CLOCK, READ_PORT, WRITE_PORT, LOCAL_READ_PORT, LOCAL_WRITE_PORT = range(7)
# Columns of a result, beside its energy.
(R_CYCLES, R_READ, R_WRITE, R_READS, R_WRITES, R_ROOM, R_SUMS_READ, R_SUMS_WRITTEN) = range(8)
RESULTS = 8


@njit
def ceil_div(a: int, b: int) -> Any:
    return np.int64(np.uint64(a + b - 1) // np.uint64(b))


@njit
def ceil_times(a: int, clock: int, speed: int, ratio: float) -> Any:
    """ceil(a * clock / speed) of whole numbers; `ratio` is clock / speed, so that a step or two mends it."""
    product = a * clock
    found = np.int64(a * ratio)
    rest = product - found * speed
    while rest > 0:
        found, rest = found + 1, rest - speed
    while rest <= -speed:
        found, rest = found - 1, rest + speed
    return found


@njit
def rates_of(machines: Array) -> Array:
    """Of each machine what numbers are multiplied by that would be divided: see `ceil_times`."""
    rates = np.empty((machines.shape[0], 6))
    for m in range(machines.shape[0]):
        rates[m, 0] = machines[m, CLOCK] / (8 * machines[m, BANDWIDTH])
        rates[m, 1], rates[m, 2] = 1 / (8 * machines[m, READ_PORT]), 1 / (8 * machines[m, WRITE_PORT])
        rates[m, 3] = 1 / machines[m, LANE]
        rates[m, 4], rates[m, 5] = 1 / (8 * machines[m, LOCAL_READ_PORT]), 1 / (8 * machines[m, LOCAL_WRITE_PORT])
    return rates


@njit
def before(
    objective: int, energy: float, cycles: int, moved: int, buffer: int, room: int,
    energy2: float, cycles2: int, moved2: int, buffer2: int, room2: int,
) -> int:  # fmt: skip
    """-1 where the first six figures come before the second by an objective, 0 where they are equal, else 1."""
    if objective == 2:
        one, two = energy * cycles, energy2 * cycles2
        if one != two:
            return -1 if one < two else 1
    elif objective == 1:
        if energy != energy2:
            return -1 if energy < energy2 else 1
    elif objective == 3:
        if moved != moved2:
            return -1 if moved < moved2 else 1
        if energy != energy2:
            return -1 if energy < energy2 else 1
    if cycles != cycles2:
        return -1 if cycles < cycles2 else 1
    if objective == 0 and energy != energy2:
        return -1 if energy < energy2 else 1
    if moved != moved2:
        return -1 if moved < moved2 else 1
    if buffer != buffer2:
        return -1 if buffer < buffer2 else 1
    if room != room2:
        return -1 if room < room2 else 1
    return 0


@njit
def best_ways(
    ways: Array, same: Array, arithmetic_pj: Array, machines: Array, rates: Array, prices: Array,
    register_pj: float, objective: int, found: Array, energy_pj: Array, least: Array,
) -> None:  # fmt: skip
    """For each machine the best way, and what it takes; ties go to the first one.

    `arithmetic_pj`: [2], without passes of statistics and with them. `prices`: [machines, 5], pJ a bit read from
    the buffer, written into it, moved by DRAM, of sums read from and written into a memory of their own;
    `register_pj`: a bit written into a register of a PE, on all.
    `objective`: cycles, energy, edp, bytes. `least`: [2, machines], the least energy and fewest cycles of any way.
    """  # fmt: skip
    for m in range(machines.shape[0]):
        clock, speed = machines[m, CLOCK], 8 * machines[m, BANDWIDTH]
        read_port, write_port, lane = 8 * machines[m, READ_PORT], 8 * machines[m, WRITE_PORT], machines[m, LANE]
        ratio, a_read, a_write, a_lane = rates[m, 0], rates[m, 1], rates[m, 2], rates[m, 3]
        lanes = ceil_times(same[LANES], 1, lane, a_lane)
        lanes_again = lanes
        if same[LANES_AGAIN]:
            lanes_again = ceil_times(same[LANES] + same[LANES_AGAIN], 1, lane, a_lane)
        ends = same[TAIL]
        if same[FIRST] or same[LAST]:
            ends += ceil_times(same[FIRST], clock, speed, ratio) + ceil_times(same[LAST], clock, speed, ratio)
        first_wait = ceil_div(lanes * same[WAIT], same[ROWS]) if same[WAIT] else 0
        b_energy, b_cycles, b_moved, b_buffer, b_room = np.inf, 0, 0, 0, 0
        least[0, m] = least[1, m] = np.inf
        for w in range(ways.shape[0]):
            read, write = ways[w, READ] + same[EXTRA], ways[w, MORE] + same[OUT]
            moved = read + write
            reads = ways[w, READS] + same[EXTRA] + same[INSIDE]
            writes = ways[w, WRITES] + same[EXTRA] + same[STAYS]
            dma = ceil_times(moved, clock, speed, ratio)
            dma = max(dma, ceil_times(reads, 1, read_port, a_read), ceil_times(writes, 1, write_port, a_write))
            sums_energy = 0.0
            if ways[w, SUMS_READ]:
                sums_read, sums_written = ways[w, SUMS_READ], ways[w, SUMS_WRITTEN]
                sums_energy = sums_read * prices[m, 3] + sums_written * prices[m, 4]
                dma = max(dma, ceil_times(sums_read, 1, 8 * machines[m, LOCAL_READ_PORT], rates[m, 4]))
                dma = max(dma, ceil_times(sums_written, 1, 8 * machines[m, LOCAL_WRITE_PORT], rates[m, 5]))
            again = ways[w, AGAIN]
            vector = lanes_again if again else lanes
            units = ways[w, CYCLES] + vector + ways[w, BESIDE]
            if ways[w, TURNS]:
                busy, wait = units, 0
            else:
                busy, wait = max(ways[w, CYCLES], vector, ways[w, BESIDE]), first_wait
                if ways[w, GRAIN]:
                    wait += ceil_div((units - busy) * ways[w, GRAIN], same[ROWS])
                if ways[w, EXPOSED]:
                    busy += ceil_times(ways[w, EXPOSED], clock, speed, ratio)
            cycles = max(busy, dma, 1) + (ends + wait)
            energy = moved * prices[m, 2] + reads * prices[m, 0] + writes * prices[m, 1]
            energy = energy + ways[w, REGISTERS] * register_pj + sums_energy + arithmetic_pj[again]
            buffer, room = reads + writes, ways[w, ROOM]
            least[0, m] = min(least[0, m], energy)
            least[1, m] = min(least[1, m], cycles)
            if w == 0 or before(
                objective, energy, cycles, moved, buffer, room, b_energy, b_cycles, b_moved, b_buffer, b_room
            ) < 0:  # fmt: skip
                b_energy, b_cycles, b_moved, b_buffer, b_room = energy, cycles, moved, buffer, room
                found[m, R_CYCLES], found[m, R_READ], found[m, R_WRITE] = cycles, read, write
                found[m, R_READS], found[m, R_WRITES], found[m, R_ROOM] = reads, writes, room
                found[m, R_SUMS_READ], found[m, R_SUMS_WRITTEN] = ways[w, SUMS_READ], ways[w, SUMS_WRITTEN]
                energy_pj[m] = energy


@njit
def add_step(
    numbers: Array, energies: Array, least: Array, into: Array, into_pj: Array, into_least: Array
) -> None:
    """What another step takes, behind the first: sums, and the larger room."""
    for m in range(into.shape[0]):
        room = max(numbers[m, R_ROOM], into[m, R_ROOM])
        for k in range(numbers.shape[1]):
            into[m, k] += numbers[m, k]
        into[m, R_ROOM] = room
        into_pj[m] += energies[m]
        for k in range(2):
            into_least[k, m] += least[k, m]


@njit
def next_choice(bounds: Array, order: Array, start: int, first: Array) -> int:
    """The next place in the order at which a choice may be better on some machine; behind the last: none."""
    for at in range(start, len(order)):
        bound = bounds[order[at]]
        for m in range(len(first)):
            if bound[m] <= first[m]:
                return at
    return len(order)


@njit
def keep_better(
    objective: int, numbers: Array, energies: Array, least: Array, into: Array, into_pj: Array, into_least: Array
) -> None:
    """Where an option comes before the one that is known it takes its place; the least of both is the least."""
    for m in range(into.shape[0]):
        a, b = numbers[m], into[m]
        order = before(
            objective, energies[m], a[R_CYCLES], a[R_READ] + a[R_WRITE], a[R_READS] + a[R_WRITES], a[R_ROOM],
            into_pj[m], b[R_CYCLES], b[R_READ] + b[R_WRITE], b[R_READS] + b[R_WRITES], b[R_ROOM],
        )  # fmt: skip
        if order < 0:
            into[m], into_pj[m] = a, energies[m]
        for k in range(2):
            into_least[k, m] = min(into_least[k, m], least[k, m])


@njit
def floor_sums(floors: Array, times: Array, least: Array) -> Array:
    """[2, machines]: sums over seats of `least` [entries, 2, machines] of their floors."""
    found = np.zeros(least.shape[1:])
    for s in range(floors.shape[0]):
        row, n = least[floors[s]], float(times[s])
        for f in range(found.shape[0]):
            for m in range(found.shape[1]):
                found[f, m] += n * row[f, m]
    return found


@njit
def bounded(
    entries: Array, times: Array, rest: Array, least: Array, factors: int, first: Array, slack: float,
    found: Array,
) -> Array:  # fmt: skip
    """Of each choice whether it may be as good as what is known, `first`, on some machine.

    `entries` [choices, seats] and their `times`; `rest` [2, machines]: the sums over all other seats. What is
    compared first is a product of that many `factors`. `found` [choices, machines] becomes the bounds; without
    rows it is left alone, and of a choice only as many machines are looked at as it takes.
    """
    machines, whole = first.shape[0], found.shape[0] > 0
    left = np.zeros(entries.shape[0], np.bool_)
    total, product = np.empty(STRIDE), np.empty(STRIDE)
    for c in range(entries.shape[0]):
        for start in range(0, machines, STRIDE):
            size = min(STRIDE, machines - start)
            product[:size] = 1.0
            for f in range(factors):
                total[:size] = rest[f, start : start + size]
                for s in range(entries.shape[1]):
                    row, n = least[entries[c, s], f, start : start + size], float(times[s])
                    for m in range(size):
                        total[m] += n * row[m]
                for m in range(size):
                    product[m] *= total[m] * (1.0 - slack)
            if whole:
                found[c, start : start + size] = product[:size]
            if not left[c]:
                known = first[start : start + size]
                for m in range(size):
                    if product[m] <= known[m]:
                        left[c] = True
                        break
            if left[c] and not whole:
                break
    return left


@njit
def first_of(objective: int, energy: float, cycles: int, moved: int) -> float:
    """What is compared first."""
    if objective == 0:
        return float(cycles)
    if objective == 1:
        return energy
    return energy * cycles if objective == 2 else float(moved)


@njit
def settled(energy_pj: float) -> float:
    """`objectives.settled`."""
    mantissa, exponent = math.frexp(energy_pj)
    return math.ldexp(np.rint(math.ldexp(mantissa, KEPT_BITS)), exponent - KEPT_BITS)


@njit
def add_choice(
    place: int, entries: Array, times: Array, in_core: Array, bound: Array, objective: int, numbers: Array,
    energies: Array, best: Array, best_pj: Array, core: Array, first: Array, places: Array,
) -> None:  # fmt: skip
    """Of each machine keep the better of what is known and another choice; of equal ones the earlier place.

    A machine is left out where `bound` is more than the first figure of what it has. `numbers`: [entries,
    machines, 8], `energies`: [entries, machines]; `entries` and `times` are those of the seats of the choice.
    """
    for m in range(bound.shape[0]):
        if bound[m] > first[m]:
            continue
        cycles, read, write, reads, writes, room, of_core = 0, 0, 0, 0, 0, 0, 0
        sums_read, sums_written = 0, 0
        energy = 0.0
        for s in range(entries.shape[0]):
            row, n = numbers[entries[s], m], times[s]
            cycles += n * row[R_CYCLES]
            read += n * row[R_READ]
            write += n * row[R_WRITE]
            reads += n * row[R_READS]
            writes += n * row[R_WRITES]
            sums_read += n * row[R_SUMS_READ]
            sums_written += n * row[R_SUMS_WRITTEN]
            room = max(room, row[R_ROOM])
            energy += n * energies[entries[s], m]
            if in_core[s]:
                of_core += n * row[R_CYCLES]
        energy = settled(energy)
        old = best[m]
        order = -1
        if places[m] >= 0:
            order = before(
                objective, energy, cycles, read + write, reads + writes, room,
                best_pj[m], old[R_CYCLES], old[R_READ] + old[R_WRITE], old[R_READS] + old[R_WRITES], old[R_ROOM],
            )  # fmt: skip
        if order < 0 or (order == 0 and place < places[m]):
            old[R_CYCLES], old[R_READ], old[R_WRITE] = cycles, read, write
            old[R_READS], old[R_WRITES], old[R_ROOM] = reads, writes, room
            old[R_SUMS_READ], old[R_SUMS_WRITTEN] = sums_read, sums_written
            best_pj[m], core[m], places[m] = energy, of_core, place
            first[m] = first_of(objective, energy, cycles, read + write)
