"""A model in integers: against floats, against itself in other shapes, and every check that it makes."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from costmodel.errors import CostModelError, UnknownOp
from costmodel.graph.ir import Graph
from costmodel.widths.assign import assign_widths
from costmodel.widths.policy import parse_policy
from sim.integer import calibrate
from sim.integer.calibrate import Calibration, from_json
from sim.integer.floats import run_floats
from sim.integer.program import Program
from sim.integer.run import compile_program, real_of, run_program
from sim.integer.weights import Weights, exact_product, quantise_columns
from tests.sim_models import SPELLINGS, Model, model_of, padded_ids

MODES = ("saturate", "wrap", "exact")


@cache
def calibrated(spelling: str, head: bool, method: str = "max", bits: int = 8) -> Calibration:
    model = model_of(spelling, dim=32, heads=2, ffn=48, head=head)
    rng = np.random.default_rng(1)
    sentences = [rng.integers(1, 50, rng.integers(3, 14)).tolist() for _ in range(24)]
    # What the tests run is among them, so that nothing but rounding is left.
    ids, keep = padded_ids(4, 12)
    sentences += [row[kept].tolist() for row, kept in zip(ids, keep, strict=True)]
    return calibrate.calibrate(model.graph, model.weights, sentences, spelling, method, bits)


def sized(spelling: str, head: bool = False) -> Model:
    return model_of(spelling, dim=32, heads=2, ffn=48, head=head)


def program_of(
    spelling: str,
    widths: str,
    B: int,
    S: int,
    head: bool = False,
    overflow: str = "saturate",
    rounding: str = "half_up",
) -> Program:
    model = sized(spelling, head)
    typed = assign_widths(model.graph(B, S), parse_policy(widths))
    return compile_program(
        typed, Weights(model.weights), calibrated(spelling, head), overflow, rounding, model.all_keys
    )


def both(spelling: str, widths: str, head: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Integers as reals, floats, and the mask."""
    model = sized(spelling, head)
    ids, keep = padded_ids(4, 12)
    program = program_of(spelling, widths, 4, 12, head)
    integers = run_program(program, ids, keep)
    (i,) = program.typed.graph.outputs
    floats = run_floats(model.graph(4, 12), model.weights, ids, keep, all_keys=model.all_keys)
    return real_of(program, i, integers, keep.sum(1)), floats, keep


def sqnr_db(signal: np.ndarray, found: np.ndarray) -> float:
    return float(10 * np.log10((signal**2).sum() / ((signal - found) ** 2).sum()))


# Against floats


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_many_bits_are_nearly_floats(spelling: str) -> None:
    """With 16 bits everywhere nothing but rounding is left: every scale, factor and table is right."""
    found, floats, keep = both(spelling, "w16a16:acc=exact")
    # Padding leaks into means over all keys, so that there the ranges of full rows are not those of padded ones.
    assert sqnr_db(floats[keep], found[keep]) > (45 if "center_over=all" in spelling else 55)


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize(("widths", "least"), [("w8a8", 14), ("w8a16", 20), ("w4a8", 0)])
def test_few_bits_are_near_floats(spelling: str, widths: str, least: float) -> None:
    found, floats, keep = both(spelling, widths)
    assert sqnr_db(floats[keep], found[keep]) > least


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_logits_of_a_classification_head(spelling: str) -> None:
    found, floats, _ = both(spelling, "w16a16:acc=exact", head=True)
    assert found.shape == (4, 3)
    assert sqnr_db(floats, found) > 50
    assert (found.argmax(1) == floats.argmax(1)).all()


# Against itself


@pytest.mark.parametrize("spelling", [s for s in SPELLINGS if "center_over=all" not in s])
@pytest.mark.parametrize("head", [False, True])
def test_padding_changes_no_bit(spelling: str, head: bool) -> None:
    """A padded row gives the very integers that it gives alone, at its own length."""
    ids, keep = padded_ids(5, 12, seed=3)
    together = run_program(program_of(spelling, "w8a8", 5, 12, head), ids, keep)
    for row in range(5):
        n = int(keep[row].sum())
        alone = run_program(program_of(spelling, "w8a8", 1, n, head), ids[row : row + 1, :n])
        assert np.array_equal(together[row] if head else together[row, :n], alone[0])


def test_padding_leaks_where_the_mean_is_over_all_keys() -> None:
    """`center_over=all` repeats the authors' code: there the length of a batch matters."""
    spelling = "inhibitor:center_over=all"
    ids, keep = padded_ids(5, 12, seed=3)
    together = run_program(program_of(spelling, "w8a8", 5, 12), ids, keep)
    n = int(keep[1].sum())
    alone = run_program(program_of(spelling, "w8a8", 1, n), ids[1:2, :n])
    assert not np.array_equal(together[1, :n], alone[0])


def test_what_padding_holds_does_not_matter() -> None:
    ids, keep = padded_ids(4, 12)
    program = program_of("inhibitor", "w8a8", 4, 12)
    other = np.where(keep, ids, 17)
    assert np.array_equal(run_program(program, ids, keep)[keep], run_program(program, other, keep)[keep])


def test_two_compilations_give_the_same_bits() -> None:
    ids, keep = padded_ids(4, 12)
    first, second = (run_program(program_of("inhibitor", "w8a8", 4, 12), ids, keep) for _ in range(2))
    assert np.array_equal(first, second)


@pytest.mark.parametrize("spelling", ["dot", "inhibitor"])
def test_narrow_accumulators_wrap_saturate_or_refuse(spelling: str) -> None:
    ids, keep = padded_ids(4, 12)
    outputs = [run_program(program_of(spelling, "w8a8", 4, 12), ids, keep)]
    for overflow in ("saturate", "wrap"):
        outputs.append(run_program(program_of(spelling, "w8a8:acc=14", 4, 12, overflow=overflow), ids, keep))
    for i in range(3):
        for j in range(i):
            assert not np.array_equal(outputs[i], outputs[j])
    with pytest.raises(CostModelError, match="does not fit int14"):
        run_program(program_of(spelling, "w8a8:acc=14", 4, 12, overflow="exact"), ids, keep)
    # Where sums are cut into folds does not matter to a sum that wraps, and does to one that saturates.
    for overflow, same in (("wrap", True), ("saturate", False)):
        program = program_of(spelling, "w8a8:acc=14", 4, 12, overflow=overflow)
        assert np.array_equal(run_program(program, ids, keep), run_program(program, ids, keep, fold=4)) == same


def test_rounding_is_an_argument() -> None:
    ids, keep = padded_ids(4, 12)
    modes = ("half_up", "half_even", "floor")
    outputs = [run_program(program_of("dot", "w8a8", 4, 12, rounding=mode), ids, keep) for mode in modes]
    assert not np.array_equal(outputs[0], outputs[2])
    assert np.abs(outputs[0].astype(int) - outputs[1]).mean() < np.abs(outputs[0].astype(int) - outputs[2]).mean()


def test_no_float_between_the_ids_and_the_result() -> None:
    ids, keep = padded_ids(4, 12)
    for spelling in SPELLINGS:
        seen = []
        run_program(
            program_of(spelling, "w8a8", 4, 12), ids, keep, watch=lambda i, x, seen=seen: seen.append(x.dtype)
        )
        assert all(dtype.kind == "i" for dtype in seen)


def test_factors_beyond_the_largest_number_are_cut_after_the_number_of_keys_is_divided_by() -> None:
    """An operand so fine that a step of its source is more than the whole range, before a division by n keys."""
    spelling = "inhibitor:normalise=n,gamma=0.7,delta=0.3,eta=1.4"
    found, model = calibrated(spelling, False), sized(spelling)
    fine = {
        name: replace(o, reach=o.reach / 400) if "attention:copy" in name else o
        for name, o in found.operands.items()
    }
    typed = assign_widths(model.graph(4, 12), parse_policy("w8a8"))
    program = compile_program(typed, Weights(model.weights), replace(found, operands=fine))
    ids, keep = padded_ids(4, 12)
    seen: dict[int, np.ndarray] = {}
    run_program(program, ids, keep, watch=seen.__setitem__)
    node = next(n for n in typed.graph.nodes if n.op == "requantise" and n.module.endswith("out_lin"))
    source, target = (program.scale_of(i) for i in (node.inputs[0], node.outputs[0]))
    ratio = np.broadcast_to(source.real / target.real, seen[node.inputs[0]].shape)
    assert source.power == -1
    assert (ratio > 127).any()
    exact = seen[node.inputs[0]] * ratio / keep.sum(1)[:, None, None]
    assert np.abs(np.clip(exact, -128, 127) - seen[node.outputs[0]]).max() <= 0.6


# Calibration


def test_the_same_sentences_give_the_same_ranges_to_the_bit() -> None:
    first = calibrated("inhibitor", False)
    assert from_json(first.to_json(), "a file") == first
    model = sized("inhibitor")
    rng = np.random.default_rng(1)
    sentences = [rng.integers(1, 50, rng.integers(3, 14)).tolist() for _ in range(24)]
    ids, keep = padded_ids(4, 12)
    sentences += [row[kept].tolist() for row, kept in zip(ids, keep, strict=True)]
    # Sums in another order: sentences the other way round, and weights whose last places are disturbed.
    noisy = {name: w * (1 + 1e-13) if w.dtype == np.float64 else w for name, w in model.weights.items()}
    second = calibrate.calibrate(model.graph, noisy, sentences[::-1], "inhibitor")
    assert second.ranges == first.ranges
    assert second.operands == first.operands


@pytest.mark.parametrize("method", calibrate.METHODS)
def test_methods_order_the_ranges(method: str) -> None:
    largest, found = calibrated("dot", False), calibrated("dot", False, method, 4)
    assert all(found.ranges[name] <= reach for name, reach in largest.ranges.items())
    smaller = sum(found.ranges[name] < reach for name, reach in largest.ranges.items())
    assert smaller == 0 if method == "max" else smaller > 3


def test_a_percentile_leaves_that_share_outside() -> None:
    histogram = np.zeros(calibrate.BINS, np.int64)
    histogram[:1000] = 1
    histogram[-1] = 10
    assert calibrate.of_percentile(99)(histogram) == pytest.approx(1000 / calibrate.BINS)
    assert calibrate.of_percentile(100)(histogram) == 1.0


def test_the_least_error_is_the_least_of_all_clipping_points() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=20_000) * np.where(rng.random(20_000) < 0.01, 5, 1)
    top = np.abs(x).max()
    histogram = np.bincount(np.minimum((np.abs(x) / top * calibrate.BINS).astype(int), calibrate.BINS - 1))

    def error(share: float) -> float:
        step = share * top / 7
        return float(((np.clip(np.rint(x / step), -7, 7) * step - x) ** 2).mean())

    best = calibrate.least_error(4)(histogram)
    assert error(best) <= min(error(share) for share in np.arange(0.21, 1.01, 0.01)) * 1.02
    assert best < 0.9


def test_ranges_are_rounded_up_to_16_bits() -> None:
    for x in (1.0, 3.14159265, 1e-7, 12345.678, 2.0**-30):
        rounded = calibrate.rounded_up(x)
        assert x <= rounded <= x * (1 + 2.0**-15)
        assert rounded == calibrate.rounded_up(x * (1 + 1e-12)) == calibrate.rounded_up(rounded)


def test_q_and_k_share_a_scale_that_reaches_both() -> None:
    program = program_of("inhibitor", "w8a8", 1, 6)
    graph = program.typed.graph
    ranges = calibrated("inhibitor", False).ranges
    for node in (n for n in graph.nodes if n.op == "l1"):
        q, k = (program.scale_of(i) for i in node.inputs)
        assert float(q.real) == float(k.real)
        layer = node.module.split("attention")[0]
        reach = max(ranges[f"{layer}attention.{name}:matmul"] for name in ("q_lin", "k_lin"))
        assert float(q.real) * 127 == pytest.approx(reach)


def test_channels_apart_by_powers_of_two_change_no_product() -> None:
    """Rows of a weight times powers of two, and the operand divided by them: the same sum."""
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(24, 8))
    exponents = rng.integers(-6, 1, 24)
    x = rng.integers(-128, 128, (5, 24))
    plain = x * np.exp2(exponents) @ weight
    matrix = quantise_columns(weight * np.exp2(exponents)[:, None], parse_policy("w16a16").weight)
    assert np.abs(x @ matrix.integers.astype(np.int64) * matrix.scale - plain).max() < 1e-3 * np.abs(plain).max()


def test_weights_of_8_bits_reach_both_ends_and_are_symmetric() -> None:
    weight = np.random.default_rng(0).normal(size=(50, 30)).astype(np.float32)
    for widths in ("w8a8", "w12a8"):
        kind = parse_policy(widths).weight
        matrix = quantise_columns(weight, kind)
        top = 2 ** (kind.bits - 1) - 1
        assert (np.abs(matrix.integers).max(0) == top).all()
        assert np.abs(matrix.integers * matrix.scale - weight).max() <= matrix.scale.max() * 0.5 + 1e-9


def test_weights_of_few_bits_are_clipped_where_that_is_nearer() -> None:
    weight = np.random.default_rng(0).normal(size=(400, 30))
    for widths in ("w4a8", "w3a8", "w2a8"):
        kind = parse_policy(widths).weight
        top = 2 ** (kind.bits - 1) - 1
        matrix = quantise_columns(weight, kind)
        whole = np.abs(weight).max(0) / top
        plain = np.clip(np.rint(weight / whole), -top, top) * whole
        assert (((matrix.integers * matrix.scale - weight) ** 2).sum(0) < ((plain - weight) ** 2).sum(0)).all()
        assert np.abs(matrix.integers).max() == top


@pytest.mark.parametrize("K", [16, 1040, 3000])
def test_products_with_weights_are_exact_in_pieces(K: int) -> None:
    rng = np.random.default_rng(0)
    matrix = quantise_columns(np.sign(rng.normal(size=(K, 6))), parse_policy("w8a8").weight)
    a = rng.choice([-128, 127], (4, K))
    assert np.array_equal(exact_product(a, matrix, 128), a @ matrix.integers.astype(np.int64))


# Mistakes


def test_wrong_inputs() -> None:
    program = program_of("dot", "w8a8", 2, 5)
    with pytest.raises(CostModelError, match=r"id 50 in row 1, place 3 is out of the vocabulary of 50"):
        run_program(program, np.array([[1] * 5, [1, 2, 3, 50, 4]]))
    with pytest.raises(CostModelError, match="id -1 in row 0, place 0 is out of the vocabulary"):
        run_program(program, np.array([[-1] * 5] * 2))
    with pytest.raises(CostModelError, match=r"ids of shape \(5,\) do not fit"):
        run_program(program, np.zeros(5, int))
    with pytest.raises(CostModelError, match="row 0 has no token"):
        run_program(program, np.zeros((2, 5), int), np.array([[False] * 5, [True] * 5]))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_weights_that_are_no_numbers(bad: float) -> None:
    weights = dict(sized("dot").weights)
    name = "transformer.layer.1.ffn.lin1.weight"
    weights[name] = weights[name].copy()
    weights[name][3, 4] = bad
    with pytest.raises(CostModelError, match=r"layer.1.ffn.lin1.weight holds NaN or infinity"):
        calibrate.digest(weights)
    with pytest.raises(CostModelError, match="NaN or infinity"):
        Weights(weights)


def compiled(spelling: str, widths: str, calibration: Calibration, **options: str) -> Program:
    model = sized(spelling)
    typed = assign_widths(model.graph(1, 4), parse_policy(widths))
    return compile_program(typed, Weights(model.weights), calibration, **options)


def test_a_calibration_of_another_model() -> None:
    found = calibrated("dot", False)
    with pytest.raises(CostModelError, match="was measured on other weights"):
        calibrate.check_model(found, "0" * 64, "dot", "it")
    with pytest.raises(CostModelError, match="with attention dot, not inhibitor"):
        calibrate.check_model(found, found.weights, "inhibitor", "it")
    name = "transformer.layer.1.ffn.lin1:matmul"
    lacking = {other: reach for other, reach in found.ranges.items() if other != name}
    with pytest.raises(CostModelError, match=f"has no range of {name}; calibrate this model anew"):
        compiled("dot", "w8a8", replace(found, ranges=lacking))
    without = {other: o for other, o in found.operands.items() if "ffn.activation:gelu" not in other}
    with pytest.raises(CostModelError, match=r"has no channels of .*ffn.activation:gelu"):
        compiled("dot", "w8a8", replace(found, operands=without))


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record.pop("ranges"),
        lambda record: record.update(format=7),
        lambda record: record["ranges"].update(x=-1.0),
        lambda record: record["ranges"].update(x="wide"),
        lambda record: record.update(method="guess"),
        lambda record: record.update(extra=1),
        lambda record: record.update(operands={"x": {"reach": 1.0}}),
    ],
)
def test_files_that_are_no_calibration(change) -> None:
    record = json.loads(calibrated("dot", False).to_json())
    change(record)
    with pytest.raises(CostModelError, match="a file is no calibration"):
        from_json(json.dumps(record), "a file")
    with pytest.raises(CostModelError, match="a file is no calibration"):
        from_json("{", "a file")


def test_a_width_too_small_for_a_constant() -> None:
    """The shift of inhibitor-2023 takes more steps than distances have, when their scale is very fine."""
    found = calibrated("inhibitor-2023", False)
    tiny = {
        name: reach * 1e-6 if "q_lin" in name or "k_lin" in name else reach for name, reach in found.ranges.items()
    }
    with pytest.raises(CostModelError, match=r"a constant of op 'sub' in .*attention_core takes \d+ bits"):
        compiled("inhibitor-2023", "w8a8", replace(found, ranges=tiny))


def test_other_mistakes() -> None:
    found = calibrated("dot", False)
    with pytest.raises(CostModelError, match="widths bf16 are floats"):
        compiled("dot", "bf16", found)
    with pytest.raises(CostModelError, match="unknown overflow 'clip'"):
        compiled("dot", "w8a8", found, overflow="clip")
    with pytest.raises(CostModelError, match="unknown rounding 'up'"):
        compiled("dot", "w8a8", found, rounding="up")
    with pytest.raises(CostModelError, match="unknown calibration 'mean'"):
        calibrate.calibrate(sized("dot").graph, {}, [[1]], "dot", "mean")
    with pytest.raises(CostModelError, match="at least one token"):
        calibrate.calibrate(sized("dot").graph, {}, [[1], []], "dot")
    with pytest.raises(CostModelError, match="percentile of 0 "):
        calibrate.calibrate(sized("dot").graph, {}, [[1]], "dot", percentile=0)


def test_an_op_without_a_rule_is_named() -> None:
    from transformers import BertConfig, BertModel

    from models.attention.cores import install
    from models.attention.mechanisms import Mechanism

    config = BertConfig(
        vocab_size=30, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    bert = install(BertModel(config), Mechanism("dot")).eval()
    import torch

    from costmodel.graph.canonical import canonicalise
    from costmodel.graph.lowering import lower
    from costmodel.graph.tracing import trace

    graph: Graph = canonicalise(
        lower(trace(bert, {"input_ids": torch.zeros(1, 4, dtype=torch.long)}, device="cpu"))
    )
    weights = {n: t.detach().numpy() for n, t in bert.state_dict().items()}
    weights |= {n: t.numpy() for n, t in bert.named_buffers()}
    with pytest.raises(UnknownOp, match=r"has no rule in sim/"):
        calibrate.calibrate(lambda B, S: graph, weights, [[1, 2, 3, 4]], "dot")


def test_a_scale_that_is_not_positive_is_refused_before_a_relu() -> None:
    model = sized("inhibitor")
    weights = {n: -w if n.endswith("gamma") else w for n, w in model.weights.items()}
    typed = assign_widths(model.graph(1, 4), parse_policy("w8a8"))
    with pytest.raises(CostModelError, match=r"a ReLU in .* scale that is not positive \(gamma\?\)"):
        compile_program(typed, Weights(weights), calibrated("inhibitor", False))


def test_a_value_beyond_its_declared_range_is_refused() -> None:
    """Ranges are checked as the program runs: here one is made too narrow behind its back."""
    program = program_of("dot", "w8a8", 1, 6)
    graph = program.typed.graph
    i = next(node.outputs[0] for node in graph.nodes if node.op == "layer_norm")
    ranges = list(program.typed.ranges)
    ranges[i] = replace(ranges[i], low=-3, high=3)
    narrowed = replace(program, typed=replace(program.typed, ranges=tuple(ranges)))
    with pytest.raises(CostModelError, match=r"leaves the range -3..3 \(int3\) of op 'layer_norm' in embeddings"):
        run_program(narrowed, np.array([[1, 2, 3, 4, 5, 6]]))
