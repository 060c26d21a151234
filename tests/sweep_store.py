"""A small store of a sweep, filled without the sweep."""

from __future__ import annotations

from pathlib import Path

import numpy as np

SPACE = """
objectives = ["energy_uj", "latency_ms", "area_mm2"]
[knobs]
model = "distilbert-tiny"
attention = ["dot", "inhibitor"]
seq = [16]
target = "edge-asic"
array = ["8x8", "16x16", "32x32"]
lanes = [16, 64]
"""


def make_store(folder: Path) -> Path:
    """All points of SPACE, evaluated and stored."""
    from costmodel.api.spaces import graph_of, read_space
    from costmodel.explore.points import evaluate_points
    from costmodel.explore.store import create_store, transaction

    (folder / "space.toml").write_text(SPACE)
    space = read_space(folder / "space.toml")
    found = evaluate_points(space, np.arange(len(space)), {}, graph_of)
    store = create_store(folder / "sweep.db", space)
    rows = [(*row[:-2], int(row[-2]), row[-1]) for row in found.rows()]
    marks = ", ".join("?" * len(rows[0]))
    with transaction(store.connection):
        store.connection.executemany(f"INSERT INTO points VALUES ({marks})", rows)
    store.connection.close()
    return folder / "sweep.db"
