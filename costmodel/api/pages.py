"""`costmodel report --html FILE`: what the figures need beyond the record, and the file itself."""

from __future__ import annotations

import platform
import shlex
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from costmodel.api.graphs import Counted, Request, counted
from costmodel.counting.records import flops
from costmodel.counting.tally import attention_core
from costmodel.errors import CostModelError
from costmodel.explore.front_records import FrontPicture
from costmodel.files import write_output
from costmodel.hardware.accelerator import Accelerator
from costmodel.mapping.cost import price
from costmodel.mapping.schedule import Schedule, schedule
from costmodel.widths.assign import Typed, assign_widths
from costmodel.widths.policy import Policy
from models.zoo.presets import PRESETS

# Lengths at which the share of attention is drawn; a preset's positions cut them off.
SHARE_LENGTHS = (32, 64, 128, 256, 512, 1024, 2048)


def pictures_record(
    request: Request,
    record: dict[str, Any],
    results: list[Counted],
    policy: Policy | None,
    target: str | None,
    machine: Accelerator | None,
    timing: str,
    store: Path | None,
) -> dict[str, Any]:
    """Roofline, shares at other lengths, front: numbers that only the figures show."""
    names = [c["attention"] for c in record["columns"]]
    made: dict[str, Any] = {}
    if machine is not None and policy is not None:
        made |= {"clock_mhz": machine.clock_mhz, "table": machine.table}
        columns = []
        for result in results:
            typed = assign_widths(result.graph, policy)
            columns.append(roofline_column(schedule(typed, machine, timing)))
        name = str(target).partition(":")[0]
        made["roofline"] = {
            "target": machine.name,
            "file": name if name.endswith(".toml") else f"costmodel/hardware/targets/{name}.toml",
            "pairs_per_cycle": machine.array.pes,
            "dram_bytes_per_cycle": machine.bandwidth_mb_s / machine.clock_mhz,
            "columns": columns,
        }
    lengths = lengths_of(request.model)
    if lengths and not request.as_run:
        shares = [share_column(request, name, lengths, policy, machine, timing) for name in names]
        made["shares"] = {"seq": lengths, "columns": shares}
    if store is not None:
        made["front"] = front_record(store, names)
    return made


def lengths_of(model: str) -> list[int]:
    preset = PRESETS.get(model)
    if preset is None or preset.fixed_seq is not None:
        return []
    return [s for s in SHARE_LENGTHS if s <= (preset.max_positions or SHARE_LENGTHS[-1])]


# Roofline


def roofline_column(planned: Schedule) -> dict[str, Any]:
    """Each kind of step with a product, and the whole: equal steps are one point."""
    kinds: dict[tuple[str, bool, int, int, int], list[str]] = {}
    for step in planned.steps:
        if step.array_pairs:
            key = (step.op, step.in_core, step.array_pairs, step.read_bits + step.write_bits, step.cycles)
            kinds.setdefault(key, []).append(step.module)
    points = [point(modules, *key) for key, modules in kinds.items()]
    pairs = sum(step.array_pairs for step in planned.steps)
    bits = sum(step.read_bits + step.write_bits for step in planned.steps)
    return {"points": [*points, point(["all steps"], "model", False, pairs, bits, planned.cycles)]}


def point(modules: list[str], op: str, core: bool, pairs: int, bits: int, cycles: int) -> dict[str, Any]:
    return {
        "op": op,
        "core": core,
        "modules": modules,
        "times": len(modules),
        "pairs": pairs,
        "dram_bytes": bits / 8,
        "cycles": cycles,
        "pairs_per_byte": 8 * pairs / bits if bits else None,
        "pairs_per_cycle": pairs / cycles,
    }


# Shares


def share_column(
    request: Request,
    name: str,
    lengths: list[int],
    policy: Policy | None,
    machine: Accelerator | None,
    timing: str,
) -> dict[str, Any]:
    """[core, whole] at each length: multiplications, operations and, on a target, cycles and energy."""
    made: dict[str, list[list[float]]] = {"mul": [], "flops": []}
    for seq in lengths:
        found = counted(replace(request, seq=seq), name)
        inside = attention_core(found.graph)
        per_node = list(zip(found.tally.per_node, inside, strict=True))
        made["mul"].append([sum(c.mul for c, core in per_node if core), found.tally.counts.mul])
        made["flops"].append([sum(flops(c) for c, core in per_node if core), flops(found.tally.counts)])
        if machine is None or policy is None:
            continue
        typed: Typed = assign_widths(found.graph, policy)
        cost = price(typed, schedule(typed, machine, timing))
        core_cycles = sum(cost.schedule.steps[i].cycles for i in cost.core_places)
        made.setdefault("cycles", []).append([core_cycles, cost.cycles])
        core, whole = cost.sum_of(("array", "vector", "buffer", "dram"), cost.core_places), cost.energy
        if core is not None and whole is not None:
            made.setdefault("energy_pj", []).append([core.nominal_pj, whole.nominal_pj])
    return made


# Sweep


def front_record(path: Path, names: list[str]) -> FrontPicture:
    """The front of a store, and a sample of the other points by equal steps.

    Raises:
        CostModelError: no store, or none of its points is feasible.
    """
    from costmodel.api.fronts import front_picture
    from costmodel.explore.store import open_store, read_points

    store = open_store(path)
    try:
        points = read_points(store)
    finally:
        store.connection.close()
    if not points.feasible.any():
        raise CostModelError(f"--store {path}: no feasible point yet; sweep on, or loosen the constraints")
    made = front_picture(path, store.space, points)
    attentions = made.attentions
    known = {n.split(":")[0]: i for i, n in enumerate(names)} | {n: i for i, n in enumerate(names)}
    free = iter(range(len(names), len(names) + len(attentions)))
    colours = [known[a] if a in known else known.get(a.split(":")[0], next(free)) for a in attentions]
    return replace(made, colours=tuple(colours))


# The file


def write_page(path: Path, record: dict[str, Any], notes: list[str]) -> None:
    """The page of a record with its pictures, written whole or not at all."""
    from costmodel.show.figures import figures_of
    from costmodel.show.machine_figures import machine_figures
    from costmodel.show.page import Page, glance_grid, lead_of, render_page, title_of
    from costmodel.show.sweep_figures import front_figure

    pictures = [*figures_of(record), *machine_figures(record)]
    if "front" in record["pictures"]:
        pictures.append(front_figure(record["pictures"]["front"]))
    pictures.sort(key=lambda picture: ORDER.index(picture.key))
    page = Page(
        title=title_of(record),
        lead=lead_of(record),
        names=tuple(c["attention"] for c in record["columns"]),
        glance=glance_grid(record),
        notes=tuple(notes),
        command=shlex.join(["costmodel", *sys.argv[1:]]),
        date=date.today().isoformat(),
        python=platform.python_version(),
    )
    text = render_page(page, pictures)
    write_output(path, text, "html")


# From what is counted over what it costs to what it is worth.
ORDER = ("operations", "shares", "energy", "traffic", "roofline", "timeline", "verdict", "accuracy", "front")
