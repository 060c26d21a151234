"""Schedules and costs: nothing is lost, nothing overlaps, nothing beats a bound; accelforge to 1e-6; targets."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from costmodel.counting.tally import compulsory_bytes
from costmodel.dtypes import parse
from costmodel.errors import BadTarget, CostModelError, DoesNotFit
from costmodel.graph.canonical import canonicalise
from costmodel.graph.lowering import lower
from costmodel.graph.tracing import trace
from costmodel.hardware.accelerator import Accelerator
from costmodel.hardware.fpga import pe_resources
from costmodel.hardware.loading import load_target, target_names
from costmodel.hardware.occupancy import area_of, available, largest_array, memory_prices, resources
from costmodel.hardware.timing import ArrayShape, Product, accesses, steady_cycles
from costmodel.mapping.core_records import CoreMapped
from costmodel.mapping.cost import PARTS, critical_path_cycles, moved_bytes, price
from costmodel.mapping.fusion import plan_groups, sources_of
from costmodel.mapping.nest_records import Mapped, Mapping
from costmodel.mapping.schedule import schedule
from costmodel.mapping.steps import Schedule, Step
from costmodel.ops.rules import kind_of
from costmodel.technology.loading import load_table
from costmodel.widths.assign import Typed, assign_widths, width_counts
from costmodel.widths.policy import add_work, parse_policy
from models.attention.mechanisms import MECHANISMS, Mechanism
from models.zoo.loading import load_model
from sim.machine.walk import part_in_use
from tests.paths import ROOT

WIDTHS = ("w8a8", "w4a8", "w8a16", "bf16", "fp32")


@cache
def typed(name: str, widths: str, seq: int = 24, layers: int = 2) -> Typed:
    sizes = {"dim": 64, "n_heads": 4, "hidden_dim": 96, "n_layers": layers}
    loaded = load_model("distilbert", mechanism=Mechanism(name), batch=2, seq=seq, sizes=sizes)
    return assign_widths(canonicalise(lower(trace(loaded.module, loaded.inputs))), parse_policy(widths))


@pytest.mark.parametrize("target", target_names())
@pytest.mark.parametrize("name", list(MECHANISMS))
def test_nothing_is_lost_and_no_bound_is_beaten(name: str, target: str) -> None:
    machine = load_target(target)
    for widths in WIDTHS:
        model = typed(name, widths)
        planned = schedule(model, machine)
        work = [w for step in planned.steps for w in (*step.array_work, *step.vector_work)]
        assert add_work(work) == width_counts(model)
        assert planned.steps[0].start_cycle == 0
        for before, after in zip(planned.steps, planned.steps[1:], strict=False):
            assert after.start_cycle == before.start_cycle + before.cycles
        for step in planned.steps:
            assert step.cycles >= max(step.array_cycles, step.dma_cycles, step.vector_cycles)
            assert step.stall_cycles >= 0
            assert step.kept_bytes + step.buffer_bytes <= machine.buffer_bytes
            assert step.array_pairs <= step.array_cycles * machine.array.pes
            assert step.array_pairs <= step.pairs
        free = replace(machine, table="")  # cycles and bytes need no prices
        for objective in ("cycles", "bytes"):
            other = schedule(model, free, objective=objective)
            assert other.objective == objective
            assert other.cycles >= price(model, other).roofline_cycles
        assert critical_path_cycles(planned, model) <= planned.cycles
        moved = moved_bytes(planned.steps)
        assert moved["dram_read"] + moved["dram_write"] >= compulsory_bytes(model.graph)


@pytest.mark.parametrize("name", ["dot", "inhibitor"])
@pytest.mark.parametrize("timing", ["array", "ideal", "paper", "scalesim"])
def test_every_convention_schedules(name: str, timing: str) -> None:
    model = typed(name, "w8a8")
    planned = schedule(model, load_target("edge-asic"), timing)
    assert planned.cycles >= price(model, planned).roofline_cycles
    assert planned.convention == timing


def test_a_mac_array_leaves_distances_to_the_vector_unit() -> None:
    model = typed("inhibitor", "w8a8")
    machine = load_target("edge-asic")
    both, macs = schedule(model, machine), schedule(model, replace(machine, kinds=("mac",)))
    assert macs.cycles > both.cycles
    cores = [step for step in macs.steps if step.op == "attention core"]
    assert all(step.pairs and not step.array_work and step.array_cycles == 0 for step in cores)
    assert add_work(w for s in macs.steps for w in (*s.array_work, *s.vector_work)) == width_counts(model)


def outside(model: Typed, step: Step, operands: tuple[int, ...] = ()) -> tuple[dict[int, int], dict[int, int]]:
    """What the nodes of a step read that others made, beside some operands, and what others read of theirs."""
    graph, source = model.graph, sources_of(model.graph)
    made = {source[i] for n in step.nodes for i in graph.nodes[n].outputs}
    reads: dict[int, int] = {}
    for n in step.nodes:
        for place, i in enumerate(graph.nodes[n].inputs):
            rows = graph.nodes[n].op == "gather" and place == 0
            of = graph.nodes[n].outputs[0] if rows else source[i]
            if source[i] not in made and source[i] not in operands:
                reads[source[i]] = 8 * graph.values[of].distinct_bytes
    others = {
        source[i]
        for n, node in enumerate(graph.nodes)
        if n not in step.nodes and kind_of(node.op) != "free"
        for i in node.inputs
    }
    returned = {source[i] for i in graph.outputs}
    return reads, {v: 8 * graph.values[v].distinct_bytes for v in made & (others | returned)}


def pass_by_pass(
    B: int,
    product: Product,
    mapping: Mapping,
    machine: Accelerator,
    bits: tuple[int, int],
    moves: tuple[bool, bool],
) -> tuple[int, int, int, int, int]:
    """Bits of operands that the array reads, of sums read and written, from DRAM, and of sums that go there."""
    dims = {"M": range(0, product.M, mapping.M), "N": range(0, product.N, mapping.N)}
    dims["K"] = range(0, product.K, mapping.K)
    blocks = [dims]
    if mapping.along:
        tiles = dims[mapping.along]
        starts = range(0, len(tiles), mapping.tiles)
        blocks = [dims | {mapping.along: tiles[i : i + mapping.tiles]} for i in starts]
    array = part_in_use(product, machine.array, machine.dataflow)
    in_pes = machine.dataflow == "os" and mapping.order[2] == "K" and mapping.M <= array.R and mapping.N <= array.C
    reads = sums_read = sums_written = streamed = spilled = 0
    seen: dict[str, tuple[int, int]] = {}
    held: set[tuple[str, int, int]] = set()
    last = dict.fromkeys(("a", "b", "out"))
    places = [
        (b, each) for b, one in enumerate(blocks) for each in itertools.product(*(one[d] for d in mapping.order))
    ]
    block = 0
    for b, each in places:
        if b != block:  # another block is another product: what lies there is not asked for again
            block, held, last["a"], last["b"] = b, set(), None, None
        at = dict(zip(mapping.order, each, strict=True))
        m, n, k = (min(getattr(mapping, d), getattr(product, d) - at[d]) for d in "MNK")
        for op, place, size in (
            ("a", (at["M"], at["K"]), m * k * bits[0] * moves[0]),
            ("b", (at["K"], at["N"]), k * n * bits[1] * moves[1]),
        ):
            if last[op] != place and not (op in mapping.held and (op, *place) in held):
                streamed += size
            last[op] = place
            held.add((op, *place))
        out, finished = (at["M"], at["N"]), at["K"] + k == product.K
        if last["out"] not in (None, out) and "out" not in mapping.held and seen[str(last["out"])][0] < product.K:
            spilled += seen[str(last["out"])][1] * 32
        done = seen.get(str(out), (0, 0))[0]
        seen[str(out)] = (done + k, m * n)
        last["out"] = out
        if in_pes and not finished:
            continue
        shape = Product(m, n, product.K if in_pes else k)
        words = accesses(shape, array, machine.dataflow, "array")
        # Sums of passes before, and the last ones to be requantised.
        sums = words.ofmap_reads + m * n * (done > 0 and not in_pes) + m * n * finished
        reads += words.ifmap_reads * bits[0] + words.filter_reads * bits[1]
        sums_read += sums * 32
        sums_written += words.ofmap_writes * 32
    return B * reads, B * (sums_read + spilled), B * (sums_written + spilled), B * streamed, B * spilled


@pytest.mark.parametrize("target", ["edge-asic", "edge-asic:buffer_kib=24", "xc7z020", "tpu-v1-like"])
@pytest.mark.parametrize("widths", ["w4a8", "bf16"])
@pytest.mark.parametrize("fuse", [True, False])
def test_each_step_moves_what_its_own_nodes_read_and_make(target: str, widths: str, fuse: bool) -> None:
    """From nodes alone, whatever groups and cuts there are; of a product pass by pass. Chains: see test_chains."""
    machine, model = load_target(target), typed("dot", widths)
    planned, graph = schedule(model, machine, fuse=fuse), model.graph
    seen = set()
    for step in planned.steps:
        if step.kind in ("core", "chain"):
            continue
        products = [n for n in step.nodes if kind_of(graph.nodes[n].op) == "product"]
        source = sources_of(graph)
        operands: tuple[int, ...] = ()
        array_reads = sums_read = sums_written = streamed = spilled = 0
        if products:
            node = graph.nodes[products[0]]
            operands = tuple(source[i] for i in node.inputs[:2])
            B, M, N, K = (node.attrs[dim] for dim in ("B", "M", "N", "K"))
            for other in (graph.nodes[n] for n in products[1:]):  # joined: weights side by side
                assert source[other.inputs[0]] == operands[0]
                operands, N = (*operands, source[other.inputs[1]]), N + other.attrs["N"]
            if graph.values[operands[1]].kind == "param":
                B, M = 1, B * M  # all rows of a batch pass the same weights
            assert isinstance(step.chosen, Mapped)
            bits = tuple(parse(graph.values[i].dtype).bits for i in node.inputs[:2])
            moves = tuple(v not in planned.kept for v in operands[:2])
            found = pass_by_pass(B, Product(M, N, K), step.chosen.mapping, machine, bits, moves)
            array_reads, sums_read, sums_written, streamed, spilled = found
        reads, writes = outside(model, step, operands)
        kept_in = sum(bits for v, bits in reads.items() if v in planned.kept)
        beside = sum(reads.values()) - kept_in
        kept_out = sum(bits for v, bits in writes.items() if v in planned.kept)
        away = sum(writes.values()) - kept_out
        assert step.read_bits == streamed + spilled + beside
        assert step.write_bits == away + spilled
        local = (sums_read, sums_written) if machine.local_bytes else (0, 0)
        assert (step.local_read_bits, step.local_write_bits) == local
        if products:
            assert step.buffer_read_bits == array_reads + sums_read - local[0] + beside + kept_in
            assert step.buffer_write_bits == sums_written - local[1] + streamed + beside + kept_out
        else:
            assert step.buffer_read_bits == beside + kept_in + away
            assert step.buffer_write_bits == beside + away + kept_out
        slow = {"exp", "erf", "tanh", "log", "trig", "div", "sqrt"}
        lanes = sum(w.n * (machine.slow_cycles if w.op in slow else 1) for w in step.vector_work)
        assert step.vector_cycles == (lanes + machine.lanes - 1) // machine.lanes
        seen |= {bool(products), kept_in > 0, kept_out > 0}
    assert seen == {True, False}
    if (target, widths, fuse) == ("xc7z020", "w4a8", True):  # a norm that is cheaper on its own
        assert any(step.op == "layer_norm" for step in planned.steps)


def test_heads_that_share_k_and_v_read_them_once() -> None:
    """Qwen2: 28 heads on 4 of k and v, which stay in the buffer while seven heads pass them."""
    loaded = load_model("qwen2-7b", seq=16, sizes={"num_hidden_layers": 1})
    model = assign_widths(canonicalise(lower(trace(loaded.module, loaded.inputs))), parse_policy("bf16"))
    planned = schedule(model, load_target("server-asic"), keep=False)
    (core,) = (step for step in planned.steps if step.kind == "core")
    assert isinstance(core.chosen, CoreMapped)
    assert {"k", "v"} <= set(core.chosen.mapping.held) or core.chosen.mapping.rows == 16
    assert core.write_bits == 16 * 28 * 16 * 128
    assert core.read_bits == 16 * (28 + 4 + 4) * 16 * 128


class Shared(torch.nn.Module):
    """Eight times rows against one and the same second operand."""

    def forward(self, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        return q @ k


def test_rows_of_all_heads_pass_one_shared_operand() -> None:
    q, k = torch.empty(1, 8, 16, 32, device="meta"), torch.empty(1, 1, 32, 24, device="meta")
    model = assign_widths(canonicalise(lower(trace(Shared(), (q, k)))), parse_policy("bf16"))
    machine = load_target("edge-asic")
    (step,) = schedule(model, machine).steps
    assert step.chosen is not None
    assert step.read_bits + step.write_bits == 16 * (8 * 16 * 32 + 32 * 24 + 8 * 16 * 24)
    assert step.read_bits == 16 * (8 * 16 * 32 + 32 * 24)
    assert step.array_cycles == steady_cycles(Product(128, 24, 32), machine.array, "os", "array")


def test_the_longest_chain_of_distilbert_waits_for_one_projection() -> None:
    """q, k and v do not wait for each other, nor do the two lookups of embeddings; everything else does."""
    model = typed("dot", "w8a8")
    planned = schedule(model, load_target("edge-asic"), fuse=False)  # else the three run as one
    chain, projections = 0, {}
    for step in planned.steps:
        name = step.module.rpartition(".")[2]
        if name in ("q_lin", "k_lin", "v_lin") or step.op.startswith("gather"):
            projections.setdefault(step.module.rpartition(".")[0], []).append(step.cycles)
        else:
            chain += step.cycles
    assert [len(cycles) for cycles in projections.values()] == [2, 3, 3]
    assert critical_path_cycles(planned, model) == chain + sum(max(cycles) for cycles in projections.values())


def test_pes_take_in_only_what_they_can() -> None:
    """Scores by distances on the vector unit, values by products on the array: half of a core's pairs."""
    model, machine = typed("l1-softmax", "w8a8"), load_target("edge-asic:kinds=mac")
    cost = price(model, schedule(model, machine))
    products = [n for n in model.graph.nodes if n.op == "matmul"]
    taken = sum(n.attrs["B"] * n.attrs["M"] * n.attrs["N"] * n.attrs["K"] for n in products)
    multiplied = sum(w.n for step in cost.schedule.steps for w in step.array_work if w.op == "mul")
    assert sum(step.array_pairs for step in cost.schedule.steps) == taken == multiplied
    assert cost.utilisation == taken / (machine.array.pes * cost.cycles)
    for step in cost.schedule.steps:
        if step.op == "attention core":
            assert step.pairs == 2 * step.array_pairs > 0


def test_a_core_reads_what_lies_in_the_buffer_beside_its_operands() -> None:
    """T5's bias of positions: made once, kept on chip, read by the cores of every layer."""
    loaded = load_model("t5-small", seq=6)
    model = assign_widths(canonicalise(lower(trace(loaded.module, loaded.inputs))), parse_policy("bf16"))
    target = load_target("server-asic")
    planned = schedule(model, target)
    plan = plan_groups(model)
    seen = 0
    for group, reads in zip(plan.groups, plan.reads, strict=True):
        if group.kind != "core":
            continue
        (step,) = (s for s in planned.steps if s.nodes == tuple(group.nodes))
        first, second = group.products
        operands = {plan.source[i] for n in (first, second) for i in model.graph.nodes[n].inputs[:2]}
        beside = [v for v in reads if v in planned.kept and v not in operands]
        alone = core_reads(model, target, step)
        kept = sum(8 * model.graph.values[v].distinct_bytes for v in beside)
        assert step.buffer_read_bits == alone + kept
        seen += len(beside)
    assert seen > 1


def core_reads(model: Typed, target: Accelerator, step: Step) -> int:
    """Bits that a core reads from the buffer for its own two products, fold by fold."""
    first, second = (model.graph.nodes[n] for n in step.nodes if model.graph.nodes[n].op == "matmul")
    assert isinstance(step.chosen, CoreMapped)
    rows, bits = step.chosen.mapping.rows, 0
    for node in (first, second):
        B, M, N, K = (node.attrs[dim] for dim in ("B", "M", "N", "K"))
        for start in range(0, M, rows):
            shape = Product(min(rows, M - start), N, K)
            words = accesses(shape, target.array, target.dataflow, "array")
            bits += B * (words.ifmap_reads + words.filter_reads) * 16
            bits += B * (words.ofmap_reads + shape.M * N) * 32
    return bits


def test_energy_adds_up_in_every_direction() -> None:
    """By part, by op, by layer: the same total; and the total from width counts and bits, row by row."""
    model, machine = typed("dot", "w8a8"), load_target("edge-asic")
    cost = price(model, schedule(model, machine))
    assert cost.energy is not None
    for groups in (cost.by_op(), cost.by_layer(), {p: cost.sum_of([p]) for p in PARTS}):
        found = [e.nominal_pj for e in groups.values() if e is not None]
        assert sum(found) == pytest.approx(cost.energy.nominal_pj, rel=1e-12)
    table, memories = load_table("horowitz45"), memory_prices(machine)
    assert memories is not None
    expected = 0.0
    for (op, kind), n in width_counts(model).items():
        expected += n * table.interpolate(op, int(kind.lstrip("u")[3:])).nominal_pj
    moved = moved_bytes(cost.schedule.steps)
    expected += (moved["dram_read"] + moved["dram_write"]) * memories.dram.nominal_pj
    expected += moved["buffer_read"] * memories.buffer_read.nominal_pj
    expected += moved["buffer_write"] * memories.buffer_write.nominal_pj
    assert cost.energy.nominal_pj == pytest.approx(expected, rel=1e-9)
    assert "mul int25" in "".join(cost.interpolated) or "mul int22" in cost.interpolated
    assert cost.energy.low_pj <= cost.energy.nominal_pj <= cost.energy.high_pj


def test_a_table_without_a_row_is_an_error() -> None:
    model = typed("dot", "w8a8")
    with pytest.raises(CostModelError, match="seneca22 has no row for"):
        price(model, schedule(model, load_target("edge-asic")), load_table("seneca22"))


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(["dot", "inhibitor", "l1-softmax"]),
    kib=st.integers(24, 400),
    bandwidth=st.integers(50, 50_000),
    factor=st.integers(2, 6),
    flow=st.sampled_from(["os", "ws", "is"]),
)
def test_more_bandwidth_never_costs_more_cycles(
    name: str, kib: int, bandwidth: int, factor: int, flow: str
) -> None:
    """Each mapping's times only shrink, and so does the least of them."""
    machine = replace(
        load_target("edge-asic"), array=ArrayShape(8, 8), buffer_bytes=kib * 1024, dataflow=flow, lanes=16
    )
    model = typed(name, "w8a8")
    slow = schedule(model, replace(machine, bandwidth_mb_s=bandwidth), objective="cycles")
    fast = schedule(model, replace(machine, bandwidth_mb_s=bandwidth * factor), objective="cycles")
    assert fast.cycles <= slow.cycles


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(["dot", "inhibitor", "relu"]),
    kib=st.integers(24, 200),
    more=st.integers(1, 400),
    flow=st.sampled_from(["os", "ws", "is"]),
)
def test_a_larger_buffer_never_costs_more(name: str, kib: int, more: int, flow: str) -> None:
    machine = replace(load_target("edge-asic"), array=ArrayShape(8, 8), dataflow=flow, lanes=16)
    model = typed(name, "w8a8")
    sizes = [replace(machine, buffer_bytes=size * 1024) for size in (kib, kib + more)]
    for objective, figure in (("cycles", "cycles"), ("bytes", "dram_bits")):
        small, large = (schedule(model, size, objective=objective) for size in sizes)
        assert total(large, figure) <= total(small, figure)


def total(planned: Schedule, figure: str) -> int:
    """Cycles, or bits from and to DRAM, of all steps."""
    if figure == "cycles":
        return planned.cycles
    return sum(step.read_bits + step.write_bits for step in planned.steps)


# accelforge


class Layer(torch.nn.Module):
    """A DistilBERT layer as accelforge has it: products and softmax only."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v, self.z = (torch.nn.Linear(768, 768, bias=False) for _ in range(4))
        self.ffa, self.ffb = torch.nn.Linear(768, 3072, bias=False), torch.nn.Linear(3072, 768, bias=False)
        self.next = torch.nn.Linear(768, 8, bias=False)  # takes the layer's output, in 8 bits

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (f(x).view(1, 128, 12, 64).transpose(1, 2) for f in (self.q, self.k, self.v))
        a = torch.softmax(q @ k.transpose(-1, -2), -1) @ v
        return self.next(self.ffb(self.ffa(self.z(a.transpose(1, 2).reshape(1, 128, 768)))))


def test_accelforge() -> None:
    """Its nine energies (1.0.467, example tpu_v4i, uJ), by our scheduler: unfused, nothing kept on chip.

    It prices neither requantising nor softmax's arithmetic: our vector unit is left out of the sum.
    """
    with torch.device("meta"):
        model = Layer()
    graph = canonicalise(lower(trace(model, (torch.empty(1, 128, 768, device="meta"),))))
    layer = assign_widths(graph, parse_policy("w8a8:acc=8"))
    cost = price(layer, schedule(layer, load_target("tpu-v4i-accelforge"), fuse=False, keep=False))
    parts = ("array", "buffer", "dram")
    found = [sum(getattr(e, part).nominal_pj for part in parts) / 1e6 for e in cost.energies]
    names = [step.module or step.op for step in cost.schedule.steps]
    assert names == ["q", "k", "v", "matmul", "softmax", "matmul", "z", "ffa", "ffb", "next"]
    expected = [54.5336, 54.5336, 54.5336, 24.4502, 23.8195, 24.4502, 54.5336, 200.8571, 201.5484]
    assert found[:-1] == pytest.approx(expected, abs=6e-5)  # as printed, to four places
    assert sum(found[:-1]) == pytest.approx(693.2595, rel=1e-6)
    split = {part: sum(getattr(e, part).nominal_pj for e in cost.energies[:-1]) / 1e6 for part in parts}
    assert split == pytest.approx({"array": 78.2154, "buffer": 51.1252, "dram": 563.9189}, abs=6e-5)
    steps = cost.schedule.steps[:-1]
    moved = moved_bytes(steps)
    assert moved["dram_read"] + moved["dram_write"] == 10_027_008
    # The closed form of its optimum, product by product, to 1e-9.
    for i, (M, N, K, times) in enumerate(
        [(128, 768, 768, 1)] * 3 + [(128, 128, 64, 12), (0, 0, 0, 0), (128, 64, 128, 12), (128, 768, 768, 1)]
        + [(128, 3072, 768, 1), (128, 768, 3072, 1)]
    ):  # fmt: skip
        if times:
            fr, fc = -(-K // 128), -(-N // 128)
            words = (M * K + N * K + M * N) * 8 * 7.03 + M * N * K * 0.084
            words += (fc * M * K + fr * M * N) * 8 * 0.249 + (M * K + fr * M * N) * 8 * 0.293
            assert found[i] == pytest.approx(times * words / 1e6, rel=1e-9)


# Targets


@pytest.mark.parametrize("name", target_names())
def test_shipped_targets(name: str) -> None:
    target = load_target(name)
    assert target.name == name
    area = area_of(target)
    assert (area is None) == (target.part is not None)
    if target.part:
        used, limits = resources(target), available(target.part)
        assert all(used[key] <= limits[key] for key in used)
        pe = pe_resources(target.pe_kinds, target.part.use_dsp)
        assert used["dsp"] == target.array.pes * pe.dsp
    else:
        assert area is not None
        assert area.total_mm2 == area.pe_mm2 + area.vector_mm2 + area.buffer_mm2 + area.local_mm2 > 0
        assert (area.local_mm2 > 0) == (target.local_bytes > 0)


@pytest.mark.parametrize("name", ["xc7z020", "zu9eg"])
@pytest.mark.parametrize("kinds", [("mac",), ("l1",), ("l1", "clip"), ("mac", "l1", "clip")])
@pytest.mark.parametrize("dsp", [True, False])
def test_the_largest_array_fits_and_no_larger_does(name: str, kinds: tuple[str, ...], dsp: bool) -> None:
    target = load_target(name)
    assert target.part is not None
    array = largest_array(target.part, kinds, dsp, target.lanes)
    pe, limits = pe_resources(kinds, dsp), available(target.part)
    room = limits["lut"] - target.lanes * target.part.lane_luts
    assert array.pes * pe.lut <= room
    assert array.pes * pe.dsp <= limits["dsp"]
    most = min(room // pe.lut, limits["dsp"] // pe.dsp) if pe.dsp else room // pe.lut
    assert most * 0.93 <= array.pes <= most
    assert array.C <= 2 * array.R


def test_a_target_can_be_varied() -> None:
    target = load_target("edge-asic:array=16x8,buffer_kib=64,dataflow=is,kinds=mac+l1,lanes=7")
    assert (target.array, target.buffer_bytes, target.dataflow) == (ArrayShape(16, 8), 65536, "is")
    assert (target.kinds, target.lanes) == (("mac", "l1"), 7)
    assert replace(target, name="") != replace(load_target("edge-asic"), name="")


GOOD = (ROOT / "costmodel" / "hardware" / "targets" / "xc7z020.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("clock_mhz = 150", "", "lacks clock_mhz"),
        ("[sources]", "[sources]\nwings = 'ours'", "names wings, which is no figure of the target"),
        ('buffer_kib = "ours', 'buffer_kib = "" # "ours', "buffer_kib says nothing; say where it is from"),
        ("clock_mhz = 150", "clock_mhz = 1.5", "clock_mhz = 1.5 is not a whole number from 1 to"),
        ("clock_mhz = 150", "clock_mhz = 0", "clock_mhz = 0 is not a whole number"),
        ("clock_mhz = 150", "clock_mhz = 150\nwings = 2", "unknown field wings"),
        ('array = "14x15"', 'array = "14 by 15"', "not of the form ROWSxCOLUMNS"),
        ('array = "14x15"', "array = 14", "array = 14 is not a ArrayShape"),
        ('array = "14x15"', 'array = "16x15"', "takes 240 dsp of 220 usable on XC7Z020"),
        ('dataflow = "ws"', 'dataflow = "up"', "unknown dataflow 'up'; known: os, ws, is"),
        ('kinds = ["mac", "l1", "clip", "relu"]', 'kinds = ["mac", "fft"]', "not \\['fft'\\]"),
        ('kinds = ["mac", "l1", "clip", "relu"]', "kinds = []", "not none"),
        ("buffer_kib = 512", "buffer_kib = 900", "225 bram36 of 140"),
        ('dram = "ddr3"', 'dram = "ddr9"', "unknown DRAM 'ddr9'"),
        ('table = ""', 'table = "horowitz45"', r"\[sources\] lacks table; say where it is from"),
        ("luts = 53200", "luts = true", "luts = True is not a whole number"),
        ("use_dsp = true", 'use_dsp = "yes"', "use_dsp = 'yes' is not a bool"),
        ("[part]", "[[part]]", "is not a table of fields"),
        ("[part]", "[part", "is no TOML file"),
    ],
)
def test_a_wrong_target_is_one_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    path = tmp_path / "mine.toml"
    path.write_text(GOOD.replace(old, new), encoding="utf-8")
    with pytest.raises((BadTarget, DoesNotFit, CostModelError), match=message) as caught:
        load_target(str(path))
    assert "\n" not in str(caught.value)


def test_ones_own_target_loads(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(GOOD.replace('"14x15"', '"4x5"'), encoding="utf-8")
    target: Accelerator = load_target(str(path))
    assert target.array == ArrayShape(4, 5)
    with pytest.raises(BadTarget, match="cannot read target"):
        load_target(str(tmp_path / "none.toml"))


def test_prices_of_another_node_are_refused() -> None:
    with pytest.raises(BadTarget, match="is of 28 nm, its prices of 45 nm; name tables of one node"):
        load_target("xc7z020:table=horowitz45")


def test_nothing_fits_a_tiny_buffer() -> None:
    model = typed("dot", "w8a8")
    with pytest.raises(DoesNotFit, match=r"no tile of a product .* give the target a larger buffer") as caught:
        schedule(model, replace(load_target("edge-asic"), buffer_bytes=1))
    assert "\n" not in str(caught.value)
