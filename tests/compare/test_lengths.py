"""Verdicts over all lengths: intervals against a loop, words against intervals, costs against whole reports."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

import costmodel as cm
from costmodel.api import cache, lengths
from costmodel.api.graphs import Request, counted
from costmodel.api.lengths import Priced, costs_over, key_of, parse_lengths, range_of, search
from costmodel.compare.lengths import (
    Interval,
    LengthCost,
    against_first,
    cost_at,
    cost_of,
    intervals,
    op_by_op,
    takes,
    takes_at,
)
from costmodel.errors import CostModelError
from costmodel.hardware.loading import load_target, target_names
from costmodel.mapping.cost import price
from costmodel.mapping.schedule import schedule
from costmodel.show.length_lines import MOST_INTERVALS, interval_words
from costmodel.technology.tables import Energy
from costmodel.widths.assign import assign_widths
from costmodel.widths.policy import parse_policy
from models.attention.mechanisms import SHIPPED

quick = pytest.mark.quick
TINY = "distilbert-tiny"
# A buffer in which a block of rows of an attention core fits at some lengths only.
NARROW = "edge-asic:buffer_kib=8"


def priced(attention: str, target: str = "edge-asic", model: str = TINY, widths: str = "w8a8") -> Priced:
    return Priced(Request(model), attention, parse_policy(widths), load_target(target), "array")


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, session_cache: str) -> None:
    monkeypatch.setenv("COSTMODEL_CACHE", session_cache)


# Intervals of numbers

SIGNS = st.lists(st.sampled_from(["less", "equal", "more", "unknown"]), min_size=1, max_size=60)
OTHER = {"less": 9.0, "equal": 10.0, "more": 11.5, "unknown": None}


def costs(signs: list[str], start: int) -> tuple[dict[int, float | None], dict[int, float | None]]:
    sizes = range(start, start + len(signs))
    return dict.fromkeys(sizes, 10.0), {s: OTHER[sign] for s, sign in zip(sizes, signs, strict=True)}


@quick
@given(SIGNS, st.integers(1, 500))
def test_intervals_say_at_every_size_what_is_there(signs: list[str], start: int) -> None:
    found = intervals(*costs(signs, start))
    told = [i.takes for i in found for _ in range(i.first, i.last + 1)]
    assert told == signs
    assert found[0].first == start
    for a, b in pairwise(found):
        assert b.first == a.last + 1
        assert a.takes != b.takes  # as long as it can be
    assert [takes_at(found, s) for s in range(start, start + len(signs))] == signs
    assert takes_at(found, start - 1) is None
    assert sum(i.lengths for i in found) == len(signs)


@quick
def test_two_crossings_close_together_are_both_seen() -> None:
    sizes = range(1, 1000)
    found = intervals(dict.fromkeys(sizes, 0.0), {s: -1.0 if s == 500 else 1.0 for s in sizes})
    assert found == (Interval(1, 499, "more"), Interval(500, 500, "less"), Interval(501, 999, "more"))


@quick
def test_sums_in_another_order_are_equal() -> None:
    assert takes(0.1 + 0.2 + 0.3, 0.3 + 0.2 + 0.1) == "equal"
    assert takes(0, 0) == "equal"
    assert takes(10**15, 10**15 - 10**4) == "less"
    assert takes(1.0, None) == "unknown"


# In words

PART = re.compile(
    r"(fewer|as many|more|an unknown number, for no schedule fits,) at (?:S=)?([\d.]+(?:(?:, | and )[\d.]+)*)"
)
SAID = {"fewer": "less", "as many": "equal", "more": "more", "an unknown number, for no schedule fits,": "unknown"}


def read(words: str) -> dict[int, str]:
    """What a sentence says of each length that it names."""
    throughout = re.search(r"(fewer|as many|more) at every S from (\d+) to (\d+)", words)
    if throughout:
        return dict.fromkeys(range(int(throughout[2]), int(throughout[3]) + 1), SAID[throughout[1]])
    found: dict[int, str] = {}
    for said, where in PART.findall(words):
        for run in re.split(", | and ", where.rstrip(".")):
            first, _, last = run.partition("..")
            for s in range(int(first), int(last or first) + 1):
                assert s not in found, words
                found[s] = SAID[said]
    return found


KINDS = "(fewer|as many|more|an unknown number, for no schedule fits,)"


@quick
@given(SIGNS.filter(lambda signs: signs[0] != "unknown"), st.integers(1, 500))
def test_words_can_be_read_back(signs: list[str], start: int) -> None:
    found = intervals(*costs(signs, start))
    most = max(sum(i.takes == kind for i in found) for kind in OTHER)
    at = start + len(signs) // 2
    words = interval_words(found, "fewer", at=at)
    told = read(re.sub(rf", {KINDS} at \d+ of .*?(?=, |$)|^{KINDS} at \d+ of [^,]*", "", words))
    if most <= MOST_INTERVALS:
        assert told == {start + i: sign for i, sign in enumerate(signs)}
    elif takes_at(found, at) != "unknown":
        assert told[at] == takes_at(found, at)


# Costs


@quick
@pytest.mark.parametrize("target", ["edge-asic", "xc7z020", NARROW])
def test_a_cost_is_that_of_the_schedule(target: str) -> None:
    for attention in ("dot", "inhibitor"):
        each = priced(attention, target)
        typed = assign_widths(counted(Request(TINY, seq=20), attention).graph, each.policy)
        planned = schedule(typed, each.target)
        found, whole = cost_of(typed, planned), price(typed, planned)
        assert found == cost_at(typed, each.target)
        assert found.cycles == whole.cycles
        assert (
            found.moved_bytes
            == sum(s.read_bits for s in planned.steps) // 8 + sum(s.write_bits for s in planned.steps) // 8
        )
        if whole.energy is None:
            assert found.energy_pj is None
        else:
            for end in ("nominal_pj", "low_pj", "high_pj"):
                assert getattr(found.energy_pj, end) == pytest.approx(getattr(whole.energy, end), rel=1e-12)


@quick
def test_nothing_fits_nowhere_and_somewhere() -> None:
    each = priced("dot", "edge-asic", "distilbert")
    each = replace(each, target=replace(each.target, buffer_bytes=1))
    with pytest.raises(CostModelError, match="at no length of the range does a schedule fit"):
        search([each, replace(each, attention="relu")], (100, 101))
    some = LengthCost(10, 5, Energy(1, 1, 1), 0)
    found = against_first({1: some, 2: None}, {1: some, 2: some})
    assert found.cycles == (Interval(1, 1, "equal"), Interval(2, 2, "unknown"))
    assert found.energy_pj == found.cycles


@pytest.mark.parametrize("target", ["edge-asic", "xc7z020", "tpu-v1-like", NARROW])
def test_intervals_are_those_of_a_loop_over_reports(target: str) -> None:
    names = ("dot", "inhibitor", "l1-softmax")
    whole = cm.report(TINY, names, seq=30, target=target, lengths="16..40").record
    assert whole.over_lengths is not None
    assert whole.op_by_op is not None
    for s in (16, 17, 23, 31, 32, 33, 40):
        alone = cm.report(TINY, names, seq=s, target=target, lengths=f"{s}..{s}").record
        machines = [c.machine for c in alone.columns]
        for name, machine in zip(names, machines, strict=True):
            assert machine is not None
            runs = whole.op_by_op[name]
            assert any(a <= s <= b for a, b in runs) == (machine.unfused_cores > 0)
        for name, machine in list(zip(names, machines, strict=True))[1:]:
            over, first = whole.over_lengths[name], machines[0]
            assert first is not None
            assert machine is not None
            assert takes_at(over.cycles, s) == takes(first.cycles, machine.cycles)
            assert takes_at(over.moved_bytes, s) == takes(first.bytes.dram, machine.bytes.dram)
            a, b = first.energy_pj.total, machine.energy_pj.total
            assert (over.energy_pj is None) == (a is None)
            if a is not None and b is not None:
                assert takes_at(over.energy_pj or (), s) == takes(a.nominal_pj, b.nominal_pj)
                assert takes_at(over.energy_low_pj or (), s) == takes(a.low_pj, b.low_pj)
                assert takes_at(over.energy_high_pj or (), s) == takes(a.high_pj, b.high_pj)


# One screen never contradicts itself

MECHANISMS = ("dot", *sorted(SHIPPED - {"dot"}))
LEAD = r"(?:; |takes )(?:[\d.e-]+ % (fewer|more) cycles|[\d.]+ times the cycles|as many cycles)"


@pytest.mark.parametrize("target", [*target_names(), NARROW])
def test_this_length_and_the_range_say_the_same(target: str) -> None:
    """For every mechanism and at several lengths, read from the text that is printed."""
    for seq in (9, 16, 24, 37):
        try:
            found = cm.report(TINY, MECHANISMS, seq=seq, target=target, lengths="8..40", details=True)
        except CostModelError as error:
            pytest.skip(str(error))
        text = " ".join(found.document.lead)
        said = [match[0] for match in re.finditer(LEAD + r".*? with ([\w-]+)", text)]
        lines = [line for line in found.notes if line.startswith("Against dot at every whole length, ")]
        assert len(said) == len(lines) == len(MECHANISMS) - 1
        for name, lead, line in zip(MECHANISMS[1:], said, lines, strict=True):
            here = "equal" if "as many cycles" in lead else "less" if "fewer cycles" in lead else "more"
            assert name.startswith(lead.rpartition(" with ")[2])  # the head of a column is short
            cycles = re.search(r"cycles: [\w-]+ takes (.*?)(?:; energy|\.$)", line)
            assert cycles
            assert read(cycles[1])[seq] == here, (target, name, seq, line)


def test_what_was_contradicted() -> None:
    """At S=448 the inhibitor takes more cycles on this target, between lengths at which it takes fewer."""
    found = cm.report("distilbert", seq=448, target="edge-asic", lengths="440..448").record
    assert found.over_lengths is not None
    dot, inhibitor = (c.machine for c in found.columns)
    assert dot is not None
    assert inhibitor is not None
    assert takes_at(found.over_lengths["inhibitor"].cycles, 448) == takes(dot.cycles, inhibitor.cycles)


@quick
def test_a_core_that_stops_fitting_is_a_line() -> None:
    found = cm.report(TINY, seq=20, target=NARROW, lengths="16..64")
    runs = (found.record.op_by_op or {})["dot"]
    assert runs
    assert runs[0][0] > 16  # it fits at first
    for s in (runs[0][0] - 1, runs[0][0]):
        each = priced("dot", NARROW)
        typed = assign_widths(counted(Request(TINY, seq=s), "dot").graph, each.policy)
        kinds = [step.kind for step in schedule(typed, each.target).steps if step.in_core]
        assert ("core" in kinds) == (s < runs[0][0])
    assert f"S={runs[0][0]}" in " ".join(line for line in found.notes if "runs op by op" in line)
    # One mechanism alone is not compared; that its core does not fit here is told all the same.
    alone = cm.report(TINY, ["dot"], seq=runs[0][0], target=NARROW)
    assert alone.record.op_by_op is None
    assert f"The attention core of dot runs op by op at S={runs[0][0]}" in " ".join(alone.notes)


@quick
def test_runs_of_lengths_with_a_core_op_by_op() -> None:
    def cost(unfused: int) -> LengthCost:
        return LengthCost(1, 1, None, unfused)

    assert op_by_op({1: cost(0), 2: cost(2), 3: cost(1), 4: None, 5: cost(3), 6: cost(0)}) == ((2, 3), (5, 5))


# Ranges, cache, workers


@quick
def test_ranges() -> None:
    def of(model: str, seq: int | None = None, given: str | None = None, nodes: int = 100) -> tuple[int, int]:
        span = None if given is None else parse_lengths(given)
        assert not isinstance(span, str)
        return range_of(Request(model, seq=seq), span, nodes)

    assert parse_lengths("all") == "all"

    assert of("distilbert") == (16, 512)
    assert of(TINY) == (16, 64)
    assert of("distilbert", 8) == (8, 512)
    assert of("gpt2", 700) == (16, 700)
    assert of("t5-small", 4000) == (4000 - 2499, 4000)
    assert of("distilbert", given="500..512") == (500, 512)
    first, last = of("llama-2-7b", 2000, nodes=2500)
    assert last - first + 1 == 100
    assert first <= 2000 <= last
    first, last = of("llama-2-7b", nodes=10**9)
    assert (last - first + 1, first <= 128 <= last) == (32, True)
    with pytest.raises(CostModelError, match=r"`lengths=500\.\.513` goes beyond the 512 positions of distilbert"):
        of("distilbert", given="500..513")
    for bad in ("16", "0..4", "5..4", "a..b", "1..2..3", "-1..3", "1.5..3", ""):
        with pytest.raises(CostModelError, match="is neither `all` nor a range of lengths"):
            parse_lengths(bad)


@quick
def test_what_was_computed_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setenv("COSTMODEL_CACHE", str(tmp_path))
    asked: list[int] = []
    real = lengths.costs_of

    def counting(task: lengths.Task) -> list[list[LengthCost | None]]:
        asked.extend(s for _, some in task for s in some)
        return real(task)

    monkeypatch.setattr(lengths, "costs_of", counting)
    each = priced("inhibitor")
    found = costs_over([each], (20, 25))[each]
    assert costs_over([each], (22, 24))[each] == {s: found[s] for s in (22, 23, 24)}
    assert asked == [*range(20, 26)]
    assert [*costs_over([each], (24, 27))[each]] == [24, 25, 26, 27]
    assert asked == [*range(20, 28)]
    name = key_of(each)
    assert name is not None
    cache.save(name, {"20": [1, 2]})  # of another form
    assert costs_over([each], (20, 20))[each] == {20: found[20]}
    assert asked[-1] == 20
    other = priced("relu")
    both = costs_over([each, other], (19, 21))  # of each what is not known
    assert asked[-5:] == [19, 21, 19, 20, 21]
    assert both[each][20] == found[20]


@quick
def test_the_key_tells_apart_whatever_matters() -> None:
    each = priced("inhibitor")
    others = [
        replace(each, attention="dot"),
        replace(each, attention="inhibitor:normalise=n"),
        replace(each, timing="ideal"),
        replace(each, objective="energy"),
        replace(each, policy=parse_policy("w4a8")),
        replace(each, request=Request(TINY, batch=2)),
        replace(each, request=Request("distilbert")),
        replace(each, target=load_target("edge-asic:lanes=64")),
        replace(each, target=replace(each.target, table="jouppi7")),
    ]
    keys = [key_of(e) for e in (each, *others)]
    assert len(set(keys)) == len(keys)
    assert key_of(replace(each, request=Request(TINY, seq=50))) == key_of(each)


@quick
def test_code_of_others_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lengths, "SHIPPED", frozenset({"dot"}))
    assert key_of(priced("inhibitor")) is None


def test_workers_find_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    both = [priced("dot"), priced("inhibitor")]
    alone = costs_over(both, (16, 60))
    monkeypatch.setenv("COSTMODEL_CACHE", str(tmp_path))
    monkeypatch.setattr(lengths, "WORTH_WORKERS", 1)
    monkeypatch.setattr(lengths, "CHUNK", 10)
    assert costs_over(both, (16, 60), workers=2) == alone


# Both commands


@pytest.mark.parametrize("target", ["edge-asic", "xc7z020"])
def test_formula_and_report_find_the_same(cli, target: str) -> None:
    report = json.loads(cli("report", TINY, "--on", target, "--lengths", "all", "--format", "json").out)
    assert "over_lengths" not in json.loads(cli("report", TINY, "--on", target, "--format", "json").out)
    args = ("formula", TINY, "--on", target, "--of", "cycles", "--break-even", "S")
    formula = json.loads(cli(*args, "--format", "json").out)
    found = report["over_lengths"]["inhibitor"]
    assert formula["intervals"] == found["cycles"]
    assert "break_even" not in formula
    assert ("energy_pj" in found) == (target == "edge-asic")
    rows = cm.report(TINY, target=target, lengths="all").to_rows()
    told = [(r["low"], r["high"]) for r in rows if re.match("cycles (less|equal|more)", str(r["figure"]))]
    assert told == [(i["first"], i["last"]) for i in found["cycles"]]
    short = cm.formula(TINY, of="cycles", break_even="S", target=target, lengths="20..30")
    assert (short.intervals[0].first, short.intervals[-1].last) == (20, 30)
    assert short.break_even == tuple(i.first for i in short.intervals[1:])


@quick
def test_other_symbols_at_every_number() -> None:
    found = cm.formula(TINY, of="cycles", break_even="B", target="edge-asic", lengths="1..6", seq=16)
    for i in found.intervals:
        for B in range(i.first, i.last + 1):
            dot, inhibitor = (
                cm.price(TINY, attention=name, seq=16, batch=B, target="edge-asic").cycles
                for name in ("dot", "inhibitor")
            )
            assert takes(dot, inhibitor) == i.takes


@quick
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "report distilbert-tiny --lengths 4..8",
            "--lengths are those of a preset with several mechanisms on a --on",
        ),
        (
            "report distilbert-tiny --on edge-asic --lengths 4-8",
            "--lengths 4-8 is neither `all` nor a range of lengths such as 16..512",
        ),
        (
            "report distilbert-tiny --on edge-asic --attention dot --lengths 4..8",
            "--lengths are those of a preset",
        ),
        ("report distilbert-tiny --on edge-asic --lengths 4..65", "--lengths 4..65 goes beyond the 64 positions"),
        ("report distilbert-tiny --on edge-asic --workers 0", "--workers 0 is not at least 1"),
        ("formula distilbert-tiny --lengths 4..8", "--lengths are those of --break-even on a --on"),
    ],
)
def test_mistakes_are_one_line(cli, words: str, message: str) -> None:
    ran = cli(*words.split())
    assert ran.code == 2
    assert message in ran.err
    assert ran.err.count("\n") == 1


@quick
def test_every_form_has_the_intervals(tmp_path) -> None:
    page = tmp_path / "page.html"
    found = cm.report(TINY, seq=20, target="edge-asic", lengths="16..24", details=True, html=page)
    assert found.record.over_lengths is not None
    cycles = found.record.over_lengths["inhibitor"].cycles
    line = f"cycles: inhibitor takes {interval_words(cycles, 'fewer')}"
    assert line in page.read_text(encoding="utf-8")
    for form in ("table", "md"):
        assert line in found.to_text(form)
    for i in cycles:
        assert f"{i.lengths},,{i.first},{i.last}," in found.to_text("csv")
    kept = json.loads(found.to_text("json"))["over_lengths"]["inhibitor"]["cycles"]
    assert kept == [{"first": i.first, "last": i.last, "takes": i.takes} for i in cycles]
