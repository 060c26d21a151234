"""2 000 malformed inputs of a fixed seed, and each defect that fuzzing found, by name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from unittest import mock

import pytest

from tests.fuzz.__main__ import Bench, Outcome, complaints, fuzz
from tests.fuzz.cases import KINDS, Case, Files, make_case
from tests.paths import ROOT

SEED, CASES, PARTS = 20261124, 2000, 4
TINY = ("simulate", "distilbert-tiny", "--random", "1", "--seq", "4")
MODEL = ("simulate", "model", "--random", "1", "--seq", "4")


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with Bench() as opened:
        yield opened


@pytest.mark.parametrize("part", range(PARTS))
def test_malformed_input_is_one_line_and_no_file(bench: Bench, part: int) -> None:
    each = CASES // PARTS
    failures, kinds = fuzz(bench, SEED, range(part * each, (part + 1) * each))
    assert not failures, "\n\n".join(failures)
    assert {name.split()[0] for name in kinds} == set(KINDS)
    assert sum(n for name, n in kinds.items() if name.endswith("refused")) > 0.85 * each


def test_a_case_depends_on_its_number_alone(bench: Bench) -> None:
    assert make_case(1, 7, bench.stock) == make_case(1, 7, bench.stock) != make_case(1, 8, bench.stock)


def test_what_is_sound_is_not_refused(bench: Bench) -> None:
    """Else every malformed case might fail for another reason than the one it is made for."""
    files = bench.stock.under("teacher", "model")
    for args in (MODEL, (*TINY[:2], "--input", "ids.json"), ("targets", "mine.toml")):
        own = {"ids.json": b'{"input_ids": [[3, 4], [5]]}', "mine.toml": target().encode()}
        outcome = bench.outcome(Case("sound", args, files | own))
        assert (outcome.code, outcome.err) == (0, ""), outcome.raised


def test_the_judge_sees_what_is_wrong(bench: Bench) -> None:
    case = Case("command", ("gemm", "8", "8", "8", "--output", "out/new.json"), {})
    assert complaints(case, bench.outcome(case)) == ["exit code 0, not 2"]
    with mock.patch("costmodel.cli.products.gemm", side_effect=ZeroDivisionError):
        assert complaints(case, bench.outcome(case)) == ["an exception got out"]
    two = Outcome(2, "", "costmodel: error: a\nb\n", "", (), (), 0.0)
    assert complaints(case, two) == ["stderr is not one line"]
    half = Outcome(2, "| a", "costmodel: error: a\n", "", ("out/new.json",), ("out/new.json",), 0.0)
    assert complaints(case, half) == ["fails, and prints to stdout", "fails, and changes out/new.json"]


def test_a_case_without_end_is_one_that_fails(bench: Bench) -> None:
    def loop(*_: object) -> None:
        while True:
            pass

    case = Case("command", ("gemm", "8", "8", "8"), {})
    with mock.patch("costmodel.cli.products.gemm", loop), mock.patch("tests.fuzz.__main__.MOST_SECONDS", 1):
        assert complaints(case, bench.outcome(case)) == ["an exception got out"]


def target(**changed: str) -> str:
    """The text of a target that ships, with some values in place of its own, as TOML."""
    text = (ROOT / "costmodel/hardware/targets/zu9eg.toml").read_text(encoding="utf-8")
    lines = text.splitlines()
    for key, value in changed.items():
        at, *sources = (i for i, line in enumerate(lines) if line.startswith(f"{key} = "))
        lines[at] = f"{key} = {value}"
        if key == "table" and not sources:
            lines.insert(lines.index("[sources]") + 1, 'table = "ours: a test"')
    return "\n".join(lines) + "\n"


def refused(bench: Bench, args: tuple[str, ...], files: Files | None = None) -> str:
    """The line with which arguments are refused."""
    case = Case("regression", args, files or {})
    outcome = bench.outcome(case)
    assert not complaints(case, outcome), outcome.err + outcome.raised
    return outcome.err


NINES = "9" * 5000  # more digits than int() of Python reads


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        (("gemm", "8", "8", "8", "--array", "²x²"), "not of the form"),
        (("gemm", "8", "8", "8", "--array", ""), "not of the form"),
        (("gemm", "8", "8", "8", "--array", f"{NINES}x1"), "not of the form"),
        (("targets", "edge-asic:lanes=²"), "not a whole number"),
        (("targets", "edge-asic:lanes=\u0663"), "not a whole number"),
        (("targets", f"edge-asic:lanes={NINES}"), "not a whole number"),
        (("targets", "edge-asic:bandwidth_mb_s=" + "9" * 400), "not a whole number"),
        (("targets", "edge-asic:lanes=8,lanes=16"), "twice"),
        (("targets", "edge-asic:kinds=mac+mac"), "twice"),
        (("tables", "horowitz45@\u0667nm"), "unknown table"),
        ((*TINY, "--widths", "w²a8"), "unknown widths"),
        ((*TINY, "--widths", "w\u0668a8"), "unknown widths"),
        ((*TINY, "--widths", "w8a8:acc=²"), "neither acc=BITS"),
        ((*TINY, "--widths", "w8a8:acc=24,acc=32"), "twice"),
        ((*TINY, "--attention", "inhibitor:gamma=1,gamma=2"), "twice"),
        (("audit", "distilbert-tiny", "--attention", ""), "unknown attention"),
        (("formula", "distilbert-tiny", "--table", "no.toml"), "no such file"),
        (("formula", "distilbert-tiny", "--widths", "w-8a8"), "unknown widths"),
        (("formula", "distilbert-tiny", "--against", ""), "unknown attention"),
        (("train", "sst2", "--out", "out/run", "--teacher", "none/"), "is no checkpoint"),
        (("evaluate", "model", "--task", "sst2", "--file", "a", "--data-dir", "b"), "not both"),
        (("evaluate", "model", "--task", "sst2", "--calibration", "a", "--calibrate-on", "b"), "not both"),
    ],
)
def test_words_that_were_taken_or_raised(bench: Bench, args: tuple[str, ...], reason: str) -> None:
    assert reason in refused(bench, args)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"lanes": NINES}, "no TOML file"),
        ({"lanes": "9" * 400}, "not a whole number"),
        ({"usable": "1.5"}, "no share"),
        ({"usable": "0"}, "no share"),
        ({"kinds": '["mac", "mac"]'}, "twice"),
        ({"note": "[" * 3000}, "no TOML file"),
        ({"table": '"\\u0000.toml"'}, "null byte"),
    ],
)
def test_targets_that_were_taken_or_raised(bench: Bench, changed: dict[str, str], reason: str) -> None:
    assert reason in refused(bench, ("targets", "mine.toml"), {"mine.toml": target(**changed).encode()})


@pytest.mark.parametrize(
    "text", ["[" * 100_000, f'{{"input_ids": [[{10**30}]]}}', f'{{"input_ids": [[{10**400}]]}}']
)
def test_ids_that_raised(bench: Bench, text: str) -> None:
    assert "holds no token ids" in refused(
        bench, ("simulate", "distilbert-tiny", "--input", "ids.json"), {"ids.json": text.encode()}
    )


OPERAND = "distilbert.embeddings.LayerNorm:layer_norm"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("bits",), 0),
        (("tokens",), 10**400),
        (("percentile",), 10**400),
        (("balance",), True),
        (("ranges", "classifier:matmul"), 1e300),
        (("ranges", "classifier:matmul"), True),
        (("operands", OPERAND, "exponents"), [0, 0]),
        (("operands", OPERAND, "exponents"), ["-1"] * 8),
        (("operands", OPERAND, "exponents"), [0.5] * 8),
        (("operands", OPERAND, "exponents"), [-(10**6)] * 8),
    ],
)
def test_ranges_that_were_taken_or_raised(bench: Bench, path: tuple[str, ...], value: object) -> None:
    record = json.loads(bench.stock.files["teacher/calibration.json"])
    place = record
    for key in path[:-1]:
        place = place[key]
    assert path[-1] in place
    place[path[-1]] = value
    files = bench.stock.under("teacher", "model") | {"mine.json": json.dumps(record).encode()}
    assert "calibration" in refused(bench, (*MODEL, "--calibration", "mine.json"), files)


@pytest.mark.parametrize(
    "change",
    [
        {"n_heads": -1},
        {"n_layers": 10**30},  # built layer after layer, without an end
        {"attention_mechanism": {}},
        {"architectures": [["x"]]},
        None,
        "[" * 100_000,
    ],
)
@pytest.mark.parametrize("origin", ["teacher", "saved"])
def test_configurations_that_were_taken_or_raised(bench: Bench, origin: str, change: object) -> None:
    files = bench.stock.under(origin, "model")
    config = json.loads(files["model/config.json"] or b"")
    content = json.dumps(config | change if isinstance(change, dict) else change)
    files["model/config.json"] = (change if isinstance(change, str) else content).encode()
    assert "model" in refused(bench, MODEL, files)


def test_weights_that_are_no_floats_were_taken(bench: Bench) -> None:
    import torch
    from safetensors.torch import load, save

    files = bench.stock.under("saved", "model")
    state = load(files["model/model.safetensors"] or b"")
    files["model/model.safetensors"] = save(state | {"classifier.bias": state["classifier.bias"].to(torch.bool)})
    assert "classifier.bias is of torch.bool" in refused(bench, MODEL, files)


def test_a_label_of_many_digits_raised(bench: Bench) -> None:
    files = bench.stock.under("teacher", "model") | {"mine.tsv": f"sentence\tlabel\na film\t{NINES}\n".encode()}
    assert "mine.tsv:2: label" in refused(
        bench, ("evaluate", "model", "--task", "sst2", "--file", "mine.tsv"), files
    )
