"""At which whole number the cheaper of two mechanisms changes."""

from __future__ import annotations

from collections.abc import Callable


def break_even_seq(difference: Callable[[int], float], lengths: list[int]) -> list[int]:
    """Smallest S at which a difference of two costs changes its sign, between the lengths given."""
    found = []
    values = [difference(s) for s in lengths]
    for (low, before), (high, after) in zip(
        zip(lengths, values, strict=True), list(zip(lengths, values, strict=True))[1:], strict=False
    ):
        if (before > 0) == (after > 0):
            continue
        a, b = low, high
        while b - a > 1:
            middle = (a + b) // 2
            a, b = (middle, b) if (difference(middle) > 0) == (before > 0) else (a, middle)
        found.append(b)
    return found
