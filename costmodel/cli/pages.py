"""Checks of `costmodel report --html` before any work is done."""

from __future__ import annotations

from pathlib import Path

import click

from costmodel.cli.common import check_output


def check_page(path: Path | None, output: Path | None) -> None:
    """Refuse a page that cannot be written, before the work is done."""
    check_output(path, "--html")
    if path is not None and output is not None and output.resolve() == path.resolve():
        raise click.BadParameter(f"--html and --output are the same file {path}; give two")
