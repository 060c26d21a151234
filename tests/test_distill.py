"""Training and its checkpoints, on models of 16 channels and sentences of a few words."""

from __future__ import annotations

import csv
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file
from torch.nn import functional as F
from transformers import DistilBertConfig, DistilBertForSequenceClassification

from costmodel.cli.train import command
from models import distill
from models.attention import CORE, install
from models.checkpoint import from_int8, load_checkpoint, row_scales, save_checkpoint, to_int8
from models.distill import Batch, TrainConfig, train
from models.errors import ModelError
from models.mechanisms import parse_mechanism

ROOT = Path(__file__).parent.parent
STUDENT = "inhibitor:per_head=true,normalise=sqrt"
WORDS = ["film", "story", "plot", "acting", "music", "scene", "end", "start", "actor", "line"]


def tiny(attention: str = "dot", seed: int = 0, labels: int = 2) -> Any:
    """A classifier whose weights are large enough that layers do something."""
    torch.manual_seed(seed)
    config = DistilBertConfig(n_layers=2, n_heads=2, dim=16, hidden_dim=32, max_position_embeddings=64)
    config.num_labels = labels
    model = install(DistilBertForSequenceClassification(config), parse_mechanism(attention))
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.dim() == 2:
                p.normal_(0, 1.0 if ".embeddings." in name else 0.3)
    return model.eval()


def weights(model: Any) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


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
    config = TrainConfig("sst2", start=str(start), train_steps=120, batch=16, rate=5e-3, evaluate_every=40)
    return train(config, tmp_path_factory.mktemp("runs") / "teacher", data)


@pytest.fixture
def student(teacher: Path) -> TrainConfig:
    """All stages, in few steps."""
    config = TrainConfig("sst2", STUDENT, str(teacher), align_steps=8, train_steps=8, qat="w8a8", qat_steps=5)
    return replace(config, batch=8, evaluate_every=1, save_every=3)


def rows_of(out: Path) -> list[dict[str, str]]:
    with open(out / "log.csv", newline="") as file:
        return list(csv.DictReader(file))


def batch_of(lengths: tuple[int, ...] = (5, 9, 3, 7), seed: int = 0) -> Batch:
    rng = np.random.default_rng(seed)
    rows = distill.Rows(
        [rng.integers(999, 2000, n).tolist() for n in lengths], [i % 2 for i in range(len(lengths))]
    )
    return rows.batch(range(len(lengths)))


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
        assert distill.align_loss(made, dot, batch) < 0.5 * distill.align_loss(fresh, dot, batch)
    before, after = fresh.state_dict(), made.state_dict()
    allowed = (".q_lin.", ".k_lin.", ".v_lin.", CORE)
    assert {n for n in before if not torch.equal(before[n], after[n])} == {
        n for n in before if any(part in n for part in allowed)
    }
    assert all((p > 0).all() for name, p in made.named_parameters() if name.endswith("gamma"))


@pytest.mark.parametrize("attention", [STUDENT, "inhibitor:center_over=all"])
def test_first_parameters_let_the_stated_share_live(attention: str) -> None:
    model, dot, batch = tiny(attention), tiny(), batch_of((9, 9, 9, 9))
    distill.fit_cores(model, dot, batch, alive=0.3)
    hidden, _ = distill.forward(dot, batch)
    for layer, like, x in zip(distill.encoder_layers(model), distill.encoder_layers(dot), hidden, strict=False):
        q, k, v = (t.detach() for t in distill.heads(layer.attention, x))
        core = layer.attention.attention_core
        z = core.gamma * (q[..., :, None, :] - k[..., None, :, :]).abs().sum(-1) / q.shape[-1] ** 0.5
        z = torch.relu(z - z.mean(-1, keepdim=True) - core.delta)
        alive = (v[..., None, :, :].abs() > z[..., None]).float()
        shares = alive.mean((0, 2, 3, 4)) if core.mechanism.per_head else alive.mean()
        torch.testing.assert_close(shares, torch.full_like(shares, 0.3), atol=0.005, rtol=0)
        wanted, given = (distill.context(a, x, batch.keep) for a in (like.attention, layer.attention))
        torch.testing.assert_close(wanted.norm(), given.norm(), rtol=1e-3, atol=0)


@pytest.mark.parametrize("labels", [1, 2])
def test_padding_changes_no_loss(labels: int) -> None:
    """Of alignment, distillation and training on integers; nor the parameters that are set from data."""
    batch = batch_of()
    padded = Batch(F.pad(batch.ids, (0, 6)), F.pad(batch.keep, (0, 6)), batch.labels)
    dot, model, other = tiny(labels=labels), tiny(STUDENT, 1, labels), tiny(STUDENT, 1, labels)
    distill.fit_cores(model, dot, batch, 0.3)
    distill.fit_cores(other, dot, padded, 0.3)
    for p, q in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(p, q, atol=1e-5, rtol=1e-5)
    config = TrainConfig("sst2")
    found = []
    for b in (batch, padded):
        losses = [distill.align_loss(model, dot, b), distill.task_loss(model, dot, b, config)]
        losses.append(distill.task_loss(model, None, b, config))
        with distill.quantised(model, "w8a8", b.keep):
            losses.append(distill.task_loss(model, dot, b, config))
        found.append(torch.stack(losses))
    torch.testing.assert_close(found[0], found[1], atol=1e-5, rtol=1e-5)
    assert found[0][1] != found[0][3], "quantisation does something"


def test_forward_is_the_models_own() -> None:
    for attention in ("dot", STUDENT):
        model, batch = tiny(attention), batch_of()
        own = model(batch.ids, attention_mask=batch.keep.long(), output_hidden_states=True)
        hidden, logits = distill.forward(model, batch)
        torch.testing.assert_close(logits, own.logits)
        torch.testing.assert_close(hidden[-1][batch.keep], own.hidden_states[-1][batch.keep])


@pytest.mark.parametrize("labels", [1, 2])
def test_the_loss_of_distillation_is_the_sum_it_says(labels: int) -> None:
    model, dot, batch = tiny(STUDENT, 1, labels), tiny(labels=labels), batch_of()
    hidden, logits = distill.forward(model, batch)
    wanted, target = distill.forward(dot, batch)
    if labels == 1:
        hard, soft = (logits[:, 0] - batch.labels).square().mean(), (logits - target).square().mean()
    else:
        hard = -torch.log_softmax(logits, -1)[range(4), batch.labels].mean()
        p, q = torch.softmax(target / 3, -1), torch.softmax(logits / 3, -1)
        soft = 9 * (p * (p / q).log()).sum(-1).mean()
    errors = []
    for a, b in zip(hidden[1:], wanted[1:], strict=True):
        there = batch.keep[..., None]
        errors.append(((a - b).square() * there).sum() / (b.square() * there).sum())
    config = TrainConfig("sst2", hard=0.2, soft=0.3, hidden=0.4, temperature=3.0)
    expected = 0.2 * hard + 0.3 * soft + 0.4 * sum(errors) / 2
    torch.testing.assert_close(distill.task_loss(model, dot, batch, config), expected)
    torch.testing.assert_close(distill.task_loss(model, None, batch, config), hard)


def test_gamma_stays_positive(teacher: Path, data: Path, tmp_path: Path) -> None:
    config = TrainConfig("sst2", STUDENT, str(teacher), align_steps=12, core_rate=30.0, train_steps=0, batch=8)
    train(config, tmp_path / "run", data)
    last = load_checkpoint(tmp_path / "run" / "last")
    gammas = torch.cat([p.flatten() for name, p in last.named_parameters() if name.endswith("gamma")])
    assert gammas.min() == torch.tensor(distill.SMALLEST_GAMMA), "pushed against the floor"


def test_the_best_is_kept_and_integers_start_from_it(
    start: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = TrainConfig("sst2", start=str(start), train_steps=3, batch=8, evaluate_every=1)
    metrics = iter((0.5, 0.9, 0.7, 0.9))
    monkeypatch.setattr(distill.tasks, "score", lambda *_: {"accuracy": next(metrics, 0.1)})
    train(config, tmp_path / "a", data)
    assert json.loads((tmp_path / "a" / "run.json").read_text())["best_step"] == 2
    best, last = (load_checkpoint(tmp_path / "a" / which).state_dict() for which in ("best", "last"))
    assert not torch.equal(best[QUERY], last[QUERY])
    metrics = iter((0.5, 0.9, 0.7, 0.9))
    train(replace(config, qat="w8a8", qat_steps=1, qat_rate=0.0), tmp_path / "b", data)
    after = load_checkpoint(tmp_path / "b" / "last").state_dict()
    assert all(torch.equal(best[name], after[name]) for name in best)


def test_integers_round_half_up_and_gradients_pass() -> None:
    x = torch.tensor([-127.0, -2.5, -0.5, 0.49, 0.5, 2.5, 127.0], requires_grad=True)
    y = distill.fake_quantised(x, torch.tensor(1.0), 127)
    assert y.tolist() == [-127, -2, 0, 0, 1, 3, 127]
    y.sum().backward()
    assert x.grad.tolist() == [1] * 7
    model, batch = tiny(), batch_of()
    before = distill.forward(model, batch)[1]
    with distill.quantised(model, "w8a8", batch.keep):
        assert not torch.equal(distill.forward(model, batch)[1], before)
    assert torch.equal(distill.forward(model, batch)[1], before), "the layers are as they were"


def test_every_row_once_an_epoch_in_batches_of_like_lengths() -> None:
    lengths = np.random.default_rng(0).integers(3, 60, 1003).tolist()
    batches = distill.order(lengths, 16, seed=1, epoch=0)
    assert sorted(i for b in batches for i in b) == list(range(1003))
    waste = sum(max(lengths[i] for i in b) * len(b) for b in batches) / sum(lengths)
    assert waste < 1.1
    assert batches == distill.order(lengths, 16, seed=1, epoch=0) != distill.order(lengths, 16, seed=1, epoch=1)


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
    records = [json.loads((out / "run.json").read_text()) | {"seconds": 0} for out in (a, b)]
    assert records[0] == records[1]


def test_a_resumed_run_equals_an_uninterrupted_one(student: TrainConfig, data: Path, tmp_path: Path) -> None:
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


def test_a_run_survives_sigkill(student: TrainConfig, data: Path, tmp_path: Path) -> None:
    config = replace(student, train_steps=40, save_every=2)
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    train(config, whole, data)
    code = (
        "import sys\nfrom pathlib import Path\nfrom models.distill import TrainConfig, train\n"
        f"train({config!r}, Path(sys.argv[1]), Path(sys.argv[2]))"
    )
    environment = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}
    process = subprocess.Popen([sys.executable, "-c", code, str(stopped), str(data)], cwd=ROOT, env=environment)
    log, deadline = stopped / "log.csv", time.monotonic() + 60
    while time.monotonic() < deadline and not (log.exists() and log.read_text().count("\n") > 12):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it was still at work"
    train(config, stopped, data)
    same_run(whole, stopped)


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
    alone = TrainConfig("sst2", start=str(start), train_steps=3, batch=8)
    for config, said in (
        (replace(alone, align_steps=3), "needs a teacher"),
        (replace(alone, train_steps=0), "no steps"),
        (replace(alone, qat="int8"), "w8a8"),
        (replace(alone, batch=0), "batch is at least 1"),
        (replace(alone, rate=1e30, warmup=0.0), "lower rate"),
        (replace(alone, teacher=str(tmp_path / "none")), "no checkpoint"),
    ):
        with pytest.raises(ModelError, match=said) as error:
            train(config, tmp_path / said.replace(" ", "-"), data)
        assert "\n" not in str(error.value)
    with pytest.raises(ModelError, match="unknown task"):
        distill.preset("sst3")


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


# Checkpoints


@pytest.mark.parametrize("attention", ["dot", STUDENT])
def test_a_checkpoint_is_the_model(attention: str, tmp_path: Path) -> None:
    model, batch = tiny(attention), batch_of()
    save_checkpoint(model, tmp_path / "a")
    loaded = load_checkpoint(tmp_path / "a")
    assert not loaded.training
    assert all(torch.equal(t, loaded.state_dict()[name]) for name, t in weights(model).items())
    assert torch.equal(distill.forward(model, batch)[1], distill.forward(loaded, batch)[1])
    save_checkpoint(loaded, tmp_path / "b")
    for name in ("config.json", "model.safetensors"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_int8_saved_again_is_the_same(tmp_path: Path) -> None:
    model = tiny(STUDENT)
    save_checkpoint(model, tmp_path / "a", int8=True)
    loaded = load_checkpoint(tmp_path / "a")
    save_checkpoint(loaded, tmp_path / "b", int8=True)
    assert (tmp_path / "a/model.safetensors").read_bytes() == (tmp_path / "b/model.safetensors").read_bytes()
    stored = load_file(tmp_path / "a/model.safetensors")
    for name, tensor in weights(model).items():
        kind = torch.int8 if tensor.dim() == 2 else torch.float32
        assert stored[name].dtype == kind
        if kind == torch.int8:
            half = stored[f"{name}.scale"][:, None] * 0.5001
            assert ((loaded.state_dict()[name] - tensor).abs() <= half).all()


def test_int8_of_any_scale() -> None:
    rng = np.random.default_rng(0)
    w = torch.tensor(rng.normal(size=(4000, 9)) * 10.0 ** rng.uniform(-20, 20, (4000, 1)), dtype=torch.float32)
    w[7] = 0
    torch.testing.assert_close(row_scales(w)[:7], w.abs().amax(1)[:7] / 127, rtol=2.0**-16, atol=0)
    once = to_int8({"w": w})
    again = to_int8(from_int8(once, Path("w")))
    assert all(torch.equal(once[name], again[name]) for name in once)
    assert once["w"].abs().amax(1).eq(127).sum() == 3999


def test_minilms_embeddings_are_not_written_again(tmp_path: Path) -> None:
    model, _ = distill.build(TrainConfig("sst2", STUDENT), distill.tasks.TASKS["sst2"])
    save_checkpoint(model, tmp_path, int8=True)
    assert json.loads((tmp_path / "config.json").read_text())["embeddings"] == "minilm"
    assert not any(".embeddings." in name for name in load_file(tmp_path / "model.safetensors"))
    assert 10.5e6 < (tmp_path / "model.safetensors").stat().st_size < 11.5e6
    loaded, own = load_checkpoint(tmp_path), weights(model)
    for name, tensor in loaded.state_dict().items():
        if tensor.dim() != 2 or ".embeddings." in name:
            assert torch.equal(tensor, own[name])


QUERY = "distilbert.transformer.layer.0.attention.q_lin.weight"


def edit(directory: Path, change: Callable[[dict[str, Any]], None]) -> None:
    state = load_file(directory / "model.safetensors")
    change(state)
    save_file(state, directory / "model.safetensors")


def configure(directory: Path, **changes: Any) -> None:
    path = directory / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def pickled(directory: Path) -> None:
    (directory / "model.safetensors").unlink()
    (directory / "pytorch_model.bin").write_bytes(pickle.dumps({}))


SPOILED: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda d: edit(d, lambda s: s.pop(QUERY)), "lacks 1 weights"),
    "unexpected": (
        lambda d: edit(d, lambda s: s.update(more=torch.ones(2))),
        "unexpected 1 weights, among them more",
    ),
    "nan": (lambda d: edit(d, lambda s: s[QUERY].fill_(float("nan"))), "NaN"),
    "shape": (lambda d: edit(d, lambda s: s.update({QUERY: torch.ones(3, 3)})), r"shape \[3, 3\], not \[16, 16\]"),
    "type": (lambda d: edit(d, lambda s: s.update({QUERY: s[QUERY].half()})), "float16"),
    "no scale": (lambda d: edit(d, lambda s: s.update({QUERY: s[QUERY].to(torch.int8)})), "needs 16 scales"),
    "bad scale": (
        lambda d: edit(d, lambda s: s.update({QUERY: s[QUERY].to(torch.int8), f"{QUERY}.scale": torch.zeros(16)})),
        "not positive",
    ),
    "stray scale": (
        lambda d: edit(d, lambda s: s.update({f"{QUERY}.scale": torch.ones(16)})),
        "unexpected 1 weights",
    ),
    "pickle": (pickled, "pickle"),
    "cut": (lambda d: os.truncate(d / "model.safetensors", 1000), "cannot be read"),
    "no weights": (lambda d: (d / "model.safetensors").unlink(), "holds no model.safetensors"),
    "no config": (lambda d: (d / "config.json").unlink(), "no checkpoint"),
    "no JSON": (lambda d: (d / "config.json").write_text("{"), "no JSON"),
    "a list": (lambda d: (d / "config.json").write_text("[]"), "architectures"),
    "architecture": (lambda d: configure(d, architectures=["BertModel"]), "not one of"),
    "embeddings": (lambda d: configure(d, embeddings=None), "embeddings is None"),
    "not MiniLM's": (lambda d: configure(d, embeddings="minilm"), "holds embeddings"),
    "mechanism": (lambda d: configure(d, attention_mechanism={"nane": "dot"}), "attention_mechanism"),
    "sizes": (lambda d: configure(d, n_heads=3), "describes no model|no configuration"),
    "width": (lambda d: configure(d, hidden_dim=48), r"shape \[32\], not \[48\]"),
}


@pytest.mark.parametrize("kind", SPOILED)
def test_a_spoiled_checkpoint_is_refused(kind: str, tmp_path: Path) -> None:
    save_checkpoint(tiny(), tmp_path)
    spoil, said = SPOILED[kind]
    spoil(tmp_path)
    with pytest.raises(ModelError, match=said) as error:
        load_checkpoint(tmp_path)
    assert "\n" not in str(error.value)


def test_weights_that_are_not_finite_are_not_saved(tmp_path: Path) -> None:
    save_checkpoint(tiny(), tmp_path)
    before = (tmp_path / "model.safetensors").read_bytes()
    model = tiny()
    model.classifier.weight.data[0, 0] = float("inf")
    with pytest.raises(ModelError, match=r"classifier\.weight"):
        save_checkpoint(model, tmp_path)
    assert (tmp_path / "model.safetensors").read_bytes() == before
