"""A core on two arrays: scores on one, sums over keys on another, at once in a pipeline of blocks.

While the first array makes the scores of block i + 2, the vector unit works on block i + 1, and the second array
sums block i. What lies in the buffer then is

    accumulators of scores: of i + 2, which the first array fills, and of i + 1, which the vector unit reads;
    what lies between:      of i + 1, which the vector unit writes, and of i, which the second array reads.

Two places of each, as on one array, which makes i + 1 and sums i - 1 while the vector unit works on i: block i + 2
takes the places that block i has left. Statistics are those of two blocks, for one block's may be gathered while
another's are in use. Of values that stream as many are there as the second array takes at a time, twice.

Time is that of the slowest of first array, vector unit and second array, and what nothing hides. That is, beside
the first operands and the last results, the fill and drain of both arrays, and the way of a *grain* of rows
through the two that are not the slowest: what comes before the slowest lets it begin later, what comes behind it
ends later. A grain is what an array needs whole, or leaves whole: R rows of scores where outputs stay, C where the
first operand does, all of a block where the second one stays and rows stream. So it is where keys come in blocks;
and where these are outside, it is all rows of a head. Of both arrays the larger grain counts. For it the two take
their share of the rows:

    cycles = slowest + (scores + lanes + sums - slowest) * grain / rows of all heads

Where arrays and lanes take turns (`turns`) there is one block, and their cycles are summed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from costmodel.hardware.timing import ArrayShape
from costmodel.mapping.nest_records import Machine

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Beside:
    """The array on which the sums over keys run, where it is not that of the scores."""

    array: ArrayShape
    dataflow: str


def sums_machine(beside: Beside | None, machine: Machine) -> Machine:
    """The machine as the sums over keys see it."""
    if beside is None:
        return machine
    return Machine(
        *(beside.array, beside.dataflow, machine.convention, machine.buffer_bytes),
        *(machine.bandwidth_mb_s, machine.clock_mhz),
        local_bytes=machine.local_bytes,
    )


def grain_of(
    rows: Array, M: int, cut: Array, outside: bool, one: tuple[ArrayShape, str], two: tuple[ArrayShape, str]
) -> Array:
    """Rows of a grain, for blocks of so many rows.

    Args:
        cut: where keys come in blocks.
        outside: blocks of keys are outside those of rows.
        one, two: the parts of both arrays that run, and their dataflows.
    """
    if "ws" in (one[1], two[1]):
        grain = rows + 0 * cut
    else:
        grain = np.minimum(rows, max(array.C if flow == "is" else array.R for array, flow in (one, two)))
    return np.where(cut, M if outside else rows, grain)


def share_of(others: int, grain: int, rows: int) -> int:
    """Cycles that the units which are not the slowest take for a grain, of so many rows in all."""
    return -(-others * grain // rows)
