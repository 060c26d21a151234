"""Designs near a design: each knob at other values, one by one and together, and what that saves.

A base and its changes are a small design space, whose first point is the base. All figures are those of points of
a space, so of the compiled form.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from costmodel.errors import CostModelError, DoesNotFit
from costmodel.explore.effects import Change, Effect, Figures, Refused
from costmodel.explore.goals import Objective
from costmodel.explore.knobs import NAMES, Knob, Value
from costmodel.explore.machines import FIGURES, MEASURED, lacking_figures, target_of
from costmodel.explore.points import evaluate_points
from costmodel.explore.programs import NEEDS_PRICES, GraphOf
from costmodel.explore.space import Space
from costmodel.hardware.accelerator import KIB, Accelerator
from costmodel.hardware.pe import PE_KINDS
from costmodel.hardware.timing import DATAFLOWS

OF = {"energy": "energy_uj", "cycles": "cycles", "edp": "energy_delay_js", "bytes": "dram_bytes"}
NUMBERS = ("buffer_kib", "lanes", "bandwidth_mb_s", "local_kib")  # halved and doubled, where a target has them
BITS = ("widths", "attention")  # what decides what a model computes
LEAST, MOST = 2, 16  # bits
BEST = 8  # changes of which all combinations of three and more are tried
ALIKE = 1e-9  # a smaller share is none

Accuracies = Mapping[tuple[str, str], float]  # by attention and widths


# What may change

MACHINE = ("kinds", "array", "dataflow", *NUMBERS)


def machine_knobs(target: Accelerator) -> dict[str, Value]:
    """The knobs that a target has been built with."""
    local: dict[str, Value] = {"local_kib": target.local_bytes // KIB} if target.local_bytes else {}
    return {
        "kinds": "+".join(target.kinds),
        "array": f"{target.array.R}x{target.array.C}",
        "dataflow": target.dataflow,
        "buffer_kib": target.buffer_bytes // KIB,
        "lanes": target.lanes,
        "bandwidth_mb_s": target.bandwidth_mb_s,
        **local,
    }


def near_machines(target: Accelerator) -> dict[str, tuple[Value, ...]]:
    """Other values of each knob of a machine."""
    own = machine_knobs(target)
    R, C = target.array.R, target.array.C
    shapes = [(2 * R, C), (R // 2, C), (R, 2 * C), (R, C // 2)]
    kinds = [(next(iter(PE_KINDS)),), tuple(PE_KINDS)]
    found: dict[str, tuple[Value, ...]] = {
        "kinds": tuple("+".join(some) for some in kinds if set(some) != set(target.kinds)),
        "array": tuple(f"{rows}x{columns}" for rows, columns in shapes if rows and columns),
        "dataflow": tuple(flow for flow in DATAFLOWS if flow != target.dataflow),
    }
    for name in (name for name in NUMBERS if name in own):
        number = int(own[name])
        found[name] = tuple(n for n in (number // 2, 2 * number) if n)
    return found


def near_widths(text: str) -> tuple[str, ...]:
    """Narrower and wider integers, weights and activations by factors of two; of floats the integers of 8 bits."""
    base, colon, rest = text.partition(":")
    match = re.fullmatch("w([0-9]+)a([0-9]+)", base)
    if match is None:
        return ("w8a8",)
    w, a = map(int, match.groups())
    near = [(w // 2, a), (w // 2, a // 2), (2 * w, a), (w, 2 * a)]
    return tuple(f"w{x}a{y}{colon}{rest}" for x, y in near if LEAST <= x <= MOST and LEAST <= y <= MOST)


@dataclass(frozen=True)
class Neighbourhood:
    """A base and its changes as a space; place 0 of every knob is the base's value."""

    space: Space
    accuracies: Accuracies
    refused: tuple[Refused, ...]
    graph_of: GraphOf
    of: str

    @property
    def base(self) -> dict[str, Value]:
        """The knobs of the base."""
        return self.space.knobs(0)

    @property
    def changes(self) -> list[Change]:
        """Every single change."""
        knobs = self.space.all_knobs
        return [Change(k.name, k.values[0], now) for k in knobs for now in k.values[1:]]


def neighbourhood(
    base: Mapping[str, Value],
    others: Mapping[str, Sequence[Value]],
    accuracies: Accuracies,
    graph_of: GraphOf,
    of: str,
    objective: str | None,
) -> Neighbourhood:
    """The space of a base and its changes; of these the target refuses some.

    Raises:
        CostModelError: the target has no such figure.
    """
    refused = []
    knobs = []
    for name in (name for name in NAMES if name in base):
        kept = [base[name]]
        for value in others.get(name, ()):
            try:
                target_of({**base, name: value})
                kept.append(value)
            except DoesNotFit:
                kept.append(value)  # with another change it may fit
            except CostModelError as error:
                refused.append(Refused(Change(name, base[name], value), " ".join(str(error).split())))
        knobs.append(Knob(name, tuple(kept)))
    lacking = lacking_figures(target_of({"target": base["target"]}))
    if OF[of] in lacking:
        raise CostModelError(f"`of={of}`: {lacking[OF[of]]}; take cycles or bytes")
    if objective in NEEDS_PRICES and "energy_uj" in lacking:
        raise CostModelError(f"`objective={objective}` needs prices: {lacking['energy_uj']}; take cycles or bytes")
    figures = tuple(name for name in FIGURES if name != MEASURED)
    space = Space(
        name="sensitivity",
        where="sensitivity",
        all_knobs=tuple(knobs),
        objectives=(Objective(OF[of], "min"),),
        constraints=(),
        accuracy=None,
        figures=figures,
        data="",
        objective=objective,
    )
    return Neighbourhood(space, accuracies, tuple(refused), graph_of, of)


# What they save


def evaluated(near: Neighbourhood, combinations: Sequence[Collection[Change]]) -> list[Figures | str]:
    """Figures of each combination of changes, or what went wrong with it."""
    space, strides = near.space, near.space.strides()
    numbers = [sum(space.values(c.knob).index(c.now) * strides[c.knob] for c in some) for some in combinations]
    found = evaluate_points(space, numbers, {}, near.graph_of)
    made: list[Figures | str] = []
    for place, number in enumerate(numbers):
        if found.error[place]:
            made.append(found.errors[found.error[place]])
            continue
        row = {name: plain(column[place]) for name, column in found.columns.items()}
        knobs = space.knobs(number)
        accuracy = near.accuracies.get((str(knobs.get("attention")), str(knobs["widths"])))
        made.append(
            Figures(
                energy_uj=row.get("energy_uj"),
                latency_ms=row["latency_ms"] or 0.0,
                energy_delay_js=row.get("energy_delay_js"),
                cycles=int(row["cycles"] or 0),
                dram_bytes=int(row["dram_bytes"] or 0),
                area_mm2=row.get("area_mm2"),
                lut=whole(row.get("lut")),
                dsp=whole(row.get("dsp")),
                bram36=whole(row.get("bram36")),
                accuracy=accuracy,
            )
        )
    return made


def plain(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def base_figures(near: Neighbourhood) -> Figures:
    """Figures of the base.

    Raises:
        CostModelError: it does not run.
    """
    (found,) = evaluated(near, [()])
    if isinstance(found, str):
        raise CostModelError(found)
    return found


def effects(
    near: Neighbourhood, base: Figures, combinations: Sequence[Collection[Change]]
) -> tuple[list[Effect], list[tuple[Collection[Change], str]]]:
    """What combinations save, the most first, of equals in the order given; and those that do not run."""
    wrong: list[tuple[Collection[Change], str]] = []
    found: list[Effect] = []
    was = merit(base, near.of)
    for some, figures in zip(combinations, evaluated(near, combinations), strict=True):
        if isinstance(figures, str):
            wrong.append((some, figures))
        else:
            same = not any(change.knob in BITS for change in some)
            found.append(Effect(tuple(some), 1 - merit(figures, near.of) / was, figures, same))
    return sorted(found, key=lambda effect: -effect.saves), wrong


def merit(figures: Figures, of: str) -> float:
    found: float | None = getattr(figures, OF[of])
    return math.nan if found is None else found


def pairs_of(changes: Iterable[Change]) -> list[tuple[Change, Change]]:
    """Every two changes of different knobs."""
    return [(a, b) for a, b in itertools.combinations(changes, 2) if a.knob != b.knob]


# Three and more


def gains(singles: Sequence[Effect], pairs: Sequence[Effect]) -> dict[Change, float]:
    """Of each change the most that it saves: alone, or beyond what another saves without it."""
    alone = {effect.changes[0]: effect.saves for effect in singles}
    found = dict(alone)
    for effect in pairs:
        for mine, other in itertools.permutations(effect.changes):
            if other in alone:
                found[mine] = max(found.get(mine, -math.inf), effect.saves - alone[other])
    return found


def best_changes(gain: Mapping[Change, float]) -> tuple[Change, ...]:
    """The changes whose combinations are worth to be tried: those that save anything, the best first."""
    order = sorted((change for change, saves in gain.items() if saves > ALIKE), key=lambda change: -gain[change])
    return tuple(order[:BEST])


def larger(changes: Sequence[Change]) -> Iterator[list[tuple[Change, ...]]]:
    """Combinations of three changes, then of four, and so on; at most one of each knob."""
    for number in range(3, len({change.knob for change in changes}) + 1):
        yield [
            some
            for some in itertools.combinations(changes, number)
            if len({change.knob for change in some}) == number
        ]


@dataclass(frozen=True)
class Reached:
    """The combination that answers a wish."""

    effect: Effect
    reached: bool
    same_bits: Effect | None
    others: int
    tried: int
    beyond_pairs: tuple[Change, ...]


def search(
    near: Neighbourhood,
    base: Figures,
    share: float,
    singles: Sequence[Effect],
    pairs: Callable[[], Sequence[Effect]],
) -> Reached | None:
    """The smallest combination that saves a share: the least area of those, or the one that saves most.

    Singles and pairs are all tried; combinations of more are of the `BEST` changes. None: no change runs.
    """
    tried: list[Effect] = []
    beyond: tuple[Change, ...] = ()

    def levels() -> Iterator[Sequence[Effect]]:
        nonlocal beyond
        yield singles
        both = pairs()
        yield both
        beyond = best_changes(gains(singles, both))
        for combinations in larger(beyond):
            yield effects(near, base, combinations)[0]

    for level in levels():
        tried += level
        enough = [effect for effect in level if effect.saves >= share]
        if enough:
            best, *_ = ordered = sorted(enough, key=lambda effect: (price(effect.figures), -effect.saves))
            exact = None if best.same_bits else next((effect for effect in ordered if effect.same_bits), None)
            return Reached(best, True, exact, len(enough) - 1, len(tried), beyond)
    if not tried:
        return None
    best = max(tried, key=lambda effect: effect.saves)
    return Reached(best, False, None, 0, len(tried), beyond)


def price(figures: Figures) -> float:
    """What a machine takes of its kind: area, or LUTs; 0 where neither is known."""
    if figures.area_mm2 is not None:
        return figures.area_mm2
    return float(figures.lut or 0)


def better_pairs(singles: Sequence[Effect], pairs: Sequence[Effect]) -> list[Effect]:
    """Pairs that save more than either of their changes."""
    alone = {effect.changes[0]: effect.saves for effect in singles}
    return [p for p in pairs if p.saves > max(alone.get(change, 0.0) for change in p.changes) + ALIKE]
