"""What a mapping is chosen by: one function an objective, of what a mapping takes.

A key must not fall where a figure grows (cycles, energy, bytes of DRAM and buffer): the search keeps only what
no other mapping beats in all of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from costmodel.errors import CostModelError
from costmodel.ops.registry import enter


class Taken(Protocol):
    """What a mapping of a product or a core takes."""

    @property
    def cycles(self) -> int: ...
    @property
    def energy_pj(self) -> float: ...
    @property
    def dram_bits(self) -> int: ...
    @property
    def buffer_bits(self) -> int: ...
    @property
    def buffer_bytes(self) -> int: ...


Key = Callable[[Taken], tuple[float, ...]]


@dataclass(frozen=True)
class Objective:
    """What a search makes least."""

    name: str
    key: Key  # what is compared, most important first
    needs_prices: bool
    first: str | None  # which figure is compared first, if it is one of those that the search itself knows


@dataclass(frozen=True, eq=False)
class Weighed:
    """Figures of some mappings at once, of which objectives compare one first."""

    cycles: np.ndarray[Any, Any]
    energy_pj: np.ndarray[Any, Any]
    dram_bits: np.ndarray[Any, Any]

    def first(self, name: str) -> np.ndarray[Any, Any]:
        """The figure that is compared first: cycles, energy, edp or bytes."""
        if name == "edp":
            return self.energy_pj * self.cycles
        return {"cycles": self.cycles, "energy": self.energy_pj, "bytes": self.dram_bits}[name]


OBJECTIVES: dict[str, Objective] = {}


def objective(name: str, needs_prices: bool = False, first: str | None = None) -> Callable[[Key], Key]:
    """Register a key as the objective of that name."""

    def register(key: Key) -> Key:
        enter(OBJECTIVES, "objective", name)(Objective(name, key, needs_prices, first))
        return key

    return register


def objective_of(name: str) -> Objective:
    """The objective of a name.

    Raises:
        CostModelError: there is none.
    """
    if name not in OBJECTIVES:
        raise CostModelError(f"`objective={name}` is not one of {', '.join(OBJECTIVES)}")
    return OBJECTIVES[name]


KEPT_BITS = 40  # of a float's 53


def settled(energy_pj: float) -> float:
    """An energy without its last bits, in which sums of the same numbers in another order differ.

    So that of two choices which move the same, neither is better by how it is added up.
    """
    mantissa, exponent = math.frexp(energy_pj)
    return math.ldexp(round(math.ldexp(mantissa, KEPT_BITS)), exponent - KEPT_BITS)


@objective("cycles", first="cycles")
def fewest_cycles(cost: Taken) -> tuple[float, ...]:
    """Fewest cycles, then energy."""
    return cost.cycles, cost.energy_pj, cost.dram_bits, cost.buffer_bits, cost.buffer_bytes


@objective("energy", needs_prices=True, first="energy")
def least_energy(cost: Taken) -> tuple[float, ...]:
    """Least energy, then cycles."""
    return cost.energy_pj, cost.cycles, cost.dram_bits, cost.buffer_bits, cost.buffer_bytes


@objective("edp", needs_prices=True, first="edp")
def least_product(cost: Taken) -> tuple[float, ...]:
    """Least product of energy and delay, then cycles."""
    return cost.energy_pj * cost.cycles, cost.cycles, cost.dram_bits, cost.buffer_bits, cost.buffer_bytes


@objective("bytes", first="bytes")
def fewest_bytes(cost: Taken) -> tuple[float, ...]:
    """Fewest bytes from and to DRAM, then energy, then cycles."""
    return cost.dram_bits, cost.energy_pj, cost.cycles, cost.buffer_bits, cost.buffer_bytes
