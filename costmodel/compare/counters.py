"""The same model under fvcore and torch's FlopCounterMode, and what they leave out."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from costmodel.compare.audit_records import TOOLS, Audited, AuditRow, AuditTotals
from costmodel.counting.records import flops, macs
from costmodel.counting.tally import Tally
from costmodel.graph.ir import Graph
from costmodel.graph.lowerings import base_name

# Our rows as the other tools call them. What is in no list is what a tool has no word for.
WEIGHTS, ACTIVATIONS = "matmul with weights", "matmul of activations"
FCM_NAMES = {
    WEIGHTS: ("mm", "addmm", "linear"),
    ACTIVATIONS: (
        "bmm",
        "baddbmm",
        "_scaled_dot_product_flash_attention",
        "_scaled_dot_product_efficient_attention",
        "_scaled_dot_product_cudnn_attention",
    ),
    "conv": ("convolution", "_convolution"),
}
FVCORE_NAMES = {
    WEIGHTS: ("linear", "addmm"),
    ACTIVATIONS: ("matmul", "bmm", "einsum"),
    "conv": ("conv",),
    "layer_norm": ("layer_norm",),
    "batch_norm": ("batch_norm",),
    "group_norm": ("group_norm",),
}
UNITS = {
    "costmodel": "every scalar operation, each once",
    "FlopCounterMode": "2 a multiply-accumulate of products; nothing else",
    "fvcore": "1 a multiply-accumulate of products, 5 an element of layer norms; nothing else",
}


def run_flop_counter(module: torch.nn.Module, inputs: Any) -> dict[str, int]:
    """FlopCounterMode's count by aten name."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(**inputs) if isinstance(inputs, dict) else module(*inputs)
    found = counter.get_flop_counts().get("Global", {})
    return {base_name(str(op)).removeprefix("aten."): int(n) for op, n in found.items()}


def run_fvcore(module: torch.nn.Module, inputs: Any) -> tuple[dict[str, int], dict[str, int]]:
    """fvcore's count by operator, and the calls that it lists as unsupported."""
    from fvcore.nn import FlopCountAnalysis

    class Positional(torch.nn.Module):
        # fvcore traces with positional tensors and wants tensors back.
        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, *tensors: Any) -> Any:
            names = [k for k, v in inputs.items() if isinstance(v, torch.Tensor)]
            fixed = {k: v for k, v in inputs.items() if not isinstance(v, torch.Tensor)}
            return self.module(**dict(zip(names, tensors, strict=True)), **fixed)[0]

    logging.getLogger("fvcore").setLevel(logging.ERROR)
    if isinstance(inputs, dict):
        model: torch.nn.Module = Positional()
        args = tuple(v for v in inputs.values() if isinstance(v, torch.Tensor))
    else:
        model, args = module, tuple(inputs)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        analysis = FlopCountAnalysis(model, args).unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        by_operator = {k: int(v) for k, v in analysis.by_operator().items()}
        return by_operator, dict(analysis.unsupported_ops())


def attempt(run: Callable[[], Any], failures: dict[str, str], tool: str) -> Any:
    """What a tool says, or None, with its reason in `failures`: they fail on models that ours traces."""
    try:
        return run()
    except Exception as error:  # another tool's code on a user's model: anything may be raised
        failures[tool] = f"{type(error).__name__}: {' '.join(str(error).split())[:150]}"
        return None


def audited(graph: Graph, tally: Tally, module: torch.nn.Module, inputs: Any) -> Audited:
    """Per op: our counts of a lowered graph, what each tool counts of the module, and what it leaves out."""
    failures: dict[str, str] = {}
    fcm = attempt(lambda: run_flop_counter(module, inputs), failures, "FlopCounterMode") or {}
    fvcore, unsupported = attempt(lambda: run_fvcore(module, inputs), failures, "fvcore") or ({}, {})
    rows = [
        AuditRow(op, ours, take(fcm, FCM_NAMES.get(op, (op,))), take(fvcore, FVCORE_NAMES.get(op, (op,))))
        for op, ours in count_by_row(graph, tally).items()
    ]
    listed = {row.op for row in rows}
    # What a tool counts under a name of its own, such as a whole attention call.
    rows += [AuditRow(k, None, v, None) for k, v in own_names(fcm, FCM_NAMES).items()]
    rows += [AuditRow(k, None, None, v) for k, v in own_names(fvcore, FVCORE_NAMES).items() if k not in listed]
    left_out = {
        tool: {row.op: row.costmodel for row in rows if row.costmodel and not row.of(tool)}
        for tool in TOOLS
        if tool not in failures
    }
    operations = flops(tally.counts)
    return Audited(
        complete=not tally.unknown,
        unknown=tally.unknown,
        units=UNITS,
        failed=failures,
        fvcore_unsupported=unsupported,
        rows=tuple(rows),
        totals=AuditTotals(
            operations,
            macs(graph, tally),
            None if "FlopCounterMode" in failures else sum(fcm.values()),
            None if "fvcore" in failures else sum(fvcore.values()),
        ),
        left_out=left_out,
        left_out_share={tool: sum(ops.values()) / max(1, operations) for tool, ops in left_out.items()},
    )


def own_names(found: dict[str, int], known: dict[str, tuple[str, ...]]) -> dict[str, int]:
    """Counts of a tool under names that no row of ours has."""
    return {k: n for k, n in found.items() if n and not any(k in names for names in known.values())}


def count_by_row(graph: Graph, tally: Tally) -> dict[str, int]:
    """Operations by op, where there are any; products of weights apart from those of activations."""
    weights = {v.storage for v in graph.values if v.kind in ("param", "buffer")}
    rows: dict[str, int] = {}
    for node, counts in zip(graph.nodes, tally.per_node, strict=True):
        key = node.op
        if node.op == "matmul":
            weighted = any(graph.values[i].storage in weights for i in node.inputs[:2])
            key = WEIGHTS if weighted else ACTIVATIONS
        rows[key] = rows.get(key, 0) + flops(counts)
    return {key: n for key, n in rows.items() if n}


def take(counts: dict[str, int], names: tuple[str, ...]) -> int | None:
    """Their count of our op, None where they have none."""
    found = [counts[name] for name in names if name in counts]
    return sum(found) if found else None
