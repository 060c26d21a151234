"""Sweeps and fronts as functions: what the commands say, on one screen; models of the user's own in a space."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

import costmodel as cm
from costmodel.api.graphs import Request, counted
from costmodel.errors import CostModelError
from costmodel.hardware.loading import load_target
from costmodel.mapping.cost import price
from costmodel.mapping.schedule import schedule
from costmodel.widths.assign import assign_widths
from costmodel.widths.policy import parse_policy

TINY = "distilbert-tiny"
OWN = "tests.user_models:linear"
SPACE: dict[str, Any] = {
    "objectives": ["latency_ms", "area_mm2", "energy_uj"],
    "constraints": ["area_mm2 <= 3"],
    "knobs": {
        "model": TINY,
        "attention": ["dot", "inhibitor"],
        "seq": [16, 24],
        "target": "edge-asic",
        "array": ["2x2", "4x4", "4x8", "8x8", "8x16", "16x16", "16x32", "32x32"],
        "dataflow": ["os", "ws", "is"],
        "buffer_kib": [1, 32, 64, 128],
        "lanes": [1, 4, 16, 64],
    },
}
OF_OWN = {
    "objectives": ["latency_ms", "area_mm2"],
    "knobs": {"model": OWN, "target": "edge-asic", "lanes": [8, 16]},
}


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, session_cache: str) -> None:
    monkeypatch.setenv("COSTMODEL_CACHE", session_cache)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, session_cache: str) -> Path:
    path = tmp_path_factory.mktemp("store") / "s.db"
    cm.sweep(SPACE, path)
    return path


def write(path: Path, space: dict[str, Any]) -> str:
    path.write_text(f"SPACE = {space!r}")
    return str(path)


def test_sweep_is_what_the_command_line_says(cli, tmp_path: Path) -> None:
    space = write(tmp_path / "space.py", OF_OWN)
    told = json.loads(
        cli("sweep", space, "--store", str(tmp_path / "a.db"), "--workers", "1", "--format", "json").out
    )
    found = cm.sweep(space, tmp_path / "a.db")
    assert found.to_dict() == told | {"stored_before": 2}
    assert str(found) + "\n" == cli("sweep", space, "--store", str(tmp_path / "a.db"), "--workers", "1").out
    nothing_kept = cm.sweep(space)
    assert nothing_kept.to_dict() == told | {"store": None}
    assert nothing_kept.to_rows() == found.to_rows()
    with pytest.raises(CostModelError, match="`objective=beauty` is not one of latency_ms, area_mm2"):
        found.best("beauty")


def test_pareto_is_what_the_command_line_says(cli, store: Path, tmp_path: Path) -> None:
    args = ("pareto", str(store), "--objective", "energy_uj", "--objective", "area_mm2", "--where", "lanes <= 16")
    found = cm.pareto(
        store, ["energy_uj", "area_mm2"], ["lanes <= 16"], export=tmp_path / "a.csv", figure=tmp_path / "a.html"
    )
    assert found.to_dict() == json.loads(cli(*args, "--format", "json").out)
    assert found.to_text("csv") == cli(*args, "--format", "csv").out
    assert (tmp_path / "a.csv").read_text().count("\n") == 1 + found.record.points
    text = (tmp_path / "a.html").read_text()
    assert "costmodel pareto" in text
    assert "--where &#x27;lanes &lt;= 16&#x27;" in text
    some = cm.pareto(store, points=[3, 5])
    said = cli("pareto", str(store), "--point", "3", "--point", "5", "--format", "json").out
    assert some.to_dict() == json.loads(said)


def test_a_front_is_sorted_by_the_first_objective(store: Path) -> None:
    for names in (
        ["latency_ms", "area_mm2", "energy_uj"],
        ["area_mm2", "latency_ms"],
        ["rows_per_s", "energy_uj"],
    ):
        rows = cm.pareto(store, names).to_rows()
        sign = -1 if names[0] == "rows_per_s" else 1
        merits = [
            (row["seq"], *(sign * row[n] if n == names[0] else row[n] for n in names)) for row in rows
        ]  # the front of each length by itself
        assert len(merits) > 3
        assert merits == sorted(merits)


def test_what_is_shown_first_fits_one_screen(cli, store: Path, tmp_path: Path) -> None:
    """45 lines of 100 columns; what is left out is said, and --details shows it."""
    front = cm.pareto(store)
    assert len(front.record.front) > 20
    for args in (("pareto", str(store)), ("sweep", write(tmp_path / "s.py", SPACE), "--store", str(store))):
        short, whole = cli(*args).out.splitlines(), cli(*args, "--details").out.splitlines()
        assert len(short) <= 45
        assert max(map(len, short)) <= max(100, len(str(store)) * 2)
        assert all(len(line) <= 100 for line in short if str(store) not in line)
        assert "details=True" not in "\n".join(short)
        assert len(whole) >= len(short)
    text = cli("pareto", str(store)).out
    more = len(front.record.front) - 20
    assert f"{more} more points are on the front: --details shows all, so does --format csv." in text
    assert f"{more} more points are on the front: `details=True` shows all" in str(front)
    assert "rows_per_s" in cli("pareto", str(store), "--details").out
    assert len(cli("pareto", str(store), "--format", "csv").out.splitlines()) == 1 + len(front.record.front)


# A model of the user's own


def test_a_model_of_ones_own_in_a_space() -> None:
    space = {**OF_OWN, "knobs": OF_OWN["knobs"] | {"model": [OWN, TINY], "array": ["8x8", "16x16"]}}
    rows = cm.sweep(space).to_rows()
    assert len(rows) == 8
    for row in rows:
        assert row["error"] is None
        typed = assign_widths(counted(Request(row["model"]), None).graph, parse_policy("w8a8"))
        target = load_target(f"edge-asic:array={row['array']},lanes={row['lanes']}")
        planned = schedule(typed, target)
        energy = price(typed, planned).energy
        assert energy is not None
        assert row["cycles"] == planned.cycles
        assert row["energy_uj"] == pytest.approx(energy.nominal_pj / 1e6)
        assert (row["rows_per_s"] is None) == (row["model"] == OWN)
    assert "rows_per_s" not in cm.sweep(OF_OWN).to_rows()[0]


@pytest.mark.parametrize(
    ("section", "name", "value", "says"),
    [
        (
            "knobs",
            "seq",
            16,
            "[knobs] seq: tests.user_models:linear decides its own sizes and attention; leave seq",
        ),
        ("knobs", "batch", [1, 2], "[knobs] batch: tests.user_models:linear decides"),
        ("knobs", "attention", "dot", "[knobs] attention: tests.user_models:linear decides"),
        ("knobs", "layers", 2, "[knobs] layers: tests.user_models:linear decides"),
        ("knobs", "model", "tests.user_models:nothing", "[knobs] model: tests.user_models:nothing returned int"),
        ("knobs", "model", "no.such:thing", "[knobs] model: cannot call no.such:thing: ModuleNotFoundError"),
        (None, "objectives", ["rows_per_s"], "decides its own batch, so its rows a second are not known"),
        (None, "accuracy", {"task": "sst2"}, "[accuracy]: it is measured with checkpoints"),
    ],
)
def test_what_a_model_of_ones_own_does_not_take(section: str | None, name: str, value: object, says: str) -> None:
    space = OF_OWN | {name: value} if section is None else OF_OWN | {section: OF_OWN[section] | {name: value}}
    with pytest.raises(CostModelError) as caught:
        cm.sweep(space)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_changed_source_is_another_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    source = tmp_path / "my_own_model.py"
    shutil.copy(Path(__file__).parent.parent / "user_models.py", source)
    space = OF_OWN | {"knobs": OF_OWN["knobs"] | {"model": "my_own_model:linear"}}
    cm.sweep(space, tmp_path / "s.db")
    assert cm.sweep(space, tmp_path / "s.db").record.stored_before == 2
    source.write_text(source.read_text().replace("Linear(3, 4)", "Linear(3, 40)"))
    del sys.modules["my_own_model"]
    with pytest.raises(CostModelError, match="holds another space"):
        cm.sweep(space, tmp_path / "s.db")
