"""`costmodel tables`: the cost tables with units and sources."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from costmodel.cli.common import check_output, output_options, show
from costmodel.show import price_lists
from costmodel.technology.loading import load_table, table_names


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
    if name in price_lists.LISTINGS:
        figures = price_lists.figures(name)
        record: dict[str, object] = {name: [asdict(figure) for figure in figures]}
        csv_text = price_lists.render_figures_csv(figures)
        show(form, output, record, csv_text, price_lists.figure_grids(figures), price_lists.figure_notes(figures))
        return
    tables = [load_table(n) for n in ([name] if name else table_names())]
    grids = [grid for table in tables for grid in price_lists.table_grids(table)]
    notes = [note for table in tables for note in price_lists.table_notes(table)]
    record = {"tables": [asdict(table) for table in tables]}
    show(form, output, record, price_lists.render_tables_csv(tables), grids, notes)
