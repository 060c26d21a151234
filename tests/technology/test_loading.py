"""Cost tables: sources, ranges, and the published rows they copy."""

from __future__ import annotations

import copy
import math
import tomllib
from pathlib import Path

import pytest

from costmodel.errors import UnknownTable
from costmodel.ops.counts import ARITHMETIC, Counts
from costmodel.technology.loading import (
    DATA,
    load_table,
    parse_table,
    price_arithmetic,
    price_traffic,
    score_terms,
    table_names,
)
from costmodel.technology.scaling import area_factor, energy_at, energy_factor, scale_table, stillmaker
from costmodel.technology.tables import add_up
from tests.collected import collection, needs_collection, whole_collection

pytestmark = pytest.mark.quick
RECORD = tomllib.loads((DATA / "horowitz45.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", table_names())
def test_every_row_has_a_source_and_an_order(name: str) -> None:
    table = load_table(name)
    assert table.source
    assert table.includes
    assert table.evidence
    for estimate in table.estimates:
        assert estimate.low <= estimate.nominal <= estimate.high
        assert estimate.source
    assert all(row.source.strip() for row in (*table.ops, *table.estimates, *table.memories))
    for memory in table.memories:
        assert memory.low_pj <= memory.energy_pj <= memory.high_pj
    dtype = table.ops[0].dtype
    for op in ARITHMETIC:
        energy = table.price(op, dtype)
        assert 0 <= energy.low_pj <= energy.nominal_pj <= energy.high_pj


@needs_collection
@pytest.mark.parametrize("name", table_names())
def test_rows_equal_the_collected_ones(name: str) -> None:
    collected = collection()
    table = load_table(name)
    for row in table.ops:
        if not row.row:
            continue
        if " - " in row.row:
            one, other = (collected[label]["energy_pj"] for label in row.row.split(" - "))
            assert row.energy_pj == pytest.approx(one - other)
        elif row.row.endswith(" (note)"):
            note = collected[row.row.removesuffix(" (note)")]["note"]
            assert f"share = {row.energy_pj:g} pJ" in note
        else:
            entry = collected[row.row]
            assert row.energy_pj == entry["energy_pj"]
            assert entry["node_nm"] == table.node_nm
            assert entry["vdd"] == table.vdd
            assert row.area_um2 in (entry["area_um2"] or 0, 0)
            assert entry["verified"]
            if row.low_pj is not None:
                assert f"power x cycle = {row.low_pj:.4g} pJ" in entry["note"]
    for memory in table.memories:
        entries = [collected[label] for label in memory.row.split(", ")] if memory.row else []
        values = [
            v for e in entries for v in (e["energy_pj_range"] if e["energy_pj"] is None else [e["energy_pj"]])
        ]
        if values:
            assert (memory.low_pj, memory.high_pj) == (min(values), max(values))
            assert all(e["bits"] == memory.access_bits for e in entries)


OURS = ("horowitz45", "jouppi7", "aladdin40", "seneca22", "nangate45")


@pytest.mark.parametrize("name", OURS)
def test_every_figure_names_the_row_that_it_copies(name: str) -> None:
    table = load_table(name)
    assert all(row.row for row in (*table.ops, *table.memories))


# Rows of the collection that no table takes: what was not found, and rounded copies of a row that is there.
LEFT_OUT = {
    "horowitz45_int16_mul",
    *("aladdin40_add_1ns", "aladdin40_mul_1ns", "aladdin40_reg_1ns"),  # the Accelergy rows, with more digits
    *("accelergy40_int8_mul_quadratic", "accelergy40_int8_add_linear"),  # our own interpolation
}


@needs_collection
@pytest.mark.parametrize("name", OURS)
def test_no_row_is_lacking(name: str) -> None:
    table = load_table(name)
    rows = " ".join(row.row for row in (*table.ops, *table.memories)).replace(",", " ").split()
    prefixes = (name, "accelergy40") if name == "aladdin40" else (name,)
    assert {label for label in collection() if label.startswith(prefixes)} - set(rows) <= LEFT_OUT


@pytest.mark.parametrize(("name", "low", "high"), [("horowitz45", 0.03, 1.25), ("jouppi7", 0.007, 0.9375)])
def test_a_lookup_lies_between_an_add_and_a_cache(name: str, low: float, high: float) -> None:
    table = load_table(name)
    price = table.price("lookup", "int8")
    assert price == table.interpolate("lookup", 8)
    assert (price.low_pj, price.high_pj) == (low, high)
    assert low == table.price("add", "int8").nominal_pj
    assert high == table.memory("sram-8KiB").per_byte().nominal_pj
    assert price.nominal_pj == pytest.approx(math.sqrt(low * high), rel=1e-3)


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
    with pytest.raises(UnknownTable, match="unknown table 'horowits'; known: "):
        load_table("horowits")


# A user's own table

OWN = """
title = "mine"
node_nm = 28
vdd = 0.9
includes = "the unit"
evidence = "own run"
source = "our log of May"
{header}
[[op]]
op = "add"
dtype = "int8"
energy_pj = 0.02
kind = "measured"
source = "as the table"
[[op]]
op = "mul"
dtype = "int8"
energy_pj = 0.1
kind = "measured"
source = "as the table"
{rows}
"""


def own_table(folder: Path, header: str = "", rows: str = "") -> str:
    path = folder / "mine.toml"
    path.write_text(OWN.format(header=header, rows=rows), encoding="utf-8")
    return str(path)


def test_a_table_of_ones_own(tmp_path: Path) -> None:
    path = own_table(tmp_path)
    table = load_table(path)
    assert table.name == path
    assert table.price("mul", "int8").nominal_pj == 0.1
    assert table.interpolate("mul", 16).nominal_pj == pytest.approx(0.4)
    with pytest.raises(UnknownTable, match="have no 28 nm node; known: 180, 130"):
        load_table(f"{path}@7nm")


def op_row(*changes: tuple[str, str]) -> str:
    """A third row of operations, with some fields changed, added, or (as an empty text) left out."""
    fields = {"op": '"cmp"', "dtype": '"int8"', "energy_pj": "0.1", "kind": '"x"', "source": '"s"'} | dict(changes)
    return "[[op]]\n" + "\n".join(f"{k} = {v}" for k, v in fields.items() if v)


def memory_row(access_bits: str) -> str:
    numbers = f"access_bits = {access_bits}\nenergy_pj = 1\nlow_pj = 1\nhigh_pj = 1"
    return f'[[memory]]\nname = "m"\n{numbers}\nincludes = "x"\nsource = "s"'


SPOT = "[[op]] row 3 (cmp int8)"
BAD = {
    op_row(("source", "")): f"{SPOT}: source is missing",
    op_row(("source", '" "')): f"{SPOT}: source is empty",
    op_row(("energy_pj", "-0.1")): f"{SPOT}: energy_pj is negative: -0.1",
    op_row(("energy_pj", "nan")): f"{SPOT}: energy_pj is nan",
    op_row(("energy_pj", "inf")): f"{SPOT}: energy_pj is inf",
    op_row(("energy_pj", "1" * 400)): f"{SPOT}: energy_pj is too large",
    op_row(("energy_pj", '"0.1"')): f"{SPOT}: energy_pj is text, not a number",
    op_row(("energy_pj", "true")): f"{SPOT}: energy_pj is true or false, not a number",
    op_row(("kind", "[1]")): f"{SPOT}: kind is a list, not text",
    op_row(("color", '"red"')): f"{SPOT}: unknown field 'color'; known: op, dtype, energy_pj",
    op_row(("low_pj", "0.2")): f"{SPOT}: the range 0.2 to 0.1 does not hold 0.1",
    op_row(("op", '"mull"')): "[[op]] row 3 (mull int8): unknown op 'mull'; known: mul, add, cmp",
    op_row(("op", '"mul/"')): "[[op]] row 3 (mul/ int8): unknown op 'mul/'",
    op_row(("dtype", '"int0"')): "[[op]] row 3 (cmp int0): unknown dtype 'int0'; known: intN, uintN, float64",
    op_row(("dtype", "8")): "[[op]] row 3 (cmp): dtype is a whole number, not text",
    op_row(("op", '"mul"')): "[[op]] row 3 (mul int8) is there already, as row 2",
    '[[estimate]]\nops = ["exp"]\nlow = 2\nnominal = 1\nhigh = 3\nof = "pj"\nsource = "s"': (
        "[[estimate]] row 1 (exp): the range 2 to 3 does not hold 1"
    ),
    '[[estimate]]\nops = ["exp"]\nlow = 0\nnominal = 1\nhigh = 3\nof = "exp"\nsource = "s"': (
        "[[estimate]] row 1 (exp): of is 'exp', neither 'pj' nor an operation with a row"
    ),
    '[[estimate]]\nops = ["exp", "exp"]\nlow = 0\nnominal = 1\nhigh = 3\nof = "pj"\nsource = "s"': (
        "[[estimate]] row 1 (exp exp): a second estimate of exp"
    ),
    '[[estimate]]\nops = "exp"\nlow = 0\nnominal = 1\nhigh = 3\nof = "pj"\nsource = "s"': (
        "[[estimate]] row 1 (exp): ops is not a list of words"
    ),
    '[[memory]]\nname = "sram"\naccess_bits = 0\n': "[[memory]] row 1 (sram): energy_pj is missing",
    memory_row("0"): "[[memory]] row 1 (m): access_bits is 0",
    memory_row("8.5"): "[[memory]] row 1 (m): access_bits is a number, not a whole number",
}  # fmt: skip


@pytest.mark.parametrize("rows", list(BAD))
def test_a_bad_row_says_which_and_why(tmp_path: Path, rows: str) -> None:
    path = own_table(tmp_path, rows=rows)
    with pytest.raises(UnknownTable) as caught:
        load_table(path)
    assert str(caught.value).startswith(f"{path}: {BAD[rows]}")


def without(*keys: str) -> dict:
    return {k: v for k, v in copy.deepcopy(RECORD).items() if k not in keys}


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (without("node_nm"), "bad: node_nm is missing"),
        (without("op"), "bad: there is no [[op]] row"),
        ({**RECORD, "op": 3}, "bad: op is a whole number, not rows of [[op]]"),
        ({**RECORD, "op": [3]}, "bad: [[op]] row 1 is a whole number, not a row"),
        ({**RECORD, "memmory": []}, "bad: unknown field 'memmory'; known: name, title"),
        ({**RECORD, "node_nm": 4.5}, "bad: node_nm is a number, not a whole number"),
        ({**RECORD, "source": ""}, "bad: source is empty"),
        ({**RECORD, "default_memory": "tape"}, "bad: default_memory 'tape' is no [[memory]] row"),
    ],
)
def test_a_bad_table_says_why(record: dict, message: str) -> None:
    with pytest.raises(UnknownTable) as caught:
        parse_table(record, "bad")
    assert str(caught.value).startswith(message)


def test_a_file_that_is_no_table(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    for content, message in ((b"x = ", "is not TOML: "), (b"\xff", "is not UTF-8: byte 0 is 0xff")):
        path.write_bytes(content)
        with pytest.raises(UnknownTable, match=f"{path} {message}"):
            load_table(str(path))
    folder = tmp_path / "folder.toml"
    folder.mkdir()
    with pytest.raises(UnknownTable, match="cannot be read: Is a directory"):
        load_table(str(folder))
    with pytest.raises(UnknownTable, match=r"none\.toml: there is no such file"):
        load_table(str(tmp_path / "none.toml"))


# Another node


def test_energy_factors() -> None:
    """The collection's figures, each over 45 nm at 0.9 V."""
    expected = {
        ("HP", 180, 1.8): 37.7363,
        ("HP", 130, 1.2): 7.4114,
        ("HP", 90, 1.1): 3.7131,
        ("HP", 65, 1.1): 2.405,
        ("HP", 45, 1.1): 1.4938,
        ("HP", 45, 0.9): 1.0,
        ("HP", 32, 0.9): 0.6541,
        ("HP", 20, 0.8): 0.2192,
        ("HP", 16, 0.8): 0.1721,
        ("HP", 14, 0.8): 0.1377,
        ("HP", 10, 0.75): 0.1005,
        ("HP", 7, 0.7): 0.0684,
    }
    for (flavour, node, vdd), factor in expected.items():
        assert energy_factor(45, 0.9, node, vdd, flavour) == pytest.approx(factor, abs=6e-5)
        assert energy_factor(node, vdd, 45, 0.9, flavour) == pytest.approx(1 / factor, rel=1e-3)
    across = energy_at(45, 0.9, "LP") / energy_at(45, 0.9, "HP")
    assert across == pytest.approx(1.2082, abs=5e-5)
    assert area_factor(45, 7) == 0.059
    assert area_factor(7, 45) == pytest.approx(1 / 0.059)
    assert area_factor(65, 32) == pytest.approx(0.46 / 1.5)


@needs_collection
def test_coefficients_equal_the_collected_ones() -> None:
    published = whole_collection()["scaling"]
    ours = stillmaker()
    assert len(ours.energy) == 18
    for kind in ("energy", "power", "delay"):
        rows = {node: tuple(rows[kind]) for node, rows in published["coefficients"].items()}
        assert getattr(ours, kind) == rows
    assert ours.area_45_to == published["area_45_to"]


def test_a_scaled_table_says_so() -> None:
    table, scaled = load_table("horowitz45"), load_table("horowitz45@7nm")
    factor = energy_factor(45, 0.9, 7, 0.7)
    assert scaled == scale_table(table, 7)
    assert (scaled.name, scaled.node_nm, scaled.vdd) == ("horowitz45@7nm", 7, 0.7)
    assert scaled.price("mul", "int8").nominal_pj == pytest.approx(0.2 * factor)
    assert scaled.memory("sram-8KiB").energy_pj == pytest.approx(10 * factor)
    assert scaled.memory("dram").energy_pj == 1950  # another chip
    assert scaled.price("exp", "float32") == table.price("exp", "float32")  # a sweep of no node
    assert scaled.price("lookup", "int8").high_pj == pytest.approx(1.25 * factor)
    assert scaled.ops[0].area_um2 == pytest.approx(36 * 0.059)
    for text in (scaled.source, scaled.note):
        assert "SCALED from 45 nm, 0.9 V to 7 nm, 0.7 V by Stillmaker and Baas" in text
        assert "underestimates Jouppi's 7 nm figures by 3.4 to 7 times" in text
    assert scaled.title.startswith("SCALED")
    assert all(row.kind.endswith("scaled") for row in scaled.ops)
    other = load_table("horowitz45@7nm,0.6V")
    assert (other.name, other.vdd) == ("horowitz45@7nm,0.6V", 0.6)
    assert "assumed: the source gives no voltage" in load_table("jouppi7@45nm").note


def test_the_warning_holds() -> None:
    scaled, published = load_table("horowitz45@7nm"), load_table("jouppi7")
    shared = [(r.op, r.dtype) for r in published.ops if (r.op, r.dtype) in {(s.op, s.dtype) for s in scaled.ops}]
    ratios = [published.price(*key).nominal_pj / scaled.price(*key).nominal_pj for key in shared]
    assert min(ratios) == pytest.approx(3.4, abs=0.05)
    assert max(ratios) == pytest.approx(7, abs=0.05)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("horowitz45@5nm", "Stillmaker and Baas have no 5 nm node; known: 180, 130, 90, 65, 45, 32"),
        ("seneca22@7nm", "Stillmaker and Baas have no 22 nm node"),
        ("horowitz45@7nm@45nm", "table horowitz45@7nm is scaled already"),
        ("horowitz45@180nm,0.6V", "Stillmaker and Baas do not hold at 0.6 V for 180 nm"),
        ("horowitz45@7nm,0V", "Stillmaker and Baas do not hold at 0 V for 7 nm"),
        ("horowitz45@7", "unknown table 'horowitz45@7'; known: "),
        ("gold@7nm", "unknown table 'gold'; known: "),
    ],
)
def test_what_cannot_be_scaled(name: str, message: str) -> None:
    with pytest.raises(UnknownTable) as caught:
        load_table(name)
    assert str(caught.value).startswith(message)
