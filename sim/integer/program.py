"""A typed graph compiled for integers: scales become fixed-point factors and tables, once.

A scale says what 1 stands for: a number, an array over channels or heads, or either times a power of the
number of keys. `rules.py` has one rule an op, `run.py` runs a program.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from costmodel.dtypes import Int, parse
from costmodel.errors import CostModelError, UnknownOp
from costmodel.graph.ir import Graph, Node
from costmodel.widths.assign import Typed
from costmodel.widths.policy import Range
from costmodel.widths.typing import value_of_scale
from sim.integer.calibrate import Calibration
from sim.integer.fixed import ROUNDINGS
from sim.integer.products import INT32_EXACT
from sim.integer.views import Array, is_weight, key_rows, mover, numbers_of, value_names
from sim.integer.weights import Matrix, Weights, top_of

OVERFLOWS = ("saturate", "wrap", "exact")
MARGIN = 2.0


@dataclass(frozen=True)
class Scale:
    """What 1 stands for: a float64 array that broadcasts with the value, times n^power for n keys."""

    real: Array
    power: float = 0.0


@dataclass
class Batch:
    """One run: values by id, which keys exist [B,S] (None: all), and how many of each row [B]."""

    values: dict[int, Array]
    keep: Array | None
    keys: Array

    def mask(self, ndim: int) -> Array | None:
        """The mask of the last dim of an array [B,..,N]."""
        if self.keep is None:
            return None
        B, N = self.keep.shape
        return self.keep.reshape(B, *(1,) * (ndim - 2), N)

    def existing(self, v: Array) -> Array:
        """v [B,..,N,D], 0 where the key does not exist."""
        mask = self.mask(v.ndim - 1)
        return v if mask is None else np.where(mask[..., None], v, v.dtype.type(0))


@dataclass(frozen=True)
class Sums:
    """A node that PEs can run: sums of one kind of term over K, in accumulators that begin at `start`."""

    kind: str
    accumulator: Int
    operands: Callable[[Batch], tuple[Array, Array]]  # a [..,M,K], b [..,K,N]
    start: Array | None = None  # [N]
    matrix: Matrix | None = None  # b, where it is a weight


@dataclass(frozen=True)
class Instruction:
    """One node: a function of the batch, or sums."""

    node: int
    reads: tuple[int, ...]
    run: Callable[[Batch], Array] | None
    sums: Sums | None = None


@dataclass(frozen=True)
class Program:
    """A typed graph with its constants, ready to run."""

    typed: Typed
    instructions: tuple[Instruction, ...]
    output: Scale
    vocabulary: int
    overflow: str
    last_use: dict[int, int]  # value -> place of the last instruction that reads it
    scale_of: Callable[[int], Scale]  # of any value

    @property
    def input(self) -> int:
        return next(v.id for v in self.typed.graph.values if v.kind == "input")


@dataclass
class Compiler:
    """What rules read and write: scales of values, scales by their name in the typed graph, constants."""

    typed: Typed
    weights: Weights
    calibration: Calibration
    overflow: str
    rounding: str
    all_keys: bool  # a mean over keys is over padding too (`center_over=all`)
    names: dict[int, str]
    per_key: frozenset[int]  # values whose last dim is keys
    scales: dict[int, Scale] = field(default_factory=dict)
    by_name: dict[int, Scale] = field(default_factory=dict)
    constants: dict[int, Array] = field(default_factory=dict)
    powers: dict[int, float] = field(default_factory=dict)  # value -> p, of n^p
    shared: dict[int, tuple[int, ...]] = field(default_factory=dict)  # name of a scale -> values that share it
    reads: dict[int, tuple[int, ...]] = field(default_factory=dict)  # value -> what makes it, if not the inputs

    @property
    def input(self) -> int:
        return next(v.id for v in self.graph.values if v.kind == "input")

    @property
    def graph(self) -> Graph:
        return self.typed.graph

    def held(self, i: int) -> Range:
        found = self.typed.ranges[i]
        assert found is not None, "integer values carry ranges"
        return found

    def kind(self, i: int) -> Int:
        """The type in which a value is kept."""
        found = parse(self.graph.values[i].dtype)
        assert isinstance(found, Int)
        return found

    def accumulator(self, node: Node) -> Int:
        bits = self.typed.policy.of(node.op).accumulator_bits
        exact = self.held(node.outputs[0]).type
        return Int(bits) if bits else Int(exact.bits + (not exact.signed))

    def is_constant(self, i: int) -> bool:
        return i in self.constants or i in self.powers or is_weight(self.graph, i)

    def constant(self, i: int) -> Array:
        """A weight, or what was made of weights, as floats or indices."""
        if i in self.constants:
            return self.constants[i]
        owner = self.graph.values[self.graph.values[i].storage]
        return mover(owner, self.graph.values[i])(self.weights.named(owner.name))

    def fold(self, node: Node) -> None:
        """A view or a product of constants is a constant."""
        o = node.outputs[0]
        if node.op == "view":
            self.constants[o] = mover(self.graph.values[node.inputs[0]], self.graph.values[o])(
                self.constant(node.inputs[0])
            )
            return
        sign = -1 if node.attrs["was"] == "div" else 1
        factors = [self.constant(i).astype(np.float64) for i in node.inputs]
        result = np.asarray(np.prod(numbers_of(node)) ** sign)
        for place, factor in enumerate(factors):
            result = result * (factor if place == 0 else factor**sign)
        self.constants[o] = result

    def add_power(self, node: Node, power: float | None) -> None:
        """An index that is a power of the number of keys; no other is known."""
        if power is None:
            raise UnknownOp(
                f"an index of {node.attrs.get('was')!r} in {node.module} has no rule in sim/integer/program.py"
            )
        self.powers[node.outputs[0]] = power

    def behind(self, i: int) -> int:
        """What a value shows in another order, if that has one scale, or one a column: else the value itself."""
        owner = self.graph.values[self.graph.values[i].storage]
        scale = self.scales.get(owner.id)
        whole = scale is not None and owner.numel == self.graph.values[i].numel
        return owner.id if whole and scale is not None and scale.real.size in (1, owner.shape[-1]) else i

    def set(self, i: int, scale: Scale) -> None:
        self.scales[i] = scale
        self.by_name.setdefault(self.held(i).scale, scale)

    def scale(self, i: int) -> Scale:
        """The scale of a value; that of a view follows from what it is a view of."""
        if i not in self.scales:
            owner = self.graph.values[self.graph.values[i].storage]
            whole = self.scales[owner.id]
            real = whole.real
            if real.size > 1:
                spread = mover(owner, self.graph.values[i])(np.broadcast_to(real, owner.shape))
                real = compressed(spread)
            self.scales[i] = Scale(real, whole.power)
        return self.scales[i]

    def calibrated(self, i: int) -> Scale:
        """The scale that the range of value i asks for, or of the values that share it; its name keeps it.

        What is wider than operands has room for twice what calibration saw.
        """
        name = self.held(i).scale
        if name not in self.by_name:
            origins = self.shared.get(name, (value_of_scale(name),))
            reach = max(self.calibration.range_of(self.name_of(j)) for j in origins)
            kind, narrow = self.kind(i), self.typed.policy.activation
            margin = MARGIN if kind.bits > narrow.bits else 1.0
            self.by_name[name] = Scale(np.array(margin * reach / top_of(kind)))
        return self.by_name[name]

    def feeds_weights(self, o: int) -> bool:
        """Whether all that reads value o are products with weights."""
        readers = [node for node in self.graph.nodes if o in node.inputs]
        return all(n.op == "matmul" and n.inputs[0] == o and self.is_constant(n.inputs[1]) for n in readers)

    def operand_scale(self, o: int) -> Scale:
        """The scale of an operand of weights: a power of two apart a channel, which the weights take in.

        As fine as calibration says, but no finer than that the bias, on the scale of the sum, fits beside it.
        """
        found = self.calibration.operand(self.name_of(value_of_scale(self.held(o).scale)))
        factors = np.exp2(np.array(found.exponents, np.float64))
        step = found.reach / top_of(self.kind(o))
        for node in self.graph.nodes:
            if o in node.inputs and len(node.inputs) == 3:
                kind = self.typed.policy.of(node.op).weight
                assert isinstance(kind, Int)
                width = self.graph.values[node.inputs[1]].shape[0]
                if len(factors) != width:
                    raise CostModelError(
                        f"the calibration has {len(factors)} channels of {self.name_of(o)}, not {width}; "
                        "calibrate this model anew"
                    )
                matrix = self.weights.matrix(self.graph, node.inputs[1], kind, factors)
                room = self.bias_room(node, matrix)
                reach = float(np.abs(self.constant(node.inputs[2]) / matrix.scale).max())
                step = max(step, reach / (room - 1))
        return Scale(step * factors)

    def bias_room(self, node: Node, matrix: Matrix) -> int:
        """The largest bias that fits the type of a sum beside any terms."""
        a, out = self.held(node.inputs[0]), self.held(node.outputs[0])
        return min(INT32_EXACT - 1, out.high - max(a.high, -a.low) * matrix.column_sum)

    def name_of(self, i: int) -> str:
        """The name under which a value was measured: that of what it is a view of."""
        return self.names[self.graph.values[i].storage]


def compressed(array: Array) -> Array:
    """The array with every dim along which it does not vary cut down to 1."""
    for axis in range(array.ndim):
        first = array.take([0], axis)
        if (array == first).all():
            array = first
    return np.ascontiguousarray(array)


def compiler_of(
    typed: Typed, weights: Weights, calibration: Calibration, overflow: str, rounding: str, all_keys: bool
) -> Compiler:
    """A compiler with nothing compiled.

    Raises:
        CostModelError: float widths, an unknown overflow or rounding.
    """
    if typed.policy.is_float:
        raise CostModelError(f"widths {typed.policy.name} are floats; the simulator runs integers, such as w8a8")
    if overflow not in OVERFLOWS:
        raise CostModelError(f"unknown overflow {overflow!r}; known: {', '.join(OVERFLOWS)}")
    if rounding not in ROUNDINGS:
        raise CostModelError(f"unknown rounding {rounding!r}; known: {', '.join(ROUNDINGS)}")
    graph = typed.graph
    state = Compiler(
        typed,
        weights,
        calibration,
        overflow,
        rounding,
        all_keys,
        names=value_names(graph),
        per_key=key_rows(graph),
    )
    makers = {o: node for node in graph.nodes for o in node.outputs}

    def before(i: int) -> int:
        """A value as it was before it was requantised."""
        return makers[i].inputs[0] if i in makers and makers[i].op == "requantise" else i

    for node in graph.nodes:
        moving = [i for i in node.inputs if not is_weight(graph, i) and typed.ranges[i] is not None]
        joined = node.op in ("add", "sub") and len(moving) == 2 and any(before(i) != i for i in moving)
        if joined:  # the residual stream, and the branch
            state.shared[state.held(moving[0]).scale] = (before(moving[0]), before(moving[1]))
        elif node.op == "l1":
            state.shared[state.held(node.outputs[0]).scale] = (before(node.inputs[0]), before(node.inputs[1]))
    return state
