"""Packing: from elements of a tensor to the flat buffers of the storage contract.

One mechanism for every format: elements are listed in the order of their level coordinates;
each level then turns the parent position of every element into its child position and writes
its own buffers. Memory is a small multiple of the elements given plus the result.

Zeros are not stored where the format has a choice; -0.0 counts as zero (and reads back as 0.0),
NaN and infinities are kept.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from math import prod

import numpy as np

from ..errors import DTypeError, FormatError, ShapeError
from .buffers import buffer_specs
from .diagonals import straight, straight_coordinates, straight_shape
from .format import Format
from .levels import Level
from .masks import by_masks, mask_level
from .pack_buffers import aligned_empty, aligned_zeros, check_memory, metadata_dtype, narrow
from .pack_digits import differs, entry_end, level_coordinates, level_sorting, level_view, rounded_up, slabs
from .pack_read import unpack
from .validate import find_violation, first_violation

__all__ = ["check_coordinates", "pack", "pack_coordinates", "unpack"]

#: Booleans filled up at a time by :func:`_fill_groups` (4 MiB stay in the L2 cache of current machines).
_CHUNK = 1 << 22


def pack(dense: np.ndarray, fmt: Format) -> list[np.ndarray]:
    """Buffers of ``dense`` stored in ``fmt``: metadata in the order of the storage contract, values last.

    Shapes:  dense: any rank, sizes that ``fmt`` divides unless it is padded; buffers: 1-D, 64-byte aligned.
    Errors:  :class:`pith.FormatError` naming the first element that breaks the format, or a width that
        overflows; :class:`pith.ShapeError` when ``fmt`` does not divide the shape.

    Example:
        >>> positions, coordinates, values = pack(np.array([[0, 5], [6, 7]]), Format.csr())
        >>> positions.tolist(), coordinates.tolist(), values.tolist()
        ([0, 1, 3], [1, 0, 1], [5, 6, 7])
    """
    fmt.check_shape(dense.shape)
    if fmt.diagonal is not None:
        at = np.nonzero(dense)
        return pack_coordinates(at, dense[at], dense.shape, fmt)
    dense = rounded_up(dense, fmt)
    if not fmt.is_static:
        return _pack_slab(dense, fmt)
    out = [aligned_empty(words, metadata_dtype(bits)) for words, bits in _static_words(fmt, dense.shape)]
    out.append(aligned_empty(prod(fmt.packed_shapes(dense.shape)["values"]), dense.dtype))
    ends = [0] * len(out)
    for slab in slabs(fmt, dense.shape):
        try:
            parts = _pack_slab(dense[slab], fmt)
        except FormatError:
            if (violation := first_violation(dense, fmt)) is not None:
                raise violation.error(fmt) from None
            raise
        for i, part in enumerate(parts):
            out[i][ends[i] : ends[i] + part.size] = part
            ends[i] += part.size
    return out


def _static_words(fmt: Format, shape: Sequence[int]) -> list[tuple[int, int]]:
    """(Allocated elements, entry bits) of every metadata buffer of a static format."""
    shapes = fmt.packed_shapes(shape)
    return [(b.words(prod(shapes[f"coordinates[{b.level}]"])), b.bits) for b in buffer_specs(fmt)]


def _pack_slab(dense: np.ndarray, fmt: Format) -> list[np.ndarray]:
    """:func:`pack` of a tensor, or of a part that the format treats independently."""
    flat = level_view(dense, fmt).reshape(-1)
    at = np.flatnonzero(flat)
    sizes = fmt.level_sizes(dense.shape)
    levels = np.unravel_index(at, sizes) if at.size else [at] * len(sizes)
    return _build(levels, flat[at], fmt, dense.shape)


def pack_coordinates(
    coords: np.ndarray | Sequence[np.ndarray], values: np.ndarray, shape: Sequence[int], fmt: Format
) -> list[np.ndarray]:
    """Buffers in ``fmt`` of a tensor given by coordinates, never densified.

    Shapes:  coords: (rank, n) integers, any order; values: (n,).
    Semantics: values of repeated coordinates are added up; zeros that are given are stored.
    Errors:  as :func:`pack`; :class:`pith.ShapeError` for coordinates outside of ``shape``.

    Example:
        >>> _, coordinates, values = pack_coordinates([[1, 0, 1], [0, 1, 0]], np.array([2, 3, 4]), (2, 2), Format.csr())
        >>> coordinates.tolist(), values.tolist()
        ([1, 0], [3, 6])
    """
    fmt.check_shape(shape)
    dims = check_coordinates(coords, values, shape)
    if fmt.diagonal is not None:
        dims, shape, fmt = straight_coordinates(dims, fmt, shape), straight_shape(fmt, shape), straight(fmt)
    levels = level_coordinates(dims, fmt)
    order = level_sorting(levels, fmt.level_sizes(shape))
    if order is not None:
        levels, values = [c[order] for c in levels], values[order]
    first = np.logical_or.reduce([differs(c) for c in levels])
    first[:1] = True
    if not first.all():
        begins = np.flatnonzero(first)
        levels, values = [c[begins] for c in levels], np.add.reduceat(values, begins, dtype=values.dtype)
    return _build(levels, values, fmt, shape)


def check_coordinates(
    coords: np.ndarray | Sequence[np.ndarray], values: np.ndarray, shape: Sequence[int]
) -> list[np.ndarray]:
    """``coords`` as one int64 array per dimension, or a typed error that names the first bad one."""
    dims = [np.asarray(c) for c in coords]
    if len(dims) != len(shape) or any(c.shape != values.shape or values.ndim != 1 for c in dims):
        raise ShapeError(
            f"expects {len(shape)} coordinate arrays of shape {values.shape}, got {[c.shape for c in dims]}",
            hint="one array per dimension, each with an index per value",
        )
    for d, (c, size) in enumerate(zip(dims, shape)):
        if c.size and c.dtype.kind not in "iu":
            raise DTypeError(f"coordinates of dimension {d} are {c.dtype}, expects integers")
        bad = np.flatnonzero((c < 0) | (c >= size))
        if bad.size:
            raise ShapeError(
                f"coordinate {c[bad[0]]} of dimension {d} is outside of 0..{size - 1}",
                where=f"entry {bad[0]}",
                hint="coordinates count from 0 (1-based ones: subtract 1), and the shape must hold them all",
            )
    return [c.astype(np.int64, copy=False) for c in dims]


@dataclasses.dataclass
class _Cursor:
    """Where packing stands between two levels, for n elements in level order."""

    pos: np.ndarray  # (n,) position of each element in the level above
    count: int  # number of positions of the level above
    first: np.ndarray  # (n,) True for the first element of each position that holds any


def _build(levels: Sequence[np.ndarray], values: np.ndarray, fmt: Format, shape: Sequence[int]) -> list[np.ndarray]:
    """Buffers of elements in lexicographic level order, without repetitions."""
    if mask_level(fmt):
        order = by_masks(levels, fmt)
        levels, values = [c[order] for c in levels], values[order]
    cursor = _Cursor(np.zeros(values.size, np.int64), 1, np.zeros(values.size, bool))
    cursor.first[:1] = True
    buffers: list[np.ndarray] = []
    for i, (level, size) in enumerate(zip(fmt.levels, fmt.level_sizes(shape))):
        try:
            buffers += _BUILD[level.kind](cursor, levels, i, size, fmt)
        except _TooFullError:
            if (violation := find_violation(levels, fmt, shape)) is not None:
                raise violation.error(fmt) from None
            raise
    out = aligned_zeros(cursor.count, values.dtype)
    out[cursor.pos] = values
    return [*buffers, out]


class _TooFullError(Exception):
    """A group holds more coordinates than its level; the caller finds out which."""


def _dense(cursor: _Cursor, levels: Sequence[np.ndarray], i: int, size: int, fmt: Format) -> list[np.ndarray]:
    check_memory(cursor.count * size, f"level {i} ({cursor.count} x {size} positions)")
    cursor.pos = cursor.pos * size + levels[i]
    cursor.count *= size
    cursor.first = cursor.first | differs(levels[i])
    return []


def _nm(cursor: _Cursor, levels: Sequence[np.ndarray], i: int, size: int, fmt: Format) -> list[np.ndarray]:
    level = fmt.levels[i]
    if level.is_dense:
        return _dense(cursor, levels, i, size, fmt)
    check_memory(cursor.count * level.g, f"level {i} ({cursor.count} x {level.g} positions)")
    first = cursor.first | differs(levels[i])
    entries = np.flatnonzero(first)
    coordinates, slots = _fill_groups(cursor.pos[entries], levels[i][entries], level, cursor.count)
    cursor.pos = cursor.pos * level.g + slots[np.cumsum(first) - 1]
    cursor.count *= level.g
    cursor.first = first
    return [narrow(coordinates, fmt.coord_bits(i), "nm")]


def _fill_groups(groups: np.ndarray, coords: np.ndarray, level: Level, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of ``count`` groups, G each, and the slot of every given (group, coordinate) in its group.

    Groups with fewer than G coordinates get the lowest unused ones as well.
    """
    g, h = level.g, level.h
    held = np.bincount(groups, minlength=count)
    if groups.size and held.max() > g:
        raise _TooFullError
    if groups.size == count * g:
        return coords, np.arange(groups.size) % g
    out = aligned_empty(count * g, np.int64)
    slots = np.empty(groups.size, np.int64)
    step = max(1, _CHUNK // h)
    for begin in range(0, count, step):
        end = min(count, begin + step)
        part = slice(*np.searchsorted(groups, (begin, end)))
        at = (groups[part] - begin, coords[part])
        used = np.zeros((end - begin, h), bool)
        used[at] = True
        spare = ~used
        used |= spare & (np.cumsum(spare, axis=1, dtype=np.int32) <= g - held[begin:end, None])
        out[begin * g : end * g] = np.nonzero(used)[1]
        slots[part] = np.cumsum(used, axis=1, dtype=np.int32)[at] - 1
    return out, slots


def _compressed(cursor: _Cursor, levels: Sequence[np.ndarray], i: int, size: int, fmt: Format) -> list[np.ndarray]:
    positions, entries = _enter(cursor, levels, i, entry_end(fmt, i))
    if fmt.levels[i].kind == "loose_compressed":
        positions = np.stack((positions[:-1], positions[1:]), axis=1).reshape(-1)
    coordinates = narrow(levels[i][entries], fmt.coord_bits(i), "crd")
    return [narrow(positions, fmt.pos_bits, "pos"), coordinates]


def _bitmask(cursor: _Cursor, levels: Sequence[np.ndarray], i: int, size: int, fmt: Format) -> list[np.ndarray]:
    width = -(-size // 8)
    words = aligned_zeros(cursor.count * width, np.uint8)
    parents = cursor.pos
    positions, entries = _enter(cursor, levels, i, i)
    if entries.size:
        c = levels[i][entries]
        word = parents[entries] * width + c // 8
        begins = np.flatnonzero(np.append(True, word[1:] != word[:-1]))
        words[word[begins]] = np.bitwise_or.reduceat(np.uint8(1) << (c % 8).astype(np.uint8), begins)
    return [narrow(positions, fmt.pos_bits, "pos"), words]


def _enter(cursor: _Cursor, levels: Sequence[np.ndarray], begin: int, end: int) -> tuple[np.ndarray, np.ndarray]:
    """Give each distinct tuple of coordinates of levels begin..end a position; (positions, first elements)."""
    check_memory((cursor.count + 1) * 8, f"positions of level {begin} ({cursor.count} parents)")
    first = cursor.first
    for c in levels[begin : end + 1]:
        first = first | differs(c)
    entries = np.flatnonzero(first)
    positions = np.zeros(cursor.count + 1, np.int64)
    np.cumsum(np.bincount(cursor.pos[entries], minlength=cursor.count), out=positions[1:])
    cursor.pos, cursor.count, cursor.first = np.cumsum(first) - 1, entries.size, first
    return positions, entries


def _singleton(cursor: _Cursor, levels: Sequence[np.ndarray], i: int, size: int, fmt: Format) -> list[np.ndarray]:
    first = cursor.first | differs(levels[i])
    entries = np.flatnonzero(first)
    if entries.size != cursor.count:
        raise _TooFullError
    return [narrow(levels[i][entries], fmt.coord_bits(i), "crd")]


_BUILD = {
    "dense": _dense,
    "nm": _nm,
    "compressed": _compressed,
    "loose_compressed": _compressed,
    "bitmask": _bitmask,
    "singleton": _singleton,
}
