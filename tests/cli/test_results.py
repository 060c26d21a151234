"""Stored accuracies: means over seeds, beside published figures."""

from __future__ import annotations

import json
import re
import statistics
from pathlib import Path

import pytest

from costmodel.compare.accuracies import summarise
from costmodel.compare.evaluation import Evaluation, Measured, Ranges
from costmodel.show.stored_tables import shown, stored_grid
from models.errors import ModelError
from models.zoo.students import PUBLISHED, RESULTS, stored_results, write_results
from tests.models.tasks.test_data import COUNTS
from tests.paths import ROOT

pytestmark = pytest.mark.quick


def one(task: str, attention: str, value: float, bits: float, seed: int = 0) -> Evaluation:
    results = {
        "float32": Measured({"accuracy": value, "f1": 0.1}, (0.0, 1.0), 1.0),
        "w8a8": Measured({"accuracy": bits}, (0.0, 1.0), 1.0),
    }
    return Evaluation(
        model="one", attention=attention, task=task, source="", examples=1, limited=False, note="",
        calibration=Ranges("mse", 1), results=results, seed=seed,
    )  # fmt: skip


def test_seeds_are_averaged_by_task_and_mechanism() -> None:
    rows = summarise(
        [
            one("mrpc", "dot", 0.8, 0.79),
            one("mrpc", "inhibitor:per_head=true", 0.7, 0.6),
            one("mrpc", "dot", 0.9, 0.81, seed=1),
        ]
    )
    assert [(r.attention, r.seeds) for r in rows] == [("dot", 2), ("inhibitor", 1)]
    assert rows[0].metrics == {"float32": pytest.approx(0.85), "w8a8": pytest.approx(0.8)}
    assert rows[0].ranges["w8a8"] == (0.79, 0.81)
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
                r.results[arithmetic].metrics[row["metric"]]
                for r in stored_results()
                if r.task == task and r.attention.partition(":")[0] == attention
            ]
            assert mean == pytest.approx(statistics.fmean(values), abs=1e-12)
            assert len(values) == row["seeds"]
    for task in {task for task, _ in found}:
        assert task in PUBLISHED.values


def test_the_page_says_what_was_cut() -> None:
    """Of GLUE only RTE has rows that fill what is read of them; the share of its larger class is chance."""
    glue = [r for r in stored_results() if r.task != "imdb"]
    cut = {r.task: (r.run.cut, r.examples, r.run.max_tokens) for r in glue}
    assert {task for task, (n, _, _) in cut.items() if n} == {"rte"}
    assert {most for _, _, most in cut.values()} == {128}
    text = " ".join((ROOT / "docs" / "accuracy.md").read_text().split())
    assert f"only RTE has longer ones, {cut['rte'][0]} of {cut['rte'][1]}. " in text
    assert f"near chance ({100 * max(COUNTS['rte'][2].values()) / cut['rte'][1]:.1f} %)" in text


def test_every_result_says_how_it_was_made() -> None:
    for result in stored_results():
        assert result.run is not None
        assert all((result.run.command, result.run.date, result.run.versions)), result.model
        training = result.run.training
        assert len(training.commands) == len(training.cpu_hours) > 0, result.model


def test_the_function_gives_what_the_command_prints(cli) -> None:
    import costmodel as cm

    assert cm.stored_results().to_text("json") == cli("results", "--format", "json").out
    assert cm.stored_results().to_text("csv") == cli("results", "--format", "csv").out
    lines = cli("results").out.splitlines()
    assert len(lines) <= 45
    assert max(map(len, lines)) <= 100
    assert "the inhibitor is" in lines[0]


DAMAGE = {
    "torn": lambda text: text[: len(text) // 2],
    "another format": lambda text: text.replace('"format": 1', '"format": 2'),
    "no seed": lambda text: text.replace('"seed": 0', '"seat": 0', 1),
    "words for numbers": lambda text: text.replace('"examples": 872', '"examples": "many"', 1),
    "a list": lambda text: "[]",
    "a float for a metric is text": lambda text: re.sub(
        r'"accuracy": [\d.]+', '"accuracy": "high"', text, count=1
    ),
    "one end of an interval": lambda text: re.sub(r'"interval": \[\s*[\d.]+,', '"interval": [', text, count=1),
}


@pytest.mark.parametrize("how", list(DAMAGE))
def test_a_damaged_file_is_one_line(tmp_path: Path, how: str) -> None:
    path = tmp_path / "results.json"
    path.write_text(DAMAGE[how](RESULTS.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(ModelError, match=r"results\.json is damaged: ") as caught:
        stored_results(path)
    assert "\n" not in str(caught.value)


def test_what_is_read_is_written_again(tmp_path: Path) -> None:
    write_results(tmp_path / "results.json", stored_results())
    before, after = (json.loads(path.read_text(encoding="utf-8")) for path in (RESULTS, tmp_path / "results.json"))
    assert before == after
    assert stored_results(tmp_path / "results.json") == stored_results()


def test_no_file_is_no_results(tmp_path: Path) -> None:
    assert stored_results(tmp_path / "none.json") == ()
