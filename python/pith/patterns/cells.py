"""Cells of a grid by their row-major number: the bookkeeping behind :class:`pith.Pattern`."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..errors import CheckError

#: A bitmap of the grid beats sorting while the grid has at most so many cells per coordinate.
_SPARSE = 64

#: What to do about coordinates that repeat, in lists that users write.
_ONCE = "each micro-tile may be listed once; unique=True removes repetitions"


def number(coordinates: np.ndarray, grid: Sequence[int]) -> np.ndarray:
    """Row-major numbers of cells, int64.

    Example:
        >>> number(np.array([[0, 2], [1, 0]], np.int32), (2, 3)).tolist()
        [2, 3]
    """
    if len(grid) == 1:
        return coordinates.astype(np.int64)
    out = coordinates[:, 0].astype(np.int64)
    for axis in range(1, len(grid)):
        out = out * grid[axis] + coordinates[:, axis]
    return out


def locate(numbers: np.ndarray, grid: Sequence[int]) -> np.ndarray:
    """The inverse of :func:`number`."""
    if len(grid) == 1:
        return np.ascontiguousarray(numbers, np.int32)
    out = np.empty((numbers.size, len(grid)), np.int32)
    for axis, places in enumerate(np.unravel_index(numbers, grid) if numbers.size else ()):
        out[:, axis] = places
    return out


def distinct(numbers: np.ndarray, cells: int) -> np.ndarray:
    """The distinct of ``numbers``, sorted; all of them lie below ``cells``."""
    if cells > _SPARSE * (numbers.size + 64):
        return np.unique(numbers)
    seen = np.zeros(cells, bool)
    seen[numbers] = True
    return np.flatnonzero(seen)


def require_distinct(coordinates: np.ndarray, grid: Sequence[int], what: str, hint: str = _ONCE) -> None:
    """Raise :class:`pith.CheckError` naming a coordinate that is listed twice; ``hint`` says what to do about it."""
    numbers = number(coordinates, grid)
    if distinct(numbers, math.prod(grid)).size == numbers.size:
        return
    order = np.argsort(numbers, kind="stable")
    again = order[1:][numbers[order[1:]] == numbers[order[:-1]]]
    at = int(again.min())
    raise CheckError(
        f"entry {at} lists micro-tile {coordinates[at].tolist()} again",
        where=what,
        hint=hint,
    )
