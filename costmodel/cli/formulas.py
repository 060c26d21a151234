"""`costmodel formula`: closed forms of counts, bytes and energy, and where two mechanisms break even."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from costmodel.api.formulas import (
    BREAK_EVEN,
    ON_TARGET,
    QUANTITIES,
    Machine,
    forms,
    on_target,
    own_sizes,
    quantity,
    solve,
)
from costmodel.cli.common import check_output, check_sizes, output_options, show
from costmodel.errors import CostModelError
from costmodel.hardware.loading import load_target
from costmodel.hardware.timing import CONVENTIONS
from costmodel.ops.counts import FIELDS
from costmodel.show import formats
from costmodel.show.formula_tables import notes_of, rows_of
from costmodel.show.grid import Grid
from costmodel.technology.loading import load_table
from costmodel.widths.policy import parse_policy
from models.attention.mechanisms import parse_mechanism


@click.command("formula")
@click.argument("model")
@click.option("--attention", default="dot", show_default=True)
@click.option("--of", "of", type=click.Choice(QUANTITIES), help="One quantity.  [default: all counts and bytes]")
@click.option("--table", default="horowitz45", show_default=True, help="Cost table of energy_pj.")
@click.option("--break-even", "symbol", type=click.Choice(BREAK_EVEN), help="Solve for this symbol.")
@click.option("--against", default="inhibitor", show_default=True, help="The other mechanism, with --break-even.")
@click.option("--on", "target", help="A target: forms of cycles, moved_bytes, buffer_bytes, energy_pj.")
@click.option("--widths", default="w8a8", show_default=True, help="Number types, with --on.")
@click.option("--timing", type=click.Choice(CONVENTIONS), default="array", show_default=True)
@click.option("--prices", type=click.Choice(("numbers", "symbols")), default="numbers", show_default=True)
@click.option("--seq", type=int, help="S, where it is not solved for.  [default: 128]")
@click.option("--batch", type=int, default=1, show_default=True, help="B, where it is not solved for.")
@output_options
def command(
    model: str,
    attention: str,
    of: str | None,
    table: str,
    symbol: str | None,
    against: str,
    target: str | None,
    widths: str,
    timing: str,
    prices: str,
    seq: int | None,
    batch: int,
    form: str,
    output: Path | None,
) -> None:
    """Closed forms in B, S, d, H, G, F, L of MODEL, a preset.

    B batch, S sequence, d width of a head, H heads, G heads of keys and values, F width of the FFN,
    L layers; the model's width is H d. Energy is the nominal energy of float32 arithmetic, or with --on all
    of a target's at some widths. Forms on a target are piecewise: printed is the piece around --seq, where
    tiles, types and the slowest unit are as chosen there; break-even points on a target are searched for
    among all lengths.

    Example: costmodel formula distilbert --attention dot --of energy_pj --break-even S --against inhibitor
    """
    check_output(output)
    check_sizes(batch, seq)
    record: dict[str, Any] = {"model": model, "attention": attention}
    if target is None and of in ON_TARGET[:-1]:
        raise CostModelError(f"{of} are those of a machine: name one with --on, see costmodel targets")
    policy = parse_policy(widths)
    load_table(table)
    for name in (attention, against):
        parse_mechanism(name)
    if target is not None:
        machine = Machine(load_target(target), policy, timing, prices == "symbols")
        record |= on_target(model, attention, against, of, symbol, machine, batch, seq)
    elif symbol is None:
        names = (of,) if of else (*FIELDS, "flops")
        shown = None if prices == "symbols" else table
        record["formulas"] = {n: str(quantity(n, forms(model, attention), shown)) for n in names}
    else:
        record |= solve(model, attention, against, of or "flops", symbol, table, own_sizes(model, batch, seq))
    rows = tuple(tuple(map(str, row.values())) for row in rows_of(record))
    grid = Grid(f"{model}, attention {attention}", tuple(rows_of(record)[0]), rows, numbers=False)
    show(form, output, record, formats.render_records_csv(rows_of(record)), [grid], notes_of(record))
