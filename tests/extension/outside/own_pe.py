"""A kind of PE, and the op that it runs: squared differences, (a - b)^2."""

from costmodel.dtypes import Int
from costmodel.hardware.pe import INT8, PeKind, add_pe, distance
from costmodel.ops.counts import Counts, Number
from costmodel.ops.rules import rule

# costmodel/hardware/pe.py; `fpga` names a row of costmodel/technology/fpga/xc7.toml.
add_pe(
    PeKind(
        name="l2",
        formula="(a - b)^2",
        term=lambda a, b: (a - b) * (a - b),
        work=lambda a, b: (("add", distance(a, b), 1), ("mul", distance(a, b), 1)),
        bound=lambda a, b: (a + b) * (a + b),
        signed=False,
        int8=(INT8, INT8),
        units=(("mul", Int(8), 1), ("add", Int(8), 1)),
        fpga="mac",
    )
)


# costmodel/ops/rules.py
@rule("product", pe="l2")
def l2(B: Number, M: Number, N: Number, K: Number) -> Counts:
    """q [B,M,K], k [B,N,K] -> sum_K (q - k)^2 [B,M,N]: K subtractions, K mul, K-1 adds an output."""
    return Counts(add=B * M * N * (2 * K - 1), mul=B * M * N * K)
