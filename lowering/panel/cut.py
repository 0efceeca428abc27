"""Which products of few rows are cut into blocks of contracted coordinates, and how large blocks are.

All panels of a task meet a block before the next, so a block is fetched in the order of memory (``next_block.py``)
while the one before is multiplied. Sums are put down between blocks, which rows pay for.
"""

import dataclasses

from pith._mlir import arith, ir

from .. import builder as b
from ..builder import Index
from .pack_ahead import most_each

#: Rows that products are cut for, at most, and contracted coordinates of a block. 64 experts of 512x1024 f32 with 60
#: rows each take 36.8 ms as a whole, 33.4 and 32.9 in blocks of 128 and 64; with 120 30.6 and 31.1, with 24 18.3 and
#: 15.5, with 12 18.9 and 13.8 (C, one thread, Emerald Rapids, 2026-11).
CUT_ROWS, CUT_REDS = 96, 64

#: Of how many parts of L2 one is a block: two of them stay there, and the sums.
BLOCK_SHARE = 8


@dataclasses.dataclass(frozen=True)
class Cut:
    """How products with a matrix are cut.

    Attributes:
        rows: those that are cut have more than the first number, which one tile holds, and at most the second: half
            of them where more than one machine vector is packed ahead at a time.
        size: bytes of all of ``rhs``: what stays in L2 is not fetched. 48x512x512 f32 takes 0.15 ms as a whole, 0.17
            cut (Emerald Rapids, 2026-11).
        panels: of a block.
        l2_bytes: of a core.
    """

    rows: tuple[int, Index]
    size: Index
    panels: int
    l2_bytes: int

    @classmethod
    def of(cls, height: int, most: int, size: Index, reds: Index, row_bytes: int, l2_bytes: int) -> "Cut":
        """For register tiles of ``height`` rows, chunks of ``most`` and panels with ``reds`` rows of ``row_bytes``."""
        panels = max(1, l2_bytes // BLOCK_SHARE // (CUT_REDS * row_bytes))
        rows = b.minimum(most, b.div(CUT_ROWS, most_each(reds, row_bytes, l2_bytes)))
        return cls((height, rows), size, panels, l2_bytes)

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
