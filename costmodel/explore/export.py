"""All points of a store as a CSV or Parquet file: knobs, figures, feasible, error."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import BinaryIO

import numpy as np

from costmodel.errors import CostModelError
from costmodel.explore.space import Array, Space
from costmodel.explore.store import Points
from costmodel.files import write_output
from costmodel.records import Cell

EXPORTS = (".csv", ".parquet")
BLOCK = 65536  # rows of a CSV written at a time


def export_points(path: Path, space: Space, points: Points) -> None:
    """All points, knobs and figures, as CSV or Parquet; whole or not at all.

    Raises:
        CostModelError: pyarrow is missing, or the file cannot be written.
    """
    columns = columns_of(space, points)
    write = write_csv if path.suffix == ".csv" else write_parquet
    write_output(path, lambda file: write(file, columns), "export")


def columns_of(space: Space, points: Points) -> dict[str, Array]:
    """Arrays [N] by name: the number of the point, knobs, figures (NaN: none), feasible, error ("": none)."""
    digits = space.digits(points.indices)
    knobs = {knob.name: np.array(knob.values)[digits[knob.name]] for knob in space.all_knobs}
    errors = np.full(len(points.indices), "", dtype=object)
    if points.errors:
        numbers = np.array(list(points.errors))
        errors[np.searchsorted(points.indices, numbers)] = list(points.errors.values())
    state = {"feasible": points.feasible, "error": errors}
    return {"point": points.indices, **knobs, **points.columns, **state}


def write_csv(file: BinaryIO, columns: dict[str, Array]) -> None:
    """Numbers in the shortest form that reads back as the same; whole ones without a point; no figure is empty."""
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for start in range(0, len(columns["point"]), BLOCK):
        cells = [cells_of(column[start : start + BLOCK]) for column in columns.values()]
        writer.writerows(zip(*cells, strict=True))
    text.flush()
    text.detach()  # the file is closed by whoever opened it


def cells_of(column: Array) -> list[Cell]:
    if column.dtype.kind != "f":
        return list(column.astype(int) if column.dtype.kind == "b" else column.tolist())
    return ["" if x != x else int(x) if x.is_integer() else x for x in column.tolist()]


def write_parquet(file: BinaryIO, columns: dict[str, Array]) -> None:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise CostModelError("a .parquet file needs pyarrow: pip install 'costmodel[parquet]'") from None
    arrays = {name: pyarrow.array(column, from_pandas=True) for name, column in columns.items()}
    parquet.write_table(pyarrow.table(arrays), file, compression="zstd")
