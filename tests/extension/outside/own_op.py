"""An aten op: the hyperbolic cosine, (e + 1/e) / 2 with e = exp x."""

from typing import Any

import numpy as np

from costmodel.graph.elementwise import elementwise_lowering
from costmodel.graph.lowerings import lowers
from costmodel.ops.counts import Counts
from costmodel.ops.rules import add_elementwise
from tests.witness.loops import RUN, array
from tests.witness.samples import SAMPLES, elementwise
from tests.witness.tally import exp

# costmodel/ops/rules.py: what it takes for each element.
add_elementwise("cosh", Counts(exp=1, div=1, add=1, mul=1))
# costmodel/graph/names.py: `"cosh": "cosh"` in UNARY does this.
lowers("aten.cosh")(elementwise_lowering("cosh", ("self",)))


# tests/witness/loops.py
def cosh(args: list[Any], attrs: dict[str, Any]) -> Any:
    out = array(args[0].shape)
    for index in np.ndindex(*out.shape):
        e = exp(args[0][index])
        out[index] = (e + 1 / e) * 0.5
    return out


RUN["cosh"] = cosh
# tests/witness/samples.py
SAMPLES["cosh"] = lambda: elementwise(1)
