"""Coordinates of the micro-tiles of an array that hold anything, by a compiled kernel."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..runtime.signature import dtype_name
from . import cells, kernels
from .layout import storage_order


def find(
    array: np.ndarray,
    axes: tuple[int, ...],
    granularity: tuple[int, ...],
    limit: Any = 0.0,
    channel: int | None = None,
    deterministic: bool = False,
) -> np.ndarray:
    """The coordinates, in row-major order if ``deterministic``.

    Args:
        limit: a threshold, or an array of one per entry of dimension ``channel``.

    An array whose dimensions are dense in another order is read as it is, others are copied.
    """
    order = storage_order(array)
    if order == tuple(range(array.ndim)):
        found = kernel_for(array, axes, granularity, channel, deterministic)(array, limit)
        places = axes
    else:
        places = tuple(order.index(d) for d in axes)
        followed = None if channel is None else order.index(channel)
        stored = array.transpose(order)
        found = kernel_for(stored, places, granularity, followed, deterministic)(stored, limit)
    if not deterministic or list(places) == sorted(places):
        return found
    grid = [-(-array.shape[d] // g) for d, g in zip(axes, granularity)]
    return cells.locate(np.sort(cells.number(found, grid)), grid)


def kernel_for(
    array: np.ndarray, axes: tuple[int, ...], granularity: tuple[int, ...], channel: int | None, deterministic: bool
) -> Any:
    """The kernel for arrays like this one."""
    unsigned = array.dtype.kind in "ub"
    return kernels.detector(dtype_name(array.dtype), array.ndim, axes, granularity, channel, deterministic, unsigned)
