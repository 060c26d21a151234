"""Spaces: what a file says, mixed radix, digests; and every mistake is one line before anything runs."""

from __future__ import annotations

import copy
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costmodel.api.spaces import checked, graph_of, read_space
from costmodel.errors import CostModelError
from costmodel.explore.goals import Constraint
from costmodel.explore.space import load_space, parse_space
from models.zoo.students import FOLDER
from tests.paths import ROOT

GOOD: dict[str, Any] = {
    "objectives": ["energy_uj", "latency_ms", "area_mm2"],
    "constraints": ["area_mm2 <= 4", "seq <= 256"],
    "knobs": {
        "model": "minilm-distilbert",
        "attention": ["dot", "inhibitor"],
        "seq": {"from": 64, "to": 512, "times": 2},
        "widths": ["w8a8", "w4a8"],
        "target": "edge-asic",
        "array": ["16x16", "32X32"],
        "lanes": {"from": 16, "to": 50, "step": 16},
    },
}
MEASURED = GOOD | {
    "objectives": ["energy_uj", "accuracy"],
    "constraints": ["accuracy >= 0.89"],
    "accuracy": {"task": "sst2", "limit": 50},
}


def changed(*path: str, value: Any, base: dict[str, Any] = GOOD) -> dict[str, Any]:
    record = copy.deepcopy(base)
    spot = record
    for key in path[:-1]:
        spot = spot.setdefault(key, {})
    spot[path[-1]] = value
    return record


def test_what_a_file_says(tmp_path: Path) -> None:
    toml = tmp_path / "edge.toml"
    toml.write_text(
        'objectives = ["energy_uj", "latency_ms", "area_mm2"]\nconstraints = ["area_mm2 <= 4", "seq<=256"]\n'
        '[knobs]\nmodel = "minilm-distilbert"\nattention = ["dot", "inhibitor"]\n'
        'seq = {from = 64, to = 512, times = 2}\nwidths = ["w8a8", "w4a8"]\ntarget = "edge-asic"\n'
        'array = ["16x16", "32x32"]\nlanes = [16, 32, 48]\n'
    )
    python = tmp_path / "edge.py"
    python.write_text(f"lanes = range(16, 50, 16)\nSPACE = {GOOD!r}\nSPACE['knobs']['lanes'] = lanes\n")
    spaces = [read_space(toml), read_space(python), checked(parse_space(GOOD, "edge"))]
    assert len({space.digest for space in spaces}) == 1
    space = spaces[0]
    assert len(space) == 2 * 4 * 2 * 2 * 3
    assert space.values("seq") == (64, 128, 256, 512)
    assert space.values("lanes") == (16, 32, 48)
    assert [str(c) for c in space.constraints] == ["area_mm2 <= 4", "seq <= 256"]
    assert space.senses == ("min", "min", "min")
    assert space.figures == (
        *("energy_uj", "latency_ms", "energy_delay_js", "cycles", "dram_bytes", "rows_per_s", "area_mm2"),
    )
    assert pickle.loads(pickle.dumps(space)) == space


def test_numbers_and_knobs_are_one_to_one() -> None:
    space = parse_space(GOOD, "edge.toml")
    seen = [space.knobs(i) for i in range(len(space))]
    assert len({tuple(k.items()) for k in seen}) == len(space)
    numbers = []
    for knobs in seen:
        number = 0
        for knob in space.all_knobs:  # the last knob turns fastest
            number = number * len(knob.values) + knob.values.index(knobs[knob.name])
        numbers.append(number)
    assert numbers == list(range(len(space)))
    digits = space.digits(range(len(space)))
    for i, knobs in enumerate(seen):
        assert {name: space.values(name)[places[i]] for name, places in digits.items()} == knobs
    with pytest.raises(CostModelError, match="has points 0 to 95, not 96"):
        space.knobs(96)


def test_digest_tells_spaces_apart(tmp_path: Path) -> None:
    table = tmp_path / "mine.toml"
    shutil.copy(ROOT / "costmodel" / "technology" / "horowitz45.toml", table)
    mine = changed("knobs", "table", value=str(table))
    digests = [
        parse_space(record, "a.toml").digest
        for record in (
            GOOD,
            changed("objectives", value=["energy_uj"]),
            changed("constraints", value=[]),
            changed("knobs", "lanes", value=[16, 32]),
            changed("knobs", "lanes", value=[32, 16]),
            mine,
        )
    ]
    table.write_text(table.read_text() + "\n# another word\n")
    digests.append(parse_space(mine, "a.toml").digest)
    assert len(set(digests)) == len(digests)
    assert parse_space(GOOD, "elsewhere/b.toml").digest == digests[0]


def test_shipped_checkpoints_are_found(tmp_path: Path) -> None:
    space = checked(parse_space(MEASURED, "a.toml"))
    assert space.accuracy is not None
    assert [c.attention for c in space.accuracy.checkpoints] == list(space.values("attention"))
    # The bare name took the options that the student was trained with; asked for others, it is refused.
    assert space.values("attention") == ("dot", "inhibitor:per_head=true,normalise=sqrt")
    other = changed("knobs", "attention", value=["inhibitor:normalise=n"], base=MEASURED)
    with pytest.raises(CostModelError, match="was trained with attention inhibitor:per_head=true,normalise=sqrt"):
        checked(parse_space(other, "a.toml"))
    assert Path(space.accuracy.checkpoints[0].path) == FOLDER / "sst2-dot"
    # The same files elsewhere are the same checkpoint; another file is another.
    copied = tmp_path / "copy"
    shutil.copytree(FOLDER / "sst2-dot", copied)
    record = changed("accuracy", "checkpoints", value={"dot": str(copied)}, base=MEASURED)
    assert checked(parse_space(record, "a.toml")).digest == space.digest
    (copied / "calibration.json").write_text("{}")
    assert checked(parse_space(record, "a.toml")).digest != space.digest


def test_graphs_of_other_shapes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COSTMODEL_CACHE", str(tmp_path))
    sizes = (("layers", 1), ("width", 16), ("heads", 4), ("ffn", 20))
    first = graph_of("distilbert-tiny", "inhibitor", 7, 2, sizes)
    assert list(tmp_path.iterdir())
    assert graph_of("distilbert-tiny", "inhibitor", 7, 2, sizes) == first
    linears = [node for node in first.nodes if node.op == "matmul" and node.attrs.get("bias")]
    assert {(n.attrs["N"], n.attrs["K"]) for n in linears} == {(16, 16), (20, 16), (16, 20)}
    assert len(linears) == 6


MISTAKES: list[tuple[dict[str, Any] | Any, str]] = [
    (changed("colour", value=1), "unknown key 'colour'; known: name, objectives"),
    (changed("objectives", value=[]), "objectives is not a list of at least one of energy_uj"),
    (changed("objectives", value=["energy"]), "unknown 'energy'; did you mean energy_uj"),
    (changed("objectives", value=["energy_uj", "energy_uj"]), "energy_uj is given twice"),
    (changed("objectives", value=["dsp"]), "edge-asic is no FPGA, so it has no dsp; use area_mm2"),
    (changed("objectives", value=["accuracy"]), r"accuracy needs a section \[accuracy\]"),
    (changed("constraints", value=["area_mm2 < four"]), "is not NAME COMPARISON NUMBER"),
    (changed("constraints", value=["__import__('os') < 4"]), "is not NAME COMPARISON NUMBER"),
    (changed("constraints", value=["area_mm2 <= 1e999"]), "is not NAME COMPARISON NUMBER"),
    (changed("constraints", value=["batch <= 4"]), "batch is no knob of this space"),
    (changed("constraints", value=["seq <= 10"]), "no value of seq holds seq <= 10"),
    (changed("constraints", value=["beauty >= 1"]), "unknown 'beauty'; known"),
    (changed("constraints", value="area_mm2 <= 4"), "constraints is not a list"),
    (changed("knobs", value={}), r"has no \[knobs\]; give at least model and target"),
    (changed("knobs", "colour", value=["red"]), "unknown knob 'colour'; known: model"),
    (changed("knobs", "lanes", value=[]), "lanes is empty; give at least one value"),
    (changed("knobs", "lanes", value={"from": 8, "to": 4, "step": 1}), "from 8 to 4 is empty"),
    (changed("knobs", "lanes", value={"from": 8, "to": 64, "times": 1}), "times = 1 leads nowhere"),
    (changed("knobs", "lanes", value={"from": 8}), "a range is {from = A, to = B, step = C}"),
    (changed("knobs", "lanes", value=[8, 16, 8]), "8 is given twice"),
    (changed("knobs", "lanes", value=[True]), "True is not a whole number"),
    (changed("knobs", "array", value=["16x16", "16X16"]), "'16x16' is given twice"),
    (changed("knobs", "array", value="16"), "array '16' is not of the form ROWSxCOLUMNS"),
    (changed("knobs", "dataflow", value="up"), "unknown dataflow 'up'; known: os, ws, is"),
    (changed("knobs", "widths", value="w1a8"), "weights and activations have 2 to 16 bits"),
    (changed("knobs", "kinds", value="mac+fly"), "is not some of mac, mac2, l1, clip, relu"),
    (changed("knobs", "target", value="moon"), "unknown target 'moon'; known: edge-asic"),
    (changed("knobs", "target", value="edge-asic:lanes=8"), "give what comes after the colon as knobs"),
    (changed("knobs", "dram", value="core"), "dram = core: target .*unknown DRAM 'core'"),
    (changed("knobs", "table", value="jouppi7"), "is of 45 nm, its prices of 7, 45 nm"),
    (changed("knobs", "target", value="xc7z020"), "no energy of xc7z020 is published"),
    (changed("knobs", "model", value="moon"), "model: unknown model 'moon'; known: distilbert"),
    (changed("knobs", "model", value="my.py:f"), "decides its own sizes and attention; leave seq out"),
    (changed("knobs", "attention", value="softmin"), "unknown attention 'softmin'"),
    (changed("knobs", "attention", value=["dot", "dot:"]), "attention: 'dot' is given twice"),
    (changed("knobs", "seq", value=[128, 513]), "`seq=513` is beyond the 512 positions"),
    (changed("knobs", "heads", value=[7]) | {"constraints": []}, "7 heads do not divide the width 384"),
    (changed("knobs", "width", value=[64, 90]) | {"constraints": []}, "12 heads do not divide the width 64"),
    (changed("accuracy", "task", value="", base=MEASURED), "lacks task"),
    (changed("accuracy", "task", value="win", base=MEASURED), "unknown task 'win'; known: sst2"),
    (changed("accuracy", "task", value="cola", base=MEASURED), "no checkpoint of dot ships for task cola"),
    (changed("accuracy", "limit", value=0, base=MEASURED), "limit: 0 is not a whole number"),
    (changed("accuracy", "data_dir", value="no/such", base=MEASURED), "there is no directory no/such"),
    (changed("accuracy", "colour", value=1, base=MEASURED), "unknown key 'colour'; known: task"),
    (
        changed("accuracy", "checkpoints", value={"relu": "x"}, base=MEASURED),
        "'relu' is no attention of this space",
    ),
    (changed("accuracy", "checkpoints", value={"dot": "x"}, base=MEASURED), "cannot read x/config.json"),
    (
        changed("accuracy", "checkpoints", value={"dot": str(FOLDER / "sst2-inhibitor")}, base=MEASURED),
        "was trained with attention inhibitor:per_head=true,normalise=sqrt, not dot",
    ),
    (changed("knobs", "attention", value=["relu"], base=MEASURED), "no checkpoint of relu ships"),
    (changed("knobs", "widths", value=["bf16"], base=MEASURED), "measured in integers and fp32, not in bf16"),
    (changed("knobs", "layers", value=[2], base=MEASURED), "whose shape is given; leave it out"),
    (changed("knobs", "model", value="distilbert", base=MEASURED), 'give model = "minilm-distilbert"'),
    ([], "is not a table of sections"),
]


@pytest.mark.parametrize(("record", "message"), MISTAKES)
def test_mistakes_are_one_line(record: Any, message: str) -> None:
    with pytest.raises(CostModelError, match=message) as caught:
        checked(parse_space(record, "a.toml"))
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("a.toml")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.toml", "knobs = [", "is no TOML file"),
        ("a.py", "x = 1", "defines no SPACE"),
        ("a.py", "raise ValueError('two\\nlines')", "does not run: ValueError: two lines"),
        ("a.py", "import sys; sys.exit(3)", "does not run: SystemExit"),
        ("a.py", "def", "does not run: SyntaxError"),
    ],
)
def test_files_that_are_none(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(CostModelError, match=message) as caught:
        load_space(tmp_path / name)
    assert "\n" not in str(caught.value)
    with pytest.raises(CostModelError, match=r"cannot read space .*No such file"):
        load_space(tmp_path / "none.toml")


SCALARS = st.none() | st.booleans() | st.integers(-3, 70) | st.floats() | st.text(max_size=4)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner)
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["objectives", "constraints", "accuracy", "knobs", *GOOD["knobs"], "dram", "sram"]), VALUES)
def test_no_record_breaks_the_parser(key: str, value: Any) -> None:
    """Whatever stands at one place: a space, or the one error."""
    record = changed(*(["knobs", key] if key in (*GOOD["knobs"], "dram", "sram") else [key]), value=value)
    said = ""
    try:
        assert len(parse_space(record, "a.toml")) > 0
    except CostModelError as error:
        said = str(error)
    assert "\n" not in said


def test_constraints_compare() -> None:
    values = [1.0, 2.0, 3.0, float("nan")]
    for comparison, expected in (
        ("<", [True, False, False, False]),
        ("<=", [True, True, False, False]),
        (">", [False, False, True, False]),
        (">=", [False, True, True, False]),
        ("==", [False, True, False, False]),
        ("!=", [True, False, True, False]),
    ):
        assert Constraint("x", comparison, 2.0).holds(values).tolist() == expected
