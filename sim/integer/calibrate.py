"""Ranges from real sentences: what each activation's integers have to reach. Weights need no data.

    max          the largest magnitude seen
    percentile   the smallest magnitude that a share of all values stays within
    mse          of 80 clipping points the one whose rounding and clipping errors are least, at some width

Ranges are measured in float64 and rounded up to 16 significant bits, so that sums whose last places differ
from machine to machine give the same ones: the same sentences give the same integers everywhere.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from math import ceil, frexp, ldexp

import numpy as np

from costmodel.errors import CostModelError
from costmodel.graph.ir import Graph
from sim.integer.floats import run_floats
from sim.integer.views import Array, is_weight, value_names
from sim.integer.weights import check_finite

METHODS = ("max", "percentile", "mse")
PERCENTILE = 99.99
BINS = 4096
SIGNIFICANT_BITS = 16
FORMAT = 2
# Share of the difference between channels that weights bear, on a log scale; weights of few bits bear less.
BALANCE, NARROW_BALANCE = 0.8, 0.6
MOST_EXPONENT = 12
SMALLEST, LARGEST = 2.0**-126, 2.0**127  # of ranges: a range is that of float32 values

GraphAt = Callable[[int, int], Graph]


@dataclass(frozen=True)
class Operand:
    """What a product with weights reads: its channels are divided by powers of two, which the weights take in.

    A channel that reaches far would else leave few steps to all others (as SmoothQuant, arXiv 2211.10438;
    powers of two as in FQ-ViT, arXiv 2111.13824).
    """

    reach: float  # the largest magnitude, divided
    exponents: tuple[int, ...]  # of each channel, 0 at most


@dataclass(frozen=True)
class Calibration:
    """The largest magnitude of each activation by name, and what it was measured on."""

    weights: str  # digest of the weights
    attention: str
    method: str
    bits: int  # of activations, for `mse`
    percentile: float  # for `percentile`
    balance: float  # of channels, between operands and weights
    sentences: int
    tokens: int
    ranges: dict[str, float]
    operands: dict[str, Operand]

    def operand(self, name: str) -> Operand:
        """What products with weights read.

        Raises:
            CostModelError: it was not measured.
        """
        if name not in self.operands:
            raise CostModelError(f"the calibration has no channels of {name}; calibrate this model anew")
        return self.operands[name]

    def range_of(self, name: str) -> float:
        """The range of a value.

        Raises:
            CostModelError: it was not measured.
        """
        if name not in self.ranges:
            raise CostModelError(f"the calibration has no range of {name}; calibrate this model anew")
        return self.ranges[name]

    def to_json(self) -> str:
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1, sort_keys=True) + "\n"


def from_json(text: str, where: str) -> Calibration:
    """Inverse of `to_json`.

    Raises:
        CostModelError: the text is no calibration.
    """
    try:
        record = json.loads(text)
        if record.pop("format") != FORMAT:
            raise ValueError("another format")
        operands = {n: Operand(o["reach"], tuple(o["exponents"])) for n, o in record.pop("operands").items()}
        made = Calibration(operands=operands, **record)
        check_fields(made)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise CostModelError(f"{where} is no calibration: {' '.join(str(error).split())[:120]}") from None
    return made


def check_fields(calibration: Calibration) -> None:
    """Raise a ValueError where a field holds what `calibrate` never writes."""
    for name, kind in (("weights", str), ("attention", str), ("bits", int), ("sentences", int), ("tokens", int)):
        value = getattr(calibration, name)
        if type(value) is not kind or (isinstance(value, int) and not 1 <= value < 1 << 40):
            raise ValueError(f"{name} is not {'text' if kind is str else 'a whole number from 1 to 2^40'}")
    shares = (calibration.percentile, calibration.balance)
    if calibration.method not in METHODS or not all(type(v) in (int, float) and 0 <= v <= 100 for v in shares):
        raise ValueError("method, percentile or balance is none of those that there are")
    for v in (*calibration.ranges.values(), *(o.reach for o in calibration.operands.values())):
        if type(v) not in (int, float) or not SMALLEST <= v <= LARGEST:
            raise ValueError("a range is not a positive number that float32 holds")
    for e in (e for operand in calibration.operands.values() for e in operand.exponents):
        if type(e) is not int or not -MOST_EXPONENT <= e <= 0:
            raise ValueError(f"an exponent of a channel is not a whole number from {-MOST_EXPONENT} to 0")


def check_model(calibration: Calibration, weights: str, attention: str, where: str) -> None:
    """Refuse a calibration of another model.

    Raises:
        CostModelError: other weights, or another attention.
    """
    if calibration.weights != weights:
        raise CostModelError(f"{where} was measured on other weights; calibrate this model anew")
    if calibration.attention != attention:
        raise CostModelError(f"{where} was measured with attention {calibration.attention}, not {attention}")


def digest(weights: Mapping[str, Array]) -> str:
    """What tells one set of weights from another.

    Raises:
        CostModelError: a weight is NaN or infinite.
    """
    found = sha256()
    for name in sorted(weights):
        array = np.ascontiguousarray(weights[name])
        check_finite(name, array)
        found.update(f"{name} {array.dtype} {array.shape}".encode())
        found.update(array.tobytes())
    return found.hexdigest()


def calibrate(
    graph_at: GraphAt,
    weights: Mapping[str, Array],
    sentences: Sequence[Sequence[int]],
    attention: str,
    method: str = "max",
    bits: int = 8,
    percentile: float = PERCENTILE,
    balance: float = BALANCE,
    tick: Callable[[int], None] = lambda n: None,
) -> Calibration:
    """Measure the ranges of all activations on sentences of token ids.

    Args:
        graph_at: the canonical graph at B, S.
        tick: called with the number of sentences that were done, twice as many where histograms are needed.

    Raises:
        CostModelError: no sentence, or an unknown method.
    """
    if method not in METHODS:
        raise CostModelError(f"unknown calibration {method!r}; known: {', '.join(METHODS)}")
    if not 0 < percentile <= 100:
        raise CostModelError(f"a percentile of {percentile} is not above 0 and at most 100")
    if not sentences or not all(len(s) for s in sentences):
        raise CostModelError("a calibration needs sentences of at least one token")
    identity = digest(weights)
    readers = weight_readers(graph_at(1, len(sentences[0])))
    largest: dict[str, float] = {}
    channels: dict[str, Array] = {}

    def widest(name: str, x: Array) -> None:
        magnitude = np.abs(x)
        largest[name] = max(largest.get(name, 0.0), float(magnitude.max()))
        if name in readers:
            each = magnitude.reshape(-1, channels_of(readers[name], weights)).max(0)
            channels[name] = np.maximum(channels[name], each) if name in channels else each

    watch(graph_at, weights, sentences, widest, tick)
    exponents = {name: exponents_of(channels[name], readers[name], weights, balance) for name in channels}
    divided = {name: channels[name] / np.exp2(exponents[name]) for name in channels}
    tops = largest | {operand_key(name): float(each.max()) for name, each in divided.items()}
    shares = dict.fromkeys(tops, 1.0)
    if method != "max":
        histograms = {name: np.zeros(BINS, np.int64) for name in tops}

        def fill(name: str, x: Array) -> None:
            add_to(histograms[name], x, tops[name])
            if name in exponents:
                each = x.reshape(-1, len(exponents[name])) / np.exp2(exponents[name])
                add_to(histograms[operand_key(name)], each, tops[operand_key(name)])

        watch(graph_at, weights, sentences, fill, tick)
        choose = of_percentile(percentile) if method == "percentile" else least_error(bits)
        shares = {name: choose(histogram) for name, histogram in histograms.items()}
    reach = {name: rounded_up(top * shares[name]) if top > 0 else 1.0 for name, top in tops.items()}
    return Calibration(
        weights=identity,
        attention=attention,
        method=method,
        bits=bits,
        percentile=percentile,
        balance=balance,
        sentences=len(sentences),
        tokens=sum(len(s) for s in sentences),
        ranges={name: reach[name] for name in sorted(largest)},
        operands={
            name: Operand(reach[operand_key(name)], tuple(int(e) for e in exponents[name]))
            for name in sorted(exponents)
        },
    )


def operand_key(name: str) -> str:
    return name + " by channel"


def balance_for(weight_bits: int) -> float:
    """How much of the difference between channels weights of so many bits bear."""
    return BALANCE if weight_bits >= 8 else NARROW_BALANCE


def weight_readers(graph: Graph) -> dict[str, tuple[str, ...]]:
    """Of each value that products with weights read the names of those weights [N,K]."""
    names = value_names(graph)
    found: dict[str, tuple[str, ...]] = {}
    for node in graph.nodes:
        if node.op == "matmul" and is_weight(graph, node.inputs[1]):
            value, weight = (graph.values[graph.values[i].storage] for i in node.inputs[:2])
            found[names[value.id]] = (*found.get(names[value.id], ()), weight.name)
    return found


def channels_of(names: tuple[str, ...], weights: Mapping[str, Array]) -> int:
    return int(weights[names[0]].shape[1])


def exponents_of(reach: Array, names: tuple[str, ...], weights: Mapping[str, Array], balance: float) -> Array:
    """Exponents of channels [K]: reach^a / weight^(1 - a) as a power of two, 0 for the largest.

    With a = 1 all channels would fill the range, and the weights would bear all of the difference.
    """
    magnitude = np.max([np.abs(weights[name]).astype(np.float64).max(0) for name in names], axis=0)
    if not reach.max() > 0 or not magnitude.max() > 0:
        return np.zeros_like(reach)
    small = 2.0**-20
    factor = np.log2(np.maximum(reach, small * reach.max())) * balance
    factor -= np.log2(np.maximum(magnitude, small * magnitude.max())) * (1 - balance)
    exponents = np.rint(factor - factor.max())
    return np.maximum(exponents, -MOST_EXPONENT)


def add_to(histogram: Array, x: Array, top: float) -> None:
    if top > 0:
        place = np.minimum((np.abs(x) * (BINS / top)).astype(np.int64), BINS - 1)
        histogram += np.bincount(place.reshape(-1), minlength=BINS)


def watch(
    graph_at: GraphAt,
    weights: Mapping[str, Array],
    sentences: Sequence[Sequence[int]],
    see: Callable[[str, Array], None],
    tick: Callable[[int], None],
) -> None:
    """Run all sentences, those of one length together, so that there is no padding."""
    by_length: dict[int, list[Sequence[int]]] = {}
    for sentence in sentences:
        by_length.setdefault(len(sentence), []).append(sentence)
    for length, group in sorted(by_length.items()):
        for rows in chunks(group, max(1, 1024 // length)):
            graph = graph_at(len(rows), length)
            names = value_names(graph)

            def watched(i: int, x: Array, names: dict[int, str] = names) -> None:
                see(names[i], x)

            run_floats(graph, weights, np.array(rows), watch=watched)
            tick(len(rows))


def chunks(items: list[Sequence[int]], size: int) -> Iterable[list[Sequence[int]]]:
    return (items[first : first + size] for first in range(0, len(items), size))


def of_percentile(percentile: float) -> Callable[[Array], float]:
    """The share of the largest magnitude within which so many of the values stay."""

    def choose(histogram: Array) -> float:
        needed = ceil(percentile / 100 * int(histogram.sum()))
        return (int(np.searchsorted(np.cumsum(histogram), needed)) + 1) / BINS

    return choose


def least_error(bits: int) -> Callable[[Array], float]:
    """The clipping point of least mean square error: s^2/12 of rounding inside, the distance beyond."""

    def choose(histogram: Array) -> float:
        middle = (np.arange(BINS) + 0.5) / BINS
        best = (np.inf, 1.0)
        for share in np.arange(21, 101) / 100:
            step = share / (2 ** (bits - 1) - 1)
            errors = np.where(middle <= share, step * step / 12, (middle - share) ** 2)
            best = min(best, (float(histogram @ errors), float(share)))
        return best[1]

    return choose


def rounded_up(x: float) -> float:
    """x with 16 significant bits, not below x but for what a sum's last places are worth."""
    mantissa, exponent = frexp(x)
    return ldexp(ceil(ldexp(mantissa, SIGNIFICANT_BITS) - 1e-6), exponent - SIGNIFICANT_BITS)
