"""The tiles a product with an encoded operand may take: those whose rows share an index stream, in whole entries."""

import math
from collections.abc import Mapping, Sequence

from ..product.menu import TYPICAL, TileChoice, best, predicted_cycles
from .choose import Feed, entry_tile, without_stream

#: Extents of tiles along rows, along columns, and bytes along k (two swizzled rows of chunks).
_ROWS, _COLUMNS, _DEPTH_BYTES = (128, 64, 32, 16), (256, 128, 64, 32, 16, 8), 128
#: Threads of an FMA body are a square of 16 x 16.
_FMA_WARPS = (2, 4)
#: Sums of a thread, at most: as on dense operands, and half of that where much is under way besides (bytes that are
#: transposed through registers, gathers of 8 bytes at a time): with more, ptxas spills.
_MOST_SUMS, _FEWER_SUMS = 128, 64
#: Elements along k of the pair of sparse instructions that share a word of coordinates.
_SPARSE_DEPTH = 64


def feed_menu(feed: Feed, kind: str, width: int) -> list[TileChoice]:
    """Tiles for ``feed``; ``kind`` of bodies, ``width`` bytes of an element. None holds rows of two streams."""
    rows = [r for r in _ROWS if not feed.skips or feed.split.rows % r == 0]  # type: ignore[union-attr]
    depth = _depth(feed, kind, width) * width
    busy = width == 1 or (feed.role == "n" and feed.skips)
    most, columns = (_FEWER_SUMS, _COLUMNS[1:]) if busy else (_MOST_SUMS, _COLUMNS)
    out = []
    for row in rows:
        for column in columns if feed.role == "m" else columns[:-1]:
            m, n = (row, column) if feed.role == "m" else (column, row)
            out += [TileChoice(m, n, depth, warps, 3) for warps in _splits(feed, kind, m, n, most)]
    return out


def cheaper(feed: Feed | None, kind: str, width: int, sizes: tuple[int, int, int, int], processors: int) -> Feed | None:
    """``feed``, or it :func:`without_stream`: short tiles read the other operand often, tall ones multiply zeros.

    By :func:`pith.lowering.gpu.product.menu.predicted_cycles`, on paper.
    """
    other = without_stream(feed) if feed is not None and feed.skips else None
    if feed is None or other is None or feed.split is None:
        return feed
    batch, m, n, k = sizes
    held = math.prod(level.density for level in feed.format.levels[: feed.split.stream])
    fewer = (batch, m, n, int(k * held) if k > 0 else int(TYPICAL * held))
    skipping, whole = (
        predicted_cycles(best(menu, known, processors), known, processors)
        for menu, known in (
            (feed_menu(feed, kind, width), _known(fewer)),
            (feed_menu(other, kind, width), _known(sizes)),
        )
    )
    return feed if skipping <= whole else other


def _known(sizes: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    batch, m, n, k = (TYPICAL if s < 0 else max(s, 1) for s in sizes)
    return batch, m, n, k


def misfit(feed: Feed, extents: Mapping[str, int]) -> str | None:
    """Why tiles of ``extents``, which somebody asked for, cannot be fed; None when they can."""
    split, rows = feed.split, extents[feed.role]
    if split is not None and split.skips and split.rows % rows:
        return f"expects tiles of rows that share a stream, {split.rows} do, the tile has {rows}"
    step = _SPARSE_DEPTH if feed.kind == "packed" else split.width if split and feed.kind == "scattered" else 1
    if extents["k"] % step:
        return f"expects tiles of a multiple of {step} along k, got {extents['k']}"
    return None


def _depth(feed: Feed, kind: str, width: int) -> int:
    """Elements of a tile along k."""
    if feed.kind == "packed":
        return _SPARSE_DEPTH
    if feed.kind == "scattered" and feed.split is not None:
        whole = entry_tile(feed.split, kind)
        return whole * max(1, _DEPTH_BYTES // (whole * width))
    return _DEPTH_BYTES // width


def _splits(feed: Feed, kind: str, m: int, n: int, most: int) -> Sequence[tuple[int, int]]:
    """Ways to divide a tile among 4 or 8 warps, with sums that fit in registers."""
    if kind == "fma":
        return [_FMA_WARPS] if m % 16 == 0 and n % 16 == 0 and m * n // 256 <= most else []
    sixteen = "n" if feed.kind == "packed" and feed.role == "n" else "m"
    tall, wide = (16, 8) if sixteen == "m" else (8, 16)
    splits = [(d, a) for d in (1, 2, 4, 8) for a in (1, 2, 4, 8) if d * a in (4, 8)]
    return [(d, a) for d, a in splits if m % (tall * d) == 0 and n % (wide * a) == 0 and m * n // (32 * d * a) <= most]
