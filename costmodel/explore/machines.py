"""Targets of a design space: which accelerator a point has, and which figures it can give."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from costmodel.errors import CostModelError, DoesNotFit, UnknownTable
from costmodel.explore.knobs import MACHINE, PRICED, Knob, Value, is_function
from costmodel.hardware.accelerator import Accelerator, PeArray
from costmodel.hardware.loading import DATA as TARGETS
from costmodel.hardware.loading import LOCAL, check, load_target, vary
from costmodel.hardware.occupancy import Area, area_of, memory_prices
from costmodel.hardware.pe import INT8_WIDTHS, PeWidths
from costmodel.hardware.timing import ArrayShape
from costmodel.technology.loading import DATA as TECHNOLOGY
from costmodel.technology.loading import load_table
from costmodel.technology.tables import Table

MEASURED = "accuracy"
# What a point gets. `rows_per_s` are sequences, of which a run takes `batch`.
FIGURES = (
    *("energy_uj", "latency_ms", "energy_delay_js", "cycles", "dram_bytes", "rows_per_s"),
    *("area_mm2", "lut", "dsp", "bram36", MEASURED),
)
KINDS = ("kinds", "kinds2", "use_dsp2")  # what decides which PEs there are
MOST_TARGETS = 20_000  # distinct combinations of target, kinds, prices and buffer

loaded_target = lru_cache(256)(load_target)
loaded_table = lru_cache(256)(load_table)


def target_of(knobs: Mapping[str, str | int]) -> Accelerator:
    """The accelerator of some knobs: the base target with fields exchanged, checked.

    Raises:
        CostModelError: no such target, table or memory; tables of several nodes; beyond what the part holds.
    """
    return check(unchecked(knobs))


def unchecked(knobs: Mapping[str, str | int]) -> Accelerator:
    base = loaded_target(str(knobs["target"]))
    fields = {name: knobs[name] for name in (*KINDS, *MACHINE, *PRICED) if name in knobs}
    technology = fields.pop("technology", None)
    if technology is not None:
        table, _, sram = str(technology).partition("+")
        if base.part is not None:
            raise CostModelError(f"{base.name} is a part whose node is given; leave technology out")
        found: Table = loaded_table(table)
        base = replace(base, node_nm=found.node_nm, prices=None)
        fields |= {"table": table, "sram": sram or table}
    elif base.prices is not None and ("sram" in fields or "dram" in fields):
        raise CostModelError(f"{base.name} states its own memory prices; leave sram and dram out")
    if not fields:
        return base
    text = base.name + ":" + ",".join(f"{name}={value}" for name, value in fields.items())
    # Not by its text: a table may have a comma in its name.
    table = str(fields.pop("table", base.table))
    rest = ",".join(f"{name}={value}" for name, value in fields.items())
    return replace(vary(base, rest, text) if rest else base, name=text, table=table)


def priced_targets(knobs: Sequence[Knob], where: str) -> list[Accelerator]:
    """Every accelerator that differs in what it is or costs; those that a part cannot hold are left out.

    Raises:
        CostModelError: one of them is impossible, or a part holds none of them.
    """
    names = ("target", *KINDS, *PRICED, "buffer_kib", *LOCAL)
    turned = [knob for knob in knobs if knob.name in names]
    number = 1
    for knob in turned:
        number *= len(knob.values)
    if number > MOST_TARGETS:
        raise CostModelError(
            f"{where}: [knobs]: {number} combinations of {', '.join(k.name for k in turned)}; "
            f"{MOST_TARGETS} are the most"
        )
    found, beyond = [], ""
    for values in itertools.product(*(knob.values for knob in turned)):
        point = dict(zip((knob.name for knob in turned), values, strict=True))
        try:
            target = replace(unchecked(small(point, knobs)), name=str(point["target"]))
            check(target)
            if not target.more and any(knob.name in SECOND for knob in knobs):
                raise CostModelError(f"{target.name} has no second array; give {', '.join(SECOND[:3])}, or none")
            found.append(target)
        except DoesNotFit as error:
            beyond = f"{where}: [knobs]: {error}"
        except CostModelError as error:
            text = ", ".join(f"{name} = {value}" for name, value in point.items())
            raise CostModelError(f"{where}: [knobs] {text}: {error}") from None
    if not found:
        raise CostModelError(beyond)
    return found


def available_figures(
    knobs: Sequence[Knob], models: Sequence[str], where: str
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Figures that some points have; and of those that not all have, why one has not."""
    missing: dict[str, str] = {}
    found: set[str] = set()
    for target in priced_targets(knobs, where):
        lacking = lacking_figures(target)
        missing = lacking | missing
        found |= {name for name in FIGURES if name not in lacking and name != MEASURED}
    own = [model for model in models if is_function(model)]
    if own:
        missing["rows_per_s"] = f"{own[0]} decides its own batch, so its rows a second are not known"
        found -= {"rows_per_s"} if len(own) == len(models) else set()
    return tuple(name for name in FIGURES if name in found), missing


def lacking_figures(target: Accelerator) -> dict[str, str]:
    """Figures that a target has not, and why."""
    lacking = {}
    if not target.table:
        lacking["energy_uj"] = f"no energy of {target.name} is published: it names no table"
    elif memory_prices(target) is None:
        lacking["energy_uj"] = f"{target.name} has no prices of its memories; give sram and dram as knobs"
    if "energy_uj" in lacking:
        lacking["energy_delay_js"] = lacking["energy_uj"]
    if target.part is not None:
        lacking["area_mm2"] = f"{target.name} is an FPGA, so it has no area_mm2; use lut, dsp or bram36"
        return lacking
    for name in ("lut", "dsp", "bram36"):
        lacking[name] = f"{target.name} is no FPGA, so it has no {name}; use area_mm2"
    why = no_area(target)
    return lacking | ({"area_mm2": why} if why else {})


def no_area(target: Accelerator) -> str:
    """Why an ASIC has no area; empty where it has one."""
    try:
        area = area_of(target)
    except CostModelError as error:
        return f"no area of {target.name}: {error}"
    return f"no area of {target.name} is known" if area is None else ""


SECOND = ("array2", "kinds2", "dataflow2", "use_dsp2")


def small(knobs: Mapping[str, Value], turned: Sequence[Knob] = ()) -> dict[str, Value]:
    """The knobs with the least arrays and lanes, which every part holds.

    Args:
        turned: all knobs of a space, of which a new second array needs its size and dataflow.
    """
    least: dict[str, Value] = {**knobs, "array": "1x1", "lanes": 1}
    there = loaded_target(str(knobs["target"])).more
    least |= {f"array{n}": "1x1" for n in range(2, 2 + len(there))}
    if not there and "kinds2" in knobs:
        names = {knob.name for knob in turned}
        least |= {name: value for name, value in LEAST.items() if not turned or name in names}
    return least


LEAST: dict[str, Value] = {"array2": "1x1", "dataflow2": "os"}


@lru_cache(65536)
def rates_of(items: tuple[tuple[str, Value], ...], widths: PeWidths = INT8_WIDTHS) -> tuple[float, ...]:
    """What machines cost by their memories and parts, in this order; NaN where it is not known.

    pJ a byte read from and written into the buffer, from or to DRAM, read from and written into the local memory,
    0 where there is none; mm2 of a PE, a lane, the memories, and of a PE of each further array.
    """
    target = unchecked(small(dict(items)))
    memories = memory_prices(target)
    energies: tuple[float, ...] = (math.nan,) * 5
    if memories is not None and target.table:
        found = (memories.buffer_read, memories.buffer_write, memories.dram, memories.local_read)
        energies = tuple(e.nominal_pj if e else 0.0 for e in (*found, memories.local_write))
    areas = [pe_area(target, own, widths) for own in target.arrays]
    known = [area for area in areas if area is not None]
    if len(known) < len(areas):
        return (*energies, *((math.nan,) * (2 + len(areas))))
    memories_mm2 = known[0].buffer_mm2 + known[0].local_mm2
    return (*energies, known[0].pe_mm2, known[0].vector_mm2, memories_mm2, *(a.pe_mm2 for a in known[1:]))


def pe_area(target: Accelerator, own: PeArray, widths: PeWidths) -> Area | None:
    """The area of a target with a single PE, one of an array of its; None where none is known."""
    alone = replace(target, array=ArrayShape(1, 1), kinds=own.kinds, built=own.built, more=())
    try:
        return area_of(alone, widths)
    except UnknownTable:
        return None


def data_digest(knobs: Sequence[Knob]) -> str:
    """Digest of all shipped targets and tables, and of the files that knobs name."""
    digest = hashlib.sha256()
    own = sorted(
        str(value) for knob in knobs for value in knob.values if knob.name in ("target", "table", "technology")
    )
    files = [*sorted(TARGETS.rglob("*.toml")), *sorted(TECHNOLOGY.rglob("*.toml"))]
    for text in own:
        for part in text.split("+"):
            name = part.partition("@")[0]
            if name.endswith(".toml"):
                files.append(Path(name))
    for path in files:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:32]
