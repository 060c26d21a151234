"""Training runs, whole, stopped and refused, on models of 16 channels and sentences of a few words."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from costmodel.cli.training import command
from models.attention.cores import CORE, install
from models.attention.mechanisms import parse_mechanism
from models.errors import ModelError
from models.training import distill
from models.training.batches import read_rows
from models.training.distill import train
from models.training.initial import SMALLEST_GAMMA, build
from models.training.losses import align_loss, encode
from models.training.recipe import TrainConfig, preset
from models.training.state import read_record
from models.zoo.checkpoint import load_checkpoint, save_checkpoint
from models.zoo.distilbert import load_minilm
from tests.paths import ROOT
from tests.schemas import schema_text
from tests.training_models import QUERY, STUDENT, batch_of, tiny, weights

WORDS = ["film", "story", "plot", "acting", "music", "scene", "end", "start", "actor", "line"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SST-2's files, of sentences with a good or a bad word at any place."""
    folder = tmp_path_factory.mktemp("glue")
    (folder / "SST-2").mkdir()
    rng = np.random.default_rng(0)
    for split, rows in (("train", 160), ("dev", 40)):
        lines = ["sentence\tlabel"]
        for _ in range(rows):
            label = int(rng.integers(2))
            words = [WORDS[i] for i in rng.integers(len(WORDS), size=rng.integers(2, 9))]
            words.insert(int(rng.integers(len(words) + 1)), ("bad", "good")[label])
            lines.append(f"{' '.join(words)} \t{label}")
        (folder / "SST-2" / f"{split}.tsv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "start"
    save_checkpoint(tiny(), path)
    return path


@pytest.fixture(scope="module")
def teacher(data: Path, start: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fine-tuned until it knows the two words."""
    config = TrainConfig("sst2", start=(str(start),), train_steps=120, batch=16, rate=5e-3, evaluate_every=40)
    return train(config, tmp_path_factory.mktemp("runs") / "teacher", data)


@pytest.fixture
def student(teacher: Path) -> TrainConfig:
    """All stages, in few steps."""
    config = TrainConfig("sst2", STUDENT, str(teacher), align_steps=8, train_steps=8, qat="w8a8", qat_steps=5)
    return replace(config, batch=8, evaluate_every=1, save_every=3)


def rows_of(out: Path) -> list[dict[str, str]]:
    with open(out / "log.csv", newline="") as file:
        return list(csv.DictReader(file))


# Training


def test_fine_tuning_learns_and_leaves_embeddings(teacher: Path, start: Path) -> None:
    rows = rows_of(teacher.parent)
    losses = [float(row["loss"]) for row in rows]
    assert [int(row["step"]) for row in rows] == list(range(1, 121))
    assert np.mean(losses[-20:]) < 0.5 * np.mean(losses[:20])
    record = json.loads((teacher.parent / "run.json").read_text())
    assert record["results"]["best"]["accuracy"] > 0.9
    assert record["results"]["best"]["accuracy"] == max(float(r["metric"]) for r in rows if r["metric"])
    before, after = (load_checkpoint(p).state_dict() for p in (start, teacher))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if ".embeddings." not in name}
    assert sorted(p.name for p in teacher.parent.iterdir()) == ["best", "last", "log.csv", "run.json"]


def test_alignment_brings_contexts_nearer_and_changes_what_it_may(
    teacher: Path, data: Path, tmp_path: Path
) -> None:
    config = TrainConfig("sst2", STUDENT, str(teacher), align_steps=60, train_steps=0, batch=16)
    made = load_checkpoint(train(replace(config, evaluate_every=60), tmp_path / "run", data))
    losses = [float(row["loss"]) for row in rows_of(tmp_path / "run")]
    assert np.mean(losses[-10:]) < 0.7 * np.mean(losses[:3])
    dot = load_checkpoint(teacher)
    fresh = install(load_checkpoint(teacher), parse_mechanism(STUDENT))
    batch = batch_of()
    with torch.no_grad():
        assert align_loss(made, dot, batch) < 0.5 * align_loss(fresh, dot, batch)
    before, after = fresh.state_dict(), made.state_dict()
    allowed = (".q_lin.", ".k_lin.", ".v_lin.", CORE)
    assert {n for n in before if not torch.equal(before[n], after[n])} == {
        n for n in before if any(part in n for part in allowed)
    }
    assert all((p > 0).all() for name, p in made.named_parameters() if name.endswith("gamma"))


def test_texts_teach_without_labels(teacher: Path, data: Path, tmp_path: Path) -> None:
    """Hidden states come nearer to the teacher's; no label and no weight of a head has a part in it."""
    folder = tmp_path / "flipped" / "SST-2"
    folder.mkdir(parents=True)
    for split in ("train", "dev"):
        text = (data / "SST-2" / f"{split}.tsv").read_text()
        (folder / f"{split}.tsv").write_text(
            text.replace("\t0\n", "\t?\n").replace("\t1\n", "\t0\n").replace("?", "1")
        )
    config = TrainConfig("texts", STUDENT, str(teacher), align_steps=30, train_steps=60, batch=16, rate=1e-3)
    made = [
        load_checkpoint(train(replace(config, evaluate_every=45), tmp_path / name, root))
        for name, root in (("run", data), ("other", folder.parent))
    ]
    assert not hasattr(made[0], "classifier")
    same = (weights(model) for model in made)
    assert all(torch.equal(a, b) for a, b in zip(*(state.values() for state in same), strict=True))
    rows = rows_of(tmp_path / "run")
    losses = {stage: [float(r["loss"]) for r in rows if r["stage"] == stage] for stage in ("align", "train")}
    assert np.mean(losses["train"][-10:]) < 0.7 * np.mean(losses["train"][:5])
    # The dev metric is what remains of the squares, over one batch of all rows, computed by hand.
    dot, batch = load_checkpoint(teacher), read_rows(config, "dev", data, 64).batch(range(40))
    with torch.no_grad():
        pairs = list(zip(encode(made[0], batch)[1:], encode(dot, batch)[1:], strict=True))
    errors = [float(((a - b)[batch.keep] ** 2).sum() / (b[batch.keep] ** 2).sum()) for a, b in pairs]
    agreement = json.loads((tmp_path / "run" / "run.json").read_text())["results"]["best"]["agreement"]
    assert agreement == pytest.approx(1 - np.mean(errors), abs=1e-6)


def test_texts_teach_integers_too(teacher: Path, data: Path, tmp_path: Path) -> None:
    config = TrainConfig("texts", STUDENT, str(teacher), align_steps=2, train_steps=2, batch=8, qat="w3a3")
    train(replace(config, qat_steps=2, evaluate_every=1, int8=True), tmp_path / "run", data)
    results = json.loads((tmp_path / "run" / "run.json").read_text())["results"]
    assert results["w3a3"]["agreement"] < results["best"]["agreement"]
    assert results["int8"]["agreement"] == pytest.approx(results["best"]["agreement"], abs=0.02)


def test_an_encoder_takes_its_teachers_head(teacher: Path, data: Path, tmp_path: Path) -> None:
    encoder = train(
        TrainConfig("texts", STUDENT, str(teacher), align_steps=2, train_steps=0, batch=8),
        tmp_path / "texts",
        data,
    )
    config = TrainConfig("sst2", STUDENT, str(teacher), start=(str(encoder),))
    model, dot = build(config)
    assert all(torch.equal(p, weights(model.distilbert)[n]) for n, p in weights(load_checkpoint(encoder)).items())
    assert torch.equal(model.classifier.weight, dot.classifier.weight)
    assert torch.equal(model.pre_classifier.weight, dot.pre_classifier.weight)
    alone, _ = build(replace(config, teacher=None))
    assert not torch.equal(alone.pre_classifier.weight, dot.pre_classifier.weight)
    out = train(replace(config, train_steps=2, batch=8), tmp_path / "run", data)
    assert load_checkpoint(out).classifier.out_features == 2


def test_an_encoder_gains_what_its_teacher_learned(data: Path, tmp_path: Path) -> None:
    """Aligned with MiniLM, it moves by what the teacher has beyond MiniLM; its own parameters stay."""
    texts = TrainConfig("texts", STUDENT, align_steps=1, train_steps=0, batch=4, max_train=8)
    encoder = train(texts, tmp_path / "texts", data)
    teacher, _ = build(TrainConfig("sst2"))
    with torch.no_grad():
        for name, p in teacher.named_parameters():
            if ".embeddings." not in name:
                p += 0.01 * torch.randn_like(p)
    save_checkpoint(teacher, tmp_path / "teacher")
    model, _ = build(TrainConfig("sst2", STUDENT, str(tmp_path / "teacher"), start=(str(encoder),)))
    moved, learned, before = weights(model.distilbert), weights(teacher.distilbert), weights(load_minilm())
    for name, w in weights(load_checkpoint(encoder)).items():
        expected = w + learned[name] - before[name] if name in before else w
        torch.testing.assert_close(moved[name], expected, atol=1e-6, rtol=0)
    assert any(CORE in name for name in moved.keys() - before.keys())


def test_alignment_begins_with_the_cores_of_a_start(
    teacher: Path, student: TrainConfig, data: Path, tmp_path: Path
) -> None:
    """Those that were trained are kept; those of an attention put in anew are set from data."""
    began = train(replace(student, train_steps=4, qat=None), tmp_path / "began", data)
    for start, kept in ((began, True), (teacher, False)):
        config = replace(student, start=(str(start),), align_steps=1, align_rate=0.0, core_rate=0.0)
        made = load_checkpoint(train(replace(config, train_steps=0, qat=None), tmp_path / str(kept), data))
        before = weights(build(config)[0])
        cores = {name for name in before if CORE in name}
        assert cores
        assert kept == all(torch.equal(before[name], weights(made)[name]) for name in cores)


def test_gamma_stays_positive(teacher: Path, data: Path, tmp_path: Path) -> None:
    config = TrainConfig("sst2", STUDENT, str(teacher), align_steps=12, core_rate=30.0, train_steps=0, batch=8)
    train(config, tmp_path / "run", data)
    last = load_checkpoint(tmp_path / "run" / "last")
    gammas = torch.cat([p.flatten() for name, p in last.named_parameters() if name.endswith("gamma")])
    assert gammas.min() == torch.tensor(SMALLEST_GAMMA), "pushed against the floor"


def test_the_best_is_kept_and_integers_start_from_it(
    start: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = TrainConfig("sst2", start=(str(start),), train_steps=3, batch=8, evaluate_every=1)
    metrics = iter((0.5, 0.9, 0.7, 0.9))
    monkeypatch.setattr(distill, "score", lambda *_: {"accuracy": next(metrics, 0.1)})
    train(config, tmp_path / "a", data)
    assert json.loads((tmp_path / "a" / "run.json").read_text())["best_step"] == 2
    best, last = (load_checkpoint(tmp_path / "a" / which).state_dict() for which in ("best", "last"))
    assert not torch.equal(best[QUERY], last[QUERY])
    metrics = iter((0.5, 0.9, 0.7, 0.9))
    train(replace(config, qat="w8a8", qat_steps=1, qat_rate=0.0), tmp_path / "b", data)
    after = load_checkpoint(tmp_path / "b" / "last").state_dict()
    assert all(torch.equal(best[name], after[name]) for name in best)


# Stopped and resumed


class Killed(Exception):
    pass


def kill_at(step: int) -> Callable[[int, int, float, float | None], None]:
    def tick(done: int, total: int, loss: float, metric: float | None) -> None:
        if done == step:
            raise Killed

    return tick


def same_run(a: Path, b: Path) -> None:
    """All but the seconds."""
    for form in ("best", "last", "int8"):
        if (a / form).exists() or (b / form).exists():
            for name in ("model.safetensors", "config.json"):
                assert (a / form / name).read_bytes() == (b / form / name).read_bytes(), f"{form}/{name}"
    logs = [[{k: v for k, v in row.items() if k != "seconds"} for row in rows_of(out)] for out in (a, b)]
    assert logs[0] == logs[1]
    records = [json.loads((out / "run.json").read_text()) | {"seconds": 0, "cpu_seconds": 0} for out in (a, b)]
    assert records[0] == records[1]


@pytest.mark.parametrize(("average", "precision"), [(0.0, "float32"), (0.9, "bfloat16")])
def test_a_resumed_run_equals_an_uninterrupted_one(
    average: float, precision: str, student: TrainConfig, data: Path, tmp_path: Path
) -> None:
    student = replace(student, average=average, precision=precision)
    whole = tmp_path / "whole"
    train(student, whole, data)
    assert [row["stage"] for row in rows_of(whole)] == ["align"] * 8 + ["train"] * 8 + ["qat"] * 5
    stopped = tmp_path / "stopped"
    # Between two states, at one, at the end of a stage, just within the next, at the last step.
    for step in (1, 5, 6, 8, 13, 16, 17, 20, 21):
        with pytest.raises(Killed):
            train(student, stopped, data, kill_at(step))
    train(student, stopped, data)
    same_run(whole, stopped)
    assert train(student, stopped, data, kill_at(1)) == stopped / "best", "a finished run is left as it is"


def test_the_average_of_weights_is_what_is_kept(student: TrainConfig, data: Path, tmp_path: Path) -> None:
    """Two steps: the average is the first weights, moved half of the way to the second."""
    last = {}
    for steps, average in ((1, 0.0), (2, 0.0), (2, 0.5)):
        config = replace(student, align_steps=0, train_steps=2, qat=None, average=average, evaluate_every=steps)
        out = tmp_path / f"{steps}-{average}"
        if steps == 1:
            with pytest.raises(Killed):
                train(replace(config, save_every=1), out, data, kill_at(1))
            last[steps, average] = load_checkpoint(out / "best").state_dict()
        else:
            train(config, out, data)
            last[steps, average] = load_checkpoint(out / "last").state_dict()
    for name, mean in last[2, 0.5].items():
        torch.testing.assert_close(mean, (last[1, 0.0][name] + last[2, 0.0][name]) / 2, atol=1e-6, rtol=1e-5)


def test_a_mean_of_checkpoints_needs_no_steps(start: Path, data: Path, tmp_path: Path) -> None:
    """Weights are averaged one by one, and measured."""
    runs = [tmp_path / f"run{seed}" for seed in (0, 1)]
    for seed, out in enumerate(runs):
        train(TrainConfig("sst2", start=(str(start),), train_steps=2, batch=8, seed=seed), out, data)
    best = train(
        TrainConfig("sst2", start=tuple(str(out / "last") for out in runs), train_steps=0), tmp_path / "mean", data
    )
    first, second, mean = (
        load_checkpoint(path).state_dict() for path in (runs[0] / "last", runs[1] / "last", best)
    )
    assert any(not torch.equal(first[name], second[name]) for name in first)
    for name, found in mean.items():
        torch.testing.assert_close(found, (first[name] + second[name]) / 2)
    record = json.loads((tmp_path / "mean" / "run.json").read_text())
    assert record["finished"]
    assert "accuracy" in record["results"]["best"]


def test_a_mean_of_different_models_is_refused(start: Path, data: Path, tmp_path: Path) -> None:
    model = load_checkpoint(start)
    install(model, parse_mechanism("relu"))
    save_checkpoint(model, tmp_path / "other")
    with pytest.raises(ModelError, match="of another model"):
        train(
            TrainConfig("sst2", start=(str(start), str(tmp_path / "other")), train_steps=0),
            tmp_path / "mean",
            data,
        )


def test_a_run_survives_sigkill(student: TrainConfig, data: Path, tmp_path: Path) -> None:
    config = replace(student, train_steps=40, save_every=2)
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    train(config, whole, data)
    code = (
        "import sys\nfrom pathlib import Path\nfrom models.training.distill import train\n"
        "from models.training.recipe import TrainConfig\n"
        f"train({config!r}, Path(sys.argv[1]), Path(sys.argv[2]))"
    )
    environment = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}
    process = subprocess.Popen([sys.executable, "-c", code, str(stopped), str(data)], cwd=ROOT, env=environment)
    log, deadline = stopped / "log.csv", time.monotonic() + 240
    while time.monotonic() < deadline and not (log.exists() and log.read_text().count("\n") > 12):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it was still at work"
    train(config, stopped, data)
    same_run(whole, stopped)


# Refused


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rate": 1e-5}, "another rate"),
        ({"attention": "relu"}, "another attention"),
        ({"max_train": 50}, "another data, max_train"),
    ],
)
def test_a_directory_of_another_run_is_refused(
    change: dict[str, Any], said: str, student: TrainConfig, data: Path, tmp_path: Path
) -> None:
    with pytest.raises(Killed):
        train(student, tmp_path / "run", data, kill_at(1))
    with pytest.raises(ModelError, match=said):
        train(replace(student, **change), tmp_path / "run", data)


def test_what_cannot_be_trained_is_refused(student: TrainConfig, start: Path, data: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(ModelError, match="holds no run"):
        train(student, tmp_path / "other", data)
    alone = TrainConfig("sst2", start=(str(start),), train_steps=3, batch=8)
    for config, said in (
        (replace(alone, align_steps=3), "needs a teacher"),
        (replace(alone, task="texts"), "aligns another attention"),
        (replace(alone, train_steps=0), "no steps"),
        (replace(alone, qat="int8"), "w8a8"),
        (replace(alone, batch=0), "`batch=0` is not at least 1"),
        (replace(alone, rate=float("nan")), "finite number"),
        (replace(alone, align_rate=-1e-3), "at least 0"),
        (replace(alone, precision="float8"), "`precision=float8` is not one of"),
        (replace(alone, average=1.0), "below 1"),
        (replace(alone, rate=1e30, warmup=0.0), "lower rate"),
        (replace(alone, teacher=str(tmp_path / "none")), "no checkpoint"),
    ):
        with pytest.raises(ModelError, match=said) as error:
            train(config, tmp_path / said.replace(" ", "-"), data)
        assert "\n" not in str(error.value)
    with pytest.raises(ModelError, match="unknown `task=sst3`"):
        preset("sst3")


def test_a_function_can_what_the_command_can(start: Path, data: Path, tmp_path: Path) -> None:
    """The same weights, record and lines from the command and from `costmodel.train`."""
    import costmodel as cm

    arguments = ["sst2", "--start", str(start), "--out", str(tmp_path / "a"), "--data-dir", str(data)]
    arguments += ["--steps", "4", "--batch", "8", "--qat", "w8a8", "--qat-steps", "2", "--rate", "0.001", "--int8"]
    said = CliRunner().invoke(command, [*arguments, "--format", "json"], catch_exceptions=False)
    found = cm.train(
        "sst2", tmp_path / "b", start=start, data_dir=data, steps=4, batch=8, qat="w8a8", qat_steps=2, rate=0.001,
        int8=True, progress=False,
    )  # fmt: skip
    record = json.loads(said.stdout)
    times = {"seconds": 0, "cpu_seconds": 0}
    assert json.loads(said.stdout.replace(f"{tmp_path}/a", f"{tmp_path}/b")) | times == found.to_dict() | times
    jsonschema.validate(record, json.loads(schema_text("train")))
    assert list(record["results"]) == ["best", "w8a8", "int8"]
    assert (record["steps"], found.best) == (6, tmp_path / "b" / "best")
    assert [row["form"] for row in found.to_rows()] == ["best", "w8a8", "int8"]
    assert str(found).splitlines()[1].startswith(f"{tmp_path}/b/best on w8a8: dev accuracy 0.")
    assert "6 steps" in repr(found)
    for name in ("a", "b"):
        assert read_record(tmp_path / name).results == record["results"]


def test_a_damaged_record_is_one_line(start: Path, data: Path, tmp_path: Path) -> None:
    config = TrainConfig("sst2", start=(str(start),), train_steps=2, batch=8)
    train(config, tmp_path / "run", data)
    path = tmp_path / "run" / "run.json"
    whole = path.read_text()
    for damaged in (whole[:50], "[]", "{}", whole.replace('"finished": true', '"finished": "yes"')):
        path.write_text(damaged)
        with pytest.raises(ModelError, match=r"run\.json cannot be read; remove") as error:
            train(config, tmp_path / "run", data)
        assert "\n" not in str(error.value)


def test_the_command(start: Path, data: Path, tmp_path: Path) -> None:
    arguments = ["sst2", "--start", str(start), "--out", str(tmp_path / "run"), "--data-dir", str(data)]
    arguments += ["--steps", "4", "--batch", "8", "--max-train", "30"]
    plain = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert plain.stdout.startswith(f"{tmp_path}/run/best: dev accuracy 0.")
    whole = CliRunner().invoke(command, [*arguments, "--int8"], catch_exceptions=False)
    assert whole.stdout.splitlines()[0] == plain.stdout.strip(), "a finished run gains its int8 form alone"
    assert load_checkpoint(tmp_path / "run" / "int8").config.num_labels == 2
    with pytest.raises(ModelError, match="another data, seed"):
        CliRunner().invoke(command, [*arguments, "--seed", "1"], catch_exceptions=False)
