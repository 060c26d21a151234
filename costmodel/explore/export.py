"""All points of a store as a CSV or Parquet file: knobs, figures, feasible, error."""

from __future__ import annotations

import csv
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from costmodel.errors import CostModelError
from costmodel.explore.space import Space
from costmodel.explore.store import Points

EXPORTS = (".csv", ".parquet")
BLOCK = 65536  # rows of a CSV written at a time


def export_points(path: Path, space: Space, points: Points) -> None:
    """All points, knobs and figures, as CSV or Parquet; whole or not at all.

    Raises:
        CostModelError: pyarrow is missing, or the file cannot be written.
    """
    columns = columns_of(space, points)
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        if path.suffix == ".csv":
            write_csv(beside, columns)
        else:
            write_parquet(beside, columns)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(beside, 0o666 & ~mask)
        os.replace(beside, path)
    except OSError as error:
        raise CostModelError(f"{path} cannot be written: {error.strerror or error}") from None
    finally:
        with suppress(OSError):
            os.unlink(beside)


def columns_of(space: Space, points: Points) -> dict[str, Any]:
    """Arrays [N] by name: the number of the point, knobs, figures (NaN: none), feasible, error ("": none)."""
    digits = space.digits(points.indices)
    knobs = {knob.name: np.array(knob.values)[digits[knob.name]] for knob in space.all_knobs}
    errors = np.full(len(points.indices), "", dtype=object)
    if points.errors:
        numbers = np.array(list(points.errors))
        errors[np.searchsorted(points.indices, numbers)] = list(points.errors.values())
    state = {"feasible": points.feasible, "error": errors}
    return {"point": points.indices, **knobs, **points.columns, **state}


def write_csv(path: str, columns: dict[str, Any]) -> None:
    """Numbers in the shortest form that reads back as the same; whole ones without a point; no figure is empty."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        for start in range(0, len(columns["point"]), BLOCK):
            cells = [cells_of(column[start : start + BLOCK]) for column in columns.values()]
            writer.writerows(zip(*cells, strict=True))


def cells_of(column: Any) -> list[Any]:
    if column.dtype.kind != "f":
        return list(column.astype(int) if column.dtype.kind == "b" else column.tolist())
    return ["" if x != x else int(x) if x.is_integer() else x for x in column.tolist()]


def write_parquet(path: str, columns: dict[str, Any]) -> None:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise CostModelError("a .parquet file needs pyarrow: pip install 'costmodel[parquet]'") from None
    arrays = {name: pyarrow.array(column, from_pandas=True) for name, column in columns.items()}
    parquet.write_table(pyarrow.table(arrays), path, compression="zstd")
