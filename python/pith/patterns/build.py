"""The parts of a pattern (sizes, granularity, coordinates) from masks, lengths, routing and scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import CheckError, DTypeError, ShapeError
from ..runtime.signature import dtype_name
from ..sparse_interop import array_like
from . import cells, kernels
from .algebra import worth_a_kernel
from .check import granularity_of, grid_of, in_range, integer, integer_array, sizes_of
from .finding import find

#: Arguments of ``Pattern.trusted``.
Parts = tuple[tuple[int, ...], tuple[int, ...], np.ndarray]


def from_mask(mask: Any, granularity: int | Sequence[int]) -> Parts:
    """See :meth:`pith.Pattern.from_mask`."""
    array = _array(mask, "mask")
    sizes = sizes_of(array.shape)
    extents = granularity_of(granularity, len(sizes))
    grid = grid_of(sizes, extents)
    if worth_a_kernel(array.size) and array.dtype.kind in "bif":
        return sizes, extents, find(array, tuple(range(array.ndim)), extents, deterministic=True)
    present = array != 0
    for axis, (cell_count, extent) in enumerate(zip(grid, extents)):
        if extent > 1 and cell_count:
            present = np.logical_or.reduceat(present, np.arange(0, sizes[axis], extent), axis)
    return sizes, extents, cells.locate(np.flatnonzero(present), grid)


def from_list(listed: Any, sizes: int | Sequence[int], granularity: int | Sequence[int]) -> Parts:
    """See :meth:`pith.Pattern.from_list`."""
    entries, axes = integer_array(listed, "listed"), sizes_of(sizes)
    rank = len(axes)
    if entries.ndim != 1 or entries.size % rank != 1 % rank:
        raise ShapeError(f"expects a count and {rank} coordinates per entry, got shape {entries.shape}", where="listed")
    found, room = int(entries[0]), (entries.size - 1) // rank
    if not 0 <= found <= room:
        raise CheckError(
            f"{found} micro-tiles were found, the list has room for {room}",
            where="listed",
            hint="give the detection a larger pith.buffer, or none",
        )
    coordinates = entries[1 : 1 + found * rank].astype(np.int32)
    return axes, granularity_of(granularity, rank), coordinates if rank == 1 else coordinates.reshape(found, rank)


def from_lengths(lengths: Any, size: int, granularity: int) -> Parts:
    """See :meth:`pith.Pattern.from_lengths`."""
    used = integer_array(lengths, "lengths")
    if used.ndim != 1:
        raise ShapeError(f"expects one length per sequence, got shape {used.shape}", where="lengths")
    sizes = sizes_of((used.size, integer(size, "size")))
    _require_lengths(used, sizes[1])
    (extent,) = granularity_of(granularity, 1)
    grid_of(sizes, (1, extent))
    if worth_a_kernel(used.size * sizes[1]):
        wide = used if used.dtype in (np.int32, np.int64) else used.astype(np.int64)
        return sizes, (1, extent), kernels.counter(dtype_name(wide.dtype), extent)(np.ascontiguousarray(wide), sizes[1])
    blocks = -(-used.astype(np.int64) // extent)
    total = int(blocks.sum())
    coordinates = np.empty((total, 2), np.int32)
    coordinates[:, 0] = np.repeat(np.arange(used.size, dtype=np.int32), blocks)
    coordinates[:, 1] = np.arange(total) - np.repeat(np.cumsum(blocks) - blocks, blocks)
    return sizes, (1, extent), coordinates


def from_routing(experts: Any, n_experts: int) -> Parts:
    """See :meth:`pith.Pattern.from_routing`."""
    chosen = integer_array(experts, "experts")
    if chosen.ndim not in (1, 2):
        raise ShapeError(f"expects shape (tokens,) or (tokens, k), got {chosen.shape}", where="experts")
    tokens = chosen.shape[0]
    per_token = chosen.shape[1] if chosen.ndim == 2 else 1
    sizes = sizes_of((tokens, integer(n_experts, "n_experts")))
    grid = grid_of(sizes, (1, 1))
    in_range(chosen, sizes[1], "experts", "the expert axis")
    coordinates = np.empty((tokens * per_token, 2), np.int32)
    coordinates[:, 0] = np.repeat(np.arange(tokens, dtype=np.int32), per_token)
    coordinates[:, 1] = chosen.reshape(-1)
    if per_token > 1:
        ordered = np.sort(chosen, axis=1)
        if (ordered[:, 1:] == ordered[:, :-1]).any():
            cells.require_distinct(coordinates, grid, "experts", "a token names an expert once; pith.route chooses so")
    return sizes, (1, 1), coordinates


def top_k(scores: Any, k: int) -> Parts:
    """See :meth:`pith.Pattern.top_k`."""
    array = _array(scores, "scores")
    if array.ndim not in (1, 2):
        raise ShapeError(f"expects scores of one or two dimensions, got shape {array.shape}", where="scores")
    wanted = integer(k, "k")
    sizes = sizes_of(array.shape)
    if not 0 <= wanted <= sizes[-1]:
        raise ShapeError(f"expects 0 <= k <= {sizes[-1]} (the length of a row), got {wanted}", where="k")
    extents = (1,) * len(sizes)
    if worth_a_kernel(array.size):
        unsigned = array.dtype.kind in "ub"
        kernel = kernels.ranker(dtype_name(array.dtype), array.ndim, unsigned)
        return sizes, extents, kernel(np.ascontiguousarray(array), wanted)
    rows = array.reshape(-1, sizes[-1])
    ranked = _ranking(rows)[:, :wanted]
    if array.ndim == 1:
        return sizes, extents, np.ascontiguousarray(ranked[0], np.int32)
    coordinates = np.empty((rows.shape[0], wanted, 2), np.int32)
    coordinates[..., 0] = np.arange(rows.shape[0], dtype=np.int32)[:, None]
    coordinates[..., 1] = ranked
    return sizes, extents, coordinates.reshape(-1, 2)


def _ranking(rows: np.ndarray) -> np.ndarray:
    """Per row the places of its entries, the largest first; NaN before all numbers, equal entries in order."""
    if rows.dtype.kind in "iub":
        return np.argsort(np.invert(rows), axis=1, kind="stable")
    wide = rows.astype(np.float64)
    return np.lexsort((-wide, ~np.isnan(wide)), axis=1)


def _require_lengths(lengths: np.ndarray, size: int) -> None:
    wrong = np.flatnonzero((lengths < 0) | (lengths > size))
    if wrong.size:
        at = int(wrong[0])
        raise CheckError(
            f"sequence {at} has length {int(lengths[at])}, the axis has {size} positions",
            where="lengths",
            hint="lengths are 0 to the size of the axis: numpy.clip(lengths, 0, size) cuts sequences off",
        )


def _array(values: Any, what: str) -> np.ndarray:
    array = array_like(values, what)
    if array.dtype.kind not in "biufV" or array.dtype.names:
        raise DTypeError(f"expects booleans or numbers, got {array.dtype}", where=what)
    return array
