"""The integer kernel of `own_op`: a table of 256 entries, as GELU has it."""

from math import cosh
from typing import Any

import numpy as np

from costmodel.graph.ir import Node
from costmodel.widths.rules import table_function, width_rule
from sim.integer import functions
from sim.integer.fixed import table_of
from sim.integer.floats import float_rule, unary
from sim.integer.program import Compiler
from sim.integer.rules import integer_rule
from sim.machine.events import event_rule, table

# costmodel/widths/rules.py: narrow in, wide out.
width_rule("cosh")(table_function)


# sim/integer/rules.py
@integer_rule("cosh")
def cosh_by_table(state: Compiler, node: Node) -> Any:
    i, o = node.inputs[0], node.outputs[0]
    state.scales[o] = scale = state.calibrated(o)
    kind, steps = state.kind(o), (float(state.scale(i).real), float(scale.real))
    entries = table_of(cosh, *steps, state.kind(i).bits, kind)
    return lambda batch: np.asarray(functions.look_up(batch.values[i], entries, kind))


# sim/integer/floats.py: what calibration measures.
float_rule("cosh")(unary(np.cosh))
# sim/machine/events.py: what it does on the vector unit.
event_rule("cosh")(table)
