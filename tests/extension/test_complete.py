"""What is missing, by name: for each op, mechanism, PE kind, table and target."""

from __future__ import annotations

import inspect

import pytest

from costmodel.errors import CostModelError
from costmodel.hardware.fpga import pe_resources
from costmodel.hardware.loading import load_target, target_names
from costmodel.hardware.occupancy import area_of
from costmodel.hardware.pe import PE_KINDS, term_kinds
from costmodel.ops.rules import OPS
from costmodel.technology.loading import load_table, table_names
from costmodel.technology.memories import synthesised
from costmodel.widths.rules import RULES as WIDTH_RULES
from models.attention.formulas import FORMULAS
from models.attention.mechanisms import MECHANISMS
from sim.integer.floats import RULES as FLOAT_RULES
from sim.integer.rules import RULES as INTEGER_RULES
from sim.machine.events import RULES as EVENT_RULES
from tests.witness import naive
from tests.witness.loops import RUN, WITHOUT_LOOP
from tests.witness.samples import SAMPLES

pytestmark = pytest.mark.quick

NO_MODEL = "no model that is run in integers has it"
ROW = "rows are compared or summed by one rule an op, and none was asked for yet"
# Ops that no rule gives integer types, and why.
WITHOUT_WIDTHS = {
    **dict.fromkeys(("index", "fill"), "`type_node` takes them: positions, and constants"),
    **dict.fromkeys(("cast", "round", "logic"), "of integers and booleans, which keep their types"),
    **dict.fromkeys(("requantise", "scale"), "made by the pass that gives types"),
    "fused_attention": "only with as_run, where kernels are counted as they ran",
    **dict.fromkeys(("minimum", "maximum", "clip", "compare", "sign", "remainder"), NO_MODEL),
    **dict.fromkeys(("log1p", "expm1"), NO_MODEL),
    **dict.fromkeys(("product", "variance", "norm2", "cumsum", "topk", "log_softmax", "group_norm"), ROW),
    **dict.fromkeys(("max_pool", "avg_pool", "scatter_add", "batch_norm"), NO_MODEL),
}
# Ops with integer types that the simulator does not run, and why.
WITHOUT_KERNEL = {
    **dict.fromkeys(
        ("conv", "rms_norm", "extremum", "gelu_tanh"), "the simulator runs DistilBERTs, which have none"
    ),
    "soft_threshold_sum": "only with as_run; lowered it is a sum and `clip_sum`",
    **dict.fromkeys(
        ("mul", "div", "square", "neg", "abs"), "in a DistilBERT they are factors, folded into scales"
    ),
    **dict.fromkeys(("erf", "tanh", "sigmoid", "silu", "exp", "log", "softplus", "elu", "leaky_relu"), NO_MODEL),
    **dict.fromkeys(("hardsigmoid", "hardswish", "cube", "sqrt", "rsqrt", "reciprocal", "sin", "cos"), NO_MODEL),
    **dict.fromkeys(("pow", "permute_copy", "scatter", "pad", "concat", "select"), NO_MODEL),
    "mask": "keys beyond a mask do not exist: `Batch.existing` leaves them out",
}
ON_THE_ARRAY = "its terms are events of the array: `sim.machine.events.term_events`"
WITHOUT_EVENTS = {
    **dict.fromkeys(("matmul", "l1", "clip_sum", "relu_sum"), ON_THE_ARRAY),
    **dict.fromkeys(("view", "scale"), "free"),
}
WITHOUT_FLOATS = dict.fromkeys(("requantise", "scale"), "only a graph with integer types has it")


def missing(wanted: object, found: object, reasons: dict[str, str]) -> dict[str, list[str]]:
    """Names that have neither an entry nor a reason, and reasons of what has one or is not there."""
    wanted, found = set(wanted), set(found)  # type: ignore[call-overload]
    return {
        "missing": sorted(wanted - found - set(reasons)),
        "reasons without need": sorted(set(reasons) & found | set(reasons) - wanted),
    }


NOTHING: dict[str, list[str]] = {"missing": [], "reasons without need": []}


def test_every_op_has_a_loop() -> None:
    reasons = {op: why for op, why in WITHOUT_LOOP.items() if op not in RUN}
    assert missing(OPS, RUN.keys() & OPS.keys(), reasons) == NOTHING


def test_every_op_that_counts_has_a_sample() -> None:
    counting = [op.name for op in OPS.values() if op.kind not in ("movement", "free")]
    assert missing(counting, SAMPLES, {}) == NOTHING


def test_every_op_has_a_width_rule() -> None:
    assert missing(OPS, WIDTH_RULES, WITHOUT_WIDTHS) == NOTHING


def test_every_op_with_integer_types_has_a_kernel() -> None:
    typed = {*WIDTH_RULES, "requantise", "scale"}
    assert missing(typed, INTEGER_RULES, WITHOUT_KERNEL) == NOTHING
    assert missing(INTEGER_RULES, FLOAT_RULES, WITHOUT_FLOATS) == NOTHING
    assert missing(INTEGER_RULES, EVENT_RULES, WITHOUT_EVENTS) == NOTHING


def test_every_op_has_its_traits() -> None:
    """A product names its kind of PE; a reduction or normalisation says whether it needs whole rows."""
    products = [op.name for op in OPS.values() if op.kind == "product"]
    named = [op.name for op in OPS.values() if op.pe]
    assert (
        missing(products, named, {"fused_attention": "several products in one: no array runs it whole"}) == NOTHING
    )
    assert {op.pe for op in OPS.values() if op.pe} <= set(PE_KINDS)
    for op in OPS.values():
        by_rows = op.kind in ("reduction", "normalisation")
        assert by_rows == (op.whole_rows != bool(op.piecewise)), op.name
        assert by_rows or not op.whole_rows


def test_every_mechanism_has_a_formula_and_a_loop() -> None:
    assert missing(MECHANISMS, FORMULAS, {}) == NOTHING
    source = inspect.getsource(naive.attend_row)
    # `inhibitor-2023-signed` is what the loop's last branch takes.
    lacking = [name for name in MECHANISMS if f'"{name}"' not in source and name not in naive.ROWS]
    assert lacking == ["inhibitor-2023-signed"]
    for name, known in MECHANISMS.items():
        assert known.text.strip(), name
        assert set(known.learned) <= set(known.uses), name


def test_every_pe_kind_is_whole() -> None:
    """A formula, work, units; resources that were synthesised; an op that runs on it."""
    listed = {kind for row in synthesised() for kind in row.kinds}
    for kind in PE_KINDS.values():
        assert kind.formula, kind.name
        assert kind.work(*kind.int8), kind.name
        assert kind.units, kind.name
        assert {kind.fpga, kind.fpga_beside or kind.fpga} <= listed, kind.name
        assert pe_resources((kind.name,), bool(kind.stands_for)).lut > 0
    assert {op.pe for op in OPS.values()} >= set(term_kinds())


@pytest.mark.parametrize("name", table_names())
def test_every_table_is_whole(name: str) -> None:
    """It prices the additions and multiplications of a product, in integers or in floats."""
    table = load_table(name)
    for text in (table.title, table.source, table.includes, table.evidence):
        assert text.strip()
    assert table.node_nm > 0
    priced = []
    for kind in ("int8", "int32", "float16", "float32"):
        try:
            priced.append((kind, table.price("mul", kind), table.price("add", kind)))
        except CostModelError:
            continue
    assert priced, f"{name} prices no product"


@pytest.mark.parametrize("name", target_names())
def test_every_target_is_whole(name: str) -> None:
    """It can be loaded; what it does not state, a source says why."""
    target = load_target(name)
    assert set(target.kinds) <= set(PE_KINDS)
    for text in (target.title, target.source):
        assert text.strip()
    assert target.part is not None or area_of(target) is not None
