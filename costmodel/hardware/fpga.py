"""What a PE takes on an FPGA, by the types of its operands and of its accumulator.

PEs were synthesised for int8 with sums of 24 bits. Other widths are an estimate: a LUT a bit of the accumulator
(as in the rows of `acc`), the multiplier in LUTs by the rows of `mul` of 4, 8 and 16 bits, what subtracts by those
of `absdiff`; `Table.at_width` says how between. Nothing was synthesised in floats: they are refused.
"""

from __future__ import annotations

import math
from dataclasses import replace

from costmodel.dtypes import Float, Int, IntPair, product_type
from costmodel.errors import BadTarget
from costmodel.hardware.pe import INT8_WIDTHS, PE_KINDS, PeWidths, in_order
from costmodel.technology.elements import fpga_units
from costmodel.technology.memories import PeResources, multiplying, pe_rows, summed_pe
from costmodel.technology.tables import at_width

ROW_BITS, ROW_SUM_BITS = 8, 24  # of the operands and sums of what was synthesised
DSP_BITS = (25, 18)  # of the factors of a DSP48E1, signed; AMD UG479
PACKED_BITS = 8  # of the operands of two products in one DSP, at most
CARRY4_BITS = 4  # bits of a sum that one takes
Pair = tuple[str, Int, Int]  # a row, and the types of a and b that it takes


def pe_resources(kinds: tuple[str, ...], dsp: bool, widths: PeWidths = INT8_WIDTHS) -> PeResources:
    """FPGA resources of a PE that does some kinds of term, with a DSP for its multiplier or without.

    Raises:
        BadTarget: of one kind, or of such types, nothing was synthesised.
    """
    pairs = []
    for kind in in_order(kinds):
        if not kind.fpga:
            raise BadTarget(f"what a PE of kind {kind.name} takes on an FPGA is not known: no row names it")
        if kind.stands_for and not dsp:
            raise BadTarget(f"a PE of kind {kind.name} needs a DSP: say use_dsp = true, or take {kind.stands_for}")
        row = kind.fpga_beside or kind.fpga if len(kinds) > 1 else kind.fpga
        pairs.append((row, *checked_types(kind.name, dsp, widths)))
    rows = pe_rows(frozenset(row for row, _, _ in pairs), dsp)
    return scaled(rows, tuple(pairs), widths.accumulator.bits)


def checked_types(kind: str, dsp: bool, widths: PeWidths) -> tuple[Int, Int]:
    """The types of a and b of one kind of term, if a PE for them is known."""
    a, b = widths.of(kind)
    if isinstance(a, Float) or isinstance(b, Float) or isinstance(widths.accumulator, Float):
        raise BadTarget(
            f"what a PE of {widths.describe([kind])} takes on an FPGA is not known: none was synthesised; "
            "use widths of integers such as w8a8, or an ASIC"
        )
    wide, narrow = max(a.bits, b.bits), min(a.bits, b.bits)
    if PE_KINDS[kind].stands_for and wide > PACKED_BITS:
        raise BadTarget(
            f"a PE of kind {kind} takes operands of at most {PACKED_BITS} bits, not {a} and {b}: two products of "
            f"more do not fit one DSP; take kinds with {PE_KINDS[kind].stands_for}, or narrower widths"
        )
    if dsp and (wide > DSP_BITS[0] or narrow > DSP_BITS[1]):
        raise BadTarget(
            f"a DSP multiplies {DSP_BITS[0]} by {DSP_BITS[1]} bits, not {a} by {b}; use narrower widths"
        )
    return a, b


def scaled(rows: tuple[PeResources, ...], pairs: tuple[Pair, ...], sum_bits: int) -> PeResources:
    """Resources for other types than the rows have; the one accumulator of all kinds is counted once."""
    whole, more = summed_pe(rows), sum_bits - ROW_SUM_BITS
    luts = float(more)
    for row in rows:
        times = max((share(row, a, b) for name, a, b in pairs if name in row.kinds), default=1.0)
        luts += ROW_SUM_BITS + (row.lut - ROW_SUM_BITS) * times
    if luts == whole.lut and not more:
        return whole
    return replace(
        whole,
        lut=math.ceil(luts - 1e-9),
        ff=max(0, whole.ff + max(a.bits + b.bits for _, a, b in pairs) - 2 * ROW_BITS + more),
        carry4=max(0, whole.carry4 + math.ceil(more / CARRY4_BITS)),
        includes=f"estimate: scaled from int8 with sums of {ROW_SUM_BITS} bits by its units; {whole.includes}",
    )


def share(row: PeResources, a: Int, b: Int) -> float:
    """Of the LUTs that a row has beside its accumulator: those for operands a and b over those for int8."""
    if row.dsp == 0 and not multiplying().isdisjoint(row.kinds):
        kind = product_type(a, b)
        return unit_luts("mul", kind) / unit_luts("mul", Int(ROW_BITS))
    return unit_luts("absdiff", Int(max(a.bits, b.bits))) / unit_luts("absdiff", Int(ROW_BITS))


def unit_luts(op: str, kind: Int) -> float:
    """LUTs of one operation without a DSP, between the widths that were synthesised."""
    rows = {unit.bits: float(unit.lut) for unit in fpga_units() if unit.op == op}
    return at_width(rows, op, kind.bits, kind.narrow if isinstance(kind, IntPair) else None)
