"""Kinds of PE: what each does with a pair of operands a and b, and what it is made of. All kinds accumulate.

One record a kind is all that counting, mapping, pricing and simulation know of it. To add one, register a record
here, give its op the trait `pe=` in `ops/rules.py`, and for FPGAs add its row to `technology/fpga/xc7.toml`.

Of the kinds that sum over keys a is z, the shift of a query and a key, and b is v, a value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from costmodel.dtypes import Int
from costmodel.errors import BadTarget
from costmodel.ops.registry import enter
from costmodel.technology.memories import PeResources, synthesised_pe

TermWork = tuple[str, Int, int]  # a scalar operation, its type, how many of them a term takes


@dataclass(frozen=True)
class PeKind:
    """One kind of PE."""

    name: str
    formula: str  # of the term, for people
    term: Callable[[int, int], int]  # what is added to the sum: the specification, in plain integers
    work: Callable[[Int, Int], tuple[TermWork, ...]]  # scalar operations of one term, by the types of a and b
    bound: Callable[[int, int], int]  # the largest |term|, by the largest |a| and |b|
    signed: bool  # a term can be below 0, so that a sum can
    int8: tuple[Int, Int]  # types of a and b in an int8 product
    units: tuple[TermWork, ...]  # functional units beside the accumulator, for its area
    fpga: str = ""  # the kind under which FPGA resources are listed; empty where nothing was synthesised
    fpga_beside: str = ""  # the same in a PE of several kinds, where that differs


PE_KINDS: dict[str, PeKind] = {}


def add_pe(kind: PeKind) -> PeKind:
    """Register a kind of PE.

    Raises:
        ValueError: there is one of this name.
    """
    return enter(PE_KINDS, "kind of PE", kind.name)(kind)


INT8, UINT8 = Int(8), Int(8, signed=False)
SUBTRACTOR: tuple[TermWork, ...] = (("add", INT8, 2),)  # one that also compares or takes the absolute value


def shifted(a: Int, b: Int) -> Int:
    """The type in which b is compared with a and -a, or a is taken from b: a gets a sign."""
    return Int(max(b.bits, a.bits + 1))


def distance(a: Int, b: Int) -> Int:
    """The type of |a - b|, for whole ranges of both types."""
    (low_a, high_a), (low_b, high_b) = ends(a), ends(b)
    return Int(max(high_a - low_b, high_b - low_a).bit_length(), signed=False)


def ends(kind: Int) -> tuple[int, int]:
    """The smallest and largest number of a type."""
    return (-(1 << (kind.bits - 1)), (1 << (kind.bits - 1)) - 1) if kind.signed else (0, (1 << kind.bits) - 1)


add_pe(
    PeKind(
        name="mac",
        formula="a b",
        term=lambda a, b: a * b,
        work=lambda a, b: (("mul", Int(max(a.bits, b.bits)), 1),),
        bound=lambda a, b: a * b,
        signed=True,
        int8=(INT8, INT8),
        units=(("mul", INT8, 1),),
        fpga="mac",
    )
)
add_pe(
    PeKind(
        name="l1",
        formula="|a - b|",
        term=lambda a, b: abs(a - b),
        work=lambda a, b: (("add", distance(a, b), 1), ("abs", distance(a, b), 1)),
        bound=lambda a, b: a + b,
        signed=False,
        int8=(INT8, INT8),
        units=SUBTRACTOR,
        fpga="l1",
    )
)
add_pe(
    PeKind(
        name="clip",
        formula="clip(b, -a, a)",
        term=lambda a, b: max(-a, min(b, a)),
        work=lambda a, b: (("cmp", shifted(a, b), 2),),
        bound=min,
        signed=True,
        int8=(Int(7, signed=False), INT8),  # a shift beyond the largest value changes nothing
        units=SUBTRACTOR,
        fpga="clip",
        fpga_beside="relu",  # a signed subtraction that stops at 0 does what an unsigned one does
    )
)
add_pe(
    PeKind(
        name="relu",
        formula="max(b - a, 0)",
        term=lambda a, b: max(b - a, 0),
        work=lambda a, b: (("add", shifted(a, b), 1), ("cmp", shifted(a, b), 1)),
        bound=lambda a, b: a + b,
        signed=False,
        int8=(UINT8, INT8),
        units=SUBTRACTOR,
        fpga="relu",
    )
)


def in_order(kinds: Iterable[str]) -> tuple[PeKind, ...]:
    """The records of some kinds, in the order in which they were registered."""
    wanted = set(kinds)
    return tuple(kind for name, kind in PE_KINDS.items() if name in wanted)


def units_of(kinds: Iterable[str]) -> dict[tuple[str, Int], int]:
    """Functional units of a PE that does several kinds of term: of each unit as many as one kind needs."""
    found: dict[tuple[str, Int], int] = {}
    for kind in in_order(kinds):
        for op, width, n in kind.units:
            found[op, width] = max(n, found.get((op, width), 0))
    return found


def pe_resources(kinds: tuple[str, ...], dsp: bool) -> PeResources:
    """FPGA resources of a PE that does some kinds of term, with a DSP for its multiplier or without.

    Raises:
        BadTarget: of one kind nothing was synthesised.
    """
    parts = set()
    for kind in in_order(kinds):
        if not kind.fpga:
            raise BadTarget(f"what a PE of kind {kind.name} takes on an FPGA is not known: no row names it")
        parts.add(kind.fpga_beside or kind.fpga if len(kinds) > 1 else kind.fpga)
    return synthesised_pe(frozenset(parts), dsp)
