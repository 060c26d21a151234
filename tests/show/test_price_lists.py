"""`costmodel tables`: every figure can be seen in every form; own syntheses say that they are."""

from __future__ import annotations

import csv
import io
import json

import pytest

from costmodel.technology.elements import asic_pes, fpga_units
from costmodel.technology.figures import LISTINGS, figures
from costmodel.technology.loading import load_table, table_names
from tests.collected import collection, needs_collection
from tests.paths import SHARED

pytestmark = pytest.mark.quick
SYNTHESES = SHARED / "validation" / "pe-synthesis.md"


@pytest.mark.parametrize("name", LISTINGS)
def test_every_figure_is_in_every_form(cli, name: str) -> None:
    listed = figures(name)
    assert len(listed) > 10
    assert json.loads(cli("tables", name, "--format", "json").out)[name][0]["unit"] == listed[0].unit
    rows = list(csv.DictReader(io.StringIO(cli("tables", name, "--format", "csv").out)))
    assert [(r["name"], r["unit"], float(r["value"])) for r in rows] == [(f.name, f.unit, f.value) for f in listed]
    assert all(r["source"].strip() and r["evidence"].strip() and r["includes"].strip() for r in rows)
    for form in ("table", "md"):
        text = cli("tables", name, "--format", form).out
        for figure in listed:
            assert figure.low <= figure.value <= figure.high
            assert all(part in text for part in (figure.name, figure.unit, f"{figure.value:.6g}", figure.source))


@pytest.mark.parametrize("name", [*table_names(), "horowitz45@7nm"])
def test_every_row_of_a_table_is_in_every_form(cli, name: str) -> None:
    table = load_table(name)
    (record,) = json.loads(cli("tables", name, "--format", "json").out)["tables"]
    assert len(record["ops"]) == len(table.ops)
    rows = list(csv.DictReader(io.StringIO(cli("tables", name, "--format", "csv").out)))
    assert all(r["source"].strip() and r["unit"] and r["node_nm"] == str(table.node_nm) for r in rows)
    assert len(rows) == len(table.ops) + len(table.memories) + sum(len(e.ops) for e in table.estimates)
    for form in ("table", "md"):
        text = cli("tables", name, "--format", form).out
        assert table.source in text
        assert f"{table.node_nm} nm" in text
        for row in (*table.ops, *table.memories, *table.estimates):
            assert row.source == "as the table" or row.source in text
        assert all(row.op in text for row in table.ops)


def test_a_scaled_table_is_marked_in_every_form(cli) -> None:
    for form in ("table", "json", "csv", "md"):
        text = cli("tables", "horowitz45@7nm", "--format", form).out
        assert "SCALED from 45 nm, 0.9 V to 7 nm, 0.7 V" in text
        assert "underestimates Jouppi" in text


def test_own_syntheses_say_so() -> None:
    for row in (*fpga_units(), *asic_pes()):
        assert row.source
        assert row.includes
        assert "unpublished" in row.evidence


@needs_collection
def test_fpga_units_equal_the_collected_ones() -> None:
    published = {name: row for name, row in collection().items() if name.startswith("xc7")}
    assert {unit.row for unit in fpga_units()} == set(published)
    for unit in fpga_units():
        row = published[unit.row]
        assert unit.bits == row["bits"]
        assert (unit.lut, unit.carry4, unit.dsp) == (row["luts"], row["carry4"], row["dsp48"])
        assert unit.lut_sites == row["lut_sites"]


@pytest.mark.skipif(not SYNTHESES.exists(), reason="the report of the syntheses is not beside this checkout")
def test_pes_equal_the_report() -> None:
    lines = [line.strip("| ").split(" | ") for line in SYNTHESES.read_text(encoding="utf-8").splitlines()]
    by_library = {line[0].split()[0]: line[1:5] for line in lines if len(line) == 10}
    pes = {(pe.library, pe.kind): pe for pe in asic_pes()}
    libraries = {pe.library for pe in asic_pes()}
    assert len(libraries) == 7
    for library in libraries:
        ours = [pes[library, kind].energy_pj for kind in ("mac", "l1", "relu", "clip")]
        assert ours == [float(cell) for cell in by_library[library]]
    (mac,) = [line for line in lines if line[0].startswith("MAC 8x8+24")]
    ours = pes["osu018", "mac"]
    assert (str(ours.energy_pj), f"{ours.area_um2:g}") == (mac[5], mac[2])
    assert mac[4].startswith(f"{ours.delay_ns}")
