"""The public functions: `import costmodel as cm`. They give what the command line prints, as data.

A model is a preset such as `distilbert` (a wrong name lists them), a directory or hub id with safetensors,
`package.module:function`, a torch module with `inputs`, or what `trace` returned. Sizes left out are B=1 and
S=128, or what the model takes. Traces need no weights, and are kept in the cache of the command line.

What a user can mend raises `costmodel.errors.CostModelError` or `models.errors.ModelError`: one line.
"""

from __future__ import annotations

from typing import Any

from costmodel import render
from costmodel.api_machine import price, report, target
from costmodel.api_model import Model, counted_of, of_model
from costmodel.api_run import simulate, sweep
from costmodel.count import GROUPINGS
from costmodel.counts import FIELDS
from costmodel.errors import CostModelError
from costmodel.report import count_record
from costmodel.results import Audit, Count, Formula, Trace, table, trace_result

__all__ = ["audit", "count", "formula", "price", "report", "simulate", "sweep", "table", "target", "trace"]


def trace(
    model: Model,
    attention: str | None = None,
    seq: int | None = None,
    batch: int = 1,
    dtype: str = "float32",
    inputs: Any = None,
) -> Trace:
    """The graph of one forward pass, in our ops: what all other functions start from.

    Args:
        attention: a mechanism such as `inhibitor:normalise=sqrt`; None takes `dot`, or the model's own.
        inputs: a mapping or tuple of tensors, where the model is a torch module; it decides all sizes.

    >>> import costmodel as cm
    >>> graph = cm.trace("distilbert", seq=128)
    >>> graph
    <Trace distilbert, attention dot, B=1, S=128, float32: 191 nodes, 66 362 880 parameters>
    >>> [row["op"] for row in graph.to_rows() if row["op"] == "softmax"]
    ['softmax', 'softmax', 'softmax', 'softmax', 'softmax', 'softmax']
    """
    found = counted_of(model, attention, seq, batch, dtype, inputs)
    subject = found.subject
    record: dict[str, Any] = {
        "model": subject.model,
        "attention": subject.attention,
        "batch": subject.batch,
        "seq": subject.seq,
        "dtype": subject.dtype,
        "params": found.tally.params,
        "nodes": [
            {"op": n.op, "module": n.module, "inputs": list(n.inputs), "outputs": list(n.outputs)}
            for n in found.graph.nodes
        ],
        "values": [{"shape": list(v.shape), "dtype": v.dtype, "kind": v.kind} for v in found.graph.values],
    }
    return trace_result(record, found.graph)


def count(
    model: Model,
    attention: str | None = None,
    seq: int | None = None,
    batch: int = 1,
    dtype: str = "float32",
    by: str = "kind",
    inputs: Any = None,
) -> Count:
    """Scalar operations and bytes of one forward pass; rows by kind, op, module or layer.

    >>> import costmodel as cm
    >>> counts = cm.count("distilbert", seq=128)
    >>> counts.counts["mul"], counts.core["mul"]
    (5598907648, 152174592)
    >>> [row["key"] for row in cm.count("distilbert", by="layer").to_rows()][-2:]
    ['transformer.layer.4', 'transformer.layer.5']

    Raises:
        CostModelError: an op without a rule, a wrong size, an unknown grouping.
    """
    if by not in GROUPINGS:
        raise CostModelError(f"by = {by!r} is not one of {', '.join(GROUPINGS)}")
    found = counted_of(model, attention, seq, batch, dtype, inputs)
    record = count_record(found.subject, found.graph, found.tally, by)
    names = [n for n in record["counts"] if any(row["counts"].get(n) for row in record["rows"])]
    rows = tuple(
        {"key": r["key"], "nodes": r["nodes"], **{n: r["counts"].get(n, 0) for n in names}}
        | {f"{way}_bytes": n for way, n in r["bytes"].items()}
        for r in record["rows"]
    )
    return Count(record, rows, tuple(render.count_grids(record)), tuple(render.count_notes(record)))


def formula(
    model: str,
    attention: str = "dot",
    of: str | None = None,
    break_even: str | None = None,
    against: str = "inhibitor",
    seq: int | None = None,
    batch: int = 1,
    table: str = "horowitz45",
    target: str | None = None,
    widths: str = "w8a8",
    timing: str = "array",
    prices: str = "numbers",
) -> Formula:
    """Closed forms of a preset in B, S, d, H, G, F, L; or where two mechanisms cost the same.

    Args:
        of: mul, add, ..., flops, operand_bytes, energy_pj; with a target cycles, moved_bytes, buffer_bytes,
            energy_pj. None gives all counts and bytes.
        break_even: a symbol to solve for, `against` another mechanism.
        target: forms on a target are piecewise: given is the piece around `seq`.
        prices: `symbols` leaves prices as symbols.

    >>> import costmodel as cm
    >>> mul = cm.formula("distilbert", of="mul")
    >>> mul.at(), mul.at(S=512)
    (5598907648, 24221725696)
    >>> cm.formula("distilbert", of="energy_pj", break_even="S").to_rows()
    [{'quantity': 'energy_pj', 'against': 'inhibitor', 'S': '1.23368'}]
    """
    from costmodel.cli import formula as cli
    from costmodel.hardware import load_target
    from costmodel.widths import parse_policy

    of_model(model, seq, batch)
    if of is not None and of not in cli.QUANTITIES:
        raise CostModelError(f"of = {of!r} is not one of {', '.join(cli.QUANTITIES)}")
    if break_even is not None and break_even not in cli.BREAK_EVEN:
        raise CostModelError(f"break_even = {break_even!r} is not one of {', '.join(cli.BREAK_EVEN)}")
    if target is None and of in cli.ON_TARGET[:-1]:
        raise CostModelError(f"{of} are those of a machine: name a target, see `costmodel targets`")
    sizes = cli.own_sizes(model, batch, seq)
    record: dict[str, Any] = {"model": model, "attention": attention}
    if target is not None:
        machine = cli.Machine(load_target(target), parse_policy(widths), timing, prices == "symbols")
        record |= cli.on_target(model, attention, against, of, break_even, machine, batch, seq)
    elif break_even is not None:
        record |= cli.solve(model, attention, against, of or "flops", break_even, table, sizes)
    else:
        names = (of,) if of else (*FIELDS, "flops")
        priced_by = None if prices == "symbols" else table
        forms = cli.forms(model, attention)
        record["formulas"] = {name: str(cli.quantity(name, forms, priced_by)) for name in names}
    rows = tuple(cli.rows_of(record))
    cells = tuple(tuple(map(str, row.values())) for row in rows)
    grid = render.Grid(f"{model}, attention {attention}", tuple(rows[0]), cells, numbers=False)
    return Formula(record, rows, (grid,), tuple(cli.notes_of(record)), sizes)


def audit(model: str, attention: str = "sdpa", seq: int | None = None, batch: int = 1) -> Audit:
    """What torch's FlopCounterMode and fvcore count of a model on CPU, and what they leave out.

    Args:
        attention: `sdpa` or `eager` of transformers, or a mechanism of ours.

    >>> import costmodel as cm
    >>> cm.audit("distilbert-tiny", seq=16).to_dict()["totals"]["FlopCounterMode"]
    32768
    """
    from costmodel.audit import audit_record
    from costmodel.canonical import canonicalise
    from costmodel.cli.common import quiet_imports
    from costmodel.count import count as tally
    from costmodel.lower import lower
    from costmodel.trace import trace as traced
    from models.load import load_model
    from models.mechanisms import parse_mechanism

    quiet_imports()
    of_model(model, seq, batch)
    native = attention if attention in ("eager", "sdpa") else None
    mechanism = None if native else parse_mechanism(attention)
    loaded = load_model(model, mechanism=mechanism, batch=batch, seq=seq, device="cpu", native=native)
    graph = canonicalise(lower(traced(loaded.module, loaded.inputs, device="cpu")))
    asked = {"batch": batch, "seq": loaded.seq, "device": "cpu"}
    record: dict[str, Any] = {"model": model, "attention": loaded.attention} | asked
    record |= audit_record(graph, tally(graph), loaded.module, loaded.inputs)
    return Audit(
        record, tuple(record["rows"]), tuple(render.audit_grids(record)), tuple(render.audit_notes(record))
    )
