"""Reading packed buffers back: as coordinates and values, or as a dense tensor."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .buffers import buffer_specs
from .diagonals import matrix_coordinates, straight, straight_shape
from .format import Format
from .pack_buffers import aligned_zeros, unpack_bits
from .pack_digits import dense_view, may_repeat

_Numbers = list[np.ndarray]


def unpack(
    buffers: Sequence[np.ndarray], fmt: Format, shape: Sequence[int], dtype: np.dtype | type | None = None
) -> np.ndarray:
    """The dense tensor that ``buffers`` store in ``fmt`` (the inverse of :func:`pith.formats.pack.pack`).

    Shapes:  buffers: those of the storage contract, values last; result: ``shape``.
    Errors:  none of its own: buffers from elsewhere are checked by :func:`check_storage` first.

    Example:
        >>> unpack([np.array([0, 1, 3]), np.array([1, 0, 1]), np.array([5, 6, 7])], Format.csr(), (2, 2))
        array([[0, 5],
               [6, 7]])
    """
    if fmt.diagonal is not None:
        coords, stored = coordinates_of(buffers, fmt, shape)
        out = aligned_zeros(math.prod(shape), np.dtype(dtype or stored.dtype)).reshape(shape)
        out[tuple(coords)] = stored
        return out
    if fmt.padded and (whole := fmt.padded_shape(shape)) != tuple(shape):
        edge = tuple(slice(size) for size in shape)
        return np.ascontiguousarray(unpack(buffers, fmt, whole, dtype)[edge])
    values = np.asarray(buffers[-1], dtype)
    if fmt.is_dense:
        return np.ascontiguousarray(dense_view(values.reshape(fmt.level_sizes(shape)), fmt, shape))
    strides = np.cumprod([1, *shape[:0:-1]])[::-1].tolist()
    weights = [e.div * strides[e.dim] for e in fmt.exprs]
    slots, (linear,) = walk(buffers, fmt, shape, [weights])
    out = aligned_zeros(math.prod(shape), values.dtype)
    if may_repeat(fmt):
        np.add.at(out, linear, values[slots])
    else:
        out[linear] = values[slots]
    return out.reshape(shape)


def coordinates_of(buffers: Sequence[np.ndarray], fmt: Format, shape: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Every stored element as (coordinates, values), stored zeros included, in storage order.

    Entries of a padded format beyond the edge of the tensor are left out, and those at the ends of diagonals.

    Shapes:  coordinates: (rank, n) int64; values: (n,).
    """
    slots, dims = slots_of(buffers, fmt, shape)
    values = buffers[-1]
    if fmt.diagonal is not None:
        dims, inside = matrix_coordinates(dims, fmt, shape)
        return np.stack([c[inside] for c in dims]), values[slots[inside]]
    inside = [c < size for c, size in zip(dims, shape)] if fmt.padded else []
    if not np.all(inside):
        here = np.flatnonzero(np.logical_and.reduce(inside))
        slots, dims = slots[here], [c[here] for c in dims]
    in_order = slots.size == values.size and np.array_equal(slots, np.arange(slots.size))
    return np.stack(dims), values if in_order else values[slots]


def slots_of(buffers: Sequence[np.ndarray], fmt: Format, shape: Sequence[int]) -> tuple[np.ndarray, _Numbers]:
    """Slot among the values and coordinates of every stored entry; of diagonals, in the straightened matrix."""
    if fmt.diagonal is not None:
        return slots_of(buffers, straight(fmt), straight_shape(fmt, shape))
    return walk(buffers, fmt, shape, [[e.div if e.dim == d else 0 for e in fmt.exprs] for d in range(fmt.rank)])


def walk(
    buffers: Sequence[np.ndarray], fmt: Format, shape: Sequence[int], weights: Sequence[Sequence[int]]
) -> tuple[np.ndarray, _Numbers]:
    """Enumerate the stored elements: their slots in the values, and weighted sums of their level coordinates.

    ``weights[k][l]`` is what one step of level ``l``'s coordinate adds to sum ``k``.
    """
    slots = np.zeros(1, np.int64)
    sums: _Numbers = [np.zeros(1, np.int64) for _ in weights]
    metadata = iter(buffers)
    for i, size in enumerate(fmt.level_sizes(shape)):
        level = fmt.levels[i]
        own = [next(metadata) for spec in buffer_specs(fmt) if spec.level == i]
        slots, parents, coordinates = _READ["dense" if level.is_dense else level.kind](slots, own, size, fmt, i)
        steps = [[w[i] * coordinates] if w[i] else [] for w in weights]
        sums = [_add(np.repeat(s, parents) if isinstance(parents, int) else s[parents], d) for s, d in zip(sums, steps)]
    return slots, sums


def _add(total: np.ndarray, terms: _Numbers) -> np.ndarray:
    return total + terms[0] if terms else total


def _dense(slots: np.ndarray, own: _Numbers, size: int, fmt: Format, i: int):
    children = slots[:, None] * size + np.arange(size)
    return children.reshape(-1), size, np.tile(np.arange(size), slots.size)


def _nm(slots: np.ndarray, own: _Numbers, size: int, fmt: Format, i: int):
    g, bits = fmt.levels[i].g, fmt.coord_bits(i)
    children = (slots[:, None] * g + np.arange(g)).reshape(-1)
    words = own[0]
    coordinates = unpack_bits(words, bits, words.size * 8 // bits) if bits < 8 else words
    return children, g, coordinates[children].astype(np.int64)


def _compressed(slots: np.ndarray, own: _Numbers, size: int, fmt: Format, i: int):
    positions, coordinates = own
    step = 2 if fmt.levels[i].kind == "loose_compressed" else 1
    begins = positions[slots * step].astype(np.int64)
    parents, children = _ranges(begins, positions[slots * step + 1].astype(np.int64) - begins)
    return children, parents, coordinates[children].astype(np.int64)


def _bitmask(slots: np.ndarray, own: _Numbers, size: int, fmt: Format, i: int):
    positions, words = own
    rows = words.reshape(positions.size - 1, -(-size // 8))[slots]
    parents, coordinates = np.nonzero(np.unpackbits(rows, axis=1, count=size, bitorder="little"))
    begins = positions[slots].astype(np.int64)
    _, children = _ranges(begins, np.bincount(parents, minlength=slots.size))
    return children, parents, coordinates


def _singleton(slots: np.ndarray, own: _Numbers, size: int, fmt: Format, i: int):
    return slots, 1, own[0][slots].astype(np.int64)


def _ranges(begins: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Concatenate ``range(begins[p], begins[p] + counts[p])``: (p of every member, the members)."""
    parents = np.repeat(np.arange(counts.size), counts)
    shift = begins - (np.cumsum(counts) - counts)
    return parents, np.arange(parents.size) + shift[parents]


_READ = {
    "dense": _dense,
    "nm": _nm,
    "compressed": _compressed,
    "loose_compressed": _compressed,
    "bitmask": _bitmask,
    "singleton": _singleton,
}
