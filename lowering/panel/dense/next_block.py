"""Fetching the block of a dense operand that follows while one is multiplied, in the order of memory.

Hardware follows pieces of rows that are pages long, in whatever order tiles read them later; a core has room for few
lines that software asks for, which a panel's two to four lines of every row fill up.
"""

import dataclasses
from collections.abc import Callable

from pith._mlir import arith, ir, memref

from ... import builder as b
from ...builder import Index
from ..ahead import SECOND_LEVEL
from ..arithmetic import CACHE_LINE, bytes_of
from ..walk import Walk

#: Cache lines that are fetched together: per contracted coordinate of the tile that packs, and per unrolled block of
#: the others. The first 60, 24 and 12 rows of 64 experts of 512x1024 f32 (C, Emerald Rapids, 2026-11).
LINES = 2


@dataclasses.dataclass(frozen=True)
class NextBlock:
    """Rows ``first[0]`` up of a matrix, ``count`` of them, from column ``first[1]`` on.

    Every panel of the block that is multiplied fetches an equal share.

    Attributes:
        source: ``(reds, cols)``.
        reds: which rows are packed, not listed.
        width: columns.
        lo, hi: contracted positions of the block that is multiplied; ``column``: its first.
        lanes: columns of a panel.
        packs: the first tile of rows with a panel packs it, and fetches more than others do.
    """

    source: ir.Value
    reds: Walk
    first: tuple[Index, Index]
    count: Index
    width: Index
    lo: Index
    hi: Index
    column: Index
    lanes: int
    packs: bool = True

    @classmethod
    def of(
        cls,
        source: ir.Value,
        reds: Walk,
        cols: Walk,
        block: tuple[Index, Index],
        members: tuple[tuple[Index, Index], tuple[Index, Index]],
        lanes: int,
    ) -> "NextBlock":
        """Below a block of contracted coordinates, else to the right of it, else where the next matrix begins.

        Args:
            members: the panels that are multiplied together, and those of which the last comes before the next matrix.
        """
        ((first, last), (begin, end)), (lo, hi) = members, block
        column, right, left = (b.value(b.add(cols.first, b.mul(p, lanes))) for p in (first, last, begin))
        is_below, is_right = b.less(hi, reds.count), b.less(last, end)
        red = arith.select(is_below, b.value(hi), arith.select(is_right, b.value(0), b.value(reds.count)))
        next_column = arith.select(is_below, column, arith.select(is_right, right, left))
        width = b.mul(b.sub(last, first), lanes)
        return cls(source, reds, (red, next_column), b.sub(hi, lo), width, lo, hi, column, lanes)

    @property
    def _columns(self) -> int:
        """That are fetched together."""
        return LINES * CACHE_LINE // bytes_of(self.source.type.element_type)

    def pack(self, column: Index) -> Callable[[Index], None]:
        """What the tile that packs the panel from ``column`` on does at a contracted position.

        Nothing where the block is all of a matrix: then it waits for memory all the time.
        """
        begin, part = self._begin(column), b.less(b.sub(self.hi, self.lo), self.reds.count)
        return lambda red: b.only_if(part, lambda: self._fetch(begin, b.sub(red, self.lo)))

    def fetch(self, tile: Index, blocks: Index, column: Index) -> Callable[[Index], None]:
        """What an unrolled block of another tile does; see :meth:`Ahead.fetch`."""
        before = b.add(b.sub(self.hi, self.lo) if self.packs else 0, b.mul(tile, blocks))
        begin = self._begin(column)
        return lambda block: self._fetch(begin, b.add(before, block))

    @property
    def _share(self) -> Index:
        return b.ceildiv(b.mul(self.count, self.lanes), self._columns)

    def _begin(self, column: Index) -> Index:
        return b.mul(b.div(b.sub(column, self.column), self.lanes), self._share)

    def _fetch(self, begin: Index, number: Index) -> None:
        """The lines with a number among those that fall to a panel, as long as there are any."""

        def lines() -> None:
            place, across = b.add(begin, number), b.maximum(b.div(self.width, self._columns), 1)
            red = b.value(self.reds.at(b.add(self.first[0], b.div(place, across))))
            column = b.add(self.first[1], b.mul(b.mod(place, across), self._columns))
            for line in range(LINES):
                at = b.value(b.add(column, line * self._columns // LINES))
                memref.prefetch(self.source, [red, at], False, SECOND_LEVEL, True)

        b.only_if(b.less(number, self._share), lines)
