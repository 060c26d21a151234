"""Our mapper on the pairs of mappers.toml: what it finds, as a nest that the witness counts.

One thing differs between our model and that of `tests.witness.nests`. Under os we count no room for the sums
that lie in the array's registers, where the array adds all of K; the witness, as the tools do, gives one fold of
them a place in the buffer.
"""

from __future__ import annotations

from dataclasses import dataclass

from costmodel.hardware.timing import ArrayShape, Product
from costmodel.mapping.front import best_mapping
from costmodel.mapping.nest_records import Machine, Mapped, Mapping, Operands, Problem
from tests.bench.mappers import least_found
from tests.witness.nests import LACKS, Pair, count

INNER = {"ws": "knm", "os": "nmk", "is": "kmn"}  # loops over folds of the array, and what streams
STEPS = 32
NAMES = {"a": "A", "b": "B", "out": "C"}


@dataclass(frozen=True)
class Compared:
    """The least energy that a tool found for a pair, and ours, each as a nest."""

    pair: str
    ours_pj: float  # sums in registers take no room
    fitting_pj: float  # they do, as for the tools
    theirs_pj: float
    fitting: str
    theirs: str

    @property
    def ratio(self) -> float:
        return self.ours_pj / self.theirs_pj

    @property
    def fitting_ratio(self) -> float:
        return self.fitting_pj / self.theirs_pj


def problem_of(pair: Pair) -> Problem:
    operands = Operands(pair.a_bits, pair.b_bits, pair.sum_bits, pair.out_bits, b_bypasses=pair.b_bypasses)
    return Problem(Product(pair.M, pair.N, pair.K), 1, operands)


def machine_of(pair: Pair, buffer_bytes: int) -> Machine:
    """Tools know no time: bandwidth and clock are large and do not matter for energy."""
    array, price = ArrayShape(pair.R, pair.C), pair.buffer_pj / 8
    return Machine(array, pair.flow, "array", buffer_bytes, 1 << 20, 500, price, price, pair.dram_pj / 8)


def fits(pair: Pair, mapping: Mapping) -> bool:
    """Whether the witness, too, finds room for it."""
    return count(pair, nest_of(pair, mapping)).room_bytes <= pair.buffer_bytes


def best_of(pair: Pair, room: int) -> Mapped:
    return best_mapping(problem_of(pair), machine_of(pair, room), "energy")


def best_fitting(pair: Pair) -> Mapped:
    """Our best mapping for which the witness finds room, too: in a buffer that is less by up to a fold of sums.

    Buffers are tried from the largest, in steps of a part of a fold; the first that does is taken.
    """
    found = best_of(pair, pair.buffer_bytes)
    fold = -(-pair.R * pair.C * pair.sum_bits // 8)
    less = 0
    while not fits(pair, found.mapping):
        less += -(-fold // STEPS)
        found = best_of(pair, pair.buffer_bytes - less)
    return found


def nest_of(pair: Pair, mapping: Mapping) -> str:
    """A mapping in the witness's words."""
    order = mapping.order.lower()
    size = {"m": mapping.M, "n": mapping.N, "k": mapping.K}
    left = {"m": pair.M, "n": pair.N, "k": pair.K}
    held = {NAMES[operand] for operand in mapping.held}
    in_array = pair.flow == "os" and mapping.K == pair.K
    place = {tensor: order.index(dim) if tensor in held else 3 for tensor, dim in LACKS.items()}
    if order[2] == "k" and mapping.K < pair.K:
        place["C"] = 2  # stays while k runs
    words: list[str] = []
    if mapping.along:
        dim = mapping.along.lower()
        left[dim] = mapping.tiles * size[dim]
        words.append(f"{dim}:{left[dim]}")
    for at in range(4):
        words += [
            f"[{tensor}]"
            for tensor in "ABC"
            if place[tensor] == at and not (tensor == "B" and pair.b_bypasses) and not (tensor == "C" and in_array)
        ]
        if at < 3 and size[order[at]] < left[order[at]]:
            left[order[at]] = size[order[at]]
            words.append(f"{order[at]}:{left[order[at]]}")
    for at, dim in enumerate(INNER[pair.flow]):
        if at == 2 and in_array:
            words.append("[C]")
        if pair.most(dim) < left[dim]:
            words.append(f"{dim}:{pair.most(dim)}")
    return " ".join(words)


def compared() -> list[Compared]:
    found = []
    for pair, theirs, best in least_found():
        ours, fitting = best_of(pair, pair.buffer_bytes), best_fitting(pair)
        nest = nest_of(pair, fitting.mapping)
        found.append(Compared(best.pair, ours.energy_pj, fitting.energy_pj, theirs, nest, best.nest))
    return found


def rows() -> list[str]:
    """The table of MAPPING.md."""
    lines = [
        "| pair | theirs, µJ | ours / theirs | the same, sums in registers take room | theirs | ours, with room |"
    ]
    lines.append("|---|---:|---:|---:|---|---|")
    for c in compared():
        figures = f"{c.theirs_pj / 1e6:.6g} | {c.ratio:.4f} | {c.fitting_ratio:.4f}"
        lines.append(f"| {c.pair} | {figures} | `{c.theirs}` | `{c.fitting}` |")
    return lines
