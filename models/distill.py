"""Training: fine-tuning on a task, distillation into another attention, training on quantised weights.

A run has up to three stages, each with an optimiser of its own; embeddings never change.

    align   every layer of the student is fed the teacher's hidden state of that layer, and W_Q, W_K, W_V and
            the mechanism's own parameters learn to give the teacher's context (before the output projection)
    train   labels, the teacher's logits and its hidden states, weighted; without a teacher labels only
    qat     train again, from its best weights, on integer weights and operands of linear layers

A run is resumable: OUT/state.safetensors is all of it (weights, moments, position, random state), one file,
replaced whole. OUT/best and OUT/last are checkpoints, OUT/log.csv has a row a step, OUT/run.json the results.
"""

from __future__ import annotations

import copy
import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as tensor_bytes
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import DistilBertConfig, DistilBertForSequenceClassification

from models import tasks
from models.attention import CORE, distances, install
from models.checkpoint import WEIGHTS, load_checkpoint, make_directory, row_scales, save_checkpoint, write_whole
from models.distilbert import load_minilm
from models.errors import ModelError
from models.mechanisms import Mechanism, parse_mechanism
from models.text import load_tokenizer, pad

CHUNK = 50  # batches within which rows are sorted by length
SMALLEST_GAMMA = 1e-3
COLUMNS = ("step", "stage", "loss", "rate", "metric", "seconds")
Tick = Callable[[int, int, float, float | None], None]


@dataclass(frozen=True)
class TrainConfig:
    """Everything that a run depends on, beside the data."""

    task: str
    attention: str = "dot"
    teacher: str | None = None  # a checkpoint directory
    start: str | None = None  # a checkpoint directory; None takes the teacher's weights, or MiniLM's
    align_steps: int = 0
    epochs: float = 3.0
    train_steps: int | None = None  # in place of epochs
    qat: str | None = None  # such as w8a8
    qat_steps: int = 300
    batch: int = 32
    align_rate: float = 1e-3
    core_rate: float = 1e-2  # of gamma, delta, eta while they are aligned
    rate: float = 1e-4
    qat_rate: float = 2e-5
    warmup: float = 0.1  # share of a stage
    decay: float = 0.01  # of matrices
    hard: float = 0.5  # weights of the loss with a teacher
    soft: float = 1.0
    hidden: float = 2.0
    temperature: float = 2.0
    alive: float = 0.3  # share of entries that outlast the inhibition at first
    max_tokens: int = 128
    max_train: int | None = None
    int8: bool = False  # write OUT/int8 too, the best weights as int8
    evaluate_every: int = 200
    save_every: int = 200
    seed: int = 0
    threads: int = 2


# What differs from the defaults in fine-tuning a teacher, and in distilling a student on top of that.
FINE_TUNING: dict[str, dict[str, Any]] = {
    "sst2": {"epochs": 3.0, "evaluate_every": 250},
    "cola": {"epochs": 10.0, "evaluate_every": 100},
    "mrpc": {"epochs": 8.0, "evaluate_every": 50},
    "rte": {"epochs": 10.0, "evaluate_every": 50},
    "stsb": {"epochs": 10.0, "evaluate_every": 100},
    "rotten-tomatoes": {"epochs": 5.0, "evaluate_every": 100},
    "imdb": {"epochs": 2.0, "max_tokens": 256},
    "wnli": {"epochs": 5.0, "evaluate_every": 20},
}
DISTILLATION: dict[str, Any] = {"align_steps": 300, "rate": 2e-4}
STUDENTS: dict[str, dict[str, Any]] = {"sst2": {"epochs": 2.0}, "mrpc": {"epochs": 10.0}}


def preset(task: str, attention: str = "dot", teacher: str | None = None, start: str | None = None) -> TrainConfig:
    """The recipe of a task; `replace` changes it. A student that starts from weights of its own is not aligned.

    Raises:
        ModelError: unknown task or mechanism.
    """
    if task not in tasks.TASKS:
        raise ModelError(f"unknown task {task!r}; known: {', '.join(tasks.TASKS)}")
    parse_mechanism(attention)
    config = TrainConfig(task, attention, teacher, start, **FINE_TUNING.get(task, {}))
    if teacher is None:
        return config
    config = replace(config, **(DISTILLATION | STUDENTS.get(task, {})))
    return config if start is None else replace(config, align_steps=0)


def check_config(config: TrainConfig) -> None:
    for name in ("batch", "max_tokens", "evaluate_every", "save_every", "threads"):
        if getattr(config, name) < 1:
            raise ModelError(f"{name} is at least 1, not {getattr(config, name)}")
    for name in ("align_steps", "train_steps", "qat_steps", "epochs", "seed"):
        if (getattr(config, name) or 0) < 0:
            raise ModelError(f"{name} is {getattr(config, name)}; it cannot be negative")
    if config.align_steps and config.teacher is None:
        raise ModelError("alignment needs a teacher; give --teacher DIR, or no alignment steps")
    if config.qat is not None:
        parse_widths(config.qat)


def parse_widths(text: str) -> tuple[int, int]:
    """Bits of weights and of operands: w8a8 -> (8, 8)."""
    found = re.fullmatch(r"w(\d+)a(\d+)", text)
    bits = tuple(int(b) for b in found.groups()) if found else ()
    if not bits or not all(2 <= b <= 16 for b in bits):
        raise ModelError(f"widths {text!r} are not of the form w8a8 with 2 to 16 bits")
    return bits[0], bits[1]


# Data


@dataclass(frozen=True)
class Batch:
    """Rows of one step: ids [B,S], which exist [B,S], labels [B]."""

    ids: Tensor
    keep: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Rows:
    """Token ids and labels of a split."""

    ids: list[list[int]]
    labels: list[Any]

    def batch(self, chosen: Sequence[int]) -> Batch:
        ids, keep = pad([self.ids[i] for i in chosen], 0)
        return Batch(torch.from_numpy(ids), torch.from_numpy(keep), torch.tensor([self.labels[i] for i in chosen]))

    def digest(self) -> str:
        return hashlib.sha256(json.dumps([self.ids, self.labels]).encode()).hexdigest()[:16]


def read_rows(config: TrainConfig, split: str, data_dir: Path | None, longest: int) -> Rows:
    """A split of the task in MiniLM's tokens, cut to `max_tokens`; of training, `max_train` rows by the seed."""
    examples = tasks.load(tasks.TASKS[config.task], split, data_dir)
    if split == "train" and config.max_train is not None:
        chosen = np.random.default_rng(config.seed).permutation(len(examples))[: config.max_train]
        examples = [examples[i] for i in chosen]
    if not examples:
        raise ModelError(f"{config.task} has no examples in {split}")
    tokenizer = load_tokenizer("minilm-distilbert")
    tokenizer.enable_truncation(min(config.max_tokens, longest))
    texts = [e.sentence if e.second is None else (e.sentence, e.second) for e in examples]
    return Rows([list(e.ids) for e in tokenizer.encode_batch(texts)], [e.label for e in examples])


def order(lengths: Sequence[int], batch: int, seed: int, epoch: int) -> list[list[int]]:
    """An epoch's batches: rows shuffled, sorted by length within chunks, batches shuffled."""
    rng = np.random.default_rng([seed, epoch])
    shuffled = rng.permutation(len(lengths))
    batches: list[list[int]] = []
    for start in range(0, len(shuffled), CHUNK * batch):
        chunk = sorted(shuffled[start : start + CHUNK * batch].tolist(), key=lambda i: lengths[i])
        batches += [chunk[i : i + batch] for i in range(0, len(chunk), batch)]
    return [batches[i] for i in rng.permutation(len(batches))]


# Forward


def encoder_layers(model: nn.Module) -> Any:
    return model.distilbert.transformer.layer  # type: ignore[union-attr]


def forward(model: Any, batch: Batch) -> tuple[list[Tensor], Tensor]:
    """Hidden states [B,S,D], that of the embeddings first, and logits [B,labels]."""
    with torch.no_grad():
        x = model.distilbert.embeddings(batch.ids)
    hidden, mask = [x], batch.keep[:, None, None, :]
    for layer in encoder_layers(model):
        hidden.append(layer(hidden[-1], attention_mask=mask))
    pooled = torch.relu(model.pre_classifier(hidden[-1][:, 0]))
    return hidden, model.classifier(model.dropout(pooled))


def heads(attention: Any, x: Tensor) -> list[Tensor]:
    """q, k, v [B,H,S,d] of hidden states [B,S,D]."""
    split = (*x.shape[:2], attention.n_heads, -1)
    return [
        linear(x).view(split).transpose(1, 2) for linear in (attention.q_lin, attention.k_lin, attention.v_lin)
    ]


def context(attention: Any, x: Tensor, keep: Tensor) -> Tensor:
    """What attention hands to its output projection, [B,S,D], without dropout."""
    h = getattr(attention, CORE)(*heads(attention, x), keep[:, None, None, :], None, None, 0.0)
    return h.transpose(1, 2).reshape(x.shape)


def relative_error(a: Tensor, b: Tensor, keep: Tensor) -> Tensor:
    """|a - b|^2 / |b|^2 over tokens that exist; a, b [B,S,D]."""
    return (a[keep] - b[keep]).square().sum() / b[keep].square().sum()


def align_loss(model: Any, teacher: Any, batch: Batch) -> Tensor:
    """Mean over layers of the relative error of contexts, each layer on the teacher's hidden state."""
    with torch.no_grad():
        hidden, _ = forward(teacher, batch)
        wanted = [
            context(layer.attention, x, batch.keep)
            for layer, x in zip(encoder_layers(teacher), hidden, strict=False)
        ]
    errors = [
        relative_error(context(layer.attention, x, batch.keep), target, batch.keep)
        for layer, x, target in zip(encoder_layers(model), hidden, wanted, strict=False)
    ]
    return torch.stack(errors).mean()


def task_loss(model: Any, teacher: Any, batch: Batch, config: TrainConfig) -> Tensor:
    """The loss of stages train and qat."""
    hidden, logits = forward(model, batch)
    regression = logits.shape[1] == 1
    labels = batch.labels.float() if regression else batch.labels
    hard = F.mse_loss(logits[:, 0], labels) if regression else F.cross_entropy(logits, labels)
    if teacher is None:
        return hard
    with torch.no_grad():
        wanted, target = forward(teacher, batch)
    if regression:
        soft = F.mse_loss(logits, target)
    else:
        T = config.temperature
        scores, goal = F.log_softmax(logits / T, -1), F.log_softmax(target / T, -1)
        soft = T * T * F.kl_div(scores, goal, reduction="batchmean", log_target=True)
    errors = [relative_error(a, b, batch.keep) for a, b in zip(hidden[1:], wanted[1:], strict=True)]
    return config.hard * hard + config.soft * soft + config.hidden * torch.stack(errors).mean()


# Quantised weights and operands


def fake_quantised(x: Tensor, scale: Tensor, most: int) -> Tensor:
    """x on multiples of a scale, rounded half up as the simulator does; the gradient passes as if it were x."""
    on_grid = torch.floor(x / scale + 0.5).clamp(-most, most) * scale
    return x + (on_grid - x).detach()


@contextmanager
def quantised(model: nn.Module, widths: str, keep: Tensor) -> Iterator[None]:
    """Linear layers on integers: weights by the maximum of a row, operands by that over tokens that exist."""
    weight_bits, operand_bits = parse_widths(widths)
    weight_most, operand_most = 2 ** (weight_bits - 1) - 1, 2 ** (operand_bits - 1) - 1

    def forward_of(linear: nn.Linear) -> Any:
        def on_integers(x: Tensor) -> Tensor:
            seen = x.detach() if x.dim() == 2 else x.detach()[keep]
            scale = (seen.abs().max() / operand_most).clamp(min=torch.finfo(x.dtype).tiny)
            rows = row_scales(linear.weight.detach(), weight_most)[:, None]
            weight = fake_quantised(linear.weight, rows, weight_most)
            return F.linear(fake_quantised(x, scale, operand_most), weight, linear.bias)

        return on_integers

    linears = [m for m in model.modules() if isinstance(m, nn.Linear)]
    try:
        for linear in linears:
            linear.forward = forward_of(linear)  # type: ignore[method-assign]
        yield
    finally:
        for linear in linears:
            linear.__dict__.pop("forward", None)


# Models


def build(config: TrainConfig, task: Any) -> tuple[Any, Any]:
    """The model to train and its teacher, or None."""
    labels = max(1, len(task.labels))
    teacher = None if config.teacher is None else load_checkpoint(Path(config.teacher))
    if teacher is not None and getattr(getattr(teacher, "classifier", None), "out_features", 0) != labels:
        raise ModelError(f"{config.teacher} is no teacher of {config.task}, which has {labels} outputs")
    torch.manual_seed(config.seed)
    if config.start is not None:
        model = load_checkpoint(Path(config.start))
    elif teacher is not None:
        model = copy.deepcopy(teacher)
    else:
        encoder = load_minilm()
        sizes = DistilBertConfig.from_dict(encoder.config.to_dict() | {"num_labels": labels})
        model = DistilBertForSequenceClassification(sizes)
        model.distilbert.load_state_dict(encoder.state_dict())
    if not isinstance(model, DistilBertForSequenceClassification):
        raise ModelError(f"{config.start} has no classification head; start from a classifier, or from MiniLM")
    if model.classifier.out_features != labels:
        model.classifier = nn.Linear(model.config.dim, labels)
        model.num_labels = model.config.num_labels = labels
    if teacher is not None and teacher.config.dim != model.config.dim:
        raise ModelError(f"{config.teacher} is {teacher.config.dim} wide and the student {model.config.dim}")
    mechanism = parse_mechanism(config.attention)
    saved = getattr(model.config, "attention_mechanism", None)
    if saved is None or Mechanism(**saved) != mechanism:
        install(model, mechanism)
    return model, teacher


@torch.no_grad()
def fit_cores(model: Any, teacher: Any, batch: Batch, alive: float) -> None:
    """Set gamma, delta, eta of `inhibitor` from data: spread, share of live entries, norm of contexts.

    gamma makes the spread of centred distances the mean |v|; delta lets `alive` of all entries |v| > z;
    eta makes the norm of a head's contexts the teacher's.
    """
    hidden, _ = forward(teacher, batch)
    for layer, like, x in zip(encoder_layers(model), encoder_layers(teacher), hidden, strict=False):
        core = getattr(layer.attention, CORE)
        if core.mechanism.name != "inhibitor":
            return
        q, k, v = heads(layer.attention, x)
        z = distances(q, k, core.mechanism.implementation) * q.shape[-1] ** -0.5
        keys = batch.keep[:, None, None, :] | (core.mechanism.center_over == "all")
        mean = (z * keys).sum(-1, keepdim=True) / keys.sum(-1, keepdim=True)
        pairs = batch.keep[:, :, None] & batch.keep[:, None, :]
        H = q.shape[1]
        groups = [[h] for h in range(H)] if core.mechanism.per_head else [list(range(H))]
        for g, group in enumerate(groups):
            centred = (z - mean)[:, group].transpose(0, 1)
            sizes = v[:, group].abs().transpose(0, 1)
            gamma = sizes[:, batch.keep].mean() / centred[:, pairs].std().clamp(min=1e-6)
            core.gamma[g] = gamma.clamp(min=SMALLEST_GAMMA)
            # An entry outlasts z - delta where z - |v| < delta: delta is a quantile of that.
            excess = (core.gamma[g] * centred[..., None] - sizes[:, :, None])[:, pairs].flatten()
            core.delta[g] = excess.kthvalue(1 + round(alive * (len(excess) - 1))).values
        core.eta.fill_(1.0)
        wanted, given = (context(a, x, batch.keep)[batch.keep] for a in (like.attention, layer.attention))
        norms = [c.reshape(len(c), len(groups), -1).square().sum((0, 2)).sqrt() for c in (wanted, given)]
        core.eta.copy_((norms[0] / norms[1].clamp(min=1e-6)).reshape(core.eta.shape))


def trainable(model: nn.Module, stage: str) -> dict[str, nn.Parameter]:
    """The parameters that a stage changes, by name."""
    aligned = (".q_lin.", ".k_lin.", ".v_lin.", f".{CORE}.")
    return {
        name: p
        for name, p in model.named_parameters()
        if ".embeddings." not in name and (stage != "align" or any(part in name for part in aligned))
    }


def make_optimiser(named: dict[str, nn.Parameter], stage: str, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW with `peak`, the highest rate, in every group; only matrices decay."""
    rate = {"align": config.align_rate, "train": config.rate, "qat": config.qat_rate}[stage]
    core = config.core_rate if stage == "align" else rate
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, p in named.items():
        peak = core if f".{CORE}." in name else rate
        decay = config.decay if p.dim() == 2 and stage != "align" else 0.0
        groups.setdefault((peak, decay), []).append(p)
    made = [{"params": ps, "lr": peak, "peak": peak, "weight_decay": d} for (peak, d), ps in groups.items()]
    return torch.optim.AdamW(made, fused=True)


def rate_factor(step: int, steps: int, warmup: float) -> float:
    """Share of the highest rate at a step of a stage: linear up, then linear down to 1 / steps left."""
    rise = max(1, round(warmup * steps))
    return (step + 1) / rise if step < rise else (steps - step) / max(1, steps - rise)


@torch.no_grad()
def evaluate(model: Any, rows: Rows, config: TrainConfig, widths: str | None = None) -> dict[str, float]:
    """The task's metrics, the primary one first. Leaves the model in eval mode."""
    model.eval()
    by_length = sorted(range(len(rows.ids)), key=lambda i: len(rows.ids[i]))
    predictions: list[Any] = [None] * len(by_length)
    for start in range(0, len(by_length), 64):
        chosen = by_length[start : start + 64]
        batch = rows.batch(chosen)
        with quantised(model, widths, batch.keep) if widths else nullcontext():
            logits = forward(model, batch)[1]
        found = logits[:, 0] if logits.shape[1] == 1 else logits.argmax(-1)
        for i, value in zip(chosen, found.tolist(), strict=True):
            predictions[i] = value
    return tasks.score(tasks.TASKS[config.task], predictions, rows.labels)


# Runs


@dataclass
class Progress:
    """Where a run is."""

    step: int = 0  # of all stages
    stage: str = ""  # the one that is set up
    best: float | None = None  # of the stage
    best_step: int = 0
    metric: float | None = None  # the last
    seconds: float = 0.0


@dataclass
class Run:
    """What all stages share."""

    config: TrainConfig
    out: Path
    model: Any
    teacher: Any
    training: Rows
    dev: Rows
    total: int = 0  # steps of all stages
    progress: Progress = field(default_factory=Progress)
    moments: dict[nn.Parameter, dict[str, Tensor]] = field(default_factory=dict)  # of the stage that was stopped


def save_state(out: Path, model: nn.Module, optimiser: torch.optim.Optimizer | None, progress: Progress) -> None:
    """Weights, moments, random state and position as one file, replaced whole."""
    named = trainable(model, "train")
    tensors = {f"model.{name}": p.detach().contiguous() for name, p in named.items()}
    for name, p in named.items():
        moments = optimiser.state.get(p, {}) if optimiser is not None else {}
        tensors |= {f"optimiser.{key}.{name}": t for key, t in moments.items()}
    tensors["random"] = torch.get_rng_state()
    position = json.dumps(asdict(progress))
    write_whole(out / "state.safetensors", tensor_bytes(tensors, {"progress": position}))


def load_state(out: Path, model: nn.Module) -> tuple[Progress, dict[nn.Parameter, dict[str, Tensor]]]:
    """Put the saved weights and random state back; the position, and the moments of each parameter."""
    path = out / "state.safetensors"
    moments: dict[nn.Parameter, dict[str, Tensor]] = {}
    named = trainable(model, "train")
    try:
        with safe_open(path, "pt") as file:
            progress = Progress(**json.loads(file.metadata()["progress"]))
            for name in file.keys():  # noqa: SIM118  # a file of safetensors is no mapping
                kind, _, rest = name.partition(".")
                tensor = file.get_tensor(name).clone()
                if kind == "model":
                    with torch.no_grad():
                        named[rest].copy_(tensor)
                elif kind == "optimiser":
                    key, _, parameter = rest.partition(".")
                    moments.setdefault(named[parameter], {})[key] = tensor
                else:
                    torch.set_rng_state(tensor)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ModelError(f"{path} cannot be resumed ({' '.join(str(error).split())[:80]}); remove {out}") from None
    return progress, moments


def claim(out: Path, identity: dict[str, Any]) -> dict[str, Any]:
    """The record of a run in a directory, made if there is none.

    Raises:
        ModelError: the directory holds something else.
    """
    path = out / "run.json"
    if not path.exists():
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise ModelError(f"{out} exists and holds no run; give an empty or a new directory")
        make_directory(out)
        record: dict[str, Any] = {"identity": identity, "finished": False}
        write_record(out, record)
        return record
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        theirs = record["identity"]
        different = sorted(k for k in identity.keys() | theirs.keys() if identity.get(k) != theirs.get(k))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise ModelError(f"{path} cannot be read; remove {out}, or give another directory") from None
    if different:
        raise ModelError(f"{out} holds a run of another {', '.join(different)}; give another directory")
    return record


def rewind_log(path: Path, step: int) -> None:
    """Cut the log after the row of a step."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    rows = lines[1 : step + 1]
    write_whole(path, "".join(f"{line}\n" for line in (",".join(COLUMNS), *rows)).encode())


def digest_of(directory: str | None) -> str | None:
    """Of a checkpoint's weights."""
    if directory is None:
        return None
    try:
        return hashlib.sha256((Path(directory) / WEIGHTS).read_bytes()).hexdigest()[:16]
    except OSError as error:
        raise ModelError(f"{Path(directory) / WEIGHTS} cannot be read: {error.strerror}") from None


def silent(step: int, total: int, loss: float, metric: float | None) -> None:
    """No progress bar."""


def train(config: TrainConfig, out: Path, data_dir: Path | None = None, tick: Tick = silent) -> Path:
    """Run all stages, from where an earlier call was stopped; returns OUT/best.

    Args:
        data_dir: where the task's files are; None leaves it to `models.tasks`.
        tick: called after every step with its number, the number of all, the loss, and the last dev metric.

    Raises:
        ModelError: OUT holds another run, a loss that is not finite, a teacher or data that do not fit.
    """
    check_config(config)
    threads = torch.get_num_threads()
    torch.set_num_threads(config.threads)
    try:
        return train_in_threads(config, out, data_dir, tick)
    finally:
        torch.set_num_threads(threads)


def train_in_threads(config: TrainConfig, out: Path, data_dir: Path | None, tick: Tick) -> Path:
    model, teacher = build(config, tasks.TASKS[config.task])
    longest = model.config.max_position_embeddings
    training, dev = (read_rows(config, split, data_dir, longest) for split in ("train", "dev"))
    identity = asdict(replace(config, int8=False)) | {"data": [training.digest(), dev.digest()]}
    identity |= {key: digest_of(getattr(config, key)) for key in ("start", "teacher")}
    record = claim(out, identity)
    if not record["finished"]:
        run_stages(Run(config, out, model, teacher, training, dev), record, tick)
    if config.int8 and "int8" not in record["results"]:
        save_checkpoint(load_checkpoint(out / "best"), out / "int8", int8=True)
        record["results"]["int8"] = evaluate(load_checkpoint(out / "int8"), dev, config)
        write_record(out, record)
    return out / "best"


def run_stages(run: Run, record: dict[str, Any], tick: Tick) -> None:
    """All steps that are left, then the results."""
    config, out = run.config, run.out
    per_epoch = -(-len(run.training.ids) // config.batch)
    train_steps = round(config.epochs * per_epoch) if config.train_steps is None else config.train_steps
    lengths = {"align": config.align_steps, "train": train_steps, "qat": config.qat_steps if config.qat else 0}
    run.total = sum(lengths.values())
    if run.total == 0:
        raise ModelError("no steps to train; give --steps, --align-steps or --qat")
    if (out / "state.safetensors").exists():
        run.progress, run.moments = load_state(out, run.model)
    rewind_log(out / "log.csv", run.progress.step)
    end = 0
    for stage, steps in lengths.items():
        end += steps
        if steps and run.progress.step < end:
            run_stage(run, stage, steps, end, tick)
    finish(run, record)


def set_up(run: Run, stage: str) -> None:
    """What a stage does once, before its first step."""
    config, progress = run.config, run.progress
    if stage == "align":
        rng = np.random.default_rng([config.seed, 1])
        sample = run.training.batch(rng.permutation(len(run.training.ids))[:16].tolist())
        short = Batch(sample.ids[:, :64], sample.keep[:, :64], sample.labels)  # memory: pairs of tokens x width
        fit_cores(run.model, run.teacher, short, config.alive)
    elif stage == "qat" and progress.step:
        run.model.load_state_dict(load_checkpoint(run.out / "best").state_dict())
    progress.stage, progress.best, progress.best_step = stage, None, progress.step
    run.moments = {}
    # Saved before the first step: a resumed run does not set up from what the stage has since written.
    save_state(run.out, run.model, None, progress)


def run_stage(run: Run, stage: str, steps: int, end: int, tick: Tick) -> None:
    """The steps of a stage that are left; `end` is the number of its last step within the run."""
    config, progress, model = run.config, run.progress, run.model
    if progress.stage != stage:
        set_up(run, stage)
    for p in model.parameters():
        p.requires_grad_(False)
    named = trainable(model, stage)
    for p in named.values():
        p.requires_grad_(True)
    optimiser = make_optimiser(named, stage, config)
    for p, moments in run.moments.items():
        optimiser.state[p] = moments
    widths = config.qat if stage == "qat" else None
    lengths = [len(row) for row in run.training.ids]
    per_epoch = -(-len(lengths) // config.batch)
    epoch, batches = -1, []
    began = time.monotonic() - progress.seconds
    with open(run.out / "log.csv", "a", encoding="utf-8") as log:
        for step in range(progress.step, end):
            if step // per_epoch != epoch:
                epoch = step // per_epoch
                batches = order(lengths, config.batch, config.seed, epoch)
            batch = run.training.batch(batches[step % per_epoch])
            factor = rate_factor(step - (end - steps), steps, config.warmup)
            for group in optimiser.param_groups:
                group["lr"] = group["peak"] * factor
            loss = one_step(run, stage, batch, optimiser, named, widths)
            progress.step = step + 1
            measured = progress.step % config.evaluate_every == 0 or progress.step == end
            if measured:
                measure(run, widths)
            progress.seconds = time.monotonic() - began
            metric = f"{progress.metric:.6f}" if measured else ""
            rate = max(group["lr"] for group in optimiser.param_groups)
            log.write(f"{progress.step},{stage},{loss:.8g},{rate:.6g},{metric},{progress.seconds:.1f}\n")
            log.flush()
            if progress.step % config.save_every == 0 or progress.step == end:
                save_state(run.out, model, optimiser, progress)
            tick(progress.step, run.total, loss, progress.metric)


def one_step(
    run: Run,
    stage: str,
    batch: Batch,
    optimiser: torch.optim.Optimizer,
    named: dict[str, nn.Parameter],
    widths: str | None,
) -> float:
    """Forward, backward and update; returns the loss."""
    model = run.model
    model.train()
    if stage == "align":
        loss = align_loss(model, run.teacher, batch)
    else:
        with quantised(model, widths, batch.keep) if widths else nullcontext():
            loss = task_loss(model, run.teacher, batch, run.config)
    value = loss.item()
    if not np.isfinite(value):
        raise ModelError(f"the loss is {value} at step {run.progress.step + 1} ({stage}); train at a lower rate")
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(named.values(), 1.0)
    optimiser.step()
    with torch.no_grad():
        for name, p in named.items():
            if name.endswith(f".{CORE}.gamma"):
                p.clamp_(min=SMALLEST_GAMMA)
    return value


def measure(run: Run, widths: str | None) -> None:
    """Evaluate; keep the weights if they are the stage's best."""
    progress = run.progress
    progress.metric = next(iter(evaluate(run.model, run.dev, run.config, widths).values()))
    if progress.best is None or progress.metric > progress.best:
        progress.best, progress.best_step = progress.metric, progress.step
        save_checkpoint(run.model, run.out / "best")


def finish(run: Run, record: dict[str, Any]) -> None:
    """Write the last weights and the metrics of the best; the state has done its work."""
    config, progress, out = run.config, run.progress, run.out
    save_checkpoint(run.model, out / "last")
    best = load_checkpoint(out / "best")
    results = {"best": evaluate(best, run.dev, config)}
    if config.qat:
        results[config.qat] = evaluate(best, run.dev, config, config.qat)
    summary = {"steps": progress.step, "best_step": progress.best_step, "seconds": round(progress.seconds, 1)}
    record |= {"finished": True, "results": results, **summary}
    write_record(out, record)
    with suppress(OSError):
        (out / "state.safetensors").unlink()


def write_record(out: Path, record: dict[str, Any]) -> None:
    write_whole(out / "run.json", (json.dumps(record, indent=2) + "\n").encode())
