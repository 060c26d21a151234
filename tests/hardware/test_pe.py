"""PE kinds: each record agrees with its own term, and with what was synthesised."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmodel.dtypes import Float, Int
from costmodel.errors import BadTarget
from costmodel.hardware.fpga import pe_resources
from costmodel.hardware.loading import load_target
from costmodel.hardware.occupancy import resources
from costmodel.hardware.pe import INT8, PE_KINDS, PeWidths, add_pe, units_of
from costmodel.technology.elements import fpga_units
from costmodel.technology.loading import load_table
from costmodel.technology.memories import PeResources
from costmodel.widths.policy import range_of, type_of

pytestmark = pytest.mark.quick
AREAS = load_table("horowitz45")


SYNTHESISED = PeWidths(INT8, INT8, Int(24))


def test_resources_of_pes() -> None:
    """Figures of the synthesis; what was not synthesised as one is the sum of its parts, and says so."""

    def made(kinds: tuple[str, ...], dsp: bool) -> PeResources:
        return pe_resources(kinds, dsp, SYNTHESISED)

    assert [made((k,), False).lut for k in ("mac", "l1", "relu", "clip")] == [168, 40, 40, 39]
    assert (made(("mac",), True).lut, made(("mac",), True).dsp) == (24, 1)
    assert made(("l1", "relu"), False).lut == made(("l1", "clip", "relu"), True).lut == 41
    assert made(("mac", "l1", "clip", "relu"), True).lut == 74
    summed = made(("mac", "l1", "clip", "relu"), False)
    assert (summed.lut, summed.dsp) == (168 + 41, 0)
    assert "sum of parts" in summed.includes
    assert "estimate" not in made(("mac",), False).includes


def test_resources_follow_the_widths() -> None:
    """A LUT a bit of the sum; the multiplier by 26, 134 and 614 LUTs of 4, 8 and 16 bits; absdiff by 2 a bit."""
    for bits, luts in ((4, 26), (8, 134), (16, 614)):
        for sums in (16, 24, 32, 40):
            widths = PeWidths(Int(bits), Int(bits), Int(sums))
            assert pe_resources(("mac",), False, widths).lut == math.ceil(144 * luts / 134 + sums - 1e-9)
            assert pe_resources(("l1",), False, widths).lut == 2 * bits + sums
            assert pe_resources(("mac",), True, widths).lut == sums
    rows = {(unit.op, unit.bits): unit.lut for unit in fpga_units()}  # whole MACs
    whole = pe_resources(("mac",), False, PeWidths(Int(16), Int(16), Int(40)))
    assert whole.lut == pytest.approx(rows["mac", 16], rel=0.02)
    assert "estimate: scaled" in whole.includes


@given(st.integers(2, 16), st.integers(2, 16), st.integers(8, 48), st.booleans())
def test_wider_operands_never_take_less(a: int, b: int, sums: int, dsp: bool) -> None:
    kinds = ("mac", "l1", "clip", "relu")
    widths = PeWidths(Int(a), Int(b), Int(sums))
    least = pe_resources(kinds, dsp, widths)
    area = sum(n * AREAS.area(op, str(kind)) for (op, kind), n in units_of(kinds, widths).items())
    for more in (PeWidths(Int(a + 1), Int(b), Int(sums)), PeWidths(Int(a), Int(b), Int(sums + 1))):
        assert pe_resources(kinds, dsp, more).lut >= least.lut
        wider = sum(n * AREAS.area(op, str(kind)) for (op, kind), n in units_of(kinds, more).items())
        assert wider >= area - 1e-9
    turned = pe_resources(kinds, dsp, PeWidths(Int(b), Int(a), Int(sums)))
    assert turned.lut == least.lut


def test_what_has_no_figure_is_refused_in_one_line() -> None:
    floats = PeWidths(Float(32), Float(32), Float(32))
    for call, message in (
        (lambda: pe_resources(("mac",), False, floats), "none was synthesised; use widths of integers"),
        (lambda: pe_resources(("mac",), True, floats), "PE of float32 x float32"),
        (lambda: pe_resources(("mac2",), False), "needs a DSP: say use_dsp = true, or take mac"),
        (lambda: pe_resources(("mac2",), True, PeWidths(Int(16), INT8, Int(32))), "at most 8 bits"),
    ):
        with pytest.raises(BadTarget, match=message) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_two_products_share_a_dsp() -> None:
    """x 2^16 + y times z holds both products of int8, the upper one less 1 where the lower is negative."""
    for x, y, z in itertools.product((-128, -127, -1, 0, 1, 127), repeat=3):
        packed = (x << 16) + y
        assert -(1 << 24) <= packed < 1 << 24  # the 25 bits of a DSP48E1
        low = ((packed * z + (1 << 15)) % (1 << 16)) - (1 << 15)
        assert low == y * z
        assert ((packed * z) >> 16) + (low < 0) == x * z
    one, two = (load_target(f"xc7z020:kinds={kind},array=10x10") for kind in ("mac", "mac2"))
    assert one.kinds == two.kinds == ("mac",)
    assert two.pe_kinds == ("mac2",)
    assert resources(two)["dsp"] == resources(one)["dsp"] / 2 == 50
    assert resources(two)["lut"] - resources(one)["lut"] == 100 * 24
    assert resources(load_target("xc7z020:kinds=mac2,array=3x3"))["dsp"] == 5  # half a DSP is a whole one
    assert PE_KINDS["mac2"].term(3, -5) == PE_KINDS["mac"].term(3, -5)
    assert PE_KINDS["mac2"].work(Int(8), Int(4)) == PE_KINDS["mac"].work(Int(8), Int(4))


@pytest.mark.parametrize("name", list(PE_KINDS))
def test_bound_and_sign_are_those_of_the_term(name: str) -> None:
    """Over all pairs of small integers; where a is a shift it is not below 0."""
    kind = PE_KINDS[name]
    shifts = name in ("clip", "relu")
    for top_a, top_b in itertools.product(range(6), range(6)):
        pairs = itertools.product(range(0 if shifts else -top_a, top_a + 1), range(-top_b, top_b + 1))
        terms = [kind.term(a, b) for a, b in pairs]
        worst = max(map(abs, terms))
        assert worst <= kind.bound(top_a, top_b) if name == "relu" else worst == kind.bound(top_a, top_b)
        assert kind.signed or min(terms) >= 0
    assert kind.signed == any(kind.term(a, b) < 0 for a in (1, 2) for b in (-2, -1))


@pytest.mark.parametrize("bits", range(2, 9))
def test_a_distance_has_the_width_that_its_record_says(bits: int) -> None:
    for a, b in itertools.product((Int(bits), Int(bits, signed=False), Int(8)), repeat=2):
        (_, width, _), _ = PE_KINDS["l1"].work(a, b)
        q, k = range_of(a, 0), range_of(b, 0)
        assert width == type_of(0, max(q.high - k.low, k.high - q.low))


def test_kinds_share_units_and_a_second_record_is_refused() -> None:
    assert units_of(("l1", "clip", "relu")) == units_of(("l1",))
    assert units_of(("clip", "mac")) == units_of(("mac",)) | units_of(("relu",))
    with pytest.raises(ValueError, match="there is a kind of PE 'mac' already"):
        add_pe(PE_KINDS["mac"])


def test_a_kind_that_was_not_synthesised_does_not_go_on_an_fpga(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PE_KINDS, "gold", replace(PE_KINDS["l1"], name="gold", fpga=""))
    with pytest.raises(BadTarget, match="what a PE of kind gold takes on an FPGA is not known"):
        pe_resources(("mac", "gold"), True)
