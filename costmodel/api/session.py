"""A model ready to run in integers: weights, graph at any size, inputs, ranges."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from costmodel.api import cache
from costmodel.api.graphs import Request, graph_source, quiet_imports
from costmodel.errors import CostModelError
from costmodel.files import read_lines, read_text
from costmodel.show.progress import progress
from costmodel.widths.assign import assign_widths
from costmodel.widths.policy import parse_policy
from models.attention.mechanisms import parse_mechanism
from models.tasks.text import calibration_sentences, encode, load_tokenizer, pad
from models.zoo.presets import DEFAULT_SEQ, PRESETS

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
    """A model with its weights: what all runs of it share."""

    def __init__(self, model: str, attention: str | None) -> None:
        quiet_imports()
        import transformers

        from models.attention.mechanisms import Mechanism
        from models.zoo.loading import load_model, max_positions

        if ":" in model and model not in PRESETS:
            raise CostModelError(f"{model} decides its own sizes; simulate takes a DistilBERT preset or directory")
        mechanism = None if attention is None else parse_mechanism(attention)
        loaded = load_model(model, mechanism=mechanism, device="cpu", head=True, seq=8)
        self.model, self.attention, self.module = model, loaded.attention, loaded.module
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

        from models.tasks.text import encode, load_tokenizer, pad

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
        rows = encode(load_tokenizer(self.model), sentences, self.longest)
        ids, keep = pad(rows, self.padding)
        what = f"{len(sentences)} sentence{'s' * (len(sentences) > 1)}" + (f" of {file}" if file else "")
        return self.checked(ids, keep, what)

    def read_ids(self, file: Path) -> Inputs:

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
        if ids.size > MOST_TOKENS:
            raise CostModelError(
                f"{ids.shape[0]} rows of {ids.shape[1]} tokens are too many for one run; give fewer"
            )
        return Inputs(ids, None if keep is None or keep.all() else keep, what)

    # Calibration

    @cached_property
    def identity(self) -> str:
        """What tells these weights from others; asked for once for each --widths."""
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
        if sentences is None and self.model not in PRESETS and beside.is_file():
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
        import numpy as np

        from models.errors import ModelError

        if file is not None:
            lines = read_lines(file)
            return encode(load_tokenizer(self.model), lines, self.longest), f"{len(lines)} sentences"
        try:
            tokenizer = load_tokenizer(self.model)
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
