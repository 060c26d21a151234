"""`costmodel simulate`: a model in integers on a simulated accelerator."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from costmodel import cache
from costmodel.cli.common import (
    Request,
    check_output,
    check_sizes,
    graph_source,
    output_options,
    put,
    quiet_imports,
    show,
)
from costmodel.errors import CostModelError
from costmodel.hardware import load_target
from costmodel.schedule import schedule
from costmodel.technology import load_table
from costmodel.widths import assign_widths, parse_policy
from models.mechanisms import parse_mechanism
from models.presets import DEFAULT_SEQ, PRESETS

# Which sentences a calibration that nobody asked for is measured on, beside those that ship.
RANDOM_SENTENCES = 16
CALIBRATION_FILE = "calibration.json"
METHODS = ("max", "percentile", "mse")
OVERFLOWS = ("saturate", "wrap", "exact")
ROUNDINGS = ("half_even", "half_up", "half_away", "floor", "truncate")
MOST_TOKENS = 1 << 16  # of one run: more rows are several runs


@dataclass(frozen=True)
class Inputs:
    """Token ids [B,S], which exist, and what was asked for."""

    ids: Any
    keep: Any
    what: str


@dataclass(frozen=True)
class Settings:
    """How the simulator is to compute."""

    widths: str
    target: str
    tables: tuple[str, ...]
    method: str
    overflow: str
    rounding: str
    activity: bool
    compare: bool


@click.command("simulate")
@click.argument("model")
@click.option("--attention", help="A mechanism.  [default: dot, or what the checkpoint was saved with]")
@click.option("--widths", default="w8a8", show_default=True, help="Integers, such as w8a8, w4a8, w8a16.")
@click.option("--on", "target", default="edge-asic", show_default=True, help="A target, or a file FILE.toml.")
@click.option("--text", multiple=True, help="A sentence; may be given several times.")
@click.option(
    "--input",
    "file",
    type=click.Path(path_type=Path),
    help='One sentence a line; or .json: {"input_ids": [[...]]}.',
)
@click.option("--random", "seed", type=int, help="Random token ids from this seed.")
@click.option("--batch", type=int, default=1, show_default=True, help="Rows of --random.")
@click.option("--seq", type=int, help="Tokens a row of --random.  [default: 128, or what the model takes]")
@click.option("--calibration", type=click.Path(path_type=Path), help="Ranges that were saved before.")
@click.option(
    "--calibrate-on", type=click.Path(path_type=Path), help="Sentences to measure ranges on, one a line."
)
@click.option("--method", type=click.Choice(METHODS), default="mse", show_default=True, help="Of ranges.")
@click.option("--save-calibration", type=click.Path(path_type=Path), help="Write the ranges to a file.")
@click.option("--overflow", type=click.Choice(OVERFLOWS), default="saturate", show_default=True)
@click.option("--rounding", type=click.Choice(ROUNDINGS), default="half_up", show_default=True)
@click.option(
    "--table", "tables", multiple=True, help="Cost tables.  [default: the target's, and all that price it]"
)
@click.option("--activity", is_flag=True, help="Scale the energy of PEs by bits that toggle: an estimate.")
@click.option(
    "--compare", is_flag=True, help="Integers against floats, and the machine against the analytic cost."
)
@click.option("--trace", "trace_file", type=click.Path(path_type=Path), help="A timeline that Perfetto opens.")
@output_options
def command(
    model: str,
    attention: str | None,
    widths: str,
    target: str,
    text: tuple[str, ...],
    file: Path | None,
    seed: int | None,
    batch: int,
    seq: int | None,
    calibration: Path | None,
    calibrate_on: Path | None,
    method: str,
    save_calibration: Path | None,
    overflow: str,
    rounding: str,
    tables: tuple[str, ...],
    activity: bool,
    compare: bool,
    trace_file: Path | None,
    format_: str,
    output: Path | None,
) -> None:
    """Run MODEL, a DistilBERT, in integers on a simulated accelerator: bits, cycles, events, energy.

    Every value is checked against its width; cycles, bytes and arithmetic are counted as they happen. Ranges
    come from --calibration, from `calibration.json` beside the weights, or are measured on sentences.

    Example: costmodel simulate distilbert-tiny --attention inhibitor --random 1 --seq 16 --compare
    """
    for path in (output, trace_file, save_calibration):
        check_output(path)
    if sum((bool(text), file is not None, seed is not None)) != 1:
        raise click.BadParameter("give one of --text, --input, --random")
    if calibration is not None and calibrate_on is not None:
        raise click.BadParameter("give --calibration or --calibrate-on, not both")
    check_sizes(batch, seq)
    if attention is not None:
        parse_mechanism(attention)
    if parse_policy(widths).is_float:
        raise CostModelError(f"widths {widths} are floats; the simulator runs integers, such as w8a8")
    load_target(target)
    for name in tables:
        load_table(name)
    settings = Settings(widths, target, tables, method, overflow, rounding, activity, compare)
    session = Session(model, attention)
    inputs = session.read_inputs(text, file, seed, batch, seq)
    ranges = session.calibration(calibration, calibrate_on, settings)
    if save_calibration is not None:
        put(ranges.to_json(), save_calibration)
    simulated = session.simulate(inputs, ranges, settings)
    if trace_file is not None:
        from sim.perfetto import chrome_trace

        title = f"{model} {session.attention} {widths} on {target}"
        put(chrome_trace(simulated.execution, simulated.execution.target.clock_mhz, title), trace_file)
    from sim import report

    record = report.simulation_record(simulated)
    record["inputs"] = inputs.what
    show(format_, output, record, report.render_csv(record), report.grids(record), report.notes(record))


class Session:
    """A model with its weights: what all runs of it share."""

    def __init__(self, model: str, attention: str | None) -> None:
        quiet_imports()
        import transformers

        from models.load import load_model, max_positions
        from models.mechanisms import Mechanism

        if ":" in model and model not in PRESETS:
            raise CostModelError(f"{model} decides its own sizes; simulate takes a DistilBERT preset or directory")
        mechanism = None if attention is None else parse_mechanism(attention)
        loaded = load_model(model, mechanism=mechanism, device="cpu", head=True, seq=8)
        self.model, self.attention = model, loaded.attention
        config: Any = loaded.module.config
        if not isinstance(config, transformers.DistilBertConfig):
            raise CostModelError(f"{model} is a {config.model_type}; the simulator runs DistilBERT of any size")
        self.longest: int | None = max_positions(config)
        self.vocabulary: int = config.vocab_size
        self.padding: int = config.pad_token_id or 0
        saved = getattr(config, "attention_mechanism", None)
        self.all_keys = saved is not None and Mechanism(**saved).center_over == "all"
        tensors = dict(loaded.module.state_dict()) | dict(loaded.module.named_buffers())
        self.weights = {name: tensor.detach().numpy() for name, tensor in tensors.items()}
        self.request = Request(model, 1, None, "float32", "meta", False, False, head=True)
        self.graph_at = graph_source(self.request, attention, self.longest)

    # Inputs

    def read_inputs(
        self, text: tuple[str, ...], file: Path | None, seed: int | None, batch: int, seq: int | None
    ) -> Inputs:
        import numpy as np

        from models import text as texts

        if seed is not None:
            if seed < 0:
                raise CostModelError(f"--random {seed} is negative")
            seq = seq or min(DEFAULT_SEQ, self.longest or DEFAULT_SEQ)
            if self.longest is not None and seq > self.longest:
                raise CostModelError(f"--seq {seq} is beyond the {self.longest} positions of {self.model}")
            ids = np.random.default_rng(seed).integers(0, self.vocabulary, (batch, seq))
            return self.checked(ids, None, f"random ids, seed {seed}")
        if file is not None and file.suffix == ".json":
            return self.read_ids(file)
        sentences = list(text) if file is None else read_lines(file)
        rows = texts.encode(texts.load_tokenizer(self.model), sentences, self.longest)
        ids, keep = texts.pad(rows, self.padding)
        what = f"{len(sentences)} sentence{'s' * (len(sentences) > 1)}" + (f" of {file}" if file else "")
        return self.checked(ids, keep, what)

    def read_ids(self, file: Path) -> Inputs:
        from models import text as texts

        try:
            record = json.loads(read_text(file))
            rows = record["input_ids"] if isinstance(record, dict) else None
            whole = all(type(i) is int for row in rows or () for i in row)
            if not rows or not whole or not all(rows):
                raise ValueError('it is not {"input_ids": [[7, 8, ...], ...]} with whole numbers')
        except (ValueError, KeyError, TypeError) as error:
            raise CostModelError(f"{file} holds no token ids: {' '.join(str(error).split())[:120]}") from None
        longest = max(map(len, rows))
        if self.longest is not None and longest > self.longest:
            raise CostModelError(f"{file}: a row of {longest} ids is beyond the {self.longest} positions")
        ids, keep = texts.pad(rows, self.padding)
        return self.checked(ids, keep, f"ids of {file}")

    def checked(self, ids: Any, keep: Any, what: str) -> Inputs:
        if ids.size > MOST_TOKENS:
            raise CostModelError(
                f"{ids.shape[0]} rows of {ids.shape[1]} tokens are too many for one run; give fewer"
            )
        return Inputs(ids, None if keep is None or keep.all() else keep, what)

    # Calibration

    def calibration(self, file: Path | None, sentences: Path | None, settings: Settings) -> Any:
        """Ranges that were saved, or those of sentences: given ones, or else the ones that ship."""
        from sim import calibrate

        identity = calibrate.digest(self.weights)
        beside = Path(self.model) / CALIBRATION_FILE
        if file is None and sentences is None and self.model not in PRESETS and beside.is_file():
            file = beside
        if file is not None:
            found = calibrate.from_json(read_text(file), str(file))
            calibrate.check_model(found, identity, self.attention, str(file))
            return found
        rows, what = self.sentences(sentences)
        bits = parse_policy(settings.widths).activation.bits
        key = cache.key_of("calibration", identity, self.attention, settings.method, bits, rows)
        entry = cache.load(key)
        if entry is not None:
            return calibrate.from_json(entry, "the cache")
        passes = 1 if settings.method == "max" else 2
        with progress(f"calibrating on {what}", passes * len(rows)) as tick:
            made = calibrate.calibrate(
                self.graph_at, self.weights, rows, self.attention, settings.method, bits, tick=tick
            )
        cache.save(key, made.to_json())
        return made

    def sentences(self, file: Path | None) -> tuple[list[list[int]], str]:
        import numpy as np

        from models import text as texts
        from models.errors import ModelError

        if file is not None:
            lines = read_lines(file)
            return texts.encode(texts.load_tokenizer(self.model), lines, self.longest), f"{len(lines)} sentences"
        try:
            tokenizer = texts.load_tokenizer(self.model)
        except ModelError:  # a model without words: random ids are as good as any
            rng = np.random.default_rng(0)
            lengths = rng.integers(4, min(32, self.longest or 32), RANDOM_SENTENCES)
            return [rng.integers(0, self.vocabulary, n).tolist() for n in lengths], "random ids"
        lines = texts.calibration_sentences()
        rows = texts.encode(tokenizer, lines, None)
        return [row[: self.longest] for row in rows], f"{len(lines)} sentences"

    # Running

    def simulate(self, inputs: Inputs, ranges: Any, settings: Settings) -> Any:
        from sim.compare import FloatWitness, differences
        from sim.machine import execute
        from sim.report import Simulated
        from sim.run import compile_program
        from sim.weights import Weights

        policy, target = parse_policy(settings.widths), load_target(settings.target)
        graph = self.graph_at(*inputs.ids.shape)
        typed = assign_widths(graph, policy)
        plan = schedule(typed, target)
        program = compile_program(
            typed, Weights(self.weights), ranges, settings.overflow, settings.rounding, self.all_keys
        )
        witness = None
        if settings.compare:
            witness = FloatWitness(program, graph, self.weights, inputs.ids, inputs.keep, self.all_keys)
        with progress("simulating", len(plan.steps)) as tick:
            execution = execute(
                program,
                plan,
                inputs.ids,
                inputs.keep,
                settings.activity,
                tick=lambda done: tick(1),
                watch=witness.see if witness else None,
            )
        return Simulated(
            model=self.model,
            attention=self.attention,
            program=program,
            schedule=plan,
            execution=execution,
            calibration=ranges,
            tables=settings.tables,
            activity=settings.activity,
            shape=inputs.ids.shape,
            keys=None if inputs.keep is None else inputs.keep.sum(1),
            errors=witness.errors if witness else None,
            differences=differences(execution, plan) if settings.compare else None,
        )


class progress:
    """A bar on stderr, where that is a terminal; called with how much more is done."""

    def __init__(self, what: str, total: int) -> None:
        from rich.console import Console
        from rich.progress import Progress

        console = Console(stderr=True)
        self.bar = Progress(console=console, transient=True, disable=not console.is_terminal)
        self.task = self.bar.add_task(what, total=total)

    def __enter__(self) -> Any:
        self.bar.start()
        return lambda n: self.bar.advance(self.task, n)

    def __exit__(self, *error: object) -> None:
        self.bar.stop()


def read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise CostModelError(f"{path} is no text in UTF-8") from None
    except OSError as error:
        raise CostModelError(f"cannot read {path}: {error.strerror}") from None


def read_lines(path: Path) -> list[str]:
    """The lines of a file that hold a sentence."""
    lines = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    if not lines:
        raise CostModelError(f"{path} holds no sentence")
    return lines
