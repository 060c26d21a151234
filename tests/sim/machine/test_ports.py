"""Ports so narrow that steps wait; sums in their own memory; registers that are priced: executed, compiled."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from costmodel.hardware.accelerator import Accelerator, Prices
from costmodel.hardware.loading import load_target
from costmodel.hardware.occupancy import memory_prices
from costmodel.hardware.registers import registers_how
from costmodel.hardware.timing import ArrayShape, Product
from costmodel.mapping import many
from costmodel.mapping.cost import PARTS, price
from costmodel.mapping.front import best_mapping
from costmodel.mapping.nest_records import Machine, Operands, Problem
from costmodel.mapping.objectives import OBJECTIVES
from costmodel.mapping.schedule import schedule
from costmodel.technology.loading import load_table
from costmodel.widths.assign import assign_widths
from costmodel.widths.policy import parse_policy
from sim.integer.calibrate import calibrate
from sim.integer.program import Program
from sim.integer.run import compile_program
from sim.integer.weights import Weights
from sim.machine.comparison import differences
from sim.machine.energy import energy_of
from sim.machine.events import sum_events
from sim.machine.execution import execute
from tests.sim_models import model_of, padded_ids

B, S = 2, 12
FLOWS = ("os", "ws", "is")


@cache
def program_of(name: str) -> Program:
    found = model_of(name, dim=32, heads=2, ffn=48)
    rng = np.random.default_rng(1)
    ranges = calibrate(found.graph, found.weights, [rng.integers(1, 50, 9).tolist()] * 4, name)
    typed = assign_widths(found.graph(B, S), parse_policy("w8a8"))
    return compile_program(typed, Weights(found.weights), ranges, "saturate", all_keys=found.all_keys)


def priced_registers(flow: str, read_bytes: int = 512, write_bytes: int = 512) -> Accelerator:
    """A machine under the only table that ships with a row for a register; memories at prices of its node."""
    target = load_target(f"edge-asic:array=4x8,buffer_kib=4,dataflow={flow}")
    return replace(
        target,
        node_nm=40,
        table="aladdin40",
        sram="",
        dram="",
        prices=Prices(0.05, 0.06, 2.0, "for a test"),
        buffer_read_bytes=read_bytes,
        buffer_write_bytes=write_bytes,
    )


@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize(("read_bytes", "write_bytes"), [(2, 512), (512, 2), (3, 5)])
def test_narrow_ports_run_as_they_cost(flow: str, read_bytes: int, write_bytes: int) -> None:
    program = program_of("inhibitor")
    ids, exist = padded_ids(B, S)
    ports = f"buffer_read_bytes={read_bytes},buffer_write_bytes={write_bytes}"
    target = load_target(f"edge-asic:array=4x8,buffer_kib=6,dataflow={flow},{ports}")
    wide = load_target(f"edge-asic:array=4x8,buffer_kib=6,dataflow={flow}")
    for objective in OBJECTIVES:
        plan = schedule(program.typed, target, objective=objective)
        execution = execute(program, plan, ids, exist)
        assert not differences(execution, plan)
        assert execution.cycles == plan.cycles
        waits = [max(step.read_port_cycles, step.write_port_cycles) for step in plan.steps]
        others = [max(step.array_cycles, step.vector_cycles, step.dma_cycles) for step in plan.steps]
        assert sum(port > other for port, other in zip(waits, others, strict=True)) > len(waits) // 2
        assert all(step.cycles >= port for step, port in zip(plan.steps, waits, strict=True))
        assert plan.cycles > schedule(program.typed, wide, objective=objective).cycles


LOCAL = (
    "local_kib=1,local_read_bytes=512,local_write_bytes=512",
    "local_kib=3,local_read_bytes=3,local_write_bytes=5",
)


@pytest.mark.parametrize("local", LOCAL)
@pytest.mark.parametrize("name", ["dot", "inhibitor"])
@pytest.mark.parametrize("flow", FLOWS)
def test_sums_in_a_memory_of_their_own_run_as_they_cost(name: str, flow: str, local: str) -> None:
    """Executed, priced and compiled, under every objective."""
    program = program_of(name)
    ids, exist = padded_ids(B, S)
    target = load_target(f"edge-asic:array=4x8,buffer_kib=5,dataflow={flow},{local}")
    table, waited = load_table("horowitz45"), 0
    compiled = many.compile_program(program.typed, target, table)
    for objective in OBJECTIVES:
        plan = schedule(program.typed, target, objective=objective)
        execution = execute(program, plan, ids, exist)
        assert not differences(execution, plan)
        cost, split = (
            price(program.typed, plan),
            energy_of(sum_events(done.events for done in execution.steps), target, table),
        )
        for part in ("array", "vector", "local", "buffer", "dram"):
            assert cost.sum_of([part]).nominal_pj == pytest.approx(getattr(split, part).nominal_pj, rel=1e-12)
        assert split.local.nominal_pj > 0
        assert cost.energy.nominal_pj == pytest.approx(split.total.nominal_pj, rel=1e-12)
        assert all(0 <= step.local_bytes <= target.local_bytes for step in plan.steps)
        assert all((step.local_read_bits > 0) == bool(step.pairs) for step in plan.steps)
        waited += sum(step.local_read_cycles > step.array_cycles for step in plan.steps)
        found = many.evaluate(compiled, machine_parameters(target), objective)
        assert found["cycles"][0] == cost.cycles
        assert found["energy_pj"][0] == pytest.approx(cost.energy.nominal_pj, rel=1e-9)
        moved = {way: sum(getattr(s, f"local_{way}_bits") for s in plan.steps) // 8 for way in ("read", "write")}
        assert {way: found[f"local_{way}_bytes"][0] for way in moved} == moved
    assert (waited > 0) == ("read_bytes=3" in local)


@pytest.mark.parametrize("flow", FLOWS)
def test_a_local_memory_takes_the_sums_and_nothing_else(flow: str) -> None:
    """Where both hold everything the mappings are the same: what one buffer moves is split between two."""
    problem = Problem(Product(48, 40, 64), 2, Operands(8, 8, 32, 8))
    one = Machine(ArrayShape(8, 8), flow, "array", 1 << 20, 1000, 500, 0.2, 0.2, 1.0)
    two = replace(one, local_bytes=1 << 20, local_read_pj=0.2, local_write_pj=0.2)
    both = [best_mapping(problem, machine, "energy") for machine in (one, two)]
    assert both[0].mapping == both[1].mapping
    assert both[0].buffer_read_bits == both[1].buffer_read_bits + both[1].local_read_bits
    assert both[0].buffer_write_bits == both[1].buffer_write_bits + both[1].local_write_bits
    assert both[0].energy_pj == pytest.approx(both[1].energy_pj)
    assert both[1].local_read_bits == both[1].local_write_bits > 0


@pytest.mark.parametrize("name", ["dot", "inhibitor"])
@pytest.mark.parametrize("flow", FLOWS)
def test_priced_registers_are_those_that_were_written(name: str, flow: str) -> None:
    program, target = program_of(name), priced_registers(flow)
    ids, exist = padded_ids(B, S)
    table = load_table("aladdin40")
    for objective in OBJECTIVES:
        plan = schedule(program.typed, target, objective=objective)
        execution = execute(program, plan, ids, exist)
        assert not differences(execution, plan)
        events = sum_events(done.events for done in execution.steps)
        cost, split = price(program.typed, plan), energy_of(events, target, table)
        registers = cost.sum_of(["registers"])
        assert registers is not None
        assert registers.nominal_pj == pytest.approx(0.009 * events.register_bits)
        assert split.local is None
        assert cost.sum_of(["local"]) is None
        for part in (part for part in PARTS if part != "local"):
            assert cost.sum_of([part]).nominal_pj == pytest.approx(getattr(split, part).nominal_pj, rel=1e-12)
        assert cost.energy.nominal_pj == pytest.approx(split.total.nominal_pj, rel=1e-12)
        without = cost.sum_of([part for part in PARTS if part != "registers"])
        assert cost.energy.nominal_pj == pytest.approx(without.nominal_pj + registers.nominal_pj)
        assert sum(cost.by_op()[op].nominal_pj for op in cost.by_op()) == pytest.approx(cost.energy.nominal_pj)


def machine_parameters(target: Accelerator) -> dict[str, Any]:
    """What the compiled form takes of a target."""
    memories = memory_prices(target)
    assert memories is not None
    prices = {name: getattr(memories, name.removesuffix("_pj")) for name in many.PRICES}
    return {
        **{"rows": target.array.R, "columns": target.array.C, "dataflow": target.dataflow},
        **{name: getattr(target, name) for name in many.PARAMETERS[3:]},
        **{name: energy.nominal_pj for name, energy in prices.items() if energy is not None},
    }


@pytest.mark.parametrize("flow", FLOWS)
def test_priced_registers_compiled(flow: str) -> None:
    program = program_of("inhibitor")
    for read_bytes, write_bytes in ((512, 512), (3, 5)):
        target = priced_registers(flow, read_bytes, write_bytes)
        compiled = many.compile_program(program.typed, target, load_table("aladdin40"))
        given = machine_parameters(target)
        for objective in OBJECTIVES:
            cost = price(program.typed, schedule(program.typed, target, objective=objective))
            found = many.evaluate(compiled, given, objective)
            assert found["cycles"][0] == cost.cycles
            assert found["energy_pj"][0] == pytest.approx(cost.energy.nominal_pj, rel=1e-9)


def test_registers_have_a_say_in_what_is_best() -> None:
    """Dear registers ask for fewer passes of what streams, though operands move more."""
    problem = Problem(Product(64, 64, 32), 1, Operands(8, 8, 32, 8))
    machine = Machine(ArrayShape(8, 8), "ws", "array", 2000, 1000, 500, 0.2, 0.2, 1.0)
    free = best_mapping(problem, machine, "energy")
    dear = best_mapping(problem, replace(machine, register_pj=10.0), "energy")
    assert dear.register_bits < free.register_bits
    assert dear.dram_bits > free.dram_bits


def test_a_target_says_whether_registers_are_priced() -> None:
    assert registers_how(priced_registers("os")) == "0.009 pJ a bit by aladdin40"
    cost = price(program_of("dot").typed, schedule(program_of("dot").typed, load_target("edge-asic")))
    assert cost.sum_of(["registers"]) is None
    assert cost.energy is not None
