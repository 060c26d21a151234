"""Area and resources by widths, SRAM against its cells, sources of targets, registers against the walk."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmodel.dtypes import Float, Int, IntPair, parse, product_type
from costmodel.errors import BadTarget, DoesNotFit, UnknownTable
from costmodel.hardware.accelerator import Part
from costmodel.hardware.loading import WORDS, load_target, target_names
from costmodel.hardware.occupancy import area_of, check_fits, memory_prices, resources, sram_area_at
from costmodel.hardware.pe import PeWidths
from costmodel.hardware.records import target_record
from costmodel.hardware.registers import register_energy, register_work, registers_how
from costmodel.hardware.timing import DATAFLOWS, ArrayShape, Product
from costmodel.technology.loading import load_table
from costmodel.technology.memories import bit_cell, sram_price
from costmodel.technology.tables import Energy
from sim.machine.walk import walk
from tests.paths import ROOT

pytestmark = pytest.mark.quick
INT32, FP32 = Int(32), Float(32)


@pytest.mark.parametrize(
    ("widths", "um2"),
    [
        (PeWidths(Int(4), Int(4), INT32), 137 + 91.6875 + 2 * 18),  # interpolated
        (PeWidths(Int(8), Int(8), INT32), 137 + 282 + 2 * 36),  # all of the table
        (PeWidths(Int(16), Int(16), INT32), 137 + 958.5 + 2 * 67),  # the multiplier interpolated
        (PeWidths(Float(16), Float(16), FP32), 4184 + 1640 + 2 * 1360),
        (PeWidths(FP32, FP32, FP32), 4184 + 7700 + 2 * 4184),
    ],
)
def test_area_is_the_sum_of_the_units(widths: PeWidths, um2: float) -> None:
    """Horowitz's areas: accumulator, multiplier, a subtractor that compares."""
    area = area_of(load_target("edge-asic"), widths)
    assert area is not None
    assert area.pe_mm2 == pytest.approx(1024 * um2 * 1e-6)
    exact = (str(widths.a)) in ("int8", "float16", "float32")
    assert ("interpolated" in area.how) != exact


def test_an_area_that_no_table_has_is_refused() -> None:
    brain = Float(16, brain=True)
    with pytest.raises(UnknownTable, match="no area of mul of bfloat16 is published in horowitz45"):
        area_of(load_target("edge-asic"), PeWidths(brain, brain, FP32))


def test_a_multiplier_of_two_widths_lies_between_the_square_ones() -> None:
    """By the product of its widths: 8 x 4 is the geometric mean of 4 x 4 and 8 x 8; 4 x 16 is 8 x 8."""
    table = load_table("horowitz45")
    square, linear = (3.1 / 32 - 0.2 / 8) / 24, 0.2 / 8 - 8 * (3.1 / 32 - 0.2 / 8) / 24
    for wide, narrow in ((8, 4), (8, 2), (16, 8), (16, 4)):
        found = table.interpolate("mul", wide, narrow).nominal_pj
        assert found == pytest.approx(square * wide * narrow + linear * (wide * narrow) ** 0.5)
        assert table.interpolate("mul", narrow).nominal_pj < found < table.interpolate("mul", wide).nominal_pj
    assert table.interpolate("mul", 16, 4) == table.interpolate("mul", 8)
    assert load_table("accelforge").interpolate("mul", 8, 4).nominal_pj == pytest.approx(0.084 / 2)


@given(st.integers(1, 32), st.integers(1, 32), st.booleans(), st.booleans())
def test_the_type_of_a_product_reads_back(a: int, b: int, first: bool, second: bool) -> None:
    kind = product_type(Int(a, first), Int(b, second))
    assert kind.bits == max(a, b)
    assert parse(str(kind)) == kind
    if isinstance(kind, IntPair):
        assert min(a, b) <= kind.narrow < kind.bits
    assert kind == product_type(Int(b, second), Int(a, first))


def test_what_does_not_fit_at_some_widths_is_refused() -> None:
    target = load_target("xc7z020-lut")
    check_fits(target)
    with pytest.raises(DoesNotFit, match=r"lut of 37240 usable on XC7Z020 with PEs of int16 x int16") as caught:
        check_fits(target, PeWidths(Int(16), Int(16), INT32))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", target_names())
def test_sram_takes_more_than_its_cells(name: str) -> None:
    target = load_target(name)
    area = area_of(target)
    if area is None:
        assert target.part is not None
        return
    cell = bit_cell(target.node_nm)
    assert cell is not None
    assert area.buffer_mm2 * 1e6 * cell.array_efficiency >= 8 * target.buffer_bytes * cell.area_um2 * (1 - 1e-12)


def test_sixteen_mebibytes_at_7_nm() -> None:
    area = area_of(load_target("server-asic"))
    assert area is not None
    assert area.buffer_mm2 == pytest.approx(16 * 2**20 * 8 * 0.027e-6 / 0.73)
    assert "bit cells of 0.027" in area.how


@pytest.mark.parametrize("name", target_names())
def test_every_figure_of_a_target_has_a_source(name: str) -> None:
    target = load_target(name)
    said = dict(target.sources)
    for field in (
        "node_nm",
        "clock_mhz",
        "array",
        "kinds",
        "lanes",
        "slow_cycles",
        "buffer_kib",
        "buffer_read_bytes",
        "buffer_write_bytes",
        "bandwidth_mb_s",
    ):
        assert said[field].strip()
    if target.part is not None:
        assert {f for f in Part.__dataclass_fields__ if f not in WORDS} <= said.keys()
    assert target_record(target).sources == said


LOCAL = "local_kib=16,local_read_bytes=128,local_write_bytes=64"


def test_a_local_memory_has_its_own_size_ports_price_and_area() -> None:
    with_one, without = load_target(f"edge-asic:{LOCAL}"), load_target("edge-asic")
    prices, area, before = memory_prices(with_one), area_of(with_one), area_of(without)
    assert prices is not None
    assert area is not None
    assert before is not None
    assert prices.local_read == prices.local_write == sram_price("horowitz45", 16 * 1024).per_byte
    assert prices.local_read.nominal_pj < prices.buffer_read.nominal_pj  # it is the smaller memory
    assert area.local_mm2 * 1e6 == pytest.approx(sram_area_at(45, 16 * 1024)[0])
    assert area.total_mm2 == pytest.approx(before.total_mm2 + area.local_mm2)
    registers, local, buffer, dram = target_record(with_one).levels
    assert (local.level, local.bytes) == ("local memory of sums", 16 * 1024)
    assert (local.read_bytes_per_cycle, local.write_bytes_per_cycle) == (128, 64)
    assert (local.read_pj, buffer.read_pj) == (prices.local_read, prices.buffer_read)
    assert [level.level for level in target_record(without).levels] == [registers.level, buffer.level, dram.level]
    fpga = load_target(f"xc7z020:{LOCAL}")
    assert resources(fpga)["bram36"] == resources(load_target("xc7z020"))["bram36"] + 4
    with pytest.raises(DoesNotFit, match="bram36"):
        load_target("xc7z020:local_kib=4096,local_read_bytes=128,local_write_bytes=64")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("edge-asic:local_kib=16", "lacks local_read_bytes, local_write_bytes of its local memory"),
        ("edge-asic:local_read_bytes=16", "lacks local_kib, local_write_bytes of its local memory"),
        ("edge-asic:local_kib=0", "local_kib = 0 is not a whole number"),
        (f"tpu-v4i-accelforge:{LOCAL}", "states prices of its memories, but not those of its local memory"),
    ],
)
def test_half_a_local_memory_is_refused(text: str, message: str) -> None:
    with pytest.raises(BadTarget, match=message):
        load_target(text)


def test_a_file_states_the_prices_of_a_local_memory(tmp_path: Path) -> None:
    text = (ROOT / "costmodel/hardware/targets/tpu-v4i-accelforge.toml").read_text(encoding="utf-8")
    sizes = "local_kib = 16\nlocal_read_bytes = 128\nlocal_write_bytes = 64\n"
    said = "".join(f'{line.split(" = ")[0]} = "a test"\n' for line in sizes.splitlines())
    text = text.replace("buffer_kib", sizes + "buffer_kib", 1).replace("[sources]\n", "[sources]\n" + said)
    text = text.replace("[prices]\n", "[prices]\nlocal_read_pj = 0.25\nlocal_write_pj = 0.5\n")
    path = tmp_path / "own.toml"
    path.write_text(text, encoding="utf-8")
    prices = memory_prices(load_target(str(path)))
    assert prices is not None
    assert (prices.local_read, prices.local_write) == (Energy(2.0, 2.0, 2.0), Energy(4.0, 4.0, 4.0))


def test_a_target_without_a_source_is_refused() -> None:
    text = (ROOT / "costmodel/hardware/targets/edge-asic.toml").read_text(encoding="utf-8")
    varied = dict(load_target("edge-asic:lanes=8").sources)
    assert "as given" in varied["lanes"]
    assert varied["array"] == dict(load_target("edge-asic").sources)["array"]
    assert 'slow_cycles = "ours' in text


@pytest.mark.parametrize(
    ("cut", "message"),
    [
        ('lanes = "', r"\[sources\] lacks lanes; say where it is from, or 'ours: ...'"),
        ("[sources]", r"lacks \[sources\]: for each field where it is from"),
    ],
)
def test_a_source_that_lacks_is_named(tmp_path, cut: str, message: str) -> None:
    text = (ROOT / "costmodel/hardware/targets/edge-asic.toml").read_text(encoding="utf-8")
    head, _, tail = text.partition("[sources]")
    kept = [line for line in tail.splitlines() if not line.startswith(cut)]
    path = tmp_path / "mine.toml"
    path.write_text(head + ("" if cut == "[sources]" else "[sources]" + "\n".join(kept)), encoding="utf-8")
    with pytest.raises(BadTarget, match=message):
        load_target(str(path))


def test_the_buffer_carries_a_range() -> None:
    prices = memory_prices(load_target("edge-asic"))
    assert prices is not None
    assert prices.buffer_read.low_pj < prices.buffer_read.nominal_pj == prices.buffer_read.high_pj
    assert "cacti-45lop" in prices.how[0]


SIZES = st.integers(1, 40)


@given(
    st.builds(Product, SIZES, SIZES, SIZES),
    st.builds(ArrayShape, st.integers(1, 9), st.integers(1, 9)),
    st.sampled_from(DATAFLOWS),
)
def test_register_writes_are_those_of_the_walk(product: Product, array: ArrayShape, dataflow: str) -> None:
    """The closed form and the fold by fold walk, which the stepped array holds."""
    way, found = walk(product, array, dataflow), register_work(product, array, dataflow)
    assert (found.a, found.b, found.sums) == (way.a_writes, way.b_writes, way.sum_register_writes)


def test_registers_are_priced_where_a_table_has_them() -> None:
    work = register_work(Product(2, 3, 4), ArrayShape(2, 3), "os")
    assert work.bits(8, 8, 32) == 24 * (8 + 8 + 32)
    priced = register_energy(load_table("aladdin40"), work.bits(8, 8, 32))
    assert priced is not None
    assert priced.nominal_pj == pytest.approx(24 * 48 * 0.009)
    assert register_energy(load_table("horowitz45"), 1) is None
    assert "horowitz45 has no row" in registers_how(load_target("edge-asic"))
    assert "names no table" in registers_how(load_target("xc7z020"))
