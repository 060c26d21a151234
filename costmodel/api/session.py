"""A model ready to run in integers: weights, graph at any size, inputs, ranges."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from costmodel.api import cache
from costmodel.api.graphs import Request, graph_source, quiet_imports
from costmodel.api.subjects import check_whole
from costmodel.errors import CostModelError
from costmodel.files import read_lines, read_text
from costmodel.graph.canonical import canonicalise
from costmodel.graph.ir import Graph
from costmodel.graph.lowering import lower
from costmodel.show.progress import progress
from costmodel.widths.assign import assign_widths
from costmodel.widths.policy import parse_policy
from models.attention.mechanisms import Mechanism, parse_mechanism
from models.errors import ModelError
from models.tasks.batches import pad
from models.tasks.text import calibration_sentences, encode, load_tokenizer
from models.zoo.presets import DEFAULT_SEQ, PRESETS

if TYPE_CHECKING:  # transformers take seconds to import
    from models.zoo.loading import Loaded

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


class Session:
    """A model with its weights: what all runs of it share.

    `model` is a preset, a directory, `package.module:function`, or a torch module: any DistilBERT of transformers.
    """

    def __init__(self, model: Any, attention: str | None) -> None:
        quiet_imports()
        from models.zoo.loading import max_positions

        mechanism = None if attention is None else parse_mechanism(attention)
        named = isinstance(model, str) and (":" not in model or model in PRESETS)
        self.model: str = model if isinstance(model, str) else type(model).__name__
        self.is_own = not named  # the user's own module, of which there are no files
        loaded = load_named(model, mechanism) if named else load_own(model, self.model, mechanism)
        self.attention, self.module = loaded.attention, loaded.module
        config: Any = loaded.module.config
        self.longest: int | None = max_positions(config)
        self.vocabulary: int = config.vocab_size
        self.padding: int = config.pad_token_id or 0
        saved = getattr(config, "attention_mechanism", None)
        self.all_keys = saved is not None and Mechanism(**saved).center_over == "all"
        tensors = dict(loaded.module.state_dict()) | dict(loaded.module.named_buffers())
        self.weights = {name: tensor.detach().numpy() for name, tensor in tensors.items()}
        self.graph_at: Callable[[int, int], Graph]
        if named:
            request = Request(model, 1, None, "float32", "meta", False, False, head=True)
            self.graph_at = graph_source(request, attention, self.longest)
        else:
            self.graph_at = lru_cache(None)(partial(graph_of, self.module))

    def tokenizer(self) -> Any:
        """The model's own.

        Raises:
            ModelError: it has none.
        """
        if self.is_own:
            raise ModelError(f"{self.model} has no tokenizer")
        return load_tokenizer(self.model)

    # Inputs

    def read_inputs(
        self, text: tuple[str, ...], file: Path | None, seed: int | None, batch: int, seq: int | None
    ) -> Inputs:
        """Token ids of sentences, of a file, or from a seed.

        Raises:
            CostModelError: too long, too many, no text, ids that the model does not know.
        """
        import numpy as np

        if seed is not None:
            check_whole("random", seed, 0)
            seq = seq or min(DEFAULT_SEQ, self.longest or DEFAULT_SEQ)
            if self.longest is not None and seq > self.longest:
                raise CostModelError(f"`seq={seq}` is beyond the {self.longest} positions of {self.model}")
            ids = np.random.default_rng(seed).integers(0, self.vocabulary, (batch, seq))
            return self.checked(ids, None, f"random ids, seed {seed}")
        if file is not None and file.suffix == ".json":
            return self.read_ids(file)
        sentences = list(text) if file is None else read_lines(file)
        try:
            tokenizer = self.tokenizer()
        except ModelError as error:
            raise CostModelError(f"{error}; give token ids with `file=IDS.json`, or `random=SEED`") from None
        ids, keep = pad(encode(tokenizer, sentences, self.longest), self.padding)
        what = f"{len(sentences)} sentence{'s' * (len(sentences) > 1)}" + (f" of {file}" if file else "")
        return self.checked(ids, keep, what)

    def read_ids(self, file: Path) -> Inputs:
        """Token ids of a JSON file."""
        try:
            record = json.loads(read_text(file))
            rows = record["input_ids"] if isinstance(record, dict) else None
            whole = all(type(i) is int and abs(i) < 1 << 31 for row in rows or () for i in row)
            if not rows or not whole or not all(rows):
                raise ValueError('it is not {"input_ids": [[7, 8, ...], ...]} with whole numbers')
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise CostModelError(f"{file} holds no token ids: {' '.join(str(error).split())[:120]}") from None
        longest = max(map(len, rows))
        if self.longest is not None and longest > self.longest:
            raise CostModelError(f"{file}: a row of {longest} ids is beyond the {self.longest} positions")
        ids, keep = pad(rows, self.padding)
        return self.checked(ids, keep, f"ids of {file}")

    def checked(self, ids: Any, keep: Any, what: str) -> Inputs:
        """Inputs that are not too many for one run."""
        if ids.size > MOST_TOKENS:
            raise CostModelError(
                f"{ids.shape[0]} rows of {ids.shape[1]} tokens are too many for one run; give fewer"
            )
        return Inputs(ids, None if keep is None or keep.all() else keep, what)

    # Calibration

    @cached_property
    def identity(self) -> str:
        """What tells these weights from others; several widths ask for it."""
        from sim.integer import calibrate

        return calibrate.digest(self.weights)

    def calibration(self, file: Path | None, sentences: Path | None, widths: str, method: str) -> Any:
        """Ranges that were saved, or those of sentences: given ones, or else the ones that ship."""
        from sim.integer import calibrate

        identity, policy = self.identity, parse_policy(widths)
        bits, balance = policy.activation.bits, calibrate.balance_for(policy.weight.bits)
        if file is not None:
            found = calibrate.from_json(read_text(file), str(file))
            calibrate.check_model(found, identity, self.attention, str(file))
            return found
        beside = Path(self.model) / CALIBRATION_FILE
        has_files = self.model not in PRESETS and not self.is_own
        if sentences is None and has_files and beside.is_file():
            found = calibrate.from_json(read_text(beside), str(beside))
            calibrate.check_model(found, identity, self.attention, str(beside))
            if (found.bits, found.balance) == (bits, balance):  # else it is for other widths
                return found
        rows, what = self.sentences(sentences)
        key = cache.key_of("calibration", calibrate.FORMAT, identity, self.attention, method, bits, balance, rows)
        entry = cache.load(key)
        if entry is not None:
            return calibrate.from_json(entry, "the cache")
        passes = 1 if method == "max" else 2
        with progress(f"calibrating on {what}", passes * len(rows)) as tick:
            made = calibrate.calibrate(
                self.graph_at, self.weights, rows, self.attention, method, bits, balance=balance, tick=tick
            )
        cache.save(key, made.to_json())
        return made

    def sentences(self, file: Path | None) -> tuple[list[list[int]], str]:
        """Token ids to measure ranges on, and what they are in words."""
        import numpy as np

        if file is not None:
            lines = read_lines(file)
            return encode(self.tokenizer(), lines, self.longest), f"{len(lines)} sentences"
        try:
            tokenizer = self.tokenizer()
        except ModelError:  # a model without words: random ids are as good as any
            rng = np.random.default_rng(0)
            lengths = rng.integers(4, min(32, self.longest or 32), RANDOM_SENTENCES)
            return [rng.integers(0, self.vocabulary, n).tolist() for n in lengths], "random ids"
        lines = calibration_sentences()
        rows = encode(tokenizer, lines, None)
        return [row[: self.longest] for row in rows], f"{len(lines)} sentences"

    def integers(self, widths: str, ranges: Any, overflow: str = "saturate", rounding: str = "half_up") -> Any:
        """The model in integers as a function of ids [B,S] and a mask: real values of its first output.

        A program is compiled once for each B, S.
        """
        import numpy as np

        from sim.integer.run import compile_program, real_of, run_program
        from sim.integer.weights import Weights

        policy, weights, programs = parse_policy(widths), Weights(self.weights), {}

        def forward(ids: Any, keep: Any) -> Any:
            if ids.shape not in programs:
                typed = assign_widths(self.graph_at(*ids.shape), policy)
                programs[ids.shape] = compile_program(typed, weights, ranges, overflow, rounding, self.all_keys)
            program = programs[ids.shape]
            (output,) = program.typed.graph.outputs
            return real_of(program, output, run_program(program, ids, keep), np.asarray(keep).sum(1))

        return forward

    def floats(self) -> Any:
        """The same model in torch's float32."""
        import torch

        @torch.no_grad()
        def forward(ids: Any, keep: Any) -> Any:
            # A mask that excludes nothing would be one more path for torch to take.
            mask = None if keep.all() else torch.from_numpy(keep.astype("int64"))
            found = self.module(input_ids=torch.from_numpy(ids), attention_mask=mask)
            return (found.logits if hasattr(found, "logits") else found.last_hidden_state).numpy()

        return forward


# Models


def load_named(model: str, mechanism: Mechanism | None) -> Loaded:
    """A preset, a directory or a hub id with all its weights.

    Raises:
        CostModelError: it is no DistilBERT.
    """
    import transformers

    from models.zoo.loading import load_model

    loaded = load_model(model, mechanism=mechanism, device="cpu", head=True, seq=8)
    config: Any = loaded.module.config
    if not isinstance(config, transformers.DistilBertConfig):
        raise CostModelError(f"{model} is a {config.model_type}; the simulator runs DistilBERT of any size")
    return loaded


def load_own(model: Any, name: str, mechanism: Mechanism | None) -> Loaded:
    """A copy of the user's module, with the attention that was asked for, its own, or dot product.

    Raises:
        CostModelError: it is no DistilBERT of transformers, or has no weights.
    """
    import transformers

    from models.zoo.loading import load_function, with_mechanism

    module = load_function(name, "cpu").module if isinstance(model, str) else model
    kinds = (transformers.DistilBertModel, transformers.DistilBertForSequenceClassification)
    if not isinstance(module, kinds):
        raise CostModelError(
            f"{name} is a {type(module).__name__}; the simulator runs DistilBertModel and "
            "DistilBertForSequenceClassification of transformers, of any size"
        )
    if any(p.is_meta for p in module.parameters()):
        raise CostModelError(f"{name} has no weights: its parameters are on the meta device")
    return with_mechanism(module, name, mechanism)


def graph_of(module: Any, B: int, S: int) -> Graph:
    """The canonical graph of a module that takes token ids [B,S]."""
    import torch

    from costmodel.graph.tracing import trace

    ids = torch.zeros(B, S, dtype=torch.long)
    return canonicalise(lower(trace(module, {"input_ids": ids}, device="cpu")))
