"""Malformed input of every kind: files spoiled in one place, and command lines with one wrong word.

A generator takes a source of random numbers and the sound files (`Stock`), and gives a `Case`. Nearly all are
malformed by construction; the rest may by chance be sound, and say so (`sound`).
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

import click

from costmodel.cli import COMMANDS, MODULES
from costmodel.hardware.loading import LOCAL
from tests.fuzz.stock import SPACE, Stock, spoiled_store
from tests.paths import ROOT

DATA = ROOT / "costmodel"
Files = dict[str, bytes | None]  # None is a directory


@dataclass(frozen=True)
class Case:
    """Arguments of `costmodel`, run in a directory with these files. `sound`: it may also be fine."""

    kind: str
    args: tuple[str, ...]
    files: Files
    sound: bool = False
    changes: tuple[str, ...] = ()  # files that a refused command may have changed: a store that it opened
    stdout: str | None = None  # what must be printed: a spoiled cache is as good as none


# Values that are wrong, as TOML spells them; among them digits that are no ASCII, and integers beyond all limits.
HUGE = ("9" * 400, "9" * 5000)
NOT_STRING = ("1", "1.5", "true", "[]", "{}", "[1]", "1979-05-27", "nan")
NOT_TEXT = (*NOT_STRING, '""', '"  "')
NOT_NAME = (*NOT_STRING, '"no-such-thing"', '"no-such.toml"', '"\\u0000.toml"', '"a\\nb"', '"."', '"²"')
NOT_COUNT = ("0", "-1", "1.5", "nan", "inf", "true", '"8"', "[8]", "{}", '"²"', *HUGE)
NOT_PRICE = ("-1", "-0.5", "nan", "inf", "-inf", "1e999", "true", '"1"', "[1]", "{}", *HUGE)
NOT_FLAG = ("0", "1", '"true"', "[]", "nan")
NOT_ARRAY = (
    *NOT_STRING,
    '""',
    '"0x4"',
    '"4x"',
    '"x"',
    '"-3x3"',
    '"4x4x4"',
    '"²x²"',
    '"1.5x2"',
    '"4 x -4"',
    f'"{HUGE[1]}x1"',
)
NOT_NAMES = ("[]", "1", '"mac"', "[1]", '["mul"]', '["mac", 2]', '[["mac"]]', '["mac", "mac"]', "{}")

TARGET: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("node_nm", "clock_mhz", "lanes", "slow_cycles", "buffer_kib", "bandwidth_mb_s"), NOT_COUNT),
    **dict.fromkeys(("buffer_read_bytes", "buffer_write_bytes", *LOCAL), NOT_COUNT),
    **dict.fromkeys(("luts", "dsps", "bram36", "lane_luts"), NOT_COUNT),
    **dict.fromkeys(("table", "sram", "dram", "dataflow"), NOT_NAME),
    **dict.fromkeys(("buffer_read_pj", "buffer_write_pj", "dram_pj"), NOT_PRICE),
    **dict.fromkeys(("weights_bypass", "use_dsp"), NOT_FLAG),
    **dict.fromkeys(("title", "source"), NOT_TEXT),
    "usable": (*NOT_PRICE, "0", "1.5", "70"),
    "note": NOT_STRING,
    "name": NOT_STRING,
    "array": NOT_ARRAY,
    "kinds": NOT_NAMES,
    "[sources]": NOT_TEXT,
}
NOT_OP = (*NOT_TEXT, '"no-such-op"', '"add/"', '"/add"', '"a\\nb"')
TABLE: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("energy_pj", "area_um2", "nominal"), NOT_PRICE),
    **dict.fromkeys(("low_pj", "low"), (*NOT_PRICE, "1e29")),
    **dict.fromkeys(("high_pj", "high"), NOT_PRICE),
    **dict.fromkeys(("node_nm", "access_bits"), NOT_COUNT),
    **dict.fromkeys(("includes", "evidence", "source", "kind"), NOT_TEXT),
    "vdd": (*NOT_PRICE, "0"),
    "title": NOT_STRING,
    "op": NOT_OP,
    "of": NOT_OP,
    "ops": ("[]", "1", '"mul"', '["no-such-op"]', '["mul", 1]', '["mul", "mul"]', "{}", '[""]'),
    "dtype": (*NOT_TEXT, '"int"', '"int0"', '"int²"', '"float9"', '"INT8"', '"int-8"'),
    "default_memory": NOT_NAME,
}
OPTIONAL = ("note", "vdd", "default_memory", "row", "area_um2", "low_pj", "high_pj", "any_node", "name", "title")
NOT_SPAN = (
    "{}",
    "{from = 8}",
    "{from = 9, to = 8, step = 1}",
    "{from = 1, to = 8, step = 0}",
    "{from = 1, to = 8, times = 1}",
)
NOT_NUMBERS = (
    *(value for value in NOT_COUNT if value != "[8]"),
    *NOT_SPAN,
    "[]",
    "[8, 8]",
    "[4, -4]",
    "[nan]",
    '[4, "8"]',
    "{from = 1, to = 2, step = nan}",
)
NOT_WORDS = (
    *NOT_STRING,
    '""',
    "[]",
    '"no-such-thing"',
    '["no-such-thing"]',
    '["²"]',
    '[["dot"]]',
    "{from = 1, to = 2, step = 1}",
)
SPACES: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("seq", "buffer_kib", "lanes", "batch"), NOT_NUMBERS),
    **dict.fromkeys(("model", "attention", "dataflow", "target"), (*NOT_WORDS, '"a\\u0000b"')),
    "widths": (*NOT_WORDS, '"w1a8"', '"w8a99"', '"w²a8"', '["w8a8", "w8a8"]', '"w8a8:acc=nan"'),
    "array": (*NOT_ARRAY, '["4x4", "4x4"]', "[]", "[4]", '["4X4", "4x4"]'),
    "kinds": (*NOT_WORDS, '"mac+mac"', '"mac+"', '"+"'),
    "objectives": (
        "[]",
        "1",
        "{}",
        '"energy_uj"',
        '["nonsense"]',
        '["energy_uj", "energy_uj"]',
        "[1]",
        '["lut"]',
        '["accuracy"]',
    ),
    "constraints": (
        *(
            "1",
            '"seq <= 4"',
            '["seq"]',
            '["seq <="]',
            '["seq <= nan"]',
            '["seq <= inf"]',
            '["seq <= 1e999"]',
            "[4]",
        ),
        *(
            '["nonsense <= 4"]',
            '["seq <= 4 4"]',
            '["seq =< 4"]',
            '["seq > 1e9"]',
            '["accuracy >= 0.5"]',
            '["dsp <= 4"]',
        ),
    ),
    "name": ("1", "[]", "nan", '"a\\u0000b"', "{}"),
}
ASSIGNMENT = re.compile(r"^(\w+) = (.*)$")
TORN = (
    "]]oops",
    "= 3",
    "key",
    'x = "',
    "[a",
    "x = [1",
    "x = 1 1",
    "[x]\n[x]",
    "x = {a = 1, a = 2}",
    "é = 1",
    "x = 1\nx = 2",
)


def spoiled_toml(
    rng: Random, text: str, wrong: Mapping[str, tuple[str, ...]], needed: tuple[str, ...] = ()
) -> bytes | None:
    """A TOML text that is wrong in one place; None stands for a directory in place of the file."""
    lines = text.splitlines()
    assigned = [i for i, line in enumerate(lines) if ASSIGNMENT.match(line)]
    keys = {i: ASSIGNMENT.match(lines[i])[1] for i in assigned}  # type: ignore[index]
    named = dict(keys)  # by what is wrong there: of sources any words are right
    if "[sources]" in lines and "[sources]" in wrong:
        start = lines.index("[sources]")
        end = next((i for i in range(start + 1, len(lines)) if lines[i].startswith("[")), len(lines))
        named |= dict.fromkeys((i for i in keys if start < i < end), "[sources]")
    how = rng.choice(("value",) * 12 + ("drop", "twice", "unknown", "torn", "cut", "bytes") * 2 + ("whole",))
    if how == "value":
        i = rng.choice([i for i in assigned if named[i] in wrong])
        lines[i] = f"{keys[i]} = {rng.choice(wrong[named[i]])}"
    elif how == "drop":
        i = rng.choice([i for i in assigned if named[i] in (needed or wrong) and keys[i] not in OPTIONAL])
        del lines[i]
    elif how == "twice":
        i = rng.choice(assigned)
        lines.insert(i, lines[i])
    elif how == "unknown":
        lines.insert(
            rng.choice(assigned),
            f"{rng.choice(('surprise', 'energy', 'NaN', '_'))} = {rng.choice(('1', 'nan', '[]'))}",
        )
    elif how == "torn":
        lines.insert(rng.randrange(len(lines) + 1), rng.choice(TORN))
    elif how == "cut":
        i = rng.choice(assigned)
        lines = [*lines[:i], f"{keys[i]} = "]
    elif how == "bytes":
        at = rng.randrange(len(text))
        return text.encode()[:at] + rng.choice((b"\xff", b"\x00", b"\xed\xa0\x80")) + text.encode()[at:]
    else:
        return rng.choice((b"", None, b"{}", b"\xff\xfe", b"x = " + b"[" * 3000, b"PK\x03\x04", b"\n" * 9, b"x=1"))
    return "\n".join(lines).encode()


def output(rng: Random) -> tuple[str, ...]:
    """An output file in half of the cases; `out/old.json` is there already."""
    return rng.choice(((), ("--format", "json", "--output", f"out/{rng.choice(('new', 'old'))}.json")))


def target_case(rng: Random, stock: Stock) -> Case:
    if rng.random() < 0.4:
        spec, files = wrong_override(rng), {}
    else:
        path = rng.choice(sorted((DATA / "hardware" / "targets").glob("*.toml")))
        spec, files = "mine.toml", {"mine.toml": spoiled_toml(rng, path.read_text(encoding="utf-8"), TARGET)}
    args = rng.choice(
        (
            *(("targets", spec), ("gemm", "8", "8", "8", "--on", spec)) * 2,
            ("report", "distilbert-tiny", "--seq", "4", "--on", spec),
            ("simulate", "distilbert-tiny", "--random", "1", "--seq", "4", "--on", spec),
            ("formula", "distilbert-tiny", "--on", spec),
        )
    )
    return Case("target", (*args, *output(rng)), files)


def wrong_override(rng: Random) -> str:
    """`edge-asic:FIELD=VALUE` with a value that the field does not take."""
    counts = ("0", "-1", "1.5", "nan", "inf", "", "²", "٣", "8 ", "1e3", "0x10", "8_0", *HUGE)
    arrays = ("0x4", "4", "x", "4x", "-1x2", "²x2", "4x4x4", "nanx1", "٣x٣", f"{HUGE[1]}x2")
    kinds = ("", "mul", "mac+", "mac+mac", "MAC", "+", "mac;l1")
    wrong = {
        **dict.fromkeys(("lanes", "buffer_kib", "bandwidth_mb_s", "clock_mhz"), counts),
        **dict.fromkeys(("buffer_read_bytes", "buffer_write_bytes", *LOCAL), counts),
        **dict.fromkeys(("table", "sram", "dram"), ("no-such", "no.toml", "../x", ".", "horowitz45@9nm", "²")),
        **dict.fromkeys(("array", "array2", "array3"), arrays),
        **dict.fromkeys(("kinds", "kinds2"), kinds),
        **dict.fromkeys(("dataflow", "dataflow2"), ("", "OS", "zz", "os ws", "²")),
        "use_dsp2": ("", "0", "True", "yes", "²"),
        "array1": ("4x4",),
        "node_nm": ("45",),
        "": ("1",),
        "surprise": ("1",),
    }
    key = rng.choice(list(wrong))
    item = f"{key}={rng.choice(wrong[key])}"
    item = rng.choice(
        (item,) * 6 + ("lanes", "=", "lanes=8,,", "lanes=8,lanes=16", "array=8x8,array=4x4", ",lanes=8")
    )
    name = rng.choice(("edge-asic", "xc7z020", "server-asic", "xc7z020-two"))
    return f"{name}:{rng.choice(('', 'lanes=8,') if 'lanes' not in item else ('', 'clock_mhz=300,'))}{item}"


def table_case(rng: Random, stock: Stock) -> Case:
    if rng.random() < 0.12:
        words = (
            "no-such",
            "horowitz45@",
            "horowitz45@9nm",
            "horowitz45@7nm,9V",
            "horowitz45@7nm,0.0V",
            "@7nm",
            "",
        )
        words += (
            "horowitz45@7nm@7nm",
            "no.toml@7nm",
            "horowitz45@\u0667nm",
            "²",
            "../horowitz45",
            "a\nb",
            "horowitz45@0nm",
        )
        spec, files = rng.choice(words), {}
    else:
        path = rng.choice(sorted((DATA / "technology").glob("*.toml")))
        text = path.read_text(encoding="utf-8")
        content = doubled_row(rng, text) if rng.random() < 0.1 else spoiled_toml(rng, text, TABLE)
        spec, files = "mine.toml", {"mine.toml": content}
    args = rng.choice(
        (
            *(("tables", spec), ("gemm", "8", "8", "8", "--on", f"edge-asic:table={spec}")),
            ("report", "distilbert-tiny", "--seq", "4", "--table", spec),
            ("simulate", "distilbert-tiny", "--random", "1", "--seq", "4", "--table", spec),
            ("formula", "distilbert-tiny", "--of", "energy_pj", "--table", spec),
        )
    )
    if spec == "" and args[0] in ("tables", "gemm"):
        args = ("report", "distilbert-tiny", "--table", spec)
    if "," in spec and args[0] == "gemm":
        args = ("tables", spec)
    return Case("table", (*args, *output(rng)), files)


def doubled_row(rng: Random, text: str) -> bytes:
    """A row of a table twice: two prices of one operation."""
    head, *rows = re.split(r"(?m)^(?=\[\[)", text)
    row = rng.choice([r for r in rows if r.startswith(("[[op]]", "[[memory]]"))])
    return "\n".join((head, *rows, row)).encode()


def space_case(rng: Random, stock: Stock) -> Case:
    if rng.random() < 0.7:
        name, content = "space.toml", spoiled_toml(rng, SPACE, SPACES, ("model", "target", "objectives", "seq"))
    else:
        name, content = "space.py", wrong_python(rng)
    if rng.random() < 0.03:
        name, content = "space.toml", None
    run = ("sweep", name, "--store", "out/store.db", "--workers", "1") if "sweep" in COMMANDS else ("space", name)
    return Case("space", run, {name: content})


def wrong_python(rng: Random) -> bytes:
    sound = "import tomllib\nSPACE = tomllib.loads('''\n" + SPACE + "''')\n"
    values = (
        "None",
        "object()",
        "float('nan')",
        "-1",
        "1j",
        "b'8'",
        "{1: 2}",
        "lambda: 1",
        "range(0)",
        "{1, 2}",
        "[[]]",
        "10**400",
    )
    places = (
        "['knobs']['seq']",
        "['knobs']['attention']",
        "['knobs']['array']",
        "['objectives']",
        "['constraints']",
        "['knobs']",
    )
    wholes = (
        *(
            "",
            "SPACE = 3",
            "SPACE = [1]",
            "SPACE",
            "SPACE = {",
            "raise ValueError('a\\nb')",
            "import no_such",
            "\x00",
            "1 / 0",
        ),
        *(
            "import sys; sys.exit(3)",
            "import sys; sys.exit('a\\nb')",
            "SPACE = {}",
            "SPACE = {'knobs': {}}",
            "  x = 1",
            "raise",
        ),
        *("def f(): return f()\nf()", "SPACE = {1: 2}", "assert False", "raise SystemExit"),
        *("x = 10**5000\nraise ValueError(x)"),
    )
    if rng.random() < 0.5:
        return (sound + f"SPACE{rng.choice(places)} = {rng.choice(values)}\n").encode()
    return rng.choice(wholes).encode() if rng.random() < 0.9 else sound.encode() + b"\xff"


# Files of a run: token ids, ranges, traces

NOT_NUMBER: tuple[Any, ...] = (None, "8", [], {}, True, float("nan"), float("inf"), -1, 10**400)


def spoiled_json(rng: Random, text: bytes) -> bytes | None:
    """A text that is no JSON, or none of the form asked for."""
    cut = rng.randrange(1, max(2, len(text) - 2))
    return rng.choice(
        (
            *(
                text[:cut],
                text[:cut] + b"\xff" + text[cut:],
                b"[" * 100_000,
                b"",
                None,
                b"[]",
                b"{}",
                b"3",
                b"null",
                b'"x"',
            ),
            *(b"NaN", b"\xff\xfe", text + text, b"\x00", b"[" + text + b"]", b'{"a":' * 2000, b"9" * 5000),
        )
    )


def ids_case(rng: Random, stock: Stock) -> Case:
    wrong = (-1, 64, 10**30, 10**400, 1.5, True, None, "7", [7], {}, float("nan"), float("inf"))
    rows: list[Any] = [[rng.randrange(64) for _ in range(rng.randrange(1, 9))] for _ in range(rng.randrange(1, 4))]
    how = rng.choice(("value", "value", "row", "shape", "json"))
    if how == "value":
        row = rng.choice(rows)
        row.insert(rng.randrange(len(row) + 1), rng.choice(wrong))
    elif how == "row":
        rows.insert(rng.randrange(len(rows) + 1), rng.choice(([], None, 3, "abc", {"a": 1}, [3] * 65, True)))
    record = {"input_ids": rows}
    if how == "shape":
        record = rng.choice(
            ({"ids": rows}, rows, {"input_ids": []}, {"input_ids": {}}, {"input_ids": None}, {"input_ids": 3})
        )
    content = spoiled_json(rng, json.dumps(record).encode()) if how == "json" else json.dumps(record).encode()
    name, files = "ids.json", {"ids.json": content}
    if rng.random() < 0.15:  # sentences, of a model that has no words; or no file
        name, files = rng.choice(
            (("text.txt", {"text.txt": b"good\n"}), ("none.json", {}), ("text.txt", {"text.txt": b" \n"}))
        )
    return Case("ids", ("simulate", "distilbert-tiny", "--input", name, *output(rng)), files)


def calibration_case(rng: Random, stock: Stock) -> Case:
    record = json.loads(stock.files["teacher/calibration.json"])
    how = rng.choice(("value", "value", "range", "range", "operand", "operand", "drop", "unknown", "json"))
    if how == "value":
        key = rng.choice(
            ("format", "weights", "attention", "method", "bits", "percentile", "balance", "sentences", "tokens")
        )
        record[key] = rng.choice((*NOT_NUMBER, "other") if key != "percentile" else NOT_NUMBER)
    elif how == "range":
        key = rng.choice(sorted(record["ranges"]))
        record["ranges"][key] = rng.choice((*NOT_NUMBER, 0, -0.5, 1e-320, 1e300))
        if rng.random() < 0.3:
            del record["ranges"][key]
    elif how == "operand":
        operand = record["operands"][rng.choice(sorted(record["operands"]))]
        key = rng.choice(("reach", "exponents"))
        places = operand["exponents"]
        if key == "reach":
            operand[key] = rng.choice((*NOT_NUMBER, 0))
        else:
            wrong = rng.choice((*(v for v in NOT_NUMBER if v != -1), 1, 1.5, "-1", -(10**6)))
            operand[key] = rng.choice((places[:-1], [*places, 0], [], None, 3, "x", [*places[:-1], wrong]))
    elif how == "drop":
        part = rng.choice((record, record["operands"], record["ranges"]))
        del part[rng.choice(sorted(k for k in part))]
    elif how == "unknown":
        record["surprise"] = 1
    text = json.dumps(record).encode()
    content = spoiled_json(rng, text) if how == "json" else text
    files = {"mine.json": content} | stock.under("teacher", "model", but="calibration.json")
    args = ("simulate", "model", "--random", "1", "--seq", "4", "--calibration", "mine.json", *output(rng))
    if rng.random() < 0.3:
        files["model/calibration.json"] = files.pop("mine.json")
        args = ("simulate", "model", "--random", "1", "--seq", "4", *output(rng))
        if content is None:  # a directory beside the weights is no calibration, and none is asked for
            return Case("calibration", args, files, sound=True)
    # A range that nothing reads may be missing.
    return Case("calibration", args, files, sound=how in ("range", "drop"))


def trace_case(rng: Random, stock: Stock) -> Case:
    """Cached traces: a corrupt one is as good as none, one whose hash was made to fit is refused or sound."""
    name = rng.choice(sorted(stock.traces))
    body = stock.traces[name].partition(b"\n")[2]
    if rng.random() < 0.2:
        at = rng.randrange(len(body))
        torn = rng.choice((body[:at], body[:at] + b"\x00" + body[at + 1 :], b"\xff" + body, b""))
        content = stock.traces[name].replace(body, torn)
        return Case("trace", stock.traced, {f"cache/{name}": content}, stdout=stock.stdout)
    record = json.loads(body)
    for _ in range(rng.randrange(1, 4)):
        spoil_somewhere(rng, record)
    return Case("trace", ("cached",), {"cache/entry": json.dumps(record).encode()}, sound=True)


def spoil_somewhere(rng: Random, record: Any) -> None:
    """Change, drop or double one item at a random place of a record."""
    for _ in range(12):
        keys = list(record) if isinstance(record, dict) else list(range(len(record)))
        if not keys:
            return
        key = rng.choice(keys)
        if isinstance(record[key], dict | list) and record[key] and rng.random() < 0.85:
            record = record[key]
            continue
        how = rng.choice(("change", "change", "drop"))
        if how == "drop":
            del record[key]
        else:
            record[key] = rng.choice((*NOT_NUMBER, 0, 7, 1.5, "x", record[key]))
        return


# Checkpoints


def checkpoint_case(rng: Random, stock: Stock) -> Case:
    from tests.fuzz.stock import spoiled_tensors

    origin = rng.choice(("teacher", "student", "saved"))
    files = stock.under(origin, "model")
    how = rng.choice(
        ("config", "config", "config", "tensors", "tensors", "tensors", "bytes", "bytes", "lacking", "tokenizer")
    )
    weights, config = "model/model.safetensors", json.loads(files["model/config.json"] or b"")
    sound = False
    if how == "config":
        files["model/config.json"], sound = wrong_config(rng, config, origin)
    elif how == "tensors":
        files[weights] = spoiled_tensors(rng, files[weights] or b"")
    elif how == "bytes":
        files[weights] = torn_bytes(rng, files[weights] or b"")
    elif how == "lacking":
        gone = rng.choice(("model/config.json", weights))
        del files[gone]
        files |= rng.choice(({}, {gone: None}, {"model/pytorch_model.bin": b"\x80\x02."}))
    else:
        files["model/tokenizer.json"] = wrong_tokenizer(rng, files["model/tokenizer.json"] or b"")
    run = ("simulate", "model", "--random", "1", "--seq", "4")
    judged = ("evaluate", "model", "--task", "sst2", "--file", "good.tsv")
    args = judged if how == "tokenizer" else rng.choice((run, judged))
    if how == "config" and rng.random() < 0.3:
        args, sound = (
            rng.choice(
                (("count", "model", "--seq", "4"), ("report", "model", "--seq", "4", "--attention", "dot"))
            ),
            True,
        )
    return Case("checkpoint", (*args, *output(rng)), {"good.tsv": stock.files["good.tsv"], **files}, sound)


def wrong_config(rng: Random, config: dict[str, Any], origin: str) -> tuple[bytes | None, bool]:
    """A configuration that is wrong, and whether it may describe a model after all."""
    how = rng.choice(("size", "size", "mechanism", "mechanism", "ours", "json", "drop"))
    if how == "json":
        return spoiled_json(rng, json.dumps(config).encode()), False
    if how == "size":
        key = rng.choice(
            ("dim", "n_heads", "n_layers", "hidden_dim", "max_position_embeddings", "vocab_size", "activation")
        )
        config[key] = rng.choice((-1, 0, 1.5, "x", None, [], {}, 7, float("nan"), 10**30, 10**400, True))
        return json.dumps(config).encode(), key == "n_heads"
    if how == "mechanism":
        option, values = rng.choice(
            (
                ("name", ("nothing", 3, None, "", [], {})),
                ("gamma", ("x", None, float("nan"), float("inf"), [], 10**400)),
                ("shift", (-1, "x", None, float("nan"), float("inf"))),
                ("per_head", ("yes", 3, None, [])),
                ("normalise", ("cube", 1, None, [])),
                ("center_over", ("none", 1, None)),
                ("surprise", (1,)),
            )
        )
        config["attention_mechanism"][option] = rng.choice(values)
        if rng.random() < 0.2:
            config["attention_mechanism"] = rng.choice((3, "dot", [], {}, ["dot"]))
        return json.dumps(config).encode(), False
    if how == "ours" and origin != "saved":
        key = rng.choice(("embeddings", "architectures"))
        config[key] = rng.choice(
            (None, 3, "other", [], {}, ["Other"], ["DistilBertModel", "DistilBertModel"], [["x"]], [{}], "minilm")
        )
        return json.dumps(config).encode(), False
    del config[rng.choice(("dim", "hidden_dim", "vocab_size", "max_position_embeddings"))]
    return json.dumps(config).encode(), False


def torn_bytes(rng: Random, content: bytes) -> bytes:
    at = rng.randrange(len(content) - 1)
    header = int.from_bytes(content[:8], "little")
    inside = rng.randrange(8, 8 + header)
    return rng.choice(
        (
            *(
                content[:at],
                content + b"\x00",
                b"",
                b"\x00" * 64,
                b"\xff" * 64,
                content[: 8 + header],
                content[8:],
            ),
            *((header + 8).to_bytes(8, "little") + content[8:], (1 << 62).to_bytes(8, "little") + content[8:]),
            content[:inside] + rng.choice((b"\xff", b"\x00")) + content[inside + 1 :],
        )
    )


def wrong_tokenizer(rng: Random, text: bytes) -> bytes | None:
    record = json.loads(text)
    key = rng.choice(("model", "pre_tokenizer", "normalizer"))
    record[key] = rng.choice(
        ({"type": "Nothing"}, 3, [], "x", {"type": "WordLevel"}, {"type": "BPE", "vocab": 3, "merges": [["a"]]})
    )
    return spoiled_json(rng, text) if rng.random() < 0.5 else json.dumps(record).encode()


# Labelled files


def labelled_case(rng: Random, stock: Stock) -> Case:
    task = rng.choice(("sst2", "sst2", "rte", "stsb"))
    pair = task != "sst2"
    good = "3.5" if task == "stsb" else "1"
    rows = [["a good film", *(["a film"] if pair else []), good] for _ in range(rng.randrange(1, 5))]
    header = ["sentence", *(["sentence2"] if pair else []), "label"]
    how = rng.choice(("label", "label", "header", "columns", "empty", "bytes", "whole"))
    row = rng.choice(rows)
    if how == "label":
        wrong = ("2", "-1", "nan", "inf", "", "x", "²", "1.5", "1e999", "0x1", "٣", "9" * 5000, "true", "[1]", " ")
        row[-1] = rng.choice(
            wrong if task != "stsb" else ("-1", "nan", "inf", "", "x", "²", "5.1", "1e999", "0x1", "[1]")
        )
    elif how == "header":
        header = rng.choice(
            (
                ["text", "label"],
                [*header, "label"],
                header[:-1],
                [],
                ["Sentence", "Label"],
                ["label"] * 2,
                [" ", "label"],
            )
        )
    elif how == "columns":
        row[:] = rng.choice((row[:-1], [*row, "1"], [], [row[0] + "\t" + "x", *row[1:]]))
    elif how == "empty":
        row[rng.randrange(len(row) - 1)] = rng.choice(("", " ", "\u2003", "\u00a0"))
    content: bytes | None = "\n".join("\t".join(r) for r in (header, *rows)).encode() + b"\n"
    if how == "bytes":
        at = rng.randrange(len(content or b""))
        content = (
            (content or b"")[:at] + rng.choice((b"\xff", b"\xc3\x28", b"\xed\xa0\x80")) + (content or b"")[at:]
        )
    elif how == "whole":
        content = rng.choice(
            (b"", None, b"\n", b"\xff\xfe", "\t".join(header).encode(), b"\n\n\n", b"\x00", b"PK\x03\x04")
        )
    files = {"mine.tsv": content} | stock.under("teacher", "model")
    args = (
        "evaluate",
        "model",
        "--task",
        task,
        "--file",
        "mine.tsv",
        "--predictions",
        "out/said.tsv",
        *output(rng),
    )
    return Case("labelled", args, files)


# What commands wrote: stores and reports. Here a spoiled byte may be one that nothing reads.


def store_case(rng: Random, stock: Stock) -> Case:
    content, how = stock.files["store.db"], rng.choice(("bytes", "bytes", "cut", "header", "sql", "sql", "sql"))
    if how == "sql":
        content = spoiled_store(rng, content)
    elif how == "cut":
        content = content[: rng.randrange(len(content))]
    else:
        for _ in range(rng.choice((1, 8, 64))):
            at = rng.randrange(100 if how == "header" else len(content))
            content = content[:at] + rng.randbytes(1) + content[at + 1 :]
    args = rng.choice(
        (
            *(
                ("pareto", "store.db"),
                ("pareto", "store.db", "--where", "seq <= 8"),
                ("pareto", "store.db", "--point", "3"),
            ),
            *(("diff", "store.db#1", "store.db#2"), ("pareto", "store.db", "--export", "out/points.csv")),
            ("sweep", "small.toml", "--store", "store.db", "--workers", "1"),
        )
    )
    files: Files = {"store.db": content, "small.toml": stock.files["small.toml"]}
    return Case("store", (*args, *output(rng)), files, sound=True, changes=("store.db",))


def report_case(rng: Random, stock: Stock) -> Case:
    text = stock.files["report.json"]
    record = json.loads(text)
    for _ in range(rng.randrange(1, 4)):
        spoil_somewhere(rng, record)
    content = spoiled_json(rng, text) if rng.random() < 0.3 else json.dumps(record).encode()
    files = {"mine.json": content, "report.json": text}
    args = ("diff", rng.choice(("mine.json#dot", "mine.json#inhibitor")), "report.json#dot", *output(rng))
    return Case("report", args, files, sound=True)


# Command lines

BASE: Mapping[str, tuple[str, ...]] = {
    "count": ("distilbert-tiny", "--seq", "4"),
    "report": ("distilbert-tiny", "--seq", "4", "--attention", "dot"),
    "audit": ("distilbert-tiny", "--seq", "4"),
    "formula": ("distilbert-tiny",),
    "simulate": ("distilbert-tiny", "--random", "1", "--seq", "4"),
    "evaluate": ("model", "--task", "sst2", "--file", "good.tsv"),
    "train": ("sst2", "--out", "out/run", "--data-dir", "no-data"),
    "gemm": ("8", "8", "8"),
    "targets": ("edge-asic",),
    "tables": ("horowitz45",),
    "sweep": ("space.toml", "--store", "out/store.db", "--workers", "1"),
    "pareto": ("store.db",),
    "diff": ("distilbert-tiny --seq 4", "distilbert-tiny --seq 4 --attention inhibitor"),
}
NOT_MODEL = (
    "no-such-model",
    "no_such:function",
    "tests.user_models:broken",
    "tests.user_models:nothing",
    "good.tsv",
    "out",
    ":",
    "²",
)
NOT_ATTENTION = (
    "",
    "nothing",
    "dot:x",
    "dot:gamma=1",
    "inhibitor:gamma=nan",
    "inhibitor:gamma=",
    "inhibitor:per_head=2",
    "DOT",
)
NOT_ATTENTION += (
    "inhibitor:gamma=1,gamma=2",
    "inhibitor:normalise=cube",
    "inhibitor-2023:shift=-1",
    "inhibitor:gamma=1e999",
)
NOT_WIDTHS = (
    "",
    "w",
    "w8",
    "w1a8",
    "w8a17",
    "w²a8",
    "w8a8:acc=3",
    "w8a8:acc=²",
    "w8a8:nothing=w8a8",
    "w8a8:matmul=fp32",
    "int8",
)
NOT_WIDTHS += ("w8a8:acc=24,acc=32", "w8a8:matmul=w4a8,matmul=w8a8", "w\u0668a8", "W8A8", "w-8a8", f"w{HUGE[1]}a8")
WORDS: Mapping[str, tuple[str, ...]] = {
    "model": NOT_MODEL,
    **dict.fromkeys(("attention", "attentions", "against"), NOT_ATTENTION),
    "widths": NOT_WIDTHS,
    **dict.fromkeys(("target",), ("", "no-such", "no.toml", "edge-asic:lanes=0", ".toml", "out.toml")),
    **dict.fromkeys(("table", "tables"), ("", "no-such", "no.toml", "horowitz45@1nm", ".toml")),
    **dict.fromkeys(("task", "task_name"), ("", "no-such", "SST2", "²")),
    "operands_in": ("", "no-such"),
    "array": ("", "0x1", "x", "²x2", "8", "-1x1"),
    "qat": ("", "fp32", "w8", "w²a8", "w1a1"),
    "name": ("no-such", "no.toml", ".toml", "²"),
    "space": ("none.toml", "out", "good.tsv"),
    "store": ("out", "good.tsv", "space.toml"),
    "a": ("none.json", "good.tsv", "nothing here", "", "x#1", "--bad"),
    "b": ("none.json", "good.tsv", "nothing here", "", "x#1", "--bad"),
}
NOT_INT = ("x", "1.5", "-1", "", "²", "nan", "1e3", "0x10", "8 8", "--", HUGE[1])
NOT_FLOAT = ("x", "nan", "inf", "-1", "", "1e999", "²", "--")
INPUT_FILES = ("file", "calibration", "calibrate_on", "data_dir", "teacher", "start")


def command_case(rng: Random, stock: Stock) -> Case:
    name = rng.choice(list(COMMANDS))
    params = importlib.import_module(f"costmodel.cli.{MODULES[name]}").command.params
    base = BASE.get(name, ())
    files = {"good.tsv": stock.files["good.tsv"], "space.toml": SPACE.encode(), "store.db": b"nothing"}
    if name == "evaluate":
        files |= stock.under("teacher", "model")
    how = rng.choice(("option",) * 8 + ("unknown", "lacking", "extra", "command", "abbreviated"))
    if how == "unknown":
        return Case(
            "command",
            (name, *base, rng.choice(("--surprise", "-z", "--no-format", "--seq=x=y", "---", "--²"))),
            files,
        )
    if how == "lacking":
        takes = [p for p in params if isinstance(p, click.Option) and not p.is_flag]
        return Case("command", (name, *base, rng.choice(rng.choice(takes).opts)), files)
    if how == "extra":
        return Case("command", (name, *base, "surprise", "surprise", "surprise"), files)
    if how == "command":
        return Case(
            "command", (rng.choice(("", "no-such", "Count", "../count", "common", "session", "²")), *base), files
        )
    if how == "abbreviated":
        return Case("command", (name, *base, "--format", rng.choice(("", "xml", "JSON", "²", "tab"))), files)
    option = rng.choice([p for p in params if wrong_words(p)])
    word = rng.choice(wrong_words(option))
    if isinstance(option, click.Argument):
        place = [p.name for p in params if isinstance(p, click.Argument)].index(option.name)
        args = (*base[:place], word, *base[place + 1 :])
    else:
        args = (*without(base, option.opts), option.opts[0], word)
    return Case(
        "command",
        (name, *args, *(output(rng) if name != "train" and option.name not in ("output", "form") else ())),
        files,
    )


def without(base: tuple[str, ...], opts: list[str]) -> tuple[str, ...]:
    """The words without an option and its value."""
    at = next((i for i, word in enumerate(base) if word in opts), None)
    return base if at is None else base[:at] + base[at + 2 :]


def wrong_words(param: click.Parameter) -> tuple[str, ...]:
    """What an option does not take; nothing where all is fine, or where this is not known."""
    if isinstance(param, click.Option) and param.is_flag:
        return ()
    if isinstance(param.type, click.Choice):
        return ("", "surprise", "²", str(param.type.choices[0]).upper() + " ")
    if isinstance(param.type, click.types.IntParamType):
        return NOT_INT
    if isinstance(param.type, click.types.FloatParamType):
        return NOT_FLOAT
    if isinstance(param.type, click.Path) and param.name not in WORDS:
        return ("none/file", "none/") if param.name in INPUT_FILES else ("out", "none/file", "good.tsv/file")
    return WORDS.get(param.name or "", ())


KINDS: Mapping[str, tuple[Callable[[Random, Stock], Case], int]] = {
    "space": (space_case, 20),
    "target": (target_case, 20),
    "table": (table_case, 20),
    "command": (command_case, 20),
    "ids": (ids_case, 8),
    "calibration": (calibration_case, 8),
    "checkpoint": (checkpoint_case, 14),
    "labelled": (labelled_case, 8),
    "trace": (trace_case, 8),
    "store": (store_case, 8),
    "report": (report_case, 6),
}


def make_case(seed: int, number: int, stock: Stock) -> Case:
    """The case of that number: it depends on nothing but seed, number and the sound files."""
    rng = Random(f"{seed}-{number}")
    (kind,) = rng.choices(list(KINDS), [weight for _, weight in KINDS.values()])
    return KINDS[kind][0](rng, stock)
