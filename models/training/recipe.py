"""What a training run depends on beside its data, and the recipe of each task."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import TypedDict

from models.attention.mechanisms import parse_mechanism
from models.errors import ModelError
from models.tasks.data import TASKS, TEXTS

PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True)
class TrainConfig:
    """Everything that a run depends on, beside the data."""

    task: str
    attention: str = "dot"
    teacher: str | None = None  # a checkpoint directory
    start: tuple[str, ...] = ()  # checkpoint directories, of which the mean; () takes the teacher's, or MiniLM's
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
    average: float = 0.0  # decay a step of the moving average of weights that is kept; 0 keeps the weights
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
    precision: str = "float32"  # or bfloat16: of products in training; weights and evaluation stay float32


class Recipe(TypedDict, total=False):
    """What differs from the defaults of `TrainConfig`."""

    epochs: float
    align_steps: int
    batch: int
    rate: float
    max_tokens: int
    evaluate_every: int


# Of fine-tuning a teacher, and of distilling a student on top of that. Small tasks are evaluated once an epoch.
FINE_TUNING: dict[str, Recipe] = {
    "sst2": {"epochs": 3.0, "evaluate_every": 250},
    "cola": {"epochs": 5.0, "evaluate_every": 267},
    "mrpc": {"epochs": 3.0, "batch": 16, "evaluate_every": 230},
    "rte": {"epochs": 3.0, "batch": 16, "evaluate_every": 156},
    "stsb": {"epochs": 3.0, "evaluate_every": 180},
    "rotten-tomatoes": {"epochs": 5.0, "evaluate_every": 100},
    "imdb": {"epochs": 1.0, "batch": 16, "max_tokens": 256, "evaluate_every": 700},
    "wnli": {"epochs": 5.0, "evaluate_every": 20},
    TEXTS: {"epochs": 2.0, "align_steps": 400, "rate": 3e-4, "evaluate_every": 500},
}
DISTILLATION: Recipe = {"align_steps": 200, "rate": 2e-4}
STUDENTS: dict[str, Recipe] = {"sst2": {"epochs": 2.0, "align_steps": 300}}
NOTHING: Recipe = {}


def preset(
    task: str, attention: str = "dot", teacher: str | None = None, start: tuple[str, ...] = ()
) -> TrainConfig:
    """The recipe of a task; `replace` changes it. A student that starts from weights of its own is not aligned.

    Raises:
        ModelError: unknown task or mechanism.
    """
    config = TrainConfig(task, attention, teacher, start, **FINE_TUNING.get(task, NOTHING))
    if teacher is not None and task != TEXTS:
        config = replace(config, **(DISTILLATION | STUDENTS.get(task, NOTHING)))
    if start:
        config = replace(config, align_steps=0)
    check_config(config)
    return config


def check_config(config: TrainConfig) -> None:
    """Raise a ModelError where a run of these settings cannot be."""
    if config.task not in (*TASKS, TEXTS):
        raise ModelError(f"unknown `task={config.task}`; known: {', '.join(TASKS)}, {TEXTS}")
    if parse_mechanism(config.attention).name == "dot" and config.task == TEXTS:
        raise ModelError(f"{TEXTS} aligns another attention with dot product; give `attention`")
    for name in ("batch", "max_tokens", "evaluate_every", "save_every", "threads"):
        if getattr(config, name) < 1:
            raise ModelError(f"`{name}={getattr(config, name)}` is not at least 1")
    if config.max_train is not None and config.max_train < 1:
        raise ModelError(f"`max_train={config.max_train}` is not at least 1")
    if (config.train_steps or 0) < 0:
        raise ModelError(f"`steps={config.train_steps}` is negative")
    for name in ("align_steps", "qat_steps", "epochs", "seed"):
        if getattr(config, name) < 0:
            raise ModelError(f"`{name}={getattr(config, name)}` is negative")
    if config.precision not in PRECISIONS:
        raise ModelError(f"`precision={config.precision}` is not one of {', '.join(PRECISIONS)}")
    if not 0 <= config.average < 1:
        raise ModelError(f"`average={config.average}` is no decay, which is at least 0 and below 1")
    for name in ("rate", "align_rate", "core_rate", "qat_rate"):
        if not 0 <= getattr(config, name) < math.inf:
            raise ModelError(
                f"`{name}={getattr(config, name)}` is no learning rate, a finite number of at least 0"
            )
    if config.align_steps and config.teacher is None and config.task != TEXTS:
        raise ModelError(f"`align_steps={config.align_steps}` needs a teacher; give `teacher`, or leave it out")
    if config.qat is not None:
        parse_widths(config.qat)


def parse_widths(text: str) -> tuple[int, int]:
    """Bits of weights and of operands: w8a8 -> (8, 8)."""
    found = re.fullmatch(r"w(\d+)a(\d+)", text)
    bits = tuple(int(b) for b in found.groups()) if found else ()
    if not bits or not all(2 <= b <= 16 for b in bits):
        raise ModelError(f"`qat={text}` is not of the form w8a8 with 2 to 16 bits")
    return bits[0], bits[1]
