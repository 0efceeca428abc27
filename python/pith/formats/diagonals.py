"""Formats of diagonals, as ordinary formats of another matrix.

Push every row ``i`` of a matrix ``i`` places to the left, and its diagonals become columns. What stores the
diagonals ``d1 - d0`` of the matrix stores the columns of that *straightened* one, so packing, reading, checking and
pruning know only digits. Places that hold no element of the matrix, at both ends of the diagonals, are zeros.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

from ..errors import FormatError
from .format import Format, LevelExpr
from .levels import Level


@functools.cache
def straight(fmt: Format) -> Format:
    """The format of the straightened matrix: columns in place of diagonals, all of them in place of a band.

    >>> print(straight(Format.banded(1, 1)), "|", straight(Format.dia()))
    d0 : dense, d1 : dense | d1 : compressed, d0 : dense
    """
    at = _diagonal(fmt)
    columns = LevelExpr(fmt.exprs[at].dim)
    level = Level("dense") if fmt.levels[at].kind == "band" else fmt.levels[at]
    exprs, levels = (list(x) for x in (fmt.exprs, fmt.levels))
    exprs[at], levels[at] = columns, level
    return dataclasses.replace(fmt, exprs=tuple(exprs), levels=tuple(levels))


def straight_shape(fmt: Format, shape: Sequence[int]) -> tuple[int, ...]:
    """Its shape: as many columns as the level can hold diagonals.

    >>> straight_shape(Format.banded(1, 1), (8, 6)), straight_shape(Format.dia(), (8, 6))
    ((8, 3), (8, 13))
    """
    at = _diagonal(fmt)
    out = list(shape)
    out[fmt.exprs[at].dim] = fmt.level_sizes(shape)[at]
    return tuple(out)


def lowest(fmt: Format, shape: Sequence[int]) -> int:
    """The diagonal that is coordinate 0 of its level: that of the band, or of the last row's first element."""
    e, level = fmt.exprs[_diagonal(fmt)], fmt.levels[_diagonal(fmt)]
    return -level.lower if level.kind == "band" else 1 - shape[e.minus or 0]


def straight_coordinates(coords: Sequence[np.ndarray], fmt: Format, shape: Sequence[int]) -> list[np.ndarray]:
    """Coordinates in the straightened matrix of elements given by those in the matrix.

    Errors: :class:`pith.FormatError` naming the first element, in row-major order, outside of a band.

    >>> straight_coordinates([np.array([2]), np.array([1])], Format.banded(1, 1), (4, 4))
    [array([2]), array([0])]
    """
    e = fmt.exprs[_diagonal(fmt)]
    out = list(coords)
    out[e.dim] = coords[e.dim] - coords[e.minus or 0] - lowest(fmt, shape)
    outside = np.flatnonzero((out[e.dim] < 0) | (out[e.dim] >= straight_shape(fmt, shape)[e.dim]))
    if outside.size:
        first = min(tuple(int(c[i]) for c in coords) for i in outside)
        raise band_error(fmt, first)
    return out


def matrix_coordinates(
    coords: Sequence[np.ndarray], fmt: Format, shape: Sequence[int]
) -> tuple[list[np.ndarray], np.ndarray]:
    """The inverse of :func:`straight_coordinates`, and where it names an element of the matrix at all."""
    e = fmt.exprs[_diagonal(fmt)]
    out = list(coords)
    out[e.dim] = coords[e.dim] + coords[e.minus or 0] + lowest(fmt, shape)
    return out, np.logical_and.reduce([(c >= 0) & (c < size) for c, size in zip(out, shape)])


def straightened(dense: np.ndarray, fmt: Format) -> np.ndarray:
    """The straightened matrix, with zeros (False) where it holds no element of the matrix.

    >>> straightened(np.arange(1, 10).reshape(3, 3), Format.banded(1, 1)).tolist()
    [[0, 1, 2], [4, 5, 6], [8, 9, 0]]
    """
    out = np.zeros(straight_shape(fmt, dense.shape), dense.dtype)
    for mine, theirs in _diagonal_pairs(dense, out, fmt):
        theirs[...] = mine
    return out


def bent(straightened: np.ndarray, fmt: Format, shape: Sequence[int]) -> np.ndarray:
    """The inverse of :func:`straightened`, with zeros (False) outside of a band."""
    out = np.zeros(shape, straightened.dtype)
    for mine, theirs in _diagonal_pairs(out, straightened, fmt):
        mine[...] = theirs
    return out


def last_level(fmt: Format, dim: int) -> int:
    """The innermost level of any matrix format that a coordinate of dimension ``dim`` depends on.

    >>> last_level(Format.csr(), 0), last_level(Format.dia(), 0), last_level(Format.dia(), 1)
    (0, 1, 1)
    """
    both = fmt.diagonal is not None and fmt.exprs[fmt.diagonal].dim == dim
    return max(i for i, e in enumerate(fmt.exprs) if both or e.dim == dim)


def band_error(fmt: Format, element: tuple[int, ...]) -> FormatError:
    """The error for the element of a tensor outside of a band."""
    e, level = fmt.exprs[_diagonal(fmt)], fmt.levels[_diagonal(fmt)]
    return FormatError(
        f"tensor does not obey {fmt}: {level} holds the diagonals {-level.lower} to {level.upper} of {e}, "
        f"the element is on diagonal {element[e.dim] - element[e.minus or 0]}",
        where=f"element {list(element)}",
        hint="pith.prune(w, fmt) zeroes what the format cannot keep",
    )


def _diagonal(fmt: Format) -> int:
    if fmt.diagonal is None:
        raise FormatError(f"format {fmt} has no level of diagonals")
    return fmt.diagonal


def _diagonal_pairs(matrix: np.ndarray, columns: np.ndarray, fmt: Format):
    """(Diagonal of the matrix, the part of a column of the straightened one that holds it), both writable views."""
    low, shape = lowest(fmt, matrix.shape), matrix.shape
    if fmt.exprs[_diagonal(fmt)].dim == 0:
        matrix, columns, shape = matrix.T, columns.T, shape[::-1]
    step = sum(matrix.strides)
    for c in range(columns.shape[1]):
        offset = low + c
        first, last = max(0, -offset), min(shape[0], shape[1] - offset)
        if first < last:
            view = np.lib.stride_tricks.as_strided(
                matrix[first:, first + offset :], (last - first,), (step,), writeable=matrix.flags.writeable
            )
            yield view, columns[first:last, c]
