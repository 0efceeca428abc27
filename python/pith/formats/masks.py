"""Columns that the rows of a group list together, each with a mask of the rows that have it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import FormatError
from .format import Format, LevelExpr
from .pack_digits import differs

#: Rows of a group at most: kernels have a loop per mask, so of five rows they would have 31.
_MOST_ROWS = 4


def masked(rows: int, width: int = 32) -> Format:
    """Groups of so many rows (2 to 4) list their columns together, each with a mask of the rows that have it.

    Errors: :class:`pith.FormatError` for other numbers of rows.

    >>> str(masked(4))
    'd0 floordiv 4 : dense, d1 : compressed(nonordered), d0 mod 4 : bitmask'
    """
    if not 2 <= rows <= _MOST_ROWS:
        raise FormatError(f"masked(rows) expects 2 to {_MOST_ROWS} rows, got {rows}", hint="every mask is a loop")
    columns, bits = (LevelExpr(1), "compressed(nonordered)"), (LevelExpr(0, 1, rows), "bitmask")
    return Format.make(2, (LevelExpr(0, rows), "dense"), columns, bits, pos_width=width, crd_width=width)


def mask_level(fmt: Format) -> int:
    """The last level of ``fmt``, where its bits are masks whose entries may come in any order; else 0.

    >>> mask_level(masked(4)), mask_level(Format.csr())
    (2, 0)
    """
    last = len(fmt.levels) - 1
    if not last or fmt.levels[last].kind != "bitmask" or not 1 < fmt.exprs[last].mod <= _MOST_ROWS:
        return 0
    above, same = fmt.levels[last - 1], fmt.exprs[last - 1].dim == fmt.exprs[last].dim
    return last if above.kind == "compressed" and above.unique and not above.ordered and not same else 0


def by_masks(levels: Sequence[np.ndarray], fmt: Format) -> np.ndarray:
    """The order of elements in which entries of one parent that have the same mask are neighbours.

    Shapes:  levels: coordinates of the elements per level, in lexicographic order.

    >>> rows, columns = np.array([0, 0, 1, 0]), np.array([0, 1, 1, 2])  # of one group: masks 1, 3, 1
    >>> by_masks([np.zeros(4, int), columns, rows], masked(4)).tolist()
    [0, 3, 1, 2]
    """
    *above, columns, rows = levels
    changed = np.logical_or.reduce([differs(c) for c in above], initial=False) | np.zeros(rows.size, bool)
    parent = np.cumsum(changed)
    first = changed | differs(columns)
    first[:1] = True
    begins = np.flatnonzero(first)
    masks = np.bitwise_or.reduceat(1 << rows, begins) if begins.size else begins
    key = (parent << _MOST_ROWS) + masks[np.cumsum(first) - 1]
    return np.argsort(key, kind="stable")
