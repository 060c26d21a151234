"""Closed forms of cycles, moved bytes and energy on a target: the piece around some sizes."""

from __future__ import annotations

from collections.abc import Mapping

import sympy

from costmodel.counting.symbols import Form, L, price_symbol, traced_graph
from costmodel.counting.traced import form_of
from costmodel.graph.ir import Graph
from costmodel.hardware.accelerator import Accelerator
from costmodel.hardware.occupancy import memory_prices
from costmodel.hardware.registers import register_energy
from costmodel.mapping.schedule import schedule
from costmodel.mapping.works import price_one
from costmodel.technology.loading import load_table
from costmodel.widths.assign import Typed, assign_widths
from costmodel.widths.policy import Policy

WAYS = ("read", "write")


def machine_forms(
    graphs: tuple[Graph, Graph],
    grouped: bool,
    sizes: Mapping[str, int],
    policy: Policy,
    target: Accelerator,
    convention: str,
    symbolic_prices: bool = False,
    objective: str | None = None,
) -> dict[str, Form]:
    """Cycles, moved bytes and energy on a target in B, S, d, H, G, F, L: the piece around some sizes.

    Args:
        graphs: canonical graphs of one and of two layers, traced at `prime_sizes`.

    Returns:
        `cycles`, `moved_bytes` (DRAM, both ways), `buffer_bytes`, `local_bytes` where sums have a memory of their
        own, and `energy_pj` where the target has prices.
    """
    typed = [assign_widths(traced_graph(graph, sizes, grouped), policy) for graph in graphs]
    one, two = (quantities(each, target, convention, symbolic_prices, objective) for each in typed)
    return {name: sympy.expand(one[name] + (L - 1) * (two[name] - one[name])) for name in one}


def quantities(
    typed: Typed, target: Accelerator, convention: str, symbolic_prices: bool, objective: str | None
) -> dict[str, Form]:
    """Forms of one schedule. With symbolic prices there is an energy for every target."""
    steps = schedule(typed, target, convention, objective=objective).steps
    dram = sum(form_of(s.read_bits) + form_of(s.write_bits) for s in steps) / 8
    reads, writes = (sum(form_of(getattr(s, f"buffer_{way}_bits")) for s in steps) / 8 for way in WAYS)
    found = {"cycles": sum(form_of(s.cycles) for s in steps), "moved_bytes": dram, "buffer_bytes": reads + writes}
    memories = memory_prices(target)
    table = load_table(target.table) if target.table else None
    levels = {"buffer_read": reads, "buffer_write": writes, "dram": dram}
    if target.local_bytes:
        local = {f"local_{way}": sum(form_of(getattr(s, f"local_{way}_bits")) for s in steps) / 8 for way in WAYS}
        levels |= local
        found["local_bytes"] = sum(local.values())
    works = [(w, form_of(w.n)) for s in steps for w in (*s.array_work, *s.vector_work)]
    if symbolic_prices:
        energy = sum(form * price_symbol(w.op, str(w.type)) for w, form in works)
        found["energy_pj"] = energy + sum(form * price_symbol(name) for name, form in levels.items())
    elif table is not None and memories is not None:
        energy = sum(form * sympy.Float(price_one(table, w.op, w.type).nominal_pj) for w, form in works)
        if (register := register_energy(table, 1)) is not None:
            written = sum(form_of(s.register_bits) for s in steps)
            energy += written * sympy.Float(register.nominal_pj)
        costs = [form * sympy.Float(getattr(memories, name).nominal_pj) for name, form in levels.items()]
        found["energy_pj"] = energy + sum(costs)
    return found
