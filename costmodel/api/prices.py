"""`price`: what one model costs at some widths, under tables and on a target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from costmodel.api.graphs import Request
from costmodel.api.results import Result
from costmodel.api.subjects import Model, check_choice, check_goal, counted_of
from costmodel.compare.machine import machine_record, widths_record
from costmodel.compare.records import PriceRecord
from costmodel.counting.records import CountRecord, count_record
from costmodel.errors import CostModelError
from costmodel.hardware.accelerator import Accelerator
from costmodel.hardware.loading import load_target
from costmodel.hardware.timing import CONVENTIONS
from costmodel.mapping.schedule import schedule
from costmodel.records import Json, encode
from costmodel.show.machine_tables import price_document
from costmodel.technology.loading import load_table
from costmodel.widths.assign import assign_widths
from costmodel.widths.policy import Policy, parse_policy

TABLES = ("horowitz45", "jouppi7")


@dataclass(frozen=True)
class Pricing:
    """At which widths, and where, a report prices its mechanisms; None where that was not asked for."""

    policy: Policy | None
    target: Accelerator | None
    timing: str
    objective: str | None = None


@dataclass(frozen=True, repr=False)
class Price(Result[PriceRecord]):
    """Arithmetic at some widths under tables, and on a target what it costs there.

    `record.widths`: counts by operation and width, energy of the arithmetic by table in pJ. With a target
    `record.machine`: cycles, seconds, bytes of each level, energies (nominal, low, high) in pJ, area in mm²
    or resources, steps. The properties are None without a target, and where nothing is published for it.
    """

    count: CountRecord  # operations and bytes of the same model

    @property
    def machine(self) -> dict[str, Json] | None:
        """`record.machine` as plain dicts, lists, numbers and text."""
        return None if self.record.machine is None else dict(encode(self.record.machine))

    @property
    def cycles(self) -> int | None:
        return None if self.record.machine is None else self.record.machine.cycles

    @property
    def latency_ms(self) -> float | None:
        return None if self.record.machine is None else 1e3 * self.record.machine.seconds

    @property
    def energy_uj(self) -> float | None:
        """Nominal, of arithmetic and memory together."""
        energy = None if self.record.machine is None else self.record.machine.energy_pj.total
        return None if energy is None else energy.nominal_pj / 1e6

    @property
    def area_mm2(self) -> float | None:
        area = None if self.record.machine is None else self.record.machine.area_mm2
        return None if area is None else area.total

    @property
    def resources(self) -> dict[str, int]:
        """LUTs, DSPs and BRAMs on an FPGA; empty for an ASIC."""
        found = {} if self.record.machine is None else self.record.machine.resources
        return {name: resource.used for name, resource in found.items()}


def price(
    model: Model,
    attention: str | None = None,
    seq: int | None = None,
    batch: int = 1,
    widths: str = "w8a8",
    target: str | None = None,
    table: str | Sequence[str] | None = None,
    timing: str = "array",
    objective: str | None = None,
    inputs: Any = None,
) -> Price:
    """What one model costs at some widths: its arithmetic under tables, and on a target all of it.

    Args:
        model: as of `trace`; a torch module comes with `inputs`.
        target: such as `edge-asic`, `edge-asic:array=16x16,buffer_kib=128`, or a file FILE.toml. Rows are
            then the steps of its schedule; without one they are operations by width.
        table: tables of the arithmetic, horowitz45 by default. With a target one table in place of its
            own, of the same node.
        objective: what mappings are chosen by: cycles, energy, edp, bytes. None takes edp, the energy-delay
            product, or cycles on a target without prices.

    >>> import costmodel as cm
    >>> cost = cm.price("distilbert", seq=128, widths="w8a8", target="edge-asic")
    >>> cost.cycles, round(cost.latency_ms, 3), round(cost.area_mm2, 2)
    (5856503, 11.713, 2.38)
    >>> cost.to_rows()[0]["op"]
    'gather+add+layer_norm+requantise'
    """
    check_choice("timing", timing, CONVENTIONS)
    policy = parse_policy(widths)
    machine = load_target(with_table(target, table)) if target else None
    check_goal(objective, machine)
    names = [table] if isinstance(table, str) else table or [machine.table if machine else TABLES[0]]
    tables = tuple(name for name in names if name)
    for name in tables:
        load_table(name)
    found = counted_of(Request(model, batch, seq), attention, inputs)
    typed = assign_widths(found.graph, policy)
    subject = found.subject
    planned = None if machine is None else schedule(typed, machine, timing, objective=objective)
    record = PriceRecord(
        model=subject.model,
        attention=subject.attention,
        batch=subject.batch,
        seq=subject.seq,
        widths=widths_record(typed, tables),
        machine=None if planned is None else machine_record(typed, planned),
    )
    count = count_record(subject, found.graph, found.tally, "kind")
    return Price(record, price_document(record, count, machine), count)


def with_table(target: str, table: str | Sequence[str] | None) -> str:
    """A target with its own table, or with one in its place.

    Raises:
        CostModelError: several tables.
    """
    if table is None:
        return target
    if not isinstance(table, str):
        raise CostModelError("on a `target` there is one table: give the name of one as `table`")
    return f"{target}{',' if ':' in target else ':'}table={table}"
