"""Which blocks of an attention core no other one beats, by numba."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

Array = np.ndarray[Any, Any]
njit = numba.njit(cache=True, error_model="numpy")

BEATEN, EQUAL, NEITHER = range(3)


@njit
def not_above(parts: Array, work: Array) -> Array:
    """Of which sizes none before has as many parts and no more work of any kind; `work` [sizes, kinds]."""
    found, front = np.zeros(len(parts), np.bool_), np.empty(len(parts), np.int64)
    number = 0
    for i in range(len(parts)):
        if i == 0 or parts[i] != parts[i - 1]:
            number = 0
        above = False
        for j in front[:number]:
            above = True
            for k in range(work.shape[1]):
                above = above and work[j, k] <= work[i, k]
            if above:
                break
        if not above:
            front[number], found[i] = i, True
            number += 1
    return found


@njit
def stands(front: Array, i: int, point: Array, same: int, number: int) -> int:
    """Whether a point of the front beats another one, or is its equal.

    Neither of turns and no turns beats the other: in turns the first rows of scores are not waited for.
    `same`: the place of turns among so many figures.
    """
    if front[i, same] != point[same]:
        return NEITHER
    equal = True
    for f in range(number):
        if front[i, f] > point[f]:
            return NEITHER
        if front[i, f] < point[f]:
            equal = False
    return EQUAL if equal else BEATEN


@njit
def is_new(front: Array, points: int, point: Array, turns: int, number: int) -> bool:
    """Whether no point of the front is as good; one that beats it moves to the front's first half."""
    for i in range(points):
        how = stands(front, i, point, turns, number)
        if how == EQUAL:
            # Of equal blocks of a structure the smallest, of structures the first.
            if front[i, number + 1] == point[number + 1]:
                front[i] = point
            return False
        if how == BEATEN:
            if i > 0:
                for f in range(front.shape[1]):
                    front[i, f], front[i // 2, f] = front[i // 2, f], front[i, f]
            return False
    return True


@njit
def with_blocks(front: Array, form: int, same: Array, varied: Array, room: int) -> Array:
    """The front with the blocks of one more structure that fit, and that nothing beats.

    Args:
        front: rows of figures, room, the structure, places of its rows and keys.
        same: figures [f,r,c] in which structures do not differ; `varied`: turns, the others, room.
    """
    s, number = same.shape[0], same.shape[0] + varied.shape[0] - 1
    points, point = front.shape[0], np.empty(front.shape[1], np.int64)
    found = np.empty((max(2 * points, 64), front.shape[1]), np.int64)
    found[:points] = front
    # Large blocks take least, and beat most others.
    for r in range(same.shape[1] - 1, -1, -1):
        for k in range(same.shape[2] - 1, -1, -1):
            if varied[varied.shape[0] - 1, r, k] > room:
                continue
            for f in range(s):
                point[f] = same[f, r, k]
            for f in range(varied.shape[0]):
                point[s + f] = varied[f, r, k]
            point[number + 1], point[number + 2], point[number + 3] = form, r, k
            if not is_new(found, points, point, s, number):
                continue
            left = 0
            for i in range(points):
                beaten = found[i, s] == point[s]
                for f in range(number):
                    if point[f] > found[i, f]:
                        beaten = False
                        break
                if not beaten:
                    found[left] = found[i]
                    left += 1
            points = left
            if points == found.shape[0]:
                larger = np.empty((2 * points, front.shape[1]), np.int64)
                larger[:points] = found
                found = larger
            found[points] = point
            points += 1
    return found[:points].copy()
