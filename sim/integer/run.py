"""A model in integers, from token ids to the last values, without a float in between.

`compile_program` makes the constants; `run_program` runs the nodes one by one and checks every value
against the range that `costmodel` gave it. Masks are not in the graph: `keep` [B,S] says which keys exist.
A key that does not exist has no part in a softmax, a mean or a number of keys, and adds 0 to every sum.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from costmodel.errors import CostModelError, UnknownOp
from costmodel.graph.ir import Node
from costmodel.widths.assign import Typed
from costmodel.widths.policy import Range
from sim.integer import products
from sim.integer.calibrate import Calibration
from sim.integer.fixed import limits
from sim.integer.program import Batch, Instruction, Program, Sums, compiler_of
from sim.integer.rules import RULES
from sim.integer.views import Array, check_keep, key_power
from sim.integer.weights import Weights, exact_product

UNCHECKED = ("view", "scale", "copy")  # the same numbers again
Watch = Callable[[int, Array], None]


def compile_program(
    typed: Typed,
    weights: Weights,
    calibration: Calibration,
    overflow: str = "saturate",
    rounding: str = "half_up",
    all_keys: bool = False,
) -> Program:
    """Fixed-point factors, tables and integer weights of a typed graph.

    Args:
        overflow: of accumulators: saturate, wrap, or exact, which refuses.
        rounding: of requantising, see `fixed.ROUNDINGS`.
        all_keys: a mean over keys is over padding too (`center_over=all`).

    Raises:
        CostModelError: floats, a range that was not measured, a constant that its width cannot hold.
        UnknownOp: an op without a rule.
    """
    state = compiler_of(typed, weights, calibration, overflow, rounding, all_keys)
    graph = typed.graph
    instructions = []
    for n, node in enumerate(graph.nodes):
        if node.op == "index":
            state.add_power(node, key_power(graph, node.outputs[0]))
        elif node.op in ("view", "scale") and all(state.is_constant(i) for i in node.inputs):
            state.fold(node)
        elif node.op in RULES:
            made = RULES[node.op](state, node)
            reads = state.reads.get(node.outputs[0], node.inputs)
            alone = isinstance(made, Sums)
            instructions.append(Instruction(n, reads, None if alone else made, made if alone else None))
        else:
            raise UnknownOp(f"op {node.op!r} in {node.module or 'the model'} has no rule in sim/integer/rules.py")
    last = {i: place for place, instruction in enumerate(instructions) for i in instruction.reads}
    vocabulary = next(graph.values[node.inputs[0]].shape[0] for node in graph.nodes if node.op == "gather")
    output = state.scale(graph.outputs[0])
    return Program(typed, tuple(instructions), output, vocabulary, overflow, last, state.scale)


def start_batch(program: Program, ids: Array, keep: Array | None) -> Batch:
    """A batch with nothing in it but ids.

    Raises:
        CostModelError: ids of another shape, or out of the vocabulary, or a row without a token.
    """
    ids = np.asarray(ids)
    shape = program.typed.graph.values[program.input].shape
    if ids.shape != shape:
        raise CostModelError(f"ids of shape {ids.shape} do not fit a program of shape {shape}")
    wrong = np.argwhere((ids < 0) | (ids >= program.vocabulary))
    if len(wrong):
        row, place = wrong[0]
        raise CostModelError(
            f"id {ids[row, place]} in row {row}, place {place} is out of the vocabulary of {program.vocabulary}"
        )
    keep = check_keep(keep, *shape)
    return Batch({program.input: ids}, keep, np.full(shape[0], shape[1]) if keep is None else keep.sum(1))


def run_program(
    program: Program,
    ids: Array,
    keep: Array | None = None,
    fold: int | Mapping[int, int | None] | None = None,
    watch: Watch | None = None,
) -> Array:
    """The graph's first output as integers; what they stand for is `program.output`.

    Args:
        ids: token ids [B,S].
        keep: which keys exist [B,S]; None for all.
        fold: terms that a stationary dataflow sums before they meet the accumulator in the buffer; by node
            where products run on several arrays.
        watch: sees every value by id.

    Raises:
        CostModelError: wrong ids or masks, a value beyond its declared range.
    """
    batch = start_batch(program, ids, keep)
    for place, instruction in enumerate(program.instructions):
        if instruction.sums is not None:
            own = fold.get(instruction.node) if isinstance(fold, Mapping) else fold
            out = sum_up(instruction.sums, batch, program.overflow, own)
        else:
            assert instruction.run is not None
            out = instruction.run(batch)
        store(program, place, batch, out, watch)
    return batch.values[program.typed.graph.outputs[0]]


def store(
    program: Program, place: int, batch: Batch, out: Array, watch: Watch | None = None, forget: bool = True
) -> None:
    """Check an instruction's value, keep it, forget what nobody reads any more in the order of the graph."""
    graph, instruction = program.typed.graph, program.instructions[place]
    node = graph.nodes[instruction.node]
    i = node.outputs[0]
    out = out.reshape(graph.values[i].shape)
    held = program.typed.ranges[i]
    if held is not None and node.op not in UNCHECKED:
        check_range(out, held, node)
    batch.values[i] = out
    if watch is not None:
        watch(i, out)
    for v in instruction.reads if forget else ():
        if program.last_use[v] == place and v not in graph.outputs:
            batch.values.pop(v, None)


def real_of(program: Program, i: int, integers: Array, keys: Array) -> Array:
    """What the integers of value i stand for, as float64."""
    scale = program.scale_of(i)
    real = integers * scale.real
    if scale.power:
        real = real * (keys.astype(np.float64) ** scale.power).reshape(-1, *(1,) * (integers.ndim - 1))
    return np.asarray(real)


def check_range(x: Array, held: Range, node: Node) -> None:
    """Refuse a value beyond its declared range.

    Raises:
        CostModelError: with the value, the range, the op and its module.
    """
    low, high = int(x.min()), int(x.max())
    if low < held.low or high > held.high:
        worst = low if low < held.low else high
        raise CostModelError(
            f"{worst} leaves the range {held.low}..{held.high} ({held.type}) of op {node.op!r} in {node.module}"
        )


def sum_up(sums: Sums, batch: Batch, overflow: str, fold: int | None) -> Array:
    """Sums of terms: by BLAS or a short loop where nothing can overflow, else term by term."""
    a, b = sums.operands(batch)
    if sums.matrix is not None:
        largest = products.magnitude(a)
        bound = largest * sums.matrix.column_sum
        first = 0 if sums.start is None else products.magnitude(sums.start)
        if bound + first <= limits(sums.accumulator)[1]:
            out = exact_product(a, sums.matrix, largest)
            return out if sums.start is None else np.asarray(products.add_start(out, sums.start, bound + first))
    return np.asarray(products.product(a, b, sums.kind, sums.accumulator, overflow, sums.start, fold))
