"""What the subcommands share: options, checks of files to write, output."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click

from costmodel.api.graphs import Request
from costmodel.api.results import Result
from costmodel.dtypes import DEVICES, MODEL_DTYPES
from costmodel.files import write_output
from costmodel.mapping.objectives import OBJECTIVES
from costmodel.show.formats import FORMATS

F = TypeVar("F", bound=Callable[..., Any])


def model_options(command: Callable[..., None]) -> Callable[..., None]:
    """MODEL, sizes and device as one `Request`, the first argument; and the output options."""

    @functools.wraps(command)
    def with_request(
        model: str,
        batch: int,
        seq: int | None,
        dtype: str,
        device: str,
        as_run: bool,
        allow_unknown: bool,
        **others: Any,  # the command's own options, named in its signature
    ) -> None:
        command(Request(model, batch, seq, dtype, device, as_run, allow_unknown), **others)

    options = (
        click.argument("model"),
        click.option("--batch", type=int, default=1, show_default=True, help="Rows, B."),
        click.option("--seq", type=int, help="Positions a row, S.  [default: 128, or what the model takes]"),
        click.option("--dtype", type=click.Choice(MODEL_DTYPES), default="float32", show_default=True),
        click.option(
            "--device",
            type=click.Choice(DEVICES),
            default="meta",
            show_default=True,
            help="meta needs no weights.",
        ),
        click.option("--as-run", is_flag=True, help="Count the kernels that really ran, not the mathematics."),
        click.option("--allow-unknown", is_flag=True, help="Let calls without a rule through; marks the result."),
    )
    decorated = output_options(with_request)
    for option in reversed(options):
        decorated = option(decorated)
    return decorated


def objective_option(command: F) -> F:
    """What mappings on a target are chosen by."""
    return click.option(
        "--objective",
        type=click.Choice(tuple(OBJECTIVES)),
        help="What mappings on the target are chosen by.  [default: edp; cycles without prices]",
    )(command)


def output_options(command: F) -> F:
    """Format and output: the options of every command."""
    options = (
        click.option("--format", "form", type=click.Choice(list(FORMATS)), default="table", show_default=True),
        click.option("--output", type=click.Path(path_type=Path), help="A file, written whole or not at all."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def check_output(path: Path | None, option: str = "--output") -> None:
    """Refuse an output that cannot be written, before the work is done."""
    if path is None:
        return
    folder = path.parent if str(path.parent) else Path()
    if path.is_dir():
        raise click.BadParameter(f"{option} {path} is a directory; give a file")
    if not folder.is_dir():
        raise click.BadParameter(f"{option} {path}: there is no directory {folder}")
    if not os.access(folder, os.W_OK):
        raise click.BadParameter(f"{option} {path}: {folder} cannot be written")


def present(result: Result[Any], form: str, path: Path | None) -> None:
    """Print a result in the form asked for, or write the file whole; notes speak of options."""
    from costmodel.cli import in_options

    parameters = click.get_current_context().command.params
    document = result.document
    lead, notes = (
        tuple(in_options(line, parameters) for line in lines) for lines in (document.lead, document.notes)
    )
    put(replace(result, document=replace(document, lead=lead, notes=notes)).to_text(form), path)


def put(text: str, path: Path | None) -> None:
    """Print, or write the file whole."""
    if path is None:
        sys.stdout.write(text)
        return
    write_output(path, text, "output")
