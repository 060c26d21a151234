"""The float64 graph is the model: every mechanism and option, with and without padding, against torch."""

from __future__ import annotations

import numpy as np
import pytest

from costmodel.errors import CostModelError, UnknownOp
from sim.integer.floats import run_floats
from sim.integer.views import find_move
from tests.sim_models import SPELLINGS, model_of, padded_ids


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("head", [False, True])
@pytest.mark.parametrize(("B", "S"), [(1, 7), (4, 12)])
def test_the_graph_in_floats_is_the_model(spelling: str, head: bool, B: int, S: int) -> None:
    model = model_of(spelling, head=head)
    ids, keep = padded_ids(B, S)
    got = run_floats(model.graph(B, S), model.weights, ids, keep, all_keys=model.all_keys)
    want = model.forward(ids, None if keep.all() else keep)
    if not head:
        got, want = got[keep], want[keep]
    assert np.abs(got - want).max() < 1e-9
    assert np.std(want) > 0.05


def test_wrong_masks_and_unknown_ops() -> None:
    model = model_of("dot")
    graph = model.graph(2, 5)
    ids = np.zeros((2, 5), np.int64)
    with pytest.raises(CostModelError, match=r"a mask \(2, 4\) does not belong to ids \(2, 5\)"):
        run_floats(graph, model.weights, ids, np.ones((2, 4), bool))
    with pytest.raises(CostModelError, match="row 1 has no token"):
        run_floats(graph, model.weights, ids, np.array([[True] * 5, [False] * 5]))
    import torch

    from costmodel.graph.canonical import canonicalise
    from costmodel.graph.lowering import lower
    from costmodel.graph.tracing import trace

    class Scan(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cumsum(x, 0)

    scan = canonicalise(lower(trace(Scan(), (torch.zeros(3, 4, device="meta"),))))
    with pytest.raises(UnknownOp, match="'cumsum' in the model has no rule"):
        run_floats(scan, {}, np.zeros((3, 4)))


@pytest.mark.parametrize(
    ("source", "view"),
    [
        (((2, 6, 8), (48, 8, 1), 0), ((2, 6, 2, 4), (48, 8, 4, 1), 0)),  # heads
        (((2, 6, 8), (48, 8, 1), 0), ((2, 2, 6, 4), (48, 4, 8, 1), 0)),  # heads, transposed
        (((2, 2, 6, 4), (48, 4, 8, 1), 0), ((2, 6, 8), (48, 8, 1), 0)),  # and back
        (((2, 2, 6, 4), (48, 24, 4, 1), 0), ((2, 2, 4, 6), (48, 24, 1, 4), 0)),
        (((1, 5), (5, 1), 0), ((1, 3), (5, 1), 1)),  # a slice
        (((2, 6, 8), (48, 8, 1), 0), ((2, 8), (48, 1), 0)),  # the first token
        (((3, 1), (1, 1), 0), ((3, 4), (1, 0), 0)),  # broadcast
        (((1, 1, 1), (1, 1, 1), 0), ((1,), (1,), 0)),
    ],
)
def test_moves_are_what_strides_say(source, view) -> None:
    """Against numpy's own strided views of one memory."""
    memory = np.arange(200)

    def seen(layout) -> np.ndarray:
        shape, stride, offset = layout
        return np.lib.stride_tricks.as_strided(memory[offset:], shape, [8 * s for s in stride])

    assert np.array_equal(find_move(source, view)(seen(source)), seen(view))


def test_a_view_beyond_its_source_is_refused() -> None:
    with pytest.raises(CostModelError, match="reaches beyond"):
        find_move(((2, 3), (3, 1), 0), ((7,), (1,), 0))
