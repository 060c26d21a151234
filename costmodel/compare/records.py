"""Records of a report and of a price, as `--format json` prints them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from costmodel.compare.evaluation import Evaluation
from costmodel.compare.lengths import Intervals
from costmodel.compare.machine import MachineRecord, WidthsRecord
from costmodel.compare.pictures import Pictures
from costmodel.compare.ratios import Ratio
from costmodel.counting.energy import TableEnergy
from costmodel.counting.records import CountRecord
from costmodel.records import INLINE, OPTIONAL


@dataclass(frozen=True)
class ReportColumn:
    """One mechanism: counts, energy under tables, and where they were asked for widths and machine."""

    count: Annotated[CountRecord, INLINE]
    energy_pj: dict[str, TableEnergy]  # by table
    widths: Annotated[WidthsRecord | None, OPTIONAL] = None
    machine: Annotated[MachineRecord | None, OPTIONAL] = None

    @property
    def attention(self) -> str:
        return self.count.subject.attention


@dataclass(frozen=True)
class Verdict:
    """Energy of one mechanism over that of the first under one table; None where the table has no price.

    Beside the columns of a report memory is every operand, one by one; on a machine it is that of the target.
    """

    table: str
    column: int  # of the report
    attention: str
    over: str  # the first mechanism
    core_arithmetic: Ratio | None
    model_arithmetic: Ratio | None
    core_with_memory: Ratio | None
    model_with_memory: Ratio | None
    missing: Annotated[str | None, OPTIONAL] = None


@dataclass(frozen=True)
class ReportRecord:
    """Mechanisms side by side."""

    columns: tuple[ReportColumn, ...]
    summary: str
    verdict: tuple[Verdict, ...]  # operands one by one
    complete: bool
    machine_verdict: Annotated[tuple[Verdict, ...] | None, OPTIONAL] = None  # on the target
    over_lengths: Annotated[dict[str, Intervals] | None, OPTIONAL] = None  # each other mechanism against the first
    # Of each mechanism runs of lengths, first and last, at which an attention core runs op by op.
    op_by_op: Annotated[dict[str, tuple[tuple[int, int], ...]] | None, OPTIONAL] = None
    accuracy: Annotated[tuple[Evaluation, ...] | None, OPTIONAL] = None
    pictures: Annotated[Pictures | None, OPTIONAL] = None  # what only the page shows

    def verdict_of(self, column: int) -> tuple[Verdict, ...]:
        """Of one column over the first: on the machine where there is one."""
        return tuple(v for v in self.machine_verdict or self.verdict if v.column == column)


@dataclass(frozen=True)
class PriceRecord:
    """One model at some widths, under tables and on a target."""

    model: str
    attention: str
    batch: int | None
    seq: int | None
    widths: WidthsRecord
    machine: Annotated[MachineRecord | None, OPTIONAL] = None
