"""Records of what only the figures of a page show: roofline, shares at other lengths, front of a sweep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from costmodel.records import OPTIONAL, Json, flat


@dataclass(frozen=True)
class RooflinePoint:
    """Equal steps with a product, or all steps."""

    op: str
    core: bool
    modules: tuple[str, ...]
    times: int
    pairs: int  # of operands, of each step
    dram_bytes: float
    cycles: int
    pairs_per_byte: float | None  # None where no byte of DRAM moves
    pairs_per_cycle: float


@dataclass(frozen=True)
class RooflineColumn:
    """One mechanism; the last point is the whole model."""

    points: tuple[RooflinePoint, ...]


@dataclass(frozen=True)
class Roofline:
    """What the target can do, and what each mechanism makes of it."""

    target: str
    file: str
    pairs_per_cycle: int
    dram_bytes_per_cycle: float
    columns: tuple[RooflineColumn, ...]


@flat
@dataclass(frozen=True)
class CoreAndWhole:
    """A quantity of the attention core and of the whole model; its JSON is [core, whole]."""

    core: float
    whole: float


@dataclass(frozen=True)
class ShareColumn:
    """One mechanism at each length."""

    mul: tuple[CoreAndWhole, ...]
    flops: tuple[CoreAndWhole, ...]
    cycles: Annotated[tuple[CoreAndWhole, ...] | None, OPTIONAL] = None
    energy_pj: Annotated[tuple[CoreAndWhole, ...] | None, OPTIONAL] = None


@dataclass(frozen=True)
class Shares:
    """Share of the attention core against the length of the sequence."""

    seq: tuple[int, ...]
    columns: tuple[ShareColumn, ...]


@dataclass(frozen=True)
class Pictures:
    """All of them, as far as they apply."""

    clock_mhz: Annotated[int | None, OPTIONAL] = None
    table: Annotated[str | None, OPTIONAL] = None  # of the target
    roofline: Annotated[Roofline | None, OPTIONAL] = None
    shares: Annotated[Shares | None, OPTIONAL] = None
    front: Annotated[Json, OPTIONAL] = None  # of a store, as `api.fronts` makes it
