"""Memories: the rows of the collection, known figures, fits recomputed, monotone in capacity; PEs on FPGAs."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmodel.errors import UnknownTable
from costmodel.technology.memories import (
    bit_cells,
    dram_kinds,
    dram_price,
    sram_area_um2,
    sram_names,
    sram_price,
    sram_rows,
    synthesised,
    synthesised_pe,
    wires,
)
from tests.collected import collection, needs_collection

pytestmark = pytest.mark.quick
FITS, POINTS = sram_rows()
KIB = 1024


def test_every_figure_has_a_source() -> None:
    rows = [*FITS, *POINTS, *dram_kinds(), *wires(), *synthesised()]
    assert all(row.source.strip() and row.evidence.strip() and row.includes.strip() for row in rows)
    assert all("unpublished" in row.evidence for row in synthesised())
    assert all("unpublished" in row.evidence for row in FITS)


@needs_collection
def test_points_dram_and_wires_are_rows_of_the_collection() -> None:
    for point in POINTS:
        assert collection()[point.row]["energy_pj"] == point.energy_pj
        assert collection()[point.row]["bits"] == point.access_bits
        assert (collection()[point.row]["node_nm"], collection()[point.row]["vdd"]) == (point.node_nm, point.vdd)
    for wire in wires():
        assert collection()[wire.row]["energy_pj"] == wire.pj_per_bit_mm
        assert collection()[wire.row]["node_nm"] == wire.node_nm
        assert collection()[wire.row]["vdd"] == wire.vdd
    for kind in dram_kinds():
        bits = []
        for name in kind.row.replace(",", " ").split():
            row = collection()[name]
            assert row["verified"]
            bits += [pj / row["bits"] for pj in (row.get("energy_pj_range") or [row["energy_pj"]])]
        assert (min(bits), max(bits)) == pytest.approx((kind.low_pj, kind.high_pj))


@needs_collection
def test_no_wire_is_lacking() -> None:
    published = {name for name, row in collection().items() if row["op"] == "wire" and row["verified"]}
    assert published == {wire.row for wire in wires()}


@needs_collection
@pytest.mark.parametrize("fit", FITS, ids=lambda fit: fit.name)
def test_fits_are_those_of_the_runs(fit) -> None:
    """Least squares in logarithms over the runs, as the README of the collection states them."""
    runs = []
    for name, row in collection().items():
        found = re.fullmatch(rf"cacti7_{fit.name[6:8]}_{fit.name[8:]}_(\d+)B", name)
        if found:
            runs.append((int(found[1]), row["energy_pj"] / 8, row["area_um2"]))
    assert len(runs) == 14
    size, energy, area = np.array(sorted(runs)).T
    x = np.log(size / 8192)
    slope, level = np.polyfit(x, np.log(energy), 1)
    assert (fit.k_pj_per_byte, fit.exponent) == pytest.approx((math.exp(level), slope), rel=2e-3)
    stated = np.array([sram_price(fit.name, int(c)).per_byte.nominal_pj for c in size])
    assert np.abs(stated / energy - 1).max() <= fit.max_error + 0.005
    slope, level = np.polyfit(x, np.log(area), 1)
    assert (fit.area_um2, fit.area_exponent) == pytest.approx((math.exp(level), slope), rel=1e-3)
    stated = np.array([sram_area_um2(fit.name, int(c))[0] for c in size])
    assert np.abs(stated / area - 1).max() <= fit.area_max_error + 0.001


def test_published_capacities_are_exact() -> None:
    price = sram_price("horowitz45", 8 * KIB)
    assert (2 * price.per_byte.nominal_pj, price.how.split("; ")[0], price.node_nm) == (2.5, "published", 45)
    assert sram_price("jouppi7", 1024 * KIB).per_byte.nominal_pj == 14 / 8
    assert sram_price("cacti-45hp", 8 * KIB).per_byte.nominal_pj == 0.553
    assert dram_price("ddr3").per_byte.nominal_pj * 8 == 1300
    assert 2 * dram_price("horowitz45-dram").per_byte.low_pj == 325  # two bytes from DRAM


def test_between_and_beyond_points_is_said() -> None:
    between, beyond = sram_price("horowitz45", 16 * KIB), sram_price("horowitz45", 4096 * KIB)
    assert "interpolated between 8 and 32 KiB" in between.how
    assert between.per_byte.nominal_pj == pytest.approx(1.25 * math.sqrt(2))  # half way in logarithms
    assert "extrapolated from 32 and 1024 KiB" in beyond.how
    assert "beyond the fitted" in sram_price("cacti-22hp", 64 << 20).how


@given(st.sampled_from([n for n in sram_names() if n not in ("keckler40", "dally14")]), st.integers(256, 1 << 25))
def test_a_larger_sram_costs_more(name: str, capacity: int) -> None:
    more = sram_price(name, 2 * capacity).per_byte.nominal_pj
    assert more > sram_price(name, capacity).per_byte.nominal_pj
    area, larger = sram_area_um2(name, capacity), sram_area_um2(name, 2 * capacity)
    assert (area is None) == (larger is None) == (not name.startswith("cacti"))
    if area is not None and larger is not None:
        assert larger[0] > area[0]


def test_a_price_spans_the_sources_of_its_node_that_hold() -> None:
    """Nominal is the source that is named; low and high are the least and the most of all."""
    own = {name: sram_price(name, 512 * KIB).per_byte for name in ("horowitz45", "cacti-45hp", "cacti-45lop")}
    nominal = [energy.nominal_pj for energy in own.values()]
    for energy in own.values():
        assert (energy.low_pj, energy.high_pj) == (min(nominal), max(nominal))
    by_hand = [0.553 * 64**0.535, 0.310986 * 64**0.5443, 2.5 * 16 ** (math.log(5) / math.log(32))]
    assert sorted(nominal) == pytest.approx(sorted(by_hand))
    assert "over cacti-45hp, cacti-45lop, horowitz45" in sram_price("horowitz45", 512 * KIB).how
    for name, capacity in (("jouppi7", 512 * KIB), ("horowitz45", 16 << 20), ("keckler40", 8 * KIB)):
        alone = sram_price(name, capacity).per_byte  # no other source of the node holds there
        assert alone.low_pj == alone.nominal_pj == alone.high_pj


def test_cells_are_smaller_than_macros() -> None:
    """The array efficiency is that of CACTI's own cell, 146 F^2, in its fit at 45 nm; areas fall with the node."""
    (fit,) = (f for f in FITS if f.name == "cacti-45hp")
    efficiency = 146 * 0.045**2 / (fit.area_um2 / (8 * 8192))
    cells = sorted(bit_cells(), key=lambda cell: -cell.node_nm)
    assert all(cell.array_efficiency == pytest.approx(efficiency, rel=0.01) for cell in cells)
    areas = [cell.area_um2 for cell in cells]
    assert areas == sorted(areas, reverse=True)
    assert all(cell.source.strip() and cell.evidence.strip() for cell in cells)


def test_a_pe_that_was_not_synthesised_is_refused() -> None:
    with pytest.raises(UnknownTable, match=r"xc7\.toml has no PE of gold; known: clip, l1, mac, mac2, relu"):
        synthesised_pe(frozenset(("mac", "gold")), False)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sram_price("gold", 8), "unknown SRAM 'gold'; known: horowitz45"),
        (lambda: sram_area_um2("gold", 8), "unknown SRAM 'gold'"),
        (lambda: dram_price("ddr9"), "unknown DRAM 'ddr9'; known: ddr3"),
        (lambda: sram_price("keckler40", 16 * KIB), "published at 8192 bytes only"),
    ],
)
def test_unknown_memories(call, message: str) -> None:
    with pytest.raises(UnknownTable, match=message):
        call()
