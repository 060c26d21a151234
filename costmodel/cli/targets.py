"""`costmodel targets`: the accelerators, what they occupy, and what an FPGA part holds."""

from __future__ import annotations

from pathlib import Path

import click

from costmodel.api.targets import listed
from costmodel.cli.common import check_output, output_options, present


@click.command("targets")
@click.argument("name", required=False)
@output_options
def command(name: str | None, form: str, output: Path | None) -> None:
    """Print all targets, or the one called NAME (or a file NAME.toml), with sources.

    A target can be varied in place: edge-asic:array=16x16,buffer_kib=128,dataflow=ws.

    Example: costmodel targets xc7z020
    """
    check_output(output)
    present(listed(name), form, output)
