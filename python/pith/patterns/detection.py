"""Finding the pattern of a tensor: :func:`detect`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentError, CheckError, DTypeError, ShapeError
from ..runtime.arrays import as_array
from ..sparse_interop import array_like, is_torch
from .check import COORDINATES, granularity_of, grid_of, integers, threshold_of
from .finding import find, kernel_for
from .pattern import Pattern

#: (type, element type, rank, granularity, axes, deterministic) -> axes, granularity and kernel, for one threshold.
_FOUND: dict[tuple, tuple[tuple[int, ...], tuple[int, ...], Any]] = {}


def detect(
    x: Any,
    granularity: int | Sequence[int],
    *,
    axes: int | Sequence[int] | None = None,
    threshold: Any = 0.0,
    deterministic: bool = False,
    capacity: int | None = None,
    overflow: str = "error",
) -> Pattern:
    """The micro-tiles of ``x`` that hold anything: one parallel pass over the data, which is not copied.

    Args:
        axes: the dimensions that get an axis of the pattern, in order; all by default. A micro-tile spans
            everything along the others.
        threshold: what magnitudes must exceed: a number, or an array that broadcasts against ``x`` and varies
            along one dimension (a threshold per channel).
        deterministic: list the micro-tiles in row-major order instead of in any.
        capacity: the most micro-tiles the pattern may list, where something later has room for so many.
        overflow: what happens when more are found: ``error``, or ``grow``, which lists them all the same, as without a
            capacity. Nothing is ever left out.

    Shapes:  x: NumPy array or torch tensor of floats, integers or booleans; granularity: elements along every
        axis, or one number for all. Sizes need not be multiples of it.
    Semantics: present is what is not below or equal to the threshold in magnitude, so NaN is present. The pattern
        holds no reference to ``x``. Kernels are cached by element type, granularity and axes: other sizes or
        values compile nothing. Memory: the coordinates found, at most doubled; nothing of the size of ``x``,
        except that a tensor whose dimensions are not dense in memory in any order is copied first. Of a torch tensor
        on a GPU the micro-tiles are found there and their list is copied to the host, which waits for it: programs
        that use a pattern on the GPU detect it themselves (the op ``pith.detect``).
    Errors:  :class:`pith.ArgumentError` for a negative or NaN threshold; :class:`pith.ShapeError` for axes that
        are no dimensions of x or repeated, and thresholds that do not fit; :class:`pith.FormatError` for a
        granularity below 1; :class:`pith.DTypeError`, :class:`pith.DeviceError` for other tensors;
        :class:`pith.CheckError` when more is found than ``capacity``.
    Source:  Zheng et al., PIT, SOSP 2023 (online detection).

    Example:
        >>> x = np.zeros((4, 6), np.float32)
        >>> x[1, 4] = x[3, 0] = np.nan
        >>> detect(x, (1, 2), deterministic=True).coordinates.tolist()
        [[1, 2], [3, 0]]
        >>> detect(x, 1, axes=1, threshold=0.5, deterministic=True).coordinates.tolist()
        [0, 4]
        >>> detect(x, 1, capacity=1)
        Traceback (most recent call last):
        ...
        pith.errors.CheckError: detect: 2 micro-tiles were found, the capacity is 1
          hint: a larger capacity, overflow="grow", wider micro-tiles or a higher threshold
    """
    if capacity is not None or overflow != "error":
        limits = _capacity_of(capacity, overflow)
        found = detect(x, granularity, axes=axes, threshold=threshold, deterministic=deterministic)
        return _require_room(found, *limits)
    if getattr(x, "is_cuda", False):
        from .device import detect_on_device

        return detect_on_device(x, granularity, axes, threshold, deterministic)
    try:
        key = (type(x), x.dtype, len(x.shape), granularity, axes, deterministic)
        dims, extents, kernel = _FOUND[key]
        limit = float(threshold)
        shape = x.shape
        if limit >= 0 and max(shape) <= COORDINATES and _is_plain(x):
            coordinates = kernel(x, limit)
            return Pattern.trusted(tuple([shape[d] for d in dims]), extents, coordinates)
    except (KeyError, TypeError, AttributeError, ValueError, RuntimeError, OverflowError):
        pass  # the first of its kind, or nothing plain (a layout without strides): below
    return _detect(x, granularity, axes, threshold, deterministic)


def _capacity_of(capacity: Any, overflow: Any) -> tuple[int | None, str]:
    """Both, checked before anything is read."""
    if not isinstance(overflow, str) or overflow not in ("error", "grow"):
        raise ArgumentError(f"expects 'error' or 'grow', got {overflow!r}", where="detect: overflow")
    if capacity is None:
        return None, overflow
    most = integers(capacity, "capacity")
    if len(most) != 1 or most[0] < 0:
        raise ArgumentError(f"expects a number of micro-tiles, got {capacity!r}", where="detect: capacity")
    return most[0], overflow


def _require_room(found: Pattern, capacity: int | None, overflow: str) -> Pattern:
    if capacity is not None and overflow == "error" and found.count > capacity:
        raise CheckError(
            f"{found.count} micro-tiles were found, the capacity is {capacity}",
            where="detect",
            hint='a larger capacity, overflow="grow", wider micro-tiles or a higher threshold',
        )
    return found


def _is_plain(x: Any) -> bool:
    """Whether kernels read it as it is."""
    return x.flags.c_contiguous if isinstance(x, np.ndarray) else x.is_contiguous() and not x.requires_grad


def _detect(x: Any, granularity: Any, axes: Any, threshold: Any, deterministic: bool) -> Pattern:
    """The general path: checks everything, and takes tensors in any layout."""
    array = as_array(x.detach() if is_torch(x) else x, "detect")
    if not array.ndim:
        raise ShapeError("expects at least one dimension, got a scalar", where="detect")
    dims, deterministic = dimensions_of(axes, array.ndim), bool(deterministic)
    extents = granularity_of(granularity, len(dims))
    sizes = tuple(array.shape[d] for d in dims)
    grid_of(sizes, extents)
    limit, channel = thresholds_of(threshold, array.shape)
    if array.dtype.kind == "c":
        raise DTypeError(f"expects real numbers or booleans, got {array.dtype}", where="detect", hint="numpy.abs(x)")
    if (
        isinstance(limit, float)
        and isinstance(granularity, (int, tuple))
        and isinstance(axes, (int, tuple, type(None)))
    ):
        kernel = kernel_for(array, dims, extents, None, deterministic)
        _FOUND[type(x), x.dtype, array.ndim, granularity, axes, deterministic] = dims, extents, kernel
    coordinates = find(array, dims, extents, limit, channel, deterministic)
    return Pattern.trusted(sizes, extents, coordinates)


def dimensions_of(axes: Any, rank: int) -> tuple[int, ...]:
    """``axes`` as distinct dimensions from 0; None: all of them. Errors: :class:`pith.ShapeError`."""
    dims = tuple(range(rank)) if axes is None else integers(axes, "axes")
    for d in dims:
        if not -rank <= d < rank:
            raise ShapeError(f"expects dimensions of the tensor ({-rank} to {rank - 1}), got {d}", where="axes")
    dims = tuple(d % rank for d in dims)
    if not dims or len(set(dims)) != len(dims):
        raise ShapeError(f"expects at least one dimension and none twice, got {axes}", where="axes")
    return dims


def thresholds_of(threshold: Any, shape: tuple[int, ...]) -> tuple[Any, int | None]:
    """One threshold, or an array of them and the dimension they follow."""
    if isinstance(threshold, (int, float)) or getattr(threshold, "ndim", None) == 0:
        return threshold_of(threshold), None
    if isinstance(threshold, (str, bytes)) or not (hasattr(threshold, "__len__") or hasattr(threshold, "shape")):
        return threshold_of(threshold), None
    values = array_like(threshold, "threshold")
    if values.dtype.kind not in "biuf":
        raise ArgumentError(f"expects numbers, got an array of {values.dtype}", where="threshold")
    values = values.astype(np.float64)
    sizes = (1,) * (len(shape) - values.ndim) + values.shape
    fits = len(sizes) == len(shape) and all(s in (1, n) for s, n in zip(sizes, shape))
    varying = [d for d, s in enumerate(sizes) if s != 1]
    if not fits or len(varying) > 1:
        raise ShapeError(
            f"expects one threshold, or one per entry of one dimension of {shape}, got shape {values.shape}",
            where="threshold",
            hint="shape (C,) follows the last dimension, (C, 1) the one before it",
        )
    bad = ~(values >= 0)
    if bad.any():
        threshold_of(values[bad].flat[0])
    if not varying:
        return float(values.reshape(-1)[0]), None
    return np.ascontiguousarray(values.reshape(-1)), varying[0]
