"""Stored accuracies: means over seeds, beside published figures."""

from __future__ import annotations

import json
import statistics

import pytest

from costmodel.compare.accuracies import summarise
from costmodel.show.stored_tables import shown, stored_grid
from models.zoo.students import PUBLISHED, stored_results
from tests.models.tasks.test_data import COUNTS
from tests.paths import ROOT

pytestmark = pytest.mark.quick


def one(task: str, attention: str, value: float, bits: float, seed: int = 0) -> dict:
    results = {"float32": {"metrics": {"accuracy": value, "f1": 0.1}}, "w8a8": {"metrics": {"accuracy": bits}}}
    return {"task": task, "attention": attention, "results": results, "seed": seed}


def test_seeds_are_averaged_by_task_and_mechanism() -> None:
    rows = summarise(
        [
            one("mrpc", "dot", 0.8, 0.79),
            one("mrpc", "inhibitor:per_head=true", 0.7, 0.6),
            one("mrpc", "dot", 0.9, 0.81, seed=1),
        ]
    )
    assert [(r["attention"], r["seeds"]) for r in rows] == [("dot", 2), ("inhibitor", 1)]
    assert rows[0]["metrics"] == {"float32": pytest.approx(0.85), "w8a8": pytest.approx(0.8)}
    assert rows[0]["ranges"]["w8a8"] == [0.79, 0.81]
    assert shown(rows[0], "float32") == "85.0 ± 5.0"
    assert shown(rows[1], "w4a8") == "-"
    cells = [str(cell) for cell in stored_grid(rows, PUBLISHED).rows[0]]
    assert {"-15.0", "87.5 -> 86.8"} <= set(cells)


def test_differences_are_of_runs_of_one_seed() -> None:
    """88 - 80 and 86 - 90: half of their range is 6; a seed that one of them lacks has no part in it."""
    dots = [one("mrpc", "dot", value, 0.8, seed) for seed, value in ((1, 0.9), (0, 0.8))]
    inhibitors = [one("mrpc", "inhibitor", value, 0.8, seed) for seed, value in ((0, 0.88), (1, 0.86), (2, 0.5))]
    cells = stored_grid(summarise(dots + inhibitors), PUBLISHED).rows[0]
    assert "-10.3 ± 6.0" in cells  # 224 / 3 - 85, and half of 8 + 4


def test_what_is_stored_is_what_is_shown(cli) -> None:
    """Each mean again, from the file, by the standard library."""
    found = {(r["task"], r["attention"]): r for r in json.loads(cli("results", "--format", "json").out)["results"]}
    for (task, attention), row in found.items():
        for arithmetic, mean in row["metrics"].items():
            values = [
                r["results"][arithmetic]["metrics"][row["metric"]]
                for r in stored_results()
                if r["task"] == task and r["attention"].partition(":")[0] == attention
            ]
            assert mean == pytest.approx(statistics.fmean(values), abs=1e-12)
            assert len(values) == row["seeds"]
    for task in {task for task, _ in found}:
        assert task in PUBLISHED["values"]


def test_the_page_says_what_was_cut() -> None:
    """Of GLUE only RTE has rows that fill what is read of them; the share of its larger class is chance."""
    glue = [r for r in stored_results() if r["task"] != "imdb"]
    cut = {r["task"]: (r["cut"], r["examples"], r["max_tokens"]) for r in glue}
    assert {task for task, (n, _, _) in cut.items() if n} == {"rte"}
    assert {most for _, _, most in cut.values()} == {128}
    text = " ".join((ROOT / "docs" / "accuracy.md").read_text().split())
    assert f"only RTE has longer ones, {cut['rte'][0]} of {cut['rte'][1]}. " in text
    assert f"near chance ({100 * max(COUNTS['rte'][2].values()) / cut['rte'][1]:.1f} %)" in text


def test_every_result_says_how_it_was_made() -> None:
    for result in stored_results():
        assert all(result[key] for key in ("command", "date", "versions")), result["model"]
        assert isinstance(result["seed"], int)
        assert len(result["training"]["commands"]) == len(result["training"]["cpu_hours"]) > 0, result["model"]
