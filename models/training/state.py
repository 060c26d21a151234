"""What a run keeps in its directory: the state it is resumed from, its log and its record."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as tensor_bytes
from torch import Tensor, nn

from models.attention.cores import CORE
from models.errors import ModelError
from models.files import make_directory, write_output
from models.zoo.checkpoint import WEIGHTS

STATE, RECORD = "state.safetensors", "run.json"
COLUMNS = ("step", "stage", "loss", "rate", "metric", "seconds")


@dataclass
class Progress:
    """Where a run is."""

    step: int = 0  # of all stages
    stage: str = ""  # the one that is set up
    best: float | None = None  # of the stage
    best_step: int = 0
    metric: float | None = None  # the last
    seconds: float = 0.0
    cpu_seconds: float = 0.0  # of all threads of the process


def trainable(model: nn.Module, stage: str) -> dict[str, nn.Parameter]:
    """The parameters that a stage changes, by name."""
    aligned = (".q_lin.", ".k_lin.", ".v_lin.", f".{CORE}.")
    return {
        name: p
        for name, p in model.named_parameters()
        if ".embeddings." not in name and (stage != "align" or any(part in name for part in aligned))
    }


def save_state(
    out: Path,
    model: nn.Module,
    optimiser: torch.optim.Optimizer | None,
    progress: Progress,
    average: dict[str, Tensor],
) -> None:
    """Weights, their average, moments, random state and position as one file, replaced whole."""
    named = trainable(model, "train")
    tensors = {f"model.{name}": p.detach().contiguous() for name, p in named.items()}
    for name, p in named.items():
        moments = optimiser.state.get(p, {}) if optimiser is not None else {}
        tensors |= {f"optimiser.{key}.{name}": t for key, t in moments.items()}
    tensors |= {f"average.{name}": t for name, t in average.items()}
    tensors["random"] = torch.get_rng_state()
    position = json.dumps(asdict(progress))
    write_output(out / STATE, tensor_bytes(tensors, {"progress": position}))


def load_state(
    out: Path, model: nn.Module
) -> tuple[Progress, dict[nn.Parameter, dict[str, Tensor]], dict[str, Tensor]]:
    """Put the saved weights and random state back; the position, each parameter's moments, averages by name."""
    path = out / STATE
    moments: dict[nn.Parameter, dict[str, Tensor]] = {}
    average: dict[str, Tensor] = {}
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
                elif kind == "average":
                    average[rest] = tensor
                elif kind == "optimiser":
                    key, _, parameter = rest.partition(".")
                    moments.setdefault(named[parameter], {})[key] = tensor
                else:
                    torch.set_rng_state(tensor)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ModelError(f"{path} cannot be resumed ({' '.join(str(error).split())[:80]}); remove {out}") from None
    return progress, moments, average


Identity = Mapping[str, object]  # what a run depends on: its configuration, digests of its data and checkpoints


@dataclass(frozen=True)
class RunRecord:
    """What OUT/run.json says: which run it is, and once it has finished what came out."""

    identity: Identity
    finished: bool = False
    results: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # metrics of best, of w8a8, of int8
    steps: int = 0
    best_step: int = 0
    seconds: float = 0.0
    cpu_seconds: float | None = None  # None in records of old runs


def claim(out: Path, identity: Identity) -> RunRecord:
    """The record of a run in a directory, made if there is none.

    Raises:
        ModelError: the directory holds something else.
    """
    if not (out / RECORD).exists():
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise ModelError(f"{out} exists and holds no run; give an empty or a new directory")
        make_directory(out)
        record = RunRecord(identity)
        write_record(out, record)
        return record
    record = read_record(out)
    theirs = record.identity
    different = sorted(k for k in identity.keys() | theirs.keys() if identity.get(k) != theirs.get(k))
    if different:
        raise ModelError(f"{out} holds a run of another {', '.join(different)}; give another directory")
    return record


def read_record(out: Path) -> RunRecord:
    """The record of the run in a directory.

    Raises:
        ModelError: there is none, or it is damaged.
    """
    path = out / RECORD
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found["identity"], dict) or not isinstance(found["finished"], bool):
            raise ValueError("another kind of record")
        results = {name: dict(metrics) for name, metrics in found.get("results", {}).items()}
        return RunRecord(**(found | {"results": results}))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ModelError(f"{path} cannot be read; remove {out}, or give another directory") from None


def write_record(out: Path, record: RunRecord) -> None:
    """OUT/run.json; of a run that goes on only what it depends on."""
    found = asdict(record) if record.finished else {"identity": record.identity, "finished": False}
    write_output(out / RECORD, (json.dumps(found, indent=2) + "\n").encode())


def rewind_log(path: Path, step: int) -> None:
    """Cut the log after the row of a step."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    rows = lines[1 : step + 1]
    write_output(path, "".join(f"{line}\n" for line in (",".join(COLUMNS), *rows)).encode())


def log_row(progress: Progress, loss: float, rate: float, measured: bool) -> str:
    """The row of the last step, as `COLUMNS` has it."""
    metric = f"{progress.metric:.6f}" if measured else ""
    return f"{progress.step},{progress.stage},{loss:.8g},{rate:.6g},{metric},{progress.seconds:.1f}\n"


def digest_of(directory: str | None) -> str | None:
    """Of a checkpoint's weights."""
    if directory is None:
        return None
    try:
        return hashlib.sha256((Path(directory) / WEIGHTS).read_bytes()).hexdigest()[:16]
    except OSError as error:
        raise ModelError(f"{Path(directory) / WEIGHTS} cannot be read: {error.strerror}") from None
