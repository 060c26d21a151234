"""`target`: the accelerators, what they occupy, and what an FPGA part holds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import overload

from costmodel.api.results import Result
from costmodel.hardware.loading import load_target, target_names
from costmodel.hardware.records import TargetRecord, TargetsRecord, target_record
from costmodel.show.target_tables import overview_document, target_document


@dataclass(frozen=True, repr=False)
class Target(Result[TargetRecord]):
    """One accelerator and what it occupies."""


@dataclass(frozen=True, repr=False)
class Targets(Result[TargetsRecord]):
    """Several accelerators; `record` as of `costmodel targets --format json`."""


@overload
def target(name: str) -> Target: ...
@overload
def target(name: None = None) -> Targets: ...
def target(name: str | None = None) -> Target | Targets:
    """One accelerator: what it is, what it occupies, and on an FPGA the largest arrays that its part holds.

    Args:
        name: a target, a FILE.toml of your own, either varied in place as in `edge-asic:array=16x16`; None
            lists all that ship.

    >>> import costmodel as cm
    >>> zynq = cm.target("xc7z020").to_dict()
    >>> zynq["resources"]["dsp"], zynq["usable"]["dsp"]
    (210, 220)
    >>> [row["name"] for row in cm.target().to_rows()][:2]
    ['edge-asic', 'server-asic']

    Raises:
        BadTarget: no such target, or a description that is wrong.
        DoesNotFit: its part cannot hold it.
    """
    if name is None:
        return listed(None)
    record = target_record(load_target(name))
    return Target(record, target_document(record))


def listed(name: str | None) -> Targets:
    """All targets, or one in full, as a list."""
    records = tuple(target_record(load_target(n)) for n in (target_names() if name is None else [name]))
    if name is None:
        return Targets(TargetsRecord(records), overview_document(records))
    document = replace(target_document(records[0]), rows=overview_document(records).rows)
    return Targets(TargetsRecord(records), document)
