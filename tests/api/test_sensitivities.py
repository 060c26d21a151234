"""Sensitivity: what changes save is what reports of the changed designs say, and a wish is reached by a report."""

from __future__ import annotations

import itertools
import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import costmodel as cm
from costmodel.api.sensitivities import Sensitivity, near_of, share_of, wish_of
from costmodel.compare.machine import MachineRecord
from costmodel.errors import CostModelError
from costmodel.explore.effects import Change, Effect, SensitivityRecord, Wish
from costmodel.explore.neighbours import near_widths, search
from costmodel.records import to_json
from costmodel.show.formats import md_text, table_text
from costmodel.show.sensitivity_tables import sensitivity_document
from models.zoo.students import stored_result

TINY = "distilbert-tiny"
ON = "edge-asic:array=8x8,buffer_kib=16"
FIGURE = {
    "energy": lambda m: m.energy_pj.total.nominal_pj,
    "cycles": lambda m: m.cycles,
    "edp": lambda m: m.energy_delay_js,
    "bytes": lambda m: m.bytes.dram,
}


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, session_cache: str) -> None:
    monkeypatch.setenv("COSTMODEL_CACHE", session_cache)


@pytest.fixture(scope="module")
def found(session_cache: str) -> Sensitivity:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COSTMODEL_CACHE", session_cache)
        return cm.sensitivity(TINY, ON, seq=16, save="30%")


def reported(record: SensitivityRecord, changes: tuple[Change, ...]) -> MachineRecord:
    """The changed design as a user would report it."""
    knobs = {"attention": record.attention, "widths": record.widths} | {c.knob: c.now for c in changes}
    name, _, rest = record.target.partition(":")
    fields = dict(item.split("=") for item in rest.split(",") if item)
    fields |= {key: str(value) for key, value in knobs.items() if key not in ("attention", "widths")}
    target = f"{name}:" + ",".join(f"{key}={value}" for key, value in fields.items())
    report = cm.report(TINY, [str(knobs["attention"])], record.seq, widths=str(knobs["widths"]), target=target)
    machine = report.columns[0].machine
    assert machine is not None
    return machine


@pytest.mark.parametrize("of", FIGURE)
def test_the_ranking_is_that_of_reports(of: str) -> None:
    record = cm.sensitivity(TINY, ON, seq=16, of=of, pairs=False).record
    base = FIGURE[of](reported(record, ()))
    assert {change.knob for effect in record.singles for change in effect.changes} == {
        *("widths", "buffer_kib", "bandwidth_mb_s", "lanes", "array", "dataflow", "attention", "kinds")
    }
    by_hand = {}
    for effect in record.singles:
        machine = reported(record, effect.changes)
        by_hand[effect.changes] = 1 - FIGURE[of](machine) / base
        assert effect.saves == pytest.approx(by_hand[effect.changes], abs=1e-9)
        assert effect.figures.cycles == machine.cycles
        assert effect.figures.dram_bytes == machine.bytes.dram
        assert machine.area_mm2 is not None
        assert effect.figures.area_mm2 == pytest.approx(machine.area_mm2.total, rel=1e-9)
    saved = [by_hand[effect.changes] for effect in record.singles]
    assert all(a >= b - 1e-9 for a, b in itertools.pairwise(saved))
    assert not record.pairs


def test_pairs_are_reports_of_both_changes(found: Sensitivity) -> None:
    record = found.record
    singles = {effect.changes[0] for effect in record.singles}
    expected = {frozenset((a, b)) for a in singles for b in singles if a.knob != b.knob}
    assert {frozenset(effect.changes) for effect in record.pairs} == expected
    base = FIGURE["edp"](reported(record, ()))
    for place in np.random.default_rng(0).choice(len(record.pairs), 12, replace=False):
        effect = record.pairs[place]
        assert effect.saves == pytest.approx(1 - FIGURE["edp"](reported(record, effect.changes)) / base, abs=1e-9)
    saves = [effect.saves for effect in record.pairs]
    assert saves == sorted(saves, reverse=True)


def enough(effects: tuple[Effect, ...], share: float) -> list[Effect]:
    return [effect for effect in effects if effect.saves >= share]


def answered(found: Sensitivity, share: float) -> Wish:
    """The answer to another wish, from singles and pairs that are known."""
    near = near_of(TINY, ON, seq=16)
    record = found.record
    return wish_of(near, share, search(near, record.base, share, record.singles, lambda: record.pairs))


def test_a_wish_is_kept_by_the_report_of_the_combination(cli, found: Sensitivity) -> None:
    base = FIGURE["edp"](reported(found.record, ()))
    best = found.record.pairs[0].saves
    assert found.record.wish == answered(found, share_of("30%"))
    sizes = set()
    for share in (0.02, 0.3, (best + found.record.singles[0].saves) / 2, best + 1e-6, 0.999):
        wish = answered(found, share)
        ran = cli(*shlex.split(wish.command)[1:], "--format", "json")
        assert ran.code == 0, ran.err
        machine = json.loads(ran.out)["columns"][0]["machine"]
        assert 1 - machine["energy_delay_js"] / base == pytest.approx(wish.effect.saves, abs=1e-9)
        number = len(wish.effect.changes)
        sizes.add(number)
        check_smallest(found, wish)
        if number > 2:
            assert set(wish.effect.changes) <= set(wish.beyond_pairs)
            assert wish.tried > len(found.record.singles) + len(found.record.pairs)
    assert {1, 2} < sizes


def check_smallest(found: Sensitivity, wish: Wish) -> None:
    """Singles and pairs were all tried: of fewer changes none reaches it, of as many none is smaller."""
    levels, number = (found.record.singles, found.record.pairs), len(wish.effect.changes)
    assert not any(enough(level, wish.asked) for level in (levels[: number - 1] if wish.reached else levels))
    if not wish.reached:
        assert wish.effect.saves >= max(effect.saves for level in levels for effect in level)
        assert wish.short == pytest.approx(wish.asked - wish.effect.saves)
        assert wish.short > 0
        return
    assert wish.effect.saves >= wish.asked
    assert wish.short == 0
    if wish.same_bits is not None:
        assert wish.same_bits.same_bits
        assert wish.same_bits.saves >= wish.asked
    if number <= 2:
        same = enough(levels[number - 1], wish.asked)
        assert wish.others == len(same) - 1
        assert wish.effect.figures.area_mm2 == min(effect.figures.area_mm2 or 0 for effect in same)


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("w8a8", ("w4a8", "w4a4", "w16a8", "w8a16")),
        ("w2a4:acc=20", ("w4a4:acc=20", "w2a8:acc=20")),
        ("w16a16", ("w8a16", "w8a8")),
        ("bf16", ("w8a8",)),
    ],
)
def test_near_widths(text: str, near: tuple[str, ...]) -> None:
    assert near_widths(text) == near


# Accuracy


def test_accuracy_is_what_is_stored() -> None:
    record = cm.sensitivity("minilm-distilbert", "edge-asic", seq=32, task="sst2", pairs=False).record
    assert (record.task, record.metric) == ("sst2", "accuracy")
    effects = {(e.changes[0].knob, str(e.changes[0].now)): e for e in record.singles}
    dot, inhibitor = stored_result("sst2", "dot"), stored_result("sst2", "inhibitor")
    assert record.base.accuracy == dot.results["w8a8"].metrics["accuracy"]
    assert effects["widths", "w4a8"].figures.accuracy == dot.results["w4a8"].metrics["accuracy"]
    assert effects["widths", "w4a4"].figures.accuracy is None
    trained = effects["attention", inhibitor.attention]
    assert trained.figures.accuracy == inhibitor.results["w8a8"].metrics["accuracy"]
    assert not trained.same_bits
    assert effects["attention", "relu"].figures.accuracy is None
    assert effects["dataflow", "ws"].figures.accuracy == record.base.accuracy
    assert effects["dataflow", "ws"].same_bits
    small = cm.sensitivity("minilm-distilbert", "edge-asic", "inhibitor", 32, task="cola", pairs=False).record
    assert small.attention == "inhibitor:per_head=true,normalise=sqrt"
    assert small.base.accuracy == stored_result("cola", "inhibitor").results["w8a8"].metrics["matthews"]


# Targets and models of other kinds


def test_on_an_fpga() -> None:
    found = cm.sensitivity(TINY, "xc7z020", seq=16, pairs=False)
    record = found.record
    assert record.of == "cycles"
    assert record.base.area_mm2 is None
    assert record.base.energy_uj is None
    refused = {(each.change.knob, each.change.now): each.why for each in record.refused}
    assert "usable on XC7Z020" in refused["array", "28x15"]
    assert "usable on XC7Z020" in refused["buffer_kib", 1024]
    # What does not fit alone fits with PEs that do less.
    assert not any("28x15" in {c.now for c in effect.changes} for effect in record.singles)
    lanes = next(e for e in record.singles if e.changes[0] == Change("lanes", 8, 16))
    assert lanes.figures.lut is not None
    assert lanes.figures.lut > (record.base.lut or 0)
    assert "LUT" in str(found)
    with pytest.raises(
        CostModelError, match=r"`of=energy`: no energy of xc7z020 is published.*take cycles or bytes"
    ):
        cm.sensitivity(TINY, "xc7z020", seq=16, of="energy")
    with pytest.raises(CostModelError, match=r"`objective=edp`:? (needs prices|schedules cannot be chosen)"):
        cm.sensitivity(TINY, "xc7z020", seq=16, objective="edp")


def test_a_model_of_ones_own() -> None:
    record = cm.sensitivity("tests.user_models:linear", "edge-asic", save="10%").record
    assert record.attention is record.seq is record.batch is None
    assert not any(c.knob == "attention" for effect in record.singles for c in effect.changes)
    assert record.wish is not None
    assert "--attention" not in record.wish.command
    with pytest.raises(CostModelError, match="decides its own sizes and attention; leave out `seq`"):
        cm.sensitivity("tests.user_models:linear", "edge-asic", seq=3)


# Output


def test_one_screen(found: Sensitivity) -> None:
    """45 lines of 100 columns; with details all is there."""
    for share in (0.01, 0.3, 0.99):
        record = replace(found.record, wish=answered(found, share))
        short, whole = (
            table_text(sensitivity_document(record, details)).splitlines() for details in (False, True)
        )
        assert len(short) <= 45
        assert max(map(len, short)) <= 100
        assert len(whole) > len(record.singles) + len(record.pairs)
        said = " ".join(short)
        if share == 0.99:
            assert said.startswith("99 % of the energy x delay cannot be saved: of ")
            assert " points short: " in said
        elif share == 0.01:
            assert said.startswith("1 % of the energy x delay can be saved: one change saves ")


def test_the_same_in_every_form(cli, found: Sensitivity, tmp_path: Path) -> None:
    lines = found.to_text("csv").splitlines()
    effects = [*found.record.singles, *found.record.pairs]
    assert found.record.wish is not None
    assert len(lines) == 2 + len(effects) + (found.record.wish.effect not in effects)
    assert lines[0].startswith(
        "changes,number,saves,energy_uj,latency_ms,energy_delay_js,cycles,dram_bytes,area_mm2"
    )
    args = ("sensitivity", TINY, "--seq", "16", "--on", ON, "--no-pairs")
    path = tmp_path / "s.md"
    assert cli(*args, "--format", "md", "--output", str(path)).out == ""
    alone = replace(found.record, pairs=(), wish=None)
    text = md_text(sensitivity_document(alone))
    assert "| change | saves |" in text
    assert path.read_text() == text.replace("`details=True`", "--details").replace("`task`", "--task")
    assert json.loads(cli(*args, "--format", "json").out) == to_json(alone)


MISTAKES: list[tuple[tuple[str, ...], str]] = [
    (("--save", "130%"), "--save 130% is not above 0% and below 100%"),
    (("--save", "0%"), "--save 0% is not above 0% and below 100%"),
    (("--save", "x"), "--save x is not a share such as 30%"),
    (("--save", "30"), "--save 30 is not a share such as 30%"),
    (("--save", "-5%"), "--save -5% is not a share such as 30%"),
    (("--of", "speed"), "'speed' is not one of 'energy', 'cycles', 'edp', 'bytes'"),
    (("--on", "moon"), "unknown target 'moon'; known: edge-asic"),
    (("--widths", "w1a8"), "weights and activations have 2 to 16 bits"),
    (("--attention", "softmin"), "unknown attention 'softmin'"),
    (("--seq", "65"), "--seq 65 is beyond the 64 positions"),
    (("--seq", "0"), "--seq 0 is not at least 1"),
    (("--batch", "0"), "--batch 0 is not at least 1"),
    (("--task", "sst2"), "--task: accuracies are stored of minilm-distilbert, not of distilbert-tiny"),
    (("--on", "xc7z020:lanes=200"), "lut of 37240 usable on XC7Z020 with PEs of int8 x int8"),
]


@pytest.mark.parametrize(("args", "says"), MISTAKES)
def test_mistakes_are_one_line(cli, args: tuple[str, ...], says: str) -> None:
    ran = cli("sensitivity", TINY, *(() if "--on" in args else ("--on", ON)), *args)
    assert ran.code == 2
    assert not ran.out
    assert ran.err.startswith("costmodel: error: ")
    assert ran.err.count("\n") == 1
    assert says in ran.err


def test_what_lacks_or_is_unknown(cli) -> None:
    assert "Missing option '--on'" in cli("sensitivity", TINY).err
    assert "unknown model 'moon'" in cli("sensitivity", "moon", "--on", "edge-asic").err
    assert (
        "--task win is not one of sst2, cola"
        in cli("sensitivity", "minilm-distilbert", "--on", "edge-asic", "--task", "win").err
    )


@pytest.mark.parametrize(("save", "share"), [("30%", 0.3), (" 12.5 % ", 0.125), (0.4, 0.4)])
def test_a_share(save: Any, share: float) -> None:
    assert share_of(save) == pytest.approx(share)


@pytest.mark.parametrize("save", [True, 0, 1, 1.5, float("nan"), None, [], "1e1%", "९%"])
def test_no_share(save: Any) -> None:
    with pytest.raises(CostModelError, match="`save="):
        share_of(save)
