"""Union, intersection and complement of patterns: compiled kernels, NumPy for small grids."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..errors import ShapeError
from . import cells, kernels
from .check import COORDINATES

#: Cells or entries from which a kernel is called: 10 to 20 us where NumPy takes 20 to 80 at this size and up to 30
#: times as long at the largest (2026-11-21, one thread of an AVX2 machine). Below, nothing is compiled.
WORTH_A_KERNEL = 1 << 12

#: Cells per listed one from which lists are sorted instead: kernels keep a bit per cell. 16384 x 16384 with 2 x 1000
#: listed takes 4.2 ms by bits and 0.18 sorted, with 2 x 100000 6.7 and 58 (Zen 4, one thread, 2026-11).
_SORTED = 1 << 13


def worth_a_kernel(size: int) -> bool:
    """True for so many cells or entries, where the compiler is installed."""
    return size >= WORTH_A_KERNEL and kernels.can_be_compiled()


def combine(name: str, sizes: Sequence[int], granularity: tuple[int, ...], *coordinates: np.ndarray) -> np.ndarray:
    """Coordinates of the ``union``, ``intersection`` or ``complement`` of patterns over one grid, row-major.

    Errors: :class:`pith.ShapeError` for a complement of 2^31 micro-tiles or more.
    """
    grid = [-(-s // g) for s, g in zip(sizes, granularity)]
    total, listed = math.prod(grid), sum(map(len, coordinates))
    if name == "complement" and total - listed >= COORDINATES:
        raise ShapeError(
            f"the complement would list {total - listed} micro-tiles", where="~", hint="choose a coarser granularity"
        )
    if name != "complement" and total >= _SORTED * max(listed, 1):
        of_both = np.union1d if name == "union" else np.intersect1d
        one, other = (cells.number(c, grid) for c in coordinates)
        return cells.locate(of_both(one, other), grid)
    if worth_a_kernel(total):
        return kernels.combiner(name, granularity)(*coordinates, *sizes)
    masks = [mask_of(c, grid) for c in coordinates]
    combined = {"union": np.logical_or.reduce, "intersection": np.logical_and.reduce}
    mask = ~masks[0] if name == "complement" else combined[name](masks)
    return cells.locate(np.flatnonzero(mask), grid)


def mask_of(coordinates: np.ndarray, grid: Sequence[int]) -> np.ndarray:
    """True for the listed cells of a grid."""
    out = np.zeros(grid, bool)
    out.reshape(-1)[cells.number(coordinates, grid)] = True
    return out
