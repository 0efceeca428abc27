"""The next panel is packed while a panel is multiplied: no tile of rows waits for what it packs.

A tile that packs (``pack_along.py``) waits: a core has room for few lines on their way, and where rows of the operand
lie a power of two apart, few places for them in its caches. All tiles together take long enough.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from pith._mlir import arith, ir, memref, vector

from ... import builder as b
from ...builder import Index
from ..ahead import SECOND_LEVEL
from ..arithmetic import convert
from ..variant import Variant
from ..walk import Walk
from .tile import unrolled

#: Rows between the one that is packed and the one that is fetched, into L2: places in L1 are few where rows lie a power
#: of two apart. 64x512x1024 f32 for each of 64 experts, as many and half as many ahead, to L1 and to L2: 32.8 and 41,
#: 31.8 and 33.0 ms (C, one thread, Emerald Rapids, 2026-11-22).
FETCHED_AHEAD = 8

#: Machine vectors that an unrolled block packs, at most, and of how many parts of L2 one is a panel where it packs more
#: than one. 64 experts of 512x1024 f32, 48, 64 and 96 rows each, with one for as many rows as that takes, two, and in
#: blocks of contracted coordinates (``cut.py``): -, 25.1, 27.0; -, 31.8, 35.7; 42.9, 46.0, 54.0 ms; 36 rows with three
#: 23.1, cut 22.7 (C). 64x512x2048 0.93 ms and cut 0.96, panels of 256 KiB 64x1024x1024 0.99 and 0.95 (one thread,
#: Emerald Rapids, 2026-11-22).
MOST_EACH, SHARE = 2, 16


def most_each(reds: Index, row_bytes: int, l2_bytes: int) -> Index:
    """How many machine vectors an unrolled block packs at most, for panels of ``reds`` rows of ``row_bytes``."""
    small = l2_bytes // SHARE // row_bytes
    if isinstance(reds, int):
        return MOST_EACH if reds <= small else 1
    return arith.select(b.less(reds, small + 1), b.value(MOST_EACH), b.value(1))


def suits(
    rows: Index, most: Index, between: tuple[Index, int], variant: Variant, vectors: int, reds: Index, each: Index
) -> ir.Value | None:
    """Whether so many ``rows``, ``most`` at most, have blocks enough to pack a panel, and meet it once.

    Args:
        between: up to the first number, rows are multiplied some contracted coordinates at a time; up to the second,
            together.
        variant: the register tile, of so many machine ``vectors`` across.
        reds: rows of a panel.
        each: see :func:`most_each`.

    Returns:
        None where that can never be.
    """
    least, chunk = vectors * unrolled(variant, vectors) * variant.rows // MOST_EACH, between[1]
    if least >= chunk or any(isinstance(n, int) and n <= least for n in (rows, most)):
        return None
    if isinstance(rows, int) and rows > chunk:
        return None
    enough = b.less(b.mul(reds, vectors), b.add(b.mul(_blocks(rows, variant, vectors, reds), each), 1))
    fits = arith.andi(b.less(between[0], rows), b.less(rows, chunk + 1))
    return arith.andi(enough, fits)


def _blocks(rows: Index, variant: Variant, vectors: int, reds: Index) -> Index:
    """Unrolled blocks of all tiles that meet a panel but the first."""
    tiles = b.maximum(b.ceildiv(rows, variant.rows), 1)
    return b.mul(b.sub(tiles, 1), b.div(reds, unrolled(variant, vectors)))


@dataclasses.dataclass(frozen=True)
class PackAhead:
    """Panels of a task in two slots by turns: every unrolled block of a tile packs a part of the next.

    Attributes:
        source: ``(reds, cols)``.
        rows: that meet a panel.
        reds, cols: what panels are packed from, not listed.
        members: the panels of the task.
        variant: the register tile.
        vector: lanes of a machine vector.
        when: whether that is done; see :func:`suits`.
    """

    source: ir.Value
    rows: Index
    reds: Walk
    cols: Walk
    members: tuple[Index, Index]
    variant: Variant
    vector: int
    when: ir.Value

    @property
    def lanes(self) -> int:
        """Of a panel."""
        return self.variant.lanes

    @property
    def each(self) -> ir.Value:
        """How many machine vectors a block packs: one where that is enough."""
        vectors = self.lanes // self.vector
        blocks = _blocks(self.rows, self.variant, vectors, self.reds.count)
        one = b.less(b.mul(self.reds.count, vectors), b.add(blocks, 1))
        return arith.select(one, b.value(1), b.value(MOST_EACH))

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
            memref.prefetch(self.source, [b.value(self.reds.at(later)), at], False, SECOND_LEVEL, True)
            part = vector.load(types[0], self.source, [b.value(self.reds.at(red)), at])
            vector.store(convert(part, panels.type.element_type), panels, [slot, b.value(red), b.value(lane)])

        each = self.each
        twice = arith.select(b.less(1, each), count, b.value(0))

        def next_ones(number: Index) -> None:
            place = b.mul(b.add(before, number), each)

            def ones() -> None:
                one(place)
                b.only_if(b.less(b.add(place, 1), twice), lambda: one(b.add(place, 1)))

            b.only_if(b.less(place, count), ones)

        def block(number: Index) -> None:
            if otherwise:
                b.if_else(self.when, lambda: next_ones(number), lambda: otherwise[0](number))
            else:
                next_ones(number)

        return block
