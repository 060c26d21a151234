"""`costmodel tables`: the cost tables with units and sources."""

from __future__ import annotations

from pathlib import Path

import click

from costmodel.api.tables import price_tables
from costmodel.cli.common import check_output, output_options, present


@click.command("tables")
@click.argument("name", required=False)
@output_options
def command(name: str | None, form: str, output: Path | None) -> None:
    """Print all cost tables of operations, or the one called NAME, with units and sources.

    NAME is a table, a FILE.toml of your own, either at another node (horowitz45@7nm, scaled by Stillmaker
    and Baas), or one of: memories, wires, fpga.

    Example: costmodel tables horowitz45
    """
    check_output(output)
    present(price_tables(name), form, output)
