"""Ratios of two sums of prices that are known as ranges."""

from __future__ import annotations

from itertools import product


def ratio_range(before: dict[str, list[float]], after: dict[str, list[float]]) -> tuple[float, float]:
    """Smallest and largest ratio of two sums of parts [low, nominal, high], each part at the same end in both."""
    names = list(before | after)

    def energy(parts: dict[str, list[float]], ends: dict[str, int]) -> float:
        return sum(parts.get(name, [0, 0, 0])[end] for name, end in ends.items())

    corners = [dict(zip(names, ends, strict=True)) for ends in product((0, 2), repeat=len(names))]
    ratios = [energy(after, ends) / energy(before, ends) for ends in corners]
    return min(ratios), max(ratios)


def share(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "none"
