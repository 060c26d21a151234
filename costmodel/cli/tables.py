"""`costmodel tables`: the cost tables with units and sources."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from costmodel import render
from costmodel.cli.common import check_output, output_options, put
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
    if format_ == "json":
        text = render.render_json({"tables": [asdict(table) for table in tables]})
    elif format_ == "csv":
        text = render.render_tables_csv(tables)
    else:
        form = render.render_table if format_ == "table" else render.render_md
        text = form(
            [g for t in tables for g in render.table_grids(t)], [n for t in tables for n in render.table_notes(t)]
        )
    put(text, output)
