"""An attention core in one pass, by blocks of rows and of keys; scores never leave the chip.

B heads: scores [M,N] of q [M,d] and k [N,d], what lies between, then out [M,D] of v [N,D]. A block is
`rows` x `keys` of the scores. Which blocks are allowed, and what they cost, depends on what lies between:

    All keys at once (`keys` = N): every mechanism; a block of whole rows of scores is in the buffer.
    Blocks of keys: the sums over keys add up block by block in the accumulators, for every mechanism. But a
    term may need something of its whole row first: the inhibitor the mean of its scores, softmax their
    maximum and then the sum of exponentials. Those are `statistics` passes over the keys beforehand, in
    which scores are made and only a few words a row are kept; then the scores are made anew. Integers come
    out bit by bit as with whole rows, for all that is gathered is an exact sum or a maximum. Rescaling
    accumulators whenever the maximum grows (FlashAttention) would save a pass, but rounds otherwise.
    relu attention, whose terms need nothing of their row, has 0 statistics, the inhibitor 1, softmax 2.
    So has a chain of two products by weights, FFN 1, GELU, FFN 2, which is a core of one head: queries are the
    rows that come in, keys and values the weights, one column between for each key.

Order `rows`: blocks of rows outside, all keys inside, once for each pass. k and v of a head are held, or
stream once for each block of rows (k once more for each pass of statistics). Order `keys`: blocks of keys
outside; sums and statistics of all rows stay in the buffer, k and v come once a pass; q is held or streams.

Room: two blocks of queries; of k and v that are held all of a head and what arrives for the next one, else
two pieces; two blocks of scores, one that the array makes or uses and one on which the vector unit works, or
one on which they take turns (`turns`); sums and statistics. What does not move is counted by who keeps it. Where
the target has a local memory for sums, scores in accumulators, sums and statistics lie there.

Time is counted as in `nest.py`. What nothing hides is, beside the first operands, the fill and drain and the
last results, the vector unit's work on the first rows of scores, as many as a fold of the array has. Where scores
and sums run on two arrays (`beside`) both work at once: `core_beside.py` says how.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from costmodel.hardware.timing import Product
from costmodel.mapping.core_beside import share_of, sums_machine
from costmodel.mapping.core_figures import ROOM, blocks_of, core_registers, figures
from costmodel.mapping.core_records import FIGURES, CoreMapped, CoreMapping, CoreProblem, dims_of
from costmodel.mapping.nest import Ends, ends_of, fold_array
from costmodel.mapping.nest_records import Machine, Operands, Problem

Array = np.ndarray[Any, Any]


def evaluate_core(problem: CoreProblem, mapping: CoreMapping, machine: Machine) -> CoreMapped:
    """Cycles, traffic and energy of one mapping, legal or not."""
    o, B, (M, N, _), D = problem.operands, problem.B, dims_of(problem), problem.D
    rows = M if mapping.rows == M else mapping.rows  # a block of all rows is that dim
    keys = N if mapping.keys == N else mapping.keys
    structures = [(mapping.order, mapping.held, mapping.turns)]
    block = np.array([[rows]], object), np.array([[keys]], object)
    (found,) = figures(problem, blocks_of(problem, *block, machine), structures)
    (
        again,
        reads,
        array,
        _,
        buffer_reads,
        buffer_writes,
        sums,
        grain,
        _,
        local_reads,
        local_writes,
        room,
        own_room,
    ) = (plain(np.ravel(found[name])[0]) for name in (*FIGURES, *ROOM))
    results = B * M * D * o.out_bits - o.short_bits
    writes = results * o.out_moves
    reads = reads + o.extra_bits
    buffer_reads = buffer_reads + o.extra_bits + o.inside_bits
    buffer_writes = buffer_writes + o.extra_bits + o.also_bits + results * (not o.out_moves)
    vector = o.vector_cycles + (again > 0) * problem.again_cycles
    busy = array + vector + sums if mapping.turns else max(array, vector, sums)
    ends = core_ends(problem, machine)
    wait = first_wait(problem, machine) if not mapping.turns else 0
    if problem.beside is not None and not mapping.turns:
        wait = share_of(array + vector + sums - busy, grain, B * M)
    dma = machine.dma_cycles(reads + writes)
    ports = machine.port_cycles(buffer_reads, buffer_writes, local_reads, local_writes)
    registers = plain(np.ravel(core_registers(problem, *block, machine))[0])
    energy = machine.energy_pj(reads + writes, buffer_reads, buffer_writes, registers, (local_reads, local_writes))
    return CoreMapped(
        mapping=mapping,
        passes=1 + int(again),
        cycles=max(busy, dma, *ports, 1) + ends.cycles(machine) + wait,
        end_cycles=ends.cycles(machine) + wait,
        array_cycles=array + sums if mapping.turns else max(array, sums),
        vector_cycles=vector,
        dma_cycles=dma,
        read_port_cycles=ports[0],
        write_port_cycles=ports[1],
        read_bits=reads,
        write_bits=writes,
        buffer_bytes=room,
        buffer_read_bits=buffer_reads,
        buffer_write_bits=buffer_writes,
        register_bits=registers,
        local_read_bits=local_reads,
        local_write_bits=local_writes,
        local_read_cycles=ports[2],
        local_write_cycles=ports[3],
        local_bytes=own_room,
        energy_pj=energy + (problem.arithmetic_pj + (again > 0) * problem.again_pj),
        each_cycles=(array,) if problem.beside is None else (array, sums),
    )


def plain(number: Any) -> Any:
    """An int of Python; what remembers how it was made stays as it is."""
    return number.item() if isinstance(number, np.generic) else number


def core_ends(problem: CoreProblem, machine: Machine) -> Ends:
    """First operands of the scores; fill and drain of the sums, of two arrays of both; last results."""
    o, (M, N, d) = problem.operands, dims_of(problem)
    scores = Operands(
        *(o.q_bits, o.k_bits, o.accumulator_bits, 0, o.q_moves, o.k_moves), on_array=o.scores_on_array
    )
    sums = Operands(
        *(o.between_bits, o.v_bits, o.accumulator_bits, o.out_bits, False, o.v_moves, o.out_moves),
        on_array=o.values_on_array,
    )
    first = ends_of(Problem(Product(M, N, d), problem.B, scores), machine)
    sums_on = sums_machine(problem.beside, machine)
    last = ends_of(Problem(Product(M, problem.D, N), problem.B, sums, problem.whole_rows), sums_on)
    tail = last.tail_cycles if problem.beside is None else first.tail_cycles + last.tail_cycles
    return Ends(first.first_bits, tail, last.last_bits)


def first_rows(problem: CoreProblem, machine: Machine) -> int:
    """Rows of scores that the array makes first: those of a fold."""
    M, N, d = dims_of(problem)
    array = fold_array(Product(M, N, d), machine.array, machine.dataflow)
    return int(min(M, array.C if machine.dataflow == "is" else array.R))


def first_wait(problem: CoreProblem, machine: Machine) -> int:
    """Cycles in which the array that does both products waits for the vector unit's work on the first rows."""
    M = problem.scores.M
    if not problem.operands.values_on_array:
        return 0
    return -(-problem.operands.vector_cycles * first_rows(problem, machine) // (problem.B * M))


def core_is_legal(problem: CoreProblem, mapping: CoreMapping, machine: Machine) -> bool:
    blocked = mapping.keys < problem.scores.N
    sums_on = sums_machine(problem.beside, machine)
    if blocked and (problem.statistics is None or not whole_folds(mapping.keys, sums_on)):
        return False
    found = evaluate_core(problem, mapping, machine)
    return found.buffer_bytes <= machine.buffer_bytes and found.local_bytes <= machine.local_bytes


def whole_folds(keys: int, machine: Machine) -> bool:
    """Whether sums over keys are cut between folds, where these are summed in order."""
    return machine.dataflow == "os" or keys % machine.array.R == 0
