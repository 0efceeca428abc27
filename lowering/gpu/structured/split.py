"""Analysis: which levels of a matrix format are an index stream along k, and what is stored below each entry.

Pure Python, format -> :class:`Split`. An *entry* is one step of the stream: ``width`` consecutive elements along
the contracted dimension, at a coordinate that ``rows`` consecutive rows share. Where all levels of the stream are
dense, entry ``e`` is at ``e * width`` and every row has the same: nothing is looked up.
"""

import dataclasses
import math
from collections.abc import Sequence

from pith.formats import Format, Level, LevelExpr

#: Rows of an ``mma`` fragment: a choice that fewer rows share cannot feed one.
FRAGMENT_ROWS = 16


@dataclasses.dataclass(frozen=True)
class Split:
    """A matrix format, cut into the levels of the index stream and those below its entries.

    Attributes:
        format: the format.
        row: the dimension that is not contracted.
        stream: how many leading levels are the stream's (and the row blocks').
        rows: rows that share one stream; 0 when its levels are dense, so that all rows do.
        width: elements along k below one entry.

    Example:
        >>> from pith.formats import HSS
        >>> venom = split_format(HSS.parse("V(64)C1(2:8)->C0(2:4)").to_format(), row=0)
        >>> venom.rows, venom.width, venom.skips, str(venom.chosen)
        (64, 4, True, 'nm(2:4)')
        >>> plain = split_format(HSS.parse("C0(2:4)").to_format(), row=0)
        >>> plain.rows, plain.width, plain.skips, str(plain.chosen)
        (0, 4, False, 'nm(2:4)')
        >>> split_format(HSS.parse("V(16)C1(1:4)->C0(4)").to_format(), row=0).is_copy
        True
    """

    format: Format
    row: int
    stream: int
    rows: int
    width: int

    @property
    def depth(self) -> int:
        """The contracted dimension."""
        return 1 - self.row

    @property
    def skips(self) -> bool:
        """True when absent elements along k are skipped: the stream has a level that is not dense."""
        return self.rows > 0

    @property
    def below(self) -> tuple[tuple[LevelExpr, Level], ...]:
        """Levels below an entry."""
        return tuple(zip(self.format.exprs, self.format.levels))[self.stream :]

    @property
    def is_copy(self) -> bool:
        """True when every element below an entry is stored: a tile is a copy of stored values."""
        return all(level.is_dense for _, level in self.below)

    @property
    def chosen(self) -> Level | None:
        """The choice of single elements at the end of the format when 2:4 can say it.

        At most 2 of H, H a multiple of 4, are at most 2 of every 4: what sparse tensor cores take.
        """
        expr, level = self.below[-1] if self.below else (None, None)
        if expr is None or level is None or expr.dim == self.row or expr.div != 1:
            return None
        fits = level.kind == "nm" and not level.is_dense and level.g <= 2 and level.h % 4 == 0
        return level if fits and all(x.kind in ("dense", "nm") for _, x in self.below) else None

    @property
    def searches(self) -> bool:
        """True when groups below an entry may be absent, so that a group has to be searched for."""
        return any(not level.is_dense for _, level in self.below[:-1])


def split_format(fmt: Format, row: int) -> Split | None:
    """Cut ``fmt`` where its index stream along k ends; None for formats without one.

    The stream of a format whose choices 16 rows or more share ends where their rows begin. Otherwise it is the dense
    levels in front of the first choice.
    """
    if fmt.rank != 2 or fmt.diagonal is not None:
        return None
    pairs = list(zip(fmt.exprs, fmt.levels))
    if any(e.dim == row and not level.is_dense for e, level in pairs):
        return None
    first = next((i for i, (_, level) in enumerate(pairs) if not level.is_dense), len(pairs))
    end = next((i for i in range(first + 1, len(pairs)) if pairs[i][0].dim == row), None)
    rows = math.prod(e.mod for e, _ in pairs[end:] if e.dim == row) if end is not None else 0
    if end is not None and rows % FRAGMENT_ROWS == 0 and _is_stream(pairs[:end], row):
        width = min(e.div for e, _ in pairs[:end] if e.dim != row)
        return _checked(Split(fmt, row, end, rows, width))
    return _over_all(fmt, row)


def unshared(split: Split) -> Split | None:
    """The same format along all of k: what the stream skips is searched for. None where a list is part of it."""
    return _over_all(split.format, split.row)


def _over_all(fmt: Format, row: int) -> Split | None:
    """Cut in front of the first level that is not dense."""
    pairs = list(zip(fmt.exprs, fmt.levels))
    first = next((i for i, (_, level) in enumerate(pairs) if not level.is_dense), len(pairs))
    if not all(level.kind in ("dense", "nm") for _, level in pairs[first:]):
        return None
    width = math.prod(e.mod for e, _ in pairs[first:] if e.dim != row)
    return _checked(Split(fmt, row, first, 0, width))


def _is_stream(pairs: Sequence[tuple[LevelExpr, Level]], row: int) -> bool:
    """Whether entries can be numbered: static levels, or one list that comes before the others along k."""
    along = [level.kind for e, level in pairs if e.dim != row]
    return all(kind in ("dense", "nm") for kind in along[1:]) and along[0] in ("dense", "nm", "compressed")


def _checked(split: Split) -> Split | None:
    """None when digits below an entry do not span consecutive elements, or rows of a block are not consecutive."""
    exprs = split.format.exprs
    for dim, size in ((split.depth, split.width), (split.row, split.rows or 1)):
        inside = [e for e in exprs[split.stream :] if e.dim == dim]
        outside = [e for e in exprs[: split.stream] if e.dim == dim]
        if dim == split.row and not split.rows:
            continue
        if any(not e.mod or e.div * e.mod > size for e in inside) or any(e.div < size for e in outside):
            return None
    return split
