"""Which products of few rows are cut into blocks of contracted coordinates, and how large blocks are.

All panels of a task meet a block before the next, so a block is fetched in the order of memory (``next_block.py``)
while the one before is multiplied. Sums are put down between blocks, which rows pay for.
"""

import dataclasses

from pith._mlir import arith, ir

from ... import builder as b
from ...builder import Index
from .pack_ahead import most_each

#: Rows that products are cut for, at most, and contracted coordinates of a block. 64 experts of 512x1024 f32 with 60
#: rows each take 36.8 ms as a whole, 33.4 and 32.9 in blocks of 128 and 64; with 120 30.6 and 31.1, with 24 18.3 and
#: 15.5, with 12 18.9 and 13.8 (C, one thread, Emerald Rapids, 2026-11).
CUT_ROWS, CUT_REDS = 96, 64

#: Rows for which the first tile packs, at most; with more all tiles read a block where it lies, if it is of whole rows
#: of the matrix: L2 holds it, and tiles are enough to fetch the next. 64 experts of 512x1024 f32 with 12, 24, 40, 48,
#: 64, 84 and 96 rows each: 12.0, 14.9, 20.6, 22.4, 29.9, 39.1 and 44.5 ms, packed (from 49 on while the panel before is
#: multiplied) 10.7, 14.6, 22.3, 24.8, 32.3, 40.3 and 45.7; with 108 51.3 and 50.1. 40x768 times rows of 8, 12 and 16
#: KiB, of which a block is a part: 1.02, 1.15 and 1.02 times as long as packed (one thread, Emerald Rapids,
#: 2026-11-23).
PACKED_ROWS = 24

#: Of how many parts of L2 one is a block: two of them stay there, and the sums.
BLOCK_SHARE = 8


@dataclasses.dataclass(frozen=True)
class Cut:
    """How products with a matrix are cut.

    Attributes:
        rows: those that are cut have more than the first number, which one tile holds, and at most the second: half
            of them where panels are packed, and more than one machine vector at a time can be packed ahead.
        size: bytes of all of ``rhs``: what stays in L2 is not fetched. 48x512x512 f32 takes 0.15 ms as a whole, 0.17
            cut (Emerald Rapids, 2026-11).
        panels: of a block.
        in_rows: whether a block is of whole rows.
        l2_bytes: of a core.
    """

    rows: tuple[int, Index]
    size: Index
    panels: int
    in_rows: bool | ir.Value
    l2_bytes: int

    @classmethod
    def of(
        cls, height: int, most: int, size: Index, extents: tuple[Index, Index], row_bytes: int, l2_bytes: int
    ) -> "Cut":
        """For register tiles of ``height`` rows, chunks of ``most``; ``extents``: rows of a panel, each of
        ``row_bytes``, and panels of the matrix."""
        reds, across = extents
        panels, most = max(1, l2_bytes // BLOCK_SHARE // (CUT_REDS * row_bytes)), min(most, CUT_ROWS)
        in_rows = across <= panels if isinstance(across, int) else b.less(across, panels + 1)
        rows = b.div(most, most_each(reds, row_bytes, l2_bytes))
        if isinstance(in_rows, ir.Value):
            rows = arith.select(in_rows, b.value(most), b.value(rows))
        elif in_rows:
            rows = most
        return cls((height, rows), size, panels, in_rows, l2_bytes)

    @property
    def bound(self) -> Index:
        """Rows up to which products are cut; none where the matrix stays in L2."""
        if isinstance(self.size, int):
            return self.rows[1] if self.l2_bytes < self.size else 0
        return arith.select(b.less(self.l2_bytes, self.size), b.value(self.rows[1]), b.value(0))

    def reads(self, rows: Index) -> ir.Value | None:
        """Whether tiles read blocks where they lie; None: never."""
        if self.in_rows is False or (isinstance(rows, int) and rows <= PACKED_ROWS):
            return None
        within = arith.andi(b.less(PACKED_ROWS, rows), b.less(rows, b.add(self.bound, 1)))
        return within if self.in_rows is True else arith.andi(self.in_rows, within)

    def can_be(self, rows: Index, reds: Index) -> bool:
        """Products of so many rows and contracted coordinates may be cut."""
        least, most = self.rows
        few = not isinstance(rows, int) or least < rows <= (most if isinstance(most, int) else CUT_ROWS)
        deep = not isinstance(reds, int) or reds > CUT_REDS
        return few and deep and not (isinstance(self.size, int) and self.size <= self.l2_bytes)

    def choose(self, rows: Index, cut: Index, whole: Index) -> Index:
        """``cut`` where products of so many rows are cut, of those that can be, else ``whole``."""
        (least, most), conditions = self.rows, list[ir.Value]()
        if not (isinstance(rows, int) and isinstance(most, int)):
            conditions.append(arith.andi(b.less(least, rows), b.less(rows, b.add(most, 1))))
        elif not least < rows <= most:
            return whole
        if not isinstance(self.size, int):
            conditions.append(b.less(self.l2_bytes, self.size))
        for condition in conditions:
            cut = arith.select(condition, b.value(cut), b.value(whole))
        return cut
