"""What the functions of `import costmodel as cm` return: a record, and the ways to look at it.

A result prints as the command line does, shows as small tables in a notebook, and gives its numbers as plain
dicts: `pandas.DataFrame(result.to_rows())` takes them as they are.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from costmodel.graph.ir import Graph
from costmodel.show.formats import render_table
from costmodel.show.grid import Grid, shown, sizes_of
from costmodel.show.notebook import html_grid, html_notes


@dataclass(frozen=True, repr=False)
class Result:
    """A record, as the command line prints it as JSON, with rows, grids and notes made of it."""

    record: dict[str, Any]
    rows: tuple[dict[str, Any], ...]
    grids: tuple[Grid, ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The whole record: a copy, plain dicts, lists, numbers and text."""
        return copy.deepcopy(self.record)

    def to_rows(self) -> list[dict[str, Any]]:
        """One flat dict a row, all with the same keys: `pandas.DataFrame(result.to_rows())`."""
        return [dict(row) for row in self.rows]

    @property
    def title(self) -> str:
        """What this is of."""
        return self.grids[0].title

    def __str__(self) -> str:
        return render_table(list(self.grids), list(self.notes)).rstrip("\n")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.title}>"

    def __rich__(self) -> Any:
        from rich.text import Text

        return Text(str(self), no_wrap=True)

    def _repr_html_(self) -> str:
        return "\n".join(html_grid(grid) for grid in self.grids) + html_notes(self.notes)


@dataclass(frozen=True, repr=False)
class Trace(Result):
    """The graph of one forward pass; see `costmodel.graph.ir`."""

    graph: Graph


@dataclass(frozen=True, repr=False)
class Count(Result):
    """Operations and bytes; `record` as of `costmodel count --format json`."""

    @property
    def counts(self) -> dict[str, int]:
        """Scalar operations of the whole model by name: mul, add, cmp, abs, exp, ..."""
        return dict(self.record["counts"])

    @property
    def core(self) -> dict[str, int]:
        """Of these the attention core's: between the projections of q, k, v and the output projection."""
        return dict(self.record["attention_core"]["counts"])

    @property
    def bytes(self) -> dict[str, int]:
        """operand_read, operand_write, compulsory, peak_live."""
        return dict(self.record["bytes"])


@dataclass(frozen=True, repr=False)
class Price(Result):
    """Arithmetic at some widths under tables, and on a target what it costs there.

    `record["widths"]`: counts by operation and width, energy of the arithmetic by table in pJ. With a target
    `record["machine"]`: cycles, seconds, bytes of each level, energies [nominal, low, high] in pJ, area in mm²
    or resources, steps. The properties are None without a target, and where nothing is published for it.
    """

    @property
    def machine(self) -> dict[str, Any] | None:
        return self.record.get("machine")

    @property
    def cycles(self) -> int | None:
        return self.machine["cycles"] if self.machine else None

    @property
    def latency_ms(self) -> float | None:
        return 1e3 * self.machine["seconds"] if self.machine else None

    @property
    def energy_uj(self) -> float | None:
        """Nominal, of arithmetic and memory together."""
        energy = self.machine["energy_pj"]["total"] if self.machine else None
        return None if energy is None else energy[0] / 1e6

    @property
    def area_mm2(self) -> float | None:
        area = self.machine["area_mm2"] if self.machine else None
        return None if area is None else area["total"]

    @property
    def resources(self) -> dict[str, int]:
        """LUTs, DSPs and BRAMs on an FPGA; empty for an ASIC."""
        return {name: used for name, (used, _) in self.machine["resources"].items()} if self.machine else {}


@dataclass(frozen=True, repr=False)
class Formula(Result):
    """Closed forms by quantity, or where two mechanisms cost the same.

    `sizes` are the model's own numbers for the symbols B, S, d, H, G, F, L.
    """

    sizes: Mapping[str, int]

    @property
    def formulas(self) -> dict[str, str]:
        """Forms as text; empty where a break-even point was asked for."""
        return dict(self.record.get("formulas", {}))

    @property
    def break_even(self) -> tuple[float, ...]:
        """Values of the symbol at which the two are equal."""
        return tuple(self.record.get("break_even", ()))

    def expression(self, quantity: str | None = None) -> Any:
        """A form as a sympy expression; the first one where no quantity is named."""
        import sympy

        from costmodel.counting.symbols import SYMBOLS

        name = quantity or next(iter(self.formulas))
        return sympy.sympify(self.formulas[name], locals=dict(SYMBOLS))

    def at(self, quantity: str | None = None, **sizes: int) -> int | float:
        """The form in numbers: the model's own sizes, or those given by symbol, such as `S=512`.

        Raises:
            CostModelError: a symbol that no form has.
        """
        from costmodel.counting.symbols import SYMBOLS
        from costmodel.errors import CostModelError

        for name in sizes:
            if name not in SYMBOLS:
                raise CostModelError(f"there is no symbol {name}; known: {', '.join(SYMBOLS)}")
        numbers = {SYMBOLS[name]: value for name, value in {**self.sizes, **sizes}.items()}
        value = self.expression(quantity).subs(numbers)
        return int(value) if value.is_integer else float(value)


@dataclass(frozen=True, repr=False)
class Report(Result):
    """Mechanisms side by side; `record` as of `costmodel report --format json`."""


@dataclass(frozen=True, repr=False)
class Audit(Result):
    """The same model under other counters; `record` as of `costmodel audit --format json`."""


@dataclass(frozen=True, repr=False)
class Target(Result):
    """One accelerator and what it occupies; `record` as of `costmodel targets --format json`."""


def trace_result(record: dict[str, Any], graph: Graph) -> Trace:
    """A row a node: op, module, shapes and types of what it reads and makes."""
    rows = tuple(
        {
            "op": node.op,
            "module": node.module,
            "inputs": ", ".join(str(graph.values[i]) for i in node.inputs),
            "outputs": ", ".join(str(graph.values[i]) for i in node.outputs),
        }
        for node in graph.nodes
    )
    title = f"{record['model']}, attention {record['attention']}, {sizes_of(record)}{record['dtype']}: "
    title += f"{len(graph.nodes)} nodes, {shown(record['params'])} parameters"
    grid = Grid(
        title, ("op", "module", "inputs", "outputs"), tuple(tuple(r.values()) for r in rows), numbers=False
    )
    return Trace(record, rows, (grid,), (), graph)
