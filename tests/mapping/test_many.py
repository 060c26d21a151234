"""The compiled form equals the scheduled cost: cycles and bytes exactly, energy to 1e-9."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from costmodel.errors import BadTarget, DoesNotFit
from costmodel.graph.canonical import canonicalise
from costmodel.graph.lowering import lower
from costmodel.graph.tracing import trace
from costmodel.hardware.accelerator import Accelerator
from costmodel.hardware.loading import load_target
from costmodel.hardware.occupancy import memory_prices
from costmodel.hardware.timing import DATAFLOWS, ArrayShape
from costmodel.mapping.cost import local_bytes, moved_bytes, price
from costmodel.mapping.many import PARAMETERS, PRICES, Program, compile_program, evaluate
from costmodel.mapping.schedule import schedule
from costmodel.technology.loading import load_table
from costmodel.widths.assign import Typed, assign_widths
from costmodel.widths.policy import parse_policy
from models.attention.mechanisms import MECHANISMS, Mechanism
from models.zoo.loading import load_model

BASE = load_target("edge-asic")
KIB = 1024


@cache
def typed(name: str, widths: str, seq: int, batch: int, heads: int, layers: int) -> Typed:
    sizes = {"dim": 16 * heads, "n_heads": heads, "hidden_dim": 200, "n_layers": layers}
    loaded = load_model("distilbert", mechanism=Mechanism(name), batch=batch, seq=seq, sizes=sizes)
    return assign_widths(canonicalise(lower(trace(loaded.module, loaded.inputs))), parse_policy(widths))


@cache
def base(name: str, seq: int) -> Typed:
    loaded = load_model("distilbert", mechanism=Mechanism(name), batch=1, seq=seq, sizes={})
    return assign_widths(canonicalise(lower(trace(loaded.module, loaded.inputs))), parse_policy("w8a8"))


def machine(rng: random.Random, kinds: tuple[str, ...] = BASE.kinds) -> Accelerator:
    """Some machine; half of them small, so that cores do not fit and norms are cut off."""
    found = replace(
        BASE,
        kinds=kinds,
        array=ArrayShape(rng.choice([3, 8, 16, 24, 32, 64, 128]), rng.choice([4, 8, 16, 32, 48, 128, 256])),
        dataflow=rng.choice(DATAFLOWS),
        lanes=rng.choice([1, 16, 64, 100, 1000]),
        buffer_bytes=rng.choice([3, 8, 20, 64, 100, 256, 512, 1000, 4096, 32768]) * KIB + rng.randrange(9),
        bandwidth_mb_s=rng.choice([100, 1000, 12800, 600_000]),
        clock_mhz=rng.choice([150, 500, 1050]),
        buffer_read_bytes=rng.choice([1, 16, 100, 4096]),
        buffer_write_bytes=rng.choice([1, 16, 100, 4096]),
    )
    own = random.Random(repr(found))  # that other machines stay as they are
    if own.random() < 2 / 3:
        return found
    return replace(
        found,
        local_bytes=own.choice([1, 4, 30, 200]) * KIB + own.randrange(9),
        local_read_bytes=own.choice([1, 16, 4096]),
        local_write_bytes=own.choice([1, 16, 4096]),
    )


def parameters(machines: list[Accelerator]) -> dict[str, np.ndarray]:
    rows = [
        (
            *(m.array.R, m.array.C, m.dataflow, m.lanes, m.buffer_bytes, m.bandwidth_mb_s, m.clock_mhz),
            *(m.buffer_read_bytes, m.buffer_write_bytes, m.local_bytes, m.local_read_bytes, m.local_write_bytes),
        )
        for m in machines
    ]
    prices = [memory_prices(m) for m in machines]
    columns = dict(zip(PARAMETERS, map(np.array, zip(*rows, strict=True)), strict=True))
    energies = [
        [e.nominal_pj if e else 0.0 for e in (p.buffer_read, p.buffer_write, p.dram, p.local_read, p.local_write)]
        for p in prices
        if p is not None
    ]
    return columns | dict(zip(PRICES, np.array(energies).T, strict=True))


def check(model: Typed, program: Program, machines: list[Accelerator], objective: str | None = None) -> int:
    """Compare point by point; returns how many fitted."""
    found = evaluate(program, parameters(machines), objective)
    table, fitted = load_table("horowitz45"), 0
    for i, target in enumerate(machines):
        try:
            planned = schedule(model, target, objective=objective)
        except DoesNotFit:
            assert not found["fits"][i]
            continue
        fitted += 1
        cost = price(model, planned, table)
        moved = moved_bytes(planned.steps) | local_bytes(planned.steps)
        assert found["cycles"][i] == planned.cycles, target
        assert found["core_cycles"][i] == sum(planned.steps[j].cycles for j in cost.core_places)
        assert {key: int(found[f"{key}_bytes"][i]) for key in moved} == moved
        assert cost.energy is not None
        assert found["energy_pj"][i] == pytest.approx(cost.energy.nominal_pj, rel=1e-9)
    return fitted


@pytest.mark.parametrize("name", list(MECHANISMS))
def test_compiled_equals_scheduled(name: str) -> None:
    """Random points over mechanisms, widths, sizes, machines and objectives."""
    compare_points(name, 10)


@pytest.mark.evidence
@pytest.mark.parametrize("name", list(MECHANISMS))
def test_compiled_equals_scheduled_at_a_thousand_points(name: str) -> None:
    compare_points(f"{name} again", 42)


def compare_points(seed: str, number: int) -> None:
    rng, name = random.Random(seed), seed.split()[0]
    fitted = 0
    for widths in ("w8a8", "w4a8", "w8a16", "fp32"):
        kinds = rng.choice([BASE.kinds, ("mac",), ("l1", "clip")])
        size = rng.choice([1, 7, 32, 50]), rng.choice([1, 3]), rng.choice([1, 4, 8]), rng.choice([1, 3])
        model = typed(name, widths, *size)
        machines = [machine(rng, kinds) for _ in range(number)]
        program = compile_program(model, machines[0], load_table("horowitz45"))
        fitted += check(model, program, machines, rng.choice([None, "cycles", "energy", "edp", "bytes"]))
    assert fitted > number


@pytest.mark.parametrize(("name", "seq"), [("dot", 128), ("inhibitor", 384)])
def test_of_distilbert_base(name: str, seq: int) -> None:
    rng = random.Random(7)
    model = base(name, seq)
    program = compile_program(model, BASE, load_table("horowitz45"))
    assert check(model, program, [machine(rng) for _ in range(6)]) > 2


def test_parameters_broadcast_and_are_checked() -> None:
    program = compile_program(typed("dot", "w8a8", 7, 1, 4, 1), BASE, None)
    given = {name: column[0] for name, column in parameters([BASE]).items()}
    found = evaluate(program, given | {"bandwidth_mb_s": np.array([100, 1000, 10_000])})
    assert found["cycles"].shape == (3,)
    assert (np.diff(found["cycles"]) <= 0).all()  # more bandwidth never costs more
    for port in ("buffer_read_bytes", "buffer_write_bytes"):
        found = evaluate(program, given | {port: np.array([1, 8, 9, 1000])})
        assert (np.diff(found["cycles"]) <= 0).all()
        assert found["cycles"][0] > found["cycles"][-1]
    for wrong, message in (
        ({"lanes": 0}, "'lanes' is not at least 1"),
        ({"wings": 2}, "'wings' is unknown"),
        ({"dataflow": "up"}, "'dataflow' is not of os, ws, is"),
        ({"local_bytes": -1}, "'local_bytes' is not at least 0"),
    ):
        with pytest.raises(BadTarget, match=message):
            evaluate(program, given | wrong)
    del given["lanes"]
    with pytest.raises(BadTarget, match="'lanes' is missing"):
        evaluate(program, given)
