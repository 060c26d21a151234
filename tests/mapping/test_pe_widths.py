"""The types that a model asks of PEs: by hand for each mechanism and policy."""

from __future__ import annotations

import pytest

import costmodel as cm
from costmodel.compare.machine import machine_record
from costmodel.dtypes import Float, Int
from costmodel.errors import BadTarget
from costmodel.hardware.loading import load_target
from costmodel.hardware.pe import INT8_WIDTHS, PeWidths
from costmodel.mapping.cost import price
from costmodel.mapping.pe_widths import pe_widths
from costmodel.mapping.schedule import schedule
from costmodel.widths.assign import Typed, assign_widths, width_counts
from costmodel.widths.policy import parse_policy

EDGE = load_target("edge-asic")


def typed(attention: str, widths: str) -> Typed:
    return assign_widths(cm.trace("distilbert-tiny", attention=attention, seq=8).graph, parse_policy(widths))


def test_weights_of_four_bits_narrow_a_multiplier_that_no_activations_share() -> None:
    """dot multiplies q by k too, so that its PEs stay 8 x 8; the inhibitor multiplies by weights only."""
    assert pe_widths(typed("dot", "w4a8"), EDGE).of("mac") == (Int(8), Int(8))
    assert pe_widths(typed("inhibitor", "w4a8"), EDGE).of("mac") == (Int(8), Int(4))
    assert pe_widths(typed("inhibitor", "w4a8"), EDGE).of("l1") == (Int(8), Int(8))
    assert pe_widths(typed("dot", "w4a4"), EDGE).of("mac") == (Int(4), Int(4))
    assert pe_widths(typed("dot", "w8a8:acc=20"), EDGE).accumulator == Int(20)
    assert pe_widths(typed("dot", "w8a8:acc=exact"), EDGE).accumulator.bits > 16
    assert pe_widths(typed("dot", "bf16"), EDGE) == PeWidths(*2 * [Float(16, brain=True)], Float(32))
    plain = pe_widths(typed("dot", "w8a8"), EDGE)
    assert (plain.of("mac"), plain.accumulator) == (INT8_WIDTHS.of("mac"), INT8_WIDTHS.accumulator)


def test_area_and_energy_grow_with_the_widths() -> None:
    pe, array = [], []
    for widths in ("w4a4", "w4a8", "w8a8", "w16a16", "fp32"):
        model = typed("inhibitor", widths)
        record = machine_record(model, schedule(model, EDGE))
        assert record.area_mm2 is not None
        assert record.energy_pj.array is not None
        pe.append(record.area_mm2.pe)
        array.append(record.energy_pj.array.nominal_pj)
    assert pe == sorted(pe)
    assert array == sorted(array)
    assert len(set(pe)) == len(set(array)) == 5


def test_counts_are_those_of_equal_widths() -> None:
    """Only the price of a multiplication knows both widths: as many are counted, and each between 4 and 8 bits."""
    sums: dict[str, int] = {}
    for widths in ("w8a8", "w4a8"):
        for (op, kind), n in width_counts(typed("dot", widths)).items():
            if op == "mul" and kind in ("int8", "int8xint4"):
                sums[widths] = sums.get(widths, 0) + n
    assert sums["w8a8"] == sums["w4a8"]
    narrow, wide = (price(m, schedule(m, EDGE)) for m in (typed("dot", "w4a8"), typed("dot", "w8a8")))
    assert "mul int8xint4" in narrow.interpolated
    low, high = narrow.sum_of(["array"]), wide.sum_of(["array"])
    assert low is not None
    assert high is not None
    assert low.nominal_pj < high.nominal_pj


def test_floats_on_an_fpga_are_refused() -> None:
    model, target = typed("dot", "fp32"), load_target("xc7z020-lut")
    with pytest.raises(BadTarget, match="none was synthesised; use widths of integers such as w8a8") as caught:
        machine_record(model, schedule(model, target))
    assert "\n" not in str(caught.value)
