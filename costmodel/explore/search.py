"""A search of spaces too large to try every point: Optuna proposes, by what it was told of the points before.

The order of what is proposed depends on the space, the number of trials, the seed and the figures alone. So a
search that was stopped is run again from its start: points that are known answer at once, and it goes on with the
very points that it would have gone on with.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna

from costmodel.errors import CostModelError
from costmodel.explore.knobs import NUMBERS, Knob
from costmodel.explore.space import Space, with_values
from costmodel.hardware.timing import parse_array

SAMPLERS = ("nsga2", "tpe")
POPULATION = 32  # points that are proposed together, and that a generation has: at most, and at least half of them
# Few trials have at least so many generations: from 252 the worst of twenty seeds then finds 98.0 % of the volume
# of a front, with generations of 32 it is 96.8 %.
GENERATIONS = 16
MOST_REPEATS = 40  # generations in a row that propose nothing new: the search is at its end


@dataclass(frozen=True)
class Judged:
    """A point: its objectives in the space's order, None where it failed; how far each constraint is broken."""

    values: tuple[float, ...] | None
    broken: tuple[float, ...]  # 0 or less: it holds

    @property
    def feasible(self) -> bool:
        return self.values is not None and all(b <= 0 for b in self.broken)


Evaluate = Callable[[list[int]], Mapping[int, Judged]]
Proposals = Generator[list[int], Mapping[int, Judged], None]


def search(space: Space, trials: int, seed: int, evaluate: Evaluate, sampler: str = "nsga2") -> dict[int, Judged]:
    """Distinct points by number, in the order proposed, at most `trials`.

    Args:
        evaluate: judges some points; one that is known already it need not compute again.

    Raises:
        CostModelError: trials below 1, a negative seed, no such sampler.
    """
    found: dict[int, Judged] = {}
    run = proposals(space, trials, seed, sampler)
    asked = next(run, None)
    while asked is not None:
        found |= evaluate(asked)
        try:
            asked = run.send(found)
        except StopIteration:
            break
    return found


def proposals(space: Space, trials: int, seed: int, sampler: str = "nsga2") -> Proposals:
    """Yields points that were not asked for before; wants to be sent all that is known of points, these included.

    Points that run other sizes are not compared, so that each combination of sizes has a search of its own, with
    its share of the trials.

    Raises:
        CostModelError: as `search`.
    """
    check(trials, seed, sampler)
    left = trials
    for group in range(space.groups):
        share = -(-left // (space.groups - group))
        part, numbers = part_of(space, group)
        run = proposals_of(part, share, seed, sampler)
        found: dict[int, Judged] = {}
        asked = next(run, None)
        while asked is not None:
            left -= len(asked)
            whole = {i: numbers(i) for i in asked}
            known = yield list(whole.values())
            found |= {i: known[number] for i, number in whole.items()}
            try:
                asked = run.send(found)
            except StopIteration:
                break


def part_of(space: Space, group: int) -> tuple[Space, Callable[[int], int]]:
    """The points of one combination of sizes as a space, and the number of each of them in the whole."""
    part, strides, first = space, space.strides(), 0
    for name in reversed(space.apart):
        values = space.values(name)
        group, place = divmod(group, len(values))
        first += place * strides[name]
        part = with_values(part, name, (values[place],))

    def number(index: int) -> int:
        digits = part.digits([index])
        return first + sum(int(place[0]) * strides[name] for name, place in digits.items())

    return part, number


def proposals_of(space: Space, trials: int, seed: int, sampler: str) -> Proposals:
    """As `proposals`, of a space whose points are all compared."""
    if trials < 1:
        return
    population = POPULATION if sampler == "tpe" else population_of(trials)
    study = new_study(space, seed, sampler, population)
    asked: set[int] = set()
    repeats = 0
    while len(asked) < min(trials, len(space)) and repeats < MOST_REPEATS:
        batch = [study.ask() for _ in range(population)]
        places = [point_of(space, trial) for trial in batch]
        new = [i for i in dict.fromkeys(places) if i not in asked][: trials - len(asked)]
        repeats = 0 if new else repeats + 1
        if new:
            known = yield new
            asked |= set(new)
        for trial, index in zip(batch, places, strict=True):
            if index in asked:
                tell(study, trial, known[index], len(space.constraints))
            else:
                study.tell(trial, state=optuna.trial.TrialState.FAIL)


def check(trials: int, seed: int, sampler: str) -> None:
    if trials < 1:
        raise CostModelError(f"{trials} trials are not at least 1")
    if not 0 <= seed < 1 << 32:
        raise CostModelError(f"seed {seed} is not from 0 to {(1 << 32) - 1}")
    if sampler not in SAMPLERS:
        raise CostModelError(f"unknown sampler {sampler!r}; known: {', '.join(SAMPLERS)}")


def population_of(trials: int) -> int:
    """Points of a generation: selection does more for few trials than a wide choice does."""
    return min(POPULATION, max(POPULATION // 2, trials // GENERATIONS))


def new_study(space: Space, seed: int, sampler: str, population: int) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # its progress is not ours to print
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        made: Any = (
            optuna.samplers.NSGAIISampler(population_size=population, seed=seed)
            if sampler == "nsga2"
            else optuna.samplers.TPESampler(n_startup_trials=population, seed=seed)
        )
    ways = optuna.study.StudyDirection
    directions = [ways.MINIMIZE if o.sense == "min" else ways.MAXIMIZE for o in space.objectives]
    return optuna.create_study(directions=directions, sampler=made)


def ordered(knob: Knob) -> list[int] | None:
    """Places of a knob's values from small to large; None where they have no order."""
    if knob.name in NUMBERS:
        return sorted(range(len(knob.values)), key=lambda place: knob.values[place])
    if knob.name == "array":
        shapes = [parse_array(str(value)) for value in knob.values]
        return sorted(range(len(shapes)), key=lambda place: (shapes[place].pes, shapes[place].R))
    return None


def point_of(space: Space, trial: optuna.Trial) -> int:
    """The number of the point that a trial proposes."""
    index = 0
    for knob in space.all_knobs:
        order = ordered(knob)
        number = len(knob.values)
        if order is None:
            place = int(trial.suggest_categorical(knob.name, range(number)))
        else:
            place = order[trial.suggest_int(knob.name, 0, number - 1)]
        index = index * number + place
    return index


def tell(study: optuna.Study, trial: optuna.Trial, judged: Judged, constraints: int) -> None:
    if judged.values is None:
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
        return
    for j in range(constraints):
        trial.set_constraint(f"c{j}", judged.broken[j])
    study.tell(trial, judged.values)


def judge(space: Space, indices: Any, columns: Mapping[str, Any]) -> dict[int, Judged]:
    """Points as a search is told them, from their figures [n] by name, of `Results` or of a store."""
    indices = np.asarray(indices, np.int64)
    digits = space.digits(indices)
    values = np.stack([np.asarray(columns[o.name], float) for o in space.objectives], axis=1)
    broken = np.zeros((len(indices), len(space.constraints)))
    for j, constraint in enumerate(space.constraints):
        if constraint.name in columns:
            column = np.asarray(columns[constraint.name], float)
        else:
            column = np.array(space.values(constraint.name), float)[digits[constraint.name]]
        # In shares of the limit, so that constraints in other units weigh alike; at the limit a < is broken.
        over = np.abs(column - constraint.limit) / (abs(constraint.limit) or 1.0)
        broken[:, j] = np.where(constraint.holds(column), -over, np.maximum(over, 1e-12))
    failed = ~np.isfinite(values).all(axis=1) | ~np.isfinite(broken).all(axis=1)
    return {
        index: Judged(None if bad else tuple(row), () if bad else tuple(breaks))
        for index, bad, row, breaks in zip(
            indices.tolist(), failed.tolist(), values.tolist(), broken.tolist(), strict=True
        )
    }


def searcher(
    space: Space, trials: int, seed: int, sampler: str = "nsga2"
) -> Callable[[Mapping[int, Judged]], Sequence[int]]:
    """What to evaluate next, given all that is known: a call with the answers gives the next ones, then none."""
    run = proposals(space, trials, seed, sampler)
    asked = next(run, None)

    def propose(known: Mapping[int, Judged]) -> Sequence[int]:
        nonlocal asked
        while asked is not None:
            missing = [index for index in asked if index not in known]
            if missing:
                return missing
            try:
                asked = run.send(known)
            except StopIteration:
                asked = None
        return ()

    return propose
