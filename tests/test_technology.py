"""Cost tables: sources, ranges, and the published rows they copy."""

from __future__ import annotations

import copy
import re
import tomllib
from pathlib import Path

import pytest

from costmodel.counts import ARITHMETIC, Counts
from costmodel.errors import UnknownTable
from costmodel.technology import (
    DATA,
    add_up,
    load_table,
    parse_table,
    price_arithmetic,
    price_traffic,
    score_terms,
    table_names,
)

pytestmark = pytest.mark.quick
COSTS = Path(__file__).parent.parent.parent / "shared" / "energy" / "costs.yaml"
RECORD = tomllib.loads((DATA / "horowitz45.toml").read_text(encoding="utf-8"))
SHORT = {"float16": "fp16", "float32": "fp32", "bfloat16": "bf16"}


@pytest.mark.parametrize("name", table_names())
def test_every_row_has_a_source_and_an_order(name: str) -> None:
    table = load_table(name)
    assert table.source
    assert table.includes
    assert table.evidence
    for estimate in table.estimates:
        assert estimate.low <= estimate.nominal <= estimate.high
        assert "estimate" in estimate.source
    for memory in table.memories:
        assert memory.low_pj <= memory.energy_pj <= memory.high_pj
    dtype = table.ops[0].dtype
    for op in ARITHMETIC:
        energy = table.price(op, dtype)
        assert 0 <= energy.low_pj <= energy.nominal_pj <= energy.high_pj


@pytest.mark.skipif(not COSTS.exists(), reason="the collection of published costs is not beside this checkout")
@pytest.mark.parametrize("name", table_names())
def test_rows_equal_the_collected_ones(name: str) -> None:
    text = COSTS.read_text(encoding="utf-8")
    found = {}
    for entry in re.split(r"^- name: ", text, flags=re.M)[1:]:
        label, body = entry.split("\n", 1)
        energy = re.search(r"^  energy_pj: ([\d.e-]+)$", body, re.M)
        span = re.search(r"energy_pj_range:\s*\n?\s*-?\s*\[?([\d.]+)[,\s-]+([\d.]+)", body)
        found[label] = float(energy[1]) if energy else (float(span[1]), float(span[2])) if span else None
    table = load_table(name)
    for row in table.ops:
        if name == "nangate45" and row.op == "abs":
            bits = row.dtype[3:]
            difference = found[f"nangate45_u_absdiff_{bits}"] - found[f"nangate45_u_sub_{bits}"]
            assert row.energy_pj == pytest.approx(difference)
        else:
            assert found[label_of(name, row.op, row.dtype)] == row.energy_pj
    labels = {
        "horowitz45": {"sram-8KiB": "cache_8KB", "sram-32KiB": "cache_32KB", "sram-1MiB": "cache_1MB",
                       "dram": "dram"},
        "jouppi7": {"sram-8KiB": "sram_8KB", "sram-32KiB": "sram_32KB", "sram-1MiB": "sram_1MB", "dram": "ddr",
                    "hbm2": "hbm2", "gddr6": "gddr6"},
    }.get(name, {})  # fmt: skip
    for memory in table.memories:
        if name == "seneca22":
            published = (found["seneca22_dmem_load16"], found["seneca22_dmem_store16"])
        else:
            published = found[f"{name}_{labels[memory.name]}"]
        expected = published if isinstance(published, tuple) else (published, published)
        assert (memory.low_pj, memory.high_pj) == expected


def label_of(table: str, op: str, dtype: str) -> str:
    """The name of a row in the collection."""
    if table == "seneca22":
        labels = {"cmp": "gth_max_min", "abs": "eql_abs"}
        return f"seneca22_{labels.get(op, 'add_sub_mul_fp16')}"
    if table == "aladdin40":
        return "accelergy40_" + {"add": "adder", "mul": "multiplier", "cmp": "comparator"}[op]
    if table == "nangate45":
        return f"nangate45_u_{op}_{dtype[3:]}"
    return f"{table}_{SHORT.get(dtype, dtype)}_{op}"


def test_prices_by_hand() -> None:
    table = load_table("horowitz45")
    parts = price_arithmetic(table, [("float32", Counts(mul=2, add=3)), ("float32", Counts(cmp=10, exp=1))])
    assert list(parts) == ["published", "cmp", "exp, erf, tanh, log, trig, div, sqrt"]
    assert parts["cmp"].low_pj == 0
    energy = add_up(parts.values())
    assert energy.nominal_pj == pytest.approx(2 * 3.7 + 3 * 0.9 + 10 * 0.9 + 4.47)
    assert energy.low_pj == pytest.approx(2 * 3.7 + 3 * 0.9 + 1)
    assert energy.high_pj == pytest.approx(2 * 3.7 + 3 * 0.9 + 10 * 0.9 + 20)
    assert price_traffic(table, 16).low_pj == pytest.approx(2600)
    assert price_traffic(table, 16, "sram-8KiB").nominal_pj == pytest.approx(20)


def test_score_terms() -> None:
    """The figures of the survey: int8 with a 32-bit accumulator, fp16 on SENECA's ALU column."""
    expected = {"horowitz45": (0.300, 0.160), "jouppi7": (0.100, 0.044), "aladdin40": (1.0025, 0.315)}
    for name, (dot, manhattan) in expected.items():
        term = score_terms(load_table(name))[0]
        assert (term.operands, term.accumulator) == ("int8", "int32")
        assert term.dot.nominal_pj == pytest.approx(dot)
        assert term.manhattan.nominal_pj == pytest.approx(manhattan)
        assert term.interpolated == (name == "aladdin40")
    (seneca,) = score_terms(load_table("seneca22"))
    assert (seneca.operands, seneca.dot.nominal_pj, seneca.manhattan.nominal_pj) == ("float16", 1.0, 1.2)


def test_interpolation() -> None:
    table = load_table("horowitz45")
    assert table.interpolate("mul", 8).nominal_pj == 0.2
    assert table.interpolate("mul", 32).nominal_pj == 3.1
    # QKeras' quadratic fit of the same two rows: 0.002994791667 b^2 + 0.001041666667 b
    for bits in (4, 12, 16, 24):
        fit = 0.002994791667 * bits**2 + 0.001041666667 * bits
        assert table.interpolate("mul", bits).nominal_pj == pytest.approx(fit, rel=1e-6)
    assert table.interpolate("add", 24).nominal_pj == pytest.approx((0.05 + 0.1) / 2)
    assert table.interpolate("add", 4).nominal_pj == pytest.approx(0.015)
    assert table.interpolate("cmp", 24).high_pj == table.interpolate("add", 24).nominal_pj
    assert table.interpolate("cmp", 24).low_pj == 0
    with pytest.raises(UnknownTable, match="table seneca22 has no row for mul of int8"):
        load_table("seneca22").interpolate("mul", 8)


def test_missing_rows_are_errors() -> None:
    table = load_table("horowitz45")
    with pytest.raises(UnknownTable, match="table horowitz45 has no row for mul of bfloat16"):
        table.price("mul", "bfloat16")
    with pytest.raises(UnknownTable, match="table horowitz45 has no memory 'hbm2'; known: sram-8KiB"):
        table.memory("hbm2")
    with pytest.raises(UnknownTable, match="unknown table 'horowits'; known: aladdin40, horowitz45"):
        load_table("horowits")


def broken(section: str, key: str, value: object) -> dict:
    record = copy.deepcopy(RECORD)
    record[section][0][key] = value
    return record


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (broken("op", "source", " "), "bad: row 1 has an empty source"),
        (broken("op", "energy_pj", -1), "bad: row 1 has a negative energy_pj"),
        (broken("memory", "color", "red"), "bad is no cost table: TypeError"),
        ({k: v for k, v in RECORD.items() if k != "node_nm"}, "bad is no cost table: KeyError: 'node_nm'"),
        ({**RECORD, "op": 3}, "bad is no cost table: TypeError"),
    ],
)
def test_a_bad_table_says_which_row(record: dict, message: str) -> None:
    with pytest.raises(UnknownTable) as caught:
        parse_table(record, "bad")
    assert str(caught.value).startswith(message)
