"""Every count rule equals the tally of its reference loop, and no op lacks one."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import sympy

from costmodel.errors import UnknownOp
from costmodel.ops.counts import ARITHMETIC, SCALARS, Counts, is_slow, total
from costmodel.ops.rules import (
    ELEMENTWISE,
    KINDS,
    OPS,
    Op,
    add_op,
    count_op,
    dims_of,
    kind_of,
    needs_whole_rows,
    pe_of,
)
from tests.witness.loops import RUN, WITHOUT_LOOP
from tests.witness.samples import samples
from tests.witness.tally import Tally

COUNTING = [op.name for op in OPS.values() if op.kind not in ("movement", "free")]
pytestmark = pytest.mark.quick


def numbers(shape: tuple[int, ...] | None, ledger: Counter[str]) -> np.ndarray | None:
    """Tallying numbers between 0.25 and 1.25: in the domain of log and sqrt."""
    if shape is None:
        return None
    out = np.empty(shape, object)
    for n, index in enumerate(np.ndindex(*shape)):
        out[index] = Tally(0.25 + (n * 0.37) % 1, ledger)
    return out


@pytest.mark.parametrize("op", COUNTING)
def test_rule_equals_tally(op: str) -> None:
    checked = 0
    for shapes, attrs in samples(op):
        ledger: Counter[str] = Counter()
        args = [numbers(shape, ledger) for shape in shapes]
        if op == "scatter_add":
            args[1] = np.arange(attrs["n"]) % 4
        RUN[op](args, attrs)
        expected = {name: ledger[name] for name in ARITHMETIC}
        counts = count_op(op, attrs)
        assert {name: getattr(counts, name) for name in ARITHMETIC} == expected, (op, shapes, attrs)
        checked += 1
    assert checked >= 3


def test_every_op_has_a_kind_a_loop_or_a_reason() -> None:
    assert {op.kind for op in OPS.values()} == set(KINDS)
    missing = [op for op in OPS if op not in RUN and op not in WITHOUT_LOOP]
    assert not missing, f"ops without a reference loop in tests/witness/loops.py: {missing}"
    stale = [op for op in (*RUN, *WITHOUT_LOOP) if op not in OPS]
    assert not stale, f"loops of no op: {stale}"


def test_every_lowering_names_a_known_op() -> None:
    from costmodel.graph import names

    named = {*names.UNARY.values(), *names.BINARY.values(), *names.MOVES.values(), *names.REDUCTIONS.values()}
    assert named <= set(OPS)
    assert set(ELEMENTWISE) <= set(OPS)


@pytest.mark.parametrize("op", COUNTING)
def test_rule_runs_on_symbols(op: str) -> None:
    """The rule on sympy symbols, then with numbers put in, equals the rule on numbers."""
    _shapes, attrs = samples(op)[-1]
    symbols = {name: sympy.Symbol(name, integer=True, positive=True) for name in dims_of(op)}
    formula = count_op(op, symbols)
    for name in ARITHMETIC:
        value = sympy.sympify(getattr(formula, name)).subs({symbols[k]: attrs[k] for k in symbols})
        assert sympy.floor(value) == getattr(count_op(op, attrs), name)


def test_unknown_op_names_the_file_to_edit() -> None:
    with pytest.raises(UnknownOp, match=r"op 'wavelet' has no count rule; add one in costmodel/ops/rules\.py"):
        count_op("wavelet", {})


def test_an_op_says_once_what_it_is() -> None:
    """A second rule, an unknown kind, and a reduction that does not say what it reads are refused."""
    with pytest.raises(ValueError, match="op 'softmax' has two rules"):
        add_op(OPS["softmax"])
    with pytest.raises(ValueError, match="of kind 'wave', not one of product"):
        add_op(Op("wavelet", "wave", lambda: Counts(), ()))
    for rows, reason in ((False, ""), (True, "a window")):
        with pytest.raises(ValueError, match="needs whole_rows=True, or piecewise=REASON"):
            add_op(Op("wavelet", "reduction", lambda: Counts(), (), whole_rows=rows, piecewise=reason))
    assert "wavelet" not in OPS


def test_traits_of_what_is_not_in_the_set() -> None:
    assert (kind_of("unknown"), pe_of("unknown"), dims_of("unknown")) == ("unknown", "", ())
    assert not needs_whole_rows("unknown")
    assert [name for name in ARITHMETIC if is_slow(name)] == ["exp", "erf", "tanh", "div", "sqrt", "log", "trig"]
    assert not is_slow("lookup")
    assert set(SCALARS) == set(ARITHMETIC)


def test_counts_add_and_scale() -> None:
    one = Counts(mul=1, add=2, read_bytes=4)
    assert one + one == 2 * one == total([one, one])
    assert total([]) == Counts()
    assert "log" not in one.arithmetic()
    assert Counts(log=3).arithmetic()["log"] == 3
