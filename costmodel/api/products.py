"""`gemm`: one product on one array."""

from __future__ import annotations

from dataclasses import dataclass

from costmodel.api.results import Result
from costmodel.api.subjects import check_choice, check_goal, check_whole
from costmodel.hardware.accelerator import PeArray, with_array
from costmodel.hardware.loading import check, load_target
from costmodel.hardware.pe import term_kinds
from costmodel.hardware.timing import CONVENTIONS, DATAFLOWS, ArrayShape, Product, parse_array
from costmodel.mapping.one_product import (
    AllTimings,
    GemmRecord,
    PricedProduct,
    ProductCost,
    on_target,
    product_cost,
)
from costmodel.show.product_tables import gemm_document

TIMINGS = (*CONVENTIONS, "all")


@dataclass(frozen=True, repr=False)
class Gemm(Result[GemmRecord]):
    """One product; `record` as of `costmodel gemm --format json`."""


def gemm(
    m: int,
    n: int,
    k: int,
    array: str | None = None,
    dataflow: str | None = None,
    kind: str = "mac",
    timing: str = "array",
    target: str | None = None,
    objective: str | None = None,
) -> Gemm:
    """Cycles and buffer accesses of a [M,K] times b [K,N] on a systolic array.

    Args:
        array: rows x columns of PEs; None takes 32x32, or the target's.
        dataflow: os, ws or is; None takes os, or the target's.
        kind: what a PE does with a pair of operands. A cycle is the same for every kind.
        timing: a convention, or `all` for a row of each.
        target: int8 operands there: best mapping, moved bytes and energy, too.
        objective: what mappings are chosen by: cycles, energy, edp, bytes. None takes edp, the energy-delay
            product, or cycles on a target without prices.

    >>> import costmodel as cm
    >>> cm.gemm(128, 768, 768).to_rows()[0]["cycles"]
    76767
    >>> cm.gemm(128, 768, 768, target="edge-asic").record.on.lower_bound_bytes
    786432

    Raises:
        CostModelError: a size below 1, an unknown choice or target, an array that its part cannot hold.
    """
    for name, size in (("m", m), ("n", n), ("k", k)):
        check_whole(name, size)
    check_choice("kind", kind, term_kinds())
    check_choice("timing", timing, TIMINGS)
    if dataflow is not None:
        check_choice("dataflow", dataflow, DATAFLOWS)
    product = Product(m, n, k)
    found = None if target is None else load_target(target)
    place = (*(found.doing(kind) if found else ()), 0)[0]  # of several arrays the first one that does this kind
    own = found.arrays[place] if found else PeArray(ArrayShape(32, 32), (kind,), "os")
    shape = own.array if array is None else parse_array(array)
    flow = dataflow or own.dataflow
    found = None if found is None else check(with_array(found, place, shape, flow))
    check_goal(objective, found)
    each: list[ProductCost | PricedProduct] = []
    for convention in CONVENTIONS if timing == "all" else (timing,):
        cost = product_cost(product, shape, flow, kind, convention)
        each.append(
            cost if found is None else PricedProduct(cost, on_target(product, kind, found, convention, objective))
        )
    record = AllTimings(tuple(each)) if timing == "all" else each[0]
    return Gemm(record, gemm_document(record))
