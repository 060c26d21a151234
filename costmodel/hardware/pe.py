"""Kinds of PE: what each does with a pair of operands a and b, and what it is made of. All kinds accumulate.

One record a kind is all that counting, mapping, pricing and simulation know of it. To add one, register a record
here, give its op the trait `pe=` in `ops/rules.py`, and for FPGAs add its row to `technology/fpga/xc7.toml`.

Of the kinds that sum over keys a is z, the shift of a query and a key, and b is v, a value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from costmodel.dtypes import Float, Int, IntPair, product_type
from costmodel.ops.registry import enter
from costmodel.technology.tables import QUADRATIC

TermWork = tuple[str, Int, int]  # a scalar operation, its type, how many of them a term takes
Number = Int | Float


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
    units: tuple[TermWork, ...]  # functional units beside the accumulator in an int8 product, for its area
    fpga: str = ""  # the kind under which FPGA resources are listed; empty where nothing was synthesised
    fpga_beside: str = ""  # the same in a PE of several kinds, where that differs
    stands_for: str = ""  # the kind whose products it takes, where it is another way to build that one


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


MAC = add_pe(
    PeKind(
        name="mac",
        formula="a b",
        term=lambda a, b: a * b,
        work=lambda a, b: (("mul", product_type(a, b), 1),),
        bound=lambda a, b: a * b,
        signed=True,
        int8=(INT8, INT8),
        units=(("mul", INT8, 1),),
        fpga="mac",
    )
)
# Two int8 products with one factor in common in one DSP48: (x 2^16 + y) z is x z 2^16 + y z, and x z is one
# too small where y z is below 0 (Fu et al., AMD WP486, 2017).
add_pe(replace(MAC, name="mac2", formula="a b, two in a DSP", fpga="mac2", stands_for="mac"))
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


def terms_of(kinds: Iterable[str]) -> tuple[str, ...]:
    """The kinds of term that PEs of some kinds do; a name that is not known stays."""
    return tuple(PE_KINDS[kind].stands_for or kind if kind in PE_KINDS else kind for kind in kinds)


def term_kinds() -> tuple[str, ...]:
    """Kinds of PE that are not another way to build one."""
    return tuple(name for name, kind in PE_KINDS.items() if not kind.stands_for)


@dataclass(frozen=True)
class PeWidths:
    """Types that a PE is built for: of a and b, of its accumulator; `operands` where a kind has its own."""

    a: Number
    b: Number
    accumulator: Number
    operands: tuple[tuple[str, Number, Number], ...] = ()
    sums: tuple[tuple[str, Number], ...] = ()  # of the accumulator, where kinds of term need it of their own

    def on(self, kinds: Iterable[str]) -> PeWidths:
        """The types of an array whose PEs do some kinds of term: its accumulator is as wide as these need it."""
        own = [kind for name, kind in self.sums if name in set(kinds)]
        return replace(self, accumulator=max(own, key=lambda kind: kind.bits)) if own else self

    def of(self, kind: str) -> tuple[Number, Number]:
        """The types of a and b of one kind of term."""
        name = PE_KINDS[kind].stands_for or kind
        return next(((a, b) for own, a, b in self.operands if own == name), (self.a, self.b))

    def describe(self, kinds: Iterable[str]) -> str:
        """`int8 x int4 with sums of int32`, by kind where kinds differ."""
        found: dict[str, list[str]] = {}
        for kind in kinds:
            found.setdefault(" x ".join(map(str, self.of(kind))), []).append(kind)
        if len(found) == 1:
            (text,) = found
        else:
            text = ", ".join(f"{types} ({' '.join(names)})" for types, names in found.items())
        return f"{text} with sums of {self.accumulator}"


# Of w8a8, and what is taken where no model is known.
INT8_WIDTHS = PeWidths(INT8, INT8, Int(32))


def unit_type(op: str, stated: Int, a: Number, b: Number) -> Number:
    """The type of a functional unit for operands a and b, where the record states it for int8."""
    if isinstance(a, Float) or isinstance(b, Float):
        return max((x for x in (a, b) if isinstance(x, Float)), key=lambda kind: kind.bits)
    more = stated.bits - INT8.bits
    if op.split("/")[0] in QUADRATIC:
        return product_type(Int(a.bits + more, a.signed), Int(b.bits + more, b.signed))
    return Int(max(a.bits, b.bits) + more)


def wider(first: Number, second: Number) -> Number:
    """The type of a unit that does for both."""
    if isinstance(first, Float) or isinstance(second, Float):
        return max(first, second, key=lambda kind: kind.bits)
    narrow = max(kind.narrow if isinstance(kind, IntPair) else kind.bits for kind in (first, second))
    return product_type(Int(max(first.bits, second.bits)), Int(narrow))


def units_of(kinds: Iterable[str], widths: PeWidths = INT8_WIDTHS) -> dict[tuple[str, Number], int]:
    """Functional units of a PE that does several kinds of term, beside its accumulator.

    Of each unit as many as one kind needs, each as wide as the widest kind needs it.
    """
    needed: dict[str, list[Number]] = {}
    for kind in in_order(kinds):
        own: dict[str, list[Number]] = {}
        for op, stated, n in kind.units:
            own.setdefault(op, []).extend([unit_type(op, stated, *widths.of(kind.name))] * n)
        for op, types in own.items():
            types.sort(key=lambda kind: -kind.bits)
            there = needed.setdefault(op, [])
            shared = [wider(x, y) for x, y in zip(there, types, strict=False)]
            needed[op] = shared + there[len(shared) :] + types[len(shared) :]
    found: dict[tuple[str, Number], int] = {}
    for op, types in needed.items():
        for number in types:
            found[op, number] = found.get((op, number), 0) + 1
    return found
