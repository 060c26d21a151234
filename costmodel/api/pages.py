"""A report as a page: what its figures need beyond the record, and the file itself."""

from __future__ import annotations

import platform
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

from costmodel.api.graphs import Counted, Request, counted
from costmodel.api.prices import Pricing
from costmodel.api.subjects import Model
from costmodel.compare.pictures import (
    CoreAndWhole,
    Pictures,
    Roofline,
    RooflineColumn,
    RooflinePoint,
    ShareColumn,
    Shares,
)
from costmodel.compare.records import ReportRecord
from costmodel.counting.records import flops
from costmodel.counting.tally import attention_core
from costmodel.errors import CostModelError
from costmodel.explore.front_records import FrontPicture
from costmodel.files import write_output
from costmodel.mapping.cost import PARTS, price
from costmodel.mapping.schedule import schedule
from costmodel.mapping.steps import Schedule
from costmodel.records import decode, encode
from costmodel.widths.assign import assign_widths
from models.zoo.presets import PRESETS

USUAL = {"batch": 1, "dtype": "float32", "device": "meta", "timing": "array"}  # not named in a command
# Lengths at which the share of attention is drawn; a preset's positions cut them off.
SHARE_LENGTHS = (32, 64, 128, 256, 512, 1024, 2048)


def pictures_record(
    request: Request,
    record: ReportRecord,
    results: Sequence[Counted],
    pricing: Pricing,
    target: str | None,
    store: Path | None,
) -> Pictures:
    """Roofline, shares at other lengths, front: numbers that only the figures show."""
    names = [c.attention for c in record.columns]
    made = Pictures()
    if pricing.target is not None and pricing.policy is not None:
        roofline = roofline_of(results, pricing, str(target))
        made = Pictures(clock_mhz=pricing.target.clock_mhz, table=pricing.target.table, roofline=roofline)
    lengths = lengths_of(request.model)
    if lengths and not request.as_run:
        shares = tuple(share_column(request, name, lengths, pricing) for name in names)
        made = replace(made, shares=Shares(lengths, shares))
    if store is not None:
        made = replace(made, front=encode(front_record(store, names)))
    return made


def lengths_of(model: Model) -> tuple[int, ...]:
    preset = PRESETS.get(model) if isinstance(model, str) else None
    if preset is None or preset.fixed_seq is not None:
        return ()
    return tuple(s for s in SHARE_LENGTHS if s <= (preset.max_positions or SHARE_LENGTHS[-1]))


# Roofline


def roofline_of(results: Sequence[Counted], pricing: Pricing, target: str) -> Roofline:
    """What the target can do, and each step with a product."""
    machine, policy = pricing.target, pricing.policy
    assert machine is not None, "a roofline is that of a target"
    assert policy is not None, "on a target there are widths"
    name = target.partition(":")[0]
    planned = (
        schedule(assign_widths(r.graph, policy), machine, pricing.timing, objective=pricing.objective)
        for r in results
    )
    return Roofline(
        target=machine.name,
        file=name if name.endswith(".toml") else f"costmodel/hardware/targets/{name}.toml",
        pairs_per_cycle=machine.pes,
        dram_bytes_per_cycle=machine.bandwidth_mb_s / machine.clock_mhz,
        columns=tuple(map(roofline_column, planned)),
    )


def roofline_column(planned: Schedule) -> RooflineColumn:
    """Each kind of step with a product, and the whole: equal steps are one point."""
    kinds: dict[tuple[str, bool, int, int, int], list[str]] = {}
    for step in planned.steps:
        if step.array_pairs:
            key = (step.op, step.in_core, step.array_pairs, step.read_bits + step.write_bits, step.cycles)
            kinds.setdefault(key, []).append(step.module)
    points = [point(modules, *key) for key, modules in kinds.items()]
    pairs = sum(step.array_pairs for step in planned.steps)
    bits = sum(step.read_bits + step.write_bits for step in planned.steps)
    return RooflineColumn((*points, point(["all steps"], "model", False, pairs, bits, planned.cycles)))


def point(modules: Sequence[str], op: str, core: bool, pairs: int, bits: int, cycles: int) -> RooflinePoint:
    return RooflinePoint(
        op=op,
        core=core,
        modules=tuple(modules),
        times=len(modules),
        pairs=pairs,
        dram_bytes=bits / 8,
        cycles=cycles,
        pairs_per_byte=8 * pairs / bits if bits else None,
        pairs_per_cycle=pairs / cycles,
    )


# Shares


def share_column(request: Request, name: str, lengths: Iterable[int], pricing: Pricing) -> ShareColumn:
    """Core and whole at each length: multiplications, operations and, on a target, cycles and energy."""
    mul, operations, cycles, energy = [], [], [], []
    for seq in lengths:
        found = counted(replace(request, seq=seq), name)
        inside = attention_core(found.graph)
        core = [c for c, is_core in zip(found.tally.per_node, inside, strict=True) if is_core]
        mul.append(CoreAndWhole(sum(c.mul for c in core), found.tally.counts.mul))
        operations.append(CoreAndWhole(sum(map(flops, core)), flops(found.tally.counts)))
        if pricing.target is None or pricing.policy is None:
            continue
        typed = assign_widths(found.graph, pricing.policy)
        cost = price(typed, schedule(typed, pricing.target, pricing.timing, objective=pricing.objective))
        places = cost.core_places
        cycles.append(CoreAndWhole(sum(cost.schedule.steps[i].cycles for i in places), cost.cycles))
        part, whole = cost.sum_of(PARTS, places), cost.energy
        if part is not None and whole is not None:
            energy.append(CoreAndWhole(part.nominal_pj, whole.nominal_pj))
    return ShareColumn(tuple(mul), tuple(operations), tuple(cycles) or None, tuple(energy) or None)


# Sweep


def front_record(path: Path, names: Sequence[str]) -> FrontPicture:
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
        raise CostModelError(f"`store={path}` has no feasible point yet: sweep on, or loosen the constraints")
    made = front_picture(path, store.space, points)
    attentions = made.attentions
    known = {n.split(":")[0]: i for i, n in enumerate(names)} | {n: i for i, n in enumerate(names)}
    free = iter(range(len(names), len(names) + len(attentions)))
    colours = [known[a] if a in known else known.get(a.split(":")[0], next(free)) for a in attentions]
    return replace(made, colours=tuple(colours))


# The file


def page_command(request: Request, options: Mapping[str, object]) -> str:
    """The command that makes the same page; of a model that has no name, what to call in Python."""
    if not isinstance(request.model, str):
        return f"costmodel.report(<{type(request.model).__name__}>, ...)"
    sizes = {"batch": request.batch, "seq": request.seq, "dtype": request.dtype, "device": request.device}
    flags = {"as-run": request.as_run, "allow-unknown": request.allow_unknown}
    words = ["costmodel", "report", request.model]
    for name, value in ({"attention": options["attention"]} | sizes | flags | dict(options)).items():
        if value is None or value is False or USUAL.get(name) == value:
            continue
        values = value if isinstance(value, list | tuple) else [value]
        words += [
            word for each in values for word in ([f"--{name}"] if each is True else [f"--{name}", str(each)])
        ]
    return shlex.join(words)


def write_page(path: Path, record: ReportRecord, notes: Iterable[str], command: str) -> None:
    """The page of a record with its pictures, written whole or not at all."""
    from costmodel.show.figures import figures_of
    from costmodel.show.machine_figures import machine_figures
    from costmodel.show.page import Page, glance_grid, lead_of, render_page, title_of
    from costmodel.show.sweep_figures import front_figure

    pictures = [*figures_of(record), *machine_figures(record)]
    if record.pictures is not None and record.pictures.front is not None:
        pictures.append(front_figure(decode(FrontPicture, record.pictures.front, "the front")))
    pictures.sort(key=lambda picture: ORDER.index(picture.key))
    page = Page(
        title=title_of(record),
        lead=lead_of(record),
        names=tuple(c.attention for c in record.columns),
        glance=glance_grid(record),
        notes=tuple(notes),
        command=command,
        date=date.today().isoformat(),
        python=platform.python_version(),
    )
    text = render_page(page, pictures)
    write_output(path, text, "html")


# From what is counted over what it costs to what it is worth.
ORDER = ("operations", "shares", "energy", "traffic", "roofline", "timeline", "verdict", "accuracy", "front")
