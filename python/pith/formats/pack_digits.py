"""Between a tensor's dimensions and a format's levels: every level holds one digit of one dimension."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .format import Format

#: Elements per slab: 4096x4096 float32 in C1(3:4)->C0(2:4) packs in 0.50 s of CPU at 2^16, 0.56 s at 2^18 to
#: 2^20, 0.68 s at 2^14 and 2.3 s in one part (2-core Xeon, 2026-11).
_SLAB = 1 << 16

_HEADS = ("compressed", "loose_compressed")


def digit_order(fmt: Format) -> list[int]:
    """Levels sorted by (dimension, most significant digit first): the order a reshape yields them in."""
    return sorted(range(len(fmt.exprs)), key=lambda i: (fmt.exprs[i].dim, -fmt.exprs[i].div, fmt.exprs[i].mod == 1))


def is_row_major(fmt: Format) -> bool:
    """True when a format stores every element of a tensor, row by row, and nothing else.

    >>> from pith.formats import HSS
    >>> dense, blocks = HSS.parse("C1(4:4)->C0(4:4)").to_format(), HSS.parse("B(4x4)C0(2:2)").to_format()
    >>> is_row_major(Format.dense(2)), is_row_major(dense), is_row_major(blocks), is_row_major(Format.csr())
    (True, True, False, False)
    """
    return fmt.is_dense and not fmt.padded and digit_order(fmt) == list(range(len(fmt.exprs)))


def level_view(dense, fmt: Format):
    """``dense`` with one axis per level, in level order (a view when ``dense`` is contiguous).

    Shapes:  dense: the tensor's shape, which ``fmt`` divides; result: ``fmt.level_sizes(dense.shape)``.
    """
    order = digit_order(fmt)
    sizes = fmt.level_sizes(dense.shape)
    axes = [order.index(i) for i in range(len(order))]
    return dense.reshape([sizes[i] for i in order]).transpose(axes)


def rounded_up(dense: np.ndarray, fmt: Format) -> np.ndarray:
    """``dense`` with zeros up to the next shape that ``fmt`` divides; itself when it does, or is not padded.

    >>> rounded_up(np.ones((1, 3)), Format.bsr(2, 2).with_padding()).tolist()
    [[1.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0]]
    """
    if not fmt.padded or (shape := fmt.padded_shape(dense.shape)) == dense.shape:
        return dense
    out = np.zeros(shape, dense.dtype)
    out[tuple(slice(s) for s in dense.shape)] = dense
    return out


def slabs(fmt: Format, shape: Sequence[int]) -> Iterator[tuple[slice, ...]]:
    """Cut a tensor into parts that a format treats independently, small enough to stay in cache.

    The cut is along the outermost level when it is dense, in multiples of 8 of its coordinates (so that
    packed sub-byte coordinates of a part fill whole bytes); otherwise there is one part.

    >>> [s[0] for s in slabs(Format.csr(), (20, 2**13))]
    [slice(0, 8, None), slice(8, 16, None), slice(16, 20, None)]
    """
    e = fmt.exprs[0]
    size = shape[e.dim]
    step = size
    if fmt.levels[0].kind == "dense" and not e.mod and size:
        step = 8 * e.div * max(1, _SLAB * size // (8 * e.div * max(1, math.prod(shape))))
    whole = [slice(None)] * len(shape)
    for begin in range(0, max(1, size), max(1, step)):
        whole[e.dim] = slice(begin, min(size, begin + step))
        yield tuple(whole)


def dense_view(levels: np.ndarray, fmt: Format, shape: Sequence[int]) -> np.ndarray:
    """The inverse of :func:`level_view`."""
    return levels.transpose(digit_order(fmt)).reshape(shape)


def level_coordinates(coords: Sequence[np.ndarray], fmt: Format) -> list[np.ndarray]:
    """Coordinates on every level of elements given by one coordinate array per dimension."""
    out = []
    for e in fmt.exprs:
        digit = coords[e.dim] if e.div == 1 else coords[e.dim] // e.div
        out.append(digit % e.mod if e.mod else digit)
    return out


def dim_coordinates(levels: Sequence[Any], fmt: Format) -> list[Any]:
    """The inverse of :func:`level_coordinates`; missing inner levels count as coordinate 0."""
    out: list[Any] = [0] * fmt.rank
    for e, c in zip(fmt.exprs, levels):
        out[e.dim] = out[e.dim] + c * e.div
    return out


def level_sorting(levels: Sequence[np.ndarray], sizes: Sequence[int]) -> np.ndarray | None:
    """Stable order that sorts elements lexicographically by level coordinates; None when sorted already."""
    if math.prod(sizes) >= 2**63:
        order = np.lexsort(tuple(reversed(levels)))
        return None if np.array_equal(order, np.arange(order.size)) else order
    key = np.zeros(levels[0].size, np.int64)
    for c, size in zip(levels, sizes):
        key = key * size + c
    return None if np.all(key[1:] >= key[:-1]) else np.argsort(key, kind="stable")


def differs(coordinates: np.ndarray) -> np.ndarray:
    """True where an entry differs from the one before it (False at the first)."""
    out = np.zeros(coordinates.size, bool)
    np.not_equal(coordinates[1:], coordinates[:-1], out=out[1:])
    return out


def entry_end(fmt: Format, head: int) -> int:
    """Last level whose coordinate tells the entries of compressed level ``head`` apart.

    A unique level has one entry per coordinate. A nonunique one has an entry per tuple of its
    coordinate and those of the singleton levels below it, down to the first unique one.
    """
    end = head
    while not fmt.levels[end].unique and end + 1 < len(fmt.levels) and fmt.levels[end + 1].kind == "singleton":
        end += 1
    return end


def may_repeat(fmt: Format) -> bool:
    """True when the format allows an element to be stored more than once (its values then add up).

    >>> may_repeat(Format.coo()), may_repeat(Format.make(1, (0, "compressed(nonunique)")))
    (False, True)
    """
    heads = (i for i, level in enumerate(fmt.levels) if level.kind in _HEADS)
    return any(not fmt.levels[entry_end(fmt, i)].unique for i in heads)


def slot_limits(fmt: Format) -> dict[int, int]:
    """Levels that hold a limited number of coordinates per parent -> that number.

    ``nm`` levels hold G. A singleton level holds one per parent; that is a limit when the
    levels above do not give each of its coordinates a parent of its own.

    >>> slot_limits(Format.make(2, (0, "compressed"), (1, "singleton")))
    {1: 1}
    >>> slot_limits(Format.coo())
    {}
    """
    out = {}
    end = -1
    for i, level in enumerate(fmt.levels):
        if level.kind in _HEADS:
            end = entry_end(fmt, i)
        if level.kind == "singleton" and i > end:
            out[i] = 1
        elif level.kind == "nm" and not level.is_dense:
            out[i] = level.g
    return out
