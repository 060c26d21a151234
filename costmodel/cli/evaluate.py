"""`costmodel evaluate`: accuracy in floats and in the very bits that the simulator prices."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from costmodel.cli.common import check_output, output_options, put, show
from costmodel.cli.session import METHODS, Session, progress
from costmodel.errors import CostModelError
from costmodel.render import Grid, render_records_csv
from costmodel.widths import parse_policy
from models.mechanisms import parse_mechanism

SHORTEST = 5  # tokens: of a pair, one of each sentence and three marks


@click.command("evaluate")
@click.argument("model")
@click.option("--task", "task_name", help="sst2, cola, mrpc, rte, stsb, ...  [required]")
@click.option("--file", type=click.Path(path_type=Path), help="A labelled file: sentence[, sentence2], label.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="GLUE's TSV files.")
@click.option("--attention", help="A mechanism, in place of the checkpoint's.")
@click.option("--widths", multiple=True, help="Integers; may be given several times.  [default: w8a8]")
@click.option("--limit", type=int, help="Only the first so many examples, for a quick look.")
@click.option("--max-tokens", type=int, help="Cut examples to so many tokens.  [default: the model's positions]")
@click.option("--calibration", type=click.Path(path_type=Path), help="Ranges that were saved before.")
@click.option(
    "--calibrate-on", type=click.Path(path_type=Path), help="Sentences to measure ranges on, one a line."
)
@click.option("--method", type=click.Choice(METHODS), default="mse", show_default=True, help="Of ranges.")
@click.option("--save-calibration", type=click.Path(path_type=Path), help="Write the ranges to a file.")
@click.option("--predictions", type=click.Path(path_type=Path), help="What is said of each example, as TSV.")
@output_options
def command(
    model: str,
    task_name: str | None,
    file: Path | None,
    data_dir: Path | None,
    attention: str | None,
    widths: tuple[str, ...],
    limit: int | None,
    max_tokens: int | None,
    calibration: Path | None,
    calibrate_on: Path | None,
    method: str,
    save_calibration: Path | None,
    predictions: Path | None,
    format_: str,
    output: Path | None,
) -> None:
    """Accuracy of MODEL, a checkpoint of `costmodel train`, on a task's dev split or a file of your own.

    In float32, and bit for bit in integers of each --widths, with 95 % intervals; both read the same checkpoint.

    Example: costmodel evaluate models/students/sst2-dot --task sst2 --limit 32
    """
    from models.tasks import TASKS

    for path in (output, predictions, save_calibration):
        check_output(path)
    if attention is not None:
        parse_mechanism(attention)
    widths = widths or ("w8a8",)
    for text in widths:
        if parse_policy(text).is_float:
            raise CostModelError(f"widths {text} are floats: they are measured anyway; give integers such as w8a8")
    if file is not None and data_dir is not None:
        raise click.BadParameter("give --file or --data-dir, not both")
    if calibration is not None and calibrate_on is not None:
        raise click.BadParameter("give --calibration or --calibrate-on, not both")
    if limit is not None and limit < 1:
        raise click.BadParameter(f"--limit {limit} is not at least 1")
    if max_tokens is not None and max_tokens < SHORTEST:
        raise click.BadParameter(f"--max-tokens {max_tokens} is not at least {SHORTEST}")
    if task_name is None or task_name not in TASKS:
        given = "which task? give --task" if task_name is None else f"unknown task {task_name!r}; known:"
        raise CostModelError(f"{given} {', '.join(TASKS)}")
    record, sentences = measure(
        Session(model, attention), task_name, file, data_dir, widths, limit, calibration, calibrate_on, method,
        save_calibration, max_tokens,
    )  # fmt: skip
    if predictions is not None:
        put(sentences, predictions)
    show(format_, output, record, render_records_csv(flat(record)), [grid(record)], notes(record))


def measure(
    session: Session,
    task_name: str,
    file: Path | None,
    data_dir: Path | None,
    widths: tuple[str, ...],
    limit: int | None,
    calibration: Path | None = None,
    calibrate_on: Path | None = None,
    method: str = "mse",
    save_calibration: Path | None = None,
    max_tokens: int | None = None,
) -> tuple[dict[str, Any], str]:
    """The record of an evaluation, and the predictions as TSV."""
    from models.evaluate import agreement, encode_examples, judge, predict, predictions_tsv
    from models.tasks import TASKS, load_file, load_split
    from models.text import load_tokenizer

    task = TASKS[task_name]
    if file is not None:
        examples, source = load_file(file, task), str(file)
    else:
        split = load_split(task, "dev", data_dir)
        examples, source = split.examples, f"{task_name} dev of {split.source}"
    examples = examples[:limit]
    positions = session.longest or 512
    longest = positions if max_tokens is None else min(positions, max_tokens)
    rows = encode_examples(load_tokenizer(session.model), examples, longest)
    labels = [e.label for e in examples]
    ranges = {name: session.calibration(calibration, calibrate_on, name, method) for name in widths}
    first = ranges[widths[0]]
    if save_calibration is not None:
        put(first.to_json(), save_calibration)
    found: dict[str, Any] = {}
    seconds: dict[str, float] = {}
    for name in ("float32", *widths):
        forward = session.floats() if name == "float32" else session.integers(name, ranges[name])
        with progress(f"{name} on {len(rows)} examples", len(rows)) as tick:
            start = time.process_time()
            logits = predict(rows, forward, tick)
            seconds[name] = time.process_time() - start
        found[name] = judge(task, logits, labels)
    record: dict[str, Any] = {
        "model": session.model,
        "attention": session.attention,
        "task": task_name,
        "source": source,
        "examples": len(examples),
        "limited": limit is not None,
        "max_tokens": longest,
        "cut": sum(len(row) == longest for row in rows),
        "note": task.note,
        "calibration": {"method": first.method, "sentences": first.sentences},
        "results": {
            name: {
                "metrics": e.metrics,
                "interval": [e.low, e.high],
                "agreement": agreement(task, found["float32"], e),
                "cpu_seconds": seconds[name],
            }
            for name, e in found.items()
        },
    }
    return record, predictions_tsv(task, examples, found)


def flat(record: dict[str, Any]) -> list[dict[str, Any]]:
    """One line an arithmetic and metric."""
    return [
        {"arithmetic": name, "metric": metric, "value": value, "examples": record["examples"]}
        for name, r in record["results"].items()
        for metric, value in r["metrics"].items()
    ]


def grid(record: dict[str, Any]) -> Grid:
    metrics = list(next(iter(record["results"].values()))["metrics"])
    base = record["results"]["float32"]["cpu_seconds"]
    rows = []
    for name, r in record["results"].items():
        low, high = r["interval"]
        values = (f"{100 * r['metrics'][m]:.1f}" for m in metrics)
        cells = (f"{100 * low:.1f} to {100 * high:.1f}", f"{100 * r['agreement']:.1f} %")
        rows.append((name, *values, *cells, f"{r['cpu_seconds'] / base:.2f}" if base else "-"))
    title = (
        f"{record['model']}, attention {record['attention']}: {record['source']}, {record['examples']} examples"
    )
    head = ("", *metrics, f"95 % of {metrics[0]}", "as float32", "CPU time")
    return Grid(title, head, tuple(rows))


def notes(record: dict[str, Any]) -> list[str]:
    lines = [f"Ranges: {record['calibration']['method']} over {record['calibration']['sentences']} sentences."]
    if record["limited"]:
        lines.append("A part of the examples only: for a quick look.")
    if record["cut"]:
        lines.append(f"{record['cut']} examples fill {record['max_tokens']} tokens; what is longer was cut there.")
    return lines + ([record["note"]] if record["note"] else [])
