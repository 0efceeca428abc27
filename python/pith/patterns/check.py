"""Arguments of patterns, normalised and checked: axes, granularities, coordinates, indices."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentError, CheckError, DTypeError, FormatError, ShapeError
from ..sparse_interop import array_like

#: One past the largest coordinate: kernels read them as 32-bit integers.
COORDINATES = 1 << 31

#: Cells of a grid at most: their numbers are 64-bit integers.
_NUMBERS = 1 << 62


def sizes_of(sizes: int | Sequence[int]) -> tuple[int, ...]:
    """Sizes of the axes as a tuple; one number is one axis.

    Errors: :class:`pith.ShapeError` for no axes and for sizes below 0; :class:`pith.ArgumentError` for other types.

    Example:
        >>> sizes_of(5), sizes_of([4, 8])
        ((5,), (4, 8))
    """
    out = integers(sizes, "sizes")
    if not out:
        raise ShapeError("a pattern expects at least one axis", where="sizes")
    for axis, size in enumerate(out):
        if size < 0:
            raise ShapeError(f"axis {axis} expects a size >= 0, got {size}", where="sizes")
    return out


def granularity_of(granularity: int | Sequence[int], rank: int) -> tuple[int, ...]:
    """Elements of a micro-tile along each of ``rank`` axes; one number holds for all of them.

    Errors: :class:`pith.FormatError` for values below 1; :class:`pith.ShapeError` for another number of axes.

    Example:
        >>> granularity_of(1, 2), granularity_of((1, 32), 2)
        ((1, 1), (1, 32))
    """
    out = integers(granularity, "granularity")
    if np.ndim(granularity) == 0:
        out *= rank
    if len(out) != rank:
        raise ShapeError(f"expects one granularity per axis ({rank}), got {len(out)}: {out}", where="granularity")
    for axis, extent in enumerate(out):
        if extent < 1:
            raise FormatError(f"axis {axis} expects a granularity >= 1, got {extent}", where="granularity")
    return out


def grid_of(sizes: Sequence[int], granularity: Sequence[int]) -> tuple[int, ...]:
    """Micro-tiles along every axis; the last of an axis may be partial.

    Errors: :class:`pith.ShapeError` when coordinates do not fit in 32 bits, or their row-major number in 64.

    Example:
        >>> grid_of((100, 64), (32, 1))
        (4, 64)
    """
    grid = tuple(-(-s // g) for s, g in zip(sizes, granularity))
    for axis, cells in enumerate(grid):
        if cells > COORDINATES:
            raise ShapeError(
                f"axis {axis} has {cells} micro-tiles; coordinates are 32-bit integers",
                where="sizes",
                hint="choose a coarser granularity",
            )
    if (total := math.prod(grid)) > _NUMBERS:
        raise ShapeError(f"the grid has {total} micro-tiles", where="sizes", hint="choose a coarser granularity")
    return grid


def threshold_of(threshold: Any) -> float:
    """A threshold as a float.

    Errors: :class:`pith.ArgumentError` for NaN, negative numbers and what is not a number.
    """
    try:
        if isinstance(threshold, str | bytes):  # float() reads them
            raise TypeError
        limit = float(threshold)
    except (TypeError, ValueError, OverflowError) as error:
        raise ArgumentError(f"expects a number, got {type(threshold).__name__}", where="threshold") from error
    if math.isnan(limit) or limit < 0:
        raise ArgumentError(
            f"expects a threshold >= 0, got {threshold}",
            where="threshold",
            hint="it is compared with magnitudes; 0 lists what is not zero",
        )
    return limit


def integer_array(values: Any, what: str) -> np.ndarray:
    """``values`` (array, torch tensor or nested sequence) as an array of signed integers.

    Errors: :class:`pith.DTypeError` for other element types.
    """
    array = array_like(values, what)
    if array.size == 0:
        return array.astype(np.int64)
    if array.dtype.kind not in "iu":
        of_masks = "a mask: numpy.flatnonzero(mask) are its places, mask.sum(-1) lengths"
        hint = of_masks if array.dtype.kind == "b" else "convert with .astype(int)"
        raise DTypeError(f"expects integers, got {array.dtype}", where=what, hint=hint)
    return array if array.dtype.kind == "i" else array.astype(np.int64)


def in_range(values: np.ndarray, size: int, what: str, axis: str) -> None:
    """Raise :class:`pith.CheckError` naming the first of ``values`` outside of ``[0, size)``."""
    if values.size == 0 or (int(values.min()) >= 0 and int(values.max()) < size):
        return
    at = int(np.flatnonzero((values < 0) | (values >= size))[0])
    places = f"{size} places (0 to {size - 1})" if size > 0 else "no places"
    raise CheckError(
        f"entry {at} is {int(values.reshape(-1)[at])}, {axis} has {places}",
        where=what,
        hint="places count from 0 and never from the end; leave out what lies past it, or give a larger size",
    )


def coordinates_of(indices: Any, grid: Sequence[int], what: str) -> np.ndarray:
    """A copy of micro-tile coordinates as a pattern holds them: int32, ``(count,)``, else ``(count, axes)``.

    Errors: :class:`pith.ShapeError` for another rank, :class:`pith.CheckError` for coordinates past the grid.
    """
    array, rank = integer_array(indices, what), len(grid)
    if array.size == 0:
        return np.empty((0,) if rank == 1 else (0, rank), np.int32)
    if array.ndim == 2 and array.shape[1] == 1 == rank:
        array = array[:, 0]
    if array.ndim != min(rank, 2) or (rank > 1 and array.shape[1] != rank):
        want = "(count,)" if rank == 1 else f"(count, {rank})"
        raise ShapeError(f"expects coordinates of shape {want}, got {array.shape}", where=what)
    for axis, size in enumerate(grid):
        in_range(array if rank == 1 else array[:, axis], size, what, f"axis {axis}")
    return np.array(array, np.int32, order="C")


def integers(values: Any, what: str) -> tuple[int, ...]:
    """One integer or several (also an array of them) as a tuple of Python integers."""
    if getattr(values, "ndim", 0) and hasattr(values, "__array__"):
        values = array_like(values, what).tolist()
    listed: Sequence[Any] = (values,)
    if isinstance(values, Sequence) and not isinstance(values, str | bytes):
        listed = values
    try:
        return tuple(int(operator.index(v)) for v in listed)
    except TypeError as error:
        raise ArgumentError(f"expects integers, got {values!r}", where=what) from error


def integer(value: Any, what: str) -> int:
    """One integer. Errors: :class:`pith.ArgumentError`.

    Example:
        >>> integer(np.int8(3), "k")
        3
    """
    found = integers(value, what)
    if len(found) != 1:
        raise ArgumentError(f"expects one integer, got {value!r}", where=what)
    return found[0]


def truth(value: Any, what: str, hint: str | None = None) -> bool:
    """One truth value. Errors: :class:`pith.ArgumentError` for arrays of several.

    Example:
        >>> truth(np.True_, "causal")
        True
    """
    try:
        return bool(value)
    except (TypeError, ValueError, RuntimeError, NotImplementedError) as error:
        raise ArgumentError(f"expects True or False, got {type(value).__name__}", where=what, hint=hint) from error
