"""Bytes that no schedule of a product can go below: compulsory, and the bound of Hong and Kung."""

from __future__ import annotations

from math import floor, isqrt, sqrt

from costmodel.hardware.timing import Product
from costmodel.mapping.nest_records import Operands


def lower_bound_bits(product: Product, B: int, operands: Operands, buffer_bytes: int) -> int:
    """No schedule moves fewer bits between DRAM and a buffer: compulsory traffic, and Hong and Kung.

    Hong and Kung (STOC 1981), as Irony, Toledo and Tiskin (JPDC 2004) count: while X bits move, a, b and
    partial sums that were in the buffer S or moved take at most T = S + X bits, and those allow
    sqrt((T/3)^3 / wa wb wc) terms (Loomis and Whitney); a result that begins and ends in between takes a
    whole row and column, K terms each, at most (T/2)^2 / (wa wb K) more terms. So the traffic is at least
    X (M N K / terms - 1), for every X. Where an operand does not move, or b goes past the buffer and takes
    no room in it, only compulsory traffic is left.
    """
    M, N, K = product.M, product.N, product.K
    compulsory = M * K * operands.a_bits * operands.a_moves + K * N * operands.b_bits * operands.b_moves
    compulsory += M * N * operands.out_bits * operands.out_moves
    if not (operands.a_moves and operands.b_moves and operands.out_moves) or operands.b_bypasses:
        return B * compulsory
    size, pair = 8 * buffer_bytes, operands.a_bits * operands.b_bits
    bounds = [compulsory]
    for eighths in range(1, 33):
        moved = size * eighths // 8
        total = size + moved
        terms = sqrt((total / 3) ** 3 / (pair * operands.accumulator_bits)) + (total / 2) ** 2 / (pair * K)
        bounds.append(floor(moved * (M * N * K / terms - 1)))
    return B * max(bounds)


def hong_kung_bits(product: Product, B: int, operands: Operands, buffer_bytes: int) -> int:
    """Compulsory traffic, or 2 M N K sqrt(wa wb wc / S) - 2 S where that is more: the usual form.

    It takes every result for a partial sum of accumulator width that lies in the buffer while others
    are computed (Smith et al., arXiv:1702.02017). A schedule that holds whole rows can beat it.
    """
    M, N, K = product.M, product.N, product.K
    compulsory = lower_bound_bits(product, 1, operands, 1 << 60)
    size = 8 * buffer_bytes
    widths = operands.a_bits * operands.b_bits * operands.accumulator_bits
    return B * max(compulsory, isqrt(4 * (M * N * K) ** 2 * widths // size) - 2 * size)
