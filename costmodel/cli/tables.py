"""`costmodel tables`: the cost tables with units and sources."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from costmodel import render
from costmodel.cli.common import check_output, output_options, show
from costmodel.technology import load_table, table_names


@click.command("tables")
@click.argument("name", required=False)
@output_options
def command(name: str | None, format_: str, output: Path | None) -> None:
    """Print all cost tables, or the one called NAME, with units and sources.

    Example: costmodel tables horowitz45
    """
    check_output(output)
    tables = [load_table(n) for n in ([name] if name else table_names())]
    grids = [grid for table in tables for grid in render.table_grids(table)]
    notes = [note for table in tables for note in render.table_notes(table)]
    record = {"tables": [asdict(table) for table in tables]}
    show(format_, output, record, render.render_tables_csv(tables), grids, notes)
