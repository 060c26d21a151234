"""The cost of a model on arrays of machines, compiled: 10^5 design points a second and more.

`compile_program` turns a typed graph into a table of distinct steps; `evaluate` runs it over numpy arrays
of machine parameters. It is a second implementation of `tile.py` and `schedule.py` in closed forms, without
a loop over passes and with a search that breaks off where no better tile can follow; tests hold both equal,
cycles and bytes exactly, energy to 1e-9. Timing is that of `array`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from costmodel.errors import BadTarget, CostModelError
from costmodel.hardware.accelerator import Accelerator
from costmodel.mapping.cost import price_work
from costmodel.mapping.fusion import Group, outside_bits, plan_groups, value_bits
from costmodel.mapping.many_steps import run_points
from costmodel.mapping.many_tiles import CORE, FIELDS, MOST_VALUES, NEVER, PRODUCT, VECTOR
from costmodel.mapping.schedule import Builder, lane_cycles, shape_of, site_of
from costmodel.ops.rules import pe_of
from costmodel.technology.tables import Table
from costmodel.widths.assign import Typed
from costmodel.widths.policy import Work

Array = np.ndarray[Any, Any]
CODES = {"os": 0, "ws": 1, "is": 2}
PARAMETERS = ("rows", "columns", "dataflow", "lanes", "buffer_bytes", "bandwidth_mb_s", "clock_mhz")
PRICES = ("buffer_read_pj", "buffer_write_pj", "dram_pj")  # a byte


@dataclass(frozen=True)
class Program:
    """Distinct steps of a model, how often each runs, what each reads and writes beside its operands.

    `reads[s, e]` and `writes[s, e]` are (bits, need, behind the cut). Energies are nominal, in pJ.
    """

    steps: Array  # [steps, fields]
    reads: Array  # [steps, values, 3]
    writes: Array  # [steps, values, 3]
    times: Array  # [steps]
    arithmetic_pj: Array  # [steps]
    core: Array  # [steps], 1 where the step belongs to the attention core
    same_as: Array  # [steps], the first step that differs at most in what is kept on chip
    unfused: Program | None = None  # the same with the core op by op, for buffers that cannot hold it


def compile_program(typed: Typed, target: Accelerator, table: Table | None) -> Program:
    """The steps of a typed graph on machines whose PEs do `target.kinds`; other sizes are parameters."""
    fused = compile_plan(typed, target, table, True)
    if CORE not in fused.steps[:, 0]:
        return fused
    return replace(fused, unfused=compile_plan(typed, target, table, False))


def compile_plan(typed: Typed, target: Accelerator, table: Table | None, fuse_core: bool) -> Program:
    plan = plan_groups(typed, fuse_core=fuse_core)
    builder = Builder(typed, target, site_of(target, "array"), plan)
    needs = needs_of(builder)
    rows: dict[tuple[Any, ...], int] = {}
    for g, group in enumerate(plan.groups):
        fields, reads, writes, works = describe(builder, needs, g, group)
        energy = 0.0 if table is None else price_work(table, works).nominal_pj
        ordered = tuple(fields.get(name, 0) for name in FIELDS)
        key = (ordered, tuple(reads), tuple(writes), energy, int(group.core))
        rows[key] = rows.get(key, 0) + 1
    forms = [
        (
            tuple(x for name, x in zip(FIELDS, key[0], strict=True) if not name.endswith("_need")),
            tuple((bits, behind) for bits, _, behind in key[1]),
            tuple(bits for bits, _, _ in key[2]),
        )
        for key in rows
    ]
    widest = max(max(len(key[1]), len(key[2]), 1) for key in rows)
    if widest > MOST_VALUES:
        raise CostModelError(f"a step with {widest} operands cannot be compiled; {MOST_VALUES} are the most")
    return Program(
        steps=np.array([key[0] for key in rows], np.int64),
        reads=padded([key[1] for key in rows], widest),
        writes=padded([key[2] for key in rows], widest),
        times=np.array(list(rows.values()), np.int64),
        arithmetic_pj=np.array([key[3] for key in rows]),
        core=np.array([key[4] for key in rows], np.int64),
        same_as=np.array([forms.index(form) for form in forms], np.int64),
    )


def padded(lists: list[Any], width: int) -> Array:
    result = np.zeros((len(lists), width, 3), np.int64)
    for i, items in enumerate(lists):
        for j, item in enumerate(items):
            result[i, j] = item
    return result


def needs_of(builder: Builder) -> dict[int, int]:
    """Of each crossing value the most bytes that live at once during its life: see `kept_values`."""
    plan, graph = builder.plan, builder.graph
    live = [0] * len(plan.groups)
    for v in plan.last:
        for g in range(plan.born[v], plan.last[v] + 1):
            live[g] += graph.values[v].distinct_bytes
    returned = {plan.source[i] for i in graph.outputs}
    return {
        v: NEVER if v in returned else max(live[plan.born[v] : plan.last[v] + 1])
        for v in {**plan.last, **plan.born}
        if v in plan.last
    }


def describe(builder: Builder, needs: dict[int, int], g: int, group: Group) -> Any:
    """Fields, outside reads, writes and work of one group."""
    plan, graph = builder.plan, builder.graph

    def need(i: int) -> int:
        return needs.get(plan.source[i], NEVER)

    def ops_of(nodes: tuple[int, ...]) -> int:
        return lane_cycles(builder.work_of(nodes), builder.target)

    writes = [(value_bits(graph, v), need(v), 0) for v in plan.writes[g]]
    works: tuple[Work, ...] = builder.work_of(tuple(group.nodes))
    if group.kind == "vector":
        reads = [(bits, need(v), 0) for v, bits in outside_bits(plan, g, ()).items()]
        return {"kind": VECTOR, "ops": ops_of(tuple(group.nodes))}, reads, writes, works
    nodes = [graph.nodes[n] for n in group.products]
    shapes = [shape_of(graph, node) for node in nodes]
    on = [pe_of(node.op) in builder.target.kinds for node in nodes]
    placed = {n for n, here in zip(group.products, on, strict=True) if here}
    vector_nodes = tuple(n for n in group.nodes if n not in placed)
    first = shapes[0]
    fields = {
        "B": first.B,
        "M": first.product.M,
        "N": first.product.N,
        "K": first.product.K,
        "a_bits": builder.bits(first.a),
        "b_bits": builder.bits(first.b),
        "acc_bits": max(builder.accumulator_bits(node) for node in nodes),
        "a_need": need(first.a),
        "b_need": need(first.b),
        "out_need": max(n for _, n, _ in writes),
        "first_on": int(on[0]),
        "bypass": int(builder.target.weights_bypass),
        "ops": ops_of(vector_nodes),
    }
    operand_values = [plan.source[first.a], plan.source[first.b]]
    if group.kind == "core":
        made = builder.made_by(tuple(group.nodes))
        second = shapes[1]
        between = second.a if plan.source[second.a] in made else second.b
        held = second.b if between == second.a else second.a
        D = second.product.N
        keys = graph.values[first.b].distinct_numel
        fields |= {
            "kind": CORE,
            "D": D,
            "v_bits": builder.bits(held),
            "v_need": need(held),
            "between_bits": builder.bits(between),
            "second_on": int(on[1]),
            "shared": max(1, first.B * first.product.N * first.product.K // keys),
        }
        operand_values.append(plan.source[held])
    else:
        fields |= {"kind": PRODUCT}
    reads = []
    behind: set[int] = set()
    if group.cut is not None:
        head, rest = tuple(group.nodes[: group.cut]), tuple(group.nodes[group.cut :])
        made = builder.made_by(head)
        inputs = [plan.source[i] for n in rest for i in graph.nodes[n].inputs]
        behind = {v for v in inputs if v not in made}
        fields |= {
            "cut": 1,
            "cut_bits": value_bits(graph, next(v for v in inputs if v in made)),
            "head_ops": ops_of(tuple(n for n in head if n not in placed)),
            "rest_ops": ops_of(rest),
        }
    for v, bits in outside_bits(plan, g, tuple(operand_values)).items():
        reads.append((bits, need(v), int(v in behind)))
    return fields, reads, writes, works


def evaluate(program: Program, parameters: Mapping[str, Any]) -> dict[str, Array]:
    """Cycles, bytes and energy of a model on each machine.

    `parameters`: arrays (or numbers, they broadcast) by the names of `PARAMETERS` and `PRICES`; dataflow
    as `os`, `ws`, `is` or its place among them. Where no tile fits, `fits` is False and the rest is 0.

    Raises:
        BadTarget: a parameter is missing, unknown, or not at least 1.
    """
    known = (*PARAMETERS, *PRICES)
    for name in (*(n for n in known if n not in parameters), *(n for n in parameters if n not in known)):
        raise BadTarget(f"parameter {name!r} is {'missing' if name in known else 'unknown'}; {', '.join(known)}")
    given = dict(parameters)
    flows = np.asarray(given["dataflow"])
    if flows.dtype.kind in "US":
        if not np.isin(flows, list(CODES)).all():
            raise BadTarget(f"parameter 'dataflow' is not of {', '.join(CODES)} everywhere")
        given["dataflow"] = np.select([flows == name for name in CODES], list(CODES.values()))
    arrays = np.broadcast_arrays(*[np.atleast_1d(np.asarray(given[n])) for n in known])
    machine = np.stack([np.ascontiguousarray(a, dtype=np.int64) for a in arrays[: len(PARAMETERS)]], axis=1)
    prices = np.stack([np.ascontiguousarray(a, dtype=float) for a in arrays[len(PARAMETERS) :]], axis=1)
    for j, name in enumerate(PARAMETERS):
        if name != "dataflow" and machine[:, j].min(initial=1) < 1:
            raise BadTarget(f"parameter {name!r} is not at least 1 everywhere")
    out, memory_pj = run(program, machine, prices)
    missed = np.flatnonzero(out[:, 0] == 0)
    if program.unfused is not None and len(missed):
        out[missed], memory_pj[missed] = run(program.unfused, machine[missed], prices[missed])
    fits = out[:, 0] > 0
    arithmetic = float((program.arithmetic_pj * program.times).sum())
    return {
        "fits": fits,
        "cycles": out[:, 0],
        "core_cycles": out[:, 5],
        "dram_read_bytes": out[:, 1] // 8,
        "dram_write_bytes": out[:, 2] // 8,
        "buffer_read_bytes": out[:, 3] // 8,
        "buffer_write_bytes": out[:, 4] // 8,
        "memory_pj": memory_pj,
        "energy_pj": np.where(fits, memory_pj + arithmetic, 0.0),
    }


def run(program: Program, machine: Array, prices: Array) -> tuple[Array, Array]:
    out, memory_pj = np.zeros((len(machine), 6), np.int64), np.zeros(len(machine))
    if len(machine):
        run_points(
            *(program.steps, program.reads, program.writes, program.times, program.core, program.same_as),
            *(machine, prices, out, memory_pj),
        )
    return out, memory_pj
