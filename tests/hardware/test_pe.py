"""PE kinds: each record agrees with its own term, and with what was synthesised."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from costmodel.dtypes import Int
from costmodel.errors import BadTarget
from costmodel.hardware.pe import PE_KINDS, add_pe, pe_resources, units_of
from costmodel.widths.policy import range_of, type_of

pytestmark = pytest.mark.quick


def test_resources_of_pes() -> None:
    """Figures of the synthesis; what was not synthesised as one is the sum of its parts, and says so."""
    assert [pe_resources((k,), False).lut for k in ("mac", "l1", "relu", "clip")] == [168, 40, 40, 39]
    assert (pe_resources(("mac",), True).lut, pe_resources(("mac",), True).dsp) == (24, 1)
    assert pe_resources(("l1", "relu"), False).lut == pe_resources(("l1", "clip", "relu"), True).lut == 41
    assert pe_resources(("mac", "l1", "clip", "relu"), True).lut == 74
    summed = pe_resources(("mac", "l1", "clip", "relu"), False)
    assert (summed.lut, summed.dsp) == (168 + 41, 0)
    assert "sum of parts" in summed.includes


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
