"""Figures of many points of a design space at once.

Points that share a program (model, sizes, widths, kinds of PE, table) run through `many.py` together, each
distinct machine once. Several workloads are so many runs, which are added up. Area and FPGA resources are sums
over parts, of which each distinct one is looked up once. Tests hold all of it equal to the schedule of each point
on its target.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from costmodel.errors import CostModelError
from costmodel.explore.knobs import MACHINE, PRICED, PROGRAM, Value, is_function
from costmodel.explore.machines import FIGURES, KINDS, MEASURED, rates_of, small, unchecked
from costmodel.explore.programs import NEEDS_PRICES, Compiled, GraphOf, costs, program_of, without_registers
from costmodel.explore.space import Space
from costmodel.explore.workloads import Workload
from costmodel.hardware.accelerator import BRAM36_BYTES, KIB, Accelerator
from costmodel.hardware.occupancy import available, built_pe
from costmodel.hardware.timing import DATAFLOWS, parse_array
from costmodel.mapping.many import PARAMETERS, PRICES

Array = np.ndarray[Any, Any]
AccuracyKey = tuple[str, str, str, str, int | None, str | None, str]
Tell = Callable[..., None]  # what went wrong with points at some places, see `complain`
ROWS = "rows"  # sequences of a run
COMPILED = (*PROGRAM, "technology", "table")  # what a program depends on


@dataclass(frozen=True)
class Results:
    """Figures of points [n]. Where `error` is not 0, it is the place in `errors` of what went wrong.

    A figure that a point has not is NaN. `feasible`: no error, and all constraints hold.
    """

    indices: Array
    columns: dict[str, Array]
    feasible: Array
    error: Array
    errors: tuple[str, ...]

    def rows(self) -> list[tuple[Any, ...]]:
        """(index, figures ..., feasible, error) of each point; None for NaN and for no error."""
        figures = []
        for column in self.columns.values():
            cells = column.tolist()
            if np.isnan(column).any():
                cells = [None if math.isnan(cell) else cell for cell in cells]
            figures.append(cells)
        texts = [text or None for text in self.errors]
        errors = [texts[code] for code in self.error.tolist()] if len(texts) > 1 else [None] * len(self.indices)
        return list(zip(self.indices.tolist(), *figures, self.feasible.astype(int).tolist(), errors, strict=True))


# Accuracy


def accuracy_key(space: Space, index: int) -> AccuracyKey | None:
    """What the accuracy of a point depends on; None where the space measures none.

    Task, attention, checkpoint, widths, limit, data_dir, digest of the checkpoint.
    """
    return None if space.accuracy is None else key_of(space, space.knobs(index))


def key_of(space: Space, knobs: Mapping[str, str | int]) -> AccuracyKey:
    accuracy = space.accuracy
    assert accuracy is not None
    attention = str(knobs.get("attention", "dot"))
    found = accuracy.of(attention)
    path, digest = (found.path, found.digest) if found else ("", "")
    widths = str(knobs.get("widths", "w8a8"))
    return accuracy.task, attention, path, widths, accuracy.limit, accuracy.data_dir, digest


def accuracy_keys(space: Space) -> tuple[AccuracyKey, ...]:
    """All keys of a space."""
    if space.accuracy is None:
        return ()
    attentions, widths = space.values("attention") or ("dot",), space.values("widths") or ("w8a8",)
    return tuple(key_of(space, {"attention": a, "widths": w}) for a in attentions for w in widths)


# Points


def evaluate_points(
    space: Space, indices: Any, accuracy_of: Mapping[AccuracyKey, float | str], graph_of: GraphOf
) -> Results:
    """Figures of some points of a space.

    Args:
        indices: numbers of points [n], in any order.
        accuracy_of: accuracy by `accuracy_key`, or the text of what went wrong when it was measured.
        graph_of: canonical graph of a model; of a module, so that it can be pickled.

    Raises:
        CostModelError: a number that is no point. What goes wrong with a point is its `error`.
    """
    indices = np.asarray(indices, np.int64).ravel()
    if len(indices) and not (indices.min() >= 0 and indices.max() < len(space)):
        raise CostModelError(f"{space.where} has points 0 to {len(space) - 1}; one asked for is not among them")
    digits = space.digits(indices)
    error, texts = np.zeros(len(indices), np.int32), {"": 0}
    columns = added_up(
        space, [evaluate_run(space, run, digits, len(indices), graph_of, error, texts) for run in space.runs]
    )
    if space.accuracy is not None:
        columns[MEASURED] = np.full(len(indices), np.nan)
        for places in grouped(space, digits, ("attention", "widths"), np.arange(len(indices))):
            knobs = knobs_at(space, digits, places[0], PROGRAM)
            value = accuracy_of.get(key_of(space, knobs), "accuracy was not measured")
            if isinstance(value, str) or math.isnan(value):
                text = value if isinstance(value, str) else "accuracy is not a number"
                places = places[error[places] == 0]
                error[places] = texts.setdefault(text, len(texts))
            else:
                columns[MEASURED][places] = value
    columns = {name: columns[name] for name in space.figures}
    for column in columns.values():
        column[error > 0] = np.nan
    return Results(indices, columns, feasible(space, digits, columns, error), error, tuple(texts))


SUMMED = ("energy_uj", "cycles", "dram_bytes", "latency_ms", ROWS)


def added_up(space: Space, each: Sequence[dict[str, Array]]) -> dict[str, Array]:
    """Figures of all runs together: weighted sums of what a run takes; what a machine occupies once."""
    found = dict(each[0])
    for name in SUMMED:
        found[name] = sum_of(run.weight * own[name] for run, own in zip(space.runs, each, strict=True))
    seconds = found["latency_ms"] * 1e-3
    found["energy_delay_js"] = found["energy_uj"] * 1e-6 * seconds
    found["rows_per_s"] = found.pop(ROWS) / seconds
    return found


def sum_of(arrays: Iterable[Array]) -> Array:
    total: Array = functools.reduce(np.add, arrays)
    return total


def evaluate_run(
    space: Space,
    run: Workload,
    digits: dict[str, Array],
    number: int,
    graph_of: GraphOf,
    error: Array,
    texts: dict[str, int],
) -> dict[str, Array]:
    """Figures of one workload on all points."""
    columns = {name: np.full(number, np.nan) for name in (*FIGURES, ROWS)}
    which = f"workload {run}: " if len(space.runs) > 1 else ""
    tell = functools.partial(complain, error, texts, which)
    for places in grouped(space, digits, COMPILED, np.arange(number)):
        knobs = run.over(knobs_at(space, digits, places[0], PROGRAM))
        try:
            point = run.over(knobs_at(space, digits, places[0], (*PROGRAM, *PRICED)))
            found = program_of(graph_of, knobs, unchecked(small(point)), wants_energy(space))
            evaluate_group(space, digits, places, knobs, found, columns, tell)
        except Exception as wrong:
            # Broad: a model that is traced here runs the user's code, which may raise anything; the points of
            # other models go on, and these keep what was raised as their error.
            tell(places, text_of(wrong))
    return columns


def complain(
    error: Array, texts: dict[str, int], which: str, places: Array, text: str, of_run: bool = True
) -> None:
    """Keep an error of some points, and of which run it is; the first of a point stays."""
    text = which + text if of_run else text
    places = places[error[places] == 0]
    if len(places):
        error[places] = texts.setdefault(text, len(texts))


def wants_energy(space: Space) -> bool:
    """Whether somebody asked for a price of every operation."""
    used = [o.name for o in space.objectives] + [c.name for c in space.constraints]
    return "energy_uj" in used or "energy_delay_js" in used or space.objective in NEEDS_PRICES


def text_of(error: Exception) -> str:
    text = " ".join(str(error).split())
    known = isinstance(error, CostModelError)
    return text if known and text else f"{type(error).__name__}: {text}"


def feasible(space: Space, digits: dict[str, Array], columns: dict[str, Array], error: Array) -> Array:
    good: Array = error == 0
    for constraint in space.constraints:
        if constraint.name in columns:
            good &= constraint.holds(columns[constraint.name])
        else:
            good &= constraint.holds(np.array(space.values(constraint.name)))[digits[constraint.name]]
    return good


def code_of(space: Space, digits: dict[str, Array], names: tuple[str, ...], places: Array) -> Array:
    """One number for the values of some knobs, equal where all are equal."""
    code = np.zeros(len(places), np.int64)
    size = 1
    for name in names:
        if name not in digits:
            continue
        radix = len(space.values(name))
        if size * radix > 1 << 62:
            code = np.unique(code, return_inverse=True)[1]
            size = len(places)
        code = code * radix + digits[name][places]
        size *= radix
    return code


def grouped(space: Space, digits: dict[str, Array], names: tuple[str, ...], places: Array) -> list[Array]:
    """Places by the values of some knobs."""
    code = code_of(space, digits, names, places)
    if len(code) == 0 or code[0] == code[-1] == code.max() == code.min():
        return [places] if len(code) else []
    order = np.argsort(code, kind="stable")
    cuts = np.flatnonzero(np.diff(code[order])) + 1
    return np.split(places[order], cuts)


def knobs_at(space: Space, digits: dict[str, Array], place: int, names: tuple[str, ...]) -> dict[str, Value]:
    return {name: space.values(name)[digits[name][place]] for name in names if name in digits}


def machine_columns(space: Space, digits: dict[str, Array], places: Array, target: Accelerator) -> Array:
    """Rows of `many.parameters_of` the target, [n, 12 and 3 for each further array]."""

    def column(name: str, default: int, value: Callable[[Any], int] = int) -> Array:
        if name not in digits:
            return np.full(len(places), default, np.int64)
        return np.array([value(v) for v in space.values(name)], np.int64)[digits[name][places]]

    array, more = target.array, []
    for n, own in enumerate(target.more, 2):
        more += [
            column(f"array{n}", own.array.R, lambda v: parse_array(v).R),
            column(f"array{n}", own.array.C, lambda v: parse_array(v).C),
            column(f"dataflow{n}", DATAFLOWS.index(own.dataflow), DATAFLOWS.index),
        ]
    return np.stack(
        [
            column("array", array.R, lambda v: parse_array(v).R),
            column("array", array.C, lambda v: parse_array(v).C),
            column("dataflow", DATAFLOWS.index(target.dataflow), DATAFLOWS.index),
            column("lanes", target.lanes),
            column("buffer_kib", target.buffer_bytes, lambda v: v * KIB),
            column("bandwidth_mb_s", target.bandwidth_mb_s),
            column("clock_mhz", target.clock_mhz),
            column("buffer_read_bytes", target.buffer_read_bytes),
            column("buffer_write_bytes", target.buffer_write_bytes),
            column("local_kib", target.local_bytes, lambda v: v * KIB),
            column("local_read_bytes", target.local_read_bytes),
            column("local_write_bytes", target.local_write_bytes),
            *more,
        ],
        axis=1,
    )


def evaluate_group(
    space: Space,
    digits: dict[str, Array],
    places: Array,
    knobs: Mapping[str, Value],
    compiled: Compiled,
    columns: dict[str, Array],
    tell: Tell,
) -> None:
    """Fill the columns of points that share a program."""
    base = unchecked({"target": knobs["target"]})
    if not base.more and "kinds2" in knobs:  # whose size and dataflow are knobs; all else is the target's
        added = unchecked(small({name: knobs[name] for name in ("target", *KINDS) if name in knobs}))
        base = replace(base, more=added.more)
    machine = machine_columns(space, digits, places, base)
    found = rates(space, digits, places, knobs, compiled)
    prices, areas = found[:, : len(PRICES)], list(found[:, len(PRICES) :].T)
    known: Array = np.asarray(np.isfinite(prices).all(axis=1) & compiled.priced)
    code = code_of(space, digits, (*MACHINE, *PRICED), places)
    _, first, inverse = np.unique(code, return_index=True, return_inverse=True)
    out: dict[str, Array] = {}
    for priced in (True, False):
        some = known[first] == priced
        if some.any():
            goal = space.objective or ("edp" if priced else "cycles")
            program = compiled.program if priced else without_registers(compiled.program)
            each = costs(program, machine[first][some], np.nan_to_num(prices[first][some]), goal)
            for name, column in each.items():
                out.setdefault(name, np.zeros(len(first), column.dtype))[some] = column
    out = {name: column[inverse] for name, column in out.items()}
    fits, cycles, clock = out["fits"], out["cycles"].astype(float), machine[:, 6]
    batch = math.nan if is_function(str(knobs["model"])) else int(knobs.get("batch", 1))
    put = {
        "cycles": cycles,
        "latency_ms": cycles / (clock * 1e3),
        "dram_bytes": (out["dram_read_bytes"] + out["dram_write_bytes"]).astype(float),
        "energy_uj": np.where(known, out["energy_pj"] * 1e-6, np.nan),
        ROWS: np.where(fits, float(batch), np.nan),
    }
    put |= occupied(knobs, compiled, machine, areas)
    for name, column in put.items():
        columns[name][places] = column
    sizes = machine[:, [4, 9]] // KIB
    for kib, local in np.unique(sizes[~fits], axis=0).tolist():
        sums = (f" and a local memory of {local} KiB", " or local_kib") if local else ("", "")
        tell(
            places[~fits & (sizes == (kib, local)).all(axis=1)],
            f"no tile of some step fits a buffer of {kib} KiB{sums[0]}; make buffer_kib{sums[1]} larger",
        )
    if base.part is not None:
        for name, limit in available(base.part).items():
            text = (
                f"takes more than the {limit} {name} usable on {base.part.name}; "
                "make the array, the buffer or the lanes smaller"
            )
            tell(places[put[name] > limit], text, of_run=False)


def rates(
    space: Space, digits: dict[str, Array], places: Array, knobs: Mapping[str, Value], compiled: Compiled
) -> Array:
    """`rates_of` each point, [n, 8]: each distinct memory and technology is looked up once."""
    names = (*PRICED, "buffer_kib", "local_kib")
    code = code_of(space, digits, names, places)
    _, first, inverse = np.unique(code, return_index=True, return_inverse=True)
    found = []
    for place in places[first]:
        values = {**knobs, **knobs_at(space, digits, place, names)}
        picked = tuple((k, v) for k, v in values.items() if k in ("target", *KINDS, *names))
        found.append(rates_of(picked, compiled.widths))
    each: Array = np.array(found, float)[inverse]
    return each


def occupied(
    knobs: Mapping[str, Value], compiled: Compiled, machine: Array, areas: Sequence[Array]
) -> dict[str, Array]:
    """Area of each machine, and of an FPGA its resources."""
    pe_mm2, lane_mm2, buffer_mm2, *more_mm2 = areas
    lanes = machine[:, 3]
    pes = [machine[:, j] * machine[:, j + 1] for j in (0, *range(len(PARAMETERS), machine.shape[1], 3))]
    mm2 = sum_of(n * each for n, each in zip(pes, (pe_mm2, *more_mm2), strict=True))
    found = {"area_mm2": mm2 + lanes * lane_mm2 + buffer_mm2}
    target = unchecked(small({k: v for k, v in knobs.items() if k in ("target", *KINDS)}))
    if target.part is not None:
        built = [built_pe(own, compiled.widths) for own in target.arrays]
        lut = sum_of(n * pe.lut for n, pe in zip(pes, built, strict=True))
        found["lut"] = (lut + lanes * target.part.lane_luts).astype(float)
        found["dsp"] = sum_of(np.ceil(n * pe.dsp) for n, pe in zip(pes, built, strict=True))
        found["bram36"] = sum_of(-(-machine[:, j] // BRAM36_BYTES) for j in (4, 9)).astype(float)
    return found
