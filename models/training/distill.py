"""Training: fine-tuning on a task, distillation into another attention, training on quantised weights.

A run has up to three stages, each with an optimiser of its own; embeddings never change.

    align   every layer of the student is fed the teacher's hidden state of that layer, and W_Q, W_K, W_V and
            the mechanism's own parameters learn to give the teacher's context (before the output projection)
    train   labels, the teacher's logits and its hidden states, weighted; without a teacher labels only
            (of the task `texts`, which has no labels: the teacher's hidden states only)
    qat     train again, from its best weights, on integer weights and operands of linear layers

A run is resumable: OUT/state.safetensors is all of it (weights, moments, position, random state), one file,
replaced whole. OUT/best and OUT/last are checkpoints, OUT/log.csv has a row a step, OUT/run.json the results.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models.attention.cores import CORE
from models.errors import ModelError
from models.tasks.batches import batches, shuffled_batches
from models.tasks.data import TASKS, TEXTS
from models.tasks.metrics import score
from models.tasks.scoring import predict
from models.training.batches import Batch, Rows, batch_of, read_rows
from models.training.initial import SMALLEST_GAMMA, build, fit_cores, has_own_cores
from models.training.losses import align_loss, encode, forward, hidden_error, quantised, task_loss
from models.training.recipe import TrainConfig, check_config
from models.training.state import (
    STATE,
    Progress,
    RunRecord,
    claim,
    digest_of,
    load_state,
    log_row,
    rewind_log,
    save_state,
    trainable,
    write_record,
)
from models.zoo.checkpoint import load_checkpoint, save_checkpoint

Tick = Callable[[int, int, float, float | None], None]


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
    average: dict[str, Tensor] = field(default_factory=dict)  # of the stage's weights, by name, if it is kept

    @property
    def per_epoch(self) -> int:
        """Steps."""
        return -(-len(self.training.ids) // self.config.batch)


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
    """Build, read the data, claim OUT, run what is left, write int8 if it is asked for."""
    model, teacher = build(config)
    longest = model.config.max_position_embeddings
    training, dev = (read_rows(config, split, data_dir, longest) for split in ("train", "dev"))
    identity = asdict(replace(config, int8=False)) | {"data": [training.digest(), dev.digest()]}
    identity |= {"teacher": digest_of(config.teacher), "start": [digest_of(start) for start in config.start]}
    record = claim(out, identity)
    if not record.finished:
        record = run_stages(Run(config, out, model, teacher, training, dev), record, tick)
    if config.int8 and "int8" not in record.results:
        save_checkpoint(load_checkpoint(out / "best"), out / "int8", int8=True)
        metrics = evaluate(load_checkpoint(out / "int8"), teacher, dev, config)
        write_record(out, replace(record, results={**record.results, "int8": metrics}))
    return out / "best"


def run_stages(run: Run, record: RunRecord, tick: Tick) -> RunRecord:
    """All steps that are left, then the results."""
    config, out = run.config, run.out
    train_steps = round(config.epochs * run.per_epoch) if config.train_steps is None else config.train_steps
    lengths = {"align": config.align_steps, "train": train_steps, "qat": config.qat_steps if config.qat else 0}
    run.total = sum(lengths.values())
    if run.total == 0 and len(config.start) < 2:
        raise ModelError("no steps to train; give `steps`, `align_steps` or `qat`, or several `start`")
    if (out / STATE).exists():
        run.progress, run.moments, run.average = load_state(out, run.model)
    rewind_log(out / "log.csv", run.progress.step)
    end = 0
    for stage, steps in lengths.items():
        end += steps
        if steps and run.progress.step < end:
            run_stage(run, stage, steps, end, tick)
    if run.total == 0:
        measure(run, None)
    return finish(run, record)


def set_up(run: Run, stage: str) -> None:
    """What a stage does once, before its first step."""
    config, progress = run.config, run.progress
    if stage == "align" and not has_own_cores(config):
        rng = np.random.default_rng([config.seed, 1])
        sample = run.training.batch(rng.permutation(len(run.training.ids))[:16].tolist())
        short = Batch(sample.ids[:, :64], sample.keep[:, :64], sample.labels)  # memory: pairs of tokens x width
        fit_cores(run.model, run.teacher, short, config.alive)
    elif stage == "qat" and progress.step:
        run.model.load_state_dict(load_checkpoint(run.out / "best").state_dict())
    progress.stage, progress.best, progress.best_step = stage, None, progress.step
    run.moments, run.average = {}, {}
    # Saved before the first step: a resumed run does not set up from what the stage has since written.
    save_state(run.out, run.model, None, progress, run.average)


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
    epoch, in_epoch = -1, []
    began = time.monotonic() - progress.seconds
    cpu_began = time.process_time() - progress.cpu_seconds
    with open(run.out / "log.csv", "a", encoding="utf-8") as log:
        for step in range(progress.step, end):
            if step // run.per_epoch != epoch:
                epoch = step // run.per_epoch
                in_epoch = shuffled_batches(lengths, config.batch, config.seed, epoch)
            batch = run.training.batch(in_epoch[step % run.per_epoch])
            factor = rate_factor(step - (end - steps), steps, config.warmup)
            for group in optimiser.param_groups:
                group["lr"] = group["peak"] * factor
            loss = one_step(run, stage, batch, optimiser, named, widths)
            progress.step = step + 1
            if config.average and stage != "align":
                update_average(run, named, max(1 - config.average, 1 / (step + 1 - (end - steps))))
            measured = progress.step % config.evaluate_every == 0 or progress.step == end
            if measured:
                measure(run, widths)
            progress.seconds = time.monotonic() - began
            progress.cpu_seconds = time.process_time() - cpu_began
            rate = max(group["lr"] for group in optimiser.param_groups)
            log.write(log_row(progress, loss, rate, measured))
            log.flush()
            if progress.step % config.save_every == 0 or progress.step == end:
                save_state(run.out, model, optimiser, progress, run.average)
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
    model.train(run.config.task != TEXTS)  # without labels there is nothing to learn by heart, and no dropout
    with torch.autocast("cpu", torch.bfloat16, enabled=run.config.precision == "bfloat16"):
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


def measure(run: Run, widths: str | None) -> None:
    """Evaluate; keep the weights if they are the stage's best."""
    progress = run.progress
    with averaged(run):
        progress.metric = next(iter(evaluate(run.model, run.teacher, run.dev, run.config, widths).values()))
        if progress.best is None or progress.metric > progress.best:
            progress.best, progress.best_step = progress.metric, progress.step
            save_checkpoint(run.model, run.out / "best")


@torch.no_grad()
def update_average(run: Run, named: dict[str, nn.Parameter], share: float) -> None:
    """Move the average by a share of the way to the weights; the first step of a stage is all of it."""
    for name, p in named.items():
        run.average.setdefault(name, p.detach().clone()).lerp_(p.detach(), share)


@contextmanager
def averaged(run: Run) -> Iterator[None]:
    """The model with its averaged weights, where an average is kept."""
    named = dict(run.model.named_parameters())
    kept = {name: named[name].data for name in run.average}
    for name, mean in run.average.items():
        named[name].data = mean
    try:
        yield
    finally:
        for name, data in kept.items():
            named[name].data = data


@torch.no_grad()
def evaluate(
    model: Any, teacher: Any, rows: Rows, config: TrainConfig, widths: str | None = None
) -> dict[str, float]:
    """The task's metrics, the primary one first; of texts 1 - `hidden_error`. Leaves the model in eval mode."""
    model.eval()
    if config.task == TEXTS:
        errors, tokens = [], []
        for _, ids, keep in batches(rows.ids, 64):
            batch = batch_of(ids, keep)
            with quantised(model, widths, batch.keep) if widths else nullcontext():
                hidden = encode(model, batch)
            errors.append(hidden_error(hidden, encode(teacher, batch), batch.keep).item())
            tokens.append(keep.sum())
        return {"agreement": 1 - float(np.average(errors, weights=tokens))}

    def logits(ids: np.ndarray[Any, Any], keep: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        batch = batch_of(ids, keep)
        with quantised(model, widths, batch.keep) if widths else nullcontext():
            found: np.ndarray[Any, Any] = forward(model, batch)[1].numpy()
        return found

    task, found = TASKS[config.task], predict(rows.ids, logits)
    return score(task, found.argmax(1) if task.labels else found[:, 0], rows.labels)


def finish(run: Run, record: RunRecord) -> RunRecord:
    """Write the last weights and the metrics of the best; the state has done its work."""
    config, progress, out = run.config, run.progress, run.out
    with averaged(run):
        save_checkpoint(run.model, out / "last")
    best = load_checkpoint(out / "best")
    results = {"best": evaluate(best, run.teacher, run.dev, config)}
    if config.qat:
        results[config.qat] = evaluate(best, run.teacher, run.dev, config, config.qat)
    made = replace(
        record,
        finished=True,
        results=results,
        steps=progress.step,
        best_step=progress.best_step,
        seconds=round(progress.seconds, 1),
        cpu_seconds=round(progress.cpu_seconds, 1),
    )
    write_record(out, made)
    with suppress(OSError):
        (out / STATE).unlink()
    return made
