"""How sparse a tensor is at several granularities, from a sample: :func:`sample_coverage`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentError, ShapeError
from ..sparse_interop import numpy_of
from .check import granularity_of, integers, threshold_of

#: Steps of two low-discrepancy sequences (powers of the inverse plastic number).
_STEPS = (0.7548776662466927, 0.5698402909980532)


def sample_coverage(
    x: Any, granularities: Sequence[tuple[int, int]], threshold: float = 0.0, budget: int = 1 << 16
) -> tuple[float, ...]:
    """Share of the micro-tiles of ``x`` that are empty, per candidate granularity, from a sample.

    Shapes:  x: NumPy array or CPU torch tensor of at least two dimensions; all but the last are taken as one.
    Units:   ``budget`` is about how many elements are read in all.
    Semantics: the places are spread over the tensor and the same in every call, so the answer is repeatable.
        Empty means that no magnitude is above ``threshold``; NaN is above.
    Errors:  :class:`pith.ShapeError` for less than two dimensions; :class:`pith.ArgumentError` for a negative
        threshold or a budget below 1; :class:`pith.FormatError` for a granularity below 1.
    Source:  the online sampling of PIT, SOSP 2023.

    Example:
        >>> x = np.zeros((64, 64), np.float32)
        >>> x[::2] = 1
        >>> sample_coverage(x, [(1, 32), (32, 1)])
        (0.5, 0.0)
    """
    array = numpy_of(x)
    if array.ndim < 2:
        raise ShapeError(f"expects at least two dimensions, got shape {array.shape}", where="sample_coverage")
    limit, (elements,) = threshold_of(threshold), integers(budget, "budget")
    if elements < 1:
        raise ArgumentError(f"expects a budget >= 1, got {elements}", where="sample_coverage")
    tiles = [granularity_of(tuple(g), 2) for g in granularities]
    if not array.size:
        return (1.0,) * len(tiles)
    rows = array.reshape(-1, array.shape[-1])
    share = max(elements // max(len(tiles), 1), 1)
    return tuple(_empty_share(rows, tile, limit, max(share // (tile[0] * tile[1]), 1)) for tile in tiles)


def _empty_share(rows: np.ndarray, tile: Sequence[int], limit: float, count: int) -> float:
    grid = [-(-n // g) for n, g in zip(rows.shape, tile)]
    number = np.arange(min(count, grid[0] * grid[1]))
    if number.size == grid[0] * grid[1]:
        first, second = np.divmod(number, grid[1])
    else:
        first, second = ((number * step % 1.0 * n).astype(np.int64) for step, n in zip(_STEPS, grid))
    r = np.minimum(first[:, None] * tile[0] + np.arange(tile[0]), rows.shape[0] - 1)
    c = np.minimum(second[:, None] * tile[1] + np.arange(tile[1]), rows.shape[1] - 1)
    present = ~(np.abs(rows[r[:, :, None], c[:, None, :]]) <= limit)
    return float(1.0 - present.any(axis=(1, 2)).mean())
