"""The next panel is packed while a panel is multiplied: no tile of rows waits for what it packs.

A tile that packs (``pack_along.py``) waits: a core has room for few lines on their way, and where rows of the operand
lie a power of two apart, few places for them in its caches. All tiles together take long enough.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from pith._mlir import arith, ir, memref, vector

from .. import builder as b
from ..builder import Index
from .arithmetic import convert
from .dense_tile import unrolled
from .variant import Variant
from .walk import Walk

#: Rows between the one that is packed and the one that is fetched. 112x1024x1024 f32 takes 1.60 ms where tiles pack
#: their panels, 1.49, 1.49, 1.51 and 1.52 with 2, 4, 6 and 8, and 1.43 where nothing is packed (C, one thread, Emerald
#: Rapids, 2026-11-22).
FETCHED_AHEAD = 4


def suits(
    rows: Index, most: Index, between: tuple[int, int], variant: Variant, vectors: int, reds: Index
) -> ir.Value | None:
    """Whether so many ``rows``, ``most`` at most, have an unrolled block per vector of a panel, and meet it once.

    Args:
        between: up to the first number, rows are multiplied some contracted coordinates at a time; up to the second,
            together.
        variant: the register tile, of so many machine ``vectors`` across.
        reds: rows of a panel.

    Returns:
        None where that can never be.
    """
    height, unroll = variant.rows, unrolled(variant, vectors)
    least, chunk = max(between[0], vectors * unroll * height), between[1]
    if least >= chunk or any(isinstance(n, int) and n <= least for n in (rows, most)):
        return None
    if isinstance(rows, int) and rows > chunk:
        return None
    tiles = b.sub(b.maximum(b.ceildiv(rows, height), 1), 1)
    enough = b.less(b.mul(reds, vectors), b.add(b.mul(tiles, b.div(reds, unroll)), 1))
    return arith.andi(enough, b.less(b.sub(b.maximum(rows, least), least + 1), chunk - least))


@dataclasses.dataclass(frozen=True)
class PackAhead:
    """Panels of a task in two slots by turns: every unrolled block of a tile packs a machine vector of the next.

    Attributes:
        source: ``(reds, cols)``.
        reds, cols: what panels are packed from, not listed.
        members: the panels of the task.
        lanes, vector: of a panel, and of a machine vector.
        when: whether that is done; see :func:`suits`.
    """

    source: ir.Value
    reds: Walk
    cols: Walk
    members: tuple[Index, Index]
    lanes: int
    vector: int
    when: ir.Value

    def slots(self, otherwise: Index) -> Index:
        """How many there are."""
        return arith.select(self.when, b.value(2), b.value(otherwise))

    def slot(self, number: Index, otherwise: Index) -> ir.Value:
        """That of a panel of the task."""
        return arith.select(self.when, b.value(b.mod(number, 2)), b.value(otherwise))

    def is_packed(self, first_col: Index) -> ir.Value:
        """Whether the panel from a column on was packed while the one before it was multiplied."""
        begin, end = (b.mul(panel, self.lanes) for panel in self.members)
        inside = b.less(begin, first_col), b.less(first_col, end)
        full = b.less(b.add(first_col, self.lanes - 1), self.cols.count)
        return arith.andi(arith.andi(self.when, full), arith.andi(*inside))

    def pack(
        self, panels: ir.Value, first_col: Index, tile: Index, blocks: Index, *otherwise: Callable[[Index], None]
    ) -> Callable[[Index], None]:
        """What unrolled blocks of the tile with a number do while the panel from ``first_col`` on is multiplied.

        Args:
            blocks: of a tile.
            otherwise: what blocks do where no panel is packed ahead.
        """
        column, last = b.add(first_col, self.lanes), b.sub(self.reds.count, 1)
        across, before = self.lanes // self.vector, b.mul(tile, blocks)
        count = arith.select(self.is_packed(column), b.value(b.mul(self.reds.count, across)), b.value(0))
        slot = b.value(b.mod(b.add(b.sub(b.div(first_col, self.lanes), self.members[0]), 1), 2))
        types = [ir.VectorType.get([self.vector], x.type.element_type) for x in (self.source, panels)]

        def one(number: Index) -> None:
            red, lane = b.div(number, across), b.mul(b.mod(number, across), self.vector)
            at = b.value(b.add(b.add(self.cols.first, column), lane))
            later = b.minimum(b.add(red, FETCHED_AHEAD), last)
            memref.prefetch(self.source, [b.value(self.reds.at(later)), at], False, 3, True)
            part = vector.load(types[0], self.source, [b.value(self.reds.at(red)), at])
            vector.store(convert(part, panels.type.element_type), panels, [slot, b.value(red), b.value(lane)])

        def next_one(number: Index) -> None:
            place = b.add(before, number)
            b.only_if(b.less(place, count), lambda: one(place))

        def block(number: Index) -> None:
            if otherwise:
                b.if_else(self.when, lambda: next_one(number), lambda: otherwise[0](number))
            else:
                next_one(number)

        return block
