"""Students that ship: small trained models, and what was measured with them."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean
from typing import Any

from models.errors import ModelError

FOLDER = Path(__file__).parent.parent / "students"
RESULTS = Path(__file__).parent.parent / "results.json"
# DistilBERT-base with dot products, and with the inhibitor after distillation; Matthews of CoLA.
PUBLISHED: dict[str, Any] = {
    "source": "Zhang and Brännvall, InhibiDistilbert, arXiv 2503.15983, table of GLUE, and IMDb",
    "values": {
        "sst2": [91.3, 90.2],
        "cola": [51.3, 40.0],
        "mrpc": [87.5, 86.8],
        "rte": [59.9, 59.2],
        "stsb": [86.9, 83.5],
        "imdb": [92.82, 92.81],
    },
}


def student(task: str, attention: str) -> Path:
    """The directory of the checkpoint that ships for a task and a mechanism, given with or without its options.

    Raises:
        ModelError: none ships.
    """
    path = FOLDER / f"{task}-{attention.partition(':')[0]}"
    if not (path / "config.json").is_file():
        shipped = sorted(p.name for p in FOLDER.glob("*") if (p / "config.json").is_file())
        raise ModelError(
            f"no checkpoint of {attention} ships for task {task}; there are {', '.join(shipped) or 'none'}; "
            "train one with `costmodel train` and measure it with `costmodel evaluate`, or see --stored"
        )
    return path


def mechanism_of(directory: Path) -> dict[str, Any]:
    """The mechanism of a checkpoint, as its configuration has it."""
    record: dict[str, Any] = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    found: dict[str, Any] = record["attention_mechanism"]
    return found


def stored_results() -> list[dict[str, Any]]:
    """What was measured, with command, versions, date and seed."""
    if not RESULTS.is_file():
        return []
    found: list[dict[str, Any]] = json.loads(RESULTS.read_text(encoding="utf-8"))["results"]
    return found


def stored_result(task: str, attention: str) -> dict[str, Any]:
    """What is stored of a task and a mechanism: of one checkpoint, or the mean over seeds of each figure.

    Raises:
        ModelError: none is stored.
    """
    name = attention.partition(":")[0]
    members = [r for r in stored_results() if (r["task"], r["attention"].partition(":")[0]) == (task, name)]
    if not members:
        tasks = ", ".join(dict.fromkeys(r["task"] for r in stored_results())) or "none"
        raise ModelError(f"no result of {attention} on {task} is stored, only on {tasks}; leave out --stored")
    first = members[0]
    if len(members) == 1:
        return first
    results = {
        arithmetic: {
            "metrics": {metric: mean_at(members, arithmetic, "metrics", metric) for metric in found["metrics"]},
            "interval": [mean_at(members, arithmetic, "interval", end) for end in (0, 1)],
            "agreement": fmean(m["results"][arithmetic]["agreement"] for m in members),
        }
        for arithmetic, found in first["results"].items()
    }
    source = f"{first['source']}, mean over {len(members)} seeds"
    kept = {key: first[key] for key in ("attention", "task", "examples", "limited", "note", "calibration")}
    kept["seeds"] = len(members)
    return kept | {"model": ", ".join(m["model"] for m in members), "source": source, "results": results}


def mean_at(members: list[dict[str, Any]], arithmetic: str, key: str, place: str | int) -> float:
    return fmean(m["results"][arithmetic][key][place] for m in members)
