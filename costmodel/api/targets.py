"""`target`: one accelerator and what it occupies."""

from __future__ import annotations

from costmodel.api.results import Target
from costmodel.hardware.accelerator import Accelerator
from costmodel.hardware.loading import load_target


def target(name: str) -> Target:
    """One accelerator: what it is, what it occupies, and on an FPGA the largest arrays that its part holds.

    >>> import costmodel as cm
    >>> zynq = cm.target("xc7z020").to_dict()
    >>> zynq["resources"]["dsp"], zynq["usable"]["dsp"]
    (210, 220)

    Raises:
        BadTarget: no such target, or a description that is wrong.
        DoesNotFit: its part cannot hold it.
    """
    from costmodel.hardware import records
    from costmodel.show import target_tables

    found: Accelerator = load_target(name)
    record = records.target_record(found)
    rows = record.get("largest_arrays") or [{k: v for k, v in record.items() if not isinstance(v, dict | list)}]
    grids = (target_tables.details(found), *target_tables.fpga_grids(found))
    return Target(record, tuple(rows), grids, (f"{found.title}. {found.source}. {found.note}.",))
