"""Checking buffers against the storage contract: the first bad entry is named."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import FormatError
from .buffers import buffer_specs
from .diagonals import matrix_coordinates, straight, straight_shape
from .format import Format
from .pack_buffers import unpack_bits
from .pack_digits import differs
from .pack_read import coordinates_of, slots_of


def check_storage(buffers: Sequence[np.ndarray], fmt: Format, shape: Sequence[int]) -> None:
    """Raise :class:`FormatError` naming the first entry of ``buffers`` that breaks the storage contract.

    Semantics: positions start at 0, never decrease and end at the number of children; coordinates are in
        range, sorted where the level is ordered, distinct where it is unique; lengths agree level by level.
        After it passed, reading the buffers touches nothing outside of them.
    Cost: a few linear passes over the metadata.

    Example:
        >>> check_storage([np.array([0, 1, 3]), np.array([1, 0, 2]), np.array([5, 6, 7])], Format.csr(), (2, 2))
        Traceback (most recent call last):
        ...
        pith.errors.FormatError: level 1, compressed: coordinate 2 is outside of 0..1
          hint: entry 2 of the level's coordinates
    """
    fmt.check_shape(shape)
    if fmt.diagonal is not None:
        check_storage(buffers, straight(fmt), straight_shape(fmt, shape))
        _check_ends(buffers, fmt, shape)
        return
    count = 1
    metadata = iter(buffers)
    repeats = None  # (count,) True where a position repeats the coordinate of the one before, below one parent
    for i, size in enumerate(fmt.level_sizes(shape)):
        level = fmt.levels[i]
        own = [next(metadata) for spec in buffer_specs(fmt) if spec.level == i]
        check = _CHECK["dense" if level.is_dense else level.kind]
        count, repeats = check(own, count, size, fmt, i, repeats)
    if buffers[-1].size != count:
        raise FormatError(f"expects {count} values, one per position of the last level, got {buffers[-1].size}")
    if fmt.padded and (whole := fmt.padded_shape(shape)) != tuple(shape):
        _check_edge(buffers, fmt, shape, whole)


def _check_edge(buffers: Sequence[np.ndarray], fmt: Format, shape: Sequence[int], whole: Sequence[int]) -> None:
    """Entries beyond the edge of a padded tensor hold zeros."""
    coords, values = coordinates_of(buffers, fmt, whole)
    beyond = np.logical_or.reduce([c >= size for c, size in zip(coords, shape)]) & (values != 0)
    if beyond.any():
        at = int(np.argmax(beyond))
        raise FormatError(
            f"the value {values[at]} stands at {coords[:, at].tolist()}, beyond the edge of shape {tuple(shape)}",
            hint=f"entry {at} in storage order; what pads a tensor must be zero",
        )


def _check_ends(buffers: Sequence[np.ndarray], fmt: Format, shape: Sequence[int]) -> None:
    """Entries of diagonals that stand beyond the first or last row or column hold zeros."""
    slots, coords = slots_of(buffers, fmt, shape)
    coords, inside = matrix_coordinates(coords, fmt, shape)
    stray = ~inside & (buffers[-1][slots] != 0)
    if stray.any():
        at = int(np.argmax(stray))
        where = [int(c[at]) for c in coords]
        raise FormatError(
            f"the value {buffers[-1][slots[at]]} stands at {where}, outside of shape {tuple(shape)}",
            hint=f"entry {slots[at]} in storage order; diagonals are stored with zeros at their ends",
        )


def _bad(fmt: Format, i: int, what: str, entries: np.ndarray, buffer: str) -> None:
    """Raise for the first True of ``entries``; ``what`` may use ``{0}``, the entry's index."""
    if not entries.any():
        return
    at = int(np.argmax(entries))
    raise FormatError(f"level {i}, {fmt.levels[i]}: {what}", hint=f"entry {at} of the level's {buffer}")


def _length(fmt: Format, i: int, buffer: np.ndarray, expected: int, role: str) -> None:
    if buffer.size != expected:
        raise FormatError(f"level {i}, {fmt.levels[i]}: expects {expected} {role}, got {buffer.size}")


def _dense(own: list, count: int, size: int, fmt: Format, i: int, repeats):
    return count * size, None


def _in_range(coordinates: np.ndarray, size: int, fmt: Format, i: int) -> None:
    bad = (coordinates < 0) | (coordinates >= size)
    if bad.any():
        value = coordinates[np.argmax(bad)]
        _bad(fmt, i, f"coordinate {value} is outside of 0..{size - 1}", bad, "coordinates")


def _nm(own: list, count: int, size: int, fmt: Format, i: int, repeats):
    g, bits = fmt.levels[i].g, fmt.coord_bits(i)
    entries = count * g
    if bits < 8:
        _length(fmt, i, own[0], -(-entries * bits // 8), f"bytes of {bits}-bit coordinates")
        coordinates = unpack_bits(own[0], bits, entries)
    else:
        coordinates = own[0]
        _length(fmt, i, coordinates, entries, "coordinates")
    _in_range(coordinates, size, fmt, i)
    grouped = coordinates.reshape(count, g)
    falls = np.zeros(grouped.shape, bool)
    np.less_equal(grouped[:, 1:], grouped[:, :-1], out=falls[:, 1:])
    _bad(fmt, i, "coordinates of a group must be sorted and distinct", falls.reshape(-1), "coordinates")
    return entries, None


def _parents(positions: np.ndarray, entries: int | None, fmt: Format, i: int) -> np.ndarray:
    """Check P+1 positions; the number of children of every parent."""
    if positions[0] != 0:
        raise FormatError(f"level {i}, {fmt.levels[i]}: positions must start at 0, got {positions[0]}")
    _bad(fmt, i, "positions must not decrease", np.append(False, positions[1:] < positions[:-1]), "positions")
    if entries is not None and positions[-1] != entries:
        raise FormatError(
            f"level {i}, {fmt.levels[i]}: positions end at {positions[-1]}, but there are {entries} entries"
        )
    return np.diff(positions.astype(np.int64))


def _compressed(own: list, count: int, size: int, fmt: Format, i: int, repeats):
    positions, coordinates = own
    _length(fmt, i, positions, count + 1, "positions")
    counts = _parents(positions, coordinates.size, fmt, i)
    _in_range(coordinates, size, fmt, i)
    begins = np.zeros(coordinates.size, bool)
    begins[positions[:-1][counts > 0]] = True
    return coordinates.size, _order(coordinates, ~begins, fmt, i)


def _loose_compressed(own: list, count: int, size: int, fmt: Format, i: int, repeats):
    positions, coordinates = own
    _length(fmt, i, positions, 2 * count, "positions (begin and end per parent)")
    begin, end = positions.reshape(-1, 2).T.astype(np.int64)
    bad = (begin < 0) | (end < begin) | (end > coordinates.size)
    _bad(fmt, i, f"expects 0 <= begin <= end <= {coordinates.size}", bad.repeat(2), "positions")
    used = np.zeros(coordinates.size + 1, np.int64)
    np.add.at(used, begin, 1)
    np.add.at(used, end, -1)
    used = np.cumsum(used)[:-1]
    _bad(fmt, i, "an entry belongs to more than one parent", used > 1, "coordinates")
    held = used == 1
    _in_range(np.where(held, coordinates, 0), max(size, 1), fmt, i)
    within = held.copy()
    within[begin[begin < end]] = False
    return coordinates.size, _order(coordinates, within, fmt, i)


def _order(coordinates: np.ndarray, within: np.ndarray, fmt: Format, i: int) -> np.ndarray:
    """Check order and uniqueness among entries that share a parent; marks the repeated coordinates.

    ``within``: True where an entry has the same parent as the one before.
    """
    level = fmt.levels[i]
    equal = within & ~differs(coordinates)
    if level.ordered:
        falls = np.zeros(coordinates.size, bool)
        np.less(coordinates[1:], coordinates[:-1], out=falls[1:])
        _bad(fmt, i, "coordinates of a parent must be sorted", within & falls, "coordinates")
    elif level.unique and coordinates.size:
        parent = np.cumsum(~within)
        order = np.lexsort((coordinates, parent))
        again = np.zeros(coordinates.size, bool)
        again[order[1:]] = ~(differs(coordinates[order]) | differs(parent[order]))[1:]
        _bad(fmt, i, "coordinates of a parent must be distinct", again, "coordinates")
    if level.unique:
        _bad(fmt, i, "coordinates of a parent must be distinct", equal, "coordinates")
    return equal


def _singleton(own: list, count: int, size: int, fmt: Format, i: int, repeats):
    coordinates = own[0]
    _length(fmt, i, coordinates, count, "coordinates")
    _in_range(coordinates, size, fmt, i)
    return count, _order(coordinates, repeats, fmt, i)


def _bitmask(own: list, count: int, size: int, fmt: Format, i: int, repeats):
    positions, words = own
    width = -(-size // 8)
    _length(fmt, i, positions, count + 1, "positions")
    _length(fmt, i, words, count * width, "bytes of bits")
    counts = _parents(positions, None, fmt, i)
    rows = words.reshape(count, width)
    if size % 8:
        padding = np.zeros(rows.shape, bool)
        padding[:, -1] = rows[:, -1] >> (size % 8) != 0
        _bad(fmt, i, f"bits past coordinate {size - 1} must be zero", padding.reshape(-1), "bits")
    ones = np.bitwise_count(rows).sum(axis=1, dtype=np.int64)
    _bad(fmt, i, "positions must advance by the number of bits set", np.append(False, ones != counts), "positions")
    return int(positions[-1]), None


_CHECK = {
    "dense": _dense,
    "nm": _nm,
    "compressed": _compressed,
    "loose_compressed": _loose_compressed,
    "bitmask": _bitmask,
    "singleton": _singleton,
}
