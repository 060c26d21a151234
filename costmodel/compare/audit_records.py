"""What other counters say of a model, as a record of `costmodel audit`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from costmodel.records import INLINE

TOOLS = ("FlopCounterMode", "fvcore")


@dataclass(frozen=True)
class AuditRow:
    """One op under every counter; None is no count."""

    op: str
    costmodel: int | None
    FlopCounterMode: int | None
    fvcore: int | None

    def of(self, tool: str) -> int | None:
        """What one of `TOOLS` counts."""
        return self.FlopCounterMode if tool == "FlopCounterMode" else self.fvcore


@dataclass(frozen=True)
class AuditTotals:
    """The whole model under every counter; None where one does not run."""

    costmodel: int
    costmodel_macs: int
    FlopCounterMode: int | None
    fvcore: int | None


@dataclass(frozen=True)
class Audited:
    """Our counts beside those of other tools, and what the tools leave out."""

    complete: bool
    unknown: tuple[str, ...]  # calls without a rule, which count nothing
    units: dict[str, str]  # what each counter counts
    failed: dict[str, str]  # why a tool does not run, by tool
    fvcore_unsupported: dict[str, int]  # calls that fvcore itself lists, and how often
    rows: tuple[AuditRow, ...]
    totals: AuditTotals
    left_out: dict[str, dict[str, int]]  # operations by op, by tool
    left_out_share: dict[str, float]  # of all operations, by tool


@dataclass(frozen=True)
class AuditRecord:
    """One model on one device under every counter."""

    model: str
    attention: str
    batch: int | None  # None where the user's own model decides the sizes
    seq: int | None
    device: str
    audited: Annotated[Audited, INLINE]
