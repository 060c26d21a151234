"""What can be added from outside the packages, and the files that hold it when it ships."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Point:
    """An extension point: the example from outside that proves it, and the files of a shipped one."""

    what: str
    example: str  # in tests/extension/outside
    files: tuple[str, ...]


EXTENSION = (
    Point(
        "aten op",
        "own_op.py",
        (
            "costmodel/ops/rules.py",
            "costmodel/graph/names.py",
            "tests/witness/loops.py",
            "tests/witness/samples.py",
        ),
    ),
    Point(
        "integer kernel",
        "own_kernel.py",
        ("costmodel/widths/rules.py", "sim/integer/rules.py", "sim/integer/floats.py", "sim/machine/events.py"),
    ),
    Point(
        "attention mechanism",
        "own_mechanism.py",
        ("models/attention/mechanisms.py", "models/attention/formulas.py", "tests/witness/naive.py"),
    ),
    Point(
        "PE kind",
        "own_pe.py",
        ("costmodel/hardware/pe.py", "costmodel/ops/rules.py", "costmodel/technology/fpga/xc7.toml"),
    ),
    Point("cost table", "own_table.toml", ("costmodel/technology/NAME.toml",)),
    Point("target", "own_target.toml", ("costmodel/hardware/targets/NAME.toml",)),
    Point("objective", "own_objective.py", ("costmodel/mapping/objectives.py",)),
    Point("output format", "own_format.py", ("costmodel/show/formats.py",)),
)
MOST_FILES = {
    "aten op": 4,
    "integer kernel": 4,
    "attention mechanism": 3,
    "PE kind": 3,
    "cost table": 1,
    "target": 1,
    "objective": 1,
    "output format": 1,
}
