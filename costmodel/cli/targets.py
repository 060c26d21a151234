"""`costmodel targets`: the accelerators, what they occupy, and what an FPGA part holds."""

from __future__ import annotations

from pathlib import Path

import click

from costmodel.cli.common import check_output, output_options, show
from costmodel.hardware.loading import load_target, target_names
from costmodel.hardware.records import target_record
from costmodel.show import formats
from costmodel.show.target_tables import details, fpga_grids, overview


@click.command("targets")
@click.argument("name", required=False)
@output_options
def command(name: str | None, form: str, output: Path | None) -> None:
    """Print all targets, or the one called NAME (or a file NAME.toml), with sources.

    A target can be varied in place: edge-asic:array=16x16,buffer_kib=128,dataflow=ws.

    Example: costmodel targets xc7z020
    """
    check_output(output)
    targets = [load_target(n) for n in ([name] if name else target_names())]
    records = [target_record(target) for target in targets]
    grids = [overview(targets)] if name is None else [details(targets[0]), *fpga_grids(targets[0])]
    notes = [f"{t.name}: {t.title}. {t.source}. {t.note}." for t in targets]
    flat = [{k: v for k, v in r.items() if not isinstance(v, dict | list)} for r in records]
    show(form, output, {"targets": records}, formats.render_records_csv(flat), grids, notes)
