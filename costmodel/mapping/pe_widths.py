"""The types that a model asks of the PEs of a target: the widest of all that its products bring."""

from __future__ import annotations

from costmodel.dtypes import Float, Int, parse
from costmodel.hardware.accelerator import Accelerator
from costmodel.hardware.pe import Number, PeWidths
from costmodel.mapping.pieces import shape_of
from costmodel.ops.rules import pe_of
from costmodel.widths.assign import Typed


def pe_widths(typed: Typed, target: Accelerator) -> PeWidths:
    """Types of operands by kind of term, and of the accumulator, as wide as any product on the array needs.

    A kind of term that the model has not is built for activations. Weights of 4 bits make a narrower multiplier
    only where no product of two activations needs a wider one.
    """
    policy = typed.policy
    if isinstance(policy.activation, Float):
        kinds = (policy.activation, *(own.activation for _, own in policy.per_op))
        widest = max((kind for kind in kinds if isinstance(kind, Float)), key=lambda kind: kind.bits)
        return PeWidths(widest, widest, widest if widest.bits >= 32 else Float(32))
    operands: dict[str, tuple[Int, Int]] = {}
    sums: dict[str, int] = {}
    for node in typed.graph.nodes:
        kind = pe_of(node.op)
        if not target.doing(kind):
            continue
        shape = shape_of(typed.graph, node)
        pair = type_of(typed, shape.a), type_of(typed, shape.b)
        before = operands.get(kind)
        operands[kind] = pair if before is None else (widest_of(before[0], pair[0]), widest_of(before[1], pair[1]))
        exact = parse(typed.graph.values[node.outputs[0]].dtype).bits
        sums[kind] = max(sums.get(kind, 0), policy.of(node.op).accumulator_bits or exact)
    plain: Number = policy.activation
    own = tuple((kind, a, b) for kind, (a, b) in sorted(operands.items()))
    widest_sum = Int(max(sums.values(), default=0) or policy.accumulator_bits or 32)
    accumulators = tuple((name, Int(bits)) for name, bits in sorted(sums.items()))
    return PeWidths(plain, plain, widest_sum, own, accumulators)


def type_of(typed: Typed, i: int) -> Int:
    """The narrowest type of a value's range, in which its products are counted."""
    held = typed.ranges[i]
    found = parse(typed.graph.values[i].dtype) if held is None else held.type
    assert isinstance(found, Int), "an integer policy gives operands of products integer types"
    return found


def widest_of(first: Int, second: Int) -> Int:
    """The type of a port that takes both."""
    signed = first.signed or second.signed
    return Int(max(x.bits + (signed and not x.signed) for x in (first, second)), signed)
